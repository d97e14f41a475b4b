//! The proxy as the engine's router: found when it runs, started when it does not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use engine::world::{Route, RouteSeen, Router, WorldError};
use rollout::RevisionId;

use crate::proxy::{self, Backend, Bound, Client, ClientError, RemoveAnswer, RouteAnswer, ServiceStats};

/// Routes of one state directory, through its proxy process.
#[derive(Debug)]
pub struct ProxyRouter {
    dir: PathBuf,
    /// One start at a time.
    starting: tokio::sync::Mutex<()>,
}

/// The proxy says `424` when it follows a route but can't have its port yet.
const PORT_TAKEN: u16 = 424;

/// How long a proxy that was started may take to answer.
const START: std::time::Duration = std::time::Duration::from_secs(5);

/// Between two knocks at a proxy that is starting.
const KNOCK: std::time::Duration = std::time::Duration::from_millis(10);

impl ProxyRouter {
    pub fn new(dir: impl Into<PathBuf>) -> ProxyRouter {
        ProxyRouter { dir: dir.into(), starting: tokio::sync::Mutex::new(()) }
    }

    /// Ends the proxy once what is in flight has ended.
    ///
    /// # Errors
    /// When it runs and does not listen.
    pub async fn shutdown(&self) -> Result<(), WorldError> {
        match self.running().await {
            Ok(client) => client.shutdown().await.map_err(|error| WorldError::new("end the proxy", chain(&error))),
            Err(_) => Ok(()),
        }
    }

    async fn running(&self) -> Result<Client, ClientError> {
        Client::connect(proxy::socket_path(&self.dir)).await
    }

    /// The proxy, started when none answers. It outlives us.
    async fn client(&self) -> Result<Client, WorldError> {
        if let Ok(client) = self.running().await {
            return Ok(client);
        }
        let _turn = self.starting.lock().await;
        if let Ok(client) = self.running().await {
            return Ok(client);
        }
        let dir = self.dir.clone();
        let started = tokio::task::spawn_blocking(move || start(&dir)).await;
        started.map_err(|error| WorldError::new("start the proxy", error))?.map_err(|error| WorldError::new("start the proxy", error))?;
        let deadline = tokio::time::Instant::now() + START;
        loop {
            match self.running().await {
                Ok(client) => return Ok(client),
                Err(error) if tokio::time::Instant::now() > deadline => return Err(WorldError::new("start the proxy", chain(&error))),
                Err(_) => tokio::time::sleep(KNOCK).await,
            }
        }
    }
}

#[async_trait]
impl Router for ProxyRouter {
    async fn observe(&self, service: &str) -> Option<RouteSeen> {
        let stats = self.running().await.ok()?.stats().await.ok()?;
        let Some(seen) = stats.services.get(service) else {
            return Some(RouteSeen { epoch: stats.epoch, ..RouteSeen::default() });
        };
        Some(RouteSeen {
            // Nobody is reached at a port that somebody else has: what the proxy was told is not in force yet.
            generation: if seen.bound == Bound::Listening { seen.generation } else { 0 },
            weights: weights(seen),
            epoch: stats.epoch.clone(),
            counts: seen.counts.iter().map(|(revision, counts)| (RevisionId(revision.clone()), revision_counts(counts))).collect(),
        })
    }

    async fn shift(&self, service: &str, route: &Route) -> Result<(), WorldError> {
        let doing = || format!("route port {}", route.port);
        let client = self.client().await?;
        match client.put_route(service, &to_proxy(route)).await {
            Ok(RouteAnswer::Applied | RouteAnswer::Stale { .. }) => Ok(()),
            Err(ClientError::Refused { status, sentence }) if status.as_u16() == PORT_TAKEN => Err(WorldError::new(doing(), sentence)),
            Err(error) => Err(WorldError::new(doing(), chain(&error))),
        }
    }

    async fn remove(&self, service: &str, generation: u64) -> Result<(), WorldError> {
        let doing = || "remove the route".to_string();
        let Ok(client) = self.running().await else { return Ok(()) };
        match client.remove(service, generation).await {
            Ok(RemoveAnswer::Removed | RemoveAnswer::Stale { .. }) => Ok(()),
            Err(error) => Err(WorldError::new(doing(), chain(&error))),
        }
    }
}

fn weights(seen: &ServiceStats) -> BTreeMap<RevisionId, u32> {
    seen.weights.iter().map(|(revision, weight)| (RevisionId(revision.clone()), *weight)).collect()
}

fn revision_counts(counts: &proxy::RevisionCounts) -> rollout::RevisionCounts {
    rollout::RevisionCounts { users: to_counts(&counts.users), synthetic: to_counts(&counts.synthetic), in_flight: counts.in_flight }
}

fn to_counts(counts: &proxy::Counts) -> rollout::Counts {
    rollout::Counts { requests: counts.requests, bad: counts.bad, latency: counts.latency.clone() }
}

fn to_proxy(route: &Route) -> proxy::Route {
    let mut backends: BTreeMap<String, Backend> =
        route.weights.iter().map(|(revision, weight)| (revision.0.clone(), Backend { weight: *weight, endpoints: Vec::new() })).collect();
    for endpoint in &route.endpoints {
        backends.entry(endpoint.revision.0.clone()).or_default().endpoints.push(endpoint.address.clone());
    }
    let synthetic = route.synthetic.as_ref().map(|synthetic| proxy::Synthetic {
        paths: synthetic.paths.clone(),
        interval_ms: synthetic.interval_ms,
        revisions: synthetic.revisions.iter().map(|revision| revision.0.clone()).collect(),
    });
    proxy::Route { generation: route.generation, port: route.port, backends, synthetic }
}

/// Our own binary in a session of its own, so that neither our end nor a closing terminal takes the traffic with it.
fn start(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("proxy.log"))?;
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg0("plimsoll").arg("proxy").arg("--dir").arg(dir).current_dir("/").process_group(0);
    command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().map(drop)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
