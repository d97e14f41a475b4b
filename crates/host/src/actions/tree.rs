//! The files of a commit on disk, and the digest over them.
//!
//! The digest is the SHA-256 of one line for each file, sorted by path: `MODE SHA256 PATH`, the mode as git has it (`100644`,
//! `100755`, `120000` for a link, whose bytes are where it leads).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use base::Digest;

use crate::git::{TreeFile, TreeFileKind};

/// Of files as git has them.
pub(super) fn digest(files: &[TreeFile]) -> Digest {
    let mut files: Vec<&TreeFile> = files.iter().collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let lines: String = files.iter().map(|file| line(file)).collect();
    Digest::of(lines.as_bytes())
}

/// Lays files out in an empty folder, for reading alone.
pub(super) fn write(folder: &Path, files: &[TreeFile]) -> io::Result<()> {
    let mut links: BTreeSet<&Path> = BTreeSet::new();
    for file in files {
        let path = Path::new(&file.path);
        let plain = path.components().all(|part| matches!(part, Component::Normal(name) if !name.eq_ignore_ascii_case(".git")));
        // A repository made for it could have a file below a link, to be written elsewhere.
        if !plain || file.path.is_empty() || path.ancestors().skip(1).any(|above| links.contains(above)) {
            return Err(io::Error::other(format!("`{}` can't be a file's path", file.path)));
        }
        let to = folder.join(path);
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        match file.kind {
            TreeFileKind::Link => {
                symlink(std::ffi::OsStr::from_bytes(&file.bytes), &to)?;
                links.insert(path);
            }
            TreeFileKind::File { executable } => {
                fs::write(&to, &file.bytes)?;
                fs::set_permissions(&to, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
            }
        }
    }
    Ok(())
}

/// What lies in a folder, as git would have it.
pub(super) fn read(folder: &Path) -> io::Result<Vec<TreeFile>> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let path = below.join(entry?.file_name());
            let place = folder.join(&path);
            let metadata = place.symlink_metadata()?;
            let (kind, bytes) = if metadata.is_dir() {
                open.push(path);
                continue;
            } else if metadata.is_symlink() {
                (TreeFileKind::Link, fs::read_link(&place)?.as_os_str().as_bytes().to_vec())
            } else {
                (TreeFileKind::File { executable: metadata.permissions().mode() & 0o100 != 0 }, fs::read(&place)?)
            };
            files.push(TreeFile { path: path.to_string_lossy().into_owned(), kind, bytes });
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn line(file: &TreeFile) -> String {
    let mode = match file.kind {
        TreeFileKind::File { executable: false } => "100644",
        TreeFileKind::File { executable: true } => "100755",
        TreeFileKind::Link => "120000",
    };
    format!("{mode} {} {}\n", Digest::of(&file.bytes).hex(), file.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, kind: TreeFileKind, bytes: &str) -> TreeFile {
        TreeFile { path: path.to_string(), kind, bytes: bytes.as_bytes().to_vec() }
    }

    #[test]
    fn what_is_laid_out_reads_back_with_the_same_digest_and_a_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let plain = TreeFileKind::File { executable: false };
        let files = [
            file("action.yml", plain, "name: x"),
            file("dist/run.sh", TreeFileKind::File { executable: true }, "#!/bin/sh"),
            file("latest", TreeFileKind::Link, "dist/run.sh"),
        ];
        write(folder.path(), &files).unwrap();
        assert_eq!(read(folder.path()).unwrap(), files);
        let before = digest(&files);
        fs::write(folder.path().join("action.yml"), "name: y").unwrap();
        assert_ne!(digest(&read(folder.path()).unwrap()), before);
    }

    #[test]
    fn files_that_would_lie_elsewhere_are_refused() {
        let plain = TreeFileKind::File { executable: false };
        for bad in ["../out", "/abs", "a/../b", ".git/config", ""] {
            let folder = tempfile::tempdir().unwrap();
            assert!(write(folder.path(), &[file(bad, plain, "x")]).is_err(), "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let through = [file("link", TreeFileKind::Link, "/tmp"), file("link/x", plain, "x")];
        assert!(write(folder.path(), &through).is_err());
    }
}
