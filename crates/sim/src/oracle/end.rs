//! What must be so when all is calm and over.

use std::sync::Arc;

use engine::Cache;
use record::{Fact, ledger, verify};
use release::{Environment, Event, Plan, Release};

use super::Oracle;
use crate::plans::{ENVIRONMENT, Nature, project};
use crate::scheduler::{Sim, at_once};
use crate::world::Truth;

impl Oracle {
    pub fn unfinished(&self) -> Vec<String> {
        let open = self.releases.iter().filter(|(_, it)| it.outcome().is_none());
        open.map(|(id, it)| format!("{id} in {:?}, rollout {:?}", it.phase(), it.rollout().map(rollout::Rollout::phase))).collect()
    }
}

impl Truth {
    /// I1, I10, I15, and that the world is as the record wants it.
    pub fn at_the_end(&self, sim: &Arc<Sim>, caches: &[&Cache]) {
        let facts = at_once(record::Store::read(&sim.memory, 0, usize::MAX)).expect("the store in memory reads");
        for (position, hash) in &self.store.acknowledged {
            if facts.get(*position as usize - 1).map(|fact| fact.hash) != Some(*hash) {
                sim.violate("I1 nothing is lost", format!("fact {position} was acknowledged and is not on record"));
            }
        }
        match at_once(verify(&sim.memory)) {
            Ok(verified) if verified.facts == facts.len() as u64 => {}
            other => sim.violate("I10 the chain verifies", format!("{other:?}")),
        }
        self.replays(sim, &facts, caches);
        self.world_as_recorded(sim);
    }

    fn replays(&self, sim: &Arc<Sim>, facts: &[Fact], caches: &[&Cache]) {
        for (id, folded) in &self.oracle.releases {
            let (plan, events) = read(facts, &ledger::release_stream(*id));
            for _ in 0..2 {
                if Release::replay(plan.clone(), &events) != *folded {
                    sim.violate("I15 same record, same state", format!("release {id} replays to something else"));
                }
            }
        }
        let stream = ledger::environment_stream(project(), ENVIRONMENT);
        let events: Vec<_> = of(facts, &stream).map(|fact| ledger::read(fact).expect("what was written can be read")).collect();
        let replayed = Environment::replay(&events);
        if replayed != self.oracle.environment {
            sim.violate("I15 same record, same state", "the environment replays to something else".to_string());
        }
        for cache in caches {
            match at_once(cache.environment(&sim.memory, project(), ENVIRONMENT)) {
                Ok(loaded) if *loaded.environment == replayed => {}
                other => sim.violate("I15 same record, same state", format!("a server's cache has {other:?}")),
            }
        }
    }

    fn world_as_recorded(&self, sim: &Arc<Sim>) {
        if self.router.refuses {
            return self.traffic_has_somewhere_to_go(sim);
        }
        let environment = &self.oracle.environment;
        let Some(live) = environment.live() else {
            let running: Vec<_> = self.target.running().collect();
            if self.router.route.is_some() || !running.is_empty() {
                let detail = format!("nothing is live, yet {running:?} run and the route is {:?}", self.router.route);
                sim.violate("the world as recorded", detail);
            }
            return;
        };
        let revision = &live.instance.revision;
        let restless = matches!(self.natures.get(&live.instance.artifact), Some(Nature::DiesLater | Nature::CrashLoop));
        if self.weight_in_force(revision) != 10_000 {
            sim.violate("the world as recorded", format!("{revision} is live, and the route is {:?}", self.router.route));
        }
        let reachable = |route: &Arc<engine::world::Route>| route.endpoints.iter().any(|it| self.target.answers(&it.address));
        if !restless && (self.target.ready(revision) < live.delivery.replicas || !self.router.route.as_ref().is_some_and(reachable)) {
            let detail = format!("{revision} is live: {:?}, route {:?}", self.target.instances, self.router.route);
            sim.violate("the world as recorded", detail);
        }
        if let Some(other) = self.target.running().find(|it| *it != revision) {
            sim.violate("the world as recorded", format!("{revision} is live, and {other} still runs"));
        }
    }

    /// A router that refuses keeps what it has, and so does what it sends to, as far as that was ever allowed.
    fn traffic_has_somewhere_to_go(&self, sim: &Arc<Sim>) {
        let (Some(route), Some(_)) = (&self.router.route, self.oracle.environment.live()) else { return };
        for (revision, _) in route.weights.iter().filter(|(_, weight)| **weight > 0) {
            if self.target.was_stopped(revision) && !self.may_be_nobody(revision) {
                sim.violate("the world as recorded", format!("{revision} has traffic from a router that refuses, and was stopped"));
            }
        }
    }
}

fn of<'a>(facts: &'a [Fact], stream: &'a str) -> impl Iterator<Item = &'a Fact> {
    facts.iter().filter(move |fact| fact.stream == stream)
}

fn read(facts: &[Fact], stream: &str) -> (Arc<Plan>, Vec<Event>) {
    let mut facts = of(facts, stream);
    let plan: Plan = ledger::read(facts.next().expect("a release has its plan")).expect("what was written can be read");
    let events = facts.map(|fact| ledger::read(fact).expect("what was written can be read")).collect();
    (Arc::new(plan), events)
}
