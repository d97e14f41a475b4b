//! What follows from the state and from what is seen.

use base::Timestamp;
use base::time::format_duration_ms;

use super::event::Event;
use super::state::{JobPhase, JobState, LegPhase, LegState, Node};
use super::{Conclusion, Group, JobId, JobSeen, Observed, Run};
use crate::job::{JobOutcome, StepSeen, StepState};
use crate::model::EXIT_CODE;

/// Beyond its own budget a job gets this long to be ended by its executor, which keeps the same time; GitHub's cancel timeout.
pub(super) const GRACE_MS: u64 = 5 * 60_000;

impl Run {
    /// The next events at this moment; none when there is nothing to decide until something changes.
    pub(super) fn decide(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        if self.finished.is_some() {
            return Vec::new();
        }
        let gives_way = self.give_way_to_others(seen, now);
        if !gives_way.is_empty() {
            return gives_way;
        }
        if self.started.is_none() {
            return if self.may_begin(seen) { vec![Event::RunStarted { at: now }] } else { Vec::new() };
        }
        let rounds: [&dyn Fn() -> Vec<Event>; 5] =
            [&|| self.hear(seen, now), &|| self.retry(now), &|| self.settle(seen, now), &|| self.give_way(now), &|| self.start(seen, now)];
        let events = rounds.iter().map(|round| round()).find(|events| !events.is_empty());
        events.unwrap_or_else(|| self.finish(now).into_iter().collect())
    }

