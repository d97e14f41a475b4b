//! The environment files of the steps, on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use workflow::job::files::{SUMMARY_BYTES_MAX, StepFiles};
use workflow::job::{FileMistake, FilePaths};

/// Below the job's folder for temporary files.
pub(super) const FOLDER: &str = "_runner_file_commands";

/// What is read of one file; what is larger was not meant for us.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The five files of the step to come. They are made anew only after a step has written to them: most steps don't.
#[derive(Debug)]
pub(super) struct EnvFiles {
    directory: PathBuf,
    lane: usize,
    generation: u32,
    paths: FilePaths,
}

/// What a step left in its files, and what is wrong with the files themselves.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) files: StepFiles,
    pub(super) mistakes: Vec<FileMistake>,
    /// Sentences that fail nothing.
    pub(super) warnings: Vec<String>,
}

impl EnvFiles {
    pub(super) fn new(temp: &Path, lane: usize) -> io::Result<EnvFiles> {
        let directory = temp.join(FOLDER);
        let mut files = EnvFiles { directory, lane, generation: 0, paths: FilePaths::default() };
        files.renew()?;
        Ok(files)
    }

    pub(super) fn paths(&self) -> &FilePaths {
        &self.paths
    }

    /// Fresh files under new names, so that what an earlier step left running can't write into a later step's.
    fn renew(&mut self) -> io::Result<()> {
        for (_, path) in self.paths.named() {
            let _ = fs::remove_file(path);
        }
        fs::create_dir_all(&self.directory)?;
        self.generation += 1;
        let (directory, lane, generation) = (&self.directory, self.lane, self.generation);
        let name = |prefix: &str| directory.join(format!("{prefix}_{lane}_{generation}")).to_string_lossy().into_owned();
        self.paths = FilePaths {
            env: name("set_env"),
            output: name("set_output"),
            state: name("save_state"),
            path: name("add_path"),
            step_summary: name("step_summary"),
        };
        for (_, path) in self.paths.named() {
            fs::write(path, [])?;
        }
        Ok(())
    }

    /// What the step wrote; nothing, at the cost of five looks, when it wrote nothing.
    pub(super) fn collect(&mut self) -> io::Result<Option<Collected>> {
        let untouched = |path: &str| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
        if self.paths.named().iter().all(|(_, path)| untouched(path)) {
            return Ok(None);
        }
        let mut collected = Collected::default();
        for (name, path) in self.paths.named() {
            let into = match name {
                "env" => &mut collected.files.env,
                "output" => &mut collected.files.output,
                "state" => &mut collected.files.state,
                "path" => &mut collected.files.path,
                _ => &mut collected.files.summary,
            };
            let variable = format!("GITHUB_{}", name.to_uppercase());
            let limit = if name == "step_summary" { SUMMARY_BYTES_MAX as u64 } else { FILE_BYTES_MAX };
            match read(Path::new(path), limit) {
                Ok(text) => *into = text,
                Err(Unreadable::Gone) => {
                    collected.warnings.push(format!("The step has deleted the file ${variable}; what it may have written there is lost."));
                }
                Err(Unreadable::Large { bytes, .. }) if name == "step_summary" => {
                    let (limit, size) = (limit / 1024, bytes / 1024);
                    let text = format!("$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of {limit}k, got {size}k.");
                    collected.mistakes.push(FileMistake { text, fails: false });
                }
                Err(why) => {
                    let text = format!("The file ${variable} can't be read: {why}. Write to it as to any file, with `>> \"${variable}\"`.");
                    collected.mistakes.push(FileMistake { text, fails: true });
                }
            }
        }
        self.renew()?;
        Ok(Some(collected))
    }
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("it is gone")]
    Gone,
    #[error("the step has put {0} in its place")]
    Replaced(&'static str),
    #[error("it has {bytes} bytes, and at most {limit} are read")]
    Large { bytes: u64, limit: u64 },
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Follows no link and waits for no writer, whatever the step has put there.
fn read(path: &Path, limit: u64) -> Result<String, Unreadable> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Unreadable::Gone),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) => {
            return Err(Unreadable::Replaced("a symbolic link"));
        }
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Unreadable::Replaced("a directory"));
    }
    if !metadata.is_file() {
        return Err(Unreadable::Replaced("a pipe, a socket or a device"));
    }
    read_text(&mut file, metadata.len(), limit)
}

fn read_text(file: &mut File, bytes: u64, limit: u64) -> Result<String, Unreadable> {
    if bytes > limit {
        return Err(Unreadable::Large { bytes, limit });
    }
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    Ok(String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
