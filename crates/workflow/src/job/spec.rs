//! What a run says to whoever executes a job, and what it hears back.

use std::collections::BTreeMap;
use std::fmt;

use base::mask::Mask;
use base::{Timestamp, name::RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::command::Annotation;
use super::secrets::SecretScope;
use crate::expr::Clause;
use crate::model::{Defaults, Job, Pinned, Template};
use crate::permissions::Granted;

/// One attempt at one leg of one job; names of started things derive from it, so "already exists" means "already started".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    pub run: RunId,
    /// The job's key in the file and, for a matrix leg, its number: `test`, `test.0`, `test.1`.
    pub key: String,
    /// From 1.
    pub attempt: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.key, self.attempt)
    }
}

/// Everything needed to execute a job anywhere, except secrets' values, which never touch the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// As shown: `test (3.12)`.
    pub name: String,
    pub job: Job,
    pub workflow_env: Option<Template>,
    pub workflow_defaults: Defaults,
    pub contexts: Contexts,
    /// From the job's start to its forced end.
    pub timeout_ms: u64,
    /// How long it is asked to end before it is made to; nothing for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_timeout_ms: Option<u64>,
    /// The file it stands in, where a workflow was called: `./.github/workflows/x.yml`, `owner/repo/.github/workflows/x.yml@ref`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// What its token may do; nothing where no file says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Granted>,
    /// The environment's name; its address is the job's own to evaluate, when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "SecretScope::is_all")]
    pub secrets: SecretScope,
    /// As in [`Workflow::actions`](crate::model::Workflow::actions).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Pinned>,
}

impl JobSpec {
    /// A job of a workflow that nobody calls.
    pub fn new(name: impl Into<String>, job: Job, contexts: Contexts, timeout_ms: u64) -> JobSpec {
        JobSpec {
            name: name.into(),
            job,
            workflow_env: None,
            workflow_defaults: Defaults::default(),
            contexts,
            timeout_ms,
            cancel_timeout_ms: None,
            called: None,
            permissions: None,
            environment: None,
            secrets: SecretScope::All,
            actions: BTreeMap::new(),
        }
    }
}

/// The contexts that are fixed when a job starts; `env`, `job`, `steps`, `runner` and `secrets` grow where it runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contexts {
    pub github: Json,
    pub needs: Json,
    pub strategy: Json,
    pub matrix: Json,
    pub vars: Json,
    pub inputs: Json,
}

/// How a step, job or run ended, in GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Conclusion {
    /// As expressions see it.
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Success => "success",
            Conclusion::Failure => "failure",
            Conclusion::Cancelled => "cancelled",
            Conclusion::Skipped => "skipped",
        }
    }
}

/// What an executor knows of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobSeen {
    /// The executor has never heard of it.
    Absent,
    /// Accepted or claimed; steps as far as they are known.
    Running {
        steps: Vec<StepSeen>,
    },
    Finished {
        outcome: JobOutcome,
        steps: Vec<StepSeen>,
    },
    /// It was claimed, its supervisor is gone, and it left no outcome: it may have run in part. Lost is not failed.
    Lost {
        steps: Vec<StepSeen>,
        reason: String,
    },
    /// The executor can't be asked at the moment.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobOutcome {
    pub conclusion: Conclusion,
    /// Evaluated; empty ones and ones the mask would change are left out.
    pub outputs: BTreeMap<String, String>,
    /// Why it failed, in one sentence, when it did: `step "Run tests" exited with 1`.
    pub reason: Option<String>,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// About the job itself; those about the code are with their steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSeen {
    /// Its place in the job, from 0; `pre` and `post` steps of actions have places of their own.
    pub number: u32,
    /// As shown: `Run make test`.
    pub name: String,
    pub state: StepState,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    /// A sentence where there is something to say: why it was skipped, how it failed.
    pub reason: Option<String>,
    /// What it remarked about the code, at most ten of a kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    /// What it summed up, in Markdown; the beginning where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// How often it was begun: more than once with `retry`.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub attempts: u32,
    /// It was skipped: its condition part by part, where that says more than the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condition: Vec<Clause>,
    /// It has failed, and the job is held so that somebody can look around.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

impl StepSeen {
    /// A step under way of which nothing else is known yet.
    pub fn new(number: u32, name: impl Into<String>) -> StepSeen {
        StepSeen {
            number,
            name: name.into(),
            state: StepState::Running,
            started: None,
            finished: None,
            reason: None,
            annotations: Vec::new(),
            summary: None,
            attempts: once(),
            condition: Vec::new(),
            paused: false,
        }
    }
}

impl StepSeen {
    /// With nothing in it that must not be shown.
    #[must_use]
    pub fn masked(&self, mask: &Mask) -> StepSeen {
        let clause = |clause: &Clause| Clause {
            depth: clause.depth,
            source: mask.apply(&clause.source),
            values: mask.apply(&clause.values),
            result: clause.result.as_ref().map(|result| mask.apply(result)),
        };
        StepSeen {
            name: mask.apply(&self.name),
            reason: self.reason.as_ref().map(|reason| mask.apply(reason)),
            condition: self.condition.iter().map(clause).collect(),
            ..self.clone()
        }
    }
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_once(attempts: &u32) -> bool {
    *attempts == 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Running,
    /// `outcome` is before `continue-on-error`, `conclusion` after it.
    Finished {
        outcome: Conclusion,
        conclusion: Conclusion,
    },
}
