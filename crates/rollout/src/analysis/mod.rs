//! An analysis in the way of Argo Rollouts: metrics are measured again and again, and counters say how it ends.
//!
//! It is a pure machine: [`Run::advance`] gets what was answered and the time, and says what to measure next and how it stands.
//! Its counters are Argo's own, so that a file of its can be held against what it would have done there; for files of our own the
//! [judge](crate::judge) decides.

mod metric;
mod run;

pub use metric::Metric;
pub use run::{Advance, Answer, Counters, Event, Measurement, Run};

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a measurement, a metric or the whole run stands, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Successful,
    Running,
    Pending,
    Inconclusive,
    Error,
    Failed,
}

impl Phase {
    pub fn is_over(self) -> bool {
        !matches!(self, Phase::Running | Phase::Pending)
    }

    /// Enough to end the others' measurements.
    pub fn is_bad(self) -> bool {
        matches!(self, Phase::Inconclusive | Phase::Error | Phase::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Successful => "successful",
            Phase::Running => "running",
            Phase::Pending => "pending",
            Phase::Inconclusive => "inconclusive",
            Phase::Error => "error",
            Phase::Failed => "failed",
        })
    }
}
