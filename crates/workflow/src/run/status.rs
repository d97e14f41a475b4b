//! A run as people look at it: plain data, in the order of the file.

use base::Timestamp;
use base::name::RunId;
use serde::{Deserialize, Serialize};

use super::decide::why_ended;
use super::state::{JobPhase, JobState, LegPhase, LegState, Node};
use super::{Conclusion, JobId, Run};
use crate::environment::Review;
use crate::job::StepSeen;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub run: RunId,
    pub number: u64,
    /// The workflow's name, else its path.
    pub name: String,
    /// From `run-name:`.
    pub title: Option<String>,
    pub event: String,
    pub conclusion: Option<Conclusion>,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub cancelled_by: Option<String>,
    pub jobs: Vec<JobStatus>,
    /// What was said of protected environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<Review>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    pub key: String,
    pub name: String,
    pub needs: Vec<String>,
    pub state: State,
    /// Why it was skipped, rejected or cancelled before it had legs.
    pub reason: Option<String>,
    /// Empty until they are known; one without a matrix.
    pub legs: Vec<LegStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegStatus {
    /// `test.0`.
    pub key: String,
    pub name: String,
    /// Once it has started.
    pub id: Option<JobId>,
    pub state: State,
    /// It failed, and that is allowed: amber.
    pub allowed_failure: bool,
    pub reason: Option<String>,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    /// As last seen.
    pub steps: Vec<StepSeen>,
    /// The environment it delivers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Attempts before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptStatus>,
    /// When the next attempt starts, where one comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// An attempt that was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptStatus {
    pub id: JobId,
    pub conclusion: Conclusion,
    pub reason: Option<String>,
    pub started: Option<Timestamp>,
    pub finished: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For what it needs.
    Waiting,
    /// For a free place.
    Queued,
    /// For what protects its environment.
    Held,
    /// Asked for, and not yet seen running.
    Starting,
    Running,
    Stopping,
    Finished(Conclusion),
}

impl Run {
    pub fn status(&self) -> Status {
        let workflow = &self.plan.workflow;
        Status {
            run: self.plan.run,
            number: self.plan.number,
            name: workflow.name.as_ref().unwrap_or(&workflow.path).clone(),
            title: self.plan.title.clone(),
            event: self.plan.event.name.clone(),
            conclusion: self.conclusion(),
            started: self.started,
            finished: self.finished.map(|(_, at)| at),
            cancelled_by: self.cancel.as_ref().map(|cancel| cancel.by.clone()),
            jobs: self.in_order().filter(|node| !is_shown_by_what_it_calls(node.state)).map(|node| self.job_status(node)).collect(),
            reviews: self.reviews.clone(),
        }
    }

    /// Of one leg alone, by its key.
    pub fn status_of(&self, key: &str) -> Option<LegStatus> {
        self.in_order().find_map(|node| {
            let leg = node.state.legs().iter().find(|leg| leg.level.is_none() && leg.leg.key == key)?;
            Some(self.leg_status(node, leg))
        })
    }

    fn job_status(&self, node: Node<'_>) -> JobStatus {
        let state = node.state;
        let legs = state.legs().iter().filter(|leg| leg.level.is_none());
        let legs: Vec<LegStatus> = legs.map(|leg| self.leg_status(node, leg)).collect();
        let (name, reason) = match &state.phase {
            JobPhase::Ended { name, reason, .. } => (name.clone(), Some(reason.clone())),
            JobPhase::Planned { .. } if legs.len() == 1 => (legs[0].name.clone(), None),
            JobPhase::Waiting | JobPhase::Planned { .. } => (self.plain_name(node), None),
        };
        let prefix = &self.level(state).prefix;
        let needs = node.job.needs.iter().map(|need| format!("{prefix}{need}")).collect();
        JobStatus { key: state.key.clone(), name, needs, state: job_state(state, &legs), reason, legs }
    }

    fn leg_status(&self, node: Node<'_>, leg: &LegState) -> LegStatus {
        let (leg_state, allowed_failure, reason, started, finished) = match &leg.phase {
            LegPhase::Queued => match self.why_held(leg) {
                Some(why) => (State::Held, false, Some(why), None, None),
                None => (State::Queued, false, None, None, None),
            },
            LegPhase::Called { at } => (State::Running, false, None, Some(*at), None),
            LegPhase::Started { at, accepted, .. } => {
                let running = if accepted.is_some() { State::Running } else { State::Starting };
                let now = if self.is_stopping(node, leg) { State::Stopping } else { running };
                (now, false, None, Some(*at), None)
            }
            LegPhase::Ended { conclusion, allowed, reason, started, at, .. } => {
                // Its supervisor only knows that it was told to end.
                let for_another = *conclusion == Conclusion::Cancelled && self.cancel.is_none();
                let reason = for_another.then(|| why_ended(node, leg)).flatten().or_else(|| reason.clone());
                (State::Finished(*conclusion), *allowed, reason, *started, Some(*at))
            }
        };
        let past = leg.past.iter().map(|past| AttemptStatus {
            id: past.id.clone(),
            conclusion: past.conclusion,
            reason: past.reason.clone(),
            started: past.started,
            finished: past.finished,
        });
        LegStatus {
            key: leg.leg.key.clone(),
            name: leg.leg.name.clone(),
            id: leg.id().cloned(),
            state: leg_state,
            allowed_failure,
            reason,
            started,
            finished,
            steps: leg.steps.values().cloned().collect(),
            environment: leg.leg.environment.clone(),
            attempts: past.collect(),
            retry_at: leg.not_before.filter(|_| leg.phase == LegPhase::Queued),
        }
    }
}

/// A call is shown by the jobs that it calls, as soon as they are jobs of the run.
fn is_shown_by_what_it_calls(state: &JobState) -> bool {
    !state.legs().is_empty() && state.legs().iter().all(|leg| leg.level.is_some())
}

/// Of a job with several legs: what is most worth knowing.
fn job_state(state: &JobState, legs: &[LegStatus]) -> State {
    match (state.result(), legs) {
        (_, [leg]) => leg.state,
        (Some(conclusion), _) => State::Finished(conclusion),
        (None, []) => State::Waiting,
        (None, legs) => {
            let order = [State::Stopping, State::Running, State::Starting, State::Held, State::Queued];
            order.into_iter().find(|state| legs.iter().any(|leg| leg.state == *state)).unwrap_or(State::Running)
        }
    }
}
