//! What a rollout sees of the world and what it asks of it.

use std::collections::BTreeMap;

use base::{Histogram, Timestamp};
use serde::{Deserialize, Serialize};

use crate::plan::RevisionId;

/// Plain data, maybe stale; unknown is a value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Nothing when the target can't be asked.
    pub target: Option<TargetSeen>,
    /// Nothing when the router can't be asked; generation 0 and no weights when it doesn't know the service.
    pub route: Option<RouteSeen>,
    /// Answers to [`Action::Smoke`], by its generation; absent while it runs.
    pub smoke: BTreeMap<u64, SmokeSeen>,
    /// Why no more traffic may move to the new revision now, in words: a freeze, or hours in which nobody ships. The way back is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetSeen {
    /// Of the last order accepted, known before the instances were looked at: what older ones did is seen, and those that are still on
    /// their way are refused.
    pub generation: u64,
    pub instances: Vec<InstanceSeen>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceSeen {
    pub revision: RevisionId,
    /// From 0, below `replicas`.
    pub index: u32,
    /// Where it listens, `127.0.0.1:41001`; nothing until it has a port.
    pub address: Option<String>,
    pub phase: InstancePhase,
    /// Starts after the first.
    pub restarts: u32,
    /// The last thing worth telling: `exited with 1: Traceback …`, `GET /health/ready answered 503`.
    pub message: Option<String>,
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstancePhase {
    Starting,
    Ready,
    NotReady,
    /// Waiting to be started again after a crash.
    BackingOff,
    /// Ended for good.
    Stopped,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteSeen {
    /// Of the last route accepted.
    pub generation: u64,
    /// In 0.01 %.
    pub weights: BTreeMap<RevisionId, u32>,
    /// Changes when counters begin again from zero.
    pub epoch: String,
    pub counts: BTreeMap<RevisionId, RevisionCounts>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RevisionCounts {
    pub users: Counts,
    pub synthetic: Counts,
    pub in_flight: u64,
}

/// Cumulative within an epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub requests: u64,
    /// 5xx, connect error, timeout; neither client aborts nor 429.
    pub bad: u64,
    pub latency: Histogram,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmokeSeen {
    /// What failed, each a sentence; empty when all passed.
    pub failures: Vec<String>,
    pub checks: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    pub revision: RevisionId,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synthetic {
    pub paths: Vec<String>,
    pub interval_ms: u64,
    pub revisions: Vec<RevisionId>,
}

/// What a rollout asks of the world: imperative, idempotent; whoever receives it refuses an older generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// So many instances of the revision shall run.
    Run { generation: u64, revision: RevisionId, replicas: u32 },
    /// No instance of the revision shall run; its files stay.
    Stop { generation: u64, revision: RevisionId },
    /// New requests go so; weights in 0.01 % and summing to 10,000.
    Route { generation: u64, weights: BTreeMap<RevisionId, u32>, endpoints: Vec<Endpoint>, synthetic: Option<Synthetic> },
    /// Make the plan's smoke checks once against the revision's instances.
    Smoke { generation: u64, revision: RevisionId },
}
