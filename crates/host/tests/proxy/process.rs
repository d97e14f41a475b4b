//! The proxy's life as a process: killed, restarted, told to end.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use host::proxy::{Backend, Client, Config, Route, identity, run};
use http::StatusCode;
use tokio::sync::Notify;

use crate::world::{Connection, Instance, connected, eventually, free_port, request, text, within};

const DIR: &str = "PROXY_TEST_DIR";

/// Not a test of its own: what the others start as a child.
#[test]
fn child() {
    if let Ok(dir) = std::env::var(DIR) {
        run(Config::new(dir)).expect("a clean end");
    }
}

struct Process(Child);

impl Process {
    async fn start(dir: &Path) -> (Process, Client) {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        let child = command.args(["--exact", "process::child"]).env(DIR, dir).stdout(Stdio::null()).spawn().expect("a process");
        let process = Process(child);
        let client = connected(dir).await;
        assert_eq!(identity(dir).expect("proxy.pid").pid, process.0.id());
        (process, client)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("it lives");
    }

    async fn ended(&mut self) -> std::process::ExitStatus {
        eventually(async || self.0.try_wait().expect("our child")).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn route(port: u16, instance: &Instance) -> Route {
    let backend = Backend { weight: 10_000, endpoints: vec![instance.address.to_string()] };
    Route { generation: 1, port, backends: [("a".to_owned(), backend)].into(), synthetic: None }
}

#[tokio::test]
async fn killed_and_started_again_it_serves_what_was_applied() {
    let dir = tempfile::tempdir().expect("a directory");
    let (instance, port) = (Instance::named("a").await, free_port());
    let (mut process, client) = Process::start(dir.path()).await;
    client.put_route("web", &route(port, &instance)).await.expect("applied");
    let before = client.stats().await.expect("stats").epoch;
    let mode = |file: &str| std::fs::metadata(dir.path().join(file)).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode("proxy.sock"), mode("proxy.lock"), mode("proxy.pid")), (0o600, 0o600, 0o600));
    process.signal(rustix::process::Signal::KILL);
    assert!(!process.ended().await.success());
    client.health().await.expect_err("nobody is there");
    let (_process, _) = Process::start(dir.path()).await;
    assert_eq!(Connection::open(port).await.get("/").await, (StatusCode::OK, "a".to_owned()));
    // The old client meets the new process, and can tell by the epoch that counters began anew.
    assert_ne!(client.stats().await.expect("stats").epoch, before);
}

#[tokio::test]
async fn a_deep_directory_is_as_good_as_any() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("d".repeat(100)).join("e".repeat(100));
    let (_process, client) = Process::start(&dir).await;
    assert!(!client.health().await.expect("an answer").draining);
}

#[tokio::test]
async fn told_to_end_it_finishes_what_it_has() {
    let dir = tempfile::tempdir().expect("a directory");
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (Arc::clone(&arrived), Arc::clone(&release));
    let instance = Instance::start(move |_| {
        let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
        async move {
            told.notify_one();
            wait.notified().await;
            text(StatusCode::OK, "late")
        }
    })
    .await;
    let port = free_port();
    let (mut process, client) = Process::start(dir.path()).await;
    client.put_route("web", &route(port, &instance)).await.expect("applied");
    let idle = Connection::open(port).await;
    let asking = tokio::spawn(async move { Connection::open(port).await.send(request("GET", "/", &[])).await });
    within(arrived.notified()).await;
    process.signal(rustix::process::Signal::TERM);
    eventually(async || std::net::TcpListener::bind(("127.0.0.1", port)).ok()).await;
    assert!(client.health().await.expect("it still answers").draining);
    release.notify_one();
    assert_eq!(within(asking).await.expect("no panic"), (StatusCode::OK, "late".to_owned()));
    assert!(process.ended().await.success());
    assert_eq!((identity(dir.path()), dir.path().join("proxy.sock").exists()), (None, false));
    drop(idle);
}
