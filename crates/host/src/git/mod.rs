//! What git knows of a folder: its repository, its commit, its files. Through the `git` that is installed.
//!
//! A project may be a folder inside its repository; every path here is relative to that folder.

mod brought;
pub(crate) mod command;
mod head;
mod tree;

use std::path::{Path, PathBuf};

pub use brought::brought;
use command::{git, text};
pub use head::{Head, head};
pub use tree::{TreeFile, TreeFileKind, links, tree, tree_where};

use crate::harvest::archive::{self, Content};

/// A repository's root, and a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub root: PathBuf,
    /// Relative to the root, without a slash at its end; empty for the root itself.
    pub subtree: String,
}

/// A folder and the commit that is checked out there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub root: PathBuf,
    pub subtree: String,
    pub sha: String,
    /// Nothing when HEAD is detached.
    pub branch: Option<String>,
    /// Its first parent; nothing for a first commit.
    pub parent: Option<String>,
    pub subject: String,
    pub message: String,
    pub author: String,
    pub author_email: String,
    /// When it was committed, RFC 3339.
    pub date: String,
    /// Of `origin`, without credentials.
    pub remote: Option<String>,
    /// What differs from the commit in the folder, untracked files too, sorted.
    pub dirty: Vec<String>,
}

impl Repository {
    pub fn place(&self) -> Place {
        Place { root: self.root.clone(), subtree: self.subtree.clone() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("git is not installed, or not in `PATH`")]
    NoGit,
    #[error("there is no folder `{}`", .0.display())]
    NoFolder(PathBuf),
    #[error("`{}` is a file, and a project's folder is meant", .0.display())]
    AFile(PathBuf),
    #[error("`{}` is not in a git repository", .0.display())]
    NotARepository(PathBuf),
    #[error("`{}` is a repository without files: a clone with a working tree is needed", .0.display())]
    Bare(PathBuf),
    #[error("the repository `{}` has no commit yet", .0.display())]
    NoCommits(PathBuf),
    #[error("the folder `{subtree}` is not in commit {sha}")]
    NotInCommit {
        subtree: String,
        sha: String,
        /// It has no file at all.
        is_empty: bool,
    },
    #[error("git could not {doing}: {why}")]
    Failed { doing: String, why: String },
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::NoGit => Some("install git with the system's package manager"),
            Error::NotARepository(_) => Some("`git init && git add . && git commit` makes one"),
            Error::NotInCommit { is_empty: true, .. } => {
                Some("the folder is empty: put the application there, then `git add . && git commit`")
            }
            Error::NoCommits(_) | Error::NotInCommit { .. } => Some("`git add . && git commit` makes one that holds what is there"),
            Error::Failed { why, .. } if why.contains("dubious ownership") => {
                Some("the folder is somebody else's; `git config --global --add safe.directory FOLDER` says that you trust it")
            }
            Error::NoFolder(_) | Error::AFile(_) | Error::Bare(_) | Error::Failed { .. } => None,
        }
    }
}

/// Finds the repository around a folder.
pub fn place(folder: &Path) -> Result<Place, Error> {
    if !folder.is_dir() {
        return Err(if folder.is_file() { Error::AFile(folder.to_path_buf()) } else { Error::NoFolder(folder.to_path_buf()) });
    }
    let output = match git(folder, "find the repository", &["rev-parse", "--show-toplevel", "--show-prefix"]) {
        Ok(output) => text(output),
        Err(Error::Failed { why, .. }) if why.contains("not a git repository") => return Err(Error::NotARepository(folder.to_path_buf())),
        Err(Error::Failed { why, .. }) if why.contains("work tree") => return Err(Error::Bare(folder.to_path_buf())),
        Err(error) => return Err(error),
    };
    let mut lines = output.lines();
    let root = PathBuf::from(lines.next().unwrap_or_default());
    let subtree = lines.next().unwrap_or_default().trim_end_matches('/').to_string();
    Ok(Place { root, subtree })
}

