//! `go.mod` names the modules that are used, `go.sum` the sum of each: of a list of its files, and so of no file that could be hashed.

use std::collections::{BTreeMap, BTreeSet};

use super::purl::purl;
use super::{Component, Locked};

/// By module, and where it says so by version; nothing where a folder of the project stands in for it.
type Replaced<'a> = BTreeMap<(&'a str, Option<&'a str>), Option<(&'a str, &'a str)>>;

pub(super) fn read(text: &str, sums: Option<&str>) -> Result<Locked, String> {
    let mut locked = Locked::default();
    let mut required: BTreeMap<&str, &str> = BTreeMap::new();
    let mut replaced = Replaced::new();
    let mut block = "";
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or(line).trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        let (directive, rest) = match words.as_slice() {
            [] => continue,
            [")"] => {
                block = "";
                continue;
            }
            [directive, "("] => {
                block = directive;
                continue;
            }
            all if !block.is_empty() => (block, all),
            [directive, rest @ ..] => (*directive, rest),
        };
        match (directive, rest) {
            ("require", [module, version]) => drop(required.insert(unquoted(module), version)),
            ("replace", [module, version @ .., "=>", by, to]) => {
                replaced.insert((unquoted(module), version.first().copied()), Some((unquoted(by), to)));
            }
            ("replace", [module, version @ .., "=>", _]) => drop(replaced.insert((unquoted(module), version.first().copied()), None)),
            ("require" | "replace", _) => locked.unread.push(format!("`{line}` is not understood")),
            _ => {}
        }
    }
    let known = sums.map(sums_of).unwrap_or_default();
    if sums.is_none() && !required.is_empty() {
        locked.unread.push("there is no `go.sum` beside it, so no module has a sum".to_string());
    }
    for (module, version) in required {
        let by = replaced.get(&(module, Some(version))).or_else(|| replaced.get(&(module, None)));
        let Some((module, version)) = by.copied().unwrap_or(Some((module, version))) else { continue };
        locked.components.push(component(module, version, known.get(&(module, version)).copied()));
    }
    Ok(locked)
}

/// Without a `go.mod` all that was ever looked at, which may be more than is used.
pub(super) fn sums_alone(text: &str) -> Locked {
    let components = sums_of(text).into_iter().map(|((module, version), sum)| component(module, version, Some(sum))).collect();
    let unread = vec!["there is no `go.mod` beside it, so modules are listed that may not be used".to_string()];
    Locked { components, unread }
}

fn sums_of(text: &str) -> BTreeMap<(&str, &str), &str> {
    let words = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(((words.next()?, words.next()?), words.next()?))
    });
    words.filter(|((_, version), _)| !version.ends_with("/go.mod")).collect()
}

fn component(module: &str, version: &str, sum: Option<&str>) -> Component {
    Component {
        name: module.to_string(),
        version: version.to_string(),
        purl: purl("golang", module, version),
        sums: sum.map(str::to_string).into_iter().collect::<BTreeSet<_>>(),
        ..Component::default()
    }
}

fn unquoted(word: &str) -> &str {
    word.trim_matches('"')
}
