//! What benchmarks are compared with: their figures in the last release that went live in the environment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::{Summary, Timing};

/// Kept of one release, by name: enough for every project but those that make their benchmarks up.
const FIGURES_MAX: usize = 1_000;

/// One benchmark of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub ns: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_ns: Option<f64>,
}

/// What is kept of a release for those after it.
pub fn figures(summary: &Summary) -> Vec<Figure> {
    let figure = |timing: &Timing| Figure { name: timing.name.clone(), ns: timing.ns, spread_ns: timing.spread_ns };
    summary.benchmarks.iter().take(FIGURES_MAX).map(figure).collect()
}

/// Fills in how the benchmarks compare with those of the release before.
pub(crate) fn compare(benchmarks: &mut [Timing], baseline: &[Figure]) {
    let known: BTreeMap<&str, &Figure> = baseline.iter().map(|figure| (figure.name.as_str(), figure)).collect();
    for benchmark in benchmarks {
        let Some(figure) = known.get(benchmark.name.as_str()) else { continue };
        benchmark.baseline_ns = Some(figure.ns);
        benchmark.baseline_spread_ns = figure.spread_ns;
        // Of nothing there is no percentage.
        benchmark.change_percent = (figure.ns > 0.0).then(|| hundredths((benchmark.ns / figure.ns - 1.0) * 100.0));
    }
}

/// Rounded, for whoever reads it.
fn hundredths(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}
