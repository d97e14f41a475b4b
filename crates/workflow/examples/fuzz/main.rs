//! Throws mutated golden files at everything that reads what strangers write, and fails on a panic or where one takes too long.
//!
//! `cargo run --release -p workflow --example fuzz -- TARGET|all [RUNS] [SEED]`. Every execution has a number of its own, so that
//! `… -- TARGET 1 NUMBER` does the one again that failed.

#![allow(clippy::print_stdout, reason = "it says what it found")]

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mutate::{Random, Seeds};
use targets::{TARGETS, Target};

/// Longer than any input of this size may take, also on a busy machine: what takes longer is called a hang.
const HANG: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Some(default), |text| text.parse().ok());
    let name = arguments.first().map_or("all", String::as_str);
    let chosen: Vec<&Target> = TARGETS.iter().filter(|target| name == "all" || target.name == name).collect();
    let (Some(runs), Some(seed), false) = (number(1, 10_000), number(2, 1), chosen.is_empty()) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        println!("usage: fuzz all|{} [RUNS] [SEED]", names.join("|"));
        return ExitCode::from(2);
    };
    let failed = chosen.into_iter().filter(|target| !fuzz(target, runs, seed)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is being executed, for whoever watches the clock.
static NOW: Mutex<Option<(Instant, u64, String)>> = Mutex::new(None);

fn fuzz(target: &Target, runs: u64, seed: u64) -> bool {
    let seeds = Seeds::new((target.seeds)());
    let (done, ended) = channel();
    let watch = std::thread::spawn({
        let name = target.name;
        move || watch(name, &ended)
    });
    let begun = Instant::now();
    let mut failed = 0;
    for number in seed..seed.saturating_add(runs) {
        let input = seeds.input(&mut Random(number));
        if let Ok(mut now) = NOW.lock() {
            *now = Some((Instant::now(), number, input.clone()));
        }
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            failed += 1;
            println!("{}: execution {number} panicked on\n{input:?}", target.name);
        }
    }
    if let Ok(mut now) = NOW.lock() {
        *now = None;
    }
    drop(done);
    drop(watch.join());
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}: {runs} executions in {seconds:.1} s, {failed} panicked", target.name);
    failed == 0
}

/// Ends the process where an execution doesn't end.
fn watch(name: &str, ended: &Receiver<()>) {
    while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        let Ok(now) = NOW.lock() else { continue };
        if let Some((begun, number, input)) = now.as_ref()
            && begun.elapsed() > HANG
        {
            println!("{name}: execution {number} hasn't ended after {HANG:?} on\n{input:?}");
            std::process::exit(1);
        }
    }
}
