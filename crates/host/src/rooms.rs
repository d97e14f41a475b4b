//! Folders for jobs to come, left empty by jobs that have ended.
//!
//! To make a dozen files and folders and to remove them again costs some file systems more than the job in them takes; to rename
//! the folder they lie in costs nothing. A room is exactly what a job makes for itself before its first step: whatever else is
//! in a folder is removed, and one that isn't as new then is not kept.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;

/// As many as a matrix has legs at most.
const ROOMS_MAX: usize = 256;

/// Below a job's folder, each behind the one it lies in.
const FOLDERS: [&str; 4] = ["workspace", "temp", "temp/_github_workflow", "temp/_runner_file_commands"];
/// What is written anew before anybody reads it.
const FILES: [&str; 7] = [
    "temp/1.sh",
    "temp/_github_workflow/event.json",
    "temp/_runner_file_commands/set_env_0_1",
    "temp/_runner_file_commands/set_output_0_1",
    "temp/_runner_file_commands/save_state_0_1",
    "temp/_runner_file_commands/add_path_0_1",
    "temp/_runner_file_commands/step_summary_0_1",
];

#[derive(Debug)]
pub(crate) struct Rooms {
    folder: PathBuf,
    /// The names of those that were seen and aren't taken by us; nothing before anybody looked.
    free: Mutex<Option<Vec<String>>>,
}

impl Rooms {
    pub(crate) fn below(folder: PathBuf) -> Rooms {
        Rooms { folder, free: Mutex::default() }
    }

    /// Makes a room the job's folder, if there is one and the job has none.
    pub(crate) fn enter(&self, job: &Path) {
        if job.exists() || job.parent().is_none_or(|jobs| fs::create_dir_all(jobs).is_err()) {
            return;
        }
        // Somebody else may have been quicker.
        while let Some(name) = self.with_free(Vec::pop) {
            if fs::rename(self.folder.join(name), job).is_ok() {
                return;
            }
        }
    }

    /// Makes the folder of a job that has ended a room; false when it can't be one.
    pub(crate) fn leave(&self, job: &Path, name: &str) -> bool {
        let made = self.with_free(|free| free.len() < ROOMS_MAX) && fs::create_dir_all(&self.folder).is_ok();
        if !made || !empty(job, Path::new("")) || !self.is_room(job) || fs::rename(job, self.folder.join(name)).is_err() {
            return false;
        }
        self.with_free(|free| free.push(name.to_string()));
        true
    }

    /// Whether everything in the emptied folder is as it was made: a job may change rights, attributes and links too.
    fn is_room(&self, job: &Path) -> bool {
        let Ok(own) = fs::symlink_metadata(&self.folder) else { return false };
        let attributes = attributes(&self.folder);
        let is_new = |path: &Path, metadata: &Metadata| {
            metadata.is_dir() && metadata.mode() == own.mode() && metadata.uid() == own.uid() && self::attributes(path) == attributes
        };
        let folders = FOLDERS.iter().map(|name| job.join(name)).chain([job.to_path_buf()]);
        let mut all = folders.map(|path| fs::symlink_metadata(&path).map(|metadata| is_new(&path, &metadata)));
        let is_new_file = |metadata: Metadata| {
            metadata.is_file()
                && metadata.mode() & 0o7777 == own.mode() & 0o666
                && (metadata.uid(), metadata.nlink(), metadata.len()) == (own.uid(), 1, 0)
        };
        all.all(|is_new| is_new.unwrap_or(false)) && FILES.iter().all(|name| fs::symlink_metadata(job.join(name)).map_or(true, is_new_file))
    }

    fn with_free<T>(&self, look: impl FnOnce(&mut Vec<String>) -> T) -> T {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        look(free.get_or_insert_with(|| {
            let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }))
    }
}

/// Empties the folder for temporary files of a job, down to what another job would make there; false when something stays.
pub(crate) fn empty_temp(temp: &Path) -> bool {
    temp.is_dir() && !temp.is_symlink() && empty(temp, Path::new("temp"))
}

