//! What is shipped, in CycloneDX 1.6: the artifact, and what the lock files of its commit say it is made of.
//!
//! | file | what of it |
//! |---|---|
//! | `Cargo.lock` | crates of registries and of git, with their checksum |
//! | `package-lock.json`, `npm-shrinkwrap.json` | every version of the format, with integrity; those of development are `excluded` |
//! | `pnpm-lock.yaml` | versions 5 to 9, with integrity |
//! | `yarn.lock` | of yarn 1 with integrity; of later ones without: their checksum is of a file that yarn makes |
//! | `poetry.lock`, `uv.lock` | every file of a package, with its hash |
//! | `requirements*.txt` | what is pinned by `==`, with hashes |
//! | `go.mod`, `go.sum` | the modules required, with the sum that go checks |
//!
//! What can't be read is said in the document itself and never left out in silence.

mod cargo;
mod go;
mod npm;
mod pnpm;
mod purl;
mod python;
mod yarn;

use std::collections::{BTreeMap, BTreeSet};

use base::{Digest, Timestamp};
use serde_json::{Map, Value, json};

/// Of one package: what any lock file says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Component {
    name: String,
    version: String,
    purl: String,
    /// Algorithm, as CycloneDX calls it, and hexadecimal digits.
    hashes: BTreeSet<(&'static str, String)>,
    /// Files of which any may have been taken: where, and their hashes.
    distributions: BTreeMap<String, BTreeSet<(&'static str, String)>>,
    /// `optional`, or `excluded` for what is there to build and test.
    scope: Option<&'static str>,
    /// Sums of a kind that CycloneDX has no name for.
    sums: BTreeSet<String>,
}

/// What a lock file says: packages, and sentences about what it can't tell.
#[derive(Debug, Default)]
struct Locked {
    components: Vec<Component>,
    unread: Vec<String>,
}

/// What the document is about.
#[derive(Debug, Clone)]
pub struct About {
    pub name: String,
    /// The commit.
    pub version: String,
    pub artifact: Digest,
    pub at: Timestamp,
    /// Of the program that makes the document.
    pub tool_version: String,
}

/// A file that may say what something is made of, by its path.
#[derive(Debug, Clone)]
pub struct LockFile {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Known, and not read here.
const OTHER_LOCKS: &[&str] = &[
    "Gemfile.lock",
    "Pipfile.lock",
    "Podfile.lock",
    "bun.lock",
    "bun.lockb",
    "composer.lock",
    "conan.lock",
    "deno.lock",
    "gradle.lockfile",
    "mix.lock",
    "packages.lock.json",
    "pdm.lock",
    "pubspec.lock",
];

/// Manifests that name no exact versions, and the lock files that do.
const MANIFESTS: &[(&str, &[&str])] = &[
    ("package.json", &["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"]),
    ("Cargo.toml", &["Cargo.lock"]),
    ("pyproject.toml", &["poetry.lock", "uv.lock", "pdm.lock", "requirements.txt"]),
    ("Gemfile", &["Gemfile.lock"]),
    ("composer.json", &["composer.lock"]),
    ("pom.xml", &[]),
    ("build.gradle", &["gradle.lockfile"]),
    ("build.gradle.kts", &["gradle.lockfile"]),
];

/// Several times the largest of real ones; read, a file takes some ten times its size.
const BYTES_MAX: usize = 16 << 20;

/// Of one file; whoever reads the first hundred knows enough of the rest.
const UNREAD_MAX: usize = 100;

/// Whether a file of a commit is asked for.
pub fn is_wanted(path: &str) -> bool {
    let name = name_of(path);
    let is_installed = path.split('/').any(|folder| folder == "node_modules");
    !is_installed && (reader(name).is_some() || OTHER_LOCKS.contains(&name) || MANIFESTS.iter().any(|(manifest, _)| *manifest == name))
}

/// The document; the same files make the same one.
pub fn document(about: &About, files: &[LockFile]) -> Value {
    let mut components: BTreeMap<String, (Component, BTreeSet<&str>)> = BTreeMap::new();
    let mut unread = Vec::new();
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for file in files {
        let locked = read(file, files);
        let more = locked.unread.len().saturating_sub(UNREAD_MAX);
        unread.extend(locked.unread.iter().take(UNREAD_MAX).map(|why| format!("{}: {}", file.path, purl::harmless(why))));
        unread.extend((more > 0).then(|| format!("{}: {more} more places that can't be read", file.path)));
        unread.extend(without_lock(file, &paths));
        for component in locked.components {
            let entry = components.entry(component.purl.clone()).or_default();
            merge(&mut entry.0, component, entry.1.is_empty());
            entry.1.insert(&file.path);
        }
    }
    if files.iter().all(|file| reader(name_of(&file.path)).is_none()) {
        unread.push("no lock file says what this is made of".to_string());
    }
    let refs: Vec<&String> = components.keys().collect();
    let aggregate = if unread.is_empty() { "unknown" } else { "incomplete" };
    let mut metadata = json!({
        "timestamp": about.at,
        "tools": { "components": [{ "type": "application", "name": "plimsoll", "version": about.tool_version }] },
        "component": {
            "type": "application",
            "bom-ref": ARTIFACT,
            "name": about.name,
            "version": about.version,
            "hashes": [{ "alg": "SHA-256", "content": about.artifact.hex() }],
        },
    });
    if !unread.is_empty() {
        metadata["properties"] = unread.iter().map(|why| json!({ "name": "plimsoll:unread", "value": why })).collect();
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(about),
        "version": 1,
        "metadata": metadata,
        "components": components.values().map(|(component, locks)| component.to_json(locks)).collect::<Vec<_>>(),
        // Each is part of the artifact; which one needs which is not told.
        "dependencies": [{ "ref": ARTIFACT, "dependsOn": refs }],
        "compositions": [{ "aggregate": aggregate, "dependencies": [ARTIFACT] }],
    })
}

/// What the document says of what it could not read.
pub fn unread(document: &Value) -> Vec<String> {
    let properties = document["metadata"]["properties"].as_array().into_iter().flatten();
    properties.filter_map(|property| property["value"].as_str()).map(str::to_string).collect()
}

const ARTIFACT: &str = "artifact";

type Reader = fn(&str, &[LockFile], &str) -> Result<Locked, String>;

fn reader(name: &str) -> Option<Reader> {
    match name {
        "Cargo.lock" => Some(|text, _, _| cargo::read(text)),
        "package-lock.json" | "npm-shrinkwrap.json" => Some(|text, _, _| npm::read(text)),
        "pnpm-lock.yaml" => Some(|text, _, path| pnpm::read(text, path)),
        "yarn.lock" => Some(|text, _, path| yarn::read(text, path)),
        "poetry.lock" => Some(|text, _, _| python::poetry(text)),
        "uv.lock" => Some(|text, _, _| python::uv(text)),
        "go.mod" => Some(|text, files, path| go::read(text, beside(files, path, "go.sum"))),
        "go.sum" => Some(|text, files, path| match beside(files, path, "go.mod") {
            Some(_) => Ok(Locked::default()),
            None => Ok(go::sums_alone(text)),
        }),
        name if name.starts_with("requirements") && name.ends_with(".txt") => Some(|text, _, _| Ok(python::requirements(text))),
        _ => None,
    }
}

fn read(file: &LockFile, files: &[LockFile]) -> Locked {
    let name = name_of(&file.path);
    let failed = |why: String| Locked { unread: vec![why], ..Locked::default() };
    let Some(reader) = reader(name) else {
        return if OTHER_LOCKS.contains(&name) { failed("this kind of lock file isn't read".to_string()) } else { Locked::default() };
    };
    if file.bytes.len() > BYTES_MAX {
        return failed(format!("it has {} bytes, at most {BYTES_MAX} are read", file.bytes.len()));
    }
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => reader(text, files, &file.path).unwrap_or_else(failed),
        Err(_) => failed("it is no text in UTF-8".to_string()),
    }
}

