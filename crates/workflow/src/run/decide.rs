//! What follows from the state and from what is seen.

use base::Timestamp;
use base::time::format_duration_ms;

use super::event::Event;
use super::state::{JobPhase, JobState, LegPhase, LegState};
use super::{Conclusion, JobId, JobSeen, Observed, Run};
use crate::job::{JobOutcome, StepSeen, StepState};
use crate::model::Job;
use crate::plan::job as job_of;

/// Beyond its own budget a job gets this long to be ended by its executor, which keeps the same time; GitHub's cancel timeout.
pub(super) const GRACE_MS: u64 = 5 * 60_000;

impl Run {
    /// The next events at this moment; none when there is nothing to decide until something changes.
    pub(super) fn decide(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        if self.finished.is_some() {
            return Vec::new();
        }
        if self.started.is_none() {
            return vec![Event::RunStarted { at: now }];
        }
        let rounds = [Run::hear, Run::settle, Run::start];
        let events = rounds.iter().map(|round| round(self, seen, now)).find(|events| !events.is_empty());
        events.unwrap_or_else(|| self.finish(now).into_iter().collect())
    }

    /// What the executor tells of the jobs that were started.
    fn hear(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (_, _, leg) in self.legs() {
            let LegPhase::Started { id, accepted, timed_out, .. } = &leg.phase else { continue };
            let lost = |why: &str| Event::JobLost {
                id: id.clone(),
                reason: format!("lost: {why}"),
                allowed_failure: leg.leg.allow_failure,
                at: now,
            };
            match seen.jobs.get(id) {
                Some(JobSeen::Running { steps }) => {
                    events.extend(accepted.is_none().then(|| Event::JobAccepted { id: id.clone(), at: now }));
                    events.extend(step_events(id, leg, steps, now));
                    let late = accepted.is_some_and(|since| now >= since.plus_ms(leg.leg.timeout_ms).plus_ms(GRACE_MS));
                    if late && timed_out.is_none() {
                        events.push(Event::JobTimedOut { id: id.clone(), budget_ms: leg.leg.timeout_ms, at: now });
                    }
                }
                Some(JobSeen::Finished { outcome, steps }) => {
                    events.extend(step_events(id, leg, steps, now));
                    let outcome = if timed_out.is_some() { out_of_time(outcome, leg.leg.timeout_ms) } else { outcome.clone() };
                    let allowed_failure = outcome.conclusion == Conclusion::Failure && leg.leg.allow_failure;
                    events.push(Event::JobFinished { id: id.clone(), outcome, allowed_failure, at: now });
                }
                Some(JobSeen::Lost { steps, reason }) => {
                    events.extend(step_events(id, leg, steps, now));
                    events.push(lost(reason));
                }
                // It had it once; starting it again could run its steps twice.
                Some(JobSeen::Absent) if accepted.is_some() => events.push(lost("the executor had begun it and no longer knows of it")),
                Some(JobSeen::Absent | JobSeen::Unknown) | None => {}
            }
        }
        events
    }

    /// Jobs whose needs have all ended get their legs or their end; legs that shall not start any more get theirs.
    fn settle(&self, _: &Observed, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (job, state) in self.in_order() {
            match &state.phase {
                JobPhase::Waiting if self.needs_have_ended(job) => events.push(self.settle_job(job, now)),
                JobPhase::Waiting | JobPhase::Ended { .. } => {}
                JobPhase::Planned { legs, .. } => {
                    let queued: Vec<&LegState> = legs.iter().filter(|leg| leg.phase == LegPhase::Queued).collect();
                    if queued.is_empty() {
                        continue;
                    }
                    let Some(reason) = self.why_stop(job, state) else { continue };
                    events.extend(queued.into_iter().map(|leg| Event::JobCancelled {
                        key: leg.leg.key.clone(),
                        name: leg.leg.name.clone(),
                        reason: reason.clone(),
                        at: now,
                    }));
                }
            }
        }
        events
    }

    fn settle_job(&self, job: &Job, now: Timestamp) -> Event {
        let key = || job.id.clone();
        let skipped = |reason| Event::JobSkipped { key: key(), name: self.plain_name(job), reason, at: now };
        if let Some(reason) = self.plan.belongs_to_delivery(job) {
            return skipped(reason);
        }
        let rejected = |reason| Event::JobRejected { key: key(), name: self.plain_name(job), reason, at: now };
        match self.condition_holds(job, false) {
            Err(why) => rejected(format!("its `if` can't be evaluated: {why}")),
            Ok(false) if self.cancel.is_none() || !self.holds_when_cancelled(job) => skipped(self.why_not(job)),
            Ok(_) => match self.why_cancelled(job) {
                Some(reason) => Event::JobCancelled { key: key(), name: self.plain_name(job), reason, at: now },
                None => self.plan_legs(job, now).unwrap_or_else(rejected),
            },
        }
    }

