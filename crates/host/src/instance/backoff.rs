//! How long to wait before an application that ended is started again.

use std::time::Duration;

/// Doubles with each end, until the application was well for a while.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    ends: u32,
}

const FIRST: Duration = Duration::from_millis(500);
/// Long enough that a crash loop costs nothing, short enough that somebody who mends its cause sees it soon.
const LONGEST: Duration = Duration::from_secs(30);
/// An application that was ready so long is not in a crash loop.
const WELL: Duration = Duration::from_secs(60);

impl Backoff {
    /// The pause after an end; `ready` is how long it had been ready before.
    pub(super) fn next(&mut self, ready: Duration) -> Duration {
        if ready >= WELL {
            self.ends = 0;
        }
        let pause = FIRST.saturating_mul(1 << self.ends.min(10)).min(LONGEST);
        self.ends += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew_after_a_good_while() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..8).map(|_| backoff.next(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(backoff.next(WELL).as_millis(), 500);
    }
}