/// Looks at the commit that is checked out, and at what differs from it.
pub fn open(folder: &Path) -> Result<Repository, Error> {
    let Place { root, subtree } = place(folder)?;
    let Some(sha) = optional(&root, &["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])? else { return Err(Error::NoCommits(root)) };
    let format = "--format=%P%x00%an%x00%ae%x00%cI%x00%s%x00%B";
    let log = text(git(&root, "read the commit", &["log", "-1", "--no-show-signature", format, &sha])?);
    let mut fields = log.splitn(6, '\0').map(|field| field.trim_end_matches('\n').to_string());
    let mut field = || fields.next().unwrap_or_default();
    Ok(Repository {
        parent: field().split(' ').next().filter(|parent| !parent.is_empty()).map(str::to_string),
        author: field(),
        author_email: field(),
        date: field(),
        subject: field(),
        message: field(),
        branch: optional(&root, &["symbolic-ref", "--quiet", "--short", "HEAD"])?,
        remote: optional(&root, &["config", "--get", "remote.origin.url"])?.map(|url| without_credentials(&url)),
        dirty: dirty(&root, &subtree)?,
        root,
        subtree,
        sha,
    })
}

/// The folder's files in a commit, sorted; submodules hold none.
pub fn files(repository: &Repository, sha: &str) -> Result<Vec<String>, Error> {
    tree_paths(&repository.root, sha, &repository.subtree)
}

/// The same for a repository that wasn't opened.
pub fn tree_paths(root: &Path, sha: &str, subtree: &str) -> Result<Vec<String>, Error> {
    Ok(tree::list(root, sha, subtree)?.into_iter().map(|entry| entry.path).collect())
}

/// A file as of a commit; nothing when it isn't there.
pub fn read(repository: &Repository, sha: &str, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let object = format!("{sha}:{}", join(&repository.subtree, path));
    if optional(&repository.root, &["rev-parse", "--quiet", "--verify", &object])?.is_none() {
        return Ok(None);
    }
    git(&repository.root, &format!("read `{path}`"), &["cat-file", "blob", &object]).map(Some)
}

/// A file of another repository at a name that stands for a commit there, or at a branch of its `origin`; nothing when it isn't there.
pub fn show(folder: &Path, name: &str, path: &str) -> Option<String> {
    let candidates = [name.to_string(), format!("origin/{name}")];
    let shown = |name: &String| git(folder, "read a file", &["cat-file", "blob", &format!("{name}:{path}")]).ok();
    candidates.iter().filter(|name| !name.starts_with('-')).find_map(shown).map(text)
}

/// What `origin` calls its default branch, else `main` or `master` where there is one, else the branch that is checked out.
pub fn default_branch(repository: &Repository) -> String {
    let root = &repository.root;
    if let Ok(Some(head)) = optional(root, &["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]) {
        return head.strip_prefix("origin/").unwrap_or(&head).to_string();
    }
    let is_there =
        |name: &&str| matches!(optional(root, &["rev-parse", "--quiet", "--verify", &format!("refs/heads/{name}")]), Ok(Some(_)));
    let usual = ["main", "master"].into_iter().find(is_there).map(str::to_string);
    usual.or_else(|| repository.branch.clone()).unwrap_or_else(|| "main".to_string())
}

/// The folder's files as they lie there, sorted: tracked, and untracked but not ignored.
pub fn working_files(place: &Place) -> Result<Vec<String>, Error> {
    let folder = place.root.join(&place.subtree);
    let listed = git(&folder, "list the files", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut paths: Vec<String> = parts(&listed).filter(|path| folder.join(path).symlink_metadata().is_ok_and(|it| !it.is_dir())).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Folders in which git tracks nothing yet, empty ones too; ignored ones apart.
pub fn new_folders(place: &Place) -> Result<Vec<String>, Error> {
    let folder = place.root.join(&place.subtree);
    let listed = git(&folder, "list the folders", &["ls-files", "-z", "--others", "--directory", "--exclude-standard"])?;
    Ok(parts(&listed).filter_map(|path| path.strip_suffix('/').map(str::to_string)).collect())
}

/// The working files as a tar that depends on nothing else.
pub fn snapshot(place: &Place) -> Result<Vec<u8>, Error> {
    let folder = place.root.join(&place.subtree);
    let failed = |error: archive::Error| Error::Failed { doing: "ship the working tree as it is".into(), why: error.to_string() };
    let mut archive = archive::Archive::default();
    for path in working_files(place)? {
        archive.add(&path, Content::of(&folder.join(&path)).map_err(failed)?).map_err(failed)?;
    }
    archive.finish().map_err(failed)
}

/// The folder's paths that differ between two commits, sorted; a renamed file counts under both names.
pub fn changed_paths(repository: &Repository, from: &str, to: &str) -> Result<Vec<String>, Error> {
    let mut arguments = vec!["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", from, to, "--"];
    if !repository.subtree.is_empty() {
        arguments.push(&repository.subtree);
    }
    let output = git(&repository.root, "compare two commits", &arguments)?;
    let mut paths: Vec<String> = parts(&output).filter_map(|path| below(&repository.subtree, &path)).collect();
    paths.sort();
    Ok(paths)
}

/// The commits that lie between two, newest first: the hash and the subject of each.
pub fn commits(root: &Path, from: &str, to: &str) -> Result<Vec<(String, String)>, Error> {
    let range = format!("{from}..{to}");
    let output = text(git(root, "list commits", &["log", "--no-show-signature", "--format=%H%x00%s", "--end-of-options", &range])?);
    Ok(output.lines().filter_map(|line| line.split_once('\0')).map(|(sha, subject)| (sha.to_string(), subject.to_string())).collect())
}

/// What differs from the commit in a folder of a repository, untracked files too, sorted.
pub fn dirty(root: &Path, subtree: &str) -> Result<Vec<String>, Error> {
    let mut arguments = vec!["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--"];
    if !subtree.is_empty() {
        arguments.push(subtree);
    }
    let output = git(root, "look for changes", &arguments)?;
    // Two letters and a space stand before each path.
    let mut paths: Vec<String> = parts(&output).filter_map(|entry| below(subtree, entry.get(3..)?)).collect();
    paths.sort();
    Ok(paths)
}

/// What git prints; nothing when it says, by its exit code alone, that there is no such thing.
fn optional(root: &Path, arguments: &[&str]) -> Result<Option<String>, Error> {
    match command::try_git(root, "look something up", arguments)? {
        Some(output) => Ok(Some(text(output).trim_end_matches('\n').to_string())),
        None => Ok(None),
    }
}

fn parts(output: &[u8]) -> impl Iterator<Item = String> {
    output.split(|byte| *byte == 0).filter(|part| !part.is_empty()).map(|part| String::from_utf8_lossy(part).into_owned())
}

fn below(subtree: &str, path: &str) -> Option<String> {
    if subtree.is_empty() {
        return Some(path.to_string());
    }
    path.strip_prefix(subtree)?.strip_prefix('/').map(str::to_string)
}

fn join(subtree: &str, path: &str) -> String {
    if subtree.is_empty() { path.to_string() } else { format!("{subtree}/{path}") }
}

/// `https://user:token@host/x` without what stands before the `@`; `git@host:x` has no secret in it.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_string() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_shown_without_its_credentials() {
        assert_eq!(without_credentials("https://me:tok@en@example.org/a/b.git"), "https://example.org/a/b.git");
        assert_eq!(without_credentials("git@example.org:a/b.git"), "git@example.org:a/b.git");
    }
}
