//! The files of a job as its machine asks for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use workflow::job::files::StepFiles;
use workflow::job::{FilePaths, Files, JobFacts};
use workflow::model::{Action, Pinned};

use super::files::EnvFiles;
use super::{JobDirs, action, hash};
use crate::actions::Store;
use crate::dirs::file_name;

#[derive(Debug)]
pub(super) struct Workspace {
    root: PathBuf,
    home: Option<PathBuf>,
    env_files: EnvFiles,
    fetched: Store,
    /// The job's own copies of what was fetched; an action may write where it lies.
    copies: PathBuf,
}

impl Workspace {
    pub(super) fn new(dirs: &JobDirs, facts: &JobFacts) -> Result<Workspace, String> {
        let env_files = EnvFiles::new(&dirs.temp).map_err(|error| format!("the environment files can't be made: {error}"))?;
        let (fetched, copies) = (Store::new(dirs.actions.clone()), dirs.temp.join("_actions"));
        Ok(Workspace { root: dirs.workspace.clone(), home: facts.env.get("HOME").map(PathBuf::from), env_files, fetched, copies })
    }

    pub(super) fn collect(&mut self) -> io::Result<Option<StepFiles>> {
        self.env_files.collect()
    }
}

impl Files for Workspace {
    fn hash(&self, patterns: &[String], follow_links: bool) -> Result<String, String> {
        hash::files(&self.root, self.home.as_deref(), patterns, follow_links)
    }

    fn action(&self, directory: &str) -> Result<Action, String> {
        let read = |name: &str| {
            let path = Path::new(directory).join(name);
            Some((path.to_string_lossy().into_owned(), fs::read_to_string(&path).ok()?))
        };
        let found = ["action.yml", "action.yaml"].into_iter().find_map(read);
        let (path, text) = found.ok_or_else(|| {
            format!("there is no `action.yml` or `action.yaml` in `{directory}`; did the job run `actions/checkout` before?")
        })?;
        action::parse(&path, &text)
    }

    fn fetched(&self, key: &str, pinned: &Pinned) -> Result<String, String> {
        let folder = self.copies.join(file_name(key));
        if !folder.is_dir() {
            self.fetched.copy(pinned, &folder).map_err(|why| format!("`{key}` can't be used: {why}"))?;
        }
        Ok(folder.to_string_lossy().into_owned())
    }

    fn paths(&self) -> FilePaths {
        self.env_files.paths().clone()
    }
}
