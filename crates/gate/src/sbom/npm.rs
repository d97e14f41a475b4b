//! `package-lock.json`: in versions 2 and 3 a flat list by place, in version 1 packages within packages.

use serde_json::Value;

use super::purl::purl;
use super::{Component, Locked, integrity};

/// Deeper than npm ever nests.
const DEPTH_MAX: usize = 64;

pub(super) fn read(text: &str) -> Result<Locked, String> {
    let lock: Value = serde_json::from_str(text).map_err(|error| format!("it can't be read: {error}"))?;
    let mut locked = Locked::default();
    match (lock["packages"].as_object(), lock["dependencies"].as_object()) {
        (Some(packages), _) => packages.iter().for_each(|(place, package)| {
            let Some((_, name)) = place.rsplit_once("node_modules/") else { return };
            add(&mut locked, package["name"].as_str().unwrap_or(name), package);
        }),
        (None, Some(_)) => nested(&mut locked, &lock, 0),
        (None, None) => {}
    }
    Ok(locked)
}

fn nested(locked: &mut Locked, package: &Value, depth: usize) {
    if depth == DEPTH_MAX {
        locked.unread.push(format!("packages lie more than {DEPTH_MAX} deep in each other, and the deeper ones aren't read"));
        return;
    }
    for (name, package) in package["dependencies"].as_object().into_iter().flatten() {
        add(locked, name, package);
        nested(locked, package, depth + 1);
    }
}

fn add(locked: &mut Locked, name: &str, package: &Value) {
    // A link leads to a folder of the project itself.
    if package["link"] == true {
        return;
    }
    let Some(version) = package["version"].as_str() else {
        locked.unread.push(format!("`{name}` has no version"));
        return;
    };
    // In the first version of the format the place stands instead of the version where it isn't the registry.
    if version.starts_with("file:") {
        return;
    }
    locked.components.push(package_of(name, version, package["integrity"].as_str(), scope(package)));
}

fn scope(package: &Value) -> Option<&'static str> {
    let is = |key: &str| package[key] == true;
    if is("dev") || is("devOptional") {
        return Some("excluded");
    }
    is("optional").then_some("optional")
}

/// A package as all of npm's kin have it.
pub(super) fn package_of(name: &str, version: &str, sums: Option<&str>, scope: Option<&'static str>) -> Component {
    Component {
        name: name.to_string(),
        version: version.to_string(),
        purl: purl("npm", name, version),
        hashes: sums.map(integrity).unwrap_or_default(),
        scope,
        ..Component::default()
    }
}
