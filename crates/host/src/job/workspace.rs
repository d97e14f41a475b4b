//! The files of a job as its machine asks for them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use engine::world::{CodeSource, JobStart};
use workflow::job::{FilePaths, Files, JobFacts, Node};
use workflow::model::{Action, Pinned};

use super::container::Containers;
use super::files::{Collected, EnvFiles};
use super::{JobDirs, action, hash, node};
use crate::actions::Store;
use crate::dirs::file_name;

#[derive(Debug)]
pub(super) struct Workspace {
    root: PathBuf,
    home: Option<PathBuf>,
    temp: PathBuf,
    /// Where versions of Node.js may lie, besides the `PATH`.
    nodes: Vec<PathBuf>,
    /// By lane.
    env_files: BTreeMap<usize, EnvFiles>,
    fetched: Store,
    /// The job's own copies of what was fetched; an action may write where it lies.
    copies: PathBuf,
    containers: Rc<RefCell<Containers>>,
    dirs: JobDirs,
    source: CodeSource,
    env: BTreeMap<String, String>,
}

impl Workspace {
    pub(super) fn new(
        start: &JobStart,
        dirs: &JobDirs,
        facts: &JobFacts,
        containers: Rc<RefCell<Containers>>,
    ) -> Result<Workspace, String> {
        let home = facts.env.get("HOME").map(PathBuf::from);
        let nvm = facts.env.get("NVM_DIR").map(|nvm| Path::new(nvm).join("versions/node"));
        let nodes = [Some(dirs.tool_cache.join("node")), nvm].into_iter().flatten().collect();
        let (fetched, copies) = (Store::new(dirs.actions.clone()), dirs.temp.join("_actions"));
        let (root, temp, env_files) = (dirs.workspace.clone(), dirs.temp.clone(), BTreeMap::new());
        let (dirs, source, env) = (dirs.clone(), start.source.clone(), facts.env.clone());
        let mut workspace = Workspace { root, home, temp, nodes, env_files, fetched, copies, containers, dirs, source, env };
        workspace.open(0).map_err(|error| format!("the environment files can't be made: {error}"))?;
        Ok(workspace)
    }

    /// Makes the environment files of a lane.
    pub(super) fn open(&mut self, lane: usize) -> io::Result<()> {
        self.env_files.insert(lane, EnvFiles::new(&self.temp, lane)?);
        Ok(())
    }

    pub(super) fn collect(&mut self, lane: usize) -> io::Result<Option<Collected>> {
        self.env_files.get_mut(&lane).map_or(Ok(None), EnvFiles::collect)
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

    fn own(&self) -> Result<String, String> {
        // Under no name that a fetched one has: theirs have an `@` in them.
        let folder = self.copies.join("own");
        if !folder.is_dir() {
            action::checkout::own(&self.source, &self.dirs, &self.env, &folder)?;
        }
        Ok(folder.to_string_lossy().into_owned())
    }

    fn paths(&self, lane: usize) -> FilePaths {
        self.env_files.get(&lane).map(|files| files.paths().clone()).unwrap_or_default()
    }

    fn node(&self, using: &str, path: &str) -> Result<Node, String> {
        node::choose(using, path, &self.nodes)
    }

    fn node_inside(&self, using: &str) -> Result<Node, String> {
        self.containers.borrow().node(using)
    }
}
