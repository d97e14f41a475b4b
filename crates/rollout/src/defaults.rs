//! What a plan says when nobody said anything; the numbers come from the table in `docs/judge.md`.

use crate::plan::{Deadline, JudgePlan, Limits, Step, Strategy, SyntheticPlan};
use crate::rolling::Amount;
use crate::watch::{Measure, Then, WatchPlan, WatchRule};

/// More instances of one version are more than a machine has room for.
pub const REPLICAS_MAX: u32 = 100;

impl Default for JudgePlan {
    fn default() -> JudgePlan {
        JudgePlan {
            // One good release in a hundred taken back by mistake, at most; the simulation measures far fewer.
            alpha: 0.01,
            // Half as much again. Closer is out of reach within a canary: 1.2 would need ten times the errors.
            ratio_margin: 0.5,
            // 459 canary requests prove it for an application without errors; half of it would need twice as many.
            difference_margin: 0.01,
            latency_quantile: 0.95,
            // At twice the 95th percentile ordinary latencies leave a few requests in a thousand, so that a good release is soon proved;
            // one three times as slow sends more than a tenth of its requests over it.
            latency_factor: 2.0,
            // An application that answers in three milliseconds takes ten when its machine is busy with something else, and nobody
            // notices; a turn of the scheduler and a pause of a collector are shorter than this, what a person notices is longer.
            latency_slack_us: 25_000,
            // Ten times what a healthy service has, and below what anybody would call an outage.
            absolute_bad_share: 0.05,
            // Detection within seconds at high traffic needs at least three looks; more often would only fill the record.
            look_ms: 5_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            ready_ms: 120_000,
            // Three looks.
            step_min_ms: 15_000,
            // With 0.5 % errors on both sides and 200 canary requests a minute the median proof takes six and a half minutes and nine
            // in ten come within 13; a perfect release needs 2.4, or the same with probes when there are fewer users.
            step_max_ms: 15 * 60_000,
            // Nothing speaks against the canary then; a person may know more.
            deadline: Deadline::Hold,
            route_ms: route_ms(),
            drain_ms: 10_000,
            warm_ms: 0,
            verify_ms: 10_000,
            // One crash can be chance.
            restarts_max: 3,
        }
    }
}

/// A limit that plans without it had; they stay as they were written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
pub(crate) fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

/// A route is in force within a tenth of a second; a minute outlasts a proxy that is started again.
pub(crate) fn route_ms() -> u64 {
    60_000
}

/// The triggers that teams have: an outage within a minute, a degradation within five.
impl Default for WatchPlan {
    fn default() -> WatchPlan {
        let rule = |measure, minutes: u64, then| WatchRule { measure, during_ms: minutes * 60_000, then };
        let rules = vec![
            rule(Measure::Errors { above: 0.2 }, 1, Then::GoBack),
            rule(Measure::Errors { above: 0.05 }, 5, Then::GoBack),
            rule(Measure::Latency { quantile: 0.99, above_us: 1_000_000 }, 5, Then::GoBack),
            rule(Measure::Latency { quantile: 0.95, above_us: 500_000 }, 3, Then::Warn),
            rule(Measure::Restarts { above: 3 }, 10, Then::GoBack),
            rule(Measure::NotReady, 5, Then::GoBack),
        ];
        WatchPlan { for_ms: 30 * 60_000, rules }
    }
}

impl Default for SyntheticPlan {
    fn default() -> SyntheticPlan {
        SyntheticPlan {
            paths: vec!["/".to_string()],
            // 240 a minute: the 459 answers that prove a perfect release take two minutes.
            interval_ms: 250,
            // Below it users alone would need more than four minutes for the same.
            below_requests_per_minute: 120,
        }
    }
}

impl Strategy {
    /// A quarter more, a quarter fewer.
    pub fn default_rolling_update() -> Strategy {
        Strategy::RollingUpdate { max_surge: Amount::DEFAULT, max_unavailable: Amount::DEFAULT }
    }

    /// 10 → 50 → 100 %.
    pub fn default_canary() -> Strategy {
        Strategy::Canary { steps: vec![Step::SetWeight(1_000), Step::SetWeight(5_000)] }
    }

    /// How long the version before is kept running after the new one is verified, where nobody says.
    pub fn default_warm_ms(&self) -> u64 {
        match self {
            // Argo's own default between the switch and the end of the old version.
            Strategy::BlueGreen { .. } => 30_000,
            Strategy::Canary { .. } | Strategy::RollingUpdate { .. } | Strategy::Immediate => 0,
        }
    }

    /// The strategy of that name: the project's own where it is of that kind, else with the defaults. Nothing where there is none.
    pub fn named(name: &str, own: &Strategy) -> Option<Strategy> {
        Some(match (name, own) {
            ("canary", Strategy::Canary { .. })
            | ("blue-green", Strategy::BlueGreen { .. })
            | ("rolling", Strategy::RollingUpdate { .. }) => own.clone(),
            ("canary", _) => Strategy::default_canary(),
            ("blue-green", _) => Strategy::BlueGreen { auto_promotion_ms: Some(0) },
            ("rolling", _) => Strategy::default_rolling_update(),
            ("immediate", _) => Strategy::Immediate,
            _ => return None,
        })
    }
}
