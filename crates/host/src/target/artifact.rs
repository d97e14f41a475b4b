//! From the artifact's bytes to files, once per revision.

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
