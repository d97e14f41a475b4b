//! What the world lacks of what the state wishes, as actions; asked for again until it is seen.

use crate::plan::RevisionId;
use crate::rollout::{Phase, Rollout};
use crate::seen::{Fleet, RouteState};
use crate::{Action, Observed};

impl Rollout {
    pub(crate) fn wishes(&self, seen: &Observed) -> Vec<Action> {
        let stable = self.stable().map(|stable| &stable.id);
        match self.phase {
            Phase::Planned | Phase::Finished => Vec::new(),
            Phase::Starting => self.wish_run(seen).into_iter().collect(),
            Phase::Draining => self.wish_run(seen).into_iter().chain(self.wish_route(seen)).collect(),
            Phase::Canary | Phase::Verifying => {
                self.wish_run(seen).into_iter().chain(self.wish_route(seen)).chain(self.wish_smoke(seen)).collect()
            }
            Phase::Retiring => {
                let stop = stable.and_then(|stable| self.wish_stop(seen, stable));
                self.wish_run(seen).into_iter().chain(self.wish_route(seen)).chain(stop).collect()
            }
            Phase::RollingBack => self.wish_route(seen).into_iter().collect(),
            // After a first release failed, the route points to nothing; it can't point to less.
            Phase::Removing => self.wish_route(seen).into_iter().chain(self.wish_stop(seen, &self.plan.revision.id)).collect(),
        }
    }

    fn wish_run(&self, seen: &Observed) -> Option<Action> {
        let replicas = self.plan.replicas;
        let complete = self.new_fleet(seen).is_some_and(|fleet| fleet.is_complete(replicas));
        let revision = self.plan.revision.id.clone();
        (!complete).then_some(Action::Run { generation: self.instances_generation, revision, replicas })
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