/// A manifest that wants something, and beside which, or above, no lock file says what it got.
fn without_lock(file: &LockFile, paths: &BTreeSet<&str>) -> Option<String> {
    let (_, locks) = MANIFESTS.iter().find(|(manifest, _)| *manifest == name_of(&file.path))?;
    let wants = String::from_utf8_lossy(&file.bytes).contains("ependencies") || file.path.ends_with("Gemfile");
    let folder = folder_of(&file.path);
    let mut above = std::iter::successors(Some(folder), |folder| (!folder.is_empty()).then(|| folder_of(folder.trim_end_matches('/'))));
    let is_locked = above.any(|folder| locks.iter().any(|lock| paths.contains(format!("{folder}{lock}").as_str())));
    (wants && !is_locked).then(|| format!("{}: no lock file beside it says which versions it got", file.path))
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// With a slash at its end; empty for the root.
fn folder_of(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

fn beside<'a>(files: &'a [LockFile], path: &str, name: &str) -> Option<&'a str> {
    let wanted = format!("{}{name}", folder_of(path));
    let file = files.iter().find(|file| file.path == wanted)?;
    std::str::from_utf8(&file.bytes).ok()
}

fn merge(into: &mut Component, from: Component, is_first: bool) {
    let Component { name, version, purl, hashes, distributions, scope, sums } = from;
    // Needed in one place is needed.
    into.scope = if is_first || into.scope == scope { scope } else { None };
    (into.name, into.version, into.purl) = (name, version, purl);
    into.hashes.extend(hashes);
    into.sums.extend(sums);
    for (place, hashes) in distributions {
        into.distributions.entry(place).or_default().extend(hashes);
    }
}

