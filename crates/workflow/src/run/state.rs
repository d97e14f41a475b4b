//! What is remembered of a run, and which event may follow.

use std::collections::BTreeMap;

use base::Timestamp;

use super::event::{Event, Leg};
use super::{Conclusion, JobId, Run};
use crate::environment::Review;
use crate::job::{StepSeen, StepState};
use crate::model::Job;
use crate::plan::CALLS_DEPTH_MAX;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cancel {
    pub by: String,
    pub at: Timestamp,
    pub forced: bool,
}

/// A job where it stands: its lines in the file, and what is remembered of it.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub job: &'a Job,
    pub state: &'a JobState,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobState {
    /// `build`, `deploy/build`, `deploy.0/build`.
    pub key: String,
    /// The workflow it belongs to, and its place there.
    pub level: usize,
    pub index: usize,
    pub phase: JobPhase,
    /// Of all legs that have ended; the last one that set a name has it.
    pub outputs: BTreeMap<String, String>,
    /// Once it has ended: whether it and all that it needs succeeded, and whether any of them failed.
    pub lineage: Option<Lineage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lineage {
    pub all_succeeded: bool,
    pub any_failed: bool,
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
    /// From 1.
    pub attempt: u32,
    /// Attempts that ended and were followed by another.
    pub past: Vec<Past>,
    /// When the next attempt may start.
    pub not_before: Option<Timestamp>,
    /// Who came into its concurrency group and ends it, and since when.
    pub superseded: Option<Superseded>,
    /// The how manieth leg of the run it was to be planned.
    pub arrived: usize,
    /// The jobs of the workflow that it calls.
    pub level: Option<usize>,
    /// Since when it waits for what protects its environment.
    pub held: Option<Timestamp>,
    pub review: Option<Review>,
    /// Its environment has said yes, which holds for every attempt.
    pub cleared: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Past {
    pub id: JobId,
    pub conclusion: Conclusion,
    pub reason: Option<String>,
    pub started: Option<Timestamp>,
    pub finished: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Superseded {
    pub by: String,
    pub group: String,
    pub at: Timestamp,
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
    /// The jobs of the workflow that it calls run.
    Called {
        at: Timestamp,
    },
    /// `id` and `started` are there if it ever started.
    Ended {
        id: Option<JobId>,
        conclusion: Conclusion,
        allowed: bool,
        lost: bool,
        /// It took longer than its `timeout-minutes`.
        timed_out: bool,
        reason: Option<String>,
        started: Option<Timestamp>,
        at: Timestamp,
    },
}

impl JobState {
    pub fn new(key: String, level: usize, index: usize) -> JobState {
        JobState { key, level, index, phase: JobPhase::Waiting, outputs: BTreeMap::new(), lineage: None }
    }

    pub fn leg_mut(&mut self, leg: usize) -> &mut LegState {
        let JobPhase::Planned { legs, .. } = &mut self.phase else { panic!("only a planned job has legs") };
        &mut legs[leg]
    }

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
                // Once planned, a call can be skipped, when every job of it was, and a leg that runs nowhere here.
                let skipped = results.iter().all(|result| *result == Conclusion::Skipped).then_some(Conclusion::Skipped);
                Some(worst.or(skipped).unwrap_or(Conclusion::Success))
            }
        }
    }

    /// Whether one of its failures is that nobody knows how it ended.
    pub fn was_lost(&self) -> bool {
        self.legs().iter().any(|leg| match &leg.phase {
            LegPhase::Ended { lost, allowed, .. } => *lost && !allowed,
            LegPhase::Queued | LegPhase::Started { .. } | LegPhase::Called { .. } => false,
        })
    }

    /// The leg whose failure ends its siblings, and when that was.
    pub fn fail_fast_by(&self, job: &Job) -> Option<(&LegState, Timestamp)> {
        let JobPhase::Planned { fail_fast: true, legs, .. } = &self.phase else { return None };
        let failed = legs.iter().filter(|leg| leg.result() == Some(Conclusion::Failure) && leg.pause_ms(job).is_none());
        failed.filter_map(|leg| leg.ended().map(|at| (leg, at))).min_by_key(|(_, at)| *at)
    }
}

impl LegState {
    fn new(leg: &Leg, arrived: usize) -> LegState {
        LegState {
            leg: leg.clone(),
            phase: LegPhase::Queued,
            steps: BTreeMap::new(),
            attempt: 1,
            past: Vec::new(),
            not_before: None,
            superseded: None,
            arrived,
            level: None,
            held: None,
            review: None,
            cleared: false,
        }
    }

    pub fn id(&self) -> Option<&JobId> {
        match &self.phase {
            LegPhase::Queued | LegPhase::Called { .. } => None,
            LegPhase::Started { id, .. } => Some(id),
            LegPhase::Ended { id, .. } => id.as_ref(),
        }
    }

