//! Actions of other repositories: where they come from, what they are pinned to, where their files lie.
//!
//! ```text
//! uses: acme/tool@v1 ── lock ──► commit ── known? ──► its files        nothing is asked of anybody
//!                                            └─ no ──► the first source that has it, then known
//! ```
//!
//! Everything is found out before a run begins; a job only copies what is known by its commit.

pub mod lock;
mod repository;
pub mod resolve;
mod sources;
mod store;
mod tree;

pub use lock::{Lock, Locked};
pub use resolve::Resolver;
pub use sources::{Moved, Sources};
pub use store::{Error, Fetched, Store};
