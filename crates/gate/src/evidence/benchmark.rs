//! How long things take, as benchmark tools measure it.

use std::io::BufRead;

use super::claim::{Average, Benchmark, ClaimKind, Parsed, Problem, shorten};
use super::finding::NAME_MAX_CHARS;

mod cargo_criterion;
mod criterion;
mod gobench;
mod hyperfine;
mod timing;

pub use timing::Timing;
pub(super) use timing::timings;

/// More than any person will ever look at; beyond it the report is refused rather than the memory filled.
const BENCHMARKS_MAX: usize = 200_000;
pub(crate) const CRITERION: &str = "criterion";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bench {
    CargoCriterion,
    /// `estimates.json`, one benchmark's figures.
    Criterion,
    /// `benchmark.json` beside it, which names it.
    CriterionName,
    Go,
    Hyperfine,
}

pub(crate) fn parse(bench: Bench, input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    match bench {
        Bench::CargoCriterion => cargo_criterion::parse(input),
        Bench::Criterion => criterion::parse(input),
        Bench::CriterionName => criterion::parse_name(input),
        Bench::Go => gobench::parse(input),
        Bench::Hyperfine => hyperfine::parse(input),
    }
}

pub(crate) use gobench::is_figures as is_go_figures;

/// The benchmarks of one report.
#[derive(Debug, Default)]
struct Report(Vec<Benchmark>);

impl Report {
    fn add(&mut self, name: &str, ns: f64, average: Average, spread_ns: Option<f64>) -> Result<(), Problem> {
        if self.0.len() == BENCHMARKS_MAX {
            return Err(Problem::new(format!("has more than {BENCHMARKS_MAX} benchmarks")));
        }
        self.0.push(benchmark(name, ns, average, spread_ns)?);
        Ok(())
    }

    fn finish(self, tool: &str) -> Result<Vec<Parsed>, Problem> {
        if self.0.is_empty() {
            return Err(Problem::new("holds no benchmark that measured a time"));
        }
        Ok(vec![Parsed { kind: ClaimKind::Benchmarks(self.0), tool: Some(tool.to_string()), tool_version: None, line: None }])
    }
}

/// Three hundred years; beyond it are no figures that anybody measured, and some that no JSON holds.
const TIME_MAX_NS: f64 = 1e19;

fn benchmark(name: &str, ns: f64, average: Average, spread_ns: Option<f64>) -> Result<Benchmark, Problem> {
    let name = shorten(name, NAME_MAX_CHARS);
    let is_time = |ns: &f64| (0.0..=TIME_MAX_NS).contains(ns);
    if let Some(wrong) = [Some(ns), spread_ns].into_iter().flatten().find(|ns| !is_time(ns)) {
        let whose = if name.is_empty() { String::new() } else { format!(" of {name}") };
        return Err(Problem::new(format!("has a time{whose} that can't be: {wrong} ns")));
    }
    Ok(Benchmark { name, ns: picoseconds(ns), average, spread_ns: spread_ns.map(picoseconds) })
}

/// Rounded to what no clock measures: `0.1 s` is 100000000 ns and not 100000000.00000001.
fn picoseconds(ns: f64) -> f64 {
    (ns * 1_000.0).round() / 1_000.0
}

fn in_ns(value: f64, unit: &str) -> Option<f64> {
    let factor = match unit {
        "ps" => 0.001,
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(value * factor)
}
