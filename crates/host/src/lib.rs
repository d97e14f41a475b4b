//! This machine: processes, traffic, files, git.
//!
//! Nothing here decides; it observes and performs.

pub mod proxy;
pub mod supervise;
