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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two streams in turn; every other fact is like the one before but for its place.
    fn record(facts: u64) -> Vec<StoredFact> {
        let mut hash = root();
        let mut fact = |at: u64| {
            let (stream, seq) = (if at.is_multiple_of(2) { "a" } else { "b" }.to_string(), at / 2 + 1);
            let (kind, payload) = ("k".to_string(), format!("{{\"n\":{}}}", at / 4).into_bytes());
            let at = Timestamp::from_ms(1_000 + at as i64 / 4);
            let mut fact = StoredFact { position: 0, stream, seq, kind, v: 1, at, payload, hash };
            fact.position = if fact.stream == "a" { seq * 2 - 1 } else { seq * 2 };
            fact.hash = link(hash, &fact);
            hash = fact.hash;
            fact
        };
        (0..facts).map(&mut fact).collect()
    }

    type Change = fn(&mut StoredFact);

    /// As [`verify`] has it, of facts in the order they are read.
    fn is_sound(facts: &[StoredFact], written: u64) -> bool {
        let mut checker = Checker::default();
        facts.iter().all(|fact| checker.check(fact).is_ok()) && checker.position >= written
    }

    #[test]
    fn whatever_is_changed_removed_put_in_or_moved_is_found_wherever_it_is() {
        const FACTS: u64 = 100;
        let sound = record(FACTS);
        assert!(is_sound(&sound, FACTS));
        let found = |what: &str, facts: Vec<StoredFact>| assert!(!is_sound(&facts, FACTS), "{what} is not found");
        let changes: [(&str, Change); 9] = [
            ("another position", |fact| fact.position += 1),
            ("another stream", |fact| fact.stream.push('x')),
            ("another number", |fact| fact.seq += 1),
            ("another kind", |fact| fact.kind.push('x')),
            ("another version", |fact| fact.v += 1),
            ("another time", |fact| fact.at = fact.at.plus_ms(1)),
            ("another content", |fact| fact.payload[5] ^= 1),
            ("a longer content", |fact| fact.payload.push(b' ')),
            ("another hash", |fact| fact.hash = Digest::of(fact.hash.as_bytes())),
        ];
        for at in 0..sound.len() {
            for (what, change) in changes {
                let mut facts = sound.clone();
                change(&mut facts[at]);
                found(&format!("{what} of fact {}", at + 1), facts.clone());
                // Whoever can also write its hash anew is betrayed by the next one, and at the end by the head that was written.
                if at > 0 && at + 1 < facts.len() {
                    facts[at].hash = link(facts[at - 1].hash, &facts[at]);
                    if facts[at] == sound[at] {
                        continue;
                    }
                    found(&format!("{what} of fact {}, with its hash,", at + 1), facts);
                }
            }
            let mut facts = sound.clone();
            let removed = facts.remove(at);
            found(&format!("that fact {} was removed", at + 1), facts.clone());
            for to in (0..sound.len()).filter(|to| *to != at) {
                let mut moved = facts.clone();
                moved.insert(to, removed.clone());
                found(&format!("that fact {} was moved to {}", at + 1, to + 1), moved);
                let mut swapped = sound.clone();
                swapped.swap(at, to);
                let (one, other) = (swapped[at].position, swapped[to].position);
                (swapped[at].position, swapped[to].position) = (other, one);
                found(&format!("that facts {} and {} have each other's place", at + 1, to + 1), swapped);
            }
            let mut twice = sound.clone();
            twice.insert(at, sound[at].clone());
            found(&format!("a second fact {}", at + 1), twice);
        }
    }
}
