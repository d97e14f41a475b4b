//! The hash chain over all facts: a fact that was changed, removed, put in or moved is found by reading them all once.
//!
//! ```text
//! hash(n) = SHA-256( "plimsoll.fact.1" hash(n-1) position |stream| stream seq |kind| kind v at |payload| payload )
//! ```
//!
//! Numbers are eight bytes, the highest first; `|x|` is the length of `x`; `hash(0)` is all zeros.

use std::collections::HashMap;

use base::{Digest, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::fact::StoredFact;
use crate::store::{Store, StoreError};

/// What the first fact is chained to.
pub fn root() -> Digest {
    Digest::from_bytes([0; 32])
}

/// The hash a fact must carry when `previous` is the hash of the one before; the fact's own `hash` is not looked at.
pub fn link(previous: Digest, fact: &StoredFact) -> Digest {
    let StoredFact { position, stream, seq, kind, v, at, payload, .. } = fact;
    link_fields(previous, (*position, stream, *seq), (kind, *v, *at), payload)
}

/// As [`link`], of a fact whose payload is at hand in another form.
pub(crate) fn link_fields(previous: Digest, place: (u64, &str, u64), head: (&str, u32, Timestamp), payload: &[u8]) -> Digest {
    let ((position, stream, seq), (kind, v, at)) = (place, head);
    let mut hasher = Sha256::new();
    hasher.update(b"plimsoll.fact.1");
    hasher.update(previous.as_bytes());
    hasher.update(position.to_be_bytes());
    let mut text = |bytes: &[u8], number: u64| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
        hasher.update(number.to_be_bytes());
    };
    text(stream.as_bytes(), seq);
    text(kind.as_bytes(), u64::from(v));
    hasher.update(at.as_ms().to_be_bytes());
    hasher.update((payload.len() as u64).to_be_bytes());
    hasher.update(payload);
    Digest::from_bytes(hasher.finalize().into())
}

/// Every fact is where and what it was when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub facts: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the record is broken at fact {position}: {why}")]
    Broken { position: u64, why: String },
    #[error("the record could not be read to its end")]
    Store(#[from] StoreError),
}

/// Reads the whole record once and recomputes the chain.
///
/// Facts appended meanwhile are verified as far as they are met.
pub async fn verify(store: &dyn Store) -> Result<Verified, VerifyError> {
    /// Some thousand rows a step keep memory flat and the cost of a step invisible.
    const ROWS_PER_READ: usize = 4096;
    let head = *store.head().borrow();
    let mut checker = Checker::default();
    loop {
        let facts = store.read_stored(checker.position, ROWS_PER_READ).await?;
        if facts.is_empty() {
            break;
        }
        for fact in &facts {
            checker.check(fact)?;
        }
    }
    if checker.position < head {
        let why = format!("this fact and all behind it are missing; {head} facts were written");
        return Err(VerifyError::Broken { position: checker.position + 1, why });
    }
    Ok(Verified { facts: checker.position })
}

/// The chain up to some fact.
struct Checker {
    position: u64,
    hash: Digest,
    seqs: HashMap<String, u64>,
}

impl Default for Checker {
    fn default() -> Checker {
        Checker { position: 0, hash: root(), seqs: HashMap::new() }
    }
}

impl Checker {
    fn check(&mut self, fact: &StoredFact) -> Result<(), VerifyError> {
        let position = self.position + 1;
        let broken = |why: String| Err(VerifyError::Broken { position, why });
        if fact.position != position {
            return broken(format!("it is missing; the next one there is {}", fact.position));
        }
        if link(self.hash, fact) != fact.hash {
            return broken(format!("its content or the fact before it was changed (`{}`, {} {})", fact.kind, fact.stream, fact.seq));
        }
        let seq = match self.seqs.get_mut(&fact.stream) {
            Some(seq) => seq,
            None => self.seqs.entry(fact.stream.clone()).or_default(),
        };
        if fact.seq != *seq + 1 {
            return broken(format!("it is number {} of stream `{}`, where {} was due", fact.seq, fact.stream, *seq + 1));
        }
        *seq = fact.seq;
        self.position = position;
        self.hash = fact.hash;
        Ok(())
    }
}
