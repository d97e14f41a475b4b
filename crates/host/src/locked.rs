//! The files of a commit, or of a working tree that was kept, which say what the code is made of.

use std::io::Read as _;
use std::path::Path;

use engine::world::{CodeSource, WorldError};
use gate::sbom::{LockFile, is_wanted};

use crate::blobs::FileBlobs;
use crate::git::{TreeFileKind, tree_where};

/// Sorted by path. Blocks.
///
/// # Errors
/// When the commit or the kept tree is no longer there, or can't be read.
pub fn lock_files(source: &CodeSource, blobs: &FileBlobs) -> Result<Vec<LockFile>, WorldError> {
    let doing = "read the lock files";
    let Some(snapshot) = &source.snapshot else {
        let files = tree_where(Path::new(&source.repository), &source.sha, &source.subtree, is_wanted);
        let files = files.map_err(|error| WorldError::new(doing, error))?.into_iter();
        let files = files.filter(|file| matches!(file.kind, TreeFileKind::File { .. }));
        return Ok(files.map(|file| LockFile { path: file.path, bytes: file.bytes }).collect());
    };
    let kept = blobs.get_now(snapshot)?.ok_or_else(|| WorldError::new(doing, format!("snapshot {snapshot} is not there")))?;
    let mut files = in_archive(&kept).map_err(|error| WorldError::new(doing, error))?;
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn in_archive(bytes: &[u8]) -> std::io::Result<Vec<LockFile>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if entry.header().entry_type().is_file() && is_wanted(&path) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.push(LockFile { path, bytes });
        }
    }
    Ok(files)
}
