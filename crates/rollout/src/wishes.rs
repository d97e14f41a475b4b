//! What the world lacks of what the state wishes, as actions; asked for again until it is seen.

use crate::plan::RevisionId;
use crate::rollout::{Phase, Promote, Rollout};
use crate::seen::{Fleet, RouteState};
use crate::{Action, Observed};

impl Rollout {
    pub(crate) fn wishes(&self, seen: &Observed) -> Vec<Action> {
        let stable = self.stable().map(|stable| &stable.id);
        let runs = || self.wish_stable(seen).into_iter().chain(self.wish_run(seen));
        match self.phase {
            Phase::Planned | Phase::Finished => Vec::new(),
            Phase::Starting => self.wish_run(seen).into_iter().collect(),
            Phase::Rolling | Phase::Draining => runs().chain(self.wish_route(seen)).collect(),
            Phase::Canary | Phase::Verifying => runs().chain(self.wish_route(seen)).chain(self.wish_smoke(seen)).collect(),
            Phase::Retiring => {
                let stop = stable.and_then(|stable| self.wish_stop(seen, stable));
                self.wish_run(seen).into_iter().chain(self.wish_route(seen)).chain(stop).collect()
            }
            Phase::RollingBack => {
                let runs = self.wish_stable(seen).into_iter().chain(self.wish_fewer(seen));
                runs.chain(self.wish_route(seen)).collect()
            }
            // After a first release failed, the route points to nothing; it can't point to less.
            Phase::Removing => {
                let stop = self.wish_stop(seen, &self.plan.revision.id);
                self.wish_stable(seen).into_iter().chain(self.wish_route(seen)).chain(stop).collect()
            }
        }
    }

    fn wish_run(&self, seen: &Observed) -> Option<Action> {
        // A rolling update begins with none; what an earlier attempt left may still have traffic from a router that refused, and stays.
        if self.wanted() == 0 || !self.has_room(seen) {
            return None;
        }
        self.wish_scale(seen, &self.plan.revision.id, self.wanted())
    }

    /// What was decided when there was room may find an old instance there again, started by an order that came late: that one has to
    /// be gone first. Those of the new one that are too many end with the same order.
    fn has_room(&self, seen: &Observed) -> bool {
        let Some(rolling) = &self.rolling else { return true };
        let (Some(new), Some(old)) = (self.new_fleet(seen), self.stable_fleet(seen)) else { return false };
        let there = new.live() - new.live_from(rolling.scale.new);
        let missing = rolling.scale.new - there;
        let most = rolling.most(self.promote == Some(Promote::Full));
        missing == 0 || there + missing + old.live() <= most
    }

    /// Others leave the old revision as it is until it stops, and whoever has the environment keeps it so. What gets no more requests
    /// and is gone is not started again to leave once more.
    fn wish_stable(&self, seen: &Observed) -> Option<Action> {
        let rolling = self.rolling.as_ref()?;
        let leaving = rolling.serving.old < rolling.scale.old;
        let replicas = match self.stable_fleet(seen) {
            Some(fleet) if leaving => fleet.last_live_below(rolling.scale.old).map_or(0, |last| last + 1).max(rolling.serving.old),
            None if leaving => 0,
            _ => rolling.scale.old,
        };
        if leaving && replicas == 0 { None } else { self.wish_scale(seen, &self.stable()?.id, replicas) }
    }

    /// On the way back the new revision only shrinks.
    fn wish_fewer(&self, seen: &Observed) -> Option<Action> {
        let (rolling, fleet) = (self.rolling.as_ref()?, self.new_fleet(seen));
        let is_more = fleet.is_none_or(|fleet| fleet.live_from(rolling.scale.new) > 0);
        if is_more && rolling.lowered { self.wish_scale(seen, &self.plan.revision.id, rolling.scale.new) } else { None }
    }

    fn wish_scale(&self, seen: &Observed, revision: &RevisionId, replicas: u32) -> Option<Action> {
        if replicas == 0 {
            return self.wish_stop(seen, revision);
        }
        let complete = Fleet::of(seen, revision).is_some_and(|fleet| fleet.is_complete(replicas));
        (!complete).then(|| Action::Run { generation: self.instances_generation, revision: revision.clone(), replicas })
    }

    fn wish_stop(&self, seen: &Observed, revision: &RevisionId) -> Option<Action> {
        let gone = Fleet::of(seen, revision).is_some_and(|fleet| fleet.live() == 0);
        (!gone).then(|| Action::Stop { generation: self.instances_generation, revision: revision.clone() })
    }

    fn wish_route(&self, seen: &Observed) -> Option<Action> {
        let wish = self.route.as_ref()?;
        match self.route_state(seen) {
            RouteState::Taken | RouteState::NotAsked | RouteState::Superseded { .. } => None,
            RouteState::Behind { .. } | RouteState::Unknown => Some(Action::Route {
                generation: wish.generation,
                weights: wish.weights.clone(),
                endpoints: wish.endpoints.clone(),
                synthetic: wish.synthetic.clone(),
            }),
        }
    }

    fn wish_smoke(&self, seen: &Observed) -> Option<Action> {
        let smoke = self.smoke.filter(|smoke| !smoke.passed && !seen.smoke.contains_key(&smoke.generation))?;
        Some(Action::Smoke { generation: smoke.generation, revision: self.plan.revision.id.clone() })
    }
}