    pub fn result(&self) -> Option<Conclusion> {
        match &self.phase {
            LegPhase::Ended { conclusion: Conclusion::Failure, allowed: true, .. } => Some(Conclusion::Success),
            LegPhase::Ended { conclusion, .. } => Some(*conclusion),
            LegPhase::Queued | LegPhase::Started { .. } | LegPhase::Called { .. } => None,
        }
    }

    /// Whether nobody else of its concurrency groups may run: it runs, or ran and will again.
    pub fn holds_place(&self) -> bool {
        self.phase.is_running() || (self.phase == LegPhase::Queued && self.attempt > 1)
    }

    /// Whether it is queued and has never run.
    pub fn waits(&self) -> bool {
        self.phase == LegPhase::Queued && self.attempt == 1
    }

    fn ended(&self) -> Option<Timestamp> {
        match &self.phase {
            LegPhase::Ended { at, .. } => Some(*at),
            LegPhase::Queued | LegPhase::Started { .. } | LegPhase::Called { .. } => None,
        }
    }

    fn started(&self) -> Option<Timestamp> {
        match &self.phase {
            LegPhase::Started { at, .. } | LegPhase::Called { at } => Some(*at),
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
    pub(super) fn node(&self, at: usize) -> Node<'_> {
        let state = &self.jobs[at];
        Node { job: &self.workflow(state.level).jobs[state.index], state }
    }

    /// Jobs in the order in which people read them.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Node<'_>> {
        self.order.iter().map(|at| self.node(*at))
    }

    /// Every leg of every job, in order.
    pub(super) fn legs(&self) -> impl Iterator<Item = (Node<'_>, &LegState)> {
        self.in_order().flat_map(|node| node.state.legs().iter().map(move |leg| (node, leg)))
    }

