//! The whole way of one change: runs, gate, rollout, verification, in order.
//!
//! The only place where the machines meet; no I/O, no clock, no randomness.

pub mod environment;
pub mod event;
pub mod input;
pub mod machine;
pub mod plan;
pub mod provenance;
pub mod source;
pub mod status;
pub mod waiting;

pub use environment::{Environment, EnvironmentAction, EnvironmentEvent, EnvironmentSeen, Live, Noticed};
pub use event::Event;
pub use machine::{Action, Advance, Command, Observed, Phase, Refusal, Release};
pub use plan::{Commit, Delivery, Kind, Plan, Project, Proved, Workflows};
pub use source::{CodeSource, Packaged, Prepared, Ships};
pub use status::{Outcome, Status};
pub use waiting::Waiting;
