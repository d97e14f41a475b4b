//! Traffic moves to a new revision, and back if it fails.
//!
//! No I/O, no clock, no randomness: what was seen and the time are arguments.

pub mod instance;
pub mod observed;
pub mod plan;

pub use instance::{InstancePlan, Probe, Probes};
pub use observed::{Action, Counts, Endpoint, InstancePhase, InstanceSeen, Observed, RevisionCounts, RouteSeen, SmokeSeen, Synthetic};
pub use plan::{Deadline, JudgePlan, Limits, Plan, Revision, RevisionId, SmokeCheck, Step, Strategy, SyntheticPlan};
