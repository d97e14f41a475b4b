//! What may stand where in a workflow file: keys' contexts and functions, events, permissions, ids, references, cron.
//!
//! Tables, written down from the official schema; the reading is in [`crate::github`].

pub mod cron;
pub mod events;
pub mod identifier;
pub mod permissions;
pub mod places;
pub mod uses;
