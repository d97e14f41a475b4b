//! The proxy beside HAProxy, on one core each and in one run.
//!
//! `cargo run --release -p host --example proxy_bench -- [--rounds N] [--seconds N]`; needs `haproxy`, `wrk` and `taskset`.
//! Rounds alternate between the two, so that whatever else the machine does falls on both; medians are compared.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
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
        ["load", port, seconds] => load(port.parse()?, seconds.parse()?),
        _ => bench(number(&arguments, "--rounds", 5), number(&arguments, "--seconds", 4)),
    }
}

fn number(arguments: &[String], name: &str, default: u64) -> u64 {
    let given = arguments.iter().skip_while(|it| *it != name).nth(1);
    given.and_then(|it| it.parse().ok()).unwrap_or(default)
}

fn bench(rounds: u64, seconds: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let [backend, haproxy, ours] = free_ports()?;
    let own = std::env::current_exe()?;
    let own = own.to_str().ok_or("the path of this program is not text")?;
    let backend_process = Running::start(LOAD, &[own, "backend", &backend.to_string()])?;
    let config = dir.path().join("haproxy.cfg");
    std::fs::write(&config, haproxy_config(haproxy, backend))?;
    let haproxy_process = Running::start(UNDER_TEST, &["haproxy", "-db", "-f", &config.to_string_lossy()])?;
    let state = dir.path().join("state");
    let proxy = Running::start(UNDER_TEST, &[own, "proxy", &state.to_string_lossy()])?;
    wait_for(backend)?;
    wait_for(haproxy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(set_route(&state, ours, backend))?;
    wait_for(ours)?;
    let idle = resident_kib(&proxy)?;

    let (mut rates, mut costs, mut latencies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let peers = [("direct", backend, &backend_process), ("haproxy", haproxy, &haproxy_process), ("plimsoll", ours, &proxy)];
    for _ in 0..rounds {
        for (name, port, process) in peers {
            let before = processor_ns(process)?;
            let rate = requests_per_second(port, seconds)?;
            rates.entry(name).or_insert_with(Vec::new).push(rate);
            costs.entry(name).or_insert_with(Vec::new).push((processor_ns(process)? - before) / (rate * seconds).max(1));
        }
        for (name, port, _) in peers {
            latencies.entry(name).or_insert_with(Vec::new).push(at_fixed_rate(own, port, seconds)?);
        }
    }
    for (name, ..) in peers {
        let us = |it: fn(&Latency) -> u64| median(latencies[name].iter().map(it).collect());
        let rate = median(rates[name].clone());
        let cost = median(costs[name].clone());
        println!(
            "{name:<9} {rate:>7} req/s, {cost:>6} ns of processor each   at {RATE}/s: p50 {:>5} us, p99 {:>5} us",
            us(|it| it.p50_us),
            us(|it| it.p99_us)
        );
    }
    let ratios: Vec<u64> = (0..rates["plimsoll"].len()).map(|it| rates["plimsoll"][it] * 100 / rates["haproxy"][it].max(1)).collect();
    let added = |name: &str, it: fn(&Latency) -> u64| -> Vec<u64> {
        let pairs = latencies[name].iter().zip(&latencies["direct"]);
        pairs.map(|(through, direct)| it(through).saturating_sub(it(direct))).collect()
    };
    println!("ratio to haproxy, {CONNECTIONS} connections, 1 core: {:.2} (at least 0.80)", median(ratios) as f64 / 100.0);
    // What the machine does besides falls on single rounds; the quietest is the one in which the way without a proxy was fastest.
    let quietest = (0..latencies["direct"].len()).min_by_key(|it| latencies["direct"][*it].p99_us).unwrap_or(0);
    for name in ["haproxy", "plimsoll"] {
        let (p50, p99) = (added(name, |it| it.p50_us), added(name, |it| it.p99_us));
        let (p50_quiet, p99_quiet) = (p50[quietest], p99[quietest]);
        println!(
            "{name} adds at {RATE}/s: p50 {} us, p99 {} us; in the quietest round p50 {p50_quiet} us, p99 {p99_quiet} us (p99 at most 1000)",
            median(p50),
            median(p99)
        );
    }
    println!("resident: {idle} KiB idle, {} KiB after the load", resident_kib(&proxy)?);
    Ok(())
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
    p50_us: u64,
    p99_us: u64,
}

fn at_fixed_rate(own: &str, port: u16, seconds: u64) -> Result<Latency> {
    let output = Command::new("taskset").args(["-c", LOAD, own, "load", &port.to_string(), &seconds.to_string()]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(p50_us), Some(p99_us)) => Ok(Latency { p50_us: p50_us?, p99_us: p99_us? }),
        _ => Err(format!("the load ended early: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Open loop: each request has its moment, and its latency counts from there whether or not it could be sent in time.
fn load(port: u16, seconds: u64) -> Result<()> {
    let begin = Instant::now() + Duration::from_millis(100);
    let one = move |connection: u64| -> std::io::Result<Vec<u64>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let mut latencies = Vec::new();
        for request in (connection..RATE * seconds).step_by(CONNECTIONS as usize) {
            let due = begin + Duration::from_micros(request * 1_000_000 / RATE);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")?;
            read_answer(&mut stream)?;
            latencies.push(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        Ok(latencies)
    };
    let threads: Vec<_> = (0..CONNECTIONS).map(|it| std::thread::spawn(move || one(it))).collect();
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.extend(thread.join().map_err(|_| "a thread of the load panicked")??);
    }
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{} {}", at(0.50), at(0.99));
    Ok(())
}

fn read_answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut more = [0; 1024];
    while !seen.ends_with(BODY) {
        match stream.read(&mut more)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => seen.extend_from_slice(&more[..count]),
        }
    }
    if seen.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other("not 200")) }
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

fn free_ports() -> Result<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; 3];
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
