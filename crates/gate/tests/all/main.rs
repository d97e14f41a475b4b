//! Evidence, policies, windows and approvals.
//! One program of all of them: each linked for itself took longer than it ran.

mod approval;
mod attest;
mod below;
mod commits;
mod golden;
mod hostile;
mod incidents;
mod merging;
mod opa;
mod patch;
mod policy_tests;
mod protection;
mod reading;
mod sbom;
mod schema;
mod shipped;
mod slo;
mod small;
mod window;
