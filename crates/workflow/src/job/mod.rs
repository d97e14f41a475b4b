//! One job from the inside: its steps in order, their conditions, environments, commands and outputs.

pub mod spec;

pub use spec::{Conclusion, Contexts, JobId, JobOutcome, JobSeen, JobSpec, StepSeen, StepState};
