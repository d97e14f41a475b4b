//! One job from the inside: its steps in order, their conditions, environments, commands and outputs.
//!
//! ```text
//! Job::new(spec, facts) ── advance ──► Next::Run(command) ── outside: a process ──► Event::Ended ── apply ──► …
//! ```

mod around;
pub mod builtin;
pub mod call;
pub mod command;
pub mod contained;
mod decide;
mod docker;
mod early;
pub mod facts;
pub mod files;
pub mod glob;
mod inputs;
mod lane;
pub mod log;
mod machine;
pub mod matcher;
pub mod remote;
pub mod resume;
mod scope;
pub mod secrets;
pub mod shell;
pub mod spec;
mod step;

pub use builtin::Builtin;
pub use call::{ActionCall, Advance, Command, Ended, Event, Exit, FileMistake, Foreseen, Next, Script, Stage, Wrote};
pub use contained::{Asked, ContainerCall, ContainerWork, Image, ImageRun, Mounts, On, Started};
pub use facts::{FilePaths, Files, JobFacts, Node};
pub use machine::Job;
pub use remote::Remote;
pub use resume::{Mark, Trail};
pub use secrets::SecretScope;
pub use spec::{Conclusion, Contexts, JobId, JobOutcome, JobSeen, JobSpec, StepSeen, StepState};
