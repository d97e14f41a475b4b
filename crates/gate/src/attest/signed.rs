//! What lies beside a file and speaks of it: an envelope, a bundle of sigstore, or a bare signature as `cosign sign-blob` prints it.

use base::Digest;
use serde_json::Value;

use super::dsse::{Envelope, bytes};

/// Read, and not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    Envelope(Envelope),
    /// A signature of the file itself, in ASN.1; a bundle also says of which digest.
    File {
        signature: Vec<u8>,
        digest: Option<Vec<u8>>,
    },
}

/// A fragment that says why it is none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

impl Signed {
    /// # Errors
    /// When it has none of the forms, or lacks a part of one.
    pub fn read(content: &[u8]) -> Result<Signed, Unreadable> {
        read(content, true)
    }

    /// Whether a bundle speaks of another file than this one.
    pub(super) fn names_another(&self, file: &Digest) -> bool {
        matches!(self, Signed::File { digest: Some(digest), .. } if digest != file.as_bytes())
    }
}

fn read(content: &[u8], may_be_wrapped: bool) -> Result<Signed, Unreadable> {
    let text = content.trim_ascii();
    if text.starts_with(b"{") {
        let value: Value = serde_json::from_slice(text).map_err(|error| Unreadable(format!("it is no JSON: {error}")))?;
        return of_json(&value);
    }
    let decoded = std::str::from_utf8(text).ok().and_then(bytes);
    match decoded {
        // Older versions of cosign write an envelope in base64.
        Some(inner) if may_be_wrapped && inner.starts_with(b"{") => read(&inner, false),
        Some(signature) if is_signature(&signature) => Ok(Signed::File { signature, digest: None }),
        _ if is_signature(content) => Ok(Signed::File { signature: content.to_vec(), digest: None }),
        _ => Err(Unreadable("it is neither a DSSE envelope, a sigstore bundle nor a signature in base64".to_string())),
    }
}

fn of_json(value: &Value) -> Result<Signed, Unreadable> {
    let envelope = |value: &Value| Envelope::from_json(value).map(Signed::Envelope).map_err(Unreadable);
    if value.get("payloadType").is_some() {
        return envelope(value);
    }
    if value["mediaType"].as_str().is_some_and(|media| media.starts_with(BUNDLE)) {
        return match (value.get("dsseEnvelope"), value.get("messageSignature")) {
            (Some(inner), _) => envelope(inner),
            (None, Some(message)) => {
                let part = |value: &Value| value.as_str().and_then(bytes);
                let signature =
                    part(&message["signature"]).ok_or_else(|| Unreadable("`messageSignature.signature` is missing".to_string()))?;
                Ok(Signed::File { signature, digest: part(&message["messageDigest"]["digest"]) })
            }
            (None, None) => Err(Unreadable("the bundle has neither `dsseEnvelope` nor `messageSignature`".to_string())),
        };
    }
    if value.get("predicateType").is_some() {
        return Err(Unreadable("it is a statement without a signature; what is verified is the envelope around it".to_string()));
    }
    match value["base64Signature"].as_str() {
        Some(text) => read(text.as_bytes(), true),
        None => Err(Unreadable("it is JSON, but neither a DSSE envelope (`payloadType`) nor a sigstore bundle (`mediaType`)".to_string())),
    }
}

/// ASN.1 begins a list.
fn is_signature(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30) && bytes.len() > 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::SigningKey;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    #[test]
    fn the_same_is_read_from_every_form_there_is() {
        let key = SigningKey::from_random(&[7; 32]).unwrap();
        let signature = key.sign(&Digest::of(b"hello"));
        let digest = STANDARD.encode(Digest::of(b"hello").as_bytes());
        let text = STANDARD.encode(&signature);
        let bare = Signed::File { signature: signature.clone(), digest: None };
        assert_eq!(Signed::read(&signature), Ok(bare.clone()));
        assert_eq!(Signed::read(format!("{text}\n").as_bytes()), Ok(bare.clone()));
        assert_eq!(Signed::read(json!({ "base64Signature": text }).to_string().as_bytes()), Ok(bare));
        let message = json!({ "messageDigest": { "algorithm": "SHA2_256", "digest": digest }, "signature": text });
        let bundle = json!({ "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "messageSignature": message });
        let read = Signed::read(bundle.to_string().as_bytes()).unwrap();
        assert!(read.names_another(&Digest::of(b"jello")) && !read.names_another(&Digest::of(b"hello")));

        let envelope = Envelope::sign("text/plain", b"hello".to_vec(), &key);
        let json = envelope.to_json();
        let wrapped = STANDARD.encode(json.to_string());
        let bundle = json!({ "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": json });
        for form in [json.to_string(), bundle.to_string(), wrapped] {
            assert_eq!(Signed::read(form.as_bytes()), Ok(Signed::Envelope(envelope.clone())));
        }
    }

    #[test]
    fn what_is_none_of_them_says_so() {
        for (text, why) in [
            ("", "it is neither a DSSE envelope, a sigstore bundle nor a signature in base64"),
            ("hello", "it is neither a DSSE envelope, a sigstore bundle nor a signature in base64"),
            ("{", "it is no JSON: EOF while parsing an object at line 1 column 1"),
            ("{}", "it is JSON, but neither a DSSE envelope (`payloadType`) nor a sigstore bundle (`mediaType`)"),
            (r#"{"payloadType": "a"}"#, "`payload` is missing"),
            (r#"{"predicateType": "a"}"#, "it is a statement without a signature; what is verified is the envelope around it"),
            (
                r#"{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}"#,
                "the bundle has neither `dsseEnvelope` nor `messageSignature`",
            ),
        ] {
            assert_eq!(Signed::read(text.as_bytes()), Err(Unreadable(why.to_string())), "{text}");
        }
    }
}
