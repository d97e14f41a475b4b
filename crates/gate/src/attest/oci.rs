//! OCI manifests, as far as signatures lie in them: which bytes, of which kind and size, under which digest.
//!
//! Whoever keeps them is not believed: bytes count when their size and their digest are what the manifest says.

use std::collections::BTreeMap;

use base::Digest;
use serde_json::{Value, json};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What an image can be: one, or a list of one for each platform.
pub const IMAGES: &[&str] =
    &[MANIFEST, INDEX, "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// cosign reads no more either.
const LAYERS_MAX: usize = 1000;

/// Where bytes are and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor { media_type: media_type.to_string(), digest: Digest::of(bytes), size: bytes.len() as u64, annotations: BTreeMap::new() }
    }

    #[must_use]
    pub fn annotated(mut self, name: &str, value: &str) -> Descriptor {
        self.annotations.insert(name.to_string(), value.to_string());
        self
    }

    /// # Errors
    /// A fragment that says which part is missing or wrong.
    pub fn read(value: &Value) -> Result<Descriptor, String> {
        let digest = value["digest"].as_str().ok_or("a `digest` is missing")?;
        let digest = digest.parse().map_err(|error| format!("{error}; no other algorithm is read"))?;
        let size = value["size"].as_u64().ok_or_else(|| format!("the `size` of {digest} is missing"))?;
        let texts = value["annotations"].as_object().into_iter().flatten();
        let annotations = texts.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_string()))).collect();
        Ok(Descriptor { media_type: value["mediaType"].as_str().unwrap_or_default().to_string(), digest, size, annotations })
    }

    pub fn to_json(&self) -> Value {
        let mut value = json!({ "mediaType": self.media_type, "size": self.size, "digest": self.digest });
        if !self.annotations.is_empty() {
            value["annotations"] = json!(self.annotations);
        }
        value
    }

    /// # Errors
    /// A sentence where these are other bytes.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() as u64 != self.size {
            return Err(format!("{} has {} bytes, and the manifest says {}", self.digest, bytes.len(), self.size));
        }
        let found = Digest::of(bytes);
        if found != self.digest {
            return Err(format!("what is kept as {} is {found}", self.digest));
        }
        Ok(())
    }
}

/// The layers of a manifest, in its order.
///
/// # Errors
/// A fragment that says why it is none.
pub fn layers(manifest: &[u8]) -> Result<Vec<Descriptor>, String> {
    list(&object(manifest)?, "layers")?.into_iter().collect()
}

/// What an index names, in its order; of each that can't be read, why.
///
/// # Errors
/// A fragment that says why it is no index.
pub fn manifests(index: &[u8]) -> Result<Vec<Result<Descriptor, String>>, String> {
    list(&object(index)?, "manifests")
}

fn list(object: &Value, name: &str) -> Result<Vec<Result<Descriptor, String>>, String> {
    let all = object[name].as_array().ok_or_else(|| format!("`{name}` is missing"))?;
    if all.len() > LAYERS_MAX {
        return Err(format!("`{name}` has {} entries, and no more than {LAYERS_MAX} are read", all.len()));
    }
    Ok(all.iter().map(Descriptor::read).collect())
}

fn object(text: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("it is no JSON object".to_string()) }
}

/// A manifest and the configuration it names, to be kept beside its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
}

/// The manifest that has one layer more, after those it has: they are somebody's, and stay as they are.
///
/// # Errors
/// A fragment that says why what is there is no manifest of an image.
pub fn with_layer(before: Option<&[u8]>, layer: &Descriptor) -> Result<Written, String> {
    let mut manifest = match before {
        None => json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": [] }),
        Some(before) => object(before)?,
    };
    let mut all = list(&manifest, "layers")?.into_iter().collect::<Result<Vec<_>, _>>()?;
    manifest["layers"].as_array_mut().ok_or("`layers` is missing")?.push(layer.to_json());
    all.push(layer.clone());
    // What cosign writes there: an image of no system, with what its layers hold.
    let created = json!({ "created": "0001-01-01T00:00:00Z" });
    let config = json!({
        "architecture": "",
        "created": "0001-01-01T00:00:00Z",
        "history": vec![created; all.len()],
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": all.iter().map(|layer| layer.digest).collect::<Vec<_>>() },
        "config": {},
    });
    let config = config.to_string().into_bytes();
    manifest["config"] = Descriptor::of(CONFIG, &config).to_json();
    Ok(Written { manifest: manifest.to_string().into_bytes(), config })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_size_or_digest_are_not_what_a_manifest_names() {
        let descriptor = Descriptor::of("text/plain", b"hello");
        assert_eq!(descriptor.check(b"hello"), Ok(()));
        assert_eq!(descriptor.check(b"jello"), Err(format!("what is kept as {} is {}", Digest::of(b"hello"), Digest::of(b"jello"))));
        let lies = Descriptor { size: 6, ..descriptor };
        assert_eq!(lies.check(b"hello"), Err(format!("{} has 5 bytes, and the manifest says 6", Digest::of(b"hello"))));
    }

    #[test]
    fn a_layer_comes_after_those_that_are_there_and_changes_none() {
        let one = Descriptor::of("text/plain", b"one").annotated("a", "b");
        let two = Descriptor::of("text/plain", b"two");
        let first = with_layer(None, &one).unwrap();
        let mut foreign: Value = serde_json::from_slice(&first.manifest).unwrap();
        foreign["layers"][0]["urls"] = json!(["https://example.org"]);
        let second = with_layer(Some(foreign.to_string().as_bytes()), &two).unwrap();
        assert_eq!(layers(&second.manifest), Ok(vec![one.clone(), two.clone()]));
        let manifest: Value = serde_json::from_slice(&second.manifest).unwrap();
        assert_eq!(manifest["layers"][0], foreign["layers"][0]);
        let config: Value = serde_json::from_slice(&second.config).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([one.digest, two.digest]));
        assert_eq!(manifest["config"]["digest"], json!(Digest::of(&second.config)));
    }

    #[test]
    fn an_index_is_read_as_far_as_it_can_be() {
        let one = Descriptor::of(MANIFEST, b"one");
        let index = json!({ "manifests": [{ "digest": "sha512:0" }, one.to_json()] }).to_string();
        let found = manifests(index.as_bytes()).unwrap();
        assert!(found[0].as_ref().is_err_and(|why| why.starts_with("`sha512:0` is not")) && found[1] == Ok(one), "{found:?}");
    }

    #[test]
    fn what_is_no_manifest_says_so() {
        let of = |digest: &str| format!(r#"{{"layers": [{{"digest": "{digest}"}}]}}"#);
        let many = json!({ "layers": vec![json!({}); LAYERS_MAX + 1] }).to_string();
        for (text, why) in [
            ("", "it is no JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "it is no JSON object"),
            ("{}", "`layers` is missing"),
            (r#"{"layers": [{}]}"#, "a `digest` is missing"),
            (&of("sha512:0"), "`sha512:0` is not `sha256:` and 64 hexadecimal digits; no other algorithm is read"),
            (&of(&Digest::of(b"").to_string()), &format!("the `size` of {} is missing", Digest::of(b""))),
            (&many, "`layers` has 1001 entries, and no more than 1000 are read"),
        ] {
            assert_eq!(layers(text.as_bytes()), Err(why.to_string()), "{text}");
            assert!(with_layer(Some(text.as_bytes()), &Descriptor::of("", b"")).is_err());
        }
    }
}
