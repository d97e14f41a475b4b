//! One started thing's directory, and the protocol that lets it start once.
//!
//! ```text
//! (nothing) ── accept ──▶ spec.json ── claim ──▶ claim.json ── finish ──▶ exit.json
//!   Absent                Accepted               Running                  Finished
//!      └──────── forbid ─────┴──▶ claim.json (nobody's): Forbidden          Lost: the claim is dead, no exit
//! ```
//!
//! Every arrow is the creation of one file that can't be created twice, so any number of servers and supervisors may try each at
//! the same time, and each may die between any two of them.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable;
use super::process::Process;

/// The directory of one started thing; named from the record's id, so "already there" means "already started".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Absent,
    /// May be started; a repeated start starts another supervisor, and the claim makes one win.
    Accepted,
    Running(Process),
    Finished,
    /// It was stopped before anybody claimed it, and can't be claimed any more.
    Forbidden,
    /// Whoever claimed it is gone and left no outcome.
    Lost(Process),
}

#[derive(Debug, thiserror::Error)]
#[error("{doing} `{}`", path.display())]
pub struct Error {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Owner {
    Supervisor(Process),
    Nobody,
}

impl Claim {
    pub fn at(dir: impl Into<PathBuf>) -> Claim {
        Claim { dir: dir.into() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes what shall be started durable. The first specification stays.
    pub fn accept(&self, spec: &[u8]) -> Result<(), Error> {
        durable::create_dir(&self.dir).map_err(|source| self.error("create", &self.dir, source))?;
        self.create("spec.json", spec).map(drop)
    }

    pub fn spec(&self) -> Result<Vec<u8>, Error> {
        let path = self.dir.join("spec.json");
        std::fs::read(&path).map_err(|source| self.error("read", &path, source))
    }

    /// Makes this process the one that executes; `false` when another is, was, or nobody may. Nothing is executed before this.
    pub fn take(&self) -> Result<bool, Error> {
        let own = Process::own().map_err(|source| self.error("claim", &self.dir, source))?;
        self.create_owner(&Owner::Supervisor(own))
    }

    /// Makes sure that it never starts; `false` when it has.
    pub fn forbid(&self) -> Result<bool, Error> {
        durable::create_dir(&self.dir).map_err(|source| self.error("create", &self.dir, source))?;
        self.create_owner(&Owner::Nobody)
    }

    /// Leaves the outcome; the first one stays.
    pub fn finish(&self, exit: &[u8]) -> Result<(), Error> {
        self.create("exit.json", exit).map(drop)
    }

    pub fn exit(&self) -> Result<Option<Vec<u8>>, Error> {
        self.read("exit.json")
    }

    pub fn state(&self) -> Result<State, Error> {
        if self.exists("exit.json") {
            return Ok(State::Finished);
        }
        let process = match self.owner()? {
            Some(Owner::Supervisor(process)) => process,
            Some(Owner::Nobody) => return Ok(State::Forbidden),
            None if self.exists("spec.json") => return Ok(State::Accepted),
            None => return Ok(State::Absent),
        };
        if process.lives() {
            return Ok(State::Running(process));
        }
        // It may have left its outcome after we looked and before it died.
        Ok(if self.exists("exit.json") { State::Finished } else { State::Lost(process) })
    }

    fn owner(&self) -> Result<Option<Owner>, Error> {
        let Some(bytes) = self.read("claim.json")? else { return Ok(None) };
        let owner = serde_json::from_slice(&bytes).map_err(|error| self.error("understand", &self.dir.join("claim.json"), error.into()))?;
        Ok(Some(owner))
    }

    fn create_owner(&self, owner: &Owner) -> Result<bool, Error> {
        let bytes = serde_json::to_vec(owner).expect("an owner is plain data and becomes JSON");
        self.create("claim.json", &bytes)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        let path = self.dir.join(name);
        if path.exists() {
            return Ok(false);
        }
        durable::create(&path, bytes).map_err(|source| self.error("write", &path, source))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.dir.join(name);
        durable::read(&path).map_err(|source| self.error("read", &path, source))
    }

    fn exists(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    fn error(&self, doing: &'static str, path: &Path, source: io::Error) -> Error {
        Error { doing, path: path.to_path_buf(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Claim) {
        let temporary = tempfile::tempdir().unwrap();
        let claim = Claim::at(temporary.path().join("run/build-1"));
        (temporary, claim)
    }

    #[test]
    fn a_thing_lives_from_absent_to_finished() {
        let (_temporary, claim) = fresh();
        assert_eq!(claim.state().unwrap(), State::Absent);
        claim.accept(b"first").unwrap();
        claim.accept(b"second").unwrap();
        assert_eq!((claim.state().unwrap(), claim.spec().unwrap()), (State::Accepted, b"first".to_vec()));
        assert!(claim.take().unwrap());
        assert_eq!(claim.state().unwrap(), State::Running(Process::own().unwrap()));
        assert!(!claim.take().unwrap() && !claim.forbid().unwrap());
        claim.finish(b"1").unwrap();
        claim.finish(b"2").unwrap();
        assert_eq!((claim.state().unwrap(), claim.exit().unwrap()), (State::Finished, Some(b"1".to_vec())));
    }

    #[test]
    fn what_was_stopped_before_it_began_never_begins() {
        let (_temporary, claim) = fresh();
        assert!(claim.forbid().unwrap());
        claim.accept(b"spec").unwrap();
        assert!(!claim.take().unwrap());
        assert_eq!(claim.state().unwrap(), State::Forbidden);
    }

    #[test]
    fn a_claim_under_a_number_used_again_is_lost() {
        let own = Process::own().unwrap();
        for stranger in [Process { started: own.started + 1, ..own.clone() }, Process { boot: "before".into(), ..own }] {
            let (_temporary, claim) = fresh();
            claim.accept(b"spec").unwrap();
            assert!(claim.create_owner(&Owner::Supervisor(stranger.clone())).unwrap());
            assert_eq!(claim.state().unwrap(), State::Lost(stranger));
        }
    }

    #[test]
    fn of_many_claimants_one_wins() {
        let (_temporary, claim) = fresh();
        claim.accept(b"spec").unwrap();
        let wins: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| usize::from(claim.take().unwrap()))).collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
        let left: Vec<_> = std::fs::read_dir(claim.dir()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
