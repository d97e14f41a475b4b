//! How many instances each version has while a canary goes on: the arithmetic of Argo Rollouts, to the last rounding.
//!
//! Numbers are those of a controller: signed, of any size, and rounded through floating point exactly where it does so.

mod basic;
mod routed;

pub use basic::{Basic, approximate};
pub use routed::{Routed, Weights, weight_on_abort};

use crate::rolling::{Amount, resolve};

/// What is wanted of a version and what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Instances {
    pub wanted: i64,
    pub available: i64,
}

/// Of both versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub canary: i64,
    pub stable: i64,
}

/// A step, as far as it moves traffic or instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    SetWeight(i64),
    SetCanaryScale(Scale),
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Replicas(i64),
    /// In parts of the most there can be.
    Weight(i64),
    MatchTrafficWeight,
}

/// When so much of the canary is there, a step goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    Percentage(i64),
    Pods(i64),
}

/// How many more and how many fewer instances than `replicas` a canary may have.
pub fn surge_and_unavailable(max_surge: Amount, max_unavailable: Amount, replicas: u32) -> (i64, i64) {
    let (surge, unavailable) = resolve(max_surge, max_unavailable, replicas);
    (i64::from(surge), i64::from(unavailable.min(replicas)))
}

/// How many fewer a blue-green rollout may have; it has none more.
pub fn blue_green_unavailable(max_unavailable: Amount, replicas: u32) -> i64 {
    i64::from(max_unavailable.rounded_down(replicas).min(replicas))
}

/// The weight a step has reached: that of the last `setWeight` up to it, 0 before the first, all after the last step.
pub fn weight_at(steps: &[Step], index: usize, max: i64, is_aborted: bool) -> i64 {
    if is_aborted {
        return 0;
    }
    if index >= steps.len() {
        return max;
    }
    let weights = steps[..=index].iter().rev();
    weights.filter_map(|step| if let Step::SetWeight(weight) = step { Some(*weight) } else { None }).next().unwrap_or(0)
}

/// The scale that is in force at a step; nothing where the weight says how many instances there are. Only with a router.
pub fn scale_at(steps: &[Step], index: usize) -> Option<Scale> {
    let scales = steps.get(..=index)?.iter().rev();
    let last = scales.filter_map(|step| if let Step::SetCanaryScale(scale) = step { Some(*scale) } else { None }).next()?;
    (last != Scale::MatchTrafficWeight).then_some(last)
}

/// Whether enough of the canary is available; all of it where nobody says how much.
pub fn is_enough(threshold: Option<Threshold>, canary: Option<Instances>, desired: i64) -> bool {
    let all = canary.is_some_and(|canary| canary.wanted == desired && canary.available == desired);
    let Some(canary) = canary else { return all };
    match threshold {
        None | Some(Threshold::Percentage(i64::MIN..0) | Threshold::Pods(i64::MIN..0)) => all,
        Some(Threshold::Percentage(_)) if desired == 0 => true,
        Some(Threshold::Percentage(percent)) => {
            let reached = canary.available as f64 / desired as f64 * 100.0;
            reached >= percent as f64 || (reached - percent as f64).abs() <= 1e-10
        }
        Some(Threshold::Pods(count)) => canary.available >= count,
    }
}
