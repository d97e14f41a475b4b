//! Evidence goes in, a decision comes out: what a run left behind is read, a policy is asked, and the answer names every reason.
//!
//! No I/O, no clock, no network: a policy sees its input document and nothing else.

pub mod approval;
pub mod attest;
mod baseline;
pub mod check;
mod circumstances;
pub mod commits;
mod decision;
pub mod evidence;
pub mod incident;
mod input;
pub mod level;
mod plan;
pub mod policy;
pub mod protection;
pub mod sbom;
pub mod slo;
pub mod trust;
pub mod window;

pub use baseline::{Figure, figures};
pub use circumstances::{Answers, Circumstances, Signature};
pub use decision::{Decision, Origin, Outcome, Overridden, Override, Violation, decide, explain};
pub use evidence::{Evidence, EvidenceKind};
pub use input::{Artifact, Commit, Document, Input, Previous, Provenance, RunResult};
pub use level::Level;
pub use plan::{FindingsMax, GatePlan, PolicyFile};
pub use policy::Policies;
pub use trust::TrustedKey;
