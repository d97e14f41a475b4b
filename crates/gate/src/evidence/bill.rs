//! Bills of materials: what something is made of, and what that is.

use std::collections::BTreeMap;
use std::io::BufRead;

use base::Digest;
use serde_json::Value;

use super::claim::{ClaimKind, Package, Parsed, Problem, Sbom, SbomFormat, SbomSubject};
use super::finding::NAME_MAX_CHARS;
use super::json::text;

mod cyclonedx;
mod spdx2;
mod spdx3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BillFormat {
    CycloneDx,
    Spdx2,
    Spdx3,
}

pub(crate) fn parse(format: BillFormat, input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    match format {
        BillFormat::CycloneDx => cyclonedx::parse(input),
        BillFormat::Spdx2 => spdx2::parse(input),
        BillFormat::Spdx3 => spdx3::parse(input),
    }
}

/// All are counted. What else refers to by name is kept of so many, so that no bill can fill the memory.
const KEPT_MAX: usize = 200_000;

/// Who made it, and with what.
#[derive(Debug, Default)]
struct Tool {
    name: Option<String>,
    version: Option<String>,
}

fn parsed(format: SbomFormat, version: String, components: u64, subject: Option<SbomSubject>, tool: Tool) -> Parsed {
    let kind = ClaimKind::Sbom(Sbom { format, version, components, subject });
    Parsed { kind, tool: tool.name, tool_version: tool.version, line: None }
}

/// What a document speaks of, by the names it refers to it with.
#[derive(Debug)]
struct Kept<T>(BTreeMap<String, T>);

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(BTreeMap::new())
    }
}

impl<T> Kept<T> {
    fn insert(&mut self, id: Option<String>, thing: impl FnOnce() -> Option<T>) {
        if let Some(id) = id
            && self.0.len() < KEPT_MAX
            && let Some(thing) = thing()
        {
            self.0.insert(id, thing);
        }
    }

    fn get(&self, id: &str) -> Option<&T> {
        self.0.get(id)
    }
}

fn name(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer, NAME_MAX_CHARS)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// A SHA-256 among hashes of several kinds.
fn sha256(hashes: &Value, list_key: &str, algorithm_key: &str, value_key: &str) -> Option<Digest> {
    let is_sha256 =
        |hash: &&Value| hash[algorithm_key].as_str().is_some_and(|name| name.replace(['-', '_'], "").eq_ignore_ascii_case("sha256"));
    list(hashes, list_key)
        .filter(is_sha256)
        .find_map(|hash| format!("sha256:{}", hash[value_key].as_str()?.to_ascii_lowercase()).parse().ok())
}

/// The digest in `sha256:…`, as images have for a version, or in `pkg:oci/shop@sha256%3A…`.
fn sha256_in(text: &str) -> Option<Digest> {
    let (_, rest) = text.split_once("sha256:").or_else(|| text.split_once("sha256%3A")).or_else(|| text.split_once("sha256%3a"))?;
    format!("sha256:{}", rest.get(..64)?).parse().ok()
}

/// `pkg:npm/%40scope/name@1.0?arch=x` is `@scope/name`, `1.0`; named as scanners name it, so that one finding is one.
fn from_purl(purl: &str) -> Option<Package> {
    let path = purl.strip_prefix("pkg:")?.split(['?', '#']).next()?;
    let (kind, path) = path.split_once('/')?;
    let (path, version) = match path.rsplit_once('@') {
        Some((path, version)) if !path.is_empty() => (path, Some(version)),
        _ => (path, None),
    };
    let plain = |text: &str| text.replace("%40", "@").replace("%2F", "/").replace("%2B", "+").replace("%3A", ":");
    let name = match (kind, path.rsplit_once('/')) {
        // What stands before is who distributes it.
        ("deb" | "rpm" | "apk" | "alpm", Some((_, name))) => plain(name),
        ("maven", Some((group, name))) => format!("{}:{}", plain(group), plain(name)),
        _ => plain(path),
    };
    Some(Package { name, version: version.map(plain) })
}
