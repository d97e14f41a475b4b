//! A repository elsewhere: its branches and tags, one commit's files, and whether a commit is its own.

use std::path::Path;

use crate::git::command::{git, text};
use crate::git::{self, Error, TreeFile};

/// What an address answered.
#[derive(Debug)]
pub(super) struct Repository {
    address: String,
    /// By their whole names; a tag stands for the commit it leads to.
    refs: Vec<(String, String)>,
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// `refs/tags/v1`.
    pub(super) name: String,
    pub(super) commit: String,
}

impl Named {
    pub(super) fn is_tag(&self) -> bool {
        self.name.starts_with("refs/tags/")
    }
}

impl Repository {
    /// Asks for all branches and tags. Nothing is fetched.
    pub(super) fn ask(address: &str) -> Result<Repository, Error> {
        let listed = git(
            Path::new("/"),
            "list its branches and tags",
            &[&PATIENCE[..], &["ls-remote", "--heads", "--tags", "--", address]].concat(),
        )?;
        let mut refs: Vec<(String, String)> = Vec::new();
        for line in text(listed).lines() {
            let Some((commit, name)) = line.split_once('\t') else { continue };
            if let Some(tag) = name.strip_suffix("^{}") {
                // The line before named the tag itself.
                refs.retain(|(known, _)| known != tag);
            }
            refs.push((name.trim_end_matches("^{}").to_string(), commit.to_string()));
        }
        Ok(Repository { address: address.to_string(), refs })
    }

    /// A tag before a branch of the same name, as git has it.
    pub(super) fn named(&self, reference: &str) -> Option<Named> {
        let place = |prefix: &str| {
            let whole = format!("{prefix}{reference}");
            self.refs.iter().find(|(name, _)| *name == whole)
        };
        let (name, commit) = place("refs/tags/").or_else(|| place("refs/heads/"))?;
        Some(Named { name: name.clone(), commit: commit.clone() })
    }

    /// Whether a branch or tag leads to the commit. A forge answers for the commits of every fork, so that it has one says nothing.
    pub(super) fn owns(&self, commit: &str) -> Result<bool, Error> {
        if self.refs.iter().any(|(_, tip)| tip == commit) {
            return Ok(true);
        }
        let history = self.scratch()?;
        // Commits alone: what is in them isn't asked here.
        self.fetch(history.path(), &["--filter=tree:0"], &ALL)?;
        Ok(contains(history.path(), commit))
    }

    /// The commit's files, without its history where the other side allows it.
    pub(super) fn files(&self, commit: &str) -> Result<Vec<TreeFile>, Error> {
        let scratch = self.scratch()?;
        let tip = self.refs.iter().find(|(_, tip)| tip == commit).map(|(name, _)| name.as_str());
        if self.fetch(scratch.path(), &["--depth=1"], &[tip.unwrap_or(commit)]).is_err() {
            self.fetch(scratch.path(), &[], &ALL)?;
        }
        git::tree(scratch.path(), commit, "")
    }

    fn scratch(&self) -> Result<tempfile::TempDir, Error> {
        let failed = |error: std::io::Error| Error::Failed { doing: "make a folder to fetch into".to_string(), why: error.to_string() };
        let folder = tempfile::Builder::new().prefix("plimsoll-fetch-").tempdir().map_err(failed)?;
        git(folder.path(), "make a repository to fetch into", &["init", "--quiet", "--bare", "--template="])?;
        git(folder.path(), "name the other repository", &["remote", "add", "--", "origin", &self.address])?;
        Ok(folder)
    }

    fn fetch(&self, folder: &Path, how: &[&str], what: &[&str]) -> Result<(), Error> {
        let plain = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc"];
        let arguments = [&PATIENCE[..], &plain, how, &["--", "origin"], what].concat();
        git(folder, "fetch it", &arguments).map(drop)
    }
}

/// Gives up on a connection over which nothing comes for half a minute.
const PATIENCE: [&str; 4] = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30"];

const ALL: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

fn contains(folder: &Path, commit: &str) -> bool {
    let arguments = ["for-each-ref", "--count=1", "--format=%(refname)", "--contains", commit];
    // An error is git's word that it has no such commit.
    git(folder, "look for the commit", &arguments).is_ok_and(|found| !found.is_empty())
}
