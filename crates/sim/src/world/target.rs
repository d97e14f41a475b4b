use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use base::Digest;
use engine::world::{Prepared, Target, WorldError};
use rollout::{Container, InstancePhase, InstancePlan, InstanceSeen, RevisionId, SmokeCheck, SmokeSeen, TargetSeen};

use super::Border;
use crate::breaks::Break;
use crate::faults::Fault;
use crate::plans::Nature;
use crate::scheduler::{Sim, timestamp};

/// Instances by revision and index, and what they were once.
#[derive(Debug, Default)]
pub(crate) struct TargetTruth {
    pub instances: BTreeMap<(RevisionId, u32), Instance>,
    /// The most instances of a revision that were ready at the same time.
    pub ready_max: BTreeMap<RevisionId, u32>,
    /// Revisions of which the last that was obeyed is that they end.
    ended: BTreeSet<RevisionId>,
    /// Instances that were gone without a trace, and were ready before.
    vanished: BTreeSet<Key>,
    /// Generations count for nothing.
    obeys_all: bool,
    generation: u64,
    ports: u32,
    lives: u64,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub phase: InstancePhase,
    pub address: Option<String>,
    artifact: Digest,
    wanted: bool,
    /// Since somebody wanted it; what is not any more failed by itself.
    was_ready: bool,
    /// It was not ready when it was asked to end.
    was_lost: bool,
    /// It is ready again after it had not been for so long that it counted as lost.
    came_back: bool,
    restarts: u32,
    message: Option<&'static str>,
    since: i64,
    /// Changes when what was planned for it no longer counts.
    life: u64,
}

type Key = (RevisionId, u32);

/// Longer than between a look and what follows from it.
const BACK_MS: i64 = 10_000;

/// What is not ready for so long counts as lost, by a clock that is not quite the world's.
const LOST_MS: i64 = 9_000;

pub(crate) struct SimTarget {
    pub border: Border,
}

#[async_trait]
impl Target for SimTarget {
    async fn observe(&self, _: &str) -> Option<TargetSeen> {
        let sim = &self.border.sim;
        if !sim.strikes(Fault::TargetUnknown, 6) {
            return Some(self.border.look(|sim| sim.truth().target.seen()).await);
        }
        let seen = self.border.look(|sim| sim.truth().target.seen()).await;
        (sim.broken == Some(Break::UnknownIsGood)).then(|| TargetSeen { instances: seen.instances.into_iter().map(well).collect(), ..seen })
    }

    async fn prepare(&self, _: &Container) -> Prepared {
        Prepared::Here
    }

    async fn run(&self, scope: &str, generation: u64, instance: &InstancePlan, replicas: u32) -> Result<(), WorldError> {
        let (server, plan) = (self.border.server, instance.clone());
        let done = self.border.request(move |sim| run(sim, server, generation, &plan, replicas)).await;
        done.ok_or_else(|| WorldError::new(format!("run {} of {scope}", instance.revision), "no answer"))
    }

    async fn stop(&self, scope: &str, generation: u64, revision: &RevisionId) -> Result<(), WorldError> {
        let (server, stopped) = (self.border.server, revision.clone());
        let done = self.border.request(move |sim| stop(sim, server, generation, &stopped)).await;
        done.ok_or_else(|| WorldError::new(format!("stop {revision} of {scope}"), "no answer"))
    }

    async fn smoke(&self, addresses: &[String], checks: &[SmokeCheck]) -> SmokeSeen {
        let (sim, addresses) = (&self.border.sim, addresses.to_vec());
        sim.sleep(sim.range(20..2_000)).await;
        let truth = sim.truth();
        if addresses.is_empty() {
            return SmokeSeen { failures: vec!["there is no instance to check".to_string()], checks: 0 };
        }
        let failing =
            addresses.iter().filter(|address| !truth.passes(address)).map(|address| format!("GET http://{address}/ answered 500"));
        SmokeSeen { failures: failing.collect(), checks: (checks.len() * addresses.len()) as u32 }
    }
}

/// What a lying adapter makes of an instance it can't ask.
fn well(seen: InstanceSeen) -> InstanceSeen {
    let address = seen.address.or_else(|| Some("127.0.0.1:9".to_string()));
    InstanceSeen { phase: InstancePhase::Ready, address, restarts: 0, message: None, ..seen }
}

impl TargetTruth {
    pub fn new(obeys_all: bool) -> TargetTruth {
        TargetTruth { obeys_all, ..TargetTruth::default() }
    }

    pub fn ready(&self, revision: &RevisionId) -> u32 {
        self.instances.iter().filter(|((of, _), it)| of == revision && it.phase == InstancePhase::Ready).count() as u32
    }

    /// Wanted instances of a revision that are ready, or would be if they had not failed by themselves; or all that are wanted, and those
    /// that had failed before they were not.
    pub fn left_to(&self, revision: &RevisionId, all: bool) -> u32 {
        let is_left = |it: &Instance| match all {
            true => it.wanted || it.was_lost,
            false => it.wanted && (it.phase == InstancePhase::Ready || it.was_ready),
        };
        let left = self.instances.iter().filter(|((of, _), it)| of == revision && is_left(it)).count();
        (left + self.vanished.iter().filter(|(of, _)| of == revision).count()) as u32
    }

