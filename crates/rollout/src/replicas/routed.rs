//! With a router the weight is the router's, and instances only have to bear it.

use super::{Counts, Instances, Scale, Step};

/// A canary whose traffic a router splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed {
    pub replicas: i64,
    /// Of `max_weight`.
    pub weight: i64,
    pub max_weight: i64,
    /// What [`super::scale_at`] says.
    pub scale: Option<Scale>,
    /// The stable gives up instances as it gives up traffic.
    pub dynamic_stable_scale: bool,
    pub is_aborted: bool,
    /// A version with any instances has so many at least.
    pub min_pods: Option<i64>,
}

/// What the router was last seen to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    pub canary: i64,
    pub stable: i64,
}

/// Rounded up: traffic never meets too few instances.
fn bearing(replicas: i64, weight: i64, max_weight: i64) -> i64 {
    (weight as f64 * replicas as f64 / max_weight as f64).ceil() as i64
}

impl Routed {
    pub fn counts(&self, seen: Option<Weights>) -> Counts {
        let bearing = |weight| bearing(self.replicas, weight, self.max_weight);
        let (canary, weight) = match self.scale {
            Some(Scale::Replicas(replicas)) => (replicas, 0),
            Some(Scale::Weight(weight)) => (self.at_least_min(bearing(weight)), weight),
            Some(Scale::MatchTrafficWeight) | None => (self.at_least_min(bearing(self.weight)), self.weight),
        };
        if !self.dynamic_stable_scale {
            return Counts { canary, stable: self.replicas };
        }
        // Up before it gets traffic, down only after it has given it up; the canary alike while it is taken back.
        let stable = bearing(self.max_weight - weight).max(seen.map_or(0, |seen| bearing(seen.stable)));
        let canary = canary.max(seen.filter(|_| self.is_aborted).map_or(0, |seen| bearing(seen.canary)));
        Counts { canary: self.at_least_min(canary), stable: self.at_least_min(stable) }
    }

    fn at_least_min(&self, count: i64) -> i64 {
        match self.min_pods {
            Some(min) if count != 0 => count.max(min.min(self.replicas)),
            _ => count,
        }
    }
}

/// With a stable that gave up instances an abort walks down the weights of the steps, as the stable's instances come back.
/// `keeps_canary` where it was asked to be kept for some time after an abort.
pub fn weight_on_abort(steps: &[Step], replicas: i64, max_weight: i64, canary: Instances, stable: Instances, keeps_canary: bool) -> i64 {
    let missing = replicas - stable.available;
    let borne = if keeps_canary { missing } else { missing.max(canary.available) };
    let weights = steps.iter().rev().filter_map(|step| if let Step::SetWeight(weight) = step { Some(*weight) } else { None });
    weights.into_iter().find(|weight| bearing(replicas, *weight, max_weight) < borne).unwrap_or(0)
}
