//! `pnpm-lock.yaml`: `/name/1.0.0_peers` up to version 5 of the format, `/name@1.0.0(peers)` in 6, without the slash since 9.

use std::collections::BTreeSet;

use base::yaml::{Node, Options, parse_with};
use base::{Severity, Source};

use super::npm::package_of;
use super::{BYTES_MAX, Locked};

/// Large projects have some tens of thousands of packages with a dozen values each.
const NODES_MAX: usize = 1_000_000;

pub(super) fn tree(text: &str, path: &str) -> Result<Option<Node>, String> {
    let options = Options { bytes_max: BYTES_MAX, nodes_max: NODES_MAX, anchors: false, ..Options::default() };
    let (root, diagnostics) = parse_with(&Source::new(path, text), &options);
    match diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
        Some(diagnostic) => Err(format!("it can't be read: {}", diagnostic.message)),
        None => Ok(root),
    }
}

pub(super) fn read(text: &str, path: &str) -> Result<Locked, String> {
    let mut locked = Locked::default();
    let Some(root) = tree(text, path)? else { return Ok(locked) };
    let version = root.get("lockfileVersion").map(|node| node.as_number().or_else(|| node.as_str()?.parse().ok()));
    let is_old = version.flatten().is_some_and(|version| version < 6.0);
    // Since version 9 it stands with what is installed.
    let snapshots = root.get("snapshots").and_then(Node::as_mapping).into_iter().flat_map(|snapshots| snapshots.iter());
    let optional = snapshots.filter(|(_, snapshot)| snapshot.get("optional").and_then(Node::as_bool) == Some(true));
    let optional: BTreeSet<&str> = optional.map(|(key, _)| key.text.as_str()).collect();
    let packages = root.get("packages").and_then(Node::as_mapping);
    for (key, package) in packages.into_iter().flat_map(|packages| packages.iter()) {
        let scalar = |key: &str| package.get(key).and_then(Node::as_str);
        let resolution = package.get("resolution");
        // A folder of the project itself.
        if resolution.is_some_and(|it| it.get("directory").is_some()) {
            continue;
        }
        let named = scalar("name").zip(scalar("version")).or_else(|| split(&key.text, is_old));
        let Some((name, version)) = named.filter(|(_, version)| !version.contains(':')) else {
            locked.unread.push(format!("`{}` names no version", key.text));
            continue;
        };
        let is = |flag: &str| package.get(flag).and_then(Node::as_bool) == Some(true);
        let scope =
            if is("dev") { Some("excluded") } else { (is("optional") || optional.contains(key.text.as_str())).then_some("optional") };
        let sums = resolution.and_then(|it| it.get("integrity")).and_then(Node::as_str);
        locked.components.push(package_of(name, version, sums, scope));
    }
    Ok(locked)
}

fn split(key: &str, is_old: bool) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/').unwrap_or(key);
    let (name, version) = match is_old {
        true => key.rsplit_once('/').map(|(name, version)| (name, version.split('_').next().unwrap_or(version)))?,
        false => key.split('(').next()?.rsplit_once('@')?,
    };
    (!name.is_empty() && !version.is_empty()).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_version_is_a_name_and_a_version() {
        for (key, is_old, name, version) in [
            ("/a/1.0.0", true, "a", "1.0.0"),
            ("/@s/a/1.0.0_react@18.0.0", true, "@s/a", "1.0.0"),
            ("/a_b@1.0.0(react@18.0.0)", false, "a_b", "1.0.0"),
            ("/@s/a@1.0.0", false, "@s/a", "1.0.0"),
            ("@s/a@1.0.0-rc.1", false, "@s/a", "1.0.0-rc.1"),
        ] {
            assert_eq!(split(key, is_old), Some((name, version)), "{key}");
        }
        assert_eq!(split("a", false), None);
    }
}
