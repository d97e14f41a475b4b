//! A pipeline file becomes a plan, a plan becomes a run.
//!
//! No I/O, no clock, no randomness, no map order in results.

pub mod expr;
pub mod job;
pub mod model;
