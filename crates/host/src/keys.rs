//! The server's key, with which it signs what it states: made at first need, in the state directory, for its owner alone.
//!
//! No job is given it or told of it. A job on the host runs as the same user all the same, and could look for it: docs/provenance.md
//! says what follows.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base::Digest;
use gate::attest::{InvalidKey, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::dirs::Dirs;
use crate::owned::{self, Unowned};

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key `{}` can't be read or made", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is not the server's key", path.display())]
    Invalid {
        path: PathBuf,
        #[source]
        source: InvalidKey,
    },
    #[error("others than its owner can read or change the key `{}`", .0.display())]
    Exposed(PathBuf),
}

impl KeyError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            KeyError::Io { .. } => "`plimsoll doctor` looks at the state directory",
            KeyError::Invalid { .. } => {
                "put the right file back, or remove it: a new key is made, and what the old one signed needs the old one's public half"
            }
            KeyError::Exposed(_) => {
                "whoever has read it can sign in the server's name: remove it and a new one is made, or `chmod 600` it if nobody has"
            }
        }
    }
}

/// The key of this state directory, for statements about what ships. Blocks.
///
/// # Errors
/// When it can't be made or is not what it should be.
pub fn signing_key(dirs: &Dirs) -> Result<SigningKey, KeyError> {
    key(dirs.state().join("server.key"))
}

/// Another one, for [who a job is](crate::results): neither kind of signature can be taken for the other. Blocks.
///
/// # Errors
/// As [`signing_key`].
pub fn identity_key(dirs: &Dirs) -> Result<SigningKey, KeyError> {
    key(dirs.state().join("server.identity.key"))
}

fn key(path: PathBuf) -> Result<SigningKey, KeyError> {
    match owned::file(&path, || Ok(fresh()?.to_pem().into_bytes())) {
        Ok(pem) => SigningKey::from_pem(&String::from_utf8_lossy(&pem)).map_err(|source| KeyError::Invalid { path, source }),
        Err(Unowned::Exposed) => Err(KeyError::Exposed(path)),
        Err(Unowned::Io(source)) => Err(KeyError::Io { path, source }),
    }
}

fn fresh() -> io::Result<SigningKey> {
    loop {
        if let Some(key) = SigningKey::from_random(&owned::random()?) {
            return Ok(key);
        }
    }
}

const CHUNK_BYTES: usize = 64 << 10;

/// The SHA-256 of a file, however large. Blocks.
///
/// # Errors
/// When it can't be read.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let (mut file, mut chunk) = (File::open(path)?, vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hasher.update(&chunk[..read]),
        }
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn there_is_one_key_and_its_owner_alone_can_read_it() {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| signing_key(&dirs).unwrap().public())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|key| *key == all[0]), "{all:?}");
        let path = dirs.state().join("server.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(signing_key(&dirs), Err(KeyError::Exposed(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "hello").unwrap();
        assert!(matches!(signing_key(&dirs), Err(KeyError::Invalid { .. })));
        assert_eq!(dirs.foreign().unwrap(), Vec::<String>::new(), "the key is the state directory's own, and goes with it");
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("file");
        fs::write(&path, vec![7; 100_000]).unwrap();
        assert_eq!(digest_of(&path).unwrap(), Digest::of(&vec![7; 100_000]));
    }
}
