//! What `up` asks of the server: every choice that can be read from the repository, before numbers and ports are given out.

use std::collections::BTreeMap;

use base::name::ReleaseId;
use release::{CodeSource, Commit, Delivery, Project, Ships};
use serde::{Deserialize, Serialize};
use workflow::environment::Environments;
use workflow::model::Workflow;
use workflow::trigger::Event;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Made by the client, so that asking twice is asking once.
    pub id: ReleaseId,
    pub project: Project,
    pub environment: String,
    pub commit: Commit,
    pub source: CodeSource,
    pub event: Event,
    /// Those that the event triggers.
    pub workflows: Vec<Workflow>,
    pub vars: BTreeMap<String, String>,
    /// Jobs with `environment:` run too; otherwise delivery is ours and they are named as left out.
    pub deliver_by_workflow: bool,
    /// What protects the environments that jobs deliver to.
    #[serde(default)]
    pub environments: Environments,
    pub ships: Ships,
    /// Ships what this release built, and runs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ReleaseId>,
    pub gate: gate::GatePlan,
    /// Its port is the one asked for, or 0 for the project's own.
    pub delivery: Delivery,
    pub actor: String,
}

/// The server's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    pub id: ReleaseId,
    pub number: u64,
    pub port: u16,
    /// The same commit was already under way: this is that release.
    pub attached: bool,
}
