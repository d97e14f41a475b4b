//! Where a release's code comes from, and what of it ships.

use base::Digest;
use serde::{Deserialize, Serialize};

/// A commit's folder, as `actions/checkout` lays it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSource {
    /// The repository on this machine.
    pub repository: String,
    pub sha: String,
    /// Relative to the repository's root; empty for the root itself.
    pub subtree: String,
    /// A snapshot of the working tree instead of the commit, kept under this digest.
    pub snapshot: Option<Digest>,
}

/// What ships: the `artifact:` of `plimsoll.yaml`, else the commit's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ships {
    /// The name of an upload, or a path that a job's workspace holds at its end.
    Left(String),
    Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packaged {
    Artifact {
        digest: Digest,
        bytes: u64,
        files: u64,
    },
    /// What was asked for isn't there; the sentence says what there is instead.
    Missing(String),
}

/// Whether the containers of a release can be made where its instances run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    Here,
    /// What is missing, or who doesn't answer; it is seen to as long as somebody asks.
    NotYet {
        why: String,
    },
}