    /// What the executor tells of the jobs that were started.
    fn hear(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (node, leg) in self.legs() {
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
                    let outcome = self.within_limits(outcome);
                    let allowed_failure = outcome.conclusion == Conclusion::Failure && (leg.leg.allow_failure || may_fail(node, &outcome));
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

    /// Jobs whose needs have all ended get their legs or their end; legs that shall not start any more get theirs, and calls whose
    /// jobs have all ended.
    fn settle(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for node in self.in_order() {
            match &node.state.phase {
                JobPhase::Waiting if self.needs_have_ended(node) => events.push(self.settle_job(node, now)),
                JobPhase::Waiting | JobPhase::Ended { .. } => {}
                JobPhase::Planned { legs, .. } => events.extend(legs.iter().filter_map(|leg| self.settle_leg(node, leg, seen, now))),
            }
        }
        events
    }

    fn settle_leg(&self, node: Node<'_>, leg: &LegState, seen: &Observed, now: Timestamp) -> Option<Event> {
        let key = leg.leg.key.clone();
        match (&leg.phase, leg.level) {
            (LegPhase::Queued, _) => {
                let cancelled = |reason| Event::JobCancelled { key, name: leg.leg.name.clone(), reason, at: now };
                self.why_stop(node, leg).map(cancelled).or_else(|| self.protect(leg, seen, now))
            }
            (LegPhase::Called { .. }, Some(level)) => {
                let (conclusion, outputs, reason) = self.call_ended(level)?;
                Some(Event::CallFinished { key, conclusion, outputs, reason, at: now })
            }
            _ => None,
        }
    }

    fn settle_job(&self, node: Node<'_>, now: Timestamp) -> Event {
        let key = || node.state.key.clone();
        let skipped = |reason| Event::JobSkipped { key: key(), name: self.plain_name(node), reason, at: now };
        if let Some(reason) = self.plan.why_left_out(node.job) {
            return skipped(reason);
        }
        let rejected = |reason| Event::JobRejected { key: key(), name: self.plain_name(node), reason, at: now };
        match self.condition_holds(node, false) {
            Err(why) => rejected(format!("its `if` can't be evaluated: {why}")),
            Ok(false) if self.cancel.is_none() || !self.holds_when_cancelled(node) => skipped(self.why_not(node)),
            Ok(_) => match self.why_cancelled(node).or_else(|| self.why_callers_stop(node.state)) {
                Some(reason) => Event::JobCancelled { key: key(), name: self.plain_name(node), reason, at: now },
                None => self.plan_legs(node, now).unwrap_or_else(rejected),
            },
        }
    }

    fn start(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        let limit = |limit: u32| if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let running = self.legs().filter(|(_, leg)| matches!(leg.phase, LegPhase::Started { .. })).count();
        let mut free = limit(self.plan.max_parallel).saturating_sub(running);
        let mut taken: Vec<&Group> = Vec::new();
        let mut events = Vec::new();
        for node in self.in_order() {
            let JobPhase::Planned { max_parallel, legs, .. } = &node.state.phase else { continue };
            let mut free_here = limit(max_parallel.unwrap_or(0)).saturating_sub(legs.iter().filter(|leg| leg.phase.is_running()).count());
            for leg in legs.iter().filter(|leg| leg.phase == LegPhase::Queued && self.may_start(leg, seen)) {
                let early = leg.not_before.is_some_and(|at| now < at);
                // A call takes no place: those that it calls do.
                let no_place = leg.leg.call.is_none() && free == 0;
                if free_here == 0 || no_place || early || !self.groups_are_free(leg, &taken) {
                    continue;
                }
                free_here -= 1;
                taken.extend(&leg.leg.groups);
                events.push(match leg.leg.call {
                    Some(_) => Event::CallStarted { key: leg.leg.key.clone(), name: leg.leg.name.clone(), at: now },
                    None => {
                        free -= 1;
                        Event::JobStarted { id: self.id(leg), name: leg.leg.name.clone(), at: now }
                    }
                });
            }
        }
        events
    }

    fn finish(&self, now: Timestamp) -> Option<Event> {
        let jobs = self.levels[0].jobs.iter().flatten().map(|job| &self.jobs[*job]);
        let results: Vec<Conclusion> = jobs.map(JobState::result).collect::<Option<_>>()?;
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

    /// Why a leg that has not started shall not, and one that runs shall end.
    pub(super) fn why_stop(&self, node: Node<'_>, leg: &LegState) -> Option<String> {
        self.why_cancelled(node).or_else(|| why_ended(node, leg)).or_else(|| self.why_callers_stop(node.state))
    }

    /// Why what calls this job shall end: a sibling of the call failed, or another took its place.
    fn why_callers_stop(&self, state: &JobState) -> Option<String> {
        self.callers(state).find_map(|(caller, leg)| why_ended(caller, leg))
    }

    /// Since when something other than the whole run's end wants the leg to end.
    pub(super) fn ended_from(&self, node: Node<'_>, leg: &LegState) -> Option<Timestamp> {
        let own = ended_at(node, leg);
        self.callers(node.state).filter_map(|(caller, leg)| ended_at(caller, leg)).chain(own).min()
    }

    pub(super) fn callers<'a>(&'a self, state: &'a JobState) -> impl Iterator<Item = (Node<'a>, &'a LegState)> {
        let above = |level: usize| {
            let caller = self.levels[level].caller?;
            let node = self.node(caller.job);
            Some((node, &node.state.legs()[caller.leg]))
        };
        std::iter::successors(above(state.level), move |(node, _)| above(node.state.level))
    }

    /// Nothing when the run isn't being cancelled, or politely and the job's condition holds all the same (`if: always()`).
    fn why_cancelled(&self, node: Node<'_>) -> Option<String> {
        let cancel = self.cancel.as_ref()?;
        let spared = !cancel.forced && self.holds_when_cancelled(node);
        (!spared).then(|| format!("the run was cancelled by {}", cancel.by))
    }

    fn holds_when_cancelled(&self, node: Node<'_>) -> bool {
        self.condition_holds(node, true) == Ok(true)
    }

    fn needs_have_ended(&self, node: Node<'_>) -> bool {
        self.needs(node.state).all(|need| need.result().is_some())
    }

    fn id(&self, leg: &LegState) -> JobId {
        JobId { run: self.plan.run, key: leg.leg.key.clone(), attempt: leg.attempt }
    }

    /// Outputs that are too large for GitHub are too large here: a file that leans on them would break there.
    fn within_limits(&self, outcome: JobOutcome) -> JobOutcome {
        let size = |outputs: &std::collections::BTreeMap<String, String>| -> usize {
            outputs.iter().map(|(name, value)| 2 * (name.encode_utf16().count() + value.encode_utf16().count())).sum()
        };
        let own = size(&outcome.outputs);
        let reason = if own > JOB_OUTPUTS_MAX {
            format!("its outputs have {own} bytes, and a job's have at most {JOB_OUTPUTS_MAX}")
        } else {
            let whole = own + self.jobs.iter().map(|job| size(&job.outputs)).sum::<usize>();
            if whole <= RUN_OUTPUTS_MAX {
                return outcome;
            }
            format!("the outputs of all jobs have {whole} bytes with its own, and a run's have at most {RUN_OUTPUTS_MAX}")
        };
        JobOutcome { conclusion: Conclusion::Failure, outputs: Default::default(), reason: Some(reason), ..outcome }
    }
}

/// Counted in UTF-16, as GitHub does.
const JOB_OUTPUTS_MAX: usize = 1024 * 1024;
const RUN_OUTPUTS_MAX: usize = 50 * 1024 * 1024;

/// A sibling that failed, or another leg in its concurrency group.
pub(super) fn why_ended(node: Node<'_>, leg: &LegState) -> Option<String> {
    if let Some(superseded) = &leg.superseded {
        return Some(format!("`{}` took its place in the concurrency group `{}`", superseded.by, superseded.group));
    }
    let (failed, _) = node.state.fail_fast_by(node.job)?;
    Some(format!("`{}` failed, and `fail-fast` is on", failed.leg.name))
}

fn ended_at(node: Node<'_>, leg: &LegState) -> Option<Timestamp> {
    let superseded = leg.superseded.as_ref().map(|superseded| superseded.at);
    superseded.into_iter().chain(node.state.fail_fast_by(node.job).map(|(_, at)| at)).min()
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
/// Whether the job failed with one of the exit codes that are allowed.
fn may_fail(node: Node<'_>, outcome: &JobOutcome) -> bool {
    let code = outcome.outputs.get(EXIT_CODE).and_then(|code| code.parse().ok());
    code.is_some_and(|code: i32| node.job.allowed_exit_codes.contains(&code))
}

fn out_of_time(outcome: &JobOutcome, budget_ms: u64) -> JobOutcome {
    let reason = format!("it ran longer than its `timeout-minutes` ({}) and was ended", format_duration_ms(budget_ms));
    JobOutcome { conclusion: Conclusion::Failure, reason: Some(reason), ..outcome.clone() }
}
