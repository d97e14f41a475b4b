//! The environment files of the steps, on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use workflow::job::FilePaths;
use workflow::job::files::StepFiles;

/// The five files of the step to come. They are made anew only after a step has written to them: most steps don't.
#[derive(Debug)]
pub(super) struct EnvFiles {
    directory: PathBuf,
    generation: u32,
    paths: FilePaths,
}

impl EnvFiles {
    pub(super) fn new(temp: &Path) -> io::Result<EnvFiles> {
        let directory = temp.join("_runner_file_commands");
        fs::create_dir_all(&directory)?;
        let mut files = EnvFiles { directory, generation: 0, paths: FilePaths::default() };
        files.renew()?;
        Ok(files)
    }

    pub(super) fn paths(&self) -> &FilePaths {
        &self.paths
    }

    /// Fresh files under new names, so that what an earlier step left running can't write into a later step's.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        for (_, path) in self.paths.named() {
            let _ = fs::remove_file(path);
        }
        self.generation += 1;
        let name = |prefix: &str| self.directory.join(format!("{prefix}_{}", self.generation)).to_string_lossy().into_owned();
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
    pub(super) fn collect(&mut self) -> io::Result<Option<StepFiles>> {
        let untouched = |path: &str| fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
        if self.paths.named().iter().all(|(_, path)| untouched(path)) {
            return Ok(None);
        }
        let read = |path: &str| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let files = StepFiles {
            env: read(&self.paths.env),
            output: read(&self.paths.output),
            state: read(&self.paths.state),
            path: read(&self.paths.path),
            summary: read(&self.paths.step_summary),
        };
        self.renew()?;
        Ok(Some(files))
    }
}
