//! A rolling update: the old revision's instances are replaced by the new one's in steps, as Kubernetes' Deployment does it.
//!
//! ```text
//! more of the new are started ──▶ they are ready ──▶ some of the old get no more requests ──▶ these have finished theirs and stop
//!        ▲                                                                                                            │
//!        └────────────────────────────── never more than N + maxSurge, never fewer than N − maxUnavailable ready ◀────┘
//! ```

mod decide;
mod scale;
mod wait;

use std::fmt;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Strategy};
use scale::Bounds;

/// A number of instances, or a part of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    Count(u32),
    Percent(u32),
}

impl Amount {
    /// What a Deployment has for both when nobody says anything.
    pub const DEFAULT: Amount = Amount::Percent(25);

    fn part(self, replicas: u32) -> u64 {
        match self {
            Amount::Count(count) => u64::from(count) * 100,
            Amount::Percent(percent) => u64::from(percent) * u64::from(replicas),
        }
    }

    fn rounded_up(self, replicas: u32) -> u32 {
        u32::try_from(self.part(replicas).div_ceil(100)).unwrap_or(u32::MAX)
    }

    pub(crate) fn rounded_down(self, replicas: u32) -> u32 {
        u32::try_from(self.part(replicas) / 100).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Count(count) => write!(f, "{count}"),
            Amount::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How many instances more than wanted there may be, and how many fewer ready, in whole instances: parts of the surge are rounded up,
/// parts of what may be missing down, and one may be missing where nothing could move otherwise.
pub fn resolve(max_surge: Amount, max_unavailable: Amount, replicas: u32) -> (u32, u32) {
    match (max_surge.rounded_up(replicas), max_unavailable.rounded_down(replicas)) {
        (0, 0) => (0, 1),
        resolved => resolved,
    }
}

impl Strategy {
    /// Old instances leave before new ones come: never does one stand beside the other.
    pub fn is_in_place(&self, replicas: u32) -> bool {
        let Strategy::RollingUpdate { max_surge, max_unavailable } = *self else { return false };
        resolve(max_surge, max_unavailable, replicas).0 == 0
    }
}

/// So many instances of each revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    pub new: u32,
    pub old: u32,
}

/// Where a rolling update stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rolling {
    /// Instances wanted, from index 0 on.
    pub scale: Scale,
    /// Of these, those that get requests; the others finish theirs and stop then.
    pub serving: Scale,
    pub serving_since: Timestamp,
    /// When more were wanted last, of the new revision or, on the way back, of the old one.
    pub grown_at: Timestamp,
    /// So many of the new were seen ready at once.
    pub proved: u32,
    /// The old revision has fewer instances than it began with, or had.
    pub lowered: bool,
    surge: u32,
    unavailable: u32,
    replicas: u32,
    old_replicas: u32,
}

impl Rolling {
    /// Nothing with another strategy, and with nothing to replace.
    pub fn of(plan: &Plan) -> Option<Rolling> {
        let Strategy::RollingUpdate { max_surge, max_unavailable } = plan.strategy else { return None };
        plan.stable.as_ref().filter(|stable| stable.id != plan.revision.id)?;
        let (surge, unavailable) = resolve(max_surge, max_unavailable, plan.replicas);
        let old_replicas = plan.stable_replicas.unwrap_or(plan.replicas);
        let scale = Scale { new: 0, old: old_replicas };
        Some(Rolling {
            scale,
            serving: scale,
            serving_since: Timestamp::default(),
            grown_at: Timestamp::default(),
            proved: 0,
            lowered: false,
            surge,
            unavailable,
            replicas: plan.replicas,
            old_replicas,
        })
    }

    /// Who grows gets requests as soon as it is ready; who shrinks got none where it shrank.
    pub fn scaled(&mut self, scale: Scale, at: Timestamp) {
        let before = self.scale;
        assert!(scale.new <= before.new || scale.old <= before.old, "only one revision grows at a time: {before:?} → {scale:?}");
        if scale.new > before.new || scale.old > before.old {
            self.grown_at = at;
        }
        let serve = |serving, before, wanted| if wanted == before { serving } else { wanted };
        self.serving.new = serve(self.serving.new, before.new, scale.new);
        self.serving.old = serve(self.serving.old, before.old, scale.old);
        self.proved = self.proved.min(scale.new);
        self.lowered |= scale.old < before.old;
        self.scale = scale;
    }

    pub fn serve(&mut self, serving: Scale, at: Timestamp) {
        assert!(serving.new <= self.scale.new && serving.old <= self.scale.old, "only what is wanted gets requests");
        (self.serving, self.serving_since) = (serving, at);
    }

    /// What was about to leave stays: the way back needs it.
    pub fn turn_back(&mut self, at: Timestamp) {
        (self.serving, self.grown_at) = (self.scale, at);
    }

    /// The new revision goes and the old one is whole again, or the old one goes.
    pub fn stop(&mut self, stops_new: bool) {
        self.scale = if stops_new { Scale { new: 0, old: self.old_replicas } } else { Scale { new: self.scale.new, old: 0 } };
        self.serving = self.scale;
    }

    fn bounds_forward(&self, at_once: bool) -> Bounds {
        let beside = if at_once { self.old_replicas.max(self.surge) } else { self.surge };
        Bounds { most: self.replicas.saturating_add(beside), least: self.replicas.saturating_sub(self.unavailable) }
    }

    fn bounds_back(&self) -> Bounds {
        let (fewer, more) = (self.replicas.min(self.old_replicas), self.replicas.max(self.old_replicas));
        Bounds { most: more.saturating_add(self.surge), least: fewer.saturating_sub(self.unavailable) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_as_a_deployment_rounds_them() {
        use Amount::{Count, Percent};
        let table = [
            (Percent(25), Percent(25), 1, (1, 0)),
            (Percent(25), Percent(25), 3, (1, 0)),
            (Percent(25), Percent(25), 4, (1, 1)),
            (Percent(25), Percent(25), 10, (3, 2)),
            (Percent(0), Percent(25), 3, (0, 1)),
            (Percent(0), Percent(99), 1, (0, 1)),
            (Percent(100), Percent(0), 7, (7, 0)),
            (Count(2), Count(0), 3, (2, 0)),
            (Count(0), Count(1), 3, (0, 1)),
            (Count(0), Count(0), 3, (0, 1)),
        ];
        for (surge, unavailable, replicas, expected) in table {
            assert_eq!(resolve(surge, unavailable, replicas), expected, "{surge} and {unavailable} of {replicas}");
        }
    }
}
