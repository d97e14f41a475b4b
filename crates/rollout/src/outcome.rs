use base::time::format_duration_ms;
use serde::{Deserialize, Serialize};

use crate::judge::{Evidence, Question, Tally};
use crate::waiting::{join_questions, percent, share};

/// How it ended; finished is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Promoted,
    /// The stable has all traffic.
    RolledBack {
        reason: Reason,
    },
    /// There was nothing to go back to.
    Failed {
        reason: Reason,
    },
    /// A person is needed.
    RollbackFailed {
        reason: Reason,
    },
}

impl Outcome {
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::Promoted => None,
            Outcome::RolledBack { reason } | Outcome::Failed { reason } | Outcome::RollbackFailed { reason } => Some(reason),
        }
    }

    pub fn sentence(&self) -> String {
        match self {
            Outcome::Promoted => "promoted".to_string(),
            Outcome::RolledBack { reason } => format!("rolled back: {}", reason.sentence()),
            Outcome::Failed { reason } => format!("failed, nothing to go back to: {}", reason.sentence()),
            Outcome::RollbackFailed { reason } => format!("rollback failed, a person is needed: {}", reason.sentence()),
        }
    }
}

/// Why a rollout did not go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The judge's verdict, with its numbers.
    Worse {
        evidence: Box<Evidence>,
        step: usize,
        weight: u32,
    },
    NeverReady {
        ready: u32,
        wanted: u32,
        waited_ms: u64,
        message: Option<String>,
    },
    CrashLoop {
        index: u32,
        restarts: u32,
        message: Option<String>,
    },
    /// It was ready once and isn't any more.
    InstancesLost {
        ready: u32,
        wanted: u32,
        message: Option<String>,
    },
    SmokeFailed {
        failures: Vec<String>,
    },
    NotVerified {
        waited_ms: u64,
        message: Option<String>,
    },
    Deadline {
        step: usize,
        waited_ms: u64,
        open: Vec<Question>,
    },
    Aborted {
        by: String,
    },
    /// With all the traffic, when there was nothing to compare with any more, or where no verdict was asked for.
    TooManyErrors {
        canary: Tally,
        /// In its last minute beside the new version.
        stable: Tally,
        bound: f64,
        /// In the middle of a rolling update, beside the old version.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        beside: bool,
    },
    /// The router answers and does not follow; `cause` is why it should have gone back.
    RouterRefuses {
        waited_ms: u64,
        cause: Option<Box<Reason>>,
    },
    /// The rollback's target has no instance that could take the traffic.
    StableGone {
        cause: Box<Reason>,
    },
    /// The router follows somebody newer.
    Superseded {
        generation: u64,
        cause: Box<Reason>,
    },
}

impl Reason {
    /// What a person reads, without a full stop.
    pub fn sentence(&self) -> String {
        match self {
            Reason::Worse { evidence, step, weight } => {
                format!("{}. {}; at step {}, weight {}", evidence.plainly(), evidence.sentence(), step + 1, percent(*weight))
            }
            Reason::NeverReady { ready, wanted, waited_ms, message } => {
                let within = format_duration_ms(*waited_ms);
                match wanted {
                    1 => format!("the instance did not become ready within {within}{}", because(message)),
                    _ => format!("{ready} of {wanted} instances became ready within {within}{}", because(message)),
                }
            }
            Reason::CrashLoop { index, restarts, message } => format!("instance {index} crashed {restarts} times{}", because(message)),
            Reason::InstancesLost { wanted: 1, message, .. } => {
                format!("the instance of the new revision is not ready any more{}", because(message))
            }
            Reason::InstancesLost { ready, wanted, message } => {
                format!("only {ready} of {wanted} instances of the new revision are still ready{}", because(message))
            }
            Reason::SmokeFailed { failures } => format!("smoke checks failed: {}", failures.join("; ")),
            Reason::NotVerified { waited_ms, message } => {
                format!(
                    "the new revision did not stay ready with all traffic, watched for {}{}",
                    format_duration_ms(*waited_ms),
                    because(message)
                )
            }
            Reason::Deadline { step, waited_ms, open } => {
                let waited = format_duration_ms(*waited_ms);
                format!("step {} got no proof of \"not worse\" within {waited}, still open: {}", step + 1, join_questions(open))
            }
            Reason::Aborted { by } => format!("aborted by {by}"),
            Reason::StableGone { cause } => {
                format!(
                    "the stable revision has no ready instance to go back to, traffic was left where it is; going back because {}",
                    cause.sentence()
                )
            }
            Reason::TooManyErrors { canary, stable, bound, beside: true } => {
                let (canary, stable) = (told(*canary), told(*stable));
                format!("of the new version {canary} failed, at most {} may; of the old one {stable} in the last minute", share(*bound))
            }
            Reason::TooManyErrors { canary, stable, bound, beside: false } => {
                let (canary, stable) = (told(*canary), told(*stable));
                format!(
                    "with all traffic {canary} failed, at most {} may; of the version before {stable} in its last minute",
                    share(*bound)
                )
            }
            Reason::RouterRefuses { waited_ms, cause } => {
                let waited = format_duration_ms(*waited_ms);
                let refused = format!("the router was told for {waited} and did not move the traffic");
                match cause {
                    None => refused,
                    Some(cause) => format!("{refused} back, it is where it was; going back because {}", cause.sentence()),
                }
            }
            Reason::Superseded { cause, .. } => {
                format!("the router follows a newer release; going back because {}", cause.sentence())
            }
        }
    }
}

/// `41 of 200 requests (20.5 %)`
fn told(tally: Tally) -> String {
    format!("{} of {} requests ({})", tally.bad, tally.requests, share(tally.share()))
}

fn because(message: &Option<String>) -> String {
    message.as_ref().map_or(String::new(), |message| format!(": {message}"))
}
