//! DSSE: an envelope around bytes, with signatures that cover what kind of bytes they are.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::{PublicKey, SigningKey};
use base::Digest;

/// What the payload of an in-toto statement is called.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// So many people sign a thing at most; each signature is tried with each key.
const SIGNATURES_MAX: usize = 20;

/// Bytes, what they are, and who signed both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub payload_type: String,
    pub payload: Vec<u8>,
    /// In ASN.1. Hints about the key are dropped: a key is tried, not believed.
    pub signatures: Vec<Vec<u8>>,
}

impl Envelope {
    pub fn sign(payload_type: &str, payload: Vec<u8>, key: &SigningKey) -> Envelope {
        let signature = key.sign(&Digest::of(&pae(payload_type, &payload)));
        Envelope { payload_type: payload_type.to_string(), payload, signatures: vec![signature] }
    }

    /// Whether one of the signatures is this key's.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = Digest::of(&pae(&self.payload_type, &self.payload));
        self.signatures.iter().any(|signature| key.verify(&message, signature))
    }

    pub fn to_json(&self) -> Value {
        let signature = |signature: &Vec<u8>| json!({ "keyid": "", "sig": STANDARD.encode(signature) });
        json!({
            "payloadType": self.payload_type,
            "payload": STANDARD.encode(&self.payload),
            "signatures": self.signatures.iter().map(signature).collect::<Vec<_>>(),
        })
    }

    /// # Errors
    /// A fragment that says which part is missing or no base64.
    pub fn from_json(value: &Value) -> Result<Envelope, String> {
        let payload_type = value["payloadType"].as_str().ok_or("`payloadType` is missing")?.to_string();
        let payload = bytes(value["payload"].as_str().ok_or("`payload` is missing")?).ok_or("`payload` is no base64")?;
        let mut signatures = Vec::new();
        for (index, signature) in
            value["signatures"].as_array().ok_or("`signatures` is missing")?.iter().take(SIGNATURES_MAX + 1).enumerate()
        {
            let text = signature["sig"].as_str().ok_or_else(|| format!("`signatures[{index}].sig` is missing"))?;
            signatures.push(bytes(text).ok_or_else(|| format!("`signatures[{index}].sig` is no base64"))?);
        }
        if signatures.len() > SIGNATURES_MAX {
            return Err(format!("there are more than {SIGNATURES_MAX} `signatures`"));
        }
        if signatures.is_empty() {
            return Err("`signatures` is empty".to_string());
        }
        Ok(Envelope { payload_type, payload, signatures })
    }
}

/// How every message begins whose signature is an envelope's: a bare signature of a file that begins so would be one, too.
pub const PREFIX: &str = "DSSEv1 ";

/// The bytes that are signed: lengths and contents, so that nothing can be read as something else.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("{PREFIX}{} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend(payload);
    message
}

/// Base64 of either alphabet.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        let message = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_signature_covers_the_payload_and_its_type() {
        let key = SigningKey::from_random(&[7; 32]).unwrap();
        let envelope = Envelope::sign(IN_TOTO, b"{}".to_vec(), &key);
        assert_eq!(Envelope::from_json(&envelope.to_json()), Ok(envelope.clone()));
        assert!(envelope.is_signed_by(&key.public()));
        assert!(!Envelope { payload: b"[]".to_vec(), ..envelope.clone() }.is_signed_by(&key.public()));
        assert!(!Envelope { payload_type: "text/plain".to_string(), ..envelope }.is_signed_by(&key.public()));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (value, why) in [
            (json!({}), "`payloadType` is missing"),
            (json!({"payloadType": "a", "payload": "%"}), "`payload` is no base64"),
            (json!({"payloadType": "a", "payload": "", "signatures": []}), "`signatures` is empty"),
            (json!({"payloadType": "a", "payload": "", "signatures": [{}]}), "`signatures[0].sig` is missing"),
        ] {
            assert_eq!(Envelope::from_json(&value), Err(why.to_string()));
        }
    }
}
