//! Prints the table of `docs/judge.md`: what the judge answers in made-up worlds, and when.
//!
//! `cargo run --release -p rollout --example judge_table [RUNS] [RATE]`; every run is half an hour of looks at one weight.
#![allow(clippy::print_stdout)]

#[path = "../tests/all/worlds/mod.rs"]
mod worlds;

use rollout::judge::Metric;
use worlds::{Answer, Cell, World, run};

const RATES: [f64; 4] = [20.0, 200.0, 2_000.0, 20_000.0];

fn main() {
    let runs: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let only: Option<f64> = std::env::args().nth(2).and_then(|text| text.parse().ok());
    println!("| world | bad | canary | per minute | worse % (median min) | not worse % (median, 90 %, last min) | neither % |");
    println!("|---|---|---|---|---|---|---|");
    let errors = |world, base, times| (world, base, times, Metric::Errors);
    let rows = [
        errors(World::Calm, 0.0, 1.0),
        errors(World::Calm, 0.005, 1.0),
        errors(World::Calm, 0.005, 2.0),
        errors(World::Calm, 0.005, 5.0),
        (World::Calm, 0.005, 5.0, Metric::Slow),
        errors(World::SharedIncident, 0.005, 1.0),
        errors(World::SharedLatency, 0.005, 1.0),
        errors(World::OwnLatency, 0.005, 1.0),
        errors(World::StableRestart, 0.005, 1.0),
        errors(World::CanaryRestart, 0.0, 1.0),
        errors(World::CanaryRestart, 0.005, 1.0),
        errors(World::Ramp, 0.005, 1.0),
        errors(World::Ramp, 0.005, 5.0),
    ];
    for (world, base, times, metric) in rows {
        for rate in RATES.into_iter().filter(|rate| only.is_none_or(|only| only == *rate)) {
            print_row(Cell { world, rate, base, times, metric }, runs);
        }
    }
}

fn print_row(cell: Cell, runs: u64) {
    let answers: Vec<Answer> = (0..runs).map(|seed| run(cell, seed)).collect();
    let mut worse: Vec<f64> = answers.iter().filter_map(|it| it.worse).collect();
    let mut not_worse: Vec<f64> = answers.iter().filter_map(|it| it.not_worse).collect();
    let neither = answers.iter().filter(|it| it.worse.is_none() && it.not_worse.is_none()).count();
    worse.sort_by(f64::total_cmp);
    not_worse.sort_by(f64::total_cmp);
    let percent = |count: usize| 100.0 * count as f64 / runs as f64;
    println!(
        "| {:?} | {} % | ×{}{} | {} | {:.1} ({}) | {:.1} ({}, {}, {}) | {:.1} |",
        cell.world,
        cell.base * 100.0,
        cell.times,
        if cell.metric == Metric::Slow { " slow" } else { "" },
        cell.rate,
        percent(worse.len()),
        at(&worse, 0.5),
        percent(not_worse.len()),
        at(&not_worse, 0.5),
        at(&not_worse, 0.9),
        at(&not_worse, 1.0),
        percent(neither),
    );
}

fn at(sorted: &[f64], quantile: f64) -> String {
    let index = (quantile * sorted.len() as f64) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).map_or("–".to_string(), |minutes| format!("{minutes:.1}"))
}
