//! What the world lacks of what the state wishes, as actions; asked for again until it is seen.

use crate::plan::RevisionId;
use crate::rolling::Rolling;
use crate::rollout::{Phase, Rollout};
use crate::seen::{Fleet, RouteState};
use crate::{Action, Observed};

impl Rollout {
    pub(crate) fn wishes(&self, seen: &Observed) -> Vec<Action> {
        let stable = self.stable().map(|stable| &stable.id);
        let runs = || self.or_fence(seen, self.wish_stable(seen).into_iter().chain(self.wish_run(seen)).collect()).into_iter();
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
                let runs = self.or_fence(seen, self.wish_stable(seen).into_iter().chain(self.wish_fewer(seen)).collect());
                runs.into_iter().chain(self.wish_route(seen)).collect()
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
        if self.wanted() == 0 {
            return None;
        }
        self.wish_scale(seen, &self.plan.revision.id, self.wanted())
    }

    /// Others leave the old revision as it is until it stops, and whoever has the environment keeps it so.
    fn wish_stable(&self, seen: &Observed) -> Option<Action> {
        let rolling = self.rolling.as_ref()?;
        let replicas = self.old_wanted(rolling, seen);
        let leaving = rolling.serving.old < rolling.scale.old;
        if leaving && replicas == 0 { None } else { self.wish_scale(seen, &self.stable()?.id, replicas) }
    }

    /// What gets no more requests and is gone is not started again to leave once more.
    fn old_wanted(&self, rolling: &Rolling, seen: &Observed) -> u32 {
        match self.stable_fleet(seen) {
            _ if rolling.serving.old >= rolling.scale.old => rolling.scale.old,
            Some(fleet) => fleet.last_live_below(rolling.scale.old).map_or(0, |last| last + 1).max(rolling.serving.old),
            None => 0,
        }
    }

    /// A rolling update whose target lacks nothing orders it all the same, once: what is still on its way from before would otherwise be
    /// obeyed when there is no room for it any more. Nothing grows before it is known to be refused.
    fn or_fence(&self, seen: &Observed, wishes: Vec<Action>) -> Vec<Action> {
        match (&self.rolling, self.stable()) {
            (Some(rolling), Some(stable)) if wishes.is_empty() && seen.target.is_some() && !self.is_accepted(seen) => {
                vec![self.order(&stable.id, self.old_wanted(rolling, seen))]
            }
            _ => wishes,
        }
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
        (!complete).then(|| self.order(revision, replicas))
    }

    fn wish_stop(&self, seen: &Observed, revision: &RevisionId) -> Option<Action> {
        let gone = Fleet::of(seen, revision).is_some_and(|fleet| fleet.live() == 0);
        (!gone).then(|| self.order(revision, 0))
    }

    fn order(&self, revision: &RevisionId, replicas: u32) -> Action {
        let (generation, revision) = (self.instances_generation, revision.clone());
        if replicas == 0 { Action::Stop { generation, revision } } else { Action::Run { generation, revision, replicas } }
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
