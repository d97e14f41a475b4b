//! Where facts are kept.

mod memory;
mod sqlite;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::fact::{Append, Fact, StoredFact};

pub use memory::MemoryStore;
pub use sqlite::{OpenError, SqliteStore};

/// An append-only record of facts, in streams and in one order over all of them.
///
/// Any number of tasks, and where the store is a file of processes, may call any method at the same time.
/// Reads see every append that had returned before they were called.
#[async_trait]
pub trait Store: Send + Sync {
    /// The facts of one stream behind `after_seq`, in order; none when there is no such stream.
    async fn load(&self, stream: &str, after_seq: u64) -> Result<Vec<Fact>, StoreError>;

    /// Writes all of it or nothing; what it returns survives a crash of the machine.
    ///
    /// An `expected` that no longer holds refuses the whole call. Appends to the same stream within a call apply in order.
    /// When the future is dropped the facts may be written all the same: a writer that cannot tell looks and decides again.
    async fn append(&self, appends: Vec<Append>) -> Result<Vec<Fact>, AppendError>;

    /// Up to `limit` facts behind `after_position`, over all streams, in order.
    async fn read(&self, after_position: u64, limit: usize) -> Result<Vec<Fact>, StoreError>;

    /// As [`Store::read`], exactly as it is stored; for verification.
    async fn read_stored(&self, after_position: u64, limit: usize) -> Result<Vec<StoredFact>, StoreError> {
        Ok(self.read(after_position, limit).await?.into_iter().map(StoredFact::from).collect())
    }

    /// The streams whose names begin with `prefix`, in order, each with its last `seq`.
    async fn streams(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError>;

    /// The last position written, for those who follow live.
    fn head(&self) -> watch::Receiver<u64>;
}

/// A cause that several waiting callers share.
pub type Cause = Arc<dyn Error + Send + Sync>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Not a fault: somebody else was first. Load what they wrote and decide again.
    #[error("stream `{stream}` is at {actual}, not at {expected}: somebody else wrote to it first")]
    Conflict { stream: String, expected: u64, actual: u64 },
    /// Nothing was written; earlier facts are safe and can still be read.
    #[error("the record cannot grow: the disk is full; free some space")]
    Full,
    /// Nothing is known to be written.
    #[error("failed to write to the record")]
    Failed { source: Cause },
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("failed to read the record")]
    Failed { source: Cause },
    #[error("fact {position} cannot be read; `plimsoll doctor --verify` says how far the record is sound")]
    Corrupt { position: u64, source: Cause },
}
