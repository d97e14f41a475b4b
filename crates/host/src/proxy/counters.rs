//! Counts per revision, kept by each thread for itself and added up when somebody reads them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base::Histogram;

use super::control::{Counts, RevisionCounts};

/// The counters of one revision.
#[derive(Debug)]
pub(super) struct Tally {
    shards: Vec<Shard>,
}

/// One thread's part, on cache lines of its own so that threads never wait for each other to count.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    users: Cell,
    synthetic: Cell,
    in_flight: AtomicU64,
}

#[derive(Debug, Default)]
struct Cell {
    requests: AtomicU64,
    bad: AtomicU64,
    aborted: AtomicU64,
    /// 26 KB that most cells never need.
    latency: OnceLock<Box<[AtomicU64]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Synthetic,
}

impl Tally {
    pub(super) fn new(threads: usize) -> Tally {
        Tally { shards: (0..threads).map(|_| Shard::default()).collect() }
    }

    pub(super) fn begin(&self, thread: usize) {
        self.shards[thread].in_flight.fetch_add(1, Relaxed);
    }

    pub(super) fn leave(&self, thread: usize) {
        self.shards[thread].in_flight.fetch_sub(1, Relaxed);
    }

    /// The backend answered, in this time.
    pub(super) fn answered(&self, thread: usize, kind: Kind, bad: bool, latency: Duration) {
        let cell = self.shards[thread].cell(kind);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let buckets = cell.latency.get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        buckets[bucket(us)].fetch_add(1, Relaxed);
        if bad {
            cell.bad.fetch_add(1, Relaxed);
        }
        cell.requests.fetch_add(1, Relaxed);
    }

    /// No whole answer came.
    pub(super) fn failed(&self, thread: usize, kind: Kind) {
        let cell = self.shards[thread].cell(kind);
        cell.bad.fetch_add(1, Relaxed);
        cell.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn aborted(&self, thread: usize, kind: Kind) {
        self.shards[thread].cell(kind).aborted.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> RevisionCounts {
        let mut counts = RevisionCounts::default();
        for shard in &self.shards {
            shard.users.add_to(&mut counts.users);
            shard.synthetic.add_to(&mut counts.synthetic);
            counts.in_flight += shard.in_flight.load(Relaxed);
        }
        counts
    }
}

impl Shard {
    fn cell(&self, kind: Kind) -> &Cell {
        match kind {
            Kind::User => &self.users,
            Kind::Synthetic => &self.synthetic,
        }
    }
}

impl Cell {
    fn add_to(&self, counts: &mut Counts) {
        counts.requests += self.requests.load(Relaxed);
        counts.bad += self.bad.load(Relaxed);
        counts.aborted += self.aborted.load(Relaxed);
        for (index, count) in self.latency.get().into_iter().flatten().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                *counts.latency.0.entry(edge(index)).or_default() += count;
            }
        }
    }
}

impl std::ops::AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        self.requests += other.requests;
        self.bad += other.bad;
        self.aborted += other.aborted;
        let histogram: &mut Histogram = &mut self.latency;
        histogram.add(&other.latency);
    }
}

/// Two significant digits need 256 steps in the first bucket, and 128 in each further one, which is twice as coarse.
const HALF: usize = 128;
/// An hour; what takes longer counts as an hour.
const LONGEST_US: u64 = 3_600_000_000;
const BUCKETS: usize = bucket(LONGEST_US) + 1;

const fn bucket(us: u64) -> usize {
    let us = if us < LONGEST_US { us } else { LONGEST_US };
    let shift = (64 - us.leading_zeros()).saturating_sub(8);
    shift as usize * HALF + (us >> shift) as usize
}

/// The largest value that falls into this bucket.
const fn edge(bucket: usize) -> u64 {
    if bucket < 2 * HALF {
        return bucket as u64;
    }
    let shift = bucket / HALF - 1;
    (((bucket - shift * HALF) as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_an_hdr_histogram_with_two_digits() {
        let hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, LONGEST_US, 2).expect("bounds are fine");
        let powers = (0..32).flat_map(|shift| [1u64 << shift, (1 << shift) - 1, (1 << shift) + 1, 3 << shift >> 1]);
        for us in (0..5_000).chain(powers).chain([LONGEST_US]) {
            let us = us.min(LONGEST_US);
            assert_eq!(edge(bucket(us)), hdr.highest_equivalent(us), "at {us}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn threads_and_kinds_are_added_up() {
        let tally = Tally::new(2);
        tally.begin(0);
        tally.answered(0, Kind::User, false, Duration::from_micros(300));
        tally.answered(1, Kind::User, true, Duration::from_micros(300));
        tally.failed(1, Kind::User);
        tally.aborted(0, Kind::User);
        tally.answered(1, Kind::Synthetic, false, Duration::from_micros(7));
        let counts = tally.read();
        assert_eq!((counts.users.requests, counts.users.bad, counts.users.aborted, counts.in_flight), (3, 2, 1, 1));
        assert_eq!(counts.users.latency.0, [(301, 2)].into());
        assert_eq!((counts.synthetic.requests, counts.synthetic.latency.0), (1, [(7, 1)].into()));
    }
}
