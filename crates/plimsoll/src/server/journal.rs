//! The index of the record, kept up with the record's head.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use record::{Index, Store};

use crate::failure::{Doing, Result};

/// Facts read at once while catching up.
const BATCH: usize = 1000;

pub struct Journal {
    store: Arc<dyn Store>,
    index: RwLock<Index>,
    /// One reader at a time, so that facts are applied in their order.
    catching_up: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("position", &self.index().position).finish_non_exhaustive()
    }
}

impl Journal {
    /// # Errors
    /// When the record can't be read.
    pub async fn open(store: Arc<dyn Store>) -> Result<Journal> {
        let journal = Journal { store, index: RwLock::default(), catching_up: tokio::sync::Mutex::new(()) };
        journal.catch_up().await?;
        Ok(journal)
    }

    /// Reads what has been appended since the last time.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn catch_up(&self) -> Result<()> {
        let _turn = self.catching_up.lock().await;
        loop {
            let after = self.index().position;
            let facts = self.store.read(after, BATCH).await.doing("read the record")?;
            if facts.is_empty() {
                return Ok(());
            }
            let mut index = self.index.write().expect("no holder panics");
            for fact in &facts {
                if let Err(error) = index.apply(fact) {
                    tracing::error!(%error, "a fact is left out of the lists");
                    index.position = fact.position;
                }
            }
        }
    }

    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().expect("no holder panics")
    }
}

/// Machines know releases by their ids, people by their numbers.
pub fn with_numbers(index: &Index, sentence: &str) -> String {
    let named = index.unfinished().into_iter().filter_map(|id| index.releases.get(&id));
    named.fold(sentence.to_string(), |text, entry| text.replace(&format!("release {}", entry.id), &format!("release-{}", entry.number)))
}
