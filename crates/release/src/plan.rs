//! Every choice about one release, made before its first action.

use base::name::{ProjectId, ReleaseId};
use base::{Digest, Timestamp};
use rollout::watch::WatchPlan;
use rollout::{Container, InstancePlan, JudgePlan, Limits, Probes, Revision, RevisionId, SmokeCheck, Strategy, SyntheticPlan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::source::{CodeSource, Ships};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub id: ReleaseId,
    /// As shown: `release-7`; counted per project.
    pub number: u64,
    pub project: Project,
    pub environment: String,
    pub kind: Kind,
    pub delivery: Delivery,
    /// Who asked for it.
    pub actor: String,
    pub created: Timestamp,
}

/// A canonical repository and a folder in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    /// The repository's root on this machine.
    pub repository: String,
    /// Relative to the root; empty for the root itself.
    pub subtree: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A commit goes the whole way.
    Change(Box<Workflows>),
    /// A revision that was live before goes back, past runs and gate: what it ships was proved when it was built.
    Rollback {
        revision: Box<InstancePlan>,
        reason: String,
        /// What it takes traffic from, where nobody who knows what is live asked for it: from anything else it takes none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undoes: Option<ReleaseId>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflows {
    pub commit: Commit,
    pub source: CodeSource,
    pub runs: Vec<Arc<workflow::plan::Plan>>,
    pub ships: Ships,
    /// Since what was live when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brings: Option<gate::commits::Brought>,
    pub gate: gate::GatePlan,
    /// The machine is there to build and for nothing else, as its owner says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hosted: bool,
    /// Nothing runs or is packed again: it ships what another release brought to another environment, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Box<Proved>>,
}

/// What a release built and proved, to be shipped once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    pub release: ReleaseId,
    pub number: u64,
    /// Where it is live, or was when it was asked for.
    pub environment: String,
    pub artifact: Digest,
    pub bytes: u64,
    pub files: u64,
    /// How its runs ended.
    pub runs: Vec<gate::RunResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub sha: String,
    /// `refs/heads/main`.
    pub git_ref: String,
    /// Its first line.
    pub subject: String,
    pub author: String,
    /// The working tree was taken as it was.
    pub dirty: bool,
}

/// How the artifact becomes instances and gets its traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The port users reach the environment at; the project's own, remembered.
    pub port: u16,
    pub command: String,
    pub env: BTreeMap<String, String>,
    pub fixed_port: Option<u16>,
    pub replicas: u32,
    pub probes: Probes,
    pub grace_ms: u64,
    pub log_max_bytes: u64,
    /// With the image as it was when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// For a revision that has one to follow; the first goes at once.
    pub strategy: Strategy,
    pub limits: Limits,
    pub judge: JudgePlan,
    pub smoke: Vec<SmokeCheck>,
    pub synthetic: Option<SyntheticPlan>,
    /// What is looked at after the promotion; nothing where nobody looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchPlan>,
}

impl Delivery {
    /// The instances of an artifact under this configuration. The revision's name covers both, so that a changed setting is a new revision.
    pub fn instance(&self, artifact: Digest) -> InstancePlan {
        let mut instance = InstancePlan {
            revision: RevisionId(String::new()),
            artifact,
            command: self.command.clone(),
            env: self.env.clone(),
            fixed_port: self.fixed_port,
            probes: self.probes.clone(),
            grace_ms: self.grace_ms,
            log_max_bytes: self.log_max_bytes,
            container: self.container.clone(),
        };
        let bytes = serde_json::to_vec(&instance).expect("a plan without maps of odd keys becomes JSON");
        instance.revision = RevisionId(Digest::of(&bytes).short());
        instance
    }
}

impl Plan {
    pub fn workflows(&self) -> Option<&Workflows> {
        match &self.kind {
            Kind::Change(workflows) => Some(workflows),
            Kind::Rollback { .. } => None,
        }
    }

    /// Names project and environment to target and router.
    pub fn scope(&self) -> String {
        scope(self.project.id, &self.environment)
    }
}

/// What target and router call an environment of a project.
pub fn scope(project: ProjectId, environment: &str) -> String {
    format!("{project}.{environment}")
}

/// The rollout's view of an instance plan.
pub fn revision(instance: &InstancePlan) -> Revision {
    Revision { id: instance.revision.clone(), artifact: instance.artifact }
}
