//! One seed, from the first fact to the last look.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use crate::breaks::Break;
use crate::faults::Fault;
use crate::scheduler::{Sim, Violation};
use crate::world::STALL_MAX_MS;
use crate::{servers, users};

/// How a seed is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    pub broken: Option<Break>,
    /// Keep every line of the trace, not just the last ones.
    pub verbose: bool,
}

/// What one seed led to.
#[derive(Debug, Clone)]
pub struct Report {
    pub seed: u64,
    /// Over every line of the trace: the same seed gives the same.
    pub hash: u64,
    pub events: u64,
    pub facts: u64,
    pub injected: Vec<(Fault, u64)>,
    /// Transitions and ends, and how often each was met.
    pub covered: BTreeMap<String, u64>,
    /// The end of the trace, or all of it.
    pub last: Vec<String>,
    pub found: Option<Found>,
}

/// A promise that was not kept.
#[derive(Debug, Clone)]
pub struct Found {
    pub oracle: String,
    pub detail: String,
}

/// When faults have stopped, everything ends within this. The longest way: a job that hangs is ended by force a minute and five after
/// it began, and that of the last of some releases which wait for each other.
const END_MAX_MS: i64 = 40 * 60_000;

/// After the end: late messages arrive, and the world becomes what the record wants.
const SETTLE_MS: i64 = STALL_MAX_MS + 40_000;

pub fn run(seed: u64, settings: Settings) -> Report {
    quiet_panics();
    let keep = if settings.verbose { usize::MAX } else { 60 };
    let sim = Arc::new(Sim::new(seed, settings.broken, keep));
    INSIDE.with_borrow_mut(|inside| *inside = Some(String::new()));
    let ended = catch_unwind(AssertUnwindSafe(|| play(&sim)));
    let said = INSIDE.with_borrow_mut(Option::take).unwrap_or_default();
    if ended.is_err() {
        sim.violate("our own assertions", said);
    }
    sim.disband();
    let sim = Arc::into_inner(sim).expect("nothing of a world is left when it has ended");
    let facts = *record::Store::head(&sim.memory).borrow();
    let covered = sim.truth().oracle.covered.iter().map(|(met, times)| (met.to_string(), *times)).collect();
    let mut core = sim.core();
    let injected = Fault::ALL.into_iter().map(|fault| (fault, core.swarm.injected[fault as usize])).collect();
    let found = core.violation.take().map(|Violation { oracle, detail }| Found { oracle: oracle.to_string(), detail });
    let trace = &mut core.trace;
    Report { seed, hash: trace.hash, events: trace.events, facts, injected, covered, last: std::mem::take(&mut trace.last).into(), found }
}

fn play(sim: &Arc<Sim>) {
    let releases = sim.range(3..7) as usize;
    sim.truth().router.requests_per_second = [2.0, 20.0, 100.0, 500.0][sim.range(0..4) as usize];
    servers::begin(sim);
    users::begin(sim, releases);
    let mut look_at = 0;
    let mut over_since = None;
    while sim.step() {
        let now = sim.now();
        if sim.core().violation.is_some() {
            return;
        }
        if now < look_at {
            continue;
        }
        look_at = now + 1_000;
        let truth = sim.truth();
        truth.way_back_in_time(sim);
        let over = now >= sim.calm_at && truth.oracle.releases.len() == releases && truth.oracle.unfinished().is_empty();
        if !over && now > sim.calm_at + END_MAX_MS {
            let detail = format!("{} of {releases} accepted, unfinished: {:?}", truth.oracle.releases.len(), truth.oracle.unfinished());
            return sim.violate("I14 everything ends", detail);
        }
        if over && now > *over_since.get_or_insert(now) + SETTLE_MS {
            let caches: Vec<_> = truth.caches.values().map(AsRef::as_ref).collect();
            return truth.at_the_end(sim, &caches);
        }
    }
}

thread_local! {
    /// What the last panic of a schedule on this thread said; nothing outside of one.
    static INSIDE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic inside a schedule is a finding, and told as one.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let told = INSIDE.with_borrow_mut(|inside| inside.as_mut().map(|said| *said = panic.to_string()).is_some());
            if !told {
                before(panic);
            }
        }));
    });
}
