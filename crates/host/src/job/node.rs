//! Which `node` an action gets.
//!
//! GitHub's runner brings its own; here it is the one on the `PATH`, one of the tool cache, or one of nvm: best the version the action
//! asks for, else a newer one.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use workflow::job::Node;

use super::process::find;

/// Actions for versions that are gone are run with this one, as at GitHub.
const OLDEST: u32 = 20;

/// The major versions of programs that were asked, so that each is asked once.
static ASKED: Mutex<BTreeMap<PathBuf, Option<u32>>> = Mutex::new(BTreeMap::new());

/// `places` are directories that hold versions: `PLACE/20.11.1/…/bin/node`.
pub(super) fn choose(using: &str, path: &str, places: &[PathBuf]) -> Result<Node, String> {
    let wanted = using.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or(OLDEST).max(OLDEST);
    let mut known: Vec<(PathBuf, u32)> = Vec::new();
    let on_path = find("node", path, "/");
    if let Some(program) = &on_path {
        match major(program) {
            Some(found) if found == wanted => return Ok(Node { program: text(program), warning: None }),
            Some(found) => known.push((program.clone(), found)),
            None => {}
        }
    }
    known.extend(places.iter().flat_map(|place| installed(place)));
    let newer = known.iter().filter(|(_, found)| *found >= wanted).min_by_key(|(_, found)| *found);
    if let Some((program, _)) = newer {
        return Ok(Node { program: text(program), warning: None });
    }
    if let Some((program, found)) = known.iter().max_by_key(|(_, found)| *found) {
        let warning = format!("the action is made for {using}, and the newest here is node {found} (`{}`)", program.display());
        return Ok(Node { program: text(program), warning: Some(warning) });
    }
    match on_path {
        Some(program) => {
            let warning = format!("the action is made for {using}, and `{}` doesn't say which version it is", program.display());
            Ok(Node { program: text(&program), warning: Some(warning) })
        }
        None => Err(format!(
            "the action is made for {using}, and there is no `node` on the PATH or in the tool cache; install Node.js {wanted}, for all \
             jobs or with `actions/setup-node` before this step"
        )),
    }
}

/// The versions below a directory, by the names of their folders.
fn installed(place: &Path) -> Vec<(PathBuf, u32)> {
    let versions = fs::read_dir(place).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let major = name.trim_start_matches('v').split('.').next()?.parse().ok()?;
        let below = ["bin/node", "x64/bin/node", "arm64/bin/node"].map(|file| entry.path().join(file));
        Some((below.into_iter().find(|file| file.is_file())?, major))
    });
    let mut versions: Vec<(PathBuf, u32)> = versions.collect();
    versions.sort();
    versions
}

/// A program that was just unpacked is busy while a process that begins beside it still holds its file open.
const BUSY_MAX: usize = 100;

fn major(program: &Path) -> Option<u32> {
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    *asked.entry(program.to_path_buf()).or_insert_with(|| from_header(program).or_else(|| from_program(program)))
}

/// What is installed beside a program says its version for the price of reading a file.
fn from_header(program: &Path) -> Option<u32> {
    let header = program.parent()?.parent()?.join("include/node/node_version.h");
    let text = fs::read_to_string(header).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("#define NODE_MAJOR_VERSION "))?;
    line.trim().parse().ok()
}

fn from_program(program: &Path) -> Option<u32> {
    let output = (0..BUSY_MAX).find_map(|_| match Command::new(program).arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
            std::thread::sleep(Duration::from_millis(1));
            None
        }
        asked => Some(asked.ok()),
    })??;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn make(program: &Path, version: &str) {
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(program, format!("#!/bin/sh\necho v{version}\n")).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_version_asked_for_before_a_newer_one_before_an_older_one() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, path) = (directory.path().join("node"), directory.path().join("bin"));
        let choose = |using: &str, path: &Path| {
            let chosen = choose(using, &path.to_string_lossy(), std::slice::from_ref(&cache));
            chosen.map(|node| (node.program.replace(&*directory.path().to_string_lossy(), ""), node.warning.is_some()))
        };
        assert!(choose("node20", &path).unwrap_err().contains("install Node.js 20"));
        make(&path.join("node"), "20.1.0");
        assert_eq!(choose("node24", &path), Ok(("/bin/node".to_string(), true)));
        make(&cache.join("24.0.1/x64/bin/node"), "24.0.1");
        make(&cache.join("v26.0.1/bin/node"), "26.0.1");
        let cases = [
            ("node12", "/bin/node"),
            ("node20", "/bin/node"),
            ("node22", "/node/24.0.1/x64/bin/node"),
            ("node24", "/node/24.0.1/x64/bin/node"),
        ];
        for (using, expected) in cases {
            assert_eq!(choose(using, &path), Ok((expected.to_string(), false)), "{using}");
        }
        assert_eq!(choose("node20", Path::new("/nowhere")), Ok(("/node/24.0.1/x64/bin/node".to_string(), false)));
    }
}
