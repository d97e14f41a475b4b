//! What a rolling update waits for.

use base::Timestamp;

use super::Rolling;
use super::decide::side;
use crate::Observed;
use crate::rollout::Rollout;
use crate::seen::{Fleet, RouteState, in_flight};
use crate::waiting::WaitingOn;

impl Rollout {
    pub(crate) fn waiting_for_replacement(&self, seen: &Observed, now: Timestamp) -> WaitingOn {
        let (Some(new), Some(old), Some(rolling)) = (self.new_fleet(seen), self.stable_fleet(seen), &self.rolling) else {
            return WaitingOn::TargetUnknown;
        };
        if let Some(on) = self.waiting_for_followers(seen) {
            return on;
        }
        let ready = new.ready_below(rolling.scale.new);
        if ready < rolling.scale.new {
            return self.waiting_for_new(seen, new, rolling, now);
        }
        if let Some(by) = &self.paused_by {
            return WaitingOn::Paused { by: by.clone() };
        }
        if let Some(why) = &seen.closed {
            return WaitingOn::Closed { why: why.clone() };
        }
        if !self.is_accepted(seen) {
            return WaitingOn::Target;
        }
        if ready >= rolling.replicas {
            return WaitingOn::FirstLook { until: self.phase_since.plus_ms(self.plan.judge.look_ms) };
        }
        self.waiting_for_leaving(seen).or_else(|| ending(rolling, new, old)).unwrap_or_else(|| {
            let (revision, ready) = (old.revision.clone(), old.ready_below(rolling.scale.old));
            let least = rolling.bounds_forward(false).least;
            WaitingOn::OldUnready { revision, ready, wanted: rolling.scale.old, least }
        })
    }

    /// Nothing when the old revision is whole again, and the way back is that of any other strategy.
    pub(crate) fn waiting_for_return(&self, seen: &Observed, now: Timestamp) -> Option<WaitingOn> {
        let rolling = self.rolling.as_ref().filter(|_| self.is_returning(seen, now))?;
        let Some(old) = self.stable_fleet(seen) else { return Some(WaitingOn::TargetUnknown) };
        if !self.is_accepted(seen) {
            return Some(WaitingOn::Target);
        }
        let started_again = || WaitingOn::StartedAgain {
            revision: old.revision.clone(),
            ready: old.ready_below(rolling.scale.old),
            wanted: rolling.old_replicas,
            until: rolling.grown_at.plus_ms(self.plan.limits.ready_ms),
        };
        Some(self.waiting_for_followers(seen).or_else(|| self.waiting_for_leaving(seen)).unwrap_or_else(started_again))
    }

    fn waiting_for_followers(&self, seen: &Observed) -> Option<WaitingOn> {
        match self.route_state(seen) {
            RouteState::Unknown => Some(WaitingOn::RouterUnknown),
            RouteState::NotAsked if seen.route.is_none() => Some(WaitingOn::RouterUnknown),
            RouteState::Behind { .. } => Some(WaitingOn::RouterFollows { until: self.refused_from() }),
            RouteState::Superseded { .. } => Some(WaitingOn::Superseded),
            RouteState::Taken | RouteState::NotAsked => None,
        }
    }

    /// Those that were ready are expected to be so again, the others have their time to become so.
    fn waiting_for_new(&self, seen: &Observed, fleet: Fleet<'_>, rolling: &Rolling, now: Timestamp) -> WaitingOn {
        let was_ready = fleet.ready_below(rolling.proved) < rolling.proved;
        if was_ready && self.stable_is_gone(seen) {
            return WaitingOn::StableUnready { revision: self.stable_id().clone() };
        }
        let (ready, wanted) = (fleet.ready_below(rolling.scale.new), rolling.scale.new);
        if was_ready {
            let until = fleet.unready_since(rolling.proved).unwrap_or(now).plus_ms(crate::decide::UNREADY_MS);
            return WaitingOn::CanaryUnready { ready, wanted, until };
        }
        let until = rolling.grown_at.plus_ms(self.plan.limits.ready_ms);
        WaitingOn::Instances { revision: fleet.revision.clone(), ready, wanted, message: fleet.message(), until }
    }

    fn waiting_for_leaving(&self, seen: &Observed) -> Option<WaitingOn> {
        let (rolling, revision) = (self.rolling.as_ref()?, self.leaving_revision()?.clone());
        let count = (rolling.scale.new - rolling.serving.new) + (rolling.scale.old - rolling.serving.old);
        let in_flight = in_flight(seen, &revision);
        Some(WaitingOn::Leaving { revision, count, in_flight, until: self.finished_by() })
    }
}

fn ending(rolling: &Rolling, new: Fleet<'_>, old: Fleet<'_>) -> Option<WaitingOn> {
    let count = |fleet, wanted| side(fleet, wanted, wanted).ending;
    let sides = [(old, count(old, rolling.scale.old)), (new, count(new, rolling.scale.new))];
    sides.into_iter().find(|(_, left)| *left > 0).map(|(fleet, left)| WaitingOn::Ending { revision: fleet.revision.clone(), count: left })
}
