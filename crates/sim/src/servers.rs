//! Two servers that drive everything there is, without leases; each may die at any await and comes back knowing nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base::name::ReleaseId;
use engine::{Cache, TickError, Ticked, World, tick_environment, tick_release};
use record::{Append, AppendError, Fact, Store, StoreError};
use tokio::sync::watch;

use crate::breaks::Break;
use crate::faults::Fault;
use crate::plans::{ENVIRONMENT, project};
use crate::scheduler::{Owner, Sim, at_once};
use crate::world::{hurt, refuse_from_now_on, restart_router, world};

pub(crate) const SERVERS: usize = 2;

/// Starts the servers and what happens to them and around them.
pub(crate) fn begin(sim: &Arc<Sim>) {
    for server in 0..SERVERS {
        boot(sim, server);
        sim.after(sim.range(2_000..40_000), move |sim| crash_sometimes(sim, server));
    }
    sim.after(1_000, hurt_sometimes);
    sim.after(sim.range(5_000..60_000), restart_router_sometimes);
    sim.after(sim.range(1_000..30_000), burn_sometimes);
    // Nothing is promoted from then on, so that most schedules have to do without it.
    if sim.strikes(Fault::RouterRefuses, 8) {
        sim.after(sim.range(0..sim.calm_at), refuse_from_now_on);
    }
}

fn boot(sim: &Arc<Sim>, server: usize) {
    sim.trace(format_args!("server {server} starts"));
    let (world, cache) = (world(sim, server), Arc::new(Cache::default()));
    sim.truth().caches.insert(server, cache.clone());
    sim.spawn(Owner::Server(server), Box::pin(take_up(sim.clone(), server, world.clone(), cache.clone())));
    sim.spawn(Owner::Server(server), Box::pin(keep(sim.clone(), world, cache)));
}

fn crash_sometimes(sim: &Arc<Sim>, server: usize) {
    if sim.strikes(Fault::Crash, 1) {
        sim.trace(format_args!("server {server} dies"));
        sim.kill(Owner::Server(server));
        sim.truth().caches.remove(&server);
        sim.after(sim.range(100..15_000), move |sim| boot(sim, server));
    }
    if !sim.is_calm() {
        sim.after(sim.range(16_000..50_000), move |sim| crash_sometimes(sim, server));
    }
}

fn hurt_sometimes(sim: &Arc<Sim>) {
    hurt(sim);
    if !sim.is_calm() {
        sim.after(sim.range(1_000..15_000), hurt_sometimes);
    }
}

/// Once in a while, and over when all is calm.
fn burn_sometimes(sim: &Arc<Sim>) {
    let begins = sim.strikes(Fault::BudgetBurns, 2);
    let now = sim.now();
    let burning = &mut sim.truth().burning_since;
    *burning = if begins { burning.or(Some(now)) } else { None };
    if !sim.is_calm() || burning.is_some() {
        sim.after(sim.range(5_000..200_000), burn_sometimes);
    }
}

fn restart_router_sometimes(sim: &Arc<Sim>) {
    if sim.strikes(Fault::RouterRestart, 1) {
        restart_router(sim);
    }
    if !sim.is_calm() {
        sim.after(sim.range(10_000..60_000), restart_router_sometimes);
    }
}

/// Begins to drive what is on record and not driven here yet.
async fn take_up(sim: Arc<Sim>, server: usize, world: World, cache: Arc<Cache>) {
    let mut driven = BTreeSet::new();
    loop {
        let open: Vec<ReleaseId> = {
            let truth = sim.truth();
            truth.oracle.releases.iter().filter(|(id, it)| it.outcome().is_none() && !driven.contains(*id)).map(|(id, _)| *id).collect()
        };
        for id in open {
            driven.insert(id);
            sim.spawn(Owner::Server(server), Box::pin(drive(sim.clone(), world.clone(), cache.clone(), id)));
        }
        sim.rest(sim.range(2_000..6_000)).await;
    }
}

async fn drive(sim: Arc<Sim>, world: World, cache: Arc<Cache>, id: ReleaseId) {
    loop {
        let delay = match tick(&sim, &world, &cache, id).await {
            Ok(Ticked { finished: Some(_), .. }) => break,
            Ok(Ticked { moved: true, .. } | Ticked { conflict: true, .. }) => sim.range(1..30),
            Ok(Ticked { wake, .. }) => {
                let until_wake = wake.map_or(8_000, |wake| wake.since_ms(world.clock.now()) as i64);
                until_wake.clamp(30, 3_000) + sim.range(0..if wake.is_some() { 1_500 } else { 8_000 })
            }
            Err(error) => {
                sim.trace(format_args!("tick of {id}: {error}"));
                1_000
            }
        };
        if sim.range(0..64) == 0 {
            compare(&sim, &cache, id);
        }
        sim.rest(delay).await;
    }
}

async fn keep(sim: Arc<Sim>, world: World, cache: Arc<Cache>) {
    loop {
        if let Err(error) = tick_environment(&world, &cache, project(), ENVIRONMENT).await {
            sim.trace(format_args!("tick of the environment: {error}"));
        }
        sim.rest(sim.range(1_500..6_000)).await;
    }
}

/// I15: what a server remembers is what the record says.
fn compare(sim: &Arc<Sim>, cache: &Cache, id: ReleaseId) {
    let Ok(cached) = at_once(cache.release(&sim.memory, id)) else { return };
    let truth = sim.truth();
    if *cached.release != truth.oracle.releases[&id] {
        sim.violate("I15 same record, same state", format!("a server's cache has another release {id} than the record"));
    }
}

async fn tick(sim: &Arc<Sim>, world: &World, cache: &Cache, id: ReleaseId) -> Result<Ticked, TickError> {
    if sim.broken != Some(Break::ActBeforeRecord) {
        return tick_release(world, cache, id).await;
    }
    let late = Arc::new(LateStore { store: world.store.clone(), kept: Mutex::default() });
    let ticked = tick_release(&World { store: late.clone(), ..world.clone() }, cache, id).await?;
    let kept = std::mem::take(&mut *late.kept.lock().expect("no holder panics"));
    match world.store.append(kept).await {
        Ok(_) => Ok(ticked),
        Err(AppendError::Conflict { .. }) => Ok(Ticked { conflict: true, ..Ticked::default() }),
        Err(error) => Err(TickError::Append(error)),
    }
}

/// Says that it has written, and keeps it for later: a tick on it acts first.
struct LateStore {
    store: Arc<dyn Store>,
    kept: Mutex<Vec<Append>>,
}

#[async_trait]
impl Store for LateStore {
    async fn load(&self, stream: &str, after_seq: u64) -> Result<Vec<Fact>, StoreError> {
        self.store.load(stream, after_seq).await
    }

    async fn append(&self, appends: Vec<Append>) -> Result<Vec<Fact>, AppendError> {
        self.kept.lock().expect("no holder panics").extend(appends);
        Ok(Vec::new())
    }

    async fn read(&self, after_position: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.store.read(after_position, limit).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        self.store.streams(prefix).await
    }

    fn head(&self) -> watch::Receiver<u64> {
        self.store.head()
    }
}
