//! Finds tools installed on this machine, and their versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::process::find;
use super::version::{found_in, satisfies};

/// A tool that the `setup-*` actions set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Python,
    Node,
    Go,
    Java,
    Pnpm,
    Rust,
}

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) version: String,
    pub(super) program: PathBuf,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Python => "Python",
            Tool::Node => "Node.js",
            Tool::Go => "Go",
            Tool::Java => "Java",
            Tool::Pnpm => "pnpm",
            Tool::Rust => "Rust",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Tool::Python => &["python3", "python"],
            Tool::Node => &["node"],
            Tool::Go => &["go"],
            Tool::Java => &["java"],
            Tool::Pnpm => &["pnpm"],
            Tool::Rust => &["rustc"],
        }
    }

    fn question(self) -> &'static str {
        match self {
            Tool::Go => "version",
            Tool::Java => "-version",
            _ => "--version",
        }
    }

    /// Folders whose entries are installations, and the program in each.
    fn shelves(self, env: &BTreeMap<String, String>) -> Vec<(PathBuf, &'static str)> {
        let below = |variable: &str, path: &str| env.get(variable).map(|root| Path::new(root).join(path));
        let mut shelves: Vec<(Option<PathBuf>, &'static str)> = match self {
            Tool::Python => {
                vec![(below("PYENV_ROOT", "versions"), "bin/python3"), (below("RUNNER_TOOL_CACHE", "Python"), "x64/bin/python3")]
            }
            Tool::Node => vec![(below("NVM_DIR", "versions/node"), "bin/node"), (below("RUNNER_TOOL_CACHE", "node"), "x64/bin/node")],
            Tool::Go => vec![(below("RUNNER_TOOL_CACHE", "go"), "x64/bin/go")],
            Tool::Java => vec![(Some(PathBuf::from("/usr/lib/jvm")), "bin/java")],
            Tool::Pnpm | Tool::Rust => Vec::new(),
        };
        if self == Tool::Python && !env.contains_key("PYENV_ROOT") {
            shelves.push((below("HOME", ".pyenv/versions"), "bin/python3"));
        }
        if self == Tool::Node && !env.contains_key("NVM_DIR") {
            shelves.push((below("HOME", ".nvm/versions/node"), "bin/node"));
        }
        shelves.into_iter().filter_map(|(shelf, program)| Some((shelf?, program))).collect()
    }

    /// The first installation in the range, what is on the `PATH` first; else all that were found, for the message.
    pub(super) fn find(self, range: &str, env: &BTreeMap<String, String>) -> Result<Installed, String> {
        let path = env.get("PATH").map_or("", String::as_str);
        let mut candidates: Vec<PathBuf> = self.programs().iter().filter_map(|name| find(name, path, "/")).collect();
        if self == Tool::Python {
            candidates.extend(minor_named(range, path));
        }
        for (shelf, program) in self.shelves(env) {
            let mut names: Vec<PathBuf> =
                fs::read_dir(shelf).into_iter().flatten().flatten().map(|entry| entry.path().join(program)).collect();
            names.sort();
            candidates.extend(names.into_iter().rev().filter(|program| program.is_file()));
        }
        let mut found: Vec<String> = Vec::new();
        for program in candidates {
            let Some(version) = self.version_of(&program, env) else { continue };
            if satisfies(&version, range) {
                return Ok(Installed { version, program });
            }
            if !found.contains(&version) {
                found.push(version);
            }
        }
        let wanted = if range.is_empty() { String::new() } else { format!(" {range}") };
        let here = if found.is_empty() { "none".to_string() } else { found.join(", ") };
        Err(format!("{}{wanted} is wanted and nothing is downloaded; installed on this machine: {here}", self.name()))
    }

    /// As it says itself. A shim of a version manager answers for what it would run.
    fn version_of(self, program: &Path, env: &BTreeMap<String, String>) -> Option<String> {
        let mut command = Command::new(program);
        command.arg(self.question()).env_clear().envs(env).stdin(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        found_in(&String::from_utf8_lossy(&text))
    }
}

/// `python3.11` for a range that begins with `3.11`.
fn minor_named(range: &str, path: &str) -> Option<PathBuf> {
    let plain = range.trim_start_matches(['>', '<', '=', '^', '~', ' ']);
    let mut parts = plain.split(['.', ' ', '-']);
    let name = format!("python{}.{}", parts.next()?, parts.next()?);
    find(&name, path, "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_path_comes_first_then_the_shelves_and_a_miss_says_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let program = |place: &str, version: &str| {
            let path = directory.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\necho v{version}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("bin/node", "18.1.0");
        program("nvm/versions/node/v20.3.0/bin/node", "20.3.0");
        let below = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        let env = BTreeMap::from([("PATH".to_string(), below("bin")), ("NVM_DIR".to_string(), below("nvm"))]);
        assert_eq!(Tool::Node.find("", &env).unwrap().version, "18.1.0");
        assert_eq!(Tool::Node.find("20", &env).unwrap().program, directory.path().join("nvm/versions/node/v20.3.0/bin/node"));
        let missing = Tool::Node.find("22", &env).unwrap_err();
        assert_eq!(missing, "Node.js 22 is wanted and nothing is downloaded; installed on this machine: 18.1.0, 20.3.0");
        assert!(Tool::Pnpm.find("", &env).unwrap_err().ends_with("machine: none"));
    }
}