/// Removes from a folder what is in no room; `below` is where in a room it is.
fn empty(folder: &Path, below: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut is_empty = true;
    for entry in entries {
        let (Ok(entry), true) = (entry, is_empty) else { return false };
        let (path, place) = (entry.path(), below.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else { return false };
        let is = |known: &[&str]| known.iter().any(|known| Path::new(known) == place);
        is_empty = if kind.is_dir() && is(&FOLDERS) {
            empty(&path, &place)
        } else if kind.is_file() && is(&FILES) && cut(&path).is_ok() {
            true
        } else if kind.is_dir() {
            fs::remove_dir_all(&path).is_ok()
        } else {
            fs::remove_file(&path).is_ok()
        };
    }
    is_empty
}

/// To nothing: what was in it may be secret.
fn cut(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.nlink() > 1 {
        // Somebody else keeps it under another name.
        return Err(io::ErrorKind::Unsupported.into());
    }
    if metadata.len() == 0 {
        return Ok(());
    }
    File::options().write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?.set_len(0)
}

fn attributes(path: &Path) -> Vec<u8> {
    let mut names = vec![0; 1024];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    names.truncate(length);
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn all_below(folder: &Path) -> Vec<PathBuf> {
        let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let below = entries.iter().filter(|path| path.is_dir()).flat_map(|path| all_below(path)).collect();
        [entries, below].concat()
    }

    fn furnish(job: &Path) {
        FOLDERS.iter().for_each(|name| fs::create_dir_all(job.join(name)).unwrap());
        FILES.iter().for_each(|name| fs::write(job.join(name), "secret").unwrap());
    }

    #[test]
    fn a_job_that_ended_leaves_a_room_as_new() {
        let state = tempfile::tempdir().unwrap();
        let (rooms, job) = (Rooms::below(state.path().join("rooms")), state.path().join("jobs/a-1"));
        rooms.enter(&job);
        assert!(!job.exists(), "there is none yet");
        furnish(&job);
        fs::create_dir_all(job.join("workspace/src")).unwrap();
        for name in ["workspace/src/main.rs", "temp/token", "temp/_runner_file_commands/set_env_0_2", "marks.json"] {
            fs::write(job.join(name), "secret").unwrap();
        }
        symlink("/etc/passwd", job.join("temp/1.py")).unwrap();
        assert!(empty_temp(&job.join("temp")) && !job.join("temp/token").exists());
        assert!(rooms.leave(&job, "a") && !job.exists());
        let next = state.path().join("other/b-1");
        Rooms::below(state.path().join("rooms")).enter(&next);
        let mut left = all_below(&next);
        left.sort();
        let mut expected: Vec<PathBuf> = FOLDERS.iter().chain(&FILES).map(|name| next.join(name)).collect();
        expected.sort();
        assert_eq!(left, expected);
        assert!(FILES.iter().all(|name| fs::read(next.join(name)).unwrap().is_empty()));
    }

    #[test]
    fn what_a_job_has_changed_is_no_room() {
        let state = tempfile::tempdir().unwrap();
        let (rooms, job) = (Rooms::below(state.path().join("rooms")), state.path().join("a-1"));
        let mode =
            |name: &str, mode: u32| fs::set_permissions(state.path().join("a-1").join(name), PermissionsExt::from_mode(mode)).unwrap();
        let changes: [(&str, &dyn Fn()); 5] = [
            ("other rights", &|| mode("workspace", 0o700)),
            ("other rights of a file", &|| mode("temp/1.sh", 0o755)),
            ("sticky", &|| mode("temp", 0o1755)),
            ("a link instead of a folder", &|| {
                fs::remove_dir_all(state.path().join("a-1/workspace")).unwrap();
                symlink("/", state.path().join("a-1/workspace")).unwrap();
            }),
            ("no folder for temporary files", &|| fs::remove_dir_all(state.path().join("a-1/temp")).unwrap()),
        ];
        for (what, change) in changes {
            furnish(&job);
            change();
            assert!(!rooms.leave(&job, "a") && job.exists(), "{what}");
            fs::remove_dir_all(&job).unwrap();
        }
        furnish(&job);
        fs::hard_link(job.join("temp/1.sh"), state.path().join("mine")).unwrap();
        assert!(rooms.leave(&job, "a"), "without the file");
        assert_eq!(fs::read(state.path().join("mine")).unwrap(), b"secret");
        assert!(!state.path().join("rooms/a/temp/1.sh").exists());
    }

    #[test]
    fn only_so_many_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let (rooms, job) = (Rooms::below(state.path().join("rooms")), state.path().join("a-1"));
        for number in 0..ROOMS_MAX {
            fs::create_dir_all(state.path().join(format!("rooms/{number}"))).unwrap();
        }
        furnish(&job);
        assert!(!rooms.leave(&job, "a"));
    }
}
