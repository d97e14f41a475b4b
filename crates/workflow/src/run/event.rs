//! What happened to a run: past tense, stored for ever.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Group;
use crate::environment::Review;
use crate::job::{Conclusion, JobId, JobOutcome, StepSeen};
use crate::runners::Runner;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        at: Timestamp,
    },
    /// Everything it needs has ended, its condition holds, and its matrix is known.
    JobPlanned {
        key: String,
        fail_fast: bool,
        max_parallel: Option<u32>,
        legs: Vec<Leg>,
        at: Timestamp,
    },
    JobSkipped {
        key: String,
        name: String,
        reason: String,
        at: Timestamp,
    },
    /// It could never start: something in its own lines can't be evaluated.
    JobRejected {
        key: String,
        name: String,
        reason: String,
        at: Timestamp,
    },
    /// A job, or one leg of it, that was never started and now never will be.
    JobCancelled {
        key: String,
        name: String,
        reason: String,
        at: Timestamp,
    },
    /// What protects its environment asks for a review, or for time; it is asked from here on.
    JobHeld {
        key: String,
        name: String,
        environment: String,
        at: Timestamp,
    },
    /// Somebody who is asked said yes or no, of all jobs of an environment that wait.
    EnvironmentReviewed {
        review: Review,
    },
    /// Its environment has said yes.
    JobCleared {
        key: String,
        at: Timestamp,
    },
    /// It never starts: what protects its environment has said no, or it runs nowhere here.
    JobRefused {
        key: String,
        name: String,
        conclusion: Conclusion,
        reason: String,
        at: Timestamp,
    },
    /// From here on an executor may run it; its steps run at most once.
    JobStarted {
        id: JobId,
        name: String,
        at: Timestamp,
    },
    /// An executor has it; its time runs from here.
    JobAccepted {
        id: JobId,
        at: Timestamp,
    },
    StepStarted {
        id: JobId,
        step: StepSeen,
        at: Timestamp,
    },
    StepFinished {
        id: JobId,
        step: StepSeen,
        at: Timestamp,
    },
    /// Its executor should have ended it by now and did not.
    JobTimedOut {
        id: JobId,
        budget_ms: u64,
        at: Timestamp,
    },
    JobFinished {
        id: JobId,
        outcome: JobOutcome,
        /// It failed, and the file allows that: shown, but the run doesn't fail by it.
        allowed_failure: bool,
        at: Timestamp,
    },
    /// Nobody knows how it ended; it may have run in part, so it isn't run again.
    JobLost {
        id: JobId,
        /// Begins with `lost: `.
        reason: String,
        allowed_failure: bool,
        at: Timestamp,
    },
    /// A leg begins to run the workflow that it calls: from here on its jobs are jobs of the run.
    CallStarted {
        key: String,
        name: String,
        at: Timestamp,
    },
    /// All jobs of the called workflow have ended.
    CallFinished {
        key: String,
        conclusion: Conclusion,
        outputs: BTreeMap<String, String>,
        reason: Option<String>,
        at: Timestamp,
    },
    /// It is ended because another came into its concurrency group, with `cancel-in-progress`.
    JobSuperseded {
        key: String,
        by: String,
        group: String,
        at: Timestamp,
    },
    /// It ended badly, and is tried again, not before a time.
    JobRetried {
        key: String,
        /// Which attempt comes.
        attempt: u32,
        not_before: Timestamp,
        at: Timestamp,
    },
    CancelRequested {
        by: String,
        force: bool,
        at: Timestamp,
    },
    RunFinished {
        conclusion: Conclusion,
        at: Timestamp,
    },
}

/// One execution of a job; a job without a matrix has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// `test`, or `test.0`, `test.1` in a matrix.
    pub key: String,
    /// As shown: `test (3.12)`.
    pub name: String,
    /// The `matrix` context; null without one.
    pub matrix: Json,
    pub index: usize,
    /// `continue-on-error`.
    pub allow_failure: bool,
    pub timeout_ms: u64,
    /// How long it is asked to end before it is made to; nothing for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_timeout_ms: Option<u64>,
    /// The environment's name, where the job has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The concurrency groups that it is in: its own, and that of the workflow it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// What it calls instead of running steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    #[serde(default, skip_serializing_if = "Runner::is_host")]
    pub runner: Runner,
}

/// A called workflow and what it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// By the name under which the plan has it.
    pub workflow: String,
    pub inputs: Json,
}

impl Event {
    /// The stable name under which the record keeps it.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::RunStarted { .. } => "run_started",
            Event::JobPlanned { .. } => "job_planned",
            Event::JobSkipped { .. } => "job_skipped",
            Event::JobRejected { .. } => "job_rejected",
            Event::JobCancelled { .. } => "job_cancelled",
            Event::JobHeld { .. } => "job_held",
            Event::EnvironmentReviewed { .. } => "environment_reviewed",
            Event::JobCleared { .. } => "job_cleared",
            Event::JobRefused { .. } => "job_refused",
            Event::JobStarted { .. } => "job_started",
            Event::JobAccepted { .. } => "job_accepted",
            Event::StepStarted { .. } => "step_started",
            Event::StepFinished { .. } => "step_finished",
            Event::JobTimedOut { .. } => "job_timed_out",
            Event::JobFinished { .. } => "job_finished",
            Event::JobLost { .. } => "job_lost",
            Event::CallStarted { .. } => "call_started",
            Event::CallFinished { .. } => "call_finished",
            Event::JobSuperseded { .. } => "job_superseded",
            Event::JobRetried { .. } => "job_retried",
            Event::CancelRequested { .. } => "cancel_requested",
            Event::RunFinished { .. } => "run_finished",
        }
    }

    pub fn at(&self) -> Timestamp {
        match self {
            Event::RunStarted { at }
            | Event::JobPlanned { at, .. }
            | Event::JobSkipped { at, .. }
            | Event::JobRejected { at, .. }
            | Event::JobCancelled { at, .. }
            | Event::JobHeld { at, .. }
            | Event::EnvironmentReviewed { review: Review { at, .. } }
            | Event::JobCleared { at, .. }
            | Event::JobRefused { at, .. }
            | Event::JobStarted { at, .. }
            | Event::JobAccepted { at, .. }
            | Event::StepStarted { at, .. }
            | Event::StepFinished { at, .. }
            | Event::JobTimedOut { at, .. }
            | Event::JobFinished { at, .. }
            | Event::JobLost { at, .. }
            | Event::CallStarted { at, .. }
            | Event::CallFinished { at, .. }
            | Event::JobSuperseded { at, .. }
            | Event::JobRetried { at, .. }
            | Event::CancelRequested { at, .. }
            | Event::RunFinished { at, .. } => *at,
        }
    }
}
