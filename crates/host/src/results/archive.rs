//! Zip archives of artifacts, in and out. What comes in is made by somebody else.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// More files than that nobody uploads on purpose.
const FILES_MAX: usize = 200_000;
/// What an archive may unpack to, whatever its own size.
pub(super) const UNPACKED_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// Unpacks into an empty folder. A sentence when something in the archive leads elsewhere, is a link, or never ends.
pub(super) fn unpack(archive: &Path, into: &Path, bytes_max: u64) -> Result<(), String> {
    let file = File::open(archive).map_err(|error| format!("the archive can't be opened: {error}"))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| format!("it is no zip archive: {error}"))?;
    if zip.len() > FILES_MAX {
        return Err(format!("it holds {} files, and {FILES_MAX} are allowed", zip.len()));
    }
    let mut left = bytes_max;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| format!("its entry {index} can't be read: {error}"))?;
        let name = entry.name().map_err(|error| format!("its entry {index} has no readable name: {error}"))?.to_string();
        let path = inside(&name).ok_or_else(|| format!("its entry `{}` leads out of the artifact", name.escape_debug()))?;
        if entry.is_symlink() {
            return Err(format!("its entry `{name}` is a symbolic link, and links are refused"));
        }
        let to = into.join(path);
        let failed = |error: io::Error| format!("its entry `{name}` can't be unpacked: {error}");
        if entry.is_dir() {
            fs::create_dir_all(&to).map_err(failed)?;
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(into)).map_err(failed)?;
        let mut out = File::create_new(&to).map_err(failed)?;
        // What the archive says of its sizes is not believed.
        let count = io::copy(&mut (&mut entry).take(left.saturating_add(1)), &mut out).map_err(failed)?;
        left = left.checked_sub(count).ok_or_else(|| format!("it unpacks to more than {} MiB", bytes_max / 1024 / 1024))?;
        if let Some(mode) = entry.unix_mode() {
            fs::set_permissions(&to, fs::Permissions::from_mode(mode & 0o777 | 0o600)).map_err(failed)?;
        }
    }
    Ok(())
}

/// A relative path of plain names, or nothing.
fn inside(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = !name.is_empty() && !name.contains(['\\', '\0']) && path.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| path.to_path_buf())
}

/// Packs the files, in order, named relative to the folder.
pub(super) fn pack(folder: &Path, files: &[String], archive: &Path) -> io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(File::create(archive)?));
    for name in files {
        let path = folder.join(name);
        let mode = fs::metadata(&path)?.permissions().mode();
        let options = SimpleFileOptions::default().unix_permissions(mode & 0o777).large_file(true);
        zip.start_file(name, options).map_err(io::Error::other)?;
        io::copy(&mut File::open(&path)?, &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(entries: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.zip");
        let mut zip = ZipWriter::new(File::create(&archive).unwrap());
        for (name, bytes) in entries {
            if let Some(name) = name.strip_prefix("link:") {
                zip.add_symlink(name, "/etc/passwd", SimpleFileOptions::default()).unwrap();
            } else {
                zip.start_file(*name, SimpleFileOptions::default()).unwrap();
                zip.write_all(bytes).unwrap();
            }
        }
        zip.finish().unwrap();
        (folder, archive)
    }

    /// GHSA-cj34-9v6h-grxm and the like.
    #[test]
    fn what_leads_out_is_a_link_or_a_bomb_is_refused() {
        let zeros = vec![0; 3 * 1024 * 1024];
        let cases: [(&str, &[u8], &str); 5] = [
            ("../evil", b"x", "leads out of the artifact"),
            ("/etc/evil", b"x", "leads out of the artifact"),
            ("a/../../evil", b"x", "leads out of the artifact"),
            ("link:a", b"", "is a symbolic link"),
            ("bomb", &zeros, "unpacks to more than 2 MiB"),
        ];
        for (name, bytes, expected) in cases {
            let (folder, archive) = made(&[("fine", b"ok"), (name, bytes)]);
            let into = folder.path().join("into");
            let why = unpack(&archive, &into, 2 * 1024 * 1024).unwrap_err();
            assert!(why.contains(expected), "{name}: {why}");
            assert!(!folder.path().join("evil").exists());
        }
        let (folder, _) = made(&[]);
        fs::write(folder.path().join("no.zip"), "hello").unwrap();
        assert!(unpack(&folder.path().join("no.zip"), &folder.path().join("into"), 10).unwrap_err().contains("no zip archive"));
    }

    #[test]
    fn what_was_packed_is_unpacked_with_its_modes() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/run.sh"), "echo hi").unwrap();
        fs::set_permissions(from.join("sub/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        let (archive, into) = (folder.path().join("a.zip"), folder.path().join("into"));
        pack(&from, &["sub/run.sh".to_string()], &archive).unwrap();
        unpack(&archive, &into, 1024).unwrap();
        assert_eq!(fs::read_to_string(into.join("sub/run.sh")).unwrap(), "echo hi");
        assert_eq!(fs::metadata(into.join("sub/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
