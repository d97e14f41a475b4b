//! One metric of an analysis: how often it is asked, and how much of it may go wrong.

/// So many errors in a row are borne where nobody says how many.
const CONSECUTIVE_ERROR_LIMIT: u32 = 4;
/// So many measurements of a metric are kept where nobody says how many.
const RETAINED: usize = 10;
/// The time between two measurements where nobody says it, and after an error always.
pub(super) const RETRY_MS: u64 = 10_000;

/// With every choice made; the defaults are those of Argo Rollouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    pub name: String,
    pub interval_ms: Option<u64>,
    /// Before the first measurement.
    pub initial_delay_ms: u64,
    /// Measurements that are asked for; nothing is one without an interval, and no end with one.
    pub count: Option<u32>,
    /// More failures than this fail the metric; nothing: failures alone never do.
    pub failure_limit: Option<u32>,
    pub inconclusive_limit: u32,
    pub consecutive_error_limit: u32,
    /// So many successes in a row are asked for; 0 asks for none.
    pub consecutive_success_limit: u32,
    /// Measured and never a reason for anything.
    pub dry_run: bool,
    /// The last measurements, so many of them.
    pub retained: usize,
}

impl Metric {
    pub fn new(name: &str) -> Metric {
        Metric {
            name: name.to_string(),
            interval_ms: None,
            initial_delay_ms: 0,
            count: None,
            failure_limit: Some(0),
            inconclusive_limit: 0,
            consecutive_error_limit: CONSECUTIVE_ERROR_LIMIT,
            consecutive_success_limit: 0,
            dry_run: false,
            retained: RETAINED,
        }
    }

    /// Nothing goes on until it is stopped.
    pub fn effective_count(&self) -> Option<u32> {
        match self.count.filter(|count| *count > 0) {
            None if self.interval_ms.is_none() => Some(1),
            count => count,
        }
    }

    /// Why this can't be measured at all, the first reason that the controller would give.
    pub fn complaint(&self) -> Option<String> {
        let (count, successes) = (self.count.unwrap_or(0), self.consecutive_success_limit);
        if successes == 0 && self.failure_limit.is_none() {
            return Some("`failureLimit` and `consecutiveSuccessLimit` can't both be switched off: nothing would decide".to_string());
        }
        let needed = u64::from(self.failure_limit.unwrap_or(0)) + u64::from(successes);
        if count > 0 && u64::from(count) < needed {
            return Some(match self.failure_limit {
                Some(failures) => format!(
                    "`count` ({count}) must be at least `failureLimit` and `consecutiveSuccessLimit` together ({failures} + {successes})"
                ),
                None => format!("`count` ({count}) must be at least `consecutiveSuccessLimit` ({successes})"),
            });
        }
        if count > 0 && count < self.inconclusive_limit {
            return Some(format!("`count` ({count}) must be at least `inconclusiveLimit` ({})", self.inconclusive_limit));
        }
        (count > 1 && self.interval_ms.is_none()).then(|| format!("`interval` is missing: {count} measurements are asked for"))
    }
}
