//! `retry`: what ended badly is queued again, and every attempt is kept.

use base::Timestamp;

use super::event::Event;
use super::state::{LegPhase, LegState};
use super::{Conclusion, Run};
use crate::model::{Job, RetryOn};

impl Run {
    /// The legs that are tried again; asked before anything else follows from how they ended.
    pub(super) fn retry(&self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (node, leg) in self.legs().filter(|(node, _)| node.job.retry.is_some()) {
            let (Some(pause_ms), LegPhase::Ended { at, .. }) = (leg.pause_ms(node.job), &leg.phase) else { continue };
            if self.why_stop(node, leg).is_none() {
                let not_before = at.plus_ms(pause_ms);
                events.push(Event::JobRetried { key: leg.leg.key.clone(), attempt: leg.attempt + 1, not_before, at: now });
            }
        }
        events
    }
}

impl LegState {
    /// How long after its end it would be tried again; nothing when it wouldn't. With attempts left it is no failure yet, not
    /// for its siblings either.
    pub(super) fn pause_ms(&self, job: &Job) -> Option<u64> {
        let ended = match &self.phase {
            // One that never started has nothing to be tried again.
            LegPhase::Ended { id: None, .. } => return None,
            LegPhase::Ended { lost: true, .. } => RetryOn::Lost,
            LegPhase::Ended { timed_out: true, .. } => RetryOn::Timeout,
            LegPhase::Ended { conclusion: Conclusion::Failure, .. } => RetryOn::Failure,
            LegPhase::Ended { .. } | LegPhase::Queued | LegPhase::Started { .. } | LegPhase::Called { .. } => return None,
        };
        job.retry.as_ref()?.after(self.attempt, ended)
    }
}
