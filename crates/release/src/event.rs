//! What happened to a release: past tense, stored for ever.

use base::{Digest, Timestamp};
use rollout::InstancePlan;
use serde::{Deserialize, Serialize};

use crate::status::Outcome;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// In the run at this place of the plan.
    Run {
        run: usize,
        event: workflow::run::Event,
    },
    Packaged {
        artifact: Digest,
        bytes: u64,
        files: u64,
        at: Timestamp,
    },
    NothingToShip {
        reason: String,
        at: Timestamp,
    },
    EvidenceRead {
        evidence: gate::evidence::Evidence,
        at: Timestamp,
    },
    /// Decided at the moment of acting; a later one replaces it.
    Decided {
        decision: Box<gate::Decision>,
    },
    /// Somebody who was asked said yes or no.
    Voted {
        vote: gate::approval::Vote,
    },
    /// It goes on past what holds it back, and somebody answers for that.
    Overridden {
        by: gate::Override,
        /// What would have held it back.
        past: String,
        at: Timestamp,
    },
    /// The environment is ours until we finish.
    Admitted {
        instance: Box<InstancePlan>,
        rollout: Box<rollout::Plan>,
        at: Timestamp,
    },
    /// The environment already runs this very revision.
    Unchanged {
        at: Timestamp,
    },
    Rollout {
        event: rollout::Event,
    },
    CancelRequested {
        by: String,
        at: Timestamp,
    },
    Finished {
        outcome: Outcome,
        at: Timestamp,
    },
}

impl Event {
    /// The stable name under which the record keeps it.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Run { .. } => "release.run",
            Event::Packaged { .. } => "release.packaged",
            Event::NothingToShip { .. } => "release.nothing-to-ship",
            Event::EvidenceRead { .. } => "release.evidence-read",
            Event::Decided { .. } => "release.decided",
            Event::Voted { .. } => "release.voted",
            Event::Overridden { .. } => "release.overridden",
            Event::Admitted { .. } => "release.admitted",
            Event::Unchanged { .. } => "release.unchanged",
            Event::Rollout { .. } => "release.rollout",
            Event::CancelRequested { .. } => "release.cancel-requested",
            Event::Finished { .. } => "release.finished",
        }
    }
}
