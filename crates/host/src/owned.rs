//! Files with what nobody else may know: made once, of chance, for their owner alone.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::supervise::durable;

#[derive(Debug)]
pub(crate) enum Unowned {
    /// It can't be read or made.
    Io(io::Error),
    /// Others than its owner can read or change it.
    Exposed,
}

impl From<io::Error> for Unowned {
    fn from(error: io::Error) -> Unowned {
        Unowned::Io(error)
    }
}

/// What is in the file, or what was made for it just now. Of several that make it at the same time one wins, and all read that. Blocks.
///
/// # Errors
/// When it can't be made, or isn't its owner's alone.
pub(crate) fn file(path: &Path, make: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<Vec<u8>, Unowned> {
    let bytes = match durable::read(path)? {
        Some(bytes) => bytes,
        None => {
            durable::create(path, &make()?)?;
            fs::read(path)?
        }
    };
    let is_exposed = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if is_exposed { Err(Unowned::Exposed) } else { Ok(bytes) }
}

/// Not to be guessed.
///
/// # Errors
/// When the machine has none to give.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
