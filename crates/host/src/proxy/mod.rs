//! Carries requests to revisions, by weight, and goes on doing so when the server is gone.
//!
//! The proxy is a process of its own, one per state directory. It decides nothing: routes come in over the control socket,
//! counts go out. What it was last told is on disk before the answer, so a restarted proxy serves the same routes.
//!
//! ```text
//!   server ──proxy.sock──▶ api ─▶ registry ──orders──▶ worker 0 ─▶ pools ─▶ instances
//!                                    │                 worker 1 ─▶ pools ─▶ instances
//!   clients ──ports──▶ listen ───────┴──connections──▶   (one thread each, nothing shared but counters)
//! ```

mod answer;
mod api;
mod claim;
mod client;
mod control;
mod counters;
mod downstream;
mod forward;
mod head;
mod listen;
mod passing;
mod registry;
mod routes;
mod socket;
mod streams;
mod synthetic;
mod table;
mod tap;
mod tunnel;
mod upstream;
mod worker;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub use claim::{Identity, identity};
pub use client::{Client, ClientError};
pub use control::{
    Backend, Bound, Counts, EndpointStats, Health, RemoveAnswer, RevisionCounts, Route, RouteAnswer, RouteError, ServiceStats, Stats,
    Synthetic,
};

/// How one proxy process is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state directory: socket, lock, pid and routes live in it.
    pub dir: PathBuf,
    /// Threads that carry traffic; one more answers the control socket and accepts connections.
    pub threads: usize,
    pub limits: Limits,
}

impl Config {
    pub fn new(dir: impl Into<PathBuf>) -> Config {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Config { dir: dir.into(), threads: cores.min(2), limits: Limits::default() }
    }
}

/// What the proxy puts up with before it gives an answer of its own.
#[derive(Debug, Clone)]
pub struct Limits {
    pub connect_timeout: Duration,
    /// From the request's last byte to the answer's first.
    pub first_byte_timeout: Duration,
    /// How long a connection may be open without a complete request head.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub send_timeout: Duration,
    pub drain_timeout: Duration,
    pub header_bytes_max: usize,
    /// Over all services; further connections wait in the listener's queue.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            header_bytes_max: 64 * 1024,
            connections_max: 10_000,
        }
    }
}

/// What keeps a proxy from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("claim {}: another proxy runs there{}", dir.display(), pid.map(|pid| format!(", process {pid}")).unwrap_or_default())]
    AlreadyRunning { dir: PathBuf, pid: Option<u32> },
    #[error("prepare {}", path.display())]
    Prepare { path: PathBuf, source: std::io::Error },
    #[error("start a thread or runtime")]
    Runtime(#[source] std::io::Error),
}

/// Where a proxy of this state directory listens for orders.
pub fn socket_path(dir: &Path) -> PathBuf {
    dir.join("proxy.sock")
}

/// Serves until SIGTERM, SIGINT or `POST /shutdown`, then drains and returns.
pub fn run(config: Config) -> Result<(), Error> {
    claim::prepare(&config.dir)?;
    let claim = claim::Claim::take(&config.dir)?;
    raise_open_files();
    let routes = routes::load_or_set_aside(&config.dir);
    let workers = (0..config.threads.max(1)).map(|index| worker::start(index, &config.limits)).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).map_err(Error::Runtime)?;
    runtime.block_on(async {
        let registry = Rc::new(registry::Registry::new(&config, claim.epoch(), workers));
        registry.restore(routes).await;
        let api = api::serve(&config.dir, Rc::clone(&registry))?;
        let maintenance = tokio::task::spawn_local(registry::rebind_failed(Rc::clone(&registry)));
        wait_for_end(&registry).await?;
        maintenance.abort();
        registry.drain().await;
        api.abort();
        Ok(())
    })
}

async fn wait_for_end(registry: &registry::Registry) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    // A closing terminal must not take the traffic with it, so the signal is caught and dropped.
    let _hangup = signal(SignalKind::hangup()).map_err(Error::Runtime)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = registry.shutdown_asked() => {}
    }
    Ok(())
}

/// Each connection is a file; the soft limit of 1024 is for programs that still use `select`.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}
