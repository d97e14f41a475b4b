use base::Histogram;

use crate::plan::JudgePlan;

/// A quantile of 0.95 over fewer answers than this is mostly chance.
const ANSWERS_MIN: u64 = 100;

/// What counts as slow, from stable's own answers before the comparison begins: its quantile times the factor, and longer by the slack at
/// least, on a bucket's edge of the histogram where there is one, so that later counts split exactly.
///
/// Nothing while stable has answered too little. The bound is the same for both versions and fixed before the first answer it is
/// applied to; a bound off the mark costs sensitivity, never fairness.
pub fn latency_bound_us(stable: &Histogram, plan: &JudgePlan) -> Option<u64> {
    if stable.count() < ANSWERS_MIN {
        return None;
    }
    let usual = stable.quantile_us(plan.latency_quantile)?;
    let wanted = (usual as f64 * plan.latency_factor) as u64;
    Some(edge_at_or_above(wanted.max(usual.saturating_add(plan.latency_slack_us))))
}

/// The largest value of the bucket that holds `us`, in an HDR histogram with two significant digits: buckets of 1 µs below 256 µs, and
/// 128 of them to each doubling above.
fn edge_at_or_above(us: u64) -> u64 {
    let bits = u64::BITS - us.leading_zeros();
    let width = 1 << bits.saturating_sub(8);
    us / width * width + width - 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_bound_lies_on_a_bucket_edge_and_waits_for_enough_answers() {
        let plan = JudgePlan { latency_slack_us: 0, ..JudgePlan::default() };
        let answers = |count| Histogram(BTreeMap::from([(10_047, count), (50_175, 4)]));
        assert_eq!(latency_bound_us(&answers(95), &plan), None);
        assert_eq!(latency_bound_us(&answers(96), &plan), Some(20_095));
        for (us, edge) in [(0, 0), (255, 255), (256, 257), (511, 511), (512, 515), (20_094, 20_095)] {
            assert_eq!(edge_at_or_above(us), edge, "{us}");
        }
    }

    #[test]
    fn a_quick_application_is_not_slow_because_its_machine_is_busy() {
        let plan = JudgePlan::default();
        let answers = |us| Histogram(BTreeMap::from([(us, 100)]));
        assert_eq!(latency_bound_us(&answers(3_007), &plan), Some(edge_at_or_above(28_007)), "twice three milliseconds is noise");
        assert_eq!(latency_bound_us(&answers(100_351), &plan), Some(edge_at_or_above(200_702)));
    }
}
