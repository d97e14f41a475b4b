//! Evidence goes in, a decision comes out: what a run left behind is read, a policy is asked, and the answer names every reason.
//!
//! No I/O, no clock, no network: a policy sees its input document and nothing else.

pub mod approval;
pub mod attest;
pub mod check;
mod circumstances;
pub mod commits;
mod decision;
pub mod evidence;
pub mod incident;
mod input;
mod plan;
pub mod policy;
pub mod protection;
pub mod sbom;
pub mod slo;
pub mod window;

pub use circumstances::{Answers, Circumstances};
pub use decision::{Decision, Origin, Outcome, Overridden, Override, Violation, decide, explain};
pub use evidence::{Evidence, EvidenceKind};
pub use input::{Artifact, Commit, Document, Input, Previous, RunResult};
pub use plan::{FindingsMax, GatePlan, PolicyFile};
pub use policy::Policies;
