//! From the artifact's bytes to files, once per revision; what is missing later comes back.

use std::fs;
use std::io;
use std::path::Path;

use crate::supervise::durable;

/// Unpacks beside the place and moves there, so that files are there whole or not at all.
pub(super) fn unpack(bytes: &[u8], files: &Path) -> io::Result<()> {
    let parent = files.parent().expect("files lie in their revision's folder");
    durable::create_dir(parent)?;
    let temporary = tempfile::Builder::new().prefix(".files.").tempdir_in(parent)?;
    let inner = temporary.path().join("files");
    fs::create_dir(&inner)?;
    // Members that lead outside are refused where archives are made, and skipped here.
    tar::Archive::new(bytes).unpack(&inner)?;
    fs::rename(&inner, files)
}

/// Puts back what is no longer there; what is there stays as it is, for an application may write among its own files.
///
/// The number of files that came back.
pub(super) fn restore(bytes: &[u8], files: &Path) -> io::Result<usize> {
    let missing = |path: &Path| files.join(path).symlink_metadata().is_err();
    let mut archive = tar::Archive::new(bytes);
    let mut restored = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if missing(&entry.path()?) && entry.unpack_in(files)? && !entry.header().entry_type().is_dir() {
            restored += 1;
        }
    }
    Ok(restored)
}
