//! The proxy beside HAProxy, on one core each and in one run.
//!
//! `cargo run --release -p host --example proxy_bench -- [--rounds N] [--seconds N] [--before PROGRAM]`; needs `haproxy`, `wrk`
//! and `taskset`. `--before` names another build of this program, whose proxy is measured beside.
//!
//! The proxies have one core to themselves and the load and the backend share the other. Everything alternates, so that
//! whatever else the machine does falls on all alike: throughput from run to run, latency in slices of a quarter of a second
//! that go round between the way without a proxy and the ways through each. What a proxy adds is the difference of two
//! percentiles of one round, and the median of the rounds is the figure.

#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host::proxy::{Backend, Client, Config, Route, run, socket_path};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The core under test; load and backend share the other.
const UNDER_TEST: &str = "0";
const LOAD: &str = "1";
const RATE: u64 = 2_000;
const CONNECTIONS: u64 = 50;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["backend", port] => backend(port.parse()?),
        ["proxy", dir] => Ok(run(Config { threads: 1, ..Config::new(dir) })?),
        ["load", seconds, ref ports @ ..] => {
            load(seconds.parse()?, &ports.iter().map(|it| it.parse()).collect::<std::result::Result<Vec<_>, _>>()?)
        }
        _ => bench(number(&arguments, "--rounds", 7), number(&arguments, "--seconds", 3), given(&arguments, "--before")),
    }
}

fn number(arguments: &[String], name: &str, default: u64) -> u64 {
    given(arguments, name).and_then(|it| it.parse().ok()).unwrap_or(default)
}

fn given<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().skip_while(|it| *it != name).nth(1).map(String::as_str)
}

/// One way to the backend.
struct Peer {
    name: &'static str,
    port: u16,
    process: Running,
}

