//! What an instance of a revision is, as a value.

use std::collections::BTreeMap;

use base::Digest;
use serde::{Deserialize, Serialize};

use crate::plan::RevisionId;

/// How instances of one revision are started and probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstancePlan {
    pub revision: RevisionId,
    /// The artifact's files are unpacked from this blob.
    pub artifact: Digest,
    /// Run by `sh -c` in the unpacked artifact, with `PORT` given.
    pub command: String,
    pub env: BTreeMap<String, String>,
    /// The port the application listens on when it ignores `PORT`; nothing when it honours it.
    pub fixed_port: Option<u16>,
    pub probes: Probes,
    /// Between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    /// The log kept per instance, in bytes, newest.
    pub log_max_bytes: u64,
}

/// Kubernetes' three probes. A path that isn't given falls back: TCP connect, then `/` with 2xx, 3xx or 404.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    pub startup: Probe,
    pub readiness: Probe,
    pub liveness: Probe,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub path: Option<String>,
    pub delay_ms: u64,
    pub period_ms: u64,
    pub timeout_ms: u64,
    pub failures_max: u32,
}
