use std::collections::BTreeMap;

use base::{Histogram, Timestamp};

use super::parse::{RouterMood, Traffic, What};
use crate::{
    Action, Counts, InstancePhase, InstanceSeen, Observed, Plan, RevisionCounts, RevisionId, RouteSeen, SmokeSeen, Synthetic, TargetSeen,
};

/// Edges of histogram buckets: what ordinary and what slow requests take.
const FAST_US: u64 = 10_047;
const SLOW_US: u64 = 200_703;

/// What the stable has answered before the rollout begins.
const ANSWERED_BEFORE: u64 = 1_000;

/// An obedient world: does at once what it is asked, unless a line said otherwise.
pub(super) struct World {
    instances: BTreeMap<(RevisionId, u32), InstanceSeen>,
    /// Of the last order about instances.
    ordered: u64,
    target_known: bool,
    router: RouterMood,
    route: RouteSeen,
    synthetic: Option<Synthetic>,
    traffic: Traffic,
    canary: RevisionId,
    boot_ms: Option<u64>,
    smoke: BTreeMap<u64, SmokeSeen>,
    smoke_failure: Option<String>,
    closed: Option<String>,
    checks: u32,
    /// Parts of requests, until they are whole ones.
    parts: BTreeMap<(RevisionId, &'static str), f64>,
}

impl World {
    pub fn new(plan: &Plan, boot_ms: Option<u64>, now: Timestamp) -> World {
        let mut world = World {
            instances: BTreeMap::new(),
            ordered: plan.generation_base,
            target_known: true,
            router: RouterMood::Obeys,
            route: RouteSeen {
                generation: plan.generation_base,
                weights: BTreeMap::new(),
                epoch: "a".to_string(),
                counts: BTreeMap::new(),
            },
            synthetic: None,
            traffic: Traffic::default(),
            canary: plan.revision.id.clone(),
            boot_ms,
            smoke: BTreeMap::new(),
            smoke_failure: None,
            closed: None,
            checks: plan.smoke.len() as u32,
            parts: BTreeMap::new(),
        };
        if let Some(stable) = &plan.stable {
            world.route.weights.insert(stable.id.clone(), 10_000);
            let before = Counts { requests: ANSWERED_BEFORE, bad: 0, latency: Histogram(BTreeMap::from([(FAST_US, ANSWERED_BEFORE)])) };
            world.route.counts.insert(stable.id.clone(), RevisionCounts { users: before, ..RevisionCounts::default() });
            for index in 0..plan.stable_replicas.unwrap_or(plan.replicas) {
                world.start(&stable.id, index, InstancePhase::Ready, now);
            }
        }
        world
    }

    pub fn observe(&self) -> Observed {
        Observed {
            target: self
                .target_known
                .then(|| TargetSeen { generation: self.ordered, instances: self.instances.values().cloned().collect() }),
            route: (self.router != RouterMood::Unknown).then(|| self.route.clone()),
            smoke: self.smoke.clone(),
            closed: self.closed.clone(),
        }
    }

    /// Time passes: instances boot, users and probes ask.
    pub fn pass(&mut self, from: Timestamp, to: Timestamp) {
        for instance in self.instances.values_mut() {
            let booted = self.boot_ms.filter(|_| instance.phase == InstancePhase::Starting).map(|ms| instance.since.plus_ms(ms));
            if let Some(at) = booted.filter(|at| *at <= to) {
                (instance.phase, instance.since) = (InstancePhase::Ready, at);
            }
        }
        let passed_ms = to.since_ms(from) as f64;
        for (revision, weight) in self.route.weights.clone() {
            let requests = self.traffic.per_minute / 60_000.0 * passed_ms * f64::from(weight) / 10_000.0;
            self.ask(&revision, requests, ["users", "users bad", "users slow"], |counts| &mut counts.users);
        }
        if let Some(synthetic) = self.synthetic.clone() {
            let requests = passed_ms / synthetic.interval_ms as f64;
            for revision in &synthetic.revisions {
                self.ask(revision, requests, ["probes", "probes bad", "probes slow"], |counts| &mut counts.synthetic);
            }
        }
    }

