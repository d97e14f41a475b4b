use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use base::{Digest, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Something that happened, before it is on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewFact {
    /// Who says it and what it is: `release.run-started`.
    pub kind: String,
    /// The version of the payload's shape; a reader knows every version ever written.
    pub v: u32,
    pub at: Timestamp,
    pub payload: Payload,
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
    pub payload: Payload,
    /// Covers every field above and the hash of the fact before; see [`crate::chain`].
    pub hash: Digest,
}

/// What a fact says, as the JSON text it was written in: made once, shared by all who keep the fact, read by those who want to know.
#[derive(Clone)]
pub struct Payload(Arc<Content>);

struct Content {
    text: Box<RawValue>,
    /// As whoever asked first wanted to have it.
    read: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Payload {
    pub fn of(content: &impl Serialize) -> Payload {
        let text = serde_json::value::to_raw_value(content);
        Payload::new(text.expect("facts have string keys and finite numbers"))
    }

    fn new(text: Box<RawValue>) -> Payload {
        Payload(Arc::new(Content { text, read: OnceLock::new() }))
    }

    /// # Errors
    /// When the text is not JSON.
    pub fn from_text(text: String) -> Result<Payload, serde_json::Error> {
        Ok(Payload::new(RawValue::from_string(text)?))
    }

    /// Byte for byte what is hashed and stored.
    pub fn text(&self) -> &str {
        self.0.text.get()
    }

    /// # Errors
    /// When it says something else.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }

    /// As [`Payload::read`]; all who keep this fact and want the same of it share one reading.
    ///
    /// # Errors
    /// When it says something else.
    pub fn shared<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, serde_json::Error> {
        if let Some(Ok(known)) = self.0.read.get().map(|known| known.clone().downcast()) {
            return Ok(known);
        }
        let read = Arc::new(self.read::<T>()?);
        // Another reader may have been faster, and it said the same.
        let _ = self.0.read.set(read.clone());
        Ok(read)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.text.serialize(serializer)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Payload) -> bool {
        self.text() == other.text()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        Ok(Payload::new(Box::<RawValue>::deserialize(deserializer)?))
    }
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
    /// Looks whether the payload is JSON; the error says what is wrong with its text.
    pub fn into_fact(self) -> Result<Fact, serde_json::Error> {
        let StoredFact { position, stream, seq, kind, v, at, payload, hash } = self;
        let text = String::from_utf8(payload).map_err(serde::de::Error::custom)?;
        Ok(Fact { position, stream, seq, kind, v, at, payload: Payload::from_text(text)?, hash })
    }
}

impl From<Fact> for StoredFact {
    fn from(fact: Fact) -> StoredFact {
        let Fact { position, stream, seq, kind, v, at, payload, hash } = fact;
        StoredFact { position, stream, seq, kind, v, at, payload: payload.text().into(), hash }
    }
}
