use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Latencies as counts per bucket: the key is a bucket's largest value in microseconds, the value how many fell into it.
///
/// Buckets are those of an HDR histogram with two significant digits, so that a bound placed on a bucket's edge splits the
/// counts exactly and any verdict can be recomputed from the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(pub BTreeMap<u64, u64>);

impl Histogram {
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many are slower than `bound_us`; exact when the bound is a bucket's edge.
    pub fn count_above(&self, bound_us: u64) -> u64 {
        self.0.range(bound_us + 1..).map(|(_, count)| count).sum()
    }

    /// The smallest bucket edge that at least the share `quantile` (0 to 1) does not exceed; nothing when empty.
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let wanted = (quantile * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (edge, count) in &self.0 {
            seen += count;
            if seen >= wanted {
                return Some(*edge);
            }
        }
        None
    }

    /// What was added since `earlier`, a reading of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let counts = self.0.iter().map(|(edge, count)| (*edge, count.saturating_sub(earlier.0.get(edge).copied().unwrap_or(0))));
        Histogram(counts.filter(|(_, count)| *count > 0).collect())
    }

    pub fn add(&mut self, other: &Histogram) {
        for (edge, count) in &other.0 {
            *self.0.entry(*edge).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_quantiles_and_differences_are_exact_on_edges() {
        let earlier = Histogram(BTreeMap::from([(10, 5)]));
        let later = Histogram(BTreeMap::from([(10, 8), (20, 1), (40, 1)]));
        assert_eq!(later.count_above(10), 2);
        assert_eq!(later.count_above(40), 0);
        assert_eq!(later.quantile_us(0.5), Some(10));
        assert_eq!(later.quantile_us(0.95), Some(40));
        assert_eq!(Histogram::default().quantile_us(0.5), None);
        assert_eq!(later.since(&earlier), Histogram(BTreeMap::from([(10, 3), (20, 1), (40, 1)])));
    }
}
