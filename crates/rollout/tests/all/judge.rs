//! The judge keeps its promises in made-up worlds: the small numbers of `examples/judge_table.rs`, with fixed seeds.

use crate::worlds::{Answer, Cell, World, run};
use rollout::judge::Metric;

/// At most so many of the runs end in each answer, and the median of the named one comes so soon.
#[derive(Debug)]
struct Want {
    worse: std::ops::RangeInclusive<usize>,
    not_worse_min: usize,
    median_minutes_max: f64,
}

const RUNS: u64 = 60;

#[test]
fn good_releases_pass_bad_ones_are_found_and_nobody_waits_for_ever() {
    let good = |not_worse_min, median_minutes_max| Want { worse: 0..=2, not_worse_min, median_minutes_max };
    let bad = |median_minutes_max| Want { worse: 60..=60, not_worse_min: 0, median_minutes_max };
    let table = [
        (cell(World::Calm, 200.0, 0.0, 1.0), good(60, 2.75)),
        (cell(World::Calm, 20_000.0, 0.0, 1.0), good(60, 0.25)),
        (cell(World::Calm, 200.0, 0.005, 1.0), good(57, 11.0)),
        (cell(World::Calm, 2_000.0, 0.005, 1.0), good(60, 1.5)),
        (cell(World::SharedIncident, 200.0, 0.005, 1.0), good(57, 12.0)),
        (cell(World::SharedLatency, 2_000.0, 0.005, 1.0), good(60, 2.0)),
        (cell(World::StableRestart, 2_000.0, 0.005, 1.0), good(60, 1.5)),
        (cell(World::CanaryRestart, 2_000.0, 0.005, 1.0), good(57, 1.5)),
        (cell(World::Ramp, 2_000.0, 0.005, 1.0), good(58, 2.5)),
        (cell(World::Calm, 200.0, 0.005, 5.0), bad(4.0)),
        (cell(World::Calm, 20_000.0, 0.005, 5.0), bad(1.0)),
        (Cell { metric: Metric::Slow, ..cell(World::Calm, 200.0, 0.005, 5.0) }, bad(5.0)),
    ];
    for (cell, want) in table {
        let answers: Vec<Answer> = (0..RUNS).map(|seed| run(cell, seed)).collect();
        let worse: Vec<f64> = answers.iter().filter_map(|it| it.worse).collect();
        let not_worse: Vec<f64> = answers.iter().filter_map(|it| it.not_worse).collect();
        let median = median(if *want.worse.start() > 0 { worse.clone() } else { not_worse.clone() });
        assert!(want.worse.contains(&worse.len()), "{cell:?}: {} of {RUNS} were called worse, wanted {want:?}", worse.len());
        assert!(not_worse.len() >= want.not_worse_min, "{cell:?}: {} of {RUNS} were proved, wanted {want:?}", not_worse.len());
        assert!(median <= want.median_minutes_max, "{cell:?}: median {median} min, wanted {want:?}");
    }
}

fn cell(world: World, rate: f64, base: f64, times: f64) -> Cell {
    Cell { world, rate, base, times, metric: Metric::Errors }
}

fn median(mut minutes: Vec<f64>) -> f64 {
    minutes.sort_by(f64::total_cmp);
    minutes[minutes.len() / 2]
}
