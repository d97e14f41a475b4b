use base::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened, before it is on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewFact {
    /// Who says it and what it is: `release.run-started`.
    pub kind: String,
    /// The version of the payload's shape; a reader knows every version ever written.
    pub v: u32,
    pub at: Timestamp,
    pub payload: Value,
}

/// Something that happened, on record; never changed, never removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The place among all facts, from 1, without gaps.
    pub position: u64,
    pub stream: String,
    /// The place within its stream, from 1, without gaps.
    pub seq: u64,
    pub kind: String,
    pub v: u32,
    pub at: Timestamp,
    pub payload: Value,
    /// Covers every field above and the hash of the fact before; see [`crate::chain`].
    pub hash: Digest,
}

/// Facts for one stream, under the condition that nobody else wrote to it meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Append {
    pub stream: String,
    /// The last `seq` the writer has seen; 0 says that the stream must not exist yet.
    pub expected: u64,
    /// May be empty: then the append only insists on `expected`.
    pub facts: Vec<NewFact>,
}

/// A fact as it lies in a store, payload unread: what the hash is computed over.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFact {
    pub position: u64,
    pub stream: String,
    pub seq: u64,
    pub kind: String,
    pub v: u32,
    pub at: Timestamp,
    /// The JSON text, byte for byte.
    pub payload: Vec<u8>,
    pub hash: Digest,
}

impl StoredFact {
    /// Reads the payload; the error says what is wrong with its text.
    pub fn into_fact(self) -> Result<Fact, serde_json::Error> {
        let StoredFact { position, stream, seq, kind, v, at, payload, hash } = self;
        Ok(Fact { position, stream, seq, kind, v, at, payload: serde_json::from_slice(&payload)?, hash })
    }
}

impl From<Fact> for StoredFact {
    fn from(fact: Fact) -> StoredFact {
        let Fact { position, stream, seq, kind, v, at, payload, hash } = fact;
        StoredFact { position, stream, seq, kind, v, at, payload: payload_bytes(&payload), hash }
    }
}

/// The payload as it is hashed and stored. Reading these bytes and writing them again gives the same bytes.
pub(crate) fn payload_bytes(payload: &Value) -> Vec<u8> {
    serde_json::to_vec(payload).expect("a JSON value always has a text")
}
