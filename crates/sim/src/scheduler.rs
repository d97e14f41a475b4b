//! Virtual time and the order of things: one queue, whose ties and delays the seed decides.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::{self, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use base::Timestamp;
use fastrand::Rng;
use record::MemoryStore;

use crate::breaks::Break;
use crate::faults::{Fault, Swarm};
use crate::world::Truth;

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Call = Box<dyn FnOnce(&Arc<Sim>) + Send>;

struct Task {
    owner: Owner,
    /// Nothing while it is polled.
    work: Option<Work>,
    rests: bool,
    nudged: bool,
}

/// The simulated world and its time. A task waits on nothing but [`Sim::sleep`], so no waker is needed.
pub(crate) struct Sim {
    core: Mutex<Core>,
    truth: Mutex<Truth>,
    pub memory: MemoryStore,
    pub broken: Option<Break>,
    /// Faults stop here.
    pub calm_at: i64,
}

/// Who a task dies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Server(usize),
    User,
}

/// A promise that was not kept.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub oracle: &'static str,
    pub detail: String,
}

pub(crate) struct Core {
    pub now: i64,
    pub rng: Rng,
    pub swarm: Swarm,
    pub violation: Option<Violation>,
    pub trace: Trace,
    queue: BinaryHeap<Reverse<Entry>>,
    pushed: u64,
    /// By their numbers; nothing where one has ended.
    tasks: Vec<Option<Task>>,
    current: usize,
}

/// Earliest first; what falls on the same moment goes in the order the seed says.
struct Entry {
    at: i64,
    tie: u32,
    number: u64,
    what: What,
}

enum What {
    Task(usize),
    Call(Call),
}

