//! What somebody has signed about files: DSSE envelopes and sigstore's bundles, one in a file or one in each line of it.
//!
//! Whose signature it is, is not asked here but where the keys are known: kept are what was signed, by its digest, and what it says.

use std::io::{BufRead, Read};

use base::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claim::{ClaimKind, Parsed, Problem, shorten};
use crate::attest::dsse::{Envelope, pae};
use crate::attest::{PROVENANCE, PublicKey, Signed, Statement};

/// A statement about a file is short; one with a bill of materials in it is not.
const SIZE_MAX_BYTES: u64 = 32 << 20;

/// More are of no artifact that anybody ships.
const SUBJECTS_MAX: usize = 1_000;
const LINES_MAX: usize = 1_000;
/// What a signature of the file itself is called, which says nothing more of it.
const SIGNATURE: &str = "signature";

const NAME_MAX: usize = 300;

/// What was signed, and by whom it may have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The predicate's type, or that it is a signature of the file itself.
    #[serde(rename = "type")]
    pub kind: String,
    pub subjects: Vec<About>,
    /// Of provenance: who says to have built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// Of provenance: the commits it was built from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<String>,
    /// Of the bytes under the signatures.
    pub message: Digest,
    /// In ASN.1 and base64.
    pub signatures: Vec<String>,
}

/// A file that something is said about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub name: String,
    /// Its SHA-256, where the statement has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Attestation {
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.signatures.iter().filter_map(|signature| STANDARD.decode(signature).ok()).any(|it| key.verify(&self.message, &it))
    }
}

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut content = Vec::new();
    input.take(SIZE_MAX_BYTES + 1).read_to_end(&mut content).map_err(|_| Problem::new("can't be read to its end"))?;
    if content.len() as u64 > SIZE_MAX_BYTES {
        return Err(Problem::new(format!("is larger than {} MiB, which no statement is", SIZE_MAX_BYTES >> 20)));
    }
    let whole = Signed::read(&content);
    let lines: Vec<(usize, &[u8])> =
        content.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
    if whole.is_ok() || lines.len() < 2 {
        return Ok(vec![parsed(whole.map_err(|why| Problem::new(format!("is no signed statement: {}", why.0)))?, 1)?]);
    }
    if lines.len() > LINES_MAX {
        return Err(Problem::new(format!("holds more than {LINES_MAX} statements")));
    }
    let read = |(at, line): (usize, &[u8])| {
        let number = at as u64 + 1;
        let signed = Signed::read(line).map_err(|why| Problem::at(number, format!("is no signed statement: {}", why.0)))?;
        parsed(signed, number)
    };
    lines.into_iter().map(read).collect()
}

fn parsed(signed: Signed, line: u64) -> Result<Parsed, Problem> {
    let attestation = match signed {
        Signed::Envelope(envelope) => of_envelope(&envelope).map_err(|why| Problem::at(line, why))?,
        Signed::File { signature, digest: Some(digest) } => {
            let message = <[u8; 32]>::try_from(digest.as_slice()).map(Digest::from_bytes);
            let message = message.map_err(|_| Problem::at(line, "is signed over another digest than SHA-256"))?;
            Attestation {
                kind: SIGNATURE.to_string(),
                subjects: vec![About { name: String::new(), digest: Some(message.to_string()) }],
                builder: None,
                commits: Vec::new(),
                message,
                signatures: vec![STANDARD.encode(signature)],
            }
        }
        Signed::File { digest: None, .. } => return Err(Problem::at(line, "is a signature that does not say of what")),
    };
    Ok(Parsed { kind: ClaimKind::Attestation(Box::new(attestation)), tool: None, tool_version: None, line: Some(line) })
}

fn of_envelope(envelope: &Envelope) -> Result<Attestation, String> {
    let statement = Statement::read(envelope)?;
    if statement.subject.len() > SUBJECTS_MAX {
        return Err(format!("speaks of more than {SUBJECTS_MAX} files"));
    }
    let about = |name: &str, sha256: Option<&String>| About {
        name: shorten(name, NAME_MAX),
        digest: sha256.map(|hex| format!("sha256:{}", hex.to_ascii_lowercase())),
    };
    let is_provenance = statement.predicate_type == PROVENANCE;
    let builder = statement.predicate.pointer("/runDetails/builder/id").and_then(Value::as_str).filter(|_| is_provenance);
    Ok(Attestation {
        subjects: statement.subject.iter().map(|subject| about(&subject.name, subject.digest.get("sha256"))).collect(),
        builder: builder.map(|builder| shorten(builder, NAME_MAX)),
        commits: if is_provenance { commits(&statement.predicate) } else { Vec::new() },
        message: Digest::of(&pae(&envelope.payload_type, &envelope.payload)),
        signatures: envelope.signatures.iter().map(|signature| STANDARD.encode(signature)).collect(),
        kind: statement.predicate_type,
    })
}

/// As SLSA's provenance v1 has them: what it was resolved to that has a commit of git.
fn commits(predicate: &Value) -> Vec<String> {
    let resolved = predicate.pointer("/buildDefinition/resolvedDependencies").and_then(Value::as_array).into_iter().flatten();
    let commits = resolved.filter_map(|it| it.pointer("/digest/gitCommit").or_else(|| it.pointer("/digest/sha1"))?.as_str());
    commits.map(|commit| shorten(commit, NAME_MAX)).take(SUBJECTS_MAX).collect()
}
