//! A route, worked out for fast choosing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use http::HeaderValue;

use super::control::{Route, Synthetic};
use super::counters::Tally;

#[derive(Debug)]
pub(super) struct Table {
    pub(super) generation: u64,
    pub(super) port: u16,
    pub(super) revisions: Vec<Revision>,
    pub(super) synthetic: Option<Synthetic>,
    /// Which revision takes which turn. Threads share the turns, so that 10 % are 10 of any 100 requests and not of each thread's.
    schedule: Vec<u16>,
    turn: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) name_value: HeaderValue,
    pub(super) weight: u32,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    pub(super) tally: Arc<Tally>,
}

/// An instance's address. The same one goes on through route changes, with what is known of it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) in_flight: AtomicU64,
    /// Until then others are tried first.
    skipped_until_ms: AtomicU64,
}

/// Long enough to spare the next few hundred requests a vain attempt, short enough to notice a quick restart.
const SKIPPED_MS: u64 = 1_000;

impl Table {
    pub(super) fn new(
        route: &Route,
        mut endpoint: impl FnMut(SocketAddr) -> Arc<Endpoint>,
        mut tally: impl FnMut(&str) -> Arc<Tally>,
    ) -> Table {
        let revisions: Vec<Revision> = route
            .backends
            .iter()
            .map(|(name, backend)| Revision {
                name: name.clone(),
                name_value: HeaderValue::from_str(name).expect("the route was checked: revisions are visible characters"),
                weight: backend.weight,
                endpoints: backend.endpoints.iter().filter_map(|it| it.parse().ok()).map(&mut endpoint).collect(),
                tally: tally(name),
            })
            .collect();
        let weights: Vec<u32> = revisions.iter().map(|it| it.weight).collect();
        Table {
            generation: route.generation,
            port: route.port,
            synthetic: route.synthetic.clone(),
            schedule: schedule(&weights),
            revisions,
            turn: AtomicUsize::new(0),
        }
    }

    /// Whose turn it is; nobody's when no revision has weight.
    pub(super) fn next(&self) -> Option<usize> {
        match self.schedule.len() {
            0 => None,
            1 => Some(usize::from(self.schedule[0])),
            len => Some(usize::from(self.schedule[self.turn.fetch_add(1, Relaxed) % len])),
        }
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<usize> {
        self.revisions.iter().position(|it| it.name.as_bytes() == name)
    }

    pub(super) fn endpoints(&self) -> BTreeMap<SocketAddr, Arc<Endpoint>> {
        self.revisions.iter().flat_map(|it| &it.endpoints).map(|it| (it.address, Arc::clone(it))).collect()
    }
}

impl Endpoint {
    pub(super) fn new(address: SocketAddr) -> Endpoint {
        Endpoint { address, in_flight: AtomicU64::new(0), skipped_until_ms: AtomicU64::new(0) }
    }

    pub(super) fn skipped(&self, now_ms: u64) -> bool {
        self.skipped_until_ms.load(Relaxed) > now_ms
    }

    pub(super) fn connected(&self) {
        self.skipped_until_ms.store(0, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.skipped_until_ms.store(now_ms() + SKIPPED_MS, Relaxed);
    }
}

/// Milliseconds on a clock that all threads share and nobody sets.
pub(super) fn now_ms() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Smooth weighted round robin, played once through: exact over its length and never far off in between.
///
/// The length is at most 10,000, since weights are in 0.01 %.
fn schedule(weights: &[u32]) -> Vec<u16> {
    let divisor = i64::from(weights.iter().copied().fold(0, gcd).max(1));
    let weights: Vec<i64> = weights.iter().map(|it| i64::from(*it) / divisor).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let turn = |_| {
        credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        let most = credit.iter().copied().max()?;
        let chosen = credit.iter().position(|it| *it == most)?;
        credit[chosen] -= total;
        u16::try_from(chosen).ok()
    };
    (0..total).filter_map(turn).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(turns: &[u16], revisions: usize) -> Vec<usize> {
        (0..revisions).map(|it| turns.iter().filter(|turn| usize::from(**turn) == it).count()).collect()
    }

    #[test]
    fn weights_are_exact_over_a_schedule_and_close_within_it() {
        let table: &[(&[u32], usize)] = &[
            (&[10_000], 1),
            (&[0, 10_000], 1),
            (&[9_000, 1_000], 10),
            (&[9_900, 100], 100),
            (&[9_999, 1], 10_000),
            (&[3_333, 3_333, 3_334], 10_000),
            (&[0, 0], 0),
            (&[], 0),
        ];
        for (weights, len) in table {
            let turns = schedule(weights);
            assert_eq!(turns.len(), *len, "{weights:?}");
            for (revision, count) in counted(&turns, weights.len()).into_iter().enumerate() {
                assert_eq!(count * 10_000, weights[revision] as usize * len, "{weights:?}");
            }
            for window in turns.windows(100) {
                for (revision, count) in counted(window, weights.len()).into_iter().enumerate() {
                    assert!((count as f64 - f64::from(weights[revision]) / 100.0).abs() <= 1.0, "{weights:?}: {count}");
                }
            }
        }
    }
}