    fn start(&self, _: &Observed, now: Timestamp) -> Vec<Event> {
        let limit = |limit: u32| if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let running = |legs: &[LegState]| legs.iter().filter(|leg| matches!(leg.phase, LegPhase::Started { .. })).count();
        let mut free = limit(self.plan.max_parallel).saturating_sub(self.in_order().map(|(_, state)| running(state.legs())).sum());
        let mut events = Vec::new();
        for (_, state) in self.in_order() {
            let JobPhase::Planned { max_parallel, legs, .. } = &state.phase else { continue };
            let free_here = limit(max_parallel.unwrap_or(0)).saturating_sub(running(legs)).min(free);
            let queued = legs.iter().filter(|leg| leg.phase == LegPhase::Queued).take(free_here);
            let started = queued.map(|leg| Event::JobStarted { id: self.id(leg), name: leg.leg.name.clone(), at: now });
            let before = events.len();
            events.extend(started);
            free -= events.len() - before;
        }
        events
    }

    fn finish(&self, now: Timestamp) -> Option<Event> {
        let results: Vec<Conclusion> = self.in_order().map(|(_, state)| state.result()).collect::<Option<_>>()?;
        let has = |conclusion| results.contains(&conclusion);
        let conclusion = match () {
            () if self.cancel.is_some() && has(Conclusion::Cancelled) => Conclusion::Cancelled,
            () if has(Conclusion::Failure) => Conclusion::Failure,
            () if has(Conclusion::Cancelled) => Conclusion::Cancelled,
            () if results.iter().all(|result| *result == Conclusion::Skipped) => Conclusion::Skipped,
            () => Conclusion::Success,
        };
        Some(Event::RunFinished { conclusion, at: now })
    }

    /// Why legs of this job that have not started shall not, and those that run shall end.
    pub(super) fn why_stop(&self, job: &Job, state: &JobState) -> Option<String> {
        let fail_fast = || state.fail_fast_by().map(|(leg, _)| format!("`{}` failed, and `fail-fast` is on", leg.leg.name));
        self.why_cancelled(job).or_else(fail_fast)
    }

    /// Nothing when the run isn't being cancelled, or politely and the job's condition holds all the same (`if: always()`).
    fn why_cancelled(&self, job: &Job) -> Option<String> {
        let cancel = self.cancel.as_ref()?;
        let spared = !cancel.forced && self.holds_when_cancelled(job);
        (!spared).then(|| format!("the run was cancelled by {}", cancel.by))
    }

    fn holds_when_cancelled(&self, job: &Job) -> bool {
        self.condition_holds(job, true) == Ok(true)
    }

    fn needs_have_ended(&self, job: &Job) -> bool {
        let state = |need: &String| job_of(&self.plan.workflow, need).and_then(|need| self.jobs.get(&need.id));
        job.needs.iter().all(|need| state(need).is_some_and(|state| state.result().is_some()))
    }

    fn id(&self, leg: &LegState) -> JobId {
        JobId { run: self.plan.run, key: leg.leg.key.clone(), attempt: 1 }
    }
}

fn step_events(id: &JobId, leg: &LegState, steps: &[StepSeen], now: Timestamp) -> Vec<Event> {
    let news = steps.iter().filter(|step| leg.is_news(step));
    let event = |step: &StepSeen| match step.state {
        StepState::Running => Event::StepStarted { id: id.clone(), step: step.clone(), at: now },
        StepState::Finished { .. } => Event::StepFinished { id: id.clone(), step: step.clone(), at: now },
    };
    news.map(event).collect()
}

/// We ended it because its time was over: that is a failure, whatever its executor makes of it.
fn out_of_time(outcome: &JobOutcome, budget_ms: u64) -> JobOutcome {
    let reason = format!("it ran longer than its `timeout-minutes` ({}) and was ended", format_duration_ms(budget_ms));
    JobOutcome { conclusion: Conclusion::Failure, reason: Some(reason), ..outcome.clone() }
}
