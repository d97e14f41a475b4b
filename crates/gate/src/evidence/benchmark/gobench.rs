//! What `go test -bench` writes: `BenchmarkTotal-8  1000  1234 ns/op`, as often as `-count` says.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{BENCHMARKS_MAX, Report};
use crate::evidence::claim::{Average, Parsed, Problem, shorten};
use crate::evidence::lines::each_line;

const LINE_MAX_BYTES: u64 = 1 << 20;

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut output = Output::default();
    each_line(input, LINE_MAX_BYTES, |text, line| output.take(text, line))?;
    output.finish()
}

/// Whether a line has figures of a benchmark.
pub(crate) fn is_figures(line: &str) -> bool {
    figures(line).is_some()
}

/// The name and the nanoseconds; nothing of one that only reports metrics of its own.
fn figures(line: &str) -> Option<(&str, f64)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next().filter(|name| name.len() > "Benchmark".len() && name.starts_with("Benchmark"))?;
    words.next()?.parse::<u64>().ok()?;
    let measured: Vec<&str> = words.collect();
    let time = measured.chunks(2).find(|pair| pair.get(1) == Some(&"ns/op"))?;
    Some((name, time[0].parse().ok()?))
}

#[derive(Debug, Default)]
struct Output {
    package: Option<String>,
    /// Times by package and name.
    times: BTreeMap<(String, String), Vec<f64>>,
    measured: usize,
}

impl Output {
    fn take(&mut self, text: &str, line: u64) -> Result<(), Problem> {
        if let Some(package) = text.strip_prefix("pkg: ") {
            self.begin(package.trim(), line)?;
        } else if text == "PASS" || text.starts_with("ok  \t") {
            self.package = None;
        } else if text.starts_with("FAIL") || text.starts_with("--- FAIL: ") {
            let what = shorten(text.trim_start_matches("--- ").trim_start_matches("FAIL").trim_start_matches([':', ' ', '\t']), 200);
            let what = if what.is_empty() { String::new() } else { format!(": {what}") };
            return Err(Problem::at(line, format!("says itself that a benchmark failed{what}")));
        } else if let Some((name, ns)) = figures(text) {
            self.measured += 1;
            if self.measured > BENCHMARKS_MAX {
                return Err(Problem::at(line, format!("has more than {BENCHMARKS_MAX} benchmarks")));
            }
            if !ns.is_finite() || ns < 0.0 {
                return Err(Problem::at(line, format!("has a time of {} that can't be: {ns} ns", shorten(name, 200))));
            }
            let package = self.package.clone().unwrap_or_default();
            self.times.entry((package, shorten(name, 400))).or_default().push(ns);
        }
        Ok(())
    }

    fn begin(&mut self, package: &str, line: u64) -> Result<(), Problem> {
        match self.package.replace(shorten(package, 400)) {
            // One package is told of again where a part of the output was written twice.
            Some(before) if before != package => Err(Problem::at(line, format!("begins package {package} inside of {before}"))),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        if let Some(package) = self.package {
            return Err(Problem::new(format!("ends in the middle of package {package}")));
        }
        let processors = processors(self.times.keys().map(|(_, name)| name.as_str()));
        let mut report = Report::default();
        for ((package, name), times) in &self.times {
            let name = processors.and_then(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            let name = if package.is_empty() { name.to_string() } else { format!("{package}.{name}") };
            let average = if times.len() == 1 { Average::Mean } else { Average::Median };
            report.add(&name, median(times), average, deviation(times))?;
        }
        report.finish("go test")
    }
}

/// `-8`, where all names end with it: the number of processors, which is not the benchmark's and differs between machines.
fn processors<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let suffix = |name: &'a str| {
        let dash = name.rfind('-')?;
        let digits = &name[dash + 1..];
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| &name[dash..])
    };
    let first = suffix(names.next()?)?;
    names.all(|name| suffix(name) == Some(first)).then_some(first)
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len() % 2 == 1 { times[middle] } else { f64::midpoint(times[middle - 1], times[middle]) }
}

/// Nothing of a single one.
fn deviation(times: &[f64]) -> Option<f64> {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    (times.len() > 1).then(|| (squares / (count - 1.0)).sqrt())
}
