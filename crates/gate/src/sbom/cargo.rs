//! `Cargo.lock`. What has no source is the project itself.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::purl::{purl, purl_from};
use super::{Component, Locked, labelled_hash};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

const CRATES_IO: [&str; 2] = ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

pub(super) fn read(text: &str) -> Result<Locked, String> {
    let lock: Lock = toml::from_str(text).map_err(|error| format!("it can't be read: {}", error.message()))?;
    let components = lock.package.into_iter().filter_map(component).collect();
    Ok(Locked { components, ..Locked::default() })
}

fn component(package: Package) -> Option<Component> {
    let Package { name, version, source, checksum } = package;
    let source = source?;
    let purl = match source.split_once('+') {
        _ if CRATES_IO.contains(&source.as_str()) => purl("cargo", &name, &version),
        // Cargo writes the commit behind a `#`, and before it what was asked for behind a `?`.
        Some(("git", place)) => {
            let (place, commit) = place.split_once('#').unwrap_or((place, ""));
            let place = place.split('?').next().unwrap_or(place);
            purl_from("cargo", &name, &version, "vcs_url", &format!("git+{place}@{commit}"))
        }
        Some((_, place)) => purl_from("cargo", &name, &version, "repository_url", place),
        None => purl_from("cargo", &name, &version, "repository_url", &source),
    };
    let hashes: BTreeSet<_> = checksum.and_then(|sum| labelled_hash(&format!("sha256:{sum}"))).into_iter().collect();
    Some(Component { name, version, purl, hashes, ..Component::default() })
}
