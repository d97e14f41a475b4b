//! What a rollout waits for, phase by phase.

use base::Timestamp;

use crate::judge::{Question, Verdict};
use crate::plan::{Deadline, Step};
use crate::rollout::{Phase, Rollout};
use crate::seen::{Fleet, RouteState, in_flight};
use crate::waiting::{Waiting, WaitingOn};
use crate::{InstancePhase, Observed};

/// While the world is expected to answer within moments.
const SOON_MS: u64 = 250;

/// Otherwise: the health of instances is watched at all times.
const POLL_MS: u64 = 1_000;

impl Rollout {
    /// Nothing only when finished.
    pub(crate) fn waiting(&self, seen: &Observed, now: Timestamp) -> Option<Waiting> {
        let on = match self.phase {
            Phase::Finished => return None,
            Phase::Planned | Phase::Starting => self.waiting_for_start(seen),
            Phase::Canary => self.waiting_for_route(seen).unwrap_or_else(|| self.waiting_at_step(seen, now)),
            Phase::Rolling => self.waiting_for_replacement(seen, now),
            Phase::Verifying => self.waiting_for_route(seen).unwrap_or_else(|| self.waiting_for_verification(seen, now)),
            Phase::Draining => self.waiting_for_route(seen).unwrap_or_else(|| match self.warm_until() {
                until if now < until => WaitingOn::Warm { revision: self.stable_id().clone(), until },
                _ => self.waiting_for_drain(seen, now, self.stable_id()),
            }),
            Phase::Retiring => self.waiting_for_stop(seen, self.stable_id()),
            Phase::RollingBack => self.waiting_for_way_back(seen, now),
            Phase::Removing => self.waiting_for_stop(seen, &self.plan.revision.id),
        };
        let next = self.next_look(&on, now);
        Some(Waiting { on, next })
    }

    fn next_look(&self, on: &WaitingOn, now: Timestamp) -> Timestamp {
        let expected = match on {
            WaitingOn::Router { .. }
            | WaitingOn::RouterFollows { .. }
            | WaitingOn::RouterUnknown
            | WaitingOn::Target
            | WaitingOn::Smoke { .. }
            | WaitingOn::Leaving { .. }
            | WaitingOn::Draining { .. } => SOON_MS,
            _ => POLL_MS,
        };
        let alone = self.phase == Phase::Verifying || matches!(on, WaitingOn::Warm { .. });
        let looks = matches!(self.phase, Phase::Canary | Phase::Rolling) || alone && self.judge.baseline().is_some();
        let look = looks.then(|| self.meter.looked_at.plus_ms(self.plan.judge.look_ms));
        let until = match on {
            WaitingOn::StepMinimum { until, .. } | WaitingOn::StayingReady { until } | WaitingOn::Draining { until, .. } => Some(*until),
            WaitingOn::Warm { until, .. } | WaitingOn::Leaving { until, .. } | WaitingOn::FirstLook { until } => Some(*until),
            WaitingOn::Preview { until, .. } => *until,
            _ => None,
        };
        let candidates = [look, until].into_iter().flatten().filter(|at| *at > now);
        candidates.fold(now.plus_ms(expected), Timestamp::min)
    }

    fn waiting_for_start(&self, seen: &Observed) -> WaitingOn {
        let Some(fleet) = self.new_fleet(seen) else { return WaitingOn::TargetUnknown };
        let (ready, wanted) = (fleet.ready(), self.plan.replicas);
        if ready < wanted {
            let (revision, message) = (self.plan.revision.id.clone(), fleet.message());
            return WaitingOn::Instances { revision, ready, wanted, message, until: self.phase_since.plus_ms(self.plan.limits.ready_ms) };
        }
        match (self.route_state(seen), &self.paused_by, &seen.closed) {
            (RouteState::Superseded { .. }, ..) => WaitingOn::Superseded,
            (_, Some(by), _) => WaitingOn::Paused { by: by.clone() },
            (_, None, Some(why)) => WaitingOn::Closed { why: why.clone() },
            (_, None, None) => WaitingOn::Instances {
                revision: self.plan.revision.id.clone(),
                ready,
                wanted,
                message: None,
                until: self.phase_since.plus_ms(self.plan.limits.ready_ms),
            },
        }
    }

    fn waiting_for_route(&self, seen: &Observed) -> Option<WaitingOn> {
        match self.route_state(seen) {
            RouteState::Taken => None,
            // Decided as soon as it is known where the requests shall go.
            RouteState::NotAsked if seen.target.is_none() => Some(WaitingOn::TargetUnknown),
            RouteState::NotAsked => Some(WaitingOn::StableUnready { revision: self.stable_id().clone() }),
            RouteState::Unknown => Some(WaitingOn::RouterUnknown),
            RouteState::Behind { .. } if self.is_preview() => Some(WaitingOn::PreviewRoute { until: self.refused_from() }),
            RouteState::Behind { .. } => Some(WaitingOn::Router { weight: self.weight(), until: self.refused_from() }),
            RouteState::Superseded { .. } => Some(WaitingOn::Superseded),
        }
    }

    /// When a router that goes on not to follow is given up.
    pub(crate) fn refused_from(&self) -> Timestamp {
        let wish = self.route.as_ref();
        let half = wish.and_then(|wish| wish.missed.or_else(|| Some(wish.decided.plus_ms(self.route_patience_ms()))));
        half.unwrap_or(self.phase_since).plus_ms(self.route_patience_ms())
    }

