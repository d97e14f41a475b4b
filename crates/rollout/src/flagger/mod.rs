//! How Flagger moves traffic: one look an interval, checks that are counted, weights that are added to.
//!
//! The counters are Flagger's own, tick by tick, so that a file of its can be held against what it would have done there:
//! failed checks add up over the whole analysis and are never forgiven, and the look after the last one goes back.
//!
//! ```text
//! initialized ──▶ progressing ⟲ ──▶ promoting ⟲ ──▶ finalising ──▶ succeeded
//!       └▶ waiting ↗    └▶ waiting for promotion ↗
//!                └──────────────┴───────────────────────────────▶ failed
//! ```

mod tick;

use std::fmt;

/// A look is made so often at most.
const INTERVAL_MIN_MS: u64 = 10_000;
/// … and so often where nobody says it.
const INTERVAL_MS: u64 = 60_000;
/// All traffic.
pub const TOTAL: u32 = 100;

/// Every choice made beforehand; 0 is what nobody said, as in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub way: Way,
    /// Between two looks.
    pub interval_ms: u64,
    /// So many failed checks take it back.
    pub threshold: u32,
    /// Requests are sent to both versions before the new one answers any.
    pub mirror: bool,
    /// The traffic goes back to the primary, which has become the new version, in steps of this.
    pub step_weight_promotion: u32,
    pub skip_analysis: bool,
    /// Not with the provider `kubernetes`, which only switches.
    pub splits_traffic: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// More traffic with every look that finds nothing wrong.
    Weights { step_weight: u32, step_weights: Vec<u32>, max_weight: u32 },
    /// So many looks without traffic, then all of it.
    BlueGreen { iterations: u32 },
    /// So many looks while those with the right header or cookie get the new version.
    ByHeader { iterations: u32 },
}

/// The interval as Flagger takes it.
pub fn interval_ms(written: Option<u64>) -> u64 {
    written.unwrap_or(INTERVAL_MS).max(INTERVAL_MIN_MS)
}

impl Plan {
    /// Failed checks that take it back; one where nobody says how many.
    pub fn failures_max(&self) -> u32 {
        self.threshold.max(1)
    }

    /// From here on it is promoted.
    pub fn max_weight(&self) -> u32 {
        match &self.way {
            Way::Weights { step_weights, max_weight, .. } => match step_weights.last() {
                Some(last) => TOTAL.min(*last),
                None if *max_weight > 0 => *max_weight,
                None => TOTAL,
            },
            Way::BlueGreen { .. } | Way::ByHeader { .. } => TOTAL,
        }
    }

    /// What is added to the weight next. 0 or less adds nothing and never promotes: it stands there for ever.
    pub fn next_step(&self, weight: u32) -> i64 {
        let Way::Weights { step_weight, step_weights, .. } = &self.way else { return 0 };
        if *step_weight > 0 || step_weights.is_empty() {
            return i64::from(*step_weight);
        }
        let left = i64::from(TOTAL.saturating_sub(weight));
        if left == 0 {
            return 1;
        }
        if weight == 0 {
            return left.min(i64::from(step_weights[0]));
        }
        let pairs = step_weights.iter().zip(&step_weights[1..]);
        let next = pairs.filter(|(this, _)| **this == weight).map(|(this, next)| i64::from(*next) - i64::from(*this)).next();
        next.map_or(left, |step| left.min(step))
    }

    /// The weights it goes through when every check passes; those that would never come are not in it.
    pub fn weights(&self) -> Vec<u32> {
        let mut weights = Vec::new();
        let mut weight = 0;
        while weight < self.max_weight() {
            let step = self.next_step(weight);
            if step <= 0 {
                break;
            }
            weight = (weight + u32::try_from(step).unwrap_or(TOTAL)).min(TOTAL);
            weights.push(weight);
        }
        weights
    }

    fn iterations(&self) -> i64 {
        match self.way {
            Way::Weights { .. } => 0,
            Way::BlueGreen { iterations } | Way::ByHeader { iterations } => i64::from(iterations),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Initialized,
    Waiting,
    Progressing,
    WaitingPromotion,
    Promoting,
    Finalising,
    Succeeded,
    Failed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Initialized => "initialized",
            Phase::Waiting => "waiting for approval",
            Phase::Progressing => "progressing",
            Phase::WaitingPromotion => "waiting for promotion",
            Phase::Promoting => "promoting",
            Phase::Finalising => "finalising",
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
        })
    }
}

