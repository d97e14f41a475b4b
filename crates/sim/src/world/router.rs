use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::world::{Route, RouteSeen, Router, WorldError};
use fastrand::Rng;
use rollout::{Counts, RevisionCounts, RevisionId};

use super::{Border, Truth};
use crate::breaks::Break;
use crate::faults::Fault;
use crate::plans::Nature;
use crate::scheduler::Sim;

/// The route in force and the users behind it.
#[derive(Debug, Default)]
pub(crate) struct RouterTruth {
    pub route: Option<Arc<Route>>,
    /// It follows nothing any more.
    pub refuses: bool,
    /// Generations count for nothing.
    obeys_all: bool,
    pub requests_per_second: f64,
    /// Users' requests that each revision ever got, over all epochs.
    pub served: BTreeMap<RevisionId, u64>,
    /// Every generation that was ever in force.
    pub taken: BTreeSet<u64>,
    generation: u64,
    restarts: u32,
    /// Other after each restart.
    epoch: String,
    counts: BTreeMap<RevisionId, RevisionCounts>,
    counted_until: i64,
    /// What could be seen before, in this epoch.
    earlier: VecDeque<RouteSeen>,
}

pub(crate) struct SimRouter {
    pub border: Border,
    pub last: Mutex<Option<RouteSeen>>,
}

#[async_trait]
impl Router for SimRouter {
    async fn observe(&self, _: &str) -> Option<RouteSeen> {
        let sim = &self.border.sim;
        let unknown = sim.strikes(Fault::RouterUnknown, 6);
        let seen = self.border.look(observe).await;
        if unknown {
            return if sim.broken == Some(Break::UnknownIsGood) { self.made_up() } else { None };
        }
        if sim.broken == Some(Break::UnknownIsGood) {
            self.last.lock().expect("no holder panics").clone_from(&seen);
        }
        seen
    }

    async fn shift(&self, service: &str, route: &Route) -> Result<(), WorldError> {
        let (server, route) = (self.border.server, Arc::new(route.clone()));
        let done = self.border.request(move |sim| shift(sim, server, &route)).await;
        followed(done, format_args!("route {service}"))
    }

    async fn remove(&self, service: &str, generation: u64) -> Result<(), WorldError> {
        let server = self.border.server;
        let done = self.border.request(move |sim| remove(sim, server, generation)).await;
        followed(done, format_args!("remove the route of {service}"))
    }
}

fn followed(done: Option<bool>, doing: std::fmt::Arguments<'_>) -> Result<(), WorldError> {
    match done {
        Some(true) => Ok(()),
        Some(false) => Err(WorldError::new(doing.to_string(), "it refuses")),
        None => Err(WorldError::new(doing.to_string(), "no answer")),
    }
}

impl SimRouter {
    /// What a lying adapter says when it can't ask: as before, and everybody is happy.
    fn made_up(&self) -> Option<RouteSeen> {
        let mut last = self.last.lock().expect("no holder panics");
        let seen = last.as_mut()?;
        for counts in seen.counts.values_mut() {
            counts.users.requests += 1_000;
            *counts.users.latency.0.entry(FAST_US).or_default() += 1_000;
        }
        Some(seen.clone())
    }
}

impl RouterTruth {
    pub fn new(obeys_all: bool) -> RouterTruth {
        RouterTruth { obeys_all, ..RouterTruth::default() }
    }
}

/// Edges of a latency histogram's buckets.
const FAST_US: u64 = 10_047;
const SLOW_US: u64 = 50_175;

fn observe(sim: &Arc<Sim>) -> Option<RouteSeen> {
    let mut truth = sim.truth();
    truth.serve(sim);
    let router = &mut truth.router;
    let mut seen = RouteSeen { epoch: router.epoch.clone(), counts: router.counts.clone(), ..RouteSeen::default() };
    if let Some(route) = &router.route {
        (seen.generation, seen.weights) = (route.generation, route.weights.clone());
        for (revision, weight) in &route.weights {
            seen.counts.entry(revision.clone()).or_default().in_flight = u64::from(*weight > 0) * 3;
        }
    }
    if !sim.may(Fault::CountsStale) {
        return Some(seen);
    }
    let stale = if sim.strikes(Fault::CountsStale, 4) { sim.range(0..8) as usize } else { usize::MAX };
    let mut told = router.earlier.get(stale).cloned().unwrap_or_else(|| seen.clone());
    if router.refuses {
        // Its counters may be old news, not the route that it refuses to leave: whoever gives up on it has to know where the traffic is.
        (told.generation, told.weights) = (seen.generation, seen.weights.clone());
    }
    router.earlier.push_front(seen);
    router.earlier.truncate(8);
    Some(told)
}

