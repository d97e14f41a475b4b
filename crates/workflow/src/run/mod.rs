//! A run of one workflow: jobs along `needs`, as soon as what they need is there.
//!
//! ```text
//! job   waiting ── skipped · rejected · cancelled
//!          └───── planned: legs
//! leg   queued ─── cancelled · held, and refused or cleared, where its environment is protected
//!          ├───── started ── accepted ── finished · lost ── queued again, if it is retried
//!          └───── called: the jobs of another workflow ── finished
//! ```

mod act;
mod condition;
mod decide;
mod environment;
mod event;
mod explain;
mod group;
mod legs;
mod level;
mod retry;
mod state;
mod status;
mod turn;
mod waiting;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};

pub use event::{Call, Event, Leg};
pub use explain::{Explained, Need};
pub use group::{Group, InGroups};
pub use status::{AttemptStatus, JobStatus, LegStatus, State, Status};
pub use waiting::{ReviewWanted, Waiting};

use crate::concurrency::Standing;
use crate::environment::Review;
use crate::job::{Conclusion, JobId, JobSeen, JobSpec};
use crate::plan::Plan;
use level::{Ground, Level};
use state::{Cancel, JobState};

/// State is a fold of what happened over the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    plan: Arc<Plan>,
    ground: Arc<Ground>,
    /// The file itself, then the called ones in the order in which they were.
    levels: Vec<Level>,
    /// As they became known; one never goes.
    jobs: Vec<JobState>,
    /// Keys to places in `jobs`.
    keys: BTreeMap<String, usize>,
    /// Places in `jobs`, in the order in which people read them.
    order: Vec<usize>,
    /// Legs that were planned so far.
    arrivals: usize,
    started: Option<Timestamp>,
    cancel: Option<Cancel>,
    reviews: Vec<Review>,
    finished: Option<(Conclusion, Timestamp)>,
}

/// What is known of the jobs that were started; one that wasn't asked for is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub jobs: BTreeMap<JobId, JobSeen>,
    /// Nothing is delivered now: jobs with an environment don't start.
    pub closed: Option<Closed>,
    /// Something later was delivered: jobs with an environment that haven't started never do. The reason, as a clause.
    pub overtaken: Option<String>,
    /// How what has [places](Run::seats) in concurrency groups with other runs stands, by the seat's id; nothing where whoever drives
    /// the run keeps that to himself.
    pub turns: Option<BTreeMap<String, Standing>>,
}

/// Why nothing is delivered, and when that changes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// `environment local is frozen (the sale)`.
    pub why: String,
    pub until: Option<Timestamp>,
}

/// Both may be repeated without harm.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful of them live for one tick")]
pub enum Action {
    /// The same id is executed at most once, however often this is said.
    Start { id: JobId, spec: JobSpec },
    /// Of an id the executor has never heard of: it never starts from now on, and is seen as finished and cancelled.
    Stop { id: JobId, at_once: bool },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Advance {
    /// To be recorded before anything is done.
    pub events: Vec<Event>,
    pub actions: Vec<Action>,
    /// Why the run stands; nothing once it has finished.
    pub waiting: Option<Waiting>,
    /// When to look again even if nothing is heard.
    pub wake: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Politely: jobs whose condition still holds (`if: always()`) go on. With force: everything ends at once.
    Cancel { force: bool },
}

/// A command that is not carried out; the sentence says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense now.
    Untimely(String),
    /// It is not this person's to say.
    NotTheirs(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Refusal::Untimely(sentence) | Refusal::NotTheirs(sentence)) = self;
        f.write_str(sentence)
    }
}

impl Run {
    pub fn new(plan: impl Into<Arc<Plan>>) -> Run {
        let plan = plan.into();
        let mut run = Run {
            ground: Arc::new(Ground::new(&plan)),
            plan,
            levels: Vec::new(),
            jobs: Vec::new(),
            keys: BTreeMap::new(),
            order: Vec::new(),
            arrivals: 0,
            started: None,
            cancel: None,
            reviews: Vec::new(),
            finished: None,
        };
        run.begin();
        run
    }

    pub fn replay<'a>(plan: impl Into<Arc<Plan>>, events: impl IntoIterator<Item = &'a Event>) -> Run {
        let mut run = Run::new(plan);
        events.into_iter().for_each(|event| run.apply(event));
        run
    }

    /// The only function that changes the run.
    ///
    /// # Panics
    /// When the event can't have happened: that is a mistake of ours, and the record stays as it is.
    pub fn apply(&mut self, event: &Event) {
        if let Some(why) = self.illegal(event) {
            panic!("run-{} can't take {}: {why}", self.plan.number, event.kind());
        }
        self.fold(event);
    }

    /// The only function that decides. Its events follow from what is seen and from each other; its actions from where they lead.
    pub fn advance(&self, seen: &Observed, now: Timestamp) -> Advance {
        let mut next = Cow::Borrowed(self);
        let mut events = Vec::new();
        loop {
            let step = next.decide(seen, now);
            if step.is_empty() {
                break;
            }
            step.iter().for_each(|event| next.to_mut().apply(event));
            events.extend(step);
        }
        Advance { events, actions: next.actions(seen, now), waiting: next.waiting(seen, now), wake: next.wake(seen, now) }
    }

    /// What somebody asks of the run.
    ///
    /// # Errors
    /// When it has ended, or is being cancelled that way already.
    pub fn command(&self, command: Command, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Command::Cancel { force } = command;
        let event = Event::CancelRequested { by: by.to_string(), force, at: now };
        match (self.illegal(&event), &self.cancel) {
            (None, _) => Ok(vec![event]),
            (Some(_), Some(cancel)) if self.finished.is_none() => Err(Refusal::Untimely(format!(
                "run-{} is being cancelled already, since {} by {}",
                self.plan.number,
                cancel.at.date_and_clock(),
                cancel.by
            ))),
            (Some(_), _) => Err(Refusal::Untimely(format!("run-{} has ended", self.plan.number))),
        }
    }

    /// By whom it was asked to end.
    pub fn cancelled_by(&self) -> Option<&str> {
        self.cancel.as_ref().map(|cancel| cancel.by.as_str())
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn conclusion(&self) -> Option<Conclusion> {
        self.finished.map(|(conclusion, _)| conclusion)
    }

    /// Of each leg that was started the attempt that counts.
    pub fn last_attempts(&self) -> Vec<JobId> {
        self.legs().filter_map(|(_, leg)| leg.id().cloned()).collect()
    }

    /// Jobs that were started, whether they have ended or not, in the order of the file; of each every attempt.
    pub fn jobs(&self) -> Vec<JobId> {
        let ids = |(_, leg): (_, &state::LegState)| {
            let past: Vec<JobId> = leg.past.iter().map(|attempt| attempt.id.clone()).collect();
            past.into_iter().chain(leg.id().cloned()).collect::<Vec<_>>()
        };
        self.legs().flat_map(ids).collect()
    }
}
