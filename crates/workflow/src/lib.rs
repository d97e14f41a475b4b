//! A pipeline file becomes a plan, a plan becomes a run.
//!
//! No I/O, no clock, no randomness, no map order in results.

pub mod concurrency;
pub mod container;
pub mod environment;
pub mod expr;
pub mod github;
pub mod gitlab;
pub mod glob;
pub mod identity;
pub mod job;
pub mod lint;
pub mod matrix;
pub mod model;
pub mod permissions;
pub mod plan;
pub mod run;
pub mod runners;
pub mod schedule;
pub mod schema;
pub mod token;
pub mod trigger;
pub mod trust;
