//! Jobs on real processes: golden workflows, what is left running, how a job is ended.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "job/cancel.rs"]
mod cancel;
#[path = "job/golden.rs"]
mod golden;
#[path = "job/harness.rs"]
mod harness;
#[path = "job/hostile.rs"]
mod hostile;
#[path = "job/lines.rs"]
mod lines;
#[path = "job/pause.rs"]
mod pause;
#[path = "job/remote.rs"]
mod remote;
#[path = "job/tools.rs"]
mod tools;
