//! The borders: what the engine needs of a world. Small, object-safe, plain data in and out.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base::{Digest, Timestamp};
pub use release::{CodeSource, Packaged, Prepared, Ships};
pub use rollout::{Container, Endpoint, InstancePlan, Probe, Probes, RevisionId, RouteSeen, SmokeCheck, SmokeSeen, Synthetic, TargetSeen};
use serde::{Deserialize, Serialize};
use workflow::concurrency::{Seat, Standing};
use workflow::job::{JobId, JobSeen, JobSpec};

/// The time of this node. Called often, from any task.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// A border could not do what it was asked; the tick is tried again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {why}")]
pub struct WorldError {
    /// What was being done to what: `start job 01J…/build/1`.
    pub doing: String,
    pub why: String,
}

impl WorldError {
    pub fn new(doing: impl Into<String>, why: impl std::fmt::Display) -> WorldError {
        WorldError { doing: doing.into(), why: why.to_string() }
    }
}

/// Executes jobs. Any node may call any method at any time; a repeated `start` of the same id starts nothing twice.
#[async_trait]
pub trait Executor: Send + Sync {
    /// The job's steps run at most once per id. Returns when the start is durable, not when the job has begun.
    async fn start(&self, id: &JobId, job: &JobStart) -> Result<(), WorldError>;
    async fn observe(&self, id: &JobId) -> JobSeen;
    /// Politely (SIGINT, SIGTERM, `always()` steps still run), or at once. Of an id never started: it can't start any more.
    async fn stop(&self, id: &JobId, how: Stop) -> Result<(), WorldError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    Gracefully,
    AtOnce,
}

/// Places in the concurrency groups of a project, between all that run on this machine. Called at every look at a release whose workflows
/// have such groups, from any task.
#[async_trait]
pub trait Turns: Send + Sync {
    /// The holder has these places and no others: those that it hasn't are taken, those that aren't named are given back. Tells how each
    /// stands, by its id. They are held as long as this process lives, or any of these jobs. A repeat changes nothing.
    async fn stand(&self, project: &str, holder: &str, seats: &[Seat], jobs: &[JobId]) -> Result<BTreeMap<String, Standing>, WorldError>;
}

/// A job and where its sources come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStart {
    pub spec: JobSpec,
    pub source: CodeSource,
    /// Files of earlier jobs of the same release are shared under this name (`actions/upload-artifact`, `download-artifact`).
    pub artifacts: String,
    /// Caches (`actions/cache`) are shared within this project and with no other.
    pub project: String,
}

/// Runs instances of revisions. `scope` names project and environment.
#[async_trait]
pub trait Target: Send + Sync {
    /// Nothing when the target can't be asked.
    async fn observe(&self, scope: &str) -> Option<TargetSeen>;
    /// Brings what such containers are made of, and says at once how far that is; a repeat begins nothing anew.
    async fn prepare(&self, container: &Container) -> Prepared;
    /// So many instances shall run; instances are named by scope, revision and index, so a repeat starts nothing twice.
    /// An older generation than the last accepted one is refused silently.
    async fn run(&self, scope: &str, generation: u64, instance: &InstancePlan, replicas: u32) -> Result<(), WorldError>;
    /// No instance of the revision shall run: SIGTERM, the grace period, SIGKILL. Files stay. Same rule for generations.
    async fn stop(&self, scope: &str, generation: u64, revision: &RevisionId) -> Result<(), WorldError>;
    /// Makes the checks once against the addresses given; returns when all have answered or timed out.
    async fn smoke(&self, addresses: &[String], checks: &[SmokeCheck]) -> SmokeSeen;
}

/// Splits traffic. `service` names project and environment.
#[async_trait]
pub trait Router: Send + Sync {
    /// Nothing when the router can't be asked; generation 0 and no weights when it answers and doesn't know the service.
    async fn observe(&self, service: &str) -> Option<RouteSeen>;
    /// New requests go so from now on; none fails. An older generation is refused silently.
    async fn shift(&self, service: &str, route: &Route) -> Result<(), WorldError>;
    /// Nothing listens for the service any more. Repeats are harmless; an older generation is refused silently.
    async fn remove(&self, service: &str, generation: u64) -> Result<(), WorldError>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub generation: u64,
    /// The port users reach the service at.
    pub port: u16,
    /// In 0.01 %, summing to 10,000.
    pub weights: BTreeMap<RevisionId, u32>,
    pub endpoints: Vec<Endpoint>,
    pub synthetic: Option<Synthetic>,
}

/// Knows what a release depends on besides itself. Any node may ask at any time; nothing changes by it.
#[async_trait]
pub trait Outside: Send + Sync {
    /// What is so now, or why nobody knows; nothing as long as it is being found out, which a repeat does not begin anew. What is known
    /// is told once: somebody is about to act on it.
    async fn ask(&self, occasion: &Occasion, gate: &gate::GatePlan) -> Option<gate::Answers>;
}

/// What is about to go where, for those who are asked whether it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    pub project: String,
    /// The project's, as people know it.
    pub name: String,
    pub environment: String,
    /// `release-7`; nothing where somebody asks who ships nothing.
    pub release: Option<String>,
    pub artifact: Option<Digest>,
    pub commit: String,
    /// `refs/heads/main`.
    pub git_ref: String,
    /// The working tree was taken as it was.
    pub dirty: bool,
}

/// Content-addressed bytes. Writing the same bytes twice is one blob.
#[async_trait]
pub trait Blobs: Send + Sync {
    async fn put(&self, bytes: Vec<u8>) -> Result<Digest, WorldError>;
    /// Nothing when there is no such blob; bytes that don't match their name are an error.
    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, WorldError>;
}

/// Makes an artifact and reads evidence out of what jobs left. Deterministic: the same files give the same digest.
#[async_trait]
pub trait Harvest: Send + Sync {
    /// Packs what ships. Repeats are harmless.
    async fn package(&self, artifacts: &str, source: &CodeSource, what: &Ships) -> Result<Packaged, WorldError>;
    /// Reads every file that jobs of the release left (uploads and workspaces) and says what it proves, and what the commit accepts of it.
    async fn evidence(&self, artifacts: &str, source: &CodeSource, jobs: &[JobId]) -> Result<gate::evidence::Evidence, WorldError>;
}
