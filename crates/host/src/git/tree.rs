//! The files of a commit's folder, without a checkout.

use std::path::Path;

use super::command::{git, git_with};
use super::{Error, parts};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    pub path: String,
    pub kind: TreeFileKind,
    /// For a link, what it points to.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeFileKind {
    File { executable: bool },
    Link,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    kind: TreeFileKind,
    object: String,
}

/// Every file of a folder in a commit, sorted by path. Submodules hold none.
pub fn tree(root: &Path, sha: &str, subtree: &str) -> Result<Vec<TreeFile>, Error> {
    tree_where(root, sha, subtree, |_| true)
}

/// The same of those whose path is wanted; no other is read.
pub fn tree_where(root: &Path, sha: &str, subtree: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<TreeFile>, Error> {
    read(root, list(root, sha, subtree)?.into_iter().filter(|entry| is_wanted(&entry.path)).collect())
}

/// The same of links alone.
pub fn links(root: &Path, sha: &str, subtree: &str) -> Result<Vec<TreeFile>, Error> {
    read(root, list(root, sha, subtree)?.into_iter().filter(|entry| matches!(entry.kind, TreeFileKind::Link)).collect())
}

fn read(root: &Path, entries: Vec<Entry>) -> Result<Vec<TreeFile>, Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let asked: String = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
    let answer = git_with(root, "read the commit's files", &["cat-file", "--batch"], asked.into_bytes())?;
    let mut rest = answer.as_slice();
    let mut files = Vec::new();
    for Entry { path, kind, object } in entries {
        let Some(bytes) = next_object(&mut rest) else {
            return Err(Error::Failed { doing: format!("read `{path}`"), why: format!("object {object} is missing") });
        };
        files.push(TreeFile { path, kind, bytes });
    }
    Ok(files)
}

pub(super) fn list(root: &Path, sha: &str, subtree: &str) -> Result<Vec<Entry>, Error> {
    let treeish = format!("{sha}:{subtree}");
    let listed = match git(root, "list the commit's files", &["ls-tree", "-r", "-z", &treeish]) {
        Err(Error::Failed { why, .. }) if !subtree.is_empty() && why.to_lowercase().contains("not a valid object name") => {
            let is_empty = std::fs::read_dir(root.join(subtree)).is_ok_and(|mut entries| entries.next().is_none());
            return Err(Error::NotInCommit { subtree: subtree.to_string(), sha: sha.to_string(), is_empty });
        }
        listed => listed?,
    };
    let mut entries: Vec<Entry> = parts(&listed).filter_map(|line| entry(&line)).collect();
    entries.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(entries)
}

/// `100644 blob 3b18e5…<TAB>path`.
fn entry(line: &str) -> Option<Entry> {
    let (meta, path) = line.split_once('\t')?;
    let mut words = meta.split(' ');
    let kind = match words.next()? {
        "100755" => TreeFileKind::File { executable: true },
        "120000" => TreeFileKind::Link,
        "160000" => return None,
        _ => TreeFileKind::File { executable: false },
    };
    Some(Entry { path: path.to_string(), kind, object: words.nth(1)?.to_string() })
}

/// `3b18e5… blob 12<LF>`, the bytes, `<LF>`.
fn next_object(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let size: usize = std::str::from_utf8(&rest[..end]).ok()?.split(' ').nth(2)?.parse().ok()?;
    let bytes = rest.get(end + 1..end + 1 + size)?.to_vec();
    *rest = rest.get(end + 1 + size + 1..)?;
    Some(bytes)
}