/// What one look finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The target is another than the one that was last looked at.
    pub is_new: bool,
    pub canary: Readiness,
    pub primary: Readiness,
    /// All metrics and `rollout` webhooks are good.
    pub checks_pass: bool,
    pub pre_rollout_passes: bool,
    /// What the gates say; open where there is none.
    pub rollout_is_confirmed: bool,
    pub increase_is_confirmed: bool,
    pub promotion_is_confirmed: bool,
    /// A `rollback` webhook asks for it.
    pub rollback_is_asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NotYet,
    /// Not ready, and the time for it is over.
    Never,
}

impl Seen {
    /// Nothing is wrong and every gate is open.
    pub const GOOD: Seen = Seen {
        is_new: false,
        canary: Readiness::Ready,
        primary: Readiness::Ready,
        checks_pass: true,
        pre_rollout_passes: true,
        rollout_is_confirmed: true,
        increase_is_confirmed: true,
        promotion_is_confirmed: true,
        rollback_is_asked: false,
    };
}

/// What happened at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The new version is started, and everything counted is forgotten; traffic stays where it is, which after a failed promotion is at
    /// the canary.
    Began,
    /// Another version came meanwhile: all traffic to the primary, and from the beginning.
    Restarted,
    ApprovalAwaited,
    CheckFailed,
    /// So much traffic to the canary.
    Weighed {
        canary: u32,
        mirrored: bool,
    },
    /// One look more that found nothing wrong; without traffic, or with it.
    Iterated {
        canary: u32,
        mirrored: bool,
    },
    /// The gate before the promotion is closed; the last iteration is made again while it is.
    PromotionAwaited,
    /// The primary becomes the new version.
    Promoted,
    Finalised,
    Succeeded,
    RolledBack,
    /// The primary doesn't start as the new version: its users stay with the canary.
    PromotionFailed,
}

/// Where an analysis stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    plan: Plan,
    phase: Phase,
    weight: u32,
    mirrored: bool,
    iterations: i64,
    failed_checks: u32,
}

impl State {
    pub fn replay(plan: Plan, events: &[Event]) -> State {
        let mut state = State { plan, phase: Phase::Initialized, weight: 0, mirrored: false, iterations: 0, failed_checks: 0 };
        events.iter().for_each(|event| state.apply(event));
        state
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Of all traffic, what the canary gets; the primary has the rest.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    pub fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    pub fn iterations(&self) -> i64 {
        self.iterations
    }

    pub fn failed_checks(&self) -> u32 {
        self.failed_checks
    }

    pub fn apply(&mut self, event: &Event) {
        match *event {
            Event::Began => (self.phase, self.iterations, self.failed_checks) = (Phase::Progressing, 0, 0),
            Event::Restarted => {
                (self.phase, self.weight, self.mirrored, self.iterations, self.failed_checks) = (Phase::Progressing, 0, false, 0, 0);
            }
            Event::ApprovalAwaited => self.phase = Phase::Waiting,
            Event::CheckFailed => self.failed_checks += 1,
            Event::Weighed { canary, mirrored } => (self.weight, self.mirrored) = (canary, mirrored),
            Event::Iterated { canary, mirrored } => {
                (self.weight, self.mirrored) = (canary, mirrored);
                self.iterations += 1;
            }
            Event::PromotionAwaited => {
                self.phase = Phase::WaitingPromotion;
                self.iterations = self.plan.iterations() - 1;
            }
            Event::Promoted => self.phase = Phase::Promoting,
            Event::Finalised => self.phase = Phase::Finalising,
            Event::Succeeded => (self.phase, self.weight, self.iterations) = (Phase::Succeeded, 0, 0),
            Event::RolledBack => self.fail(0),
            Event::PromotionFailed => self.fail(TOTAL),
        }
    }

    fn fail(&mut self, weight: u32) {
        (self.phase, self.weight, self.mirrored, self.iterations, self.failed_checks) = (Phase::Failed, weight, false, 0, 0);
    }
}
