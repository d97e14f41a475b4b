//! One proxy per state directory, and how others know which process it is.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// The process that holds a state directory: process ids are reused, so the time it started belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub pid: u32,
    /// In clock ticks since the machine started, as in `/proc/PID/stat`; 0 where there is no such file.
    pub started: u64,
}

/// Who wrote `proxy.pid`; whether that process still lives is for the reader to compare.
pub fn identity(dir: &Path) -> Option<Identity> {
    let text = std::fs::read_to_string(dir.join("proxy.pid")).ok()?;
    let mut words = text.split_whitespace();
    Some(Identity { pid: words.next()?.parse().ok()?, started: words.next()?.parse().ok()? })
}

impl Identity {
    fn own() -> Identity {
        let started = std::fs::read_to_string("/proc/self/stat").ok().and_then(|it| start_ticks(&it)).unwrap_or(0);
        Identity { pid: std::process::id(), started }
    }
}

/// The right to be the proxy, held by a lock that the kernel lets go of when the process ends.
#[derive(Debug)]
pub(super) struct Claim {
    dir: PathBuf,
    identity: Identity,
    epoch: String,
    lock: File,
}

impl Claim {
    pub(super) fn take(dir: &Path) -> Result<Claim, Error> {
        let path = dir.join("proxy.lock");
        let prepare = |path: &Path, source| Error::Prepare { path: path.to_owned(), source };
        let lock = private().open(&path).map_err(|error| prepare(&path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::AlreadyRunning { dir: dir.to_owned(), pid: identity(dir).map(|it| it.pid) });
            }
            Err(TryLockError::Error(error)) => return Err(prepare(&path, error)),
        }
        let identity = Identity::own();
        let pid = dir.join("proxy.pid");
        write_pid(&pid, identity).map_err(|error| prepare(&pid, error))?;
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let epoch = format!("{}-{}-{}", identity.pid, identity.started, since_epoch.as_millis());
        Ok(Claim { dir: dir.to_owned(), identity, epoch, lock })
    }

    pub(super) fn epoch(&self) -> String {
        self.epoch.clone()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if identity(&self.dir) == Some(self.identity) {
            let _ = std::fs::remove_file(self.dir.join("proxy.pid"));
        }
        let _ = std::fs::remove_file(super::socket_path(&self.dir));
        // Closing it is not enough: a process that is being started at the moment has it open, too, until it is another program.
        let _ = self.lock.unlock();
    }
}

pub(super) fn prepare(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| Error::Prepare { path: dir.to_owned(), source })
}

fn write_pid(path: &Path, identity: Identity) -> io::Result<()> {
    let mut file = private().truncate(true).open(path)?;
    writeln!(file, "{} {}", identity.pid, identity.started)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Field 22, counted after the command's name, which may itself contain blanks and brackets.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_command_name() {
        let stat = "4711 (a b) c) S 1 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3";
        assert_eq!(start_ticks(stat), Some(987_654));
    }

    #[test]
    fn a_directory_is_claimed_once_and_free_again_afterwards() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Claim::take(dir.path()).expect("the first claim");
        assert_eq!(identity(dir.path()), Some(Identity::own()));
        match Claim::take(dir.path()) {
            Err(Error::AlreadyRunning { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        Claim::take(dir.path()).expect("the claim is free");
    }
}
