use std::sync::Arc;

use base::Timestamp;
use engine::world::Clock;

use crate::scheduler::{Sim, timestamp};

/// A server's clock, which may be off a little and stays so.
pub(crate) struct SimClock {
    pub sim: Arc<Sim>,
    pub skew_ms: i64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        timestamp(self.sim.now() + self.skew_ms)
    }
}
