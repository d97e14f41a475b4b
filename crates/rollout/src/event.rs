use std::collections::BTreeMap;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::judge::{Look, Question, Stream, Tally};
use crate::outcome::{Outcome, Reason};
use crate::plan::RevisionId;
use crate::rolling::Scale;
use crate::{Endpoint, Synthetic};

/// The version of the events' form; one example of each version stays in `testdata/` and still replays.
pub const VERSION: u32 = 1;

/// What happened, stored for ever: `{"at":"…","event":"step_started","step":0}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub what: Happened,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happened {
    /// Instances of the new revision are wanted.
    Started {
        generation: u64,
    },
    /// All of them were seen ready; in a rolling update all that are wanted by then.
    InstancesReady,
    /// So many instances of each revision are wanted from here on.
    Scaled {
        generation: u64,
        #[serde(flatten)]
        scale: Scale,
    },
    /// So many of them get requests; the others finish theirs and stop then.
    ServingDecided {
        #[serde(flatten)]
        serving: Scale,
    },
    StepStarted {
        step: usize,
    },
    /// Where traffic shall go from now on.
    Routed {
        generation: u64,
        weights: BTreeMap<RevisionId, u32>,
        endpoints: Vec<Endpoint>,
        synthetic: Option<Synthetic>,
    },
    /// The router was seen to have it.
    RouteTaken {
        generation: u64,
    },
    /// The router answered, and half of its time to follow was over.
    RouteMissed {
        generation: u64,
    },
    /// Counting begins here, because nothing was counted before or the counters began again.
    Baseline {
        epoch: String,
        readings: BTreeMap<Stream, Readings>,
    },
    /// From now on what is slower counts as slow in this stream; the readings are where counting begins.
    BoundFixed {
        stream: Stream,
        bound_us: u64,
        from_answers: u64,
        canary: Tally,
        stable: Tally,
    },
    /// Exactly what was added since the last look.
    Measured {
        looks: Vec<Measured>,
    },
    /// A step's evidence was not enough in time; it stays and says so.
    DeadlinePassed {
        step: usize,
    },
    /// Nothing may move forward from now on; a step's deadline waits until it is open again.
    Closed {
        why: String,
    },
    Opened,
    /// The steps are behind; all traffic shall go to the new revision.
    StepsDone,
    /// The stable was dead before the new revision got any traffic: nothing to compare with and nothing to lose, so the steps are skipped.
    StableDead {
        revision: RevisionId,
        /// What its instances told last.
        message: Option<String>,
    },
    SmokeAsked {
        generation: u64,
    },
    SmokePassed {
        checks: u32,
    },
    /// The new revision has stayed ready with all traffic and passed its checks.
    Verified,
    /// No instance of the revision is wanted any more.
    StopDecided {
        generation: u64,
        revision: RevisionId,
    },
    RollbackStarted {
        reason: Reason,
    },
    Finished {
        outcome: Outcome,
    },
    PromoteAsked {
        by: String,
        full: bool,
    },
    PauseAsked {
        by: String,
    },
    ResumeAsked {
        by: String,
    },
    AbortAsked {
        by: String,
    },
}

impl Happened {
    /// The name under which the record has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Happened::Started { .. } => "started",
            Happened::InstancesReady => "instances_ready",
            Happened::Scaled { .. } => "scaled",
            Happened::ServingDecided { .. } => "serving_decided",
            Happened::StepStarted { .. } => "step_started",
            Happened::Routed { .. } => "routed",
            Happened::RouteTaken { .. } => "route_taken",
            Happened::RouteMissed { .. } => "route_missed",
            Happened::Baseline { .. } => "baseline",
            Happened::BoundFixed { .. } => "bound_fixed",
            Happened::Measured { .. } => "measured",
            Happened::DeadlinePassed { .. } => "deadline_passed",
            Happened::Closed { .. } => "closed",
            Happened::Opened => "opened",
            Happened::StepsDone => "steps_done",
            Happened::StableDead { .. } => "stable_dead",
            Happened::SmokeAsked { .. } => "smoke_asked",
            Happened::SmokePassed { .. } => "smoke_passed",
            Happened::Verified => "verified",
            Happened::StopDecided { .. } => "stop_decided",
            Happened::RollbackStarted { .. } => "rollback_started",
            Happened::Finished { .. } => "finished",
            Happened::PromoteAsked { .. } => "promote_asked",
            Happened::PauseAsked { .. } => "pause_asked",
            Happened::ResumeAsked { .. } => "resume_asked",
            Happened::AbortAsked { .. } => "abort_asked",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pub question: Question,
    pub look: Look,
}

/// Counters as read, of both versions in one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings {
    pub canary: Reading,
    pub stable: Reading,
}

/// Cumulative within an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// All, and the bad ones.
    pub errors: Tally,
    /// Those with a latency, and the slow ones; zero until the bound is fixed.
    pub slow: Tally,
}
