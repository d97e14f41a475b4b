//! Actions: those that lie in the workspace are read here, those built in are performed here.
//!
//! A family of actions is one file: its inputs, what they become, its outputs, its tests.

pub(crate) mod artifact;
mod cache;
pub(super) mod checkout;
mod dependency_check;
pub(super) mod desk;
mod docker;
mod gitlab;
mod gitleaks;
mod golangci;
pub(super) mod heed;
mod inputs;
mod kubernetes;
mod metadata;
pub(super) mod need;
pub(crate) mod place;
mod reports;
mod setup;
mod slack;
mod snyk;
mod supply;
mod tool;
mod trivy;
mod version;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use base::mask::Mask;
use base::{Severity, Source};
use engine::world::JobStart;
use workflow::job::{ActionCall, Builtin, Files, Foreseen, Job, Stage, Wrote};
use workflow::model::Action;

use super::JobDirs;
use crate::forge::Way;
use desk::{Desk, Undone};
use inputs::Inputs;
use place::Place;

/// Performs built-in actions for one job.
#[derive(Debug)]
pub(super) struct Actions<'a> {
    start: &'a JobStart,
    dirs: &'a JobDirs,
    /// To the repository at the forge, where the job may write there.
    way: Option<Way>,
}

impl<'a> Actions<'a> {
    pub(super) fn new(start: &'a JobStart, dirs: &'a JobDirs, way: Option<Way>) -> Actions<'a> {
        Actions { start, dirs, way }
    }

    /// Whether the tools that the job's actions need are on this machine: sentences about those that may be missing, because their
    /// step may fail; a sentence with all that may not.
    pub(super) fn ready(&self, job: &Job, files: &dyn Files) -> Result<Vec<String>, String> {
        let mut wrong: Vec<String> = Vec::new();
        let mut allowed: Vec<String> = Vec::new();
        for foreseen in job.foresee(files) {
            if let Err(why) = self.ready_for(&foreseen, job.inherited()) {
                let why = format!("`{}` can't do what is asked: {why}", foreseen.builtin.name());
                if foreseen.allowed {
                    allowed.push(format!("{why}; its step will fail, as it is allowed to"));
                } else if !wrong.contains(&why) {
                    wrong.push(why);
                }
            }
        }
        if wrong.is_empty() { Ok(allowed) } else { Err(wrong.join("; ")) }
    }

    fn ready_for(&self, foreseen: &Foreseen, env: &BTreeMap<String, String>) -> Result<(), String> {
        let inputs = Inputs(&foreseen.inputs);
        if let Some(tool) = setup::tool(foreseen.builtin) {
            let read = |path: &str| self.source_file(path);
            return setup::wanted(tool, &foreseen.reference, &foreseen.inputs, env, &read).map(drop);
        }
        match foreseen.builtin {
            Builtin::Checkout => {
                checkout::refuse_foreign(inputs, self.start.spec.contexts.github["repository"].as_str().unwrap_or_default())
            }
            Builtin::DockerLogin | Builtin::SetupBuildx | Builtin::BuildPush => docker::engine(env).map(drop),
            Builtin::SetupQemu => docker::qemu_ready(inputs),
            Builtin::Codecov => reports::codecov_ready(inputs, env),
            Builtin::SetContext => kubernetes::ready(inputs, env),
            other => tools(other).map_or(Ok(()), |names| need::need(names, env).map(drop)),
        }
    }

    pub(super) fn perform(&self, call: &ActionCall, mask: &Mask, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
        let place = Place { start: self.start, dirs: self.dirs, call, mask };
        match call.builtin {
            Builtin::Checkout => Ok(checkout::perform(self.start, self.dirs, self.way.as_ref(), call, &mut |line| desk.say(line))?),
            Builtin::UploadArtifact { version } => artifact::upload(self.dirs, call, version, mask, desk),
            Builtin::DownloadArtifact { version } => artifact::download(self.dirs, call, version, desk),
            Builtin::Cache if call.stage == Stage::Main => cache::restore(self.dirs, call, desk),
            Builtin::CacheRestore => cache::restore(self.dirs, call, desk),
            Builtin::Cache | Builtin::CacheSave => cache::save(self.dirs, call, mask, desk),
            Builtin::GitlabLoad => gitlab::load(self.dirs, call, desk),
            Builtin::GitlabSave => gitlab::save(self.start, self.dirs, call, mask, desk),
            Builtin::GitlabCacheRestore => cache::restore_any(self.dirs, call, desk),
            Builtin::GitlabCacheSave => cache::replace(self.dirs, call, mask, desk),
            Builtin::DockerLogin => docker::login(place, desk),
            Builtin::SetupBuildx => docker::buildx(place, desk),
            Builtin::SetupQemu => docker::qemu(place, desk),
            Builtin::DockerMetadata => metadata::perform(place, desk),
            Builtin::BuildPush => docker::build_push(place, desk),
            Builtin::Codecov => reports::codecov(place, desk),
            Builtin::UploadSarif => reports::sarif(place, desk),
            Builtin::Trivy => trivy::perform(place, desk),
            Builtin::Gitleaks => gitleaks::perform(place, desk),
            Builtin::Snyk(which) => snyk::perform(place, which, desk),
            Builtin::GolangciLint => golangci::perform(place, desk),
            Builtin::DependencyCheck => dependency_check::perform(place, desk),
            Builtin::CosignInstaller => supply::cosign(place, desk),
            Builtin::Sbom => supply::sbom(place, desk),
            Builtin::DownloadSyft => supply::syft(place, desk),
            Builtin::Slack => slack::perform(place, desk),
            Builtin::SetContext => kubernetes::set_context(place, desk),
            Builtin::SetupPython
            | Builtin::SetupNode
            | Builtin::SetupGo
            | Builtin::SetupJava
            | Builtin::SetupPnpm
            | Builtin::RustToolchain => {
                let tool = setup::tool(call.builtin).expect("these set a tool up");
                let read = |path: &str| fs::read_to_string(self.dirs.workspace.join(path)).ok();
                Ok(setup::perform(tool, call, &self.dirs.temp, &read, &mut |line| desk.say(line))?)
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

/// Writes a line to the step's log.
pub(super) type Say<'s> = &'s mut dyn FnMut(&str);

/// The programs one of which an action needs whatever its inputs are.
pub(super) fn tools(builtin: Builtin) -> Option<&'static [&'static str]> {
    Some(match builtin {
        Builtin::DockerLogin | Builtin::SetupBuildx | Builtin::BuildPush => &["buildah", "podman", "docker"],
        Builtin::Trivy => trivy::TOOL,
        Builtin::Gitleaks => gitleaks::TOOL,
        Builtin::Snyk(_) => snyk::TOOL,
        Builtin::GolangciLint => golangci::TOOL,
        Builtin::DependencyCheck => dependency_check::TOOL,
        Builtin::CosignInstaller => supply::COSIGN,
        Builtin::Sbom | Builtin::DownloadSyft => supply::SYFT,
        Builtin::Slack => slack::TOOL,
        _ => return None,
    })
}

/// As a program says itself; nothing when it doesn't.
fn tool_version(program: &Path, arguments: &[&str], env: &BTreeMap<String, String>) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).env_clear().envs(env).stdin(Stdio::null()).output().ok()?;
    version::found_in(&String::from_utf8_lossy(&output.stdout)).or_else(|| version::found_in(&String::from_utf8_lossy(&output.stderr)))
}

/// What a checkout asks for and can't be had without a network, as far as the inputs say so by themselves.
pub(super) fn refuse_foreign(inputs: &BTreeMap<String, String>) -> Result<(), String> {
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