/// False when it refuses.
fn shift(sim: &Arc<Sim>, server: usize, route: &Arc<Route>) -> bool {
    let mut truth = sim.truth();
    truth.oracle.routed(sim, route);
    if truth.router.refuses {
        sim.trace(format_args!("router: {} by {server} is refused", route.generation));
        return false;
    }
    if route.generation < truth.router.generation && !truth.router.obeys_all {
        sim.trace(format_args!("router: {} by {server} is too late", route.generation));
        return true;
    }
    truth.serve(sim);
    let weights: Vec<String> = route.weights.iter().map(|(revision, weight)| format!("{revision} {weight}")).collect();
    sim.trace(format_args!("router: {} by {server}: {}", route.generation, weights.join(", ")));
    truth.router.generation = route.generation;
    truth.router.taken.insert(route.generation);
    truth.router.route = Some(route.clone());
    truth.oracle.route_in_force(sim, route);
    true
}

fn remove(sim: &Arc<Sim>, server: usize, generation: u64) -> bool {
    let mut truth = sim.truth();
    truth.oracle.acted(sim, generation, "remove");
    if truth.router.refuses {
        return false;
    }
    if generation < truth.router.generation && !truth.router.obeys_all {
        return true;
    }
    truth.serve(sim);
    sim.trace(format_args!("router: removed at {generation} by {server}"));
    // The generation is remembered: a late hand must not bring back what was taken down.
    truth.router.generation = generation;
    truth.router.route = None;
    true
}

/// As with a file descriptor it can't get, or a configuration nobody wrote for it: it answers, and that is all.
pub(crate) fn refuse_from_now_on(sim: &Arc<Sim>) {
    sim.trace(format_args!("router: refuses from here on"));
    sim.truth().router.refuses = true;
}

/// Another process with the same routes, whose counters begin from zero.
pub(crate) fn restart(sim: &Arc<Sim>) {
    let mut truth = sim.truth();
    truth.serve(sim);
    sim.trace(format_args!("router: restarted"));
    truth.router.restarts += 1;
    truth.router.epoch = format!("epoch-{}", truth.router.restarts);
    truth.router.counts.clear();
    truth.router.earlier.clear();
}

impl Truth {
    /// Users' requests since the last time anybody looked, by the weights in force and the revisions' natures.
    fn serve(&mut self, sim: &Arc<Sim>) {
        let now = sim.now();
        let passed_s = (now - std::mem::replace(&mut self.router.counted_until, now)) as f64 / 1_000.0;
        let Some(route) = self.router.route.clone() else { return };
        let mut core = sim.core();
        let rng = &mut core.rng;
        for (revision, weight) in &route.weights {
            let nature = self.oracle.artifact_of(revision).and_then(|artifact| self.natures.get(&artifact)).copied();
            let answers = route.endpoints.iter().any(|it| it.revision == *revision && self.target.answers(&it.address));
            let nature = nature.filter(|_| answers).map(|nature| match nature {
                Nature::Overloads if *weight < 10_000 => Nature::Good,
                nature => nature,
            });
            let expected = self.router.requests_per_second * passed_s * f64::from(*weight) / 10_000.0;
            let users = (expected + rng.f64()) as u64;
            *self.router.served.entry(revision.clone()).or_default() += users;
            let counts = self.router.counts.entry(revision.clone()).or_default();
            count(rng, &mut counts.users, users, nature);
            if let Some(synthetic) = route.synthetic.as_ref().filter(|it| it.revisions.contains(revision)) {
                let probes = (passed_s * 1_000.0 / synthetic.interval_ms as f64 + rng.f64()) as u64;
                count(rng, &mut counts.synthetic, probes, nature);
            }
        }
    }
}

fn count(rng: &mut Rng, counts: &mut Counts, requests: u64, nature: Option<Nature>) {
    let bad = match nature {
        None => requests,
        Some(Nature::Worse) => binomial(rng, requests, 0.2),
        Some(Nature::Overloads) => binomial(rng, requests, 0.3),
        Some(_) => binomial(rng, requests, 0.002),
    };
    let slow = binomial(rng, requests - bad, if nature == Some(Nature::Slow) { 0.3 } else { 0.002 });
    counts.requests += requests;
    counts.bad += bad;
    for (edge, more) in [(SLOW_US, slow), (FAST_US, requests - bad - slow)] {
        if more > 0 {
            *counts.latency.0.entry(edge).or_default() += more;
        }
    }
}

/// Exact for few; for many, near enough.
fn binomial(rng: &mut Rng, n: u64, p: f64) -> u64 {
    if n <= 40 {
        return (0..n).filter(|_| rng.f64() < p).count() as u64;
    }
    let mean = n as f64 * p;
    let spread = (mean * (1.0 - p)).sqrt();
    let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    ((mean + spread * normal).round().max(0.0) as u64).min(n)
}
