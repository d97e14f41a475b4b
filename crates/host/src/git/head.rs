//! Which commit is checked out, read from git's own files: no process is started for it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Error, Place, open, place};

/// A folder, and what is checked out around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub place: Place,
    pub sha: String,
    /// Nothing when HEAD is detached.
    pub branch: Option<String>,
}

/// Looks at the commit that is checked out. What these files don't say in the plain way is asked of git itself.
pub fn head(folder: &Path) -> Result<Head, Error> {
    if let Some(head) = folder.canonicalize().ok().and_then(|folder| read(&folder)) {
        return Ok(head);
    }
    // Whatever is wrong is said with its usual words.
    place(folder)?;
    let repository = open(folder)?;
    let place = Place { root: repository.root, subtree: repository.subtree };
    Ok(Head { place, sha: repository.sha, branch: repository.branch })
}

fn read(folder: &Path) -> Option<Head> {
    let root = folder.ancestors().find(|folder| folder.join(".git").exists())?;
    let git = git_directory(root)?;
    // A worktree has a HEAD of its own and shares everything else.
    let shared = match fs::read_to_string(git.join("commondir")) {
        Ok(path) => git.join(path.trim_end()),
        Err(_) => git.clone(),
    };
    let config = fs::read_to_string(shared.join("config")).ok()?.to_lowercase();
    // Another format of the references, or files that lie elsewhere.
    if ["refstorage", "worktree", "bare = true"].iter().any(|unusual| config.contains(unusual)) {
        return None;
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let (sha, branch) = match head.trim_end().strip_prefix("ref: ") {
        None => (head.trim_end().to_string(), None),
        Some(name) => (resolve(&git, &shared, name)?, Some(name.strip_prefix("refs/heads/")?.to_string())),
    };
    let subtree = folder.strip_prefix(root).ok()?;
    let parts: Vec<&str> =
        subtree.components().map(|part| if let Component::Normal(part) = part { part.to_str() } else { None }).collect::<Option<_>>()?;
    let is_sha = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha.then(|| Head { place: Place { root: root.to_path_buf(), subtree: parts.join("/") }, sha, branch })
}

/// `.git` itself, or where the file of that name points to.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    Some(root.join(text.trim_end().strip_prefix("gitdir: ")?))
}

/// A loose reference counts before a packed one; one that points to another is left to git.
fn resolve(git: &Path, shared: &Path, name: &str) -> Option<String> {
    let loose = [git, shared].into_iter().find_map(|directory| fs::read_to_string(directory.join(name)).ok());
    if let Some(sha) = loose {
        return Some(sha.trim_end().to_string());
    }
    let packed = fs::read_to_string(shared.join("packed-refs")).ok()?;
    let line = packed.lines().find(|line| line.split_once(' ').is_some_and(|(_, known)| known == name))?;
    line.split_once(' ').map(|(sha, _)| sha.to_string())
}
