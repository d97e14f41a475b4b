//! What no compiler checks: arrows between crates, words that mean unfinished, documents in step with the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::run::root;

/// Each crate and those of ours it may depend on, as in ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("workflow", &["base"]),
    ("gate", &["base"]),
    ("rollout", &["base"]),
    ("release", &["base", "workflow", "gate", "rollout"]),
    ("record", &["base", "workflow", "gate", "rollout", "release"]),
    ("engine", &["base", "workflow", "gate", "rollout", "release", "record"]),
    ("host", &["base", "workflow", "gate", "rollout", "release", "record", "engine"]),
    ("plimsoll", &["base", "workflow", "gate", "rollout", "release", "record", "engine", "host"]),
    ("sim", &["base", "workflow", "gate", "rollout", "release", "record", "engine"]),
    ("xtask", &[]),
];

/// Only this crate may depend on that library.
const OWNERS: &[(&str, &str)] =
    &[("rusqlite", "record"), ("clap", "plimsoll"), ("axum", "plimsoll"), ("regorus", "gate"), ("granit-parser", "base")];

/// Crates whose decisions are values: no async, no clock, no randomness, no I/O.
const PURE: &[&str] = &["base", "workflow", "gate", "rollout", "release"];

const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::process", "std::thread", "SystemTime::now", "Instant::now", "HashMap", "fastrand", "async fn"];

/// Gate policies run under a time limit, which needs a clock; the limit can only turn a yes into a no. Its packages are asked side by side
/// and answer in their order, whoever is ready first. The maps only look things up by name: nothing walks them, so their order can't be
/// seen.
const IMPURE_ALLOWED: &[(&str, &str)] = &[
    ("crates/gate/src/policy", "Instant::now"),
    ("crates/gate/src/policy/ask.rs", "std::thread"),
    ("crates/gate/src/policy/value.rs", "HashMap"),
    ("crates/gate/src/decision.rs", "std::thread"),
    ("crates/gate/src/evidence/sarif.rs", "HashMap"),
    ("crates/workflow/src/expr/value.rs", "HashMap"),
];

pub fn tidy() -> Result<(), String> {
    let mut wrong = Vec::new();
    arrows(&mut wrong)?;
    let files = tracked()?;
    for file in &files {
        if let Ok(text) = std::fs::read_to_string(root().join(file)) {
            words(file, &text, &mut wrong);
            purity(file, &text, &mut wrong);
        }
    }
    documents(&files, &mut wrong);
    if wrong.is_empty() {
        eprintln!("tidy: {} files are in order", files.len());
        return Ok(());
    }
    Err(format!("tidy found {} things:\n  {}", wrong.len(), wrong.join("\n  ")))
}

fn arrows(wrong: &mut Vec<String>) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let output = Command::new(cargo).args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root()).output();
    let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(name) else {
            wrong.push(format!("crate `{name}` is not in tidy's list of arrows"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten().filter(|it| it["kind"].is_null()) {
            let to = dependency["name"].as_str().unwrap_or_default();
            if allowed.contains_key(to) && !may.contains(&to) {
                wrong.push(format!("`{name}` depends on `{to}`; arrows point from worlds to engine to record to machines to base"));
            }
            if let Some((library, owner)) = OWNERS.iter().find(|(library, owner)| *library == to && *owner != name) {
                wrong.push(format!("`{name}` depends on {library}, which only `{owner}` knows"));
            }
        }
    }
    Ok(())
}

fn tracked() -> Result<Vec<String>, String> {
    let output = Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root()).output();
    let output = output.map_err(|error| format!("git ls-files: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect())
}

fn words(file: &str, text: &str, wrong: &mut Vec<String>) {
    if file.starts_with("xtask/") || file == "Cargo.lock" {
        return;
    }
    let unfinished = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];
    let of_a_machine = ["/root/", "/work/", "/tmp/t-"];
    for (index, line) in text.lines().enumerate() {
        let at = || format!("{file}:{}", index + 1);
        if file.ends_with(".rs") {
            wrong.extend(unfinished.iter().filter(|word| line.contains(*word)).map(|word| format!("{}: `{word}`", at())));
        }
        wrong.extend(
            of_a_machine.iter().filter(|path| line.contains(*path)).map(|path| format!("{}: `{path}` is a path of one machine", at())),
        );
    }
}

fn purity(file: &str, text: &str, wrong: &mut Vec<String>) {
    let Some(name) = PURE.iter().find(|name| file.starts_with(&format!("crates/{name}/src/"))) else { return };
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    for (index, line) in code.lines().enumerate() {
        let allowed = |word: &str| IMPURE_ALLOWED.iter().any(|(place, it)| file.starts_with(place) && *it == word);
        if line.trim_start().starts_with("//") {
            continue;
        }
        for word in IMPURE.iter().filter(|word| line.contains(*word) && !allowed(word)) {
            wrong.push(format!("{file}:{}: `{name}` is pure and has no `{word}`", index + 1));
        }
    }
}

fn documents(files: &[String], wrong: &mut Vec<String>) {
    for needed in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        if !root().join(needed).is_file() {
            wrong.push(format!("{needed} is missing"));
        }
    }
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    let crates: BTreeSet<&str> = files.iter().filter_map(|file| file.strip_prefix("crates/")?.split('/').next()).collect();
    for name in &crates {
        if !architecture.contains(&format!("crates/{name}/")) {
            wrong.push(format!("ARCHITECTURE.md does not name crates/{name}/"));
        }
    }
    for line in architecture.lines().filter_map(|line| line.trim_start().strip_prefix("crates/")) {
        let name = line.split('/').next().unwrap_or_default();
        if !crates.contains(name) {
            wrong.push(format!("ARCHITECTURE.md names crates/{name}/, which isn't there"));
        }
    }
    links(files, wrong);
}

/// A relative link in a document leads somewhere.
fn links(files: &[String], wrong: &mut Vec<String>) {
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            let local = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            if local && !root().join(folder).join(target).exists() {
                wrong.push(format!("{file}: the link `{target}` leads nowhere"));
            }
        }
    }
}
