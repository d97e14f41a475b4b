//! Which workflow files run on a commit, and whether they can.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use base::{Diagnostic, Severity, Source};
use host::actions::Resolver;
use workflow::github::Loaded;
use workflow::job::Remote;
use workflow::model::Workflow;
use workflow::runners::Runners;
use workflow::trigger::{self, Event, Triggered};

use super::token::{self, Remedy};
use super::{Choices, Tree};
use crate::config;
use crate::detect::Files as _;
use crate::failure::{Failure, Result};
use crate::gitlab;
use crate::wrong::{self, Said, Wrong};

/// Workflows that the event triggers; a file that is wrong, or wants what isn't there yet, refuses everything, with all its places.
pub(super) fn triggered(
    tree: &Tree,
    event: &Event,
    gitlab: &GitlabOf<'_>,
    (runners, remedy): (&Runners, Remedy),
    resolver: &mut Resolver<'_>,
    warnings: &mut Vec<String>,
    check: &mut dyn FnMut(&Source),
) -> Result<Vec<Workflow>> {
    let choices = gitlab.choices;
    let mut workflows = Vec::new();
    let mut wrong = Wrong::default();
    let files = chosen_files(tree, choices, warnings);
    for wanted in &choices.workflows {
        if !files.iter().any(|path| names(path, wanted)) {
            return Err(
                Failure::usage(format!("there is no workflow file `{wanted}`")).hint("`.github/workflows` is where they are looked for")
            );
        }
    }
    let several = files.len() > 1;
    for path in files {
        let source = match wrong::text(path, &tree.bytes(path).unwrap_or_default()) {
            Ok(source) => source,
            Err(said) => {
                wrong.add(said);
                continue;
            }
        };
        if gitlab::is_file(path) {
            match gitlab.compile(tree, event, &source, warnings) {
                Ok(workflow) => workflows.extend(workflow),
                Err(rendered) => wrong.add_rendered(rendered),
            }
            continue;
        }
        let loaded = load(&source, &|path| tree.bytes(path), runners, resolver);
        if let Some(workflow) = &loaded.workflow
            && let Triggered::No { reason } = trigger::matches(workflow, event)
        {
            // What is only there to be called runs where it is called.
            if workflow.on.iter().any(|trigger| trigger.event != "workflow_call") {
                warnings.push(format!("{path} does not run: {reason}"));
            }
            continue;
        }
        match ready(loaded, None, &|path| tree.read(path), resolver, remedy) {
            Ok((workflow, missing)) => {
                warnings.extend(missing);
                check(&source);
                workflows.push(workflow);
            }
            Err(said) => said.into_iter().for_each(|said| wrong.add(said)),
        }
    }
    wrong.refuse().map_err(|failure| match several {
        true => failure.hint("`--workflow FILE` runs only the files you name"),
        false => failure,
    })?;
    Ok(workflows)
}

/// The workflow if it can be run as it is written, else everything that speaks against it, in whichever of its files it stands:
/// what is wrong, what isn't there yet, and what a job would fail on for want of an action or a tool. It takes
/// what its actions are pinned to. Beside it, what its jobs may miss on this machine, and of a forge if there is a remedy to tell.
pub fn ready(
    loaded: Loaded,
    only_job: Option<&str>,
    read: &dyn Fn(&str) -> Option<String>,
    resolver: &mut Resolver<'_>,
    remedy: Remedy,
) -> std::result::Result<(Workflow, Vec<String>), Vec<Said>> {
    let Loaded { mut workflow, mut files } = loaded;
    let path = std::env::var("PATH").unwrap_or_default();
    let root = files[0].source.name.clone();
    let mut actions = BTreeMap::new();
    for file in &mut files {
        let mut cant_run = std::mem::take(&mut file.unsupported);
        let Some(own) = &file.workflow else {
            file.diagnostics.append(&mut cant_run);
            continue;
        };
        let (own, others) = as_far_as_it_runs(own, only_job.filter(|_| file.key.is_none()));
        let checked = match &file.key {
            None => host::job::check(&own, read, &path, resolver),
            Some(key) => host::job::check_called((key, &own), &root, read, &path, resolver),
        };
        actions.extend(checked.actions);
        cant_run.extend(checked.diagnostics);
        cant_run.extend(remedy.into_iter().flat_map(|remedy| token::remarks(&own, remedy)));
        cant_run.retain(|it| !others.iter().any(|job| job.contains(&it.span.start)));
        file.diagnostics.append(&mut cant_run);
    }
    workflow.iter_mut().for_each(|workflow| workflow.actions.append(&mut actions));
    match workflow.filter(|_| !files.iter().any(|file| has_errors(&file.diagnostics))) {
        Some(workflow) => Ok((workflow, files.iter().flat_map(|file| missing_tools(&file.source, &file.diagnostics)).collect())),
        None => Err(files.into_iter().map(|file| (file.source, file.diagnostics)).collect()),
    }
}

