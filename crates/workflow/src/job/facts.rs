//! What a job learns from the machine it runs on.

use std::collections::BTreeMap;

use crate::model::{Action, Pinned};

/// Known before the first step and fixed from then on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobFacts {
    pub workspace: String,
    /// `RUNNER_TEMP`; emptied when the job ends.
    pub temp: String,
    pub tool_cache: String,
    /// `Linux`, `macOS`, `Windows`.
    pub os: String,
    /// `X64`, `ARM64`.
    pub arch: String,
    pub runner_name: String,
    pub secrets: BTreeMap<String, String>,
    /// Whether the job's token is one that this machine alone takes. Actions of other repositories would show it to a forge, which
    /// refuses whoever shows one that it doesn't know and answers many who show none: they see none.
    pub own_token: bool,
    /// What every process of the job inherits: `PATH`, `HOME`, `LANG` …
    pub env: BTreeMap<String, String>,
    /// What the processes of actions get besides, and no `run:` step: where artifacts and caches are served, and with which token.
    pub action_env: BTreeMap<String, String>,
    /// What every process gets besides, wherever the machine's services are reached from.
    pub step_env: BTreeMap<String, String>,
    /// Masked like secrets, and in no context.
    pub masks: Vec<String>,
    /// Where the event's payload lies: `GITHUB_EVENT_PATH`.
    pub event_path: String,
    /// Whether `::debug::` lines are shown.
    pub debug: bool,
}

/// The files of a step, which a machine can't look into by itself. Asked from `advance` alone; the answers may change
/// between two steps.
pub trait Files {
    /// `hashFiles(…)`: the patterns as written, below the workspace.
    fn hash(&self, patterns: &[String], follow_links: bool) -> Result<String, String>;

    /// The `action.yml` or `action.yaml` in a directory below the workspace; a sentence when it can't be used.
    fn action(&self, directory: &str) -> Result<Action, String>;

    /// The job's own copy of another repository's files, fetched before the run; a sentence when it isn't there, or isn't what was
    /// pinned. The key is [`Remote::key`](super::Remote::key).
    fn fetched(&self, key: &str, pinned: &Pinned) -> Result<String, String>;

    /// The sources that the run's own workflow file is from, apart from the workspace, which steps change; a sentence when they
    /// can't be had.
    fn own(&self) -> Result<String, String>;

    /// The environment files of the step to come in this lane.
    fn paths(&self, lane: usize) -> FilePaths;

    /// The program for a JavaScript action that says `using: node20`, with the `PATH` of its step; a sentence when there is none.
    fn node(&self, using: &str, path: &str) -> Result<Node, String>;

    /// The same in the job's container: nothing but what its image has.
    fn node_inside(&self, using: &str) -> Result<Node, String>;
}

/// A `node` for an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub program: String,
    /// Where it isn't quite what the action asks for.
    pub warning: Option<String>,
}

/// Where a step finds its environment files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilePaths {
    pub env: String,
    pub output: String,
    pub state: String,
    pub path: String,
    pub step_summary: String,
}

impl FilePaths {
    /// By their names in the `github` context.
    pub fn named(&self) -> [(&'static str, &str); 5] {
        [("env", &self.env), ("output", &self.output), ("state", &self.state), ("path", &self.path), ("step_summary", &self.step_summary)]
    }
}
