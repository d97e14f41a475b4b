//! `poetry.lock`, `uv.lock` and `requirements.txt`. A package has many files, one for each kind of machine, and any may be the one taken.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::purl::{purl, purl_from};
use super::{Component, Locked, labelled_hash};

/// Where a package is found whose files have no address.
const INDEX: &str = "https://pypi.org/simple/";

#[derive(Deserialize)]
struct Poetry {
    #[serde(default)]
    package: Vec<PoetryPackage>,
    /// Where versions before 1.3 keep the files.
    #[serde(default)]
    metadata: PoetryMetadata,
}

#[derive(Deserialize, Default)]
struct PoetryMetadata {
    #[serde(default)]
    files: BTreeMap<String, Vec<PoetryFile>>,
}

#[derive(Deserialize)]
struct PoetryPackage {
    name: String,
    version: String,
    #[serde(default)]
    optional: bool,
    category: Option<String>,
    /// Since 2.0.
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    files: Vec<PoetryFile>,
    source: Option<PoetrySource>,
}

#[derive(Deserialize)]
struct PoetryFile {
    file: String,
    hash: String,
}

#[derive(Deserialize)]
struct PoetrySource {
    #[serde(rename = "type")]
    kind: Option<String>,
    url: String,
    resolved_reference: Option<String>,
}

pub(super) fn poetry(text: &str) -> Result<Locked, String> {
    let lock: Poetry = toml::from_str(text).map_err(|error| format!("it can't be read: {}", error.message()))?;
    let mut locked = Locked::default();
    for package in &lock.package {
        let name = normal(&package.name);
        let kind = package.source.as_ref().and_then(|source| source.kind.as_deref());
        let purl = match (&package.source, kind) {
            (_, Some("directory")) => continue,
            (Some(source), Some("git")) => {
                let commit = source.resolved_reference.as_deref().unwrap_or_default();
                purl_from("pypi", &name, &package.version, "vcs_url", &format!("git+{}@{commit}", source.url))
            }
            (Some(source), Some("url" | "file")) => purl_from("pypi", &name, &package.version, "download_url", &source.url),
            (Some(source), _) if !is_index(&source.url) => purl_from("pypi", &name, &package.version, "repository_url", &source.url),
            _ => purl("pypi", &name, &package.version),
        };
        let before = lock.metadata.files.get(&package.name);
        let files = package.files.iter().chain(before.into_iter().flatten());
        let distributions = files.map(|file| (file.file.clone(), labelled_hash(&file.hash).into_iter().collect())).collect();
        let is_dev =
            package.category.as_deref() == Some("dev") || !package.groups.is_empty() && !package.groups.iter().any(|group| group == "main");
        let scope = if is_dev { Some("excluded") } else { package.optional.then_some("optional") };
        locked.components.push(Component { name, version: package.version.clone(), purl, distributions, scope, ..Component::default() });
    }
    Ok(locked)
}

#[derive(Deserialize)]
struct Uv {
    #[serde(default)]
    package: Vec<UvPackage>,
}

#[derive(Deserialize)]
struct UvPackage {
    name: String,
    version: Option<String>,
    #[serde(default)]
    source: BTreeMap<String, toml::Value>,
    sdist: Option<UvFile>,
    #[serde(default)]
    wheels: Vec<UvFile>,
}

#[derive(Deserialize)]
struct UvFile {
    url: Option<String>,
    path: Option<String>,
    hash: Option<String>,
}

pub(super) fn uv(text: &str) -> Result<Locked, String> {
    let lock: Uv = toml::from_str(text).map_err(|error| format!("it can't be read: {}", error.message()))?;
    let mut locked = Locked::default();
    for package in &lock.package {
        let from = |key: &str| package.source.get(key).and_then(toml::Value::as_str);
        // The project itself, or a folder of it.
        if ["virtual", "editable", "directory"].iter().any(|key| from(key).is_some()) {
            continue;
        }
        let Some(version) = &package.version else {
            locked.unread.push(format!("`{}` has no version", package.name));
            continue;
        };
        let name = normal(&package.name);
        let purl = match (from("git"), from("registry"), from("url")) {
            (Some(git), ..) => purl_from("pypi", &name, version, "vcs_url", &format!("git+{}", git.replacen('#', "@", 1))),
            (_, _, Some(url)) => purl_from("pypi", &name, version, "download_url", url),
            (_, Some(registry), _) if !is_index(registry) => purl_from("pypi", &name, version, "repository_url", registry),
            _ => purl("pypi", &name, version),
        };
        let mut distributions: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for file in package.sdist.iter().chain(&package.wheels) {
            let place = file.url.as_ref().or(file.path.as_ref()).cloned().unwrap_or_else(|| format!("{INDEX}{name}/"));
            distributions.entry(place).or_default().extend(file.hash.as_deref().and_then(labelled_hash));
        }
        locked.components.push(Component { name, version: version.clone(), purl, distributions, ..Component::default() });
    }
    Ok(locked)
}

/// Where everybody looks.
fn is_index(address: &str) -> bool {
    address.starts_with("https://pypi.org/")
}

/// ```text
/// flask[async]==3.0.0 ; python_version >= "3.9" \
///     --hash=sha256:…
/// ```
pub(super) fn requirements(text: &str) -> Locked {
    let mut locked = Locked::default();
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines() {
        // A `#` in the middle of a word is part of an address.
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(other) = ["-r ", "--requirement ", "-e ", "--editable "].iter().find_map(|option| line.strip_prefix(option)) {
            if !is_wanted_elsewhere(other.trim()) {
                locked.unread.push(format!("`{line}` leads to what isn't read"));
            }
            continue;
        }
        if line.starts_with('-') {
            continue;
        }
        match pinned(line) {
            Some(component) => locked.components.push(component),
            None => locked.unread.push(format!("`{}` is not pinned to a version", without_options(line))),
        }
    }
    locked
}

/// Another file of requirements is found by its own name; a folder of the project is the project itself.
fn is_wanted_elsewhere(path: &str) -> bool {
    path.starts_with('.') && !path.ends_with(".txt") || super::is_wanted(path)
}

fn without_options(line: &str) -> &str {
    line.split(" --").next().unwrap_or(line).trim()
}

fn pinned(line: &str) -> Option<Component> {
    let wanted = without_options(line).split(';').next()?;
    let (name, version) = wanted.split_once("===").or_else(|| wanted.split_once("=="))?;
    let (name, version) = (name.split('[').next()?.trim(), version.trim());
    if version.is_empty() || version.contains(['*', ',', ' ']) || name.contains(' ') {
        return None;
    }
    let name = normal(name);
    let hashes: BTreeSet<_> = line.split_whitespace().filter_map(|word| labelled_hash(word.strip_prefix("--hash=")?)).collect();
    let place = format!("{INDEX}{name}/");
    let distributions = if hashes.is_empty() { BTreeMap::new() } else { BTreeMap::from([(place, hashes)]) };
    Some(Component { purl: purl("pypi", &name, version), version: version.to_string(), name, distributions, ..Component::default() })
}

/// `Flask_SQLAlchemy` and `flask-sqlalchemy` are one package.
fn normal(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}
