//! What the state asks of executors, and when to look again.

use base::Timestamp;

use super::decide::GRACE_MS;
use super::state::{LegPhase, LegState, Node};
use super::turn::is_shut_out;
use super::waiting::Waiting;
use super::{Action, JobSeen, Observed, Run};

impl Run {
    pub(super) fn actions(&self, seen: &Observed, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        for (node, leg) in self.legs() {
            let LegPhase::Started { id, .. } = &leg.phase else { continue };
            if let Some(at_once_from) = self.stop_from(node, leg) {
                actions.push(Action::Stop { id: id.clone(), at_once: now >= at_once_from });
            } else if matches!(seen.jobs.get(id), None | Some(JobSeen::Absent)) && self.may_run(leg, seen) {
                actions.push(Action::Start { id: id.clone(), spec: self.spec(node, leg) });
            }
        }
        actions
    }

    /// Nothing once the run has finished, which is the only state without a blocker.
    pub(super) fn waiting(&self, seen: &Observed, now: Timestamp) -> Option<Waiting> {
        let mut groups = [const { Vec::new() }; 4];
        for (node, leg) in self.legs() {
            let LegPhase::Started { id, .. } = &leg.phase else { continue };
            let group = match (self.stop_from(node, leg), seen.jobs.get(id)) {
                (_, Some(JobSeen::Unknown)) => 0,
                (Some(_), _) => 1,
                (None, None | Some(JobSeen::Absent)) if is_shut_out(leg, seen) => continue,
                (None, None | Some(JobSeen::Absent)) => 3,
                (None, _) => 2,
            };
            groups[group].push(leg.leg.name.clone());
        }
        let [unreachable, stopping, running, starting] = groups;
        if !unreachable.is_empty() {
            return Some(Waiting::Unreachable { jobs: unreachable });
        }
        if !stopping.is_empty() {
            return Some(Waiting::Stopping { jobs: stopping, at_once_from: self.escalation(now) });
        }
        // Before what goes on by itself: somebody has to do something.
        if let Some(waiting) = self.waits_for_people(now) {
            return Some(waiting);
        }
        if !running.is_empty() {
            return Some(Waiting::Running { jobs: running });
        }
        if let Some(waiting) = self.waits_for_turn(seen) {
            return Some(waiting);
        }
        if !starting.is_empty() {
            return Some(Waiting::Starting { jobs: starting });
        }
        let pausing = || self.legs().filter(|(_, leg)| leg.phase == LegPhase::Queued).filter_map(|(_, leg)| Some((leg, leg.not_before?)));
        if let Some(waiting) = self.waits_for_hours(seen, now) {
            return Some(waiting);
        }
        let Some(at) = pausing().map(|(_, at)| at).min() else { return self.waits_for_timer(now) };
        Some(Waiting::Retrying { jobs: pausing().map(|(leg, _)| leg.leg.name.clone()).collect(), at })
    }

    pub(super) fn wake(&self, seen: &Observed, now: Timestamp) -> Option<Timestamp> {
        let budgets = self.legs().filter_map(|(_, leg)| match &leg.phase {
            LegPhase::Started { accepted: Some(since), timed_out: None, .. } => {
                Some(since.plus_ms(leg.leg.timeout_ms).plus_ms(GRACE_MS)).filter(|at| *at > now)
            }
            LegPhase::Queued => leg.not_before.filter(|at| *at > now),
            _ => None,
        });
        budgets.chain(self.escalation(now)).chain(self.environments_wake(seen, now)).min()
    }

    /// The next moment at which asking politely turns into force.
    fn escalation(&self, now: Timestamp) -> Option<Timestamp> {
        let running = self.legs().filter(|(_, leg)| matches!(leg.phase, LegPhase::Started { .. }));
        running.filter_map(|(node, leg)| self.stop_from(node, leg)).filter(|at| *at > now).min()
    }

    /// Whether a running leg shall end, and from when on at once.
    fn stop_from(&self, node: Node<'_>, leg: &LegState) -> Option<Timestamp> {
        if let LegPhase::Started { timed_out: Some(at), .. } = &leg.phase {
            return Some(*at);
        }
        self.why_stop(node, leg)?;
        let grace_ms = leg.leg.cancel_timeout_ms.unwrap_or(GRACE_MS);
        let cancelled = self.cancel.as_ref().map(|cancel| if cancel.forced { cancel.at } else { cancel.at.plus_ms(grace_ms) });
        let ended = self.ended_from(node, leg).map(|at| at.plus_ms(grace_ms));
        cancelled.into_iter().chain(ended).min()
    }

    pub(super) fn is_stopping(&self, node: Node<'_>, leg: &LegState) -> bool {
        matches!(leg.phase, LegPhase::Started { .. }) && self.stop_from(node, leg).is_some()
    }
}
