use super::Look;
use super::worse::{RATIOS, likelihood_log, mean_of_exponentials_log};

/// Evidence against "the canary's rate is `1 + margin` times the stable's, or more".
///
/// The same likelihood as [`super::worse::Worse`], turned around: the mixture is over ratios below the margin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RatioProof {
    logs: [f64; 7],
}

impl RatioProof {
    pub fn add(&mut self, look: &Look, margin: f64) {
        let null = 1.0 + margin;
        for (log, ratio) in self.logs.iter_mut().zip(RATIOS) {
            *log += likelihood_log(look, null, null / ratio);
        }
    }

    pub fn log_evidence(&self) -> f64 {
        mean_of_exponentials_log(&self.logs)
    }
}

/// Rates that both versions may share, each a bet of its own.
const SHARED_RATES: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];

/// What a perfect application has; not zero itself, because one bad answer would then end the bet for ever.
const NEARLY_ZERO: f64 = 0.000_01;

/// Most of the stake lies on nearly zero, so that a perfect application is proved after 459 canary requests and a few more.
const NEARLY_ZERO_STAKE: f64 = 0.7;

/// Evidence against "the canary's rate exceeds the stable's by `margin` or more".
///
/// One bet per look, the e-variable of Turner & Grünwald (2023) for two Bernoulli streams: the likelihood of "both have the rate
/// `p`" over that of the point of the null hypothesis nearest to it, nearest in the sense of Kullback and Leibler, weighted with the
/// requests of the look. The null hypothesis is convex, therefore the expected value under every point of it is at most 1, for any
/// numbers of requests, and also when the rates move from request to request. With no bad answer on either side each canary request
/// multiplies the evidence by `1 / (1 - margin)`: 459 of them make 100 : 1 of one percentage point.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DifferenceProof {
    nearly_zero_log: f64,
    logs: [f64; 9],
}

impl DifferenceProof {
    pub fn add(&mut self, look: &Look, margin: f64) {
        if look.canary.requests == 0 {
            return;
        }
        self.nearly_zero_log += bet_log(look, NEARLY_ZERO, margin);
        for (log, rate) in self.logs.iter_mut().zip(SHARED_RATES) {
            *log += bet_log(look, rate, margin);
        }
    }

    pub fn log_evidence(&self) -> f64 {
        let nearly_zero = self.nearly_zero_log + NEARLY_ZERO_STAKE.ln();
        let others = mean_of_exponentials_log(&self.logs) + (1.0 - NEARLY_ZERO_STAKE).ln();
        mean_of_exponentials_log(&[nearly_zero, others]) + 2f64.ln()
    }
}

fn bet_log(look: &Look, rate: f64, margin: f64) -> f64 {
    let nearest_stable = nearest(look, rate, margin);
    bernoulli_log(look.canary.bad, look.canary.requests, rate, nearest_stable + margin)
        + bernoulli_log(look.stable.bad, look.stable.requests, rate, nearest_stable)
}

/// Of the pairs (canary, stable) with canary = stable + margin, the stable's rate of the one nearest to (rate, rate).
fn nearest(look: &Look, rate: f64, margin: f64) -> f64 {
    if look.stable.requests == 0 {
        // Nothing was seen of the stable, so that any rate of it is as near; the canary's own may already be within the hypothesis.
        return (rate - margin).max(0.0);
    }
    let (canary, stable) = (look.canary.requests as f64, look.stable.requests as f64);
    let spread = |there: f64| there * (1.0 - there);
    let (mut low, mut high) = (0.0, rate.min(1.0 - margin));
    // The divergence is convex along the line, its slope changes sign once. After 40 halvings what is left is below any rate's meaning.
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        // Of the slope only the sign counts: without its denominators, which are positive.
        let slope = -canary * (rate - middle - margin) * spread(middle) - stable * (rate - middle) * spread(middle + margin);
        if slope > 0.0 { high = middle } else { low = middle }
    }
    0.5 * (low + high)
}

fn bernoulli_log(bad: u64, requests: u64, rate: f64, null: f64) -> f64 {
    let good = (requests - bad) as f64;
    let of_bad = if bad == 0 { 0.0 } else { bad as f64 * (rate / null).ln() };
    of_bad + good * ((1.0 - rate) / (1.0 - null)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Tally;

    /// The promise of an e-variable, by exact summation over every outcome of one look: on the border of the null hypothesis and
    /// above it, the expected factor is at most 1.
    #[test]
    fn a_bet_on_the_difference_is_fair_under_every_point_of_the_null_hypothesis() {
        for (canary, stable) in [(1, 1), (5, 40), (12, 3), (7, 0)] {
            for rate in [NEARLY_ZERO, 0.005, 0.05, 0.2] {
                for (stable_rate, excess) in [(0.0, 0.01), (0.005, 0.01), (0.05, 0.01), (0.3, 0.01), (0.01, 0.05), (0.0, 0.5)] {
                    let expected = expectation(canary, stable, stable_rate + excess, stable_rate, |look| bet_log(look, rate, 0.01));
                    assert!(expected <= 1.0 + 1e-9, "{canary}/{stable} bet on {rate}, truth {stable_rate}+{excess}: {expected}");
                }
            }
        }
    }

    fn expectation(canary: u64, stable: u64, canary_rate: f64, stable_rate: f64, bet: impl Fn(&Look) -> f64) -> f64 {
        let mut sum = 0.0;
        for canary_bad in 0..=canary {
            for stable_bad in 0..=stable {
                let look =
                    Look { canary: Tally { requests: canary, bad: canary_bad }, stable: Tally { requests: stable, bad: stable_bad } };
                let chance = binomial(canary, canary_bad, canary_rate) * binomial(stable, stable_bad, stable_rate);
                if chance > 0.0 {
                    sum += chance * bet(&look).exp();
                }
            }
        }
        sum
    }

    fn binomial(requests: u64, bad: u64, rate: f64) -> f64 {
        let ways: f64 = (0..bad).map(|taken| (requests - taken) as f64 / (taken + 1) as f64).product();
        ways * rate.powi(bad as i32) * (1.0 - rate).powi((requests - bad) as i32)
    }
}