    pub fn apply(&mut self, what: &What, now: Timestamp) {
        match what {
            What::Instance { revision, index, phase, restarts, message } => {
                // One that nobody asked for was left by an earlier attempt.
                if let Some(index) = index.filter(|index| !self.instances.values().any(|it| it.revision == *revision && it.index == *index))
                {
                    self.start(revision, index, *phase, now);
                }
                let matching =
                    self.instances.values_mut().filter(|it| it.revision == *revision && index.is_none_or(|index| it.index == index));
                for instance in matching {
                    (instance.phase, instance.since) = (*phase, now);
                    instance.restarts = restarts.unwrap_or(instance.restarts);
                    instance.message.clone_from(message);
                }
            }
            What::Target(known) => self.target_known = *known,
            What::Router(mood) => {
                self.router = *mood;
                if let RouterMood::Taken(generation) = mood {
                    self.route.generation = *generation;
                }
            }
            What::Epoch(epoch) => {
                self.route.epoch.clone_from(epoch);
                self.route.counts.clear();
            }
            What::Traffic(traffic) => self.traffic = *traffic,
            What::Counts { revision, requests, bad, slow } => {
                let latency = Histogram(BTreeMap::from([(FAST_US, requests - slow.min(requests)), (SLOW_US, *slow)]));
                self.route.counts.entry(revision.clone()).or_default().users = Counts { requests: *requests, bad: *bad, latency };
            }
            What::InFlight { revision, requests } => self.route.counts.entry(revision.clone()).or_default().in_flight = *requests,
            What::Closed(why) => self.closed.clone_from(why),
            What::SmokeFails(message) => self.smoke_failure = Some(message.clone()),
            What::Command { .. } | What::End => {}
        }
    }

    pub fn perform(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Run { generation, revision, replicas } => {
                self.ordered = *generation;
                for index in 0..*replicas {
                    let there = self.instances.get(&(revision.clone(), index)).is_some_and(|it| it.phase != InstancePhase::Stopped);
                    if !there {
                        self.start(revision, index, InstancePhase::Starting, now);
                    }
                }
                self.end(revision, *replicas, now);
            }
            Action::Stop { generation, revision } => {
                self.ordered = *generation;
                self.end(revision, 0, now);
            }
            Action::Route { generation, weights, synthetic, .. } => {
                if self.router == RouterMood::Obeys && *generation >= self.route.generation {
                    (self.route.generation, self.route.weights) = (*generation, weights.clone());
                    self.synthetic.clone_from(synthetic);
                }
            }
            Action::Smoke { generation, .. } => {
                let failures = self.smoke_failure.iter().cloned().collect();
                self.smoke.insert(*generation, SmokeSeen { failures, checks: self.checks });
            }
        }
    }

    fn start(&mut self, revision: &RevisionId, index: u32, phase: InstancePhase, now: Timestamp) {
        let port = if *revision == self.canary { 4200 } else { 4100 } + index;
        let address = Some(format!("127.0.0.1:{port}"));
        let instance = InstanceSeen { revision: revision.clone(), index, address, phase, restarts: 0, message: None, since: now };
        self.instances.insert((revision.clone(), index), instance);
    }

    /// Those with an index from there on.
    fn end(&mut self, revision: &RevisionId, from: u32, now: Timestamp) {
        let of_it = self.instances.values_mut().filter(|it| it.revision == *revision && it.index >= from);
        for instance in of_it.filter(|it| it.phase != InstancePhase::Stopped) {
            (instance.phase, instance.since) = (InstancePhase::Stopped, now);
        }
    }

    fn ask(&mut self, revision: &RevisionId, requests: f64, names: [&'static str; 3], of: impl Fn(&mut RevisionCounts) -> &mut Counts) {
        let canary = *revision == self.canary;
        let bad = if canary { self.traffic.canary_bad } else { self.traffic.bad };
        let slow = if canary { self.traffic.canary_slow } else { self.traffic.slow };
        let asked = self.whole(revision, names[0], requests);
        let bad = self.whole(revision, names[1], asked as f64 * bad).min(asked);
        let slow = self.whole(revision, names[2], asked as f64 * slow).min(asked);
        let counts = of(self.route.counts.entry(revision.clone()).or_default());
        counts.requests += asked;
        counts.bad += bad;
        *counts.latency.0.entry(FAST_US).or_default() += asked - slow;
        *counts.latency.0.entry(SLOW_US).or_default() += slow;
    }

    fn whole(&mut self, revision: &RevisionId, name: &'static str, part: f64) -> u64 {
        let kept = self.parts.entry((revision.clone(), name)).or_default();
        *kept += part;
        // Sums of decimal parts miss the whole by a hair.
        let whole = (*kept + 1e-9).floor();
        *kept -= whole;
        whole as u64
    }
}