    fn waiting_at_step(&self, seen: &Observed, now: Timestamp) -> WaitingOn {
        let Some(fleet) = self.new_fleet(seen) else { return WaitingOn::TargetUnknown };
        if self.stable_is_gone(seen) {
            return WaitingOn::StableUnready { revision: self.stable_id().clone() };
        }
        if fleet.ready() < self.plan.replicas {
            return self.waiting_for_recovery(fleet, now);
        }
        if let Some(by) = &self.paused_by {
            return WaitingOn::Paused { by: by.clone() };
        }
        if let Some(why) = &seen.closed {
            return WaitingOn::Closed { why: why.clone() };
        }
        if let Some((canary, stable)) = self.both_bad() {
            return WaitingOn::BothBad { canary, stable };
        }
        self.waiting_for_evidence(now)
    }

    fn waiting_for_recovery(&self, fleet: Fleet<'_>, now: Timestamp) -> WaitingOn {
        let wanted = self.plan.replicas;
        let until = fleet.unready_since(wanted).unwrap_or(now).plus_ms(crate::decide::UNREADY_MS);
        WaitingOn::CanaryUnready { ready: fleet.ready(), wanted, until }
    }

    fn waiting_for_evidence(&self, now: Timestamp) -> WaitingOn {
        let (step, steps, weight) = (self.step.unwrap_or(0), self.steps().len(), self.weight());
        if let Some(Step::Pause { duration_ms }) = self.steps().get(step)
            && self.is_preview()
        {
            let revision = self.plan.revision.id.clone();
            if !self.is_checked() {
                return WaitingOn::Smoke { revision };
            }
            let since = self.route.as_ref().and_then(|wish| wish.weights_taken).unwrap_or(now).max(self.step_since);
            return WaitingOn::Preview { revision, until: duration_ms.map(|ms| since.plus_ms(self.preview_ms(ms))) };
        }
        if let Some(Step::Pause { duration_ms }) = self.steps().get(step) {
            return WaitingOn::PlannedPause { step, steps, until: duration_ms.map(|ms| self.step_since.plus_ms(ms)) };
        }
        let thin = self.is_thin(now);
        let open = self.open_questions(now);
        if open.is_empty() {
            let taken = self.route.as_ref().and_then(|wish| wish.weights_taken).unwrap_or(now).max(self.step_since);
            return WaitingOn::StepMinimum { step, steps, weight, until: taken.plus_ms(self.plan.limits.step_min_ms) };
        }
        let forecast_ms = self.judge.forecast_ms(thin);
        if self.deadline_passed {
            return WaitingOn::Held { step, steps, weight, open, forecast_ms, without_probes: self.plan.synthetic.is_none() };
        }
        let until = self.step_since.plus_ms(self.plan.limits.step_max_ms + self.closed_ms);
        let holds = self.plan.limits.deadline == Deadline::Hold;
        WaitingOn::Evidence { step, steps, weight, open, forecast_ms, until, holds }
    }

    pub(crate) fn open_questions(&self, now: Timestamp) -> Vec<Question> {
        match self.judge.verdict(self.is_thin(now)) {
            Verdict::NotEnough(open) => open,
            Verdict::NotWorse | Verdict::Worse(_) => Vec::new(),
        }
    }

    fn waiting_for_verification(&self, seen: &Observed, now: Timestamp) -> WaitingOn {
        let Some(fleet) = self.new_fleet(seen) else { return WaitingOn::TargetUnknown };
        if fleet.ready() < self.plan.replicas {
            return self.waiting_for_recovery(fleet, now);
        }
        if let Some(why) = seen.closed.as_ref().filter(|_| !self.has_all_traffic(&self.plan.revision.id)) {
            return WaitingOn::Closed { why: why.clone() };
        }
        if self.smoke.is_some_and(|smoke| !smoke.passed) {
            return WaitingOn::Smoke { revision: self.plan.revision.id.clone() };
        }
        let until = self.steady_since(seen).unwrap_or(now).plus_ms(self.plan.limits.verify_ms);
        match &self.paused_by {
            Some(by) if until <= now => WaitingOn::Paused { by: by.clone() },
            _ => WaitingOn::StayingReady { until },
        }
    }

    fn waiting_for_drain(&self, seen: &Observed, now: Timestamp, revision: &crate::RevisionId) -> WaitingOn {
        let taken = self.route.as_ref().and_then(|wish| wish.weights_taken).unwrap_or(now);
        let until = taken.plus_ms(self.plan.limits.drain_ms);
        WaitingOn::Draining { revision: revision.clone(), in_flight: in_flight(seen, revision), until }
    }

    fn waiting_for_stop(&self, seen: &Observed, revision: &crate::RevisionId) -> WaitingOn {
        let Some(fleet) = Fleet::of(seen, revision) else { return WaitingOn::TargetUnknown };
        let left = fleet.all().filter(|it| it.phase != InstancePhase::Stopped).count() as u32;
        WaitingOn::Stopping { revision: revision.clone(), left }
    }

    fn waiting_for_way_back(&self, seen: &Observed, now: Timestamp) -> WaitingOn {
        if let Some(on) = self.waiting_for_return(seen, now) {
            return on;
        }
        let stable = self.stable_id();
        if !self.has_all_traffic(stable) {
            let until = self.phase_since.plus_ms(self.plan.limits.ready_ms);
            return WaitingOn::StableGone { revision: stable.clone(), until };
        }
        self.waiting_for_route(seen).unwrap_or_else(|| self.waiting_for_drain(seen, now, &self.plan.revision.id))
    }

    /// The stable's, or the new one's where there is none; only asked for where there is one, or only one is left to name.
    pub(crate) fn stable_id(&self) -> &crate::RevisionId {
        self.stable().map_or(&self.plan.revision.id, |stable| &stable.id)
    }
}
