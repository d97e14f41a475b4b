//! What GitLab's runner does around a script: files of a job are kept where they lay, and laid out there for later jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base::counted;
use base::mask::Mask;
use engine::world::JobStart;
use workflow::gitlab;
use workflow::job::glob::Globs;
use workflow::job::{ActionCall, Wrote};

use super::super::JobDirs;
use super::super::walk::Walk;
use super::artifact::Store;
use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use crate::git;

/// GitLab's limits for a dotenv report.
const DOTENV_BYTES_MAX: usize = 5 * 1024;
const DOTENV_VARIABLES_MAX: usize = 50;

/// Keeps files under the job's name; a dotenv report among them has to be right.
pub(super) fn save(start: &JobStart, dirs: &JobDirs, call: &ActionCall, mask: &Mask, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = Inputs(&call.inputs);
    let name = inputs.required("name")?;
    let root = dirs.workspace.to_string_lossy();
    let home = call.env.get("HOME").map(String::as_str);
    let exclude: Vec<String> = inputs.lines("exclude").into_iter().flat_map(alternatives).map(|pattern| format!("!{pattern}")).collect();
    let mut files: Vec<PathBuf> = Vec::new();
    for line in inputs.lines("paths") {
        let patterns: Vec<String> = alternatives(line).into_iter().chain(exclude.iter().cloned()).collect();
        let found = Walk { follow_links: true, hidden: true }.files(&Globs::parse(&patterns.join("\n"), &root, home)?);
        if found.is_empty() {
            desk.say(&format!("##[warning]{line}: no matching files. Is the path relative to the project's folder?"));
        }
        files.extend(found);
    }
    if inputs.flag("untracked")? {
        let out = Globs::parse(&format!("**\n{}", exclude.join("\n")), &root, home)?;
        let kept = |file: &PathBuf| out.matched(&file.to_string_lossy()) == workflow::job::glob::Matched::Yes;
        files.extend(untracked(dirs, start)?.into_iter().filter(kept));
    }
    files.sort();
    files.dedup();
    let all = files.len();
    files.retain(|file| file.starts_with(&dirs.workspace));
    if files.len() < all {
        desk.say(&format!("##[warning]Left out, for they lie outside the project's folder: {}.", counted(all - files.len(), "file")));
    }
    for path in inputs.lines("dotenv") {
        if let Ok(text) = fs::read_to_string(dirs.workspace.join(path)) {
            dotenv(&text).map_err(|why| format!("the dotenv report `{path}` is refused: {why}"))?;
        }
    }
    if files.is_empty() {
        desk.say("##[warning]There are no files to upload.");
        return Ok(Wrote::default());
    }
    let store = Store { artifacts: &dirs.artifacts };
    let manifest = store.put(name, &dirs.workspace, &files, false, true, mask, &mut |from, to| desk.copy(from, to))?;
    desk.say(&format!("Uploaded {}.", counted(manifest.files.len(), "file")));
    Ok(Wrote::default())
}

/// Lays out what earlier jobs kept, in order, and sets the variables of their dotenv reports.
pub(super) fn load(dirs: &JobDirs, call: &ActionCall, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = Inputs(&call.inputs);
    let store = Store { artifacts: &dirs.artifacts };
    let kept = inputs.lines("kept");
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut job = "";
    for line in inputs.lines("jobs") {
        match line.split_once(' ') {
            Some(("job", id)) => {
                job = id;
                if store.folder(id).is_dir() {
                    let count = store.get(id, &dirs.workspace, &mut |from, to| desk.copy(from, to))?;
                    desk.say(&format!("Downloaded {} of `{id}`.", counted(count, "file")));
                }
            }
            Some(("dotenv", path)) => {
                let Ok(text) = fs::read_to_string(store.folder(&format!("{job}.reports")).join(path)) else { continue };
                let found = dotenv(&text).map_err(|why| format!("the dotenv report `{path}` of `{job}` is refused: {why}"))?;
                variables.extend(found.into_iter().filter(|(name, _)| !kept.contains(&name.as_str())));
            }
            _ => {}
        }
    }
    let mut known = call.env.clone();
    known.extend(variables.clone());
    let opened = inputs.lines("open").into_iter().filter_map(|line| line.split_once('='));
    let opened: Vec<(String, String)> = opened
        .filter(|(name, _)| !variables.contains_key(*name))
        .map(|(name, value)| (name.to_string(), gitlab::expand(value, &known)))
        .collect();
    Ok(Wrote { env: variables.into_iter().chain(opened).collect(), ..Wrote::default() })
}

