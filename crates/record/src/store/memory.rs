use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{AppendError, Store, StoreError};
use crate::chain;
use crate::fact::{Append, Fact, NewFact};

/// A record that lives as long as the process: `plimsoll run`, tests and the simulation.
#[derive(Debug)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    facts: Vec<Fact>,
    /// By stream: the indices of its facts.
    streams: BTreeMap<String, Vec<usize>>,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore { inner: Mutex::default(), head: watch::Sender::new(0) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the facts")
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, stream: &str, after_seq: u64) -> Result<Vec<Fact>, StoreError> {
        let inner = self.inner();
        let indices = inner.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let skipped = usize::try_from(after_seq).unwrap_or(usize::MAX).min(indices.len());
        Ok(indices[skipped..].iter().map(|&index| inner.facts[index].clone()).collect())
    }

    async fn append(&self, appends: Vec<Append>) -> Result<Vec<Fact>, AppendError> {
        let mut inner = self.inner();
        inner.check(&appends)?;
        let before = inner.facts.len();
        for append in appends {
            for fact in append.facts {
                inner.push(&append.stream, fact);
            }
        }
        let written = inner.facts[before..].to_vec();
        let head = inner.facts.len() as u64;
        drop(inner);
        if !written.is_empty() {
            self.head.send_modify(|last| *last = head.max(*last));
        }
        Ok(written)
    }

    async fn read(&self, after_position: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        let inner = self.inner();
        let from = usize::try_from(after_position).unwrap_or(usize::MAX).min(inner.facts.len());
        Ok(inner.facts[from..].iter().take(limit).cloned().collect())
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let inner = self.inner();
        let from =
            inner.streams.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).take_while(|(stream, _)| stream.starts_with(prefix));
        Ok(from.map(|(stream, indices)| (stream.clone(), indices.len() as u64)).collect())
    }

    fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

impl Inner {
    fn check(&self, appends: &[Append]) -> Result<(), AppendError> {
        let mut seqs = BTreeMap::new();
        for Append { stream, expected, facts } in appends {
            let seq = seqs.entry(stream).or_insert_with(|| self.streams.get(stream).map_or(0, Vec::len) as u64);
            if *seq != *expected {
                return Err(AppendError::Conflict { stream: stream.clone(), expected: *expected, actual: *seq });
            }
            *seq += facts.len() as u64;
        }
        Ok(())
    }

    fn push(&mut self, stream: &str, NewFact { kind, v, at, payload }: NewFact) {
        let index = self.facts.len();
        if !self.streams.contains_key(stream) {
            self.streams.insert(stream.to_string(), Vec::new());
        }
        let indices = self.streams.get_mut(stream).expect("it was put there when it was missing");
        indices.push(index);
        let (position, seq) = (index as u64 + 1, indices.len() as u64);
        let previous = self.facts.last().map_or(chain::root(), |fact| fact.hash);
        let hash = chain::link_fields(previous, (position, stream, seq), (&kind, v, at), payload.text().as_bytes());
        self.facts.push(Fact { position, stream: stream.to_string(), seq, kind, v, at, payload, hash });
    }
}
