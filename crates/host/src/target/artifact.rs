//! From the artifact's bytes to files, once per revision; what is missing later comes back.

use std::fs;
use std::io;
use std::path::{Component, Path};

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

/// What [`restore`] did.
#[derive(Debug, Default)]
pub(super) struct Restored {
    pub files: usize,
    /// What could not be put back, each with why.
    pub failed: Vec<String>,
}

/// Puts back what is no longer there; what is there stays as it is, for an application may write among its own files, and may have put
/// a link in place of a folder.
///
/// # Errors
/// When the archive can't be read.
pub(super) fn restore(bytes: &[u8], files: &Path) -> io::Result<Restored> {
    let mut restored = Restored::default();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if !is_missing(files, &path) {
            continue;
        }
        match put_back(&mut entry, &files.join(&path)) {
            Ok(()) => restored.files += 1,
            Err(error) => restored.failed.push(format!("{}: {error}", path.display())),
        }
    }
    Ok(restored)
}

/// Whether nothing is there, and all that leads there is a folder below the files.
fn is_missing(files: &Path, path: &Path) -> bool {
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return false;
    }
    let above: Vec<&Path> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    let leads_there = |above: &&Path| files.join(above).symlink_metadata().map_or(true, |metadata| metadata.is_dir());
    above.iter().all(leads_there) && files.join(path).symlink_metadata().is_err()
}

/// Beside its place first, so that it is there whole or not at all.
fn put_back<R: io::Read>(entry: &mut tar::Entry<'_, R>, place: &Path) -> io::Result<()> {
    if entry.header().entry_type().is_dir() {
        return fs::create_dir_all(place);
    }
    let folder = place.parent().expect("a member lies in a folder");
    fs::create_dir_all(folder)?;
    let temporary = tempfile::Builder::new().prefix(".restored.").tempdir_in(folder)?;
    let beside = temporary.path().join("file");
    entry.unpack(&beside)?;
    fs::rename(beside, place)
}
