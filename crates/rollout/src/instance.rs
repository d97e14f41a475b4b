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
    /// Run by `sh -c` in the unpacked artifact, with `PORT` given. In a container nothing means what the image runs by itself.
    pub command: String,
    pub env: BTreeMap<String, String>,
    /// The port the application listens on when it ignores `PORT`; nothing when it honours it.
    pub fixed_port: Option<u16>,
    pub probes: Probes,
    /// Between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    /// The log kept per instance, in bytes, newest.
    pub log_max_bytes: u64,
    /// What it runs in; nothing for a process of the target itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

/// The container of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// As people wrote it.
    pub image: String,
    /// What that was when it was planned, `sha256:…`: the same bytes at every start and on the way back, wherever the name has moved since.
    pub id: String,
    /// Where the same bytes can be had again, `registry/name@sha256:…`; nothing of an image that was made on this machine.
    pub source: Option<String>,
    /// The artifact lies in it; otherwise the image is all there is.
    pub files: bool,
    /// Where the application listens in it; the number that the instance has on the target otherwise.
    pub port: Option<u16>,
    /// The image's own where nobody says.
    pub user: Option<String>,
    /// Whether the image's files can be changed, until the container is gone.
    pub writable: bool,
    pub memory_bytes: Option<u64>,
    /// In thousandths of one.
    pub cpu_millis: Option<u64>,
    pub processes_max: Option<u32>,
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
