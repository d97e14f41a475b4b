//! Without a router the number of instances is the weight.

use super::{Counts, Instances};

/// A canary whose traffic follows its share of the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basic {
    pub replicas: i64,
    /// Of `max_weight`.
    pub weight: i64,
    pub max_weight: i64,
    pub max_surge: i64,
    pub max_unavailable: i64,
}

/// The counts that come closest to a weight, the larger canary where two are as close; at most one instance more than `replicas`.
pub fn approximate(replicas: i64, weight: i64, max_weight: i64, max_surge: i64) -> Counts {
    if replicas == 0 {
        return Counts::default();
    }
    let exact = (replicas * weight) as f64 / max_weight as f64;
    let (above, below) = (exact.ceil() as i64, exact.floor() as i64);
    // A weight between none and all means one instance of each, where there is room for two.
    let none_is_fine = weight == max_weight || weight == 0 || (replicas == 1 && max_surge == 0);
    let below_is_fine = |total| !is_tied(weight, max_weight, total) && (below != 0 || none_is_fine);
    let mut options = Vec::new();
    if above < replicas || none_is_fine {
        options.push((above, replicas));
    }
    if below_is_fine(replicas) {
        options.push((below, replicas));
    }
    if max_surge > 0 {
        options.push((above, replicas + 1));
        if below_is_fine(replicas + 1) {
            options.push((below, replicas + 1));
        }
    }
    let off = |(canary, total): (i64, i64)| ((canary * max_weight) as f64 / total as f64 - weight as f64).abs();
    let best = options.into_iter().reduce(|best, other| if off(other) < off(best) { other } else { best });
    best.map_or(Counts { canary: 0, stable: replicas }, |(canary, total)| Counts { canary, stable: total - canary })
}

/// Both roundings are as far away.
fn is_tied(weight: i64, max_weight: i64, total: i64) -> bool {
    (total as f64 * (weight as f64 / max_weight as f64)).fract() == 0.5
}

impl Basic {
    /// What both versions are to have next; `None` is a version that isn't there, or the same as the other.
    pub fn counts(&self, canary: Option<Instances>, stable: Option<Instances>, older: &[Instances]) -> Counts {
        let desired = match stable {
            Some(_) => approximate(self.replicas, self.weight, self.max_weight, self.max_surge),
            None => Counts { canary: self.replicas, stable: 0 },
        };
        let wanted = |of: Option<Instances>| of.map_or(0, |of| of.wanted);
        let mut counts = Counts { canary: wanted(canary), stable: wanted(stable) };
        let of_older: i64 = older.iter().map(|of| of.wanted).sum();
        let mut room = self.most() - counts.canary - counts.stable - of_older;
        if stable.is_some() && counts.stable < desired.stable && room > 0 {
            let more = room.min(desired.stable - counts.stable);
            counts.stable += more;
            room -= more;
        }
        if canary.is_some() && counts.canary < desired.canary && room > 0 {
            counts.canary += room.min(desired.canary - counts.canary);
        }
        // What is older goes first.
        if of_older > 0 {
            return counts;
        }
        let grows = canary.is_none_or(|canary| desired.canary >= canary.wanted);
        let to_lose = for_scale_down(canary, !grows) + for_scale_down(stable, grows) - self.least();
        if to_lose <= 0 {
            return counts;
        }
        if !grows {
            let drained = drain(canary, desired.canary, to_lose, counts.canary);
            (counts.canary, counts.stable) = self.within_limits(canary, stable, drained, counts.stable);
        } else if stable.is_some() {
            let drained = drain(stable, desired.stable, to_lose, counts.stable);
            (counts.stable, counts.canary) = self.within_limits(stable, canary, drained, counts.canary);
        }
        counts
    }

    fn most(&self) -> i64 {
        self.replicas + self.max_surge
    }

    fn least(&self) -> i64 {
        self.replicas - self.max_unavailable
    }

    /// Neither too many nor too few, once the draining and the other have changed.
    fn within_limits(&self, draining: Option<Instances>, other: Option<Instances>, drained: i64, others: i64) -> (i64, i64) {
        let over = |drained: i64, others: i64| (others + drained - self.most()).max(0);
        let Some(other) = other else { return (drained, others) };
        let others = others - over(drained, others);
        let available = draining.map_or(0, |draining| draining.available.min(drained)) + other.available.min(others);
        let given_up = (other.available - others).max(0);
        let others = others + given_up.min((self.least() - available).max(0));
        (drained - over(drained, others), others)
    }
}

/// What may be counted on while instances go: those wanted where availability says nothing, never more than are wanted.
fn for_scale_down(of: Option<Instances>, ignores_availability: bool) -> i64 {
    of.map_or(0, |of| if ignores_availability || of.wanted < of.available { of.wanted } else { of.available })
}

fn drain(of: Option<Instances>, desired: i64, to_lose: i64, now: i64) -> i64 {
    of.filter(|of| of.wanted > desired).map_or(now, |of| desired.max(of.wanted - to_lose))
}
