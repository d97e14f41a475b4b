//! Actions: those that lie in the workspace are read here, those built in are performed here.

pub(crate) mod artifact;
mod cache;
mod checkout;
mod gitlab;
mod inputs;
mod setup;
mod tool;
mod version;

use std::fs;
use std::path::Path;
use std::process::Command;

use base::mask::Mask;
use base::{Severity, Source};
use engine::world::JobStart;
use workflow::job::{ActionCall, Builtin, Files, Job, Stage, Wrote};
use workflow::model::Action;

use super::JobDirs;
use inputs::Inputs;

/// Performs built-in actions for one job.
#[derive(Debug)]
pub(super) struct Actions<'a> {
    start: &'a JobStart,
    dirs: &'a JobDirs,
}

/// Writes a line to the step's log.
pub(super) type Say<'s> = &'s mut dyn FnMut(&str);

impl<'a> Actions<'a> {
    pub(super) fn new(start: &'a JobStart, dirs: &'a JobDirs) -> Actions<'a> {
        Actions { start, dirs }
    }

    /// Whether the tools that the job sets up are on this machine; a sentence when one isn't.
    pub(super) fn ready(&self, job: &Job, files: &dyn Files) -> Result<(), String> {
        for foreseen in job.foresee(files) {
            let wrong = match setup::tool(foreseen.builtin) {
                Some(tool) => {
                    let read = |path: &str| self.source_file(path);
                    setup::wanted(tool, &foreseen.reference, &foreseen.inputs, job.inherited(), &read).err()
                }
                None if foreseen.builtin == Builtin::Checkout => {
                    let own = self.start.spec.contexts.github["repository"].as_str().unwrap_or_default();
                    checkout::refuse_foreign(Inputs(&foreseen.inputs), own).err()
                }
                None => None,
            };
            if let Some(wrong) = wrong {
                return Err(format!("`{}` can't do what is asked: {wrong}", foreseen.builtin.name()));
            }
        }
        Ok(())
    }

    pub(super) fn perform(&self, call: &ActionCall, mask: &Mask, say: Say<'_>) -> Result<Wrote, String> {
        match call.builtin {
            Builtin::Checkout => checkout::perform(self.start, self.dirs, call, say),
            Builtin::UploadArtifact { version } => artifact::upload(self.dirs, call, version, mask, say),
            Builtin::DownloadArtifact { version } => artifact::download(self.dirs, call, version, say),
            Builtin::Cache if call.stage == Stage::Main => cache::restore(self.dirs, call, say),
            Builtin::CacheRestore => cache::restore(self.dirs, call, say),
            Builtin::Cache | Builtin::CacheSave => cache::save(self.dirs, call, mask, say),
            Builtin::GitlabLoad => gitlab::load(self.dirs, call, say),
            Builtin::GitlabSave => gitlab::save(self.dirs, call, mask, say),
            Builtin::GitlabCacheRestore => cache::restore_any(self.dirs, call, say),
            Builtin::GitlabCacheSave => cache::replace(self.dirs, call, mask, say),
            setup => {
                let tool = setup::tool(setup).expect("what isn't about files sets a tool up");
                let read = |path: &str| fs::read_to_string(self.dirs.workspace.join(path)).ok();
                setup::perform(tool, call, &self.dirs.temp, &read, say)
            }
        }
    }

    /// A file of the sources, before anything is checked out.
    fn source_file(&self, path: &str) -> Option<String> {
        let source = &self.start.source;
        if let Ok(text) = fs::read_to_string(self.dirs.workspace.join(path)) {
            return Some(text);
        }
        let file = Path::new(&source.subtree).join(path);
        let show = format!("{}:{}", source.sha, file.display());
        let output = Command::new("git").args(["-C", &source.repository, "show", &show]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What a checkout asks for and can't be had without a network, as far as the inputs say so by themselves.
pub(super) fn refuse_foreign(inputs: &std::collections::BTreeMap<String, String>) -> Result<(), String> {
    checkout::refuse_foreign(Inputs(inputs), "")
}

/// An `action.yml`; a sentence with the place of the first mistake when it can't be read.
pub(super) fn parse(path: &str, text: &str) -> Result<Action, String> {
    let source = Source::new(path, text);
    let (action, diagnostics) = workflow::github::parse_action(&source);
    action.ok_or_else(|| {
        let first = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        first.map_or_else(
            || format!("`{path}` can't be read"),
            |first| {
                let (line, column) = source.line_column(first.span.start);
                format!("{path}:{line}:{column}: {}", first.message)
            },
        )
    })
}