    pub fn running(&self) -> impl Iterator<Item = &RevisionId> {
        self.instances.iter().filter(|(_, it)| it.phase != InstancePhase::Stopped).map(|((revision, _), _)| revision)
    }

    /// Indexes before the last running instance of a revision at which none runs.
    pub fn gaps(&self, revision: &RevisionId) -> u32 {
        let runs = |(of, index): &Key, it: &Instance| (of == revision && it.phase != InstancePhase::Stopped).then_some(*index);
        let running: Vec<u32> = self.instances.iter().filter_map(|(key, it)| runs(key, it)).collect();
        running.last().map_or(0, |last| last + 1 - running.len() as u32)
    }

    /// Somebody wanted it to end, and nobody wanted it to run since. Its instances don't tell: one that vanished leaves those of an
    /// earlier release, which had more of them.
    pub fn was_stopped(&self, revision: &RevisionId) -> bool {
        self.ended.contains(revision)
    }

    pub fn answers(&self, address: &str) -> bool {
        self.instances.values().any(|it| it.phase == InstancePhase::Ready && it.address.as_deref() == Some(address))
    }

    fn seen(&self) -> TargetSeen {
        let instances = self.instances.iter().map(|((revision, index), it)| InstanceSeen {
            revision: revision.clone(),
            index: *index,
            address: it.address.clone(),
            phase: it.phase,
            restarts: it.restarts,
            message: it.message.map(str::to_string),
            since: timestamp(it.since),
        });
        TargetSeen { generation: self.generation, instances: instances.collect() }
    }

    /// False when a newer generation was obeyed.
    fn accept(&mut self, generation: u64) -> bool {
        if generation < self.generation && !self.obeys_all {
            return false;
        }
        self.generation = generation;
        true
    }

    /// Another life begins; whatever was planned for the one before is forgotten.
    fn renew(&mut self, key: &Key, phase: InstancePhase, now: i64, message: Option<&'static str>) -> Option<u64> {
        self.lives += 1;
        let it = self.instances.get_mut(key)?;
        (it.phase, it.since, it.message, it.life) = (phase, now, message, self.lives);
        if phase != InstancePhase::Ready && phase != InstancePhase::NotReady {
            it.address = None;
        }
        Some(self.lives)
    }
}

impl super::Truth {
    fn nature(&self, key: &Key) -> Nature {
        let artifact = self.target.instances.get(key).map(|it| it.artifact);
        artifact.and_then(|artifact| self.natures.get(&artifact)).copied().unwrap_or(Nature::Good)
    }

    fn passes(&self, address: &str) -> bool {
        let at = self.target.instances.iter().find(|(_, it)| it.phase == InstancePhase::Ready && it.address.as_deref() == Some(address));
        at.is_some_and(|(key, _)| self.nature(key) != Nature::SmokeFails)
    }
}

fn run(sim: &Arc<Sim>, server: usize, generation: u64, plan: &InstancePlan, replicas: u32) {
    let mut truth = sim.truth();
    truth.oracle.acted(sim, generation, "run");
    if !truth.target.accept(generation) {
        sim.trace(format_args!("target: run {} at {generation} by {server} is too late", plan.revision));
        return;
    }
    truth.target.ended.remove(&plan.revision);
    truth.target.vanished.retain(|(of, index)| *of != plan.revision || *index < replicas);
    for index in 0..replicas {
        let key = (plan.revision.clone(), index);
        let runs = truth.target.instances.get(&key).is_some_and(|it| it.wanted && it.phase != InstancePhase::Stopped);
        if runs {
            continue;
        }
        sim.trace(format_args!("target: {}/{index} starts, at {generation} by {server}", plan.revision));
        let fresh = Instance {
            phase: InstancePhase::Starting,
            address: None,
            artifact: plan.artifact,
            wanted: true,
            was_ready: truth.target.vanished.remove(&key),
            was_lost: false,
            came_back: false,
            restarts: 0,
            message: None,
            since: sim.now(),
            life: 0,
        };
        truth.target.instances.insert(key.clone(), fresh);
        start(sim, &mut truth, key);
        truth.not_too_many(sim, generation, &plan.revision);
    }
    let more: Vec<Key> = truth.target.instances.keys().filter(|(of, index)| *of == plan.revision && *index >= replicas).cloned().collect();
    more.into_iter().for_each(|key| end(sim, &mut truth, key));
}

fn stop(sim: &Arc<Sim>, server: usize, generation: u64, revision: &RevisionId) {
    let mut truth = sim.truth();
    truth.oracle.acted(sim, generation, "stop");
    if !truth.target.accept(generation) {
        sim.trace(format_args!("target: stop {revision} at {generation} by {server} is too late"));
        return;
    }
    truth.target.ended.insert(revision.clone());
    truth.target.vanished.retain(|(of, _)| of != revision);
    let keys: Vec<Key> = truth.target.instances.keys().filter(|(of, _)| of == revision).cloned().collect();
    keys.into_iter().for_each(|key| end(sim, &mut truth, key));
}

