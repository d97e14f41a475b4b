use base::thousands;
use serde::{Deserialize, Serialize};

use super::{Comparison, Judge, Metric, PROOF_ODDS, Question, Stream, Tally, interval};

/// What is known about one question, in numbers that a person can check: stored when a verdict falls, shown at any time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub question: Question,
    pub canary: Tally,
    pub stable: Tally,
    /// Nothing when the stable had none bad.
    pub ratio: Option<f64>,
    /// Anytime-valid, 99 %.
    pub interval: (f64, f64),
    /// Odds against "no worse".
    pub odds: f64,
    /// The odds that end the rollout.
    pub stops_at: f64,
    /// Odds against "worse by the margin", the better of the two proofs.
    pub proof_odds: f64,
    pub proof: Option<Proof>,
    /// What counts as slow.
    pub bound_us: Option<u64>,
    /// The last look alone.
    pub last: (Tally, Tally),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The ratio of the rates is below the margin.
    Ratio,
    /// The difference of the rates is below the margin.
    Difference,
}

/// Odds are shown and stored up to here; a product of years of looks would leave what JSON can say.
const ODDS_MAX: f64 = 1e12;

impl Judge {
    pub(super) fn evidence_of(&self, question: Question, comparison: &Comparison, bound_us: Option<u64>) -> Evidence {
        let (ratio, difference) = (comparison.ratio.log_evidence(), comparison.difference.log_evidence());
        let proof = if ratio > difference { Proof::Ratio } else { Proof::Difference };
        let proof_odds = odds(ratio.max(difference));
        let interval = comparison.looks.ratio_interval(0.01);
        Evidence {
            question,
            canary: comparison.total.canary,
            stable: comparison.total.stable,
            ratio: interval::ratio(comparison.total.canary, comparison.total.stable).map(stored),
            interval: (stored(interval.0), stored(interval.1)),
            odds: odds(comparison.worse.log_evidence()),
            stops_at: stored(self.stops_at()),
            proof_odds,
            proof: (ratio.max(difference) >= PROOF_ODDS.ln() && !comparison.is_suspect()).then_some(proof),
            bound_us: bound_us.filter(|_| question.metric == Metric::Slow),
            last: (comparison.last.canary, comparison.last.stable),
        }
    }
}

impl Evidence {
    /// `Errors: canary 41/4,020 vs stable 62/16,105 → 2.6x (99 % CI 1.7–4.1); evidence 830 : 1 against "no worse" (stops at 100 : 1)`.
    pub fn sentence(&self) -> String {
        let (canary, stable) = (fraction(self.canary), fraction(self.stable));
        let ratio = match self.ratio {
            Some(ratio) => format!("{}x (99 % CI {}–{})", short(ratio), short(self.interval.0), upper(self.interval.1)),
            None if self.canary.bad == 0 => "none on either side".to_string(),
            None => format!("no ratio, stable had none (99 % CI {}–{})", short(self.interval.0), upper(self.interval.1)),
        };
        let (odds, stops_at) = (whole(self.odds), whole(self.stops_at));
        format!(
            "{}: canary {canary} vs stable {stable} → {ratio}; evidence {odds} : 1 against \"no worse\" (stops at {stops_at} : 1)",
            self.title()
        )
    }

    /// `1.0 % of the new version's requests failed, 0.4 % of the old one's`.
    pub fn plainly(&self) -> String {
        let (canary, stable) = (share(self.canary), share(self.stable));
        let (which, what) = match (self.question.stream, self.question.metric) {
            (Stream::Users, Metric::Errors) => ("requests", "failed"),
            (Stream::Users, Metric::Slow) => ("answers", "were slow"),
            (Stream::Synthetic, Metric::Errors) => ("synthetic probes", "failed"),
            (Stream::Synthetic, Metric::Slow) => ("answers to synthetic probes", "were slow"),
        };
        format!("{canary} of the new version's {which} {what}, {stable} of the old one's")
    }

    fn title(&self) -> String {
        let of_probes = if self.question.stream == Stream::Synthetic { " (synthetic probes)" } else { "" };
        match (self.question.metric, self.bound_us) {
            (Metric::Errors, _) => format!("Errors{of_probes}"),
            (Metric::Slow, Some(bound)) => format!("Slower than {}{of_probes}", microseconds(bound)),
            (Metric::Slow, None) => format!("Slow answers{of_probes}"),
        }
    }
}

impl Question {
    /// `errors`, `slow answers of probes`: inside a sentence.
    pub fn words(self) -> &'static str {
        match (self.stream, self.metric) {
            (Stream::Users, Metric::Errors) => "errors",
            (Stream::Users, Metric::Slow) => "slow answers",
            (Stream::Synthetic, Metric::Errors) => "errors of synthetic probes",
            (Stream::Synthetic, Metric::Slow) => "slow answers to synthetic probes",
        }
    }
}

fn odds(log: f64) -> f64 {
    stored(log.exp().min(ODDS_MAX))
}

/// Three decimals, which is more than anybody reads: a short decimal is read from JSON as exactly the number that was written.
fn stored(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn fraction(tally: Tally) -> String {
    format!("{}/{}", thousands(tally.bad), thousands(tally.requests))
}

fn share(tally: Tally) -> String {
    let percent = tally.bad as f64 / tally.requests.max(1) as f64 * 100.0;
    if tally.bad == 0 || percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

fn short(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

fn upper(ratio: f64) -> String {
    if ratio > 99.0 { "∞".to_string() } else { short(ratio) }
}

/// Odds below 1 to one digit, others whole.
fn whole(odds: f64) -> String {
    if odds < 10.0 { format!("{odds:.1}") } else { thousands(odds as u64) }
}

fn microseconds(us: u64) -> String {
    if us < 1_000 { format!("{us}µs") } else { format!("{:.1} ms", us as f64 / 1_000.0) }
}
