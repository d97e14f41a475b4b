//! What was fetched, kept by commit, and how something comes to be there.
//!
//! ```text
//! ACTIONS/trees/COMMIT/…                the files
//! ACTIONS/known/OWNER~2fNAME/COMMIT     that a branch or tag of the repository leads to the commit, and the digest over its files
//! ```
//!
//! The second is what makes the first usable: that somebody has a commit proves nothing about whose it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::Digest;
use serde::{Deserialize, Serialize};
use workflow::job::Remote;
use workflow::model::Pinned;

use super::repository::{Named, Repository};
use super::{Locked, Moved, Sources, tree};
use crate::dirs::file_name;
use crate::git;

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// One commit of a repository, here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub commit: String,
    pub tree: Digest,
    /// The repository's root. Shared by all jobs, so nothing may be written there.
    pub folder: PathBuf,
    /// Something to be told about it: a tag that moved and is kept.
    pub remark: Option<String>,
}

impl Fetched {
    pub fn pinned(&self) -> Pinned {
        Pinned { commit: self.commit.clone(), tree: self.tree }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{action}` can't be fetched: {}", .tried.join("; "))]
    Unreachable { action: String, tried: Vec<String> },
    #[error("`{action}` can't be fetched: `{reference}` is neither a tag nor a branch of {address}")]
    NoSuchName { action: String, reference: String, address: String },
    #[error(
        "the tag `{}` of `{remote}` has moved: it was locked to {old} and is now {new} at {address}; \
         look at what changed, then `plimsoll actions lock --update {}` takes the new commit",
        remote.reference,
        remote.slug()
    )]
    Moved { remote: Box<Remote>, old: String, new: String, address: String },
    #[error(
        "the commit {commit} of `{action}` belongs to no branch or tag of {address}; a forge hands out the commits of every fork \
         under the repository's own name, so this is somebody else's code or a history that was rewritten"
    )]
    Impostor { action: String, commit: String, address: String },
    #[error("the files of `{action}` at {commit} are not what was pinned: their digest is {found}, pinned is {pinned}")]
    Differs { action: String, commit: String, pinned: Digest, found: Digest },
    #[error("the files of `{action}` can't be kept: {source}")]
    Kept { action: String, source: io::Error },
}

/// What is said of a commit once it was seen in a repository.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    tree: Digest,
    /// Where it came from, for people.
    source: String,
}

impl Store {
    /// Nothing is made before something is kept.
    pub fn new(root: PathBuf) -> Store {
        Store { root }
    }

    /// The repository at the reference: what is locked, what is known, else from the first source that has it.
    pub fn fetch(&self, remote: &Remote, sources: &Sources, locked: Option<&Locked>) -> Result<Fetched, Error> {
        let wanted = locked.map(|locked| locked.commit.as_str()).or(remote.commit());
        let pinned = locked.and_then(|locked| locked.tree);
        if let Some(commit) = wanted
            && let Some(fetched) = self.known(remote, commit)?
        {
            return agree(remote, fetched, pinned);
        }
        let mut tried = Vec::new();
        for address in sources.addresses(remote) {
            match Repository::ask(&address) {
                Ok(repository) => match self.fetch_from(&repository, &address, remote, wanted, sources.moved) {
                    Err(Error::NoSuchName { reference, address, .. }) => {
                        tried.push(format!("`{reference}` is neither a tag nor a branch of {address}"));
                    }
                    done => return agree(remote, done?, pinned),
                },
                Err(error) => tried.push(format!("{address}: {}", why(&error))),
            }
        }
        if tried.is_empty() {
            tried.push("it is not on this machine, and nobody may be asked".to_string());
        }
        Err(Error::Unreachable { action: remote.to_string(), tried })
    }

    /// What a name stands for at the first source that has it, without fetching anything.
    pub fn resolve(remote: &Remote, sources: &Sources) -> Result<String, Error> {
        if let Some(commit) = remote.commit() {
            return Ok(commit.to_string());
        }
        let mut tried = Vec::new();
        for address in sources.addresses(remote) {
            match Repository::ask(&address).map(|repository| repository.named(&remote.reference)) {
                Ok(Some(named)) => return Ok(named.commit),
                Ok(None) => tried.push(format!("`{}` is neither a tag nor a branch of {address}", remote.reference)),
                Err(error) => tried.push(format!("{address}: {}", why(&error))),
            }
        }
        Err(Error::Unreachable { action: remote.to_string(), tried })
    }

    /// Asks the sources whether what is locked is still what they have. Nothing is kept.
    pub fn verify(remote: &Remote, sources: &Sources, locked: &Locked) -> Result<(), Error> {
        let mut tried = Vec::new();
        for address in sources.addresses(remote) {
            let repository = match Repository::ask(&address) {
                Ok(repository) => repository,
                Err(error) => {
                    tried.push(format!("{address}: {}", why(&error)));
                    continue;
                }
            };
            let named = repository.named(&remote.reference);
            return prove(&repository, &address, remote, named.as_ref(), &locked.commit, Moved::Refuse).map(drop);
        }
        Err(Error::Unreachable { action: remote.to_string(), tried })
    }

    /// Whether a commit of the repository is here.
    pub fn has(&self, remote: &Remote, commit: &str) -> bool {
        self.proof(remote, commit).is_file() && self.tree(commit).is_dir()
    }

    /// Copies the files to a folder of the caller's own; nothing is left there when they aren't what was pinned.
    pub fn copy(&self, pinned: &Pinned, to: &Path) -> Result<(), String> {
        let files = tree::read(&self.tree(&pinned.commit))
            .map_err(|error| format!("commit {} was fetched before the run and isn't there any more: {error}", pinned.commit))?;
        let found = tree::digest(&files);
        if found != pinned.tree {
            return Err(format!(
                "the files of commit {} were changed on this machine after they were fetched: {found} instead of {}",
                pinned.commit, pinned.tree
            ));
        }
        fs::create_dir_all(to)
            .and_then(|()| tree::write(to, &files))
            .map_err(|error| format!("`{}` can't be written: {error}", to.display()))
    }

    fn fetch_from(
        &self,
        repository: &Repository,
        address: &str,
        remote: &Remote,
        wanted: Option<&str>,
        moved: Moved,
    ) -> Result<Fetched, Error> {
        let named = repository.named(&remote.reference);
        let (commit, remark) = match (wanted, &named) {
            (Some(commit), named) => (commit.to_string(), prove(repository, address, remote, named.as_ref(), commit, moved)?),
            (None, Some(named)) => (named.commit.clone(), None),
            (None, None) => {
                let (action, reference) = (remote.to_string(), remote.reference.clone());
                return Err(Error::NoSuchName { action, reference, address: address.to_string() });
            }
        };
        let files = repository.files(&commit).map_err(|error| unreachable(remote, address, &error))?;
        let tree = self.keep(remote, &commit, address, &files).map_err(|source| Error::Kept { action: remote.to_string(), source })?;
        Ok(Fetched { folder: self.tree(&commit), commit, tree, remark })
    }

    /// What is here and known to be the repository's. Files that were changed are thrown away and fetched anew.
    fn known(&self, remote: &Remote, commit: &str) -> Result<Option<Fetched>, Error> {
        let Ok(text) = fs::read(self.proof(remote, commit)) else { return Ok(None) };
        let folder = self.tree(commit);
        let (Ok(Known { tree, .. }), Ok(files)) = (serde_json::from_slice(&text), tree::read(&folder)) else { return Ok(None) };
        if tree::digest(&files) != tree {
            fs::remove_dir_all(&folder).map_err(|source| Error::Kept { action: remote.to_string(), source })?;
            return Ok(None);
        }
        Ok(Some(Fetched { commit: commit.to_string(), tree, folder, remark: None }))
    }

    /// All or nothing: laid out beside and moved into place at once. Somebody else's copy of the same commit stays.
    fn keep(&self, remote: &Remote, commit: &str, address: &str, files: &[git::TreeFile]) -> io::Result<Digest> {
        let folder = self.tree(commit);
        let trees = self.root.join("trees");
        let tree = tree::digest(files);
        fs::create_dir_all(&trees)?;
        if tree::read(&folder).is_ok_and(|there| tree::digest(&there) != tree) {
            fs::remove_dir_all(&folder)?;
        }
        if !folder.is_dir() {
            let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(&trees)?;
            tree::write(beside.path(), files)?;
            let beside = beside.keep();
            if let Err(error) = fs::rename(&beside, &folder) {
                let _ = fs::remove_dir_all(&beside);
                if !folder.is_dir() {
                    return Err(error);
                }
            }
        }
        let proof = self.proof(remote, commit);
        let above = proof.parent().unwrap_or(&self.root);
        fs::create_dir_all(above)?;
        let mut file = tempfile::NamedTempFile::new_in(above)?;
        serde_json::to_writer(&mut file, &Known { tree, source: address.to_string() })?;
        file.persist(proof).map_err(|error| error.error)?;
        Ok(tree)
    }

    fn tree(&self, commit: &str) -> PathBuf {
        self.root.join("trees").join(file_name(commit))
    }

    fn proof(&self, remote: &Remote, commit: &str) -> PathBuf {
        self.root.join("known").join(file_name(&remote.slug().to_ascii_lowercase())).join(file_name(commit))
    }
}

/// That the commit is the repository's own, and what its tag did meanwhile.
fn prove(
    repository: &Repository,
    address: &str,
    remote: &Remote,
    named: Option<&Named>,
    commit: &str,
    moved: Moved,
) -> Result<Option<String>, Error> {
    if named.is_some_and(|named| named.commit == commit) {
        return Ok(None);
    }
    let mut remark = None;
    if let Some(named) = named.filter(|named| named.is_tag()) {
        if moved == Moved::Refuse {
            let (remote, old, new) = (Box::new(remote.clone()), commit.to_string(), named.commit.clone());
            return Err(Error::Moved { remote, old, new, address: address.to_string() });
        }
        remark =
            Some(format!("the tag `{}` of `{remote}` has moved to {}; the locked {commit} is what runs", remote.reference, named.commit));
    }
    match repository.owns(commit) {
        Ok(true) => Ok(remark),
        Ok(false) => Err(Error::Impostor { action: remote.to_string(), commit: commit.to_string(), address: address.to_string() }),
        Err(error) => Err(unreachable(remote, address, &error)),
    }
}

fn agree(remote: &Remote, fetched: Fetched, pinned: Option<Digest>) -> Result<Fetched, Error> {
    match pinned.filter(|pinned| *pinned != fetched.tree) {
        None => Ok(fetched),
        Some(pinned) => Err(Error::Differs { action: remote.to_string(), commit: fetched.commit, pinned, found: fetched.tree }),
    }
}

fn unreachable(remote: &Remote, address: &str, error: &git::Error) -> Error {
    Error::Unreachable { action: remote.to_string(), tried: vec![format!("{address}: {}", why(error))] }
}

/// Without the words around it, which the sentence has already.
fn why(error: &git::Error) -> String {
    match error {
        git::Error::Failed { why, .. } => why.clone(),
        other => other.to_string(),
    }
}