fn start(sim: &Arc<Sim>, truth: &mut super::Truth, key: Key) {
    let nature = truth.nature(&key);
    let Some(life) = truth.target.renew(&key, InstancePhase::Starting, sim.now(), None) else { return };
    let delay = if sim.strikes(Fault::SlowStart, 4) { sim.range(5_000..40_000) } else { sim.range(200..2_500) };
    sim.after(delay, move |sim| match nature {
        Nature::NeverReady => {}
        Nature::CrashLoop => crash(sim, key, life),
        _ => become_ready(sim, key, life),
    });
}

fn become_ready(sim: &Arc<Sim>, key: Key, life: u64) {
    let mut truth = sim.truth();
    if truth.target.instances.get(&key).is_none_or(|it| it.life != life) {
        return;
    }
    let nature = truth.nature(&key);
    let away = sim.now() - truth.target.instances[&key].since;
    let Some(life) = truth.target.renew(&key, InstancePhase::Ready, sim.now(), None) else { return };
    truth.target.ports += 1;
    let address = format!("127.0.0.1:{}", 41_000 + truth.target.ports);
    sim.trace(format_args!("target: {}/{} is ready at {address}", key.0, key.1));
    truth.target.instances.get_mut(&key).expect("it was renewed").address.get_or_insert(address);
    let it = truth.target.instances.get_mut(&key).expect("it was renewed");
    (it.came_back, it.was_ready) = (it.was_ready && away >= LOST_MS, true);
    let ready = truth.target.ready(&key.0);
    let most = truth.target.ready_max.entry(key.0.clone()).or_default();
    *most = ready.max(*most);
    if nature == Nature::DiesLater {
        sim.after(sim.range(3_000..60_000), move |sim| crash(sim, key, life));
    }
}

/// It ends, and its supervisor starts it again.
fn crash(sim: &Arc<Sim>, key: Key, life: u64) {
    let mut truth = sim.truth();
    let Some(it) = truth.target.instances.get_mut(&key).filter(|it| it.life == life) else { return };
    it.restarts += 1;
    sim.trace(format_args!("target: {}/{} crashes", key.0, key.1));
    let Some(life) = truth.target.renew(&key, InstancePhase::BackingOff, sim.now(), Some("exited with 1")) else { return };
    sim.after(sim.range(300..3_000), move |sim| {
        let mut truth = sim.truth();
        if truth.target.instances.get(&key).is_some_and(|it| it.life == life) {
            start(sim, &mut truth, key);
        }
    });
}

fn end(sim: &Arc<Sim>, truth: &mut super::Truth, key: Key) {
    let Some(it) = truth.target.instances.get_mut(&key).filter(|it| it.wanted) else { return };
    it.wanted = false;
    let was_ready = it.phase == InstancePhase::Ready;
    // One that was dead when it was decided about may have come back a moment ago.
    let is_back = (it.restarts > 0 || it.came_back) && sim.now() - it.since < BACK_MS;
    it.was_lost = !was_ready || is_back;
    sim.trace(format_args!("target: {}/{} is asked to end", key.0, key.1));
    if was_ready && !is_back {
        truth.not_too_few(sim);
    }
    let Some(life) = truth.target.renew(&key, InstancePhase::NotReady, sim.now(), Some("stopping")) else { return };
    sim.after(sim.range(20..3_000), move |sim| {
        let mut truth = sim.truth();
        if truth.target.instances.get(&key).is_some_and(|it| it.life == life) {
            truth.target.renew(&key, InstancePhase::Stopped, sim.now(), None);
        }
    });
}

/// Some instance dies, stops answering for a while, or is gone without a trace.
pub(crate) fn hurt(sim: &Arc<Sim>) {
    let mut truth = sim.truth();
    let alive: Vec<Key> =
        truth.target.instances.iter().filter(|(_, it)| it.phase == InstancePhase::Ready).map(|(key, _)| key.clone()).collect();
    if alive.is_empty() {
        return;
    }
    let key = alive[sim.range(0..alive.len() as i64) as usize].clone();
    let life = truth.target.instances[&key].life;
    if sim.strikes(Fault::InstanceDies, 3) {
        drop(truth);
        crash(sim, key, life);
    } else if sim.strikes(Fault::InstanceFlaps, 3) {
        sim.trace(format_args!("target: {}/{} does not answer", key.0, key.1));
        let Some(life) = truth.target.renew(&key, InstancePhase::NotReady, sim.now(), Some("GET / timed out")) else { return };
        sim.after(sim.range(500..15_000), move |sim| become_ready(sim, key, life));
    } else if sim.strikes(Fault::InstanceVanishes, 5) {
        sim.trace(format_args!("target: {}/{} is gone", key.0, key.1));
        if truth.target.instances.remove(&key).is_some_and(|it| it.wanted) {
            truth.target.vanished.insert(key);
        }
    }
}
