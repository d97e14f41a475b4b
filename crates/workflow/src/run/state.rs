//! What is remembered of a run, and which event may follow.

use std::collections::BTreeMap;

use base::Timestamp;

use super::event::{Event, Leg};
use super::{Conclusion, JobId, Run};
use crate::job::{StepSeen, StepState};
use crate::model::Job;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cancel {
    pub by: String,
    pub at: Timestamp,
    pub forced: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct JobState {
    pub phase: JobPhase,
    /// Of all legs that have ended; the last one that set a name has it.
    pub outputs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum JobPhase {
    #[default]
    Waiting,
    /// Ended without ever having legs.
    Ended {
        name: String,
        conclusion: Conclusion,
        reason: String,
        at: Timestamp,
    },
    Planned {
        fail_fast: bool,
        max_parallel: Option<u32>,
        legs: Vec<LegState>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct LegState {
    pub leg: Leg,
    pub phase: LegPhase,
    pub steps: BTreeMap<u32, StepSeen>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum LegPhase {
    Queued,
    Started {
        id: JobId,
        at: Timestamp,
        accepted: Option<Timestamp>,
        timed_out: Option<Timestamp>,
    },
    /// `id` and `started` are there if it ever started.
    Ended {
        id: Option<JobId>,
        conclusion: Conclusion,
        allowed: bool,
        lost: bool,
        reason: Option<String>,
        started: Option<Timestamp>,
        at: Timestamp,
    },
}

impl JobState {
    pub fn legs(&self) -> &[LegState] {
        match &self.phase {
            JobPhase::Planned { legs, .. } => legs,
            JobPhase::Waiting | JobPhase::Ended { .. } => &[],
        }
    }

    /// How the job as a whole ended, as `needs.<id>.result` has it: a failure that the file allows is a success.
    pub fn result(&self) -> Option<Conclusion> {
        match &self.phase {
            JobPhase::Waiting => None,
            JobPhase::Ended { conclusion, .. } => Some(*conclusion),
            JobPhase::Planned { legs, .. } => {
                let results: Vec<Conclusion> = legs.iter().map(LegState::result).collect::<Option<_>>()?;
                let worst = [Conclusion::Failure, Conclusion::Cancelled].into_iter().find(|bad| results.contains(bad));
                Some(worst.unwrap_or(Conclusion::Success))
            }
        }
    }

    /// Whether one of its failures is that nobody knows how it ended.
    pub fn was_lost(&self) -> bool {
        self.legs().iter().any(|leg| match &leg.phase {
            LegPhase::Ended { lost, allowed, .. } => *lost && !allowed,
            LegPhase::Queued | LegPhase::Started { .. } => false,
        })
    }

    /// The leg whose failure ends its siblings, and when that was.
    pub fn fail_fast_by(&self) -> Option<(&LegState, Timestamp)> {
        let JobPhase::Planned { fail_fast: true, legs, .. } = &self.phase else { return None };
        let failed = legs.iter().filter(|leg| leg.result() == Some(Conclusion::Failure));
        failed.filter_map(|leg| leg.ended().map(|at| (leg, at))).min_by_key(|(_, at)| *at)
    }
}

impl LegState {
    fn new(leg: &Leg) -> LegState {
        LegState { leg: leg.clone(), phase: LegPhase::Queued, steps: BTreeMap::new() }
    }

    pub fn id(&self) -> Option<&JobId> {
        match &self.phase {
            LegPhase::Queued => None,
            LegPhase::Started { id, .. } => Some(id),
            LegPhase::Ended { id, .. } => id.as_ref(),
        }
    }

    pub fn result(&self) -> Option<Conclusion> {
        match &self.phase {
            LegPhase::Ended { conclusion: Conclusion::Failure, allowed: true, .. } => Some(Conclusion::Success),
            LegPhase::Ended { conclusion, .. } => Some(*conclusion),
            LegPhase::Queued | LegPhase::Started { .. } => None,
        }
    }

    fn ended(&self) -> Option<Timestamp> {
        match &self.phase {
            LegPhase::Ended { at, .. } => Some(*at),
            LegPhase::Queued | LegPhase::Started { .. } => None,
        }
    }

    fn started(&self) -> Option<Timestamp> {
        match &self.phase {
            LegPhase::Started { at, .. } => Some(*at),
            LegPhase::Queued | LegPhase::Ended { .. } => None,
        }
    }

    /// Steps only go forward; a stale observation of one changes nothing.
    pub fn is_news(&self, step: &StepSeen) -> bool {
        match (self.steps.get(&step.number).map(|step| step.state), step.state) {
            (None, _) | (Some(StepState::Running), StepState::Finished { .. }) => true,
            (Some(StepState::Running), StepState::Running) | (Some(StepState::Finished { .. }), _) => false,
        }
    }
}

impl Run {
    /// Jobs in the order of the file.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&Job, &JobState)> {
        self.plan.jobs().map(|job| (job, &self.jobs[&job.id]))
    }

    /// Every leg of every job, in order.
    pub(super) fn legs(&self) -> impl Iterator<Item = (&Job, &JobState, &LegState)> {
        self.in_order().flat_map(|(job, state)| state.legs().iter().map(move |leg| (job, state, leg)))
    }

    /// Why the event can't have happened now; the whole life of a run is in this match.
    pub(super) fn illegal(&self, event: &Event) -> Option<&'static str> {
        let refused = |allowed: bool, why: &'static str| (!allowed).then_some(why);
        if self.finished.is_some() {
            return Some("finished is finished");
        }
        if let Event::CancelRequested { force, .. } = event {
            let again = self.cancel.as_ref().is_none_or(|cancel| *force && !cancel.forced);
            return refused(again, "it is being cancelled already");
        }
        match event {
            Event::RunStarted { .. } => refused(self.started.is_none(), "it has started before"),
            _ if self.started.is_none() => Some("it hasn't started"),
            Event::JobPlanned { key, legs, .. } => {
                refused(self.is_waiting(key), "the job isn't waiting").or(refused(!legs.is_empty(), "a job has at least one leg"))
            }
            Event::JobSkipped { key, .. } | Event::JobRejected { key, .. } => refused(self.is_waiting(key), "the job isn't waiting"),
            Event::JobCancelled { key, .. } => {
                let queued = self.leg(key).is_some_and(|leg| leg.phase == LegPhase::Queued);
                refused(queued || self.is_waiting(key), "the job has started or ended")
            }
            Event::JobStarted { id, .. } => {
                let queued = self.leg(&id.key).is_some_and(|leg| leg.phase == LegPhase::Queued);
                refused(queued && id.run == self.plan.run, "the job isn't queued in this run")
            }
            Event::JobAccepted { id, .. } => {
                refused(matches!(self.phase_of(id), Some(LegPhase::Started { accepted: None, .. })), "the job isn't fresh")
            }
            Event::JobTimedOut { id, .. } => {
                refused(matches!(self.phase_of(id), Some(LegPhase::Started { timed_out: None, .. })), "the job doesn't run in its time")
            }
            Event::StepStarted { id, .. } | Event::StepFinished { id, .. } | Event::JobFinished { id, .. } | Event::JobLost { id, .. } => {
                refused(matches!(self.phase_of(id), Some(LegPhase::Started { .. })), "the job isn't running")
            }
            Event::CancelRequested { .. } => None,
            Event::RunFinished { .. } => refused(self.jobs.values().all(|job| job.result().is_some()), "some jobs have not ended"),
        }
    }

    pub(super) fn fold(&mut self, event: &Event) {
        match event {
            Event::RunStarted { at } => self.started = Some(*at),
            Event::JobPlanned { key, fail_fast, max_parallel, legs, .. } => {
                let legs = legs.iter().map(LegState::new).collect();
                self.job_mut(key).phase = JobPhase::Planned { fail_fast: *fail_fast, max_parallel: *max_parallel, legs };
            }
            Event::JobSkipped { key, name, reason, at } => self.end_job(key, name, Conclusion::Skipped, reason, *at),
            Event::JobRejected { key, name, reason, at } => self.end_job(key, name, Conclusion::Failure, reason, *at),
            Event::JobCancelled { key, name, reason, at } if self.is_waiting(key) => {
                self.end_job(key, name, Conclusion::Cancelled, reason, *at);
            }
            Event::JobCancelled { key, reason, at, .. } => self.end_leg(key, Conclusion::Cancelled, false, Some(reason.clone()), *at),
            Event::JobStarted { id, at, .. } => {
                self.leg_mut(&id.key).phase = LegPhase::Started { id: id.clone(), at: *at, accepted: None, timed_out: None };
            }
            Event::JobAccepted { id, at } => {
                if let LegPhase::Started { accepted, .. } = &mut self.leg_mut(&id.key).phase {
                    *accepted = Some(*at);
                }
            }
            Event::StepStarted { id, step, .. } | Event::StepFinished { id, step, .. } => {
                self.leg_mut(&id.key).steps.insert(step.number, step.clone());
            }
            Event::JobTimedOut { id, at, .. } => {
                if let LegPhase::Started { timed_out, .. } = &mut self.leg_mut(&id.key).phase {
                    *timed_out = Some(*at);
                }
            }
            Event::JobFinished { id, outcome, allowed_failure, at } => {
                let set = outcome.outputs.iter().filter(|(_, value)| !value.is_empty());
                let set: Vec<_> = set.map(|(name, value)| (name.clone(), value.clone())).collect();
                self.job_mut(job_key(&id.key)).outputs.extend(set);
                self.end_leg(&id.key, outcome.conclusion, *allowed_failure, outcome.reason.clone(), *at);
            }
            Event::JobLost { id, reason, allowed_failure, at } => {
                self.end_leg(&id.key, Conclusion::Failure, *allowed_failure, Some(reason.clone()), *at);
                if let LegPhase::Ended { lost, .. } = &mut self.leg_mut(&id.key).phase {
                    *lost = true;
                }
            }
            Event::CancelRequested { by, force, at } => match &mut self.cancel {
                Some(cancel) => cancel.forced = *force,
                None => self.cancel = Some(Cancel { by: by.clone(), at: *at, forced: *force }),
            },
            Event::RunFinished { conclusion, at } => self.finished = Some((*conclusion, *at)),
        }
    }

    fn is_waiting(&self, key: &str) -> bool {
        self.jobs.get(key).is_some_and(|job| job.phase == JobPhase::Waiting)
    }

    fn leg(&self, key: &str) -> Option<&LegState> {
        self.jobs.get(job_key(key))?.legs().iter().find(|leg| leg.leg.key == key)
    }

    fn phase_of(&self, id: &JobId) -> Option<&LegPhase> {
        self.leg(&id.key).filter(|leg| leg.id() == Some(id)).map(|leg| &leg.phase)
    }

    fn job_mut(&mut self, key: &str) -> &mut JobState {
        self.jobs.get_mut(key).expect("a legal event names a job of the run")
    }

    fn leg_mut(&mut self, key: &str) -> &mut LegState {
        let JobPhase::Planned { legs, .. } = &mut self.job_mut(job_key(key)).phase else { panic!("a legal event names a planned job") };
        legs.iter_mut().find(|leg| leg.leg.key == key).expect("a legal event names a leg of its job")
    }

    fn end_job(&mut self, key: &str, name: &str, conclusion: Conclusion, reason: &str, at: Timestamp) {
        self.job_mut(key).phase = JobPhase::Ended { name: name.to_string(), conclusion, reason: reason.to_string(), at };
    }

    fn end_leg(&mut self, key: &str, conclusion: Conclusion, allowed: bool, reason: Option<String>, at: Timestamp) {
        let leg = self.leg_mut(key);
        leg.phase = LegPhase::Ended { id: leg.id().cloned(), conclusion, allowed, lost: false, reason, started: leg.started(), at };
    }
}

/// The job of a leg: a job's id has no dot in it.
fn job_key(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}
