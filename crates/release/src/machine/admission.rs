//! Into the environment: when it is free, and what is to run is there; never for what was left meanwhile.

use base::Timestamp;
use base::name::ReleaseId;
use rollout::{Container, InstancePlan, Strategy};

use super::{Advance, Observed, Release, many, one};
use crate::environment::{Environment, EnvironmentEvent, GENERATIONS_PER_RELEASE};
use crate::event::Event;
use crate::plan::{Delivery, Kind, revision};
use crate::source::Prepared;
use crate::status::Outcome;
use crate::waiting::Waiting;

impl Release {
    /// What was tried and has been left since is not moved on, however late somebody agrees.
    pub(super) fn left_behind(&self, seen: &Observed) -> Option<gate::Violation> {
        let (proved, source) = (self.proved()?, seen.source.as_ref()?);
        if source.live().is_some_and(|live| live.instance.artifact == proved.artifact) {
            return None;
        }
        let message = format!("what was to move on is not live in `{}` any more", proved.environment);
        Some(gate::Violation { id: "promotion/left".to_string(), message, evidence: Vec::new(), rule: None })
    }

    pub(super) fn admit_rollback(&self, seen: &Observed, environment: &Environment, now: Timestamp) -> Advance {
        let Kind::Rollback { revision, undoes, .. } = &self.plan.kind else {
            panic!("a change reaches its decision with an artifact");
        };
        if undoes.is_some_and(|undone| environment.live().is_none_or(|live| live.release != undone)) {
            let outcome = match environment.live() {
                Some(live) => Outcome::Superseded { by: live.number },
                None => Outcome::Cancelled { by: self.plan.actor.clone() },
            };
            return one(Event::Finished { outcome, at: now });
        }
        self.admit((**revision).clone(), None, seen, environment, now)
    }

    /// What its instances are to run in, while the target is to be asked for that.
    pub fn container(&self) -> Option<&Container> {
        match &self.plan.kind {
            _ if self.rollout.is_some() => None,
            Kind::Rollback { revision, .. } => revision.container.as_ref(),
            Kind::Change(_) => self.plan.delivery.container.as_ref(),
        }
    }

    /// Nothing is stopped or routed for what could not be started.
    pub(super) fn unprepared(&self, seen: &Observed) -> Option<Advance> {
        let container = self.container()?;
        let why = match &seen.prepared {
            Some(Prepared::Here) => return None,
            Some(Prepared::NotYet { why }) => why.clone(),
            None => format!("it is being looked for `{}`", container.image),
        };
        Some(Advance { waiting: Some(Waiting::Image { why }), ..Advance::default() })
    }

    /// `asked` is the strategy that the gate's answer of this moment asks for.
    pub(super) fn admit(
        &self,
        instance: InstancePlan,
        asked: Option<&str>,
        seen: &Observed,
        environment: &Environment,
        now: Timestamp,
    ) -> Advance {
        if let Some(occupied_by) = environment.occupied() {
            return self.wait_for(occupied_by);
        }
        let delivery = &self.plan.delivery;
        if let Some(live) = environment.live()
            && live.instance.revision == instance.revision
            && live.delivery.replicas == delivery.replicas
            && live.delivery.port == delivery.port
        {
            let outcome = Outcome::Unchanged { revision: instance.revision };
            return many(vec![Event::Unchanged { at: now }, Event::Finished { outcome, at: now }]);
        }
        if let Some(held) = self.unprepared(seen) {
            return held;
        }
        let generation = environment.generation() + GENERATIONS_PER_RELEASE;
        let stable = environment.live().map(|live| revision(&live.instance));
        let strategy = match (environment.live(), &self.plan.kind) {
            (Some(_), Kind::Change(_)) => {
                asked.and_then(|name| Strategy::named(name, &delivery.strategy)).unwrap_or_else(|| delivery.strategy.clone())
            }
            (Some(live), Kind::Rollback { .. }) => in_place(&live.delivery).or_else(|| in_place(delivery)).unwrap_or(Strategy::Immediate),
            (None, _) => Strategy::Immediate,
        };
        let mut limits = delivery.limits.clone();
        if std::mem::discriminant(&strategy) != std::mem::discriminant(&delivery.strategy) {
            limits.warm_ms = strategy.default_warm_ms();
        }
        let is_rolling = matches!(strategy, Strategy::RollingUpdate { .. });
        let before = environment.live().map(|live| live.delivery.replicas);
        let stable_replicas = before.filter(|before| is_rolling && *before != delivery.replicas);
        let rollout = rollout::Plan {
            revision: revision(&instance),
            stable,
            strategy,
            replicas: delivery.replicas,
            stable_replicas,
            generation_base: generation,
            limits,
            judge: delivery.judge.clone(),
            smoke: delivery.smoke.clone(),
            synthetic: delivery.synthetic.clone(),
        };
        let admitted = Event::Admitted { instance: Box::new(instance), rollout: Box::new(rollout), at: now };
        let environment = EnvironmentEvent::Admitted { release: self.plan.id, generation, at: now };
        Advance { events: vec![admitted], environment: vec![environment], ..Advance::default() }
    }

    pub(super) fn wait_for(&self, occupied_by: ReleaseId) -> Advance {
        let waiting = Waiting::Environment { name: self.plan.environment.clone(), occupied_by };
        Advance { waiting: Some(waiting), ..Advance::default() }
    }
}

/// Where instances are replaced and not put beside each other, they are on the way back too: there may be no room or no second port.
/// Where they may, the way back is the one that is fastest.
fn in_place(delivery: &Delivery) -> Option<Strategy> {
    delivery.strategy.is_in_place(delivery.replicas).then(|| delivery.strategy.clone())
}