impl Entry {
    fn order(&self) -> (i64, u32, u64) {
        (self.at, self.tie, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// What happened, as lines: all of them in the hash, the last ones kept.
#[derive(Debug)]
pub(crate) struct Trace {
    pub hash: u64,
    pub events: u64,
    pub last: VecDeque<String>,
    pub keep: usize,
}

impl Sim {
    pub fn new(seed: u64, broken: Option<Break>, keep: usize) -> Sim {
        let mut rng = Rng::with_seed(seed);
        let swarm = Swarm::new(&mut rng);
        let calm_at = rng.i64(60_000..300_000);
        let truth = Truth::new(broken);
        let core = Core {
            now: 0,
            rng,
            swarm,
            violation: None,
            trace: Trace { hash: 0, events: 0, last: VecDeque::new(), keep },
            queue: BinaryHeap::new(),
            pushed: 0,
            tasks: Vec::new(),
            current: 0,
        };
        Sim { core: Mutex::new(core), truth: Mutex::new(truth), memory: MemoryStore::new(), broken, calm_at }
    }

    /// Never held while [`Sim::truth`] is waited for.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> i64 {
        self.core().now
    }

    pub fn timestamp(&self) -> Timestamp {
        timestamp(self.now())
    }

    pub fn is_calm(&self) -> bool {
        self.now() >= self.calm_at
    }

    /// Whether this kind of fault strikes here; `one_in` is how rarely.
    pub fn strikes(&self, fault: Fault, one_in: u32) -> bool {
        let mut core = self.core();
        let strikes = core.now < self.calm_at && core.swarm.has(fault) && core.rng.u32(0..one_in) == 0;
        if strikes {
            core.swarm.count(fault);
        }
        strikes
    }

    /// Whether this kind of fault can strike in this schedule.
    pub fn may(&self, fault: Fault) -> bool {
        self.core().swarm.has(fault)
    }

    pub fn range(&self, range: std::ops::Range<i64>) -> i64 {
        self.core().rng.i64(range)
    }

    pub fn trace(&self, line: fmt::Arguments<'_>) {
        let mut core = self.core();
        let now = core.now;
        core.trace.add(now, line);
    }

    /// The first one counts.
    pub fn violate(&self, oracle: &'static str, detail: String) {
        let mut core = self.core();
        core.violation.get_or_insert(Violation { oracle, detail });
    }

    pub fn spawn(&self, owner: Owner, work: Work) {
        let mut core = self.core();
        let id = core.tasks.len();
        core.tasks.push(Some(Task { owner, work: Some(work), rests: false, nudged: false }));
        let at = core.now;
        core.push(at, What::Task(id));
    }

    /// Something happens by itself, whoever lives then.
    pub fn after(&self, delay: i64, call: impl FnOnce(&Arc<Sim>) + Send + 'static) {
        let mut core = self.core();
        let at = core.now + delay;
        core.push(at, What::Call(Box::new(call)));
    }

    /// All tasks of a server are gone, wherever they stood.
    pub fn kill(&self, owner: Owner) {
        let dead: Vec<_> = {
            let mut core = self.core();
            let of_it = core.tasks.iter_mut().filter(|task| task.as_ref().is_some_and(|task| task.owner == owner));
            of_it.filter_map(Option::take).collect()
        };
        drop(dead);
    }

    /// The end of the world. Its tasks know it and it knows them: nothing of either would ever be freed otherwise.
    pub fn disband(&self) {
        let mut core = self.core();
        let all = (std::mem::take(&mut core.tasks), std::mem::take(&mut core.queue));
        drop(core);
        drop(all);
    }

    /// Those who rest look again now.
    pub fn nudge(&self) {
        let mut core = self.core();
        for id in 0..core.tasks.len() {
            let Some(task) = core.tasks[id].as_mut().filter(|task| task.rests) else { continue };
            (task.rests, task.nudged) = (false, true);
            let at = core.now + core.rng.i64(1..30);
            core.push(at, What::Task(id));
        }
    }

    pub fn sleep(self: &Arc<Self>, delay: i64) -> Sleep {
        Sleep { sim: self.clone(), until: self.now() + delay, registered: false, rests: false }
    }

    /// As [`Sim::sleep`], until somebody nudges.
    pub fn rest(self: &Arc<Self>, delay: i64) -> Sleep {
        Sleep { rests: true, ..self.sleep(delay) }
    }

    /// The next thing in the queue happens; false when there is nothing left.
    pub fn step(self: &Arc<Self>) -> bool {
        let mut core = self.core();
        let Some(Reverse(entry)) = core.queue.pop() else { return false };
        core.now = core.now.max(entry.at);
        match entry.what {
            What::Call(call) => {
                drop(core);
                call(self);
            }
            What::Task(id) => {
                core.current = id;
                let work = core.tasks[id].as_mut().and_then(|task| task.work.take());
                drop(core);
                if let Some(work) = work {
                    self.poll(id, work);
                }
            }
        }
        true
    }

    fn poll(self: &Arc<Self>, id: usize, mut work: Work) {
        let done = work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let mut core = self.core();
        if done {
            core.tasks[id] = None;
        } else if let Some(task) = core.tasks[id].as_mut() {
            task.work = Some(work);
        }
    }
}

impl Core {
    fn push(&mut self, at: i64, what: What) {
        let entry = Entry { at, tie: self.rng.u32(..), number: self.pushed, what };
        self.pushed += 1;
        self.queue.push(Reverse(entry));
    }
}

/// An odd number without a pattern: what two traces differ in shows in all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Trace {
    fn add(&mut self, now: i64, line: fmt::Arguments<'_>) {
        let mut text = if self.last.len() >= self.keep { self.last.pop_front().unwrap_or_default() } else { String::new() };
        text.clear();
        write!(text, "{:>5}.{:03} {line}", now / 1000, now % 1000).expect("writing to a string works");
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash = (self.hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
        }
        self.events += 1;
        self.last.push_back(text);
    }
}

/// Ready at its time, or when nudged.
pub(crate) struct Sleep {
    sim: Arc<Sim>,
    until: i64,
    registered: bool,
    rests: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut core = this.sim.core();
        let (now, id) = (core.now, core.current);
        let task = core.tasks[id].as_mut().expect("who is polled has not ended");
        let nudged = this.rests && std::mem::take(&mut task.nudged);
        if nudged || now >= this.until {
            task.rests = false;
            return Poll::Ready(());
        }
        if !this.registered {
            this.registered = true;
            task.rests |= this.rests;
            core.push(this.until, What::Task(id));
        }
        Poll::Pending
    }
}

/// The first day of the simulated world; any will do.
const EPOCH_MS: i64 = 1_800_000_000_000;

pub(crate) fn timestamp(now: i64) -> Timestamp {
    Timestamp::from_ms(EPOCH_MS + now)
}

/// Runs what never waits, such as the store in memory.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}
