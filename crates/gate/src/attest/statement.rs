//! in-toto's statement: of which files something is said, what kind of thing, and the thing.

use base::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use super::SigningKey;
use super::dsse::{Envelope, IN_TOTO};

pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What cosign still writes; it differs in nothing that is read here.
const STATEMENT_BEFORE: &str = "https://in-toto.io/Statement/v0.1";
/// What cosign calls `cyclonedx`.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    pub kind: String,
    pub subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    #[serde(default)]
    pub predicate: Value,
}

/// A file, by what it holds; its name is for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    #[serde(default)]
    pub name: String,
    /// By algorithm, in hexadecimal digits.
    #[serde(default)]
    pub digest: BTreeMap<String, String>,
    /// Where cosign keeps what an image was signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
}

impl Statement {
    pub fn of(name: &str, digest: &Digest, predicate_type: &str, predicate: Value) -> Statement {
        let digest = BTreeMap::from([("sha256".to_string(), digest.hex())]);
        let subject = vec![Subject { name: name.to_string(), digest, annotations: None }];
        Statement { kind: STATEMENT.to_string(), subject, predicate_type: predicate_type.to_string(), predicate }
    }

    pub fn sign(&self, key: &SigningKey) -> Envelope {
        Envelope::sign(IN_TOTO, serde_json::to_vec(self).expect("a statement is JSON"), key)
    }

    /// # Errors
    /// A fragment that says why the payload is no statement.
    pub fn read(envelope: &Envelope) -> Result<Statement, String> {
        if envelope.payload_type != IN_TOTO {
            return Err(format!("what was signed is `{}`, not `{IN_TOTO}`", envelope.payload_type));
        }
        let statement: Statement =
            serde_json::from_slice(&envelope.payload).map_err(|error| format!("what was signed is no statement: {error}"))?;
        match statement.kind.as_str() {
            STATEMENT | STATEMENT_BEFORE => Ok(statement),
            other => Err(format!("what was signed is `{other}`, not `{STATEMENT}`")),
        }
    }

    pub fn is_about(&self, file: &Digest) -> bool {
        self.subject.iter().any(|subject| subject.is(file))
    }
}

impl Subject {
    pub fn is(&self, file: &Digest) -> bool {
        self.digest.get("sha256").is_some_and(|digest| digest.eq_ignore_ascii_case(&file.hex()))
    }
}
