//! Traffic moves to a new revision, and back if it fails.
//!
//! No I/O, no clock, no randomness: what was seen and the time are arguments.
//!
//! ```text
//! Observed + now ──▶ Rollout::advance ──▶ events (remembered first), actions (then done), waiting, wake
//!                         ▲                  │
//!                         └── Rollout::apply ┘
//! ```

pub mod analysis;
pub mod condition;
mod decide;
pub mod defaults;
mod event;
pub mod flagger;
mod instance;
pub mod judge;
mod legality;
pub mod manifest;
mod meter;
pub mod observed;
mod outcome;
pub mod plan;
pub mod presets;
pub mod replicas;
pub mod rolling;
mod rollout;
pub mod script;
mod seen;
mod status;
mod wait;
mod waiting;
pub mod watch;
mod wishes;

pub use event::{Event, Happened, Measured, Reading, Readings, VERSION};
pub use instance::{Container, InstancePlan, Probe, Probes};
pub use legality::Refusal;
pub use observed::{
    Action, Counts, Endpoint, InstancePhase, InstanceSeen, Observed, RevisionCounts, RouteSeen, SmokeSeen, Synthetic, TargetSeen,
};
pub use outcome::{Outcome, Reason};
pub use plan::{Deadline, JudgePlan, Limits, Plan, Revision, RevisionId, SmokeCheck, Step, Strategy, SyntheticPlan};
pub use rolling::{Amount, Scale};
pub use rollout::{Advance, Command, Phase, Rollout};
pub use status::{Status, StepStatus};
pub use waiting::{Waiting, WaitingOn};