/// The workflow without the jobs that don't run with this one, or nowhere here, and where those stand in the file: what they can't
/// have stops nobody, and what they use needn't be fetched.
fn as_far_as_it_runs<'a>(workflow: &'a Workflow, only: Option<&str>) -> (Cow<'a, Workflow>, Vec<Range<usize>>) {
    let asked_for = only.map_or_else(|| vec![true; workflow.jobs.len()], |only| workflow::plan::asked_for(workflow, only));
    let runs: Vec<bool> = workflow.jobs.iter().zip(asked_for).map(|(job, asked_for)| asked_for && !workflow.runners.skips(job)).collect();
    if runs.iter().all(|runs| *runs) {
        return (Cow::Borrowed(workflow), Vec::new());
    }
    let starts: BTreeSet<usize> = workflow.jobs.iter().map(|job| job.span.start).collect();
    let end = |start: usize| starts.range(start + 1..).next().copied().unwrap_or(usize::MAX);
    let others = workflow.jobs.iter().zip(&runs).filter(|(_, runs)| !**runs);
    let others = others.map(|(job, _)| job.span.start..end(job.span.start)).collect();
    let mut rest = workflow.clone();
    let mut runs = runs.into_iter();
    rest.jobs.retain(|_| runs.next() == Some(true));
    (Cow::Owned(rest), others)
}

/// A workflow with all that it calls: files of this repository as they are in the sources, those of others as they are locked.
pub fn load(source: &Source, read: &dyn Fn(&str) -> Option<Vec<u8>>, runners: &Runners, resolver: &mut Resolver<'_>) -> Loaded {
    let resolver = RefCell::new(resolver);
    let options = workflow::github::Options { runners: runners.clone(), ..Default::default() };
    workflow::github::load_with(source, &|key| called_file(key, &source.name, read, &mut resolver.borrow_mut()), &options)
}

/// By the name that the plan gives it.
fn called_file(
    key: &str,
    caller: &str,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
    resolver: &mut Resolver<'_>,
) -> std::result::Result<String, String> {
    if let Some(path) = key.strip_prefix("./") {
        let bytes = read(path).ok_or_else(|| format!("there is no `{path}` in the sources"))?;
        return wrong::text_or_sentence(path, &bytes);
    }
    let remote = Remote::parse(key)?;
    let fetched = resolver.find(&remote, caller)?;
    std::fs::read_to_string(fetched.folder.join(&remote.path))
        .map_err(|error| format!("`{}` can't be read in `{}` (commit {}): {error}", remote.path, remote.slug(), fetched.commit))
}

/// What a job may miss on this machine, with its place.
fn missing_tools(source: &Source, diagnostics: &[Diagnostic]) -> Vec<String> {
    let missing = diagnostics.iter().filter(|it| [host::job::MISSING_TOOL, token::NO_FORGE].contains(&it.code));
    missing.map(|it| format!("{}:{}: {}", source.name, source.line_column(it.span.start).0, it.message)).collect()
}

pub(super) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// GitHub's files, or GitLab's where there are none; those that are named, whoever's they are.
fn chosen_files<'t>(tree: &'t Tree, choices: &Choices, warnings: &mut Vec<String>) -> Vec<&'t String> {
    if !choices.workflows.is_empty() {
        let known = |path: &&String| is_workflow(path) || gitlab::is_file(path);
        return tree.paths.iter().filter(known).filter(|path| choices.workflows.iter().any(|wanted| names(path, wanted))).collect();
    }
    let github: Vec<&String> = tree.paths.iter().filter(|path| is_workflow(path)).collect();
    let gitlab = tree.paths.iter().find(|path| *path == gitlab::FILE);
    match (github.is_empty(), gitlab) {
        (true, gitlab) => gitlab.into_iter().collect(),
        (false, Some(_)) => {
            warnings.push(format!("`{0}` is left alone beside `.github/workflows`; `--workflow {0}` runs it instead", gitlab::FILE));
            github
        }
        (false, None) => github,
    }
}

/// What a GitLab file is compiled with.
pub(super) struct GitlabOf<'a> {
    pub project: &'a str,
    pub config: &'a config::Gitlab,
    pub choices: &'a Choices,
}

impl GitlabOf<'_> {
    /// Nothing when there is no pipeline for the event; an error is rendered already.
    fn compile(
        &self,
        tree: &Tree,
        event: &Event,
        source: &Source,
        warnings: &mut Vec<String>,
    ) -> std::result::Result<Option<Workflow>, String> {
        let request = gitlab::Request {
            event,
            repository: Some(&tree.repository),
            project: self.project,
            actor: &self.choices.actor,
            config: self.config,
            images: self.choices.gitlab_images,
            engine: true,
            vars: &self.choices.vars,
            secrets: Vec::new(),
            inputs: BTreeMap::new(),
            play: BTreeSet::new(),
            changed: event.changed_paths.clone(),
            root: tree.folder(),
        };
        match gitlab::compile(source, tree, &request) {
            Ok((compiled, more)) => {
                warnings.extend(more);
                warnings.extend(
                    compiled.not_added.iter().map(|it| format!("{}: the job `{}` does not run: {}", source.name, it.job, it.reason)),
                );
                Ok(Some(compiled.workflow))
            }
            Err(gitlab::Problem::NoPipeline(why)) => {
                warnings.push(format!("{} does not run: {why}", source.name));
                Ok(None)
            }
            Err(gitlab::Problem::Wrong(rendered)) => Err(rendered),
        }
    }
}

pub(super) fn is_workflow(path: &str) -> bool {
    path.strip_prefix(".github/workflows/").is_some_and(|name| !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml")))
}

fn names(path: &str, wanted: &str) -> bool {
    path == wanted || path.rsplit('/').next() == Some(wanted)
}
