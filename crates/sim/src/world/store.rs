use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::Digest;
use record::{Append, AppendError, Fact, Store, StoreError};
use tokio::sync::watch;

use super::{Border, USER};
use crate::breaks::Break;
use crate::faults::Fault;
use crate::scheduler::{Sim, at_once};

/// What the record has promised to keep.
#[derive(Debug, Default)]
pub(crate) struct StoreTruth {
    /// Of facts whose append was answered with yes: position and hash.
    pub acknowledged: BTreeMap<u64, Digest>,
    versions: BTreeMap<String, u64>,
}

/// The record in memory, behind a way on which things go wrong.
pub(crate) struct SimStore {
    pub border: Border,
}

#[async_trait]
impl Store for SimStore {
    async fn load(&self, stream: &str, after_seq: u64) -> Result<Vec<Fact>, StoreError> {
        if self.border.sim.strikes(Fault::StoreFailed, 60) {
            self.border.sim.sleep(5).await;
            return Err(StoreError::Failed { source: cause() });
        }
        let stream = stream.to_string();
        self.border.look(move |sim| at_once(sim.memory.load(&stream, after_seq))).await
    }

    async fn append(&self, appends: Vec<Append>) -> Result<Vec<Fact>, AppendError> {
        let sim = &self.border.sim;
        if sim.strikes(Fault::StoreFull, 30) {
            sim.sleep(5).await;
            return Err(AppendError::Full);
        }
        if sim.strikes(Fault::StoreFailed, 30) {
            sim.sleep(5).await;
            return Err(AppendError::Failed { source: cause() });
        }
        let server = self.border.server;
        let written = self.border.request(move |sim| write(sim, server, appends.clone())).await;
        let written = written.unwrap_or_else(|| Err(AppendError::Failed { source: cause() }));
        if let Ok(facts) = &written {
            sim.truth().store.acknowledged.extend(facts.iter().map(|fact| (fact.position, fact.hash)));
        }
        written
    }

    async fn read(&self, after_position: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        at_once(self.border.sim.memory.read(after_position, limit))
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        at_once(self.border.sim.memory.streams(prefix))
    }

    fn head(&self) -> watch::Receiver<u64> {
        self.border.sim.memory.head()
    }
}

fn write(sim: &Arc<Sim>, server: usize, mut appends: Vec<Append>) -> Result<Vec<Fact>, AppendError> {
    let mut truth = sim.truth();
    if sim.broken == Some(Break::NoVersionCheck) {
        for append in &mut appends {
            append.expected = truth.store.versions.get(&append.stream).copied().unwrap_or(0);
        }
    }
    if sim.broken == Some(Break::FreezeUnheard) {
        appends.retain(|append| !append.facts.is_empty());
    }
    let written = at_once(sim.memory.append(appends))?;
    for fact in &written {
        truth.store.versions.insert(fact.stream.clone(), fact.seq);
        let Fact { position, stream, seq, kind, hash, .. } = fact;
        let [first, second, ..] = hash.as_bytes();
        let summary = summary(fact);
        sim.trace(format_args!("record by {server}: {position} {stream} {seq} {kind} ({first:02x}{second:02x}) {summary}"));
    }
    truth.facts(sim, &written);
    truth.update_begins();
    drop(truth);
    // A release's own next steps are its driver's business; these concern others.
    if server == USER || written.iter().any(|fact| fact.stream.starts_with("environment/")) {
        sim.nudge();
    }
    Ok(written)
}

/// What the machine inside the release said, as far as a line has room for it.
fn summary(fact: &Fact) -> &str {
    const LINE_MAX: usize = 240;
    let text = if ["release.rollout", "release.run"].contains(&fact.kind.as_str()) { fact.payload.text() } else { "" };
    &text[..text.floor_char_boundary(LINE_MAX)]
}

fn cause() -> record::store::Cause {
    Arc::new(std::io::Error::other("simulated"))
}
