//! Where a release stands, as plain data for the command line, the pages and the API.

use base::{Digest, Timestamp};
use rollout::RevisionId;
use serde::{Deserialize, Serialize};
use workflow::job::Conclusion;

use crate::machine::{Phase, Release};
use crate::plan::Kind;

/// How a release ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Live and verified.
    Promoted {
        revision: RevisionId,
    },
    /// The environment already ran this revision.
    Unchanged {
        revision: RevisionId,
    },
    /// A run failed, or nothing could be packed: no traffic was moved.
    RunFailed {
        reason: String,
    },
    Denied {
        violations: usize,
    },
    /// Somebody who was asked for their approval said no.
    Refused {
        by: String,
        comment: String,
    },
    /// Traffic is back on the version before.
    RolledBack {
        reason: String,
    },
    /// It failed and there was nothing to go back to.
    Failed {
        reason: String,
    },
    /// A person is needed.
    RollbackFailed {
        reason: String,
    },
    Cancelled {
        by: String,
    },
    /// A release that began later is live: going on would take its change, or somebody's way back, out again.
    Superseded {
        /// Its number.
        by: u64,
    },
}

impl Outcome {
    /// One line a person can act on.
    pub fn sentence(&self) -> String {
        match self {
            Outcome::Promoted { revision } => format!("revision {revision} is live and verified"),
            Outcome::Unchanged { revision } => format!("revision {revision} was live already, nothing to do"),
            Outcome::RunFailed { reason } => format!("{reason}; no traffic was moved"),
            Outcome::Denied { violations: 1 } => "the gate said no for one reason; no traffic was moved".to_string(),
            Outcome::Denied { violations } => format!("the gate said no for {violations} reasons; no traffic was moved"),
            Outcome::Refused { by, comment } if comment.is_empty() => format!("refused by {by}; no traffic was moved"),
            Outcome::Refused { by, comment } => format!("refused by {by}: {comment}; no traffic was moved"),
            Outcome::RolledBack { reason } => format!("rolled back: {reason}"),
            Outcome::Failed { reason } => format!("failed, and there was nothing to go back to: {reason}"),
            Outcome::RollbackFailed { reason } => format!("the way back failed, a person is needed: {reason}"),
            Outcome::Cancelled { by } => format!("cancelled by {by}; no traffic was moved"),
            Outcome::Superseded { by } => {
                format!("overtaken: release-{by} began later and is live, so this one is not shipped")
            }
        }
    }

    /// In the table of `plimsoll help exit-codes`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Promoted { .. } | Outcome::Unchanged { .. } => 0,
            Outcome::RunFailed { .. } | Outcome::Failed { .. } => 1,
            Outcome::Denied { .. } | Outcome::Refused { .. } | Outcome::Superseded { .. } => 3,
            Outcome::RolledBack { .. } => 6,
            Outcome::RollbackFailed { .. } => 7,
            Outcome::Cancelled { .. } => 130,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub id: String,
    pub number: u64,
    pub project: String,
    pub environment: String,
    pub phase: Phase,
    pub commit: Option<crate::plan::Commit>,
    pub rollback_to: Option<RevisionId>,
    /// Who asked for that, or what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_reason: Option<String>,
    /// What it ships was built and proved by another release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<crate::plan::Proved>,
    pub created: Timestamp,
    pub actor: String,
    pub runs: Vec<RunStatus>,
    pub artifact: Option<Digest>,
    pub evidence: Option<gate::evidence::Summary>,
    pub decision: Option<gate::Decision>,
    /// What those who were asked said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<gate::approval::Vote>,
    /// Who let it past what holds releases back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<gate::Override>,
    pub revision: Option<RevisionId>,
    pub rollout: Option<rollout::Status>,
    pub outcome: Option<Outcome>,
    /// The outcome's sentence, or why it waits, or what it does.
    pub sentence: Option<String>,
    pub finished: Option<Timestamp>,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    pub workflow: String,
    pub conclusion: Option<Conclusion>,
    pub status: workflow::run::Status,
}

impl Release {
    pub fn status(&self) -> Status {
        let plan = self.plan();
        Status {
            id: plan.id.to_string(),
            number: plan.number,
            project: plan.project.name.clone(),
            environment: plan.environment.clone(),
            phase: self.phase(),
            commit: plan.workflows().map(|workflows| workflows.commit.clone()),
            rollback_to: match &plan.kind {
                Kind::Rollback { revision, .. } => Some(revision.revision.clone()),
                Kind::Change(_) => None,
            },
            rollback_reason: match &plan.kind {
                Kind::Rollback { reason, .. } => Some(reason.clone()),
                Kind::Change(_) => None,
            },
            proved: self.proved().cloned(),
            created: plan.created,
            actor: plan.actor.clone(),
            runs: self
                .runs()
                .map(|(name, run)| RunStatus { workflow: name.to_string(), conclusion: run.conclusion(), status: run.status() })
                .collect(),
            artifact: self.artifact(),
            evidence: self.evidence().map(gate::evidence::Evidence::summary),
            decision: self.decision().cloned(),
            votes: self.votes().to_vec(),
            overridden: self.overridden().cloned(),
            revision: self.instance().map(|instance| instance.revision.clone()),
            rollout: self.rollout().map(rollout::Rollout::status),
            outcome: self.outcome().cloned(),
            sentence: self.outcome().map(Outcome::sentence),
            finished: self.finished(),
            port: plan.delivery.port,
        }
    }
}
