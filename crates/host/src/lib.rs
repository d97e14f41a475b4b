//! This machine: processes, traffic, files, git.
//!
//! Nothing here decides; it observes and performs.

mod blocking;

pub mod actions;
pub mod blobs;
pub mod concurrency;
pub mod container;
pub mod dirs;
pub mod executor;
pub mod forge;
pub mod git;
pub mod harvest;
pub mod identity;
pub mod instance;
pub mod job;
pub mod keys;
pub mod locked;
pub mod metrics;
pub mod outside;
pub mod owned;
pub mod proxy;
pub mod registry;
pub mod results;
mod retention;
mod rooms;
pub mod router;
pub mod runs;
pub mod schedules;
pub mod secrets;
pub mod supervise;
pub mod target;
pub mod turns;
pub mod watch;
