//! What happened: facts, the stores that keep them, and readings of them.
//!
//! A fact is never rewritten.

mod benchmarks;
pub mod chain;
pub mod fact;
pub mod index;
pub mod ledger;
pub mod store;

pub use chain::{Verified, VerifyError, verify};
pub use fact::{Append, Fact, NewFact, Payload, StoredFact};
pub use index::{Index, Period, ProjectEntry, ReleaseEntry, StrategyKind};
pub use store::{AppendError, MemoryStore, OpenError, SqliteStore, Store, StoreError};
