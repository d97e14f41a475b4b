//! The simulated world: what is true in it, and the borders through which the engine sees it.

mod clock;
mod executor;
mod harvest;
mod outside;
mod router;
mod store;
mod target;
mod turns;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base::Digest;
use base::name::ReleaseId;
use engine::{Cache, SmokeBoard, World};

use crate::breaks::Break;
use crate::faults::Fault;
use crate::oracle::Oracle;
use crate::plans::{Nature, Proposal};
use crate::scheduler::{Owner, Sim};

pub(crate) use executor::ExecutorTruth;
pub(crate) use router::RouterTruth;
pub(crate) use router::{refuse_from_now_on, restart as restart_router};
pub(crate) use store::{SimStore, StoreTruth};
pub(crate) use target::TargetTruth;
pub(crate) use target::hurt;

/// What is so, whoever knows it.
pub(crate) struct Truth {
    pub executor: ExecutorTruth,
    pub target: TargetTruth,
    pub router: RouterTruth,
    pub store: StoreTruth,
    pub turns: turns::TurnsTruth,
    pub oracle: Oracle,
    /// By the artifact's digest: how a revision behaves.
    pub natures: BTreeMap<Digest, Nature>,
    pub proposals: BTreeMap<ReleaseId, Proposal>,
    /// The rolling update that began last, and how many instances it found.
    pub found: Option<(ReleaseId, u32)>,
    /// Users' promises are not kept, and an incident is open, since then.
    pub burning_since: Option<i64>,
    /// What each server remembers, while it lives.
    pub caches: BTreeMap<usize, Arc<Cache>>,
}

impl Truth {
    pub fn new(broken: Option<Break>) -> Truth {
        let obeys_all = broken == Some(Break::NoGenerations);
        Truth {
            executor: ExecutorTruth::default(),
            target: TargetTruth::new(obeys_all),
            router: RouterTruth::new(obeys_all),
            store: StoreTruth::default(),
            turns: turns::TurnsTruth::default(),
            oracle: Oracle::default(),
            natures: BTreeMap::new(),
            proposals: BTreeMap::new(),
            found: None,
            burning_since: None,
            caches: BTreeMap::new(),
        }
    }
}

/// The borders of one server.
pub(crate) fn world(sim: &Arc<Sim>, server: usize) -> World {
    let skew_ms = if sim.strikes(Fault::ClockSkew, 1) { sim.range(-400..400) } else { 0 };
    let border = Border { sim: sim.clone(), server };
    let spawning = sim.clone();
    World {
        clock: Arc::new(clock::SimClock { sim: sim.clone(), skew_ms }),
        store: Arc::new(SimStore { border: border.clone() }),
        executor: Arc::new(executor::SimExecutor { border: border.clone() }),
        target: Arc::new(target::SimTarget { border: border.clone() }),
        router: Arc::new(router::SimRouter { border: border.clone(), last: Mutex::default() }),
        harvest: Arc::new(harvest::SimHarvest { border: border.clone() }),
        outside: Arc::new(outside::SimOutside { border: border.clone() }),
        turns: Arc::new(turns::SimTurns { border }),
        smoke: Arc::new(SmokeBoard::new(Box::new(move |work| spawning.spawn(Owner::Server(server), work)))),
    }
}

/// The way between a server, or a user, and everything else.
#[derive(Clone)]
pub(crate) struct Border {
    pub sim: Arc<Sim>,
    /// For the trace.
    pub server: usize,
}

/// In the place of a server's number.
pub(crate) const USER: usize = 9;

/// How long somebody waits for an answer before he thinks it is lost.
const PATIENCE_MS: i64 = 5_000;

/// Nothing is under way for longer than this.
pub(crate) const STALL_MAX_MS: i64 = 60_000;

impl Border {
    /// A message that changes something: it may be late, lost, or arrive twice, and its answer may be lost. What was sent arrives even
    /// when the sender has died.
    pub async fn request<T: Send + 'static>(&self, effect: impl Fn(&Arc<Sim>) -> T + Send + Sync + 'static) -> Option<T> {
        let sim = &self.sim;
        let mut there = sim.range(1..20);
        let mut patience = i64::MAX;
        if sim.strikes(Fault::Stall, 40) {
            there += sim.range(1_000..STALL_MAX_MS);
            if sim.range(0..2) == 0 {
                patience = PATIENCE_MS;
            }
        }
        if sim.strikes(Fault::RequestLost, 40) {
            sim.sleep(PATIENCE_MS).await;
            return None;
        }
        let effect = Arc::new(effect);
        let answer = Arc::new(Mutex::new(None));
        if sim.strikes(Fault::Doubled, 40) {
            let again = effect.clone();
            let later = there + sim.range(1..STALL_MAX_MS);
            sim.after(later, move |sim| drop(again(sim)));
        }
        let kept = answer.clone();
        sim.after(there, move |sim| *kept.lock().expect("no holder panics") = Some(effect(sim)));
        let answer_lost = sim.strikes(Fault::AnswerLost, 40);
        let back = sim.range(1..20);
        sim.sleep((there + back).min(patience)).await;
        if answer_lost {
            return None;
        }
        answer.lock().expect("no holder panics").take()
    }

    /// A question: it may be answered late, with what was so when it arrived.
    pub async fn look<T>(&self, read: impl FnOnce(&Arc<Sim>) -> T) -> T {
        let (there, back) = (self.leg(), self.leg());
        self.sim.sleep(there).await;
        let seen = read(&self.sim);
        self.sim.sleep(back).await;
        seen
    }

    fn leg(&self) -> i64 {
        let stall = if self.sim.strikes(Fault::Stall, 200) { self.sim.range(500..STALL_MAX_MS / 2) } else { 0 };
        self.sim.range(1..10) + stall
    }
}
