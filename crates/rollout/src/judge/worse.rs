use super::{Look, Metric};

/// Rate ratios that evidence is weighed for, each with the same prior weight: from barely worse to broken.
pub const RATIOS: [f64; 7] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0];

/// No single look counts for more than so many bad answers of the canary's, or the odds beside it when they are more.
///
/// Errors come in bursts (a restart, one client that retries) and slow answers in stretches (a collector, a busy neighbour), and what
/// comes together looks like proof to a method that thinks every request independent. A factor cut from above stays a fair bet, so the
/// promise on false alarms holds as before. The table in `docs/judge.md` is where the two numbers come from: with them a release whose
/// latency wanders on its own, apart from the stable's, is blamed one time in ten at most instead of two times in three.
const fn look_max(metric: Metric) -> (f64, f64) {
    match metric {
        // With 10 : 1 a canary that only fails is found in three looks also where it has half of the traffic.
        Metric::Errors => (2.0, 10.0),
        // Even 2 : 1 would treble the false alarms on latency that wanders on its own.
        Metric::Slow => (1.0, 1.0),
    }
}

/// Evidence that the canary's rate is higher than that of the stable beside it.
///
/// The e-process of Lindon & Malek (2022) on two integers a look: of all bad answers in a look, the canary gets the share `w` of its
/// requests when it is no worse. For a ratio `r` the likelihood against that is `r^e1 / (w r + 1 - w)^(e1 + e0)`; the evidence is the
/// mean over [`RATIOS`] of the products over all looks. When the canary is no worse, the chance that it *ever* exceeds `1/α` is at
/// most `α` (Ville), however often one looks, however the traffic and the common rate move.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Worse {
    /// Per ratio, the logarithm of its product.
    logs: [f64; 7],
}

impl Worse {
    pub fn add(&mut self, look: &Look, metric: Metric) {
        let (bad_max, odds_max) = look_max(metric);
        for (log, ratio) in self.logs.iter_mut().zip(RATIOS) {
            let most = (bad_max * one_bad_log(look, ratio)).max(odds_max.ln());
            *log += likelihood_log(look, 1.0, ratio).min(most);
        }
    }

    /// Natural logarithm of the odds against "no worse".
    pub fn log_evidence(&self) -> f64 {
        mean_of_exponentials_log(&self.logs)
    }
}

/// How much better the ratio `ratio` explains one look than the ratio `null` does, as a logarithm.
pub(super) fn likelihood_log(look: &Look, null: f64, ratio: f64) -> f64 {
    let bad = look.canary.bad + look.stable.bad;
    if bad == 0 {
        return 0.0;
    }
    let share = canary_share(look);
    let scale = |ratio: f64| share * ratio + 1.0 - share;
    look.canary.bad as f64 * (ratio / null).ln() + bad as f64 * (scale(null) / scale(ratio)).ln()
}

pub(super) fn mean_of_exponentials_log(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
    largest + (sum / logs.len() as f64).ln()
}

fn one_bad_log(look: &Look, ratio: f64) -> f64 {
    let share = canary_share(look);
    (ratio / (share * ratio + 1.0 - share)).ln()
}

fn canary_share(look: &Look) -> f64 {
    let requests = look.canary.requests + look.stable.requests;
    if requests == 0 { 0.0 } else { look.canary.requests as f64 / requests as f64 }
}
