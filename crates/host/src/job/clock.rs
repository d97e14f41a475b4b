//! A job's time.

use std::time::{Duration, Instant};

use base::Timestamp;

/// What the clock on the wall said when the job began, and what has gone by since: a step that sets the machine's clock changes
/// nothing for the job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Timestamp,
    since: Instant,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { began: super::now(), since: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.began.plus_ms(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment that is called so by [`Clock::now`].
    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        self.since + Duration::from_millis(at.since_ms(self.began))
    }
}