fn bench(rounds: u64, seconds: u64, before: Option<&str>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let own = std::env::current_exe()?;
    let own = own.to_str().ok_or("the path of this program is not text")?;
    let [backend, haproxy] = free_ports()?;
    let mut peers = vec![Peer { name: "direct", port: backend, process: Running::start(LOAD, &[own, "backend", &backend.to_string()])? }];
    let config = dir.path().join("haproxy.cfg");
    std::fs::write(&config, haproxy_config(haproxy, backend))?;
    let process = Running::start(UNDER_TEST, &["haproxy", "-db", "-f", &config.to_string_lossy()])?;
    peers.push(Peer { name: "haproxy", port: haproxy, process });
    wait_for(backend)?;
    wait_for(haproxy)?;
    peers.push(proxy("plimsoll", own, &dir.path().join("state"), backend)?);
    let idle = resident_kib(&peers[2].process)?;
    if let Some(before) = before {
        peers.push(proxy("before", before, &dir.path().join("before"), backend)?);
    }

    let (mut rates, mut costs, mut latencies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for _ in 0..rounds {
        for peer in &peers {
            let before = processor_ns(&peer.process)?;
            let rate = requests_per_second(peer.port, seconds)?;
            rates.entry(peer.name).or_insert_with(Vec::new).push(rate);
            costs.entry(peer.name).or_insert_with(Vec::new).push((processor_ns(&peer.process)? - before) / (rate * seconds).max(1));
        }
        for (peer, latency) in peers.iter().zip(at_fixed_rate(own, &peers, seconds)?) {
            latencies.entry(peer.name).or_insert_with(Vec::new).push(latency);
        }
    }
    for Peer { name, .. } in &peers {
        let us = |it: fn(&Latency) -> u64| median(latencies[name].iter().map(it).collect());
        let (rate, cost) = (median(rates[name].clone()), median(costs[name].clone()));
        let (late, p50, p99) = (us(|it| it.late_us), us(|it| it.p50_us), us(|it| it.p99_us));
        println!(
            "{name:<9} {rate:>7} req/s, {cost:>6} ns of processor each   at {RATE}/s: p50 {p50:>4} us, p99 {p99:>4} us \
             (of it sent late: p99 {late} us)"
        );
    }
    for Peer { name, .. } in &peers[1..] {
        let ratios: Vec<u64> = rates[name].iter().zip(&rates["haproxy"]).map(|(it, haproxy)| it * 100 / haproxy.max(&1)).collect();
        let added = |it: fn(&Latency) -> u64| -> Vec<u64> {
            let pairs = latencies[name].iter().zip(&latencies["direct"]);
            pairs.map(|(through, direct)| it(through).saturating_sub(it(direct))).collect()
        };
        let (p50, p99) = (added(|it| it.p50_us), added(|it| it.p99_us));
        println!(
            "{name:<9} {:.2} x haproxy, {CONNECTIONS} connections, 1 core; adds at {RATE}/s: p50 {} us, p99 {} us (rounds: {p99:?})",
            median(ratios) as f64 / 100.0,
            median(p50),
            median(p99.clone())
        );
    }
    println!("limits: at least 0.80 x haproxy; p99 adds at most 1000 us");
    println!("resident: {idle} KiB idle, {} KiB after the load", resident_kib(&peers[2].process)?);
    Ok(())
}

fn proxy(name: &'static str, program: &str, state: &Path, backend: u16) -> Result<Peer> {
    let [port] = free_ports()?;
    let process = Running::start(UNDER_TEST, &[program, "proxy", &state.to_string_lossy()])?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(set_route(state, port, backend))?;
    wait_for(port)?;
    Ok(Peer { name, port, process })
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn haproxy_config(port: u16, backend: u16) -> String {
    format!(
        "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n timeout connect 2s\n timeout client 60s\n timeout server 30s\n \
         option forwardfor\n http-reuse aggressive\nfrontend f\n bind 127.0.0.1:{port}\n default_backend b\nbackend b\n \
         server s1 127.0.0.1:{backend} weight 90\n server s2 127.0.0.1:{backend} weight 10\n"
    )
}

async fn set_route(state: &Path, port: u16, backend: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let client = loop {
        match Client::connect(socket_path(state)).await {
            Ok(client) => break client,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let backend = |weight| Backend { weight, endpoints: vec![format!("127.0.0.1:{backend}")] };
    let backends = [("stable".to_owned(), backend(9_000)), ("canary".to_owned(), backend(1_000))].into();
    client.put_route("web", &Route { generation: 1, port, backends, synthetic: None }).await?;
    Ok(())
}

fn requests_per_second(port: u16, seconds: u64) -> Result<u64> {
    let url = format!("http://127.0.0.1:{port}/");
    let duration = format!("-d{seconds}s");
    let output = Command::new("taskset").args(["-c", LOAD, "wrk", "-t1", &format!("-c{CONNECTIONS}"), &duration, &url]).output()?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("wrk saw failures:\n{text}").into());
    }
    let rate = text.lines().find_map(|it| it.strip_prefix("Requests/sec:")).ok_or("wrk printed no rate")?;
    Ok(rate.trim().parse::<f64>()? as u64)
}

struct Latency {
    /// How long after its moment a request was sent: the load's own part in its latency.
    late_us: u64,
    p50_us: u64,
    p99_us: u64,
}

fn at_fixed_rate(own: &str, peers: &[Peer], seconds: u64) -> Result<Vec<Latency>> {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD, own, "load", &seconds.to_string()]).args(peers.iter().map(|it| it.port.to_string()));
    let output = command.output()?;
    let latency = |line: &str| -> Result<Latency> {
        match line.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<u64>, _>>()?[..] {
            [late_us, p50_us, p99_us] => Ok(Latency { late_us, p50_us, p99_us }),
            _ => Err(format!("the load says {line:?}").into()),
        }
    };
    let latencies = String::from_utf8(output.stdout)?.lines().map(latency).collect::<Result<Vec<_>>>()?;
    match latencies.len() == peers.len() {
        true => Ok(latencies),
        false => Err(format!("the load ended early: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Requests of one slice, a quarter of a second's worth.
const SLICE: u64 = RATE / 4;

/// Open loop: each request has its moment, and its latency counts from there whether or not it could be sent in time.
///
/// One thread does it all, so that no request waits for another's thread, and it sleeps to the microsecond.
fn load(seconds: u64, ports: &[u16]) -> Result<()> {
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    let mut lanes = ports.iter().map(|port| Lane::open(*port)).collect::<Result<Vec<_>>>()?;
    for round in 0..(RATE * seconds / SLICE) as usize {
        // Nobody is always the one after the same other.
        for index in 0..lanes.len() {
            let lane = (index + round) % lanes.len();
            lanes[lane].slice(SLICE)?;
        }
    }
    for Lane { late_us, latencies_us, .. } in &mut lanes {
        late_us.sort_unstable();
        latencies_us.sort_unstable();
        let at = |all: &[u64], share: f64| all[((all.len() - 1) as f64 * share) as usize];
        println!("{} {} {}", at(late_us, 0.99), at(latencies_us, 0.50), at(latencies_us, 0.99));
    }
    Ok(())
}

/// The connections to one port.
struct Lane {
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    busy: Vec<usize>,
    late_us: Vec<u64>,
    latencies_us: Vec<u64>,
}

struct Connection {
    stream: TcpStream,
    due: Instant,
    seen: Vec<u8>,
}

impl Lane {
    fn open(port: u16) -> Result<Lane> {
        let connect = |_| -> Result<Connection> {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Connection { stream, due: Instant::now(), seen: Vec::new() })
        };
        let connections = (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>>>()?;
        let idle = (0..connections.len()).collect();
        Ok(Lane { connections, idle, busy: Vec::new(), late_us: Vec::new(), latencies_us: Vec::new() })
    }

    fn slice(&mut self, requests: u64) -> Result<()> {
        let begin = Instant::now() + Duration::from_millis(2);
        let mut sent = 0;
        while sent < requests || !self.busy.is_empty() {
            let due = begin + Duration::from_micros(sent * 1_000_000 / RATE);
            let now = Instant::now();
            if sent < requests
                && due <= now
                && let Some(index) = self.idle.pop_front()
            {
                sent += 1;
                self.send(index, due, now)?;
                continue;
            }
            let until = if sent < requests && !self.idle.is_empty() { due - now } else { Duration::from_secs(5) };
            self.answers(until)?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: Instant, now: Instant) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.due = due;
        connection.seen.clear();
        connection.stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")?;
        self.busy.push(index);
        self.late_us.push(micros(now - due));
        Ok(())
    }

    /// Takes the answers that are there, waiting for the first one so long.
    fn answers(&mut self, wait: Duration) -> Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let mut waiting: Vec<_> = self.busy.iter().map(|it| PollFd::new(&self.connections[*it].stream, PollFlags::IN)).collect();
        if poll(&mut waiting, Some(&timeout))? == 0 {
            return if wait < Duration::from_secs(5) { Ok(()) } else { Err("no answer for 5 s".into()) };
        }
        let ready: Vec<usize> = waiting.iter().zip(&self.busy).filter(|(it, _)| !it.revents().is_empty()).map(|(_, it)| *it).collect();
        for index in ready {
            if self.connections[index].answered()? {
                self.latencies_us.push(micros(self.connections[index].due.elapsed()));
                self.busy.retain(|it| *it != index);
                self.idle.push_back(index);
            }
        }
        Ok(())
    }
}

impl Connection {
    fn answered(&mut self) -> Result<bool> {
        let mut more = [0; 4096];
        match self.stream.read(&mut more) {
            Ok(0) => return Err("closed before the answer".into()),
            Ok(count) => self.seen.extend_from_slice(&more[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        match self.seen.ends_with(BODY) {
            true if self.seen.starts_with(b"HTTP/1.1 200") => Ok(true),
            true => Err("an answer that is not 200".into()),
            false => Ok(false),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

const BODY: &[u8] = b"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// As little work as possible per request, so that the proxies and not this are measured.
fn backend(port: u16) -> Result<()> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", BODY.len()).into_bytes();
    answer.extend_from_slice(BODY);
    let answer: &'static [u8] = answer.leak();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut filled = 0;
                loop {
                    match stream.read(&mut buffer[filled..]).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => filled += count,
                    }
                    if buffer[..filled].ends_with(b"\r\n\r\n") {
                        filled = 0;
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    })
}

fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let listeners = [(); COUNT].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
        if Instant::now() > deadline {
            return Err(format!("nobody listens at port {port}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// What all threads of a process have used so far.
fn processor_ns(running: &Running) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", running.0.id()))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("an empty schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}

fn resident_kib(running: &Running) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id()))?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A process on one core, which ends with this one.
struct Running(Child);

impl Running {
    fn start(core: &str, command: &[&str]) -> Result<Running> {
        // `taskset` executes the program in its own place, so the process is the program's.
        let child = Command::new("taskset").args(["-c", core]).args(command).stdout(Stdio::null()).spawn();
        Ok(Running(child.map_err(|error| format!("taskset (util-linux) can't be started: {error}"))?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