/// `NAME=value` lines, and nothing else.
fn dotenv(text: &str) -> Result<Vec<(String, String)>, String> {
    if text.len() > DOTENV_BYTES_MAX {
        return Err(format!("it has {} bytes, and {DOTENV_BYTES_MAX} are allowed", text.len()));
    }
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let at = index + 1;
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {at} is not `NAME=value`"))?;
        let name = name.trim();
        let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits {
            return Err(format!("`{name}` in line {at} can't be a variable's name: letters, digits and `_` can"));
        }
        variables.push((name.to_string(), value.trim().to_string()));
    }
    if variables.len() > DOTENV_VARIABLES_MAX {
        return Err(format!("it has {} variables, and {DOTENV_VARIABLES_MAX} are allowed", variables.len()));
    }
    Ok(variables)
}

/// Files that didn't come with the sources, those that git ignores among them.
fn untracked(dirs: &JobDirs, start: &JobStart) -> Result<Vec<PathBuf>, String> {
    if !dirs.workspace.join(".git").exists() {
        return unknown_to_the_sources(dirs, start);
    }
    let output = Command::new("git").arg("-C").arg(&dirs.workspace).args(["ls-files", "-z", "--others"]).output();
    let output = output.map_err(|error| format!("the untracked files can't be listed: {error}"))?;
    if !output.status.success() {
        return Err("the untracked files can't be listed: the project's folder is no git repository here".to_string());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(|path| dirs.workspace.join(path)).collect())
}

/// Where the sources were laid out without a repository: the working tree as it was, or the folder of a larger one.
fn unknown_to_the_sources(dirs: &JobDirs, start: &JobStart) -> Result<Vec<PathBuf>, String> {
    let unlisted = |why: String| format!("the untracked files can't be listed: {why}");
    let source = &start.source;
    let known: BTreeSet<String> = match &dirs.snapshot {
        Some(snapshot) => paths_in(snapshot).map_err(|error| unlisted(error.to_string()))?,
        None => {
            let paths = git::tree_paths(Path::new(&source.repository), &source.sha, &source.subtree);
            paths.map_err(|error| unlisted(error.to_string()))?.into_iter().collect()
        }
    };
    let root = dirs.workspace.to_string_lossy();
    let all = Walk { follow_links: false, hidden: true }.files(&Globs::parse("**", &root, None)?);
    let is_known = |file: &PathBuf| file.strip_prefix(&dirs.workspace).is_ok_and(|path| known.contains(path.to_string_lossy().as_ref()));
    Ok(all.into_iter().filter(|file| !is_known(file)).collect())
}

fn paths_in(snapshot: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut archive = tar::Archive::new(std::io::BufReader::new(fs::File::open(snapshot)?));
    let paths = archive.entries()?.map(|entry| Ok(entry?.path()?.to_string_lossy().trim_start_matches("./").to_string()));
    paths.collect()
}

/// `a.{b,c}` is `a.b` and `a.c`.
fn alternatives(pattern: &str) -> Vec<String> {
    const ALTERNATIVES_MAX: usize = 256;
    let split = |pattern: &str| -> Option<Vec<String>> {
        let open = pattern.find('{')?;
        let close = open + pattern[open..].find('}')?;
        let (before, after) = (&pattern[..open], &pattern[close + 1..]);
        Some(pattern[open + 1..close].split(',').map(|part| format!("{before}{part}{after}")).collect())
    };
    let mut done = Vec::new();
    let mut open = vec![pattern.to_string()];
    while let Some(pattern) = open.pop() {
        match split(&pattern).filter(|_| done.len() + open.len() < ALTERNATIVES_MAX) {
            Some(parts) => open.extend(parts),
            None => done.push(pattern),
        }
    }
    done.sort();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitLab, "artifacts:reports:dotenv".
    #[test]
    fn a_dotenv_report_holds_variables_and_nothing_else() {
        let shown = |text: &str| match dotenv(text) {
            Ok(found) => found.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("|"),
            Err(why) => why,
        };
        let cases = [
            ("A=1\nB_2 = x y \n", "A=1|B_2=x y"),
            ("URL=http://x/?a=b\n", "URL=http://x/?a=b"),
            ("A=\"1\"", "A=\"1\""),
            ("", ""),
            ("A=1\n\nB=2\n", "line 2 is not `NAME=value`"),
            ("# x\n", "line 1 is not `NAME=value`"),
            ("A-B=1\n", "`A-B` in line 1 can't be a variable's name: letters, digits and `_` can"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        assert!(dotenv(&"A=1\n".repeat(51)).is_err() && dotenv(&"A".repeat(6000)).is_err());
    }

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(alternatives("a/*.{js,ts}"), ["a/*.js", "a/*.ts"]);
        assert_eq!(alternatives("{a,b}{c,d}"), ["ac", "ad", "bc", "bd"]);
        assert_eq!(alternatives("a{b"), ["a{b"]);
    }
}