    /// What the job names below `needs`.
    pub(super) fn needs(&self, state: &JobState) -> impl Iterator<Item = &JobState> {
        let level = &self.levels[state.level];
        let needs = self.graph(state.level).needs(state.index);
        needs.iter().filter_map(|need| level.jobs[*need].map(|at| &self.jobs[at]))
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
            Event::JobHeld { key, .. } => {
                let waits = |leg: &LegState| leg.phase == LegPhase::Queued && leg.held.is_none() && leg.leg.environment.is_some();
                refused(self.leg(key).is_some_and(waits), "nothing can hold the job, or it is held already")
            }
            Event::EnvironmentReviewed { review } => {
                let about = |key: &String| self.leg(key).is_some_and(|leg| leg.may_be_reviewed(&review.environment));
                let same = review.run == self.plan.run && review.sha == self.plan.event.sha;
                refused(same && !review.jobs.is_empty() && review.jobs.iter().all(about), "no such job of this run waits for it")
            }
            Event::JobCleared { key, at } => {
                let says_yes = |leg: &LegState| leg.phase == LegPhase::Queued && !leg.cleared && self.is_satisfied(leg, *at);
                refused(self.leg(key).is_some_and(says_yes), "its environment hasn't said yes")
            }
            Event::JobRefused { key, .. } => {
                refused(self.leg(key).is_some_and(|leg| leg.phase == LegPhase::Queued), "the job has started or ended")
            }
            Event::JobStarted { id, .. } => {
                let queued = self.leg(&id.key).is_some_and(|leg| leg.phase == LegPhase::Queued);
                let next = self.leg(&id.key).is_some_and(|leg| leg.attempt == id.attempt && leg.leg.call.is_none());
                let open = self.leg(&id.key).is_some_and(|leg| self.is_open(leg));
                refused(queued && next && id.run == self.plan.run, "the job isn't queued in this run")
                    .or(refused(open, "its environment hasn't said yes"))
            }
            Event::JobAccepted { id, .. } => {
                refused(matches!(self.phase_of(id), Some(LegPhase::Started { accepted: None, .. })), "the job isn't fresh")
            }
            Event::CallStarted { key, .. } => {
                let queued = self.leg(key).is_some_and(|leg| leg.phase == LegPhase::Queued && leg.leg.call.is_some());
                let open = self.leg(key).is_some_and(|leg| self.is_open(leg));
                refused(queued && open && self.calls_what_is_there(key), "no call is queued there")
            }
            Event::CallFinished { key, .. } => {
                refused(self.leg(key).is_some_and(|leg| matches!(leg.phase, LegPhase::Called { .. })), "the call isn't running")
            }
            Event::JobSuperseded { key, .. } => {
                let runs = self.leg(key).is_some_and(|leg| leg.phase.is_running() && leg.superseded.is_none());
                refused(runs, "the job isn't running, or is being ended already")
            }
            Event::JobRetried { key, attempt, .. } => {
                let next = |leg: &LegState| matches!(leg.phase, LegPhase::Ended { id: Some(_), .. }) && leg.attempt + 1 == *attempt;
                refused(self.leg(key).is_some_and(next), "no attempt has ended that this could follow")
            }
            Event::JobTimedOut { id, .. } => {
                refused(matches!(self.phase_of(id), Some(LegPhase::Started { timed_out: None, .. })), "the job doesn't run in its time")
            }
            Event::StepStarted { id, .. } | Event::StepFinished { id, .. } | Event::JobFinished { id, .. } | Event::JobLost { id, .. } => {
                refused(matches!(self.phase_of(id), Some(LegPhase::Started { .. })), "the job isn't running")
            }
            Event::CancelRequested { .. } => None,
            Event::RunFinished { .. } => refused(self.jobs.iter().all(|job| job.result().is_some()), "some jobs have not ended"),
        }
    }

    pub(super) fn fold(&mut self, event: &Event) {
        match event {
            Event::RunStarted { at } => self.started = Some(*at),
            Event::JobPlanned { key, fail_fast, max_parallel, legs, .. } => {
                let first = self.arrivals;
                self.arrivals += legs.len();
                let legs = legs.iter().enumerate().map(|(index, leg)| LegState::new(leg, first + index)).collect();
                self.job_mut(key).phase = JobPhase::Planned { fail_fast: *fail_fast, max_parallel: *max_parallel, legs };
            }
            Event::JobSkipped { key, name, reason, at } => self.end_job(key, name, Conclusion::Skipped, reason, *at),
            Event::JobRejected { key, name, reason, at } => self.end_job(key, name, Conclusion::Failure, reason, *at),
            Event::JobCancelled { key, name, reason, at } if self.is_waiting(key) => {
                self.end_job(key, name, Conclusion::Cancelled, reason, *at);
            }
            Event::JobCancelled { key, reason, at, .. } => {
                self.end_leg(key, Ending { reason: Some(reason.clone()), ..Ending::new(Conclusion::Cancelled, *at) });
            }
            Event::JobHeld { key, at, .. } => self.leg_mut(key).held = Some(*at),
            Event::EnvironmentReviewed { review } => {
                review.jobs.iter().for_each(|key| self.leg_mut(key).review = Some(review.clone()));
                self.reviews.push(review.clone());
            }
            Event::JobCleared { key, .. } => self.leg_mut(key).cleared = true,
            Event::JobRefused { key, conclusion, reason, at, .. } => {
                self.end_leg(key, Ending { reason: Some(reason.clone()), ..Ending::new(*conclusion, *at) });
            }
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
                self.set_outputs(&id.key, &outcome.outputs);
                let leg = self.leg_mut(&id.key);
                let ended_it = matches!(leg.phase, LegPhase::Started { timed_out: Some(_), .. });
                let timed_out = ended_it || outcome.finished.since_ms(outcome.started) >= leg.leg.timeout_ms;
                let reason = outcome.reason.clone();
                self.end_leg(&id.key, Ending { allowed: *allowed_failure, timed_out, reason, ..Ending::new(outcome.conclusion, *at) });
            }
            Event::JobLost { id, reason, allowed_failure, at } => {
                let reason = Some(reason.clone());
                let ending = Ending::new(Conclusion::Failure, *at);
                self.end_leg(&id.key, Ending { allowed: *allowed_failure, lost: true, reason, ..ending });
            }
            Event::CallStarted { key, at, .. } => {
                let job = self.keys[job_key(key)];
                let leg = self.jobs[job].legs().iter().position(|leg| leg.leg.key == *key).expect("a legal event names a leg of its job");
                self.jobs[job].leg_mut(leg).phase = LegPhase::Called { at: *at };
                self.call(job, leg);
            }
            Event::CallFinished { key, conclusion, outputs, reason, at } => {
                self.set_outputs(key, outputs);
                // GitHub's files can't allow it; a child pipeline of GitLab's may fail.
                let allowed = *conclusion == Conclusion::Failure && self.leg_mut(key).leg.allow_failure;
                self.end_leg(key, Ending { allowed, reason: reason.clone(), ..Ending::new(*conclusion, *at) });
            }
            Event::JobSuperseded { key, by, group, at } => {
                self.leg_mut(key).superseded = Some(Superseded { by: by.clone(), group: group.clone(), at: *at });
            }
            Event::JobRetried { key, attempt, not_before, .. } => self.try_again(key, *attempt, *not_before),
            Event::CancelRequested { by, force, at } => match &mut self.cancel {
                Some(cancel) => cancel.forced = *force,
                None => self.cancel = Some(Cancel { by: by.clone(), at: *at, forced: *force }),
            },
            Event::RunFinished { conclusion, at } => self.finished = Some((*conclusion, *at)),
        }
    }

    fn is_waiting(&self, key: &str) -> bool {
        self.job(key).is_some_and(|job| job.phase == JobPhase::Waiting)
    }

    /// Whether the file that a leg calls is in the plan, and not so deep that it can only be calling itself.
    fn calls_what_is_there(&self, key: &str) -> bool {
        let call = self.leg(key).and_then(|leg| leg.leg.call.as_ref());
        let known = call.is_some_and(|call| self.plan.workflow.called.contains_key(&call.workflow));
        known && key.split('/').count() < CALLS_DEPTH_MAX
    }

    fn job(&self, key: &str) -> Option<&JobState> {
        self.keys.get(key).map(|at| &self.jobs[*at])
    }

    fn leg(&self, key: &str) -> Option<&LegState> {
        self.job(job_key(key))?.legs().iter().find(|leg| leg.leg.key == key)
    }

    fn phase_of(&self, id: &JobId) -> Option<&LegPhase> {
        self.leg(&id.key).filter(|leg| leg.id() == Some(id)).map(|leg| &leg.phase)
    }

    fn job_mut(&mut self, key: &str) -> &mut JobState {
        let at = *self.keys.get(key).expect("a legal event names a job of the run");
        &mut self.jobs[at]
    }

    fn leg_mut(&mut self, key: &str) -> &mut LegState {
        let JobPhase::Planned { legs, .. } = &mut self.job_mut(job_key(key)).phase else { panic!("a legal event names a planned job") };
        legs.iter_mut().find(|leg| leg.leg.key == key).expect("a legal event names a leg of its job")
    }

    /// Of a leg; those of an earlier leg with the same name are overwritten, and empty ones overwrite nothing.
    fn set_outputs(&mut self, key: &str, outputs: &BTreeMap<String, String>) {
        let set = outputs.iter().filter(|(_, value)| !value.is_empty());
        let set: Vec<_> = set.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.job_mut(job_key(key)).outputs.extend(set);
    }

    fn end_job(&mut self, key: &str, name: &str, conclusion: Conclusion, reason: &str, at: Timestamp) {
        self.job_mut(key).phase = JobPhase::Ended { name: name.to_string(), conclusion, reason: reason.to_string(), at };
        self.set_lineage(key);
    }

    fn end_leg(&mut self, key: &str, ending: Ending) {
        let leg = self.leg_mut(key);
        let Ending { conclusion, allowed, lost, timed_out, reason, at } = ending;
        let (id, started) = (leg.id().cloned(), leg.started());
        leg.phase = LegPhase::Ended { id, conclusion, allowed, lost, timed_out, reason, started, at };
        self.set_lineage(job_key(key));
    }

    fn try_again(&mut self, key: &str, attempt: u32, not_before: Timestamp) {
        let leg = self.leg_mut(key);
        if let LegPhase::Ended { id: Some(id), conclusion, reason, started, at, .. } = &leg.phase {
            let past = Past { id: id.clone(), conclusion: *conclusion, reason: reason.clone(), started: *started, finished: *at };
            leg.past.push(past);
        }
        leg.phase = LegPhase::Queued;
        leg.steps = BTreeMap::new();
        leg.attempt = attempt;
        leg.not_before = Some(not_before);
        self.set_lineage(job_key(key));
    }

    /// What those that need this job will ask, worked out once and not by each of them.
    fn set_lineage(&mut self, key: &str) {
        let at = self.keys[key];
        let state = &self.jobs[at];
        let lineage = state.result().map(|result| {
            let needs = || self.needs(state).filter_map(|need| need.lineage);
            Lineage {
                all_succeeded: result == Conclusion::Success && needs().all(|need| need.all_succeeded),
                any_failed: result == Conclusion::Failure || needs().any(|need| need.any_failed),
            }
        });
        self.jobs[at].lineage = lineage;
    }
}

struct Ending {
    conclusion: Conclusion,
    allowed: bool,
    lost: bool,
    timed_out: bool,
    reason: Option<String>,
    at: Timestamp,
}

impl Ending {
    fn new(conclusion: Conclusion, at: Timestamp) -> Ending {
        Ending { conclusion, allowed: false, lost: false, timed_out: false, reason: None, at }
    }
}

/// The job of a leg: `deploy.0/build.1` is a leg of `deploy.0/build`. A job's id has neither a dot nor a slash in it.
fn job_key(key: &str) -> &str {
    let own = key.rfind('/').map_or(0, |slash| slash + 1);
    key[own..].find('.').map_or(key, |dot| &key[..own + dot])
}
