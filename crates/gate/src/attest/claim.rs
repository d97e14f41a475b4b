//! Simple signing: the few words about an image that cosign signs, and which image they are about.

use std::collections::BTreeMap;

use base::Digest;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

/// How such words are marked beside an image.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

const KIND: &str = "cosign container image signature";
/// What the form was called before cosign took it.
const KIND_BEFORE: &str = "atomic container signature";

/// What was signed of an image; read, and believed when its signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub image: Digest,
    /// What the image was called when it was signed: the same bytes may be elsewhere by now.
    pub reference: String,
    pub annotations: Map<String, Value>,
}

impl Claim {
    pub fn of(image: Digest, reference: &str, annotations: &BTreeMap<String, String>) -> Claim {
        let annotations = annotations.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Claim { image, reference: reference.to_string(), annotations }
    }

    /// The bytes that are signed, as cosign writes them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let optional = if self.annotations.is_empty() { Value::Null } else { Value::Object(self.annotations.clone()) };
        let critical = json!({
            "identity": { "docker-reference": self.reference },
            "image": { "docker-manifest-digest": self.image },
            "type": KIND,
        });
        json!({ "critical": critical, "optional": optional }).to_string().into_bytes()
    }

    /// # Errors
    /// A fragment that says why the bytes are no such words.
    pub fn read(payload: &[u8]) -> Result<Claim, String> {
        let value: Value = serde_json::from_slice(payload).map_err(|error| format!("what was signed is no JSON: {error}"))?;
        let critical = &value["critical"];
        match critical["type"].as_str() {
            Some(KIND | KIND_BEFORE) => {}
            Some(other) => return Err(format!("what was signed is `{other}`, not `{KIND}`")),
            None => return Err("what was signed has no `critical.type`".to_string()),
        }
        let image = critical["image"]["docker-manifest-digest"].as_str().ok_or("what was signed names no image")?;
        Ok(Claim {
            image: image.parse().map_err(|error| format!("what was signed names no image: {error}"))?,
            reference: critical["identity"]["docker-reference"].as_str().unwrap_or_default().to_string(),
            annotations: value["optional"].as_object().cloned().unwrap_or_default(),
        })
    }
}

/// Whether any reader could take these bytes for words about an image: their bare signature would be an image's.
///
/// Readers differ: Go's takes keys in either case, bytes that are no UTF-8, halves of surrogates and any depth.
pub fn may_be_claim(bytes: &[u8]) -> bool {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return false;
    }
    let text = String::from_utf8_lossy(bytes).replace("\\uD", "\\uF").replace("\\ud", "\\uF");
    let keys: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_str(&text);
    keys.is_ok_and(|keys| keys.keys().any(|key| key.eq_ignore_ascii_case("critical")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Digest {
        Digest::of(b"image")
    }

    /// Byte for byte what cosign signs for the same image.
    #[test]
    fn what_is_signed_is_what_cosign_signs() {
        let claim = Claim::of(image(), "localhost:5000/app", &BTreeMap::new());
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"localhost:5000/app"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            image()
        );
        assert_eq!(String::from_utf8(claim.to_bytes()).unwrap(), expected);
        assert_eq!(Claim::read(&claim.to_bytes()), Ok(claim));
        let annotated =
            Claim::of(image(), "app", &BTreeMap::from([("b".to_string(), "2".to_string()), ("a".to_string(), "1".to_string())]));
        assert!(String::from_utf8(annotated.to_bytes()).unwrap().ends_with(r#""optional":{"a":"1","b":"2"}}"#));
        assert_eq!(Claim::read(&annotated.to_bytes()), Ok(annotated));
    }

    #[test]
    fn what_is_not_about_an_image_says_so() {
        for (payload, why) in [
            ("hello", "what was signed is no JSON: expected value at line 1 column 1"),
            ("{}", "what was signed has no `critical.type`"),
            (r#"{"critical": {"type": "vote"}}"#, "what was signed is `vote`, not `cosign container image signature`"),
            (r#"{"critical": {"type": "atomic container signature"}}"#, "what was signed names no image"),
            (
                r#"{"critical": {"type": "atomic container signature", "image": {"docker-manifest-digest": "sha256:1"}}}"#,
                "what was signed names no image: `sha256:1` is not `sha256:` and 64 hexadecimal digits",
            ),
        ] {
            assert_eq!(Claim::read(payload.as_bytes()), Err(why.to_string()), "{payload}");
        }
    }

    #[test]
    fn whatever_a_reader_could_take_for_words_about_an_image_is_known() {
        let deep = format!(r#"{{"critical": {{}}, "x": {}{}}}"#, "[".repeat(500), "]".repeat(500));
        for claim in [
            r#" {"critical": {}}"#,
            r#"{"a": 1e999, "\u0043ritical": {}}"#,
            r#"{"critical": {}, "critical": 1}"#,
            r#"{"\ud800": 1, "CRITICAL": {}}"#,
            &deep,
        ] {
            assert!(may_be_claim(claim.as_bytes()), "{claim}");
        }
        assert!(may_be_claim(b"{\"x\": \"\xff\", \"critical\": {}}"));
        for other in ["", "critical", r#"{"critical": {}} more"#, r#"{"x": {"critical": {}}}"#, r#"["critical"]"#, "{\"critical\""] {
            assert!(!may_be_claim(other.as_bytes()), "{other}");
        }
    }
}
