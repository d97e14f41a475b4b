//! The suite over every store there is, and what is particular to each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod sqlite;
mod suite;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use record::{MemoryStore, SqliteStore, Store};

#[tokio::test]
async fn memory() {
    suite::conformance(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    suite::conformance(async || {
        let path = directory.path().join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)));
        Arc::new(SqliteStore::open(path).unwrap()) as Arc<dyn Store>
    })
    .await;
}
