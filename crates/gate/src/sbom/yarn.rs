//! `yarn.lock`: a format of its own in yarn 1, YAML in later ones.

use std::collections::BTreeMap;

use base::yaml::Node;

use super::npm::package_of;
use super::pnpm::tree;
use super::{Component, Locked};

pub(super) fn read(text: &str, path: &str) -> Result<Locked, String> {
    if text.lines().any(|line| line.starts_with("__metadata:")) { later(text, path) } else { Ok(first(text)) }
}

/// ```text
/// "@babel/core@^7.0.0", "@babel/core@^7.1.0":
///   version "7.2.0"
///   integrity sha512-…
/// ```
fn first(text: &str) -> Locked {
    let mut locked = Locked::default();
    let mut name = None;
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines().chain(["end:"]).filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            let fields = std::mem::take(&mut fields);
            locked.components.extend(name.and_then(|name| package(name, &fields)));
            let wanted = line.trim_end_matches(':').split(", ").next().unwrap_or_default().trim_matches('"');
            name = name_of(wanted);
            if name.is_none() && line != "end:" {
                locked.unread.push(format!("`{line}` names no package"));
            }
        } else if let Some((key, value)) =
            line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')).and_then(|rest| rest.split_once(' '))
        {
            fields.insert(key, value.trim_matches('"'));
        }
    }
    locked
}

fn package(name: &str, fields: &BTreeMap<&str, &str>) -> Option<Component> {
    Some(package_of(name, fields.get("version")?, fields.get("integrity").copied(), None))
}

fn later(text: &str, path: &str) -> Result<Locked, String> {
    let mut locked = Locked::default();
    let root = tree(text, path)?;
    for (key, package) in root.iter().filter_map(Node::as_mapping).flat_map(|root| root.iter()).filter(|(key, _)| key.text != "__metadata")
    {
        let scalar = |key: &str| package.get(key).and_then(Node::as_str);
        // What is linked softly is the project itself.
        if scalar("linkType") == Some("soft") {
            continue;
        }
        // A version like `1.0` is a number to YAML, and no version of npm's.
        match (scalar("resolution").and_then(name_of), scalar("version")) {
            (Some(name), Some(version)) => locked.components.push(package_of(name, version, None, None)),
            _ => locked.unread.push(format!("`{}` names no version", key.text)),
        }
    }
    Ok(locked)
}

/// `@babel/core` of `@babel/core@npm:^7.0.0`.
fn name_of(wanted: &str) -> Option<&str> {
    let at = wanted.char_indices().find(|(index, c)| *c == '@' && *index > 0)?.0;
    Some(&wanted[..at])
}
