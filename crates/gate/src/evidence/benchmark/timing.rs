//! One time for each benchmark, of all reports, as policies see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::claim::{Average, Benchmark, Claim, ClaimKind, SourceRef};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    pub name: String,
    pub ns: f64,
    pub average: Average,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_ns: Option<f64>,
    /// What it took in the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_ns: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_spread_ns: Option<f64>,
    /// Above 0 where it is slower than in the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_percent: Option<f64>,
    pub source: SourceRef,
}

/// Sorted by name. Of several times of one name, the newest of criterion's folders counts, then the slowest.
pub(crate) fn timings(claims: &[&Claim]) -> Vec<Timing> {
    let names = claims.iter().filter_map(|claim| match &claim.kind {
        ClaimKind::BenchmarkName(name) => Some((named_by(folder(&claim.source.path)), name.as_str())),
        _ => None,
    });
    let names: BTreeMap<&str, &str> = names.collect();
    let mut best: BTreeMap<String, (u8, Timing)> = BTreeMap::new();
    for claim in claims {
        let ClaimKind::Benchmarks(benchmarks) = &claim.kind else { continue };
        let folder = folder(&claim.source.path);
        for benchmark in benchmarks {
            let (age, name) = match benchmark.name.as_str() {
                "" => (age(folder), *names.get(named_by(folder)).unwrap_or(&named_by(folder))),
                name => (0, name),
            };
            let better = |(known_age, known): &(u8, Timing)| age < *known_age || (age == *known_age && benchmark.ns > known.ns);
            if best.get(name).is_none_or(better) {
                best.insert(name.to_string(), (age, timing(name.to_string(), benchmark, &claim.source)));
            }
        }
    }
    best.into_values().map(|(_, timing)| timing).collect()
}

fn timing(name: String, benchmark: &Benchmark, source: &SourceRef) -> Timing {
    let Benchmark { ns, average, spread_ns, .. } = *benchmark;
    let source = source.clone();
    Timing { name, ns, average, spread_ns, baseline_ns: None, baseline_spread_ns: None, change_percent: None, source }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Criterion copies what is in `new` to `base`, or compares it with a baseline of another name, which is older.
fn age(folder: &str) -> u8 {
    match folder.rsplit('/').next() {
        Some("new") => 0,
        Some("base") => 1,
        _ => 2,
    }
}

/// `job/target/criterion/total/20/new` is `total/20`.
fn named_by(folder: &str) -> &str {
    let benchmark = folder.rsplit_once('/').map_or(folder, |(benchmark, _)| benchmark);
    match benchmark.split_once("/criterion/") {
        Some((_, name)) => name,
        None => benchmark.split_once('/').map_or(benchmark, |(_, name)| name),
    }
}
