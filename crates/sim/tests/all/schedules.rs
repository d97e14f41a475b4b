//! A few schedules in every test run; `cargo run --release -p sim -- --seeds 1000000` for the rest.

use sim::{Settings, run};

/// Enough to meet every fault and most transitions; the test command runs ten thousand.
const SEEDS: u64 = 150;

#[test]
fn every_promise_is_kept() {
    for seed in 0..SEEDS {
        let report = run(seed, Settings::default());
        assert!(report.found.is_none(), "seed {seed}: {:?}\n{}", report.found, report.last.join("\n"));
    }
}

#[test]
fn a_seed_is_one_schedule() {
    for seed in [3, 77] {
        let [first, second] = [run(seed, Settings::default()), run(seed, Settings { verbose: true, ..Settings::default() })];
        assert_eq!((first.hash, first.events, first.facts), (second.hash, second.events, second.facts), "seed {seed}");
        assert!(second.last.ends_with(&first.last), "seed {seed}");
    }
}
