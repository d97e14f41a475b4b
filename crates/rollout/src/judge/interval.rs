use super::worse::{RATIOS, likelihood_log, mean_of_exponentials_log};
use super::{Look, Tally};

/// Looks with something bad in them, for the interval of the ratio; those without say nothing about a ratio.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Looks(Vec<Look>);

/// So many looks are kept one by one; beyond them neighbours are added up, which widens the interval a little and bounds the memory.
const LOOKS_MAX: usize = 512;

/// Ratios outside are shown as the end of the scale.
const SCALE: (f64, f64) = (0.01, 100.0);

impl Looks {
    pub fn add(&mut self, look: &Look) {
        if look.canary.bad + look.stable.bad == 0 {
            return;
        }
        self.0.push(*look);
        if self.0.len() > LOOKS_MAX {
            self.0 = self.0.chunks(2).map(|pair| pair.iter().fold(Look::default(), |sum, look| sum.plus(look))).collect();
        }
    }

    /// The anytime-valid interval of the ratio of rates that misses the truth with a chance of at most `alpha`, now or ever: all
    /// ratios that the same e-process, run against each of them from above and below, has not refuted.
    pub fn ratio_interval(&self, alpha: f64) -> (f64, f64) {
        let refuted = (2.0 / alpha).ln();
        let low = border(|null| self.log_against(null, |ratio| null * ratio) >= refuted);
        let high = border(|null| self.log_against(null, |ratio| null / ratio) < refuted);
        (low, high)
    }

    fn log_against(&self, null: f64, alternative: impl Fn(f64) -> f64) -> f64 {
        let logs = RATIOS.map(|ratio| self.0.iter().map(|look| likelihood_log(look, null, alternative(ratio))).sum());
        mean_of_exponentials_log(&logs)
    }
}

/// Where `holds` ends to hold as the ratio grows.
fn border(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (SCALE.0.ln(), SCALE.1.ln());
    // 24 halvings of the scale are finer than the digits shown.
    for _ in 0..24 {
        let middle = 0.5 * (low + high);
        if holds(middle.exp()) { low = middle } else { high = middle }
    }
    (0.5 * (low + high)).exp()
}

/// The ratio of the rates as counted; nothing when the stable had none bad.
pub(super) fn ratio(canary: Tally, stable: Tally) -> Option<f64> {
    (stable.bad > 0 && canary.requests > 0)
        .then(|| (canary.bad as f64 / canary.requests as f64) / (stable.bad as f64 / stable.requests as f64))
}