impl Component {
    fn to_json(&self, locks: &BTreeSet<&str>) -> Value {
        let mut component = Map::new();
        component.insert("type".into(), "library".into());
        component.insert("bom-ref".into(), self.purl.clone().into());
        component.insert("name".into(), self.name.clone().into());
        component.insert("version".into(), self.version.clone().into());
        component.extend(self.scope.map(|scope| ("scope".to_string(), scope.into())));
        if !self.hashes.is_empty() {
            component.insert("hashes".into(), hashes_json(&self.hashes));
        }
        component.insert("purl".into(), self.purl.clone().into());
        if !self.distributions.is_empty() {
            let reference = |(url, hashes): (&String, &BTreeSet<_>)| match hashes.is_empty() {
                true => json!({ "type": "distribution", "url": purl::address(url) }),
                false => json!({ "type": "distribution", "url": purl::address(url), "hashes": hashes_json(hashes) }),
            };
            component.insert("externalReferences".into(), self.distributions.iter().map(reference).collect());
        }
        let locks = locks.iter().map(|lock| json!({ "name": "plimsoll:lock-file", "value": lock }));
        let sums = self.sums.iter().map(|sum| json!({ "name": "plimsoll:go-sum", "value": sum }));
        component.insert("properties".into(), locks.chain(sums).collect());
        component.into()
    }
}

fn hashes_json(hashes: &BTreeSet<(&'static str, String)>) -> Value {
    hashes.iter().map(|(algorithm, content)| json!({ "alg": algorithm, "content": content })).collect()
}

/// `sha256:` and hexadecimal digits, as Python's tools write it.
fn labelled_hash(text: &str) -> Option<(&'static str, String)> {
    let (label, digits) = text.split_once(':')?;
    let (algorithm, bytes) = algorithm(label)?;
    let is_whole = digits.len() == 2 * bytes && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| (algorithm, digits.to_ascii_lowercase()))
}

/// `sha512-` and base64, several of them with spaces between, as npm and its like write it.
fn integrity(text: &str) -> BTreeSet<(&'static str, String)> {
    let one = |part: &str| {
        let (label, encoded) = part.split_once('-')?;
        let (algorithm, length) = algorithm(label)?;
        let bytes = crate::attest::dsse::bytes(encoded.split('?').next()?).filter(|bytes| bytes.len() == length)?;
        Some((algorithm, bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    };
    text.split_whitespace().filter_map(one).collect()
}

fn algorithm(label: &str) -> Option<(&'static str, usize)> {
    match label.to_ascii_lowercase().as_str() {
        "md5" => Some(("MD5", 16)),
        "sha1" => Some(("SHA-1", 20)),
        "sha256" => Some(("SHA-256", 32)),
        "sha384" => Some(("SHA-384", 48)),
        "sha512" => Some(("SHA-512", 64)),
        _ => None,
    }
}

/// From what it is about, so that the same release's is the same.
fn serial_number(about: &About) -> String {
    let mut bytes = [0; 16];
    let digest = Digest::of(format!("{} {} {} {}", about.name, about.version, about.artifact, about.at).as_bytes());
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
