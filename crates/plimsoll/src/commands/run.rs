//! `plimsoll run`: workflows here, in this process, without a server.
//!
//! Jobs run on threads, as the machine starts them; the record stays in memory and is written once, at the end.

mod diff;
mod explain;
mod kept;
mod list;
mod printer;
mod rerun;
mod stage;
mod turns;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use base::Source;
use base::name::{RunId, nearest};
use base::people::same;
use host::dirs::Dirs;
use host::git;
use host::runs::{Again, Asked, Attempt, NotRun, Runs};
use host::supervise::Limits;
use host::supervise::cgroup;
use release::CodeSource;
use workflow::environment::Environments;
use workflow::job::Conclusion;
use workflow::model::{Job, Step, StepAction, Template, Work, Workflow};
use workflow::plan::{Plan, Repository, Request};
use workflow::schema::events;
use workflow::trigger::{Event, Triggered, matches};

use super::{actor, pairs};
use crate::cli::{ImagesChoice, Run as RunArgs, RunCommand};
use crate::compose::secrets::{empty, is_empty_in};
use crate::compose::{git_failure, load, project_id, ready, stays_out, workflows_above};
use crate::config::{self, Config};
use crate::detect::quote;
use crate::event;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::fetching;
use crate::gitlab;
use crate::graph::Graph;
use crate::security;
use crate::terminal::{Terminal, Tone};
use crate::view::from_here;
use crate::world;
use crate::wrong::{self, Wrong};
use stage::{Interrupts, Stage, without_secrets};

pub fn run(args: &RunArgs, terminal: &Terminal) -> Result<u8> {
    match &args.command {
        None if args.watch && !args.dry_run => watch::watch(args, terminal),
        None => begin(args, &Interrupts::listen(), terminal),
        Some(RunCommand::List(args)) => list::list(args, terminal),
        Some(RunCommand::View(args)) => list::view(args, terminal),
        Some(RunCommand::Rerun(args)) => rerun::rerun(args, terminal),
        Some(RunCommand::Explain(args)) => explain::explain(args, terminal),
        Some(RunCommand::Diff(args)) => diff::diff(args, terminal),
    }
}

fn begin(args: &RunArgs, interrupts: &Interrupts, terminal: &Terminal) -> Result<u8> {
    let project = Project::find(args)?;
    let event = project.event(args)?;
    let secrets = secrets(&args.secrets, &project.root())?;
    for name in secrets.iter().filter(|(_, value)| value.len() < SECRET_MIN).map(|(name, _)| name) {
        terminal.warn(&format!("the secret `{name}` is so short that parts of other words are hidden with it"));
    }
    let mut waiting = Vec::new();
    let mut found = match project.gitlab_file(args, terminal) {
        Some(file) => {
            let gitlab = project.gitlab(&file, args, &event, secrets.keys().cloned().collect(), terminal)?;
            waiting = gitlab.blocking.clone();
            Found { only_job: gitlab.only_job, stages: gitlab.stages, workflows: vec![gitlab.workflow], not_run: Vec::new() }
        }
        None => project.workflows(args, &event, terminal)?,
    };
    if let (Some(job), Some(step)) = (&found.only_job, &args.step) {
        only_step(&mut found.workflows, job, step)?;
    }
    let stages = found.stages.clone();
    let found_not_run = found.not_run.clone();
    for warning in without_effect(args, &event, &found).into_iter().chain(empty_secrets(args, &found, &secrets)) {
        terminal.warn(&warning);
    }
    let plans = plan(args, &project, &event, found, terminal)?;
    if args.dry_run {
        return dry_run(&plans, &stages, super::schedule::starts(&project.id()).unwrap_or(false), terminal);
    }
    let asking =
        Asking { secrets, env: pairs("env", &args.env)?, pause: args.pause_on_failure, identity: args.identity, not_run: found_not_run };
    // A group of its own for a few milliseconds' work would cost more than the work.
    cgroup::bound_user(Limits::default());
    let shelf = Shelf::open(&project, terminal)?;
    let left_out = project.left_out(&plans);
    let ran: Vec<String> = plans.iter().map(|plan| plan.workflow.path.clone()).collect();
    let conclusions =
        plans.into_iter().map(|plan| first(plan, &project, &shelf, &asking, interrupts, terminal)).collect::<Result<Vec<_>>>()?;
    let (as_they_lie, out) = left_out.and_then(|asking| asking.join().ok()).unwrap_or_default();
    if let Some(first) = as_they_lie.iter().find(|path| ran.contains(path)) {
        terminal.warn(&format!(
            "`{first}` is not committed as it lies here, and it is what was run: another checkout of the commit may do otherwise"
        ));
    }
    if !out.is_empty() {
        terminal.warn(&stays_out(&out));
    }
    Ok(ended(&conclusions, &waiting, interrupts, terminal))
}

/// What was given and is asked for nowhere.
fn without_effect(args: &RunArgs, event: &Event, found: &Found) -> Vec<String> {
    let files = || found.workflows.iter().flat_map(|workflow| std::iter::once(workflow).chain(workflow.called.values()));
    let environments: Vec<&Template> =
        files().flat_map(|file| &file.jobs).filter_map(|job| job.environment.as_ref()).map(|it| &it.name).collect();
    let names: Vec<&str> =
        environments.iter().filter_map(|name| if let Template::String(name) = name { Some(name.as_str()) } else { None }).collect();
    let mut said = Vec::new();
    // What an expression names may be any of them.
    for allowed in args.allow_environments.iter().filter(|_| names.len() == environments.len()) {
        if !names.iter().any(|name| same(name, allowed)) {
            let near = nearest(allowed, names.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            said.push(format!("`--allow-environment {allowed}` has no effect: no job delivers to `{allowed}`{near}"));
        }
    }
    let takes_inputs = event.name == "workflow_dispatch" || found.workflows.iter().any(|workflow| gitlab::is_file(&workflow.path));
    if let Some(first) = args.inputs.first().filter(|_| !takes_inputs) {
        said.push(format!("`--input {first}` has no effect: `{}` has no inputs; `--event workflow_dispatch` has", event.name));
    }
    said
}

/// What jobs use and nobody gave; of one job that was asked for alone, what that one uses.
fn empty_secrets(args: &RunArgs, found: &Found, given: &BTreeMap<String, String>) -> Vec<String> {
    let is_asked = |job: &Job| found.only_job.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(&job.id));
    let runs = |job: &Job| is_asked(job) && (job.environment.is_none() || !args.allow_environments.is_empty());
    let is_given = |_: &Job, name: &str| given.keys().any(|given| given.eq_ignore_ascii_case(name));
    let empty = empty(&found.workflows, runs, is_given);
    let remark = |(name, jobs): (String, Vec<&Job>)| {
        format!(
            "{}; `--secret {name}=VALUE` gives it one, `--secret {name}` the one that `plimsoll secret set` keeps",
            is_empty_in(&name, &jobs)
        )
    };
    empty.into_iter().map(remark).collect()
}

/// Leaves of a job one step, and before it those that use actions: they lay the ground for it.
fn only_step(workflows: &mut [Workflow], job: &str, named: &str) -> Result<()> {
    let jobs = workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs).filter(|it| it.id.eq_ignore_ascii_case(job));
    let mut known = Vec::new();
    for job in jobs {
        let Work::Steps { steps, .. } = &mut job.work else {
            return Err(Failure::usage(format!("the job `{}` calls a workflow and has no steps of its own", job.id)));
        };
        if let Some(at) = (0..steps.len()).find(|at| step_names(*at, &steps[*at]).iter().any(|it| it.eq_ignore_ascii_case(named))) {
            let mut number = 0;
            steps.retain(|step| {
                number += 1;
                number == at + 1 || (number <= at && matches!(step.action, StepAction::Uses { .. }))
            });
            return Ok(());
        }
        known.extend(steps.iter().enumerate().filter_map(|(at, step)| step_names(at, step).pop()));
    }
    if known.is_empty() {
        // The plan says that there is no such job.
        return Ok(());
    }
    Err(Failure::not_found(format!("`{job}` has no step `{named}`; it has {}", known.join(", "))))
}

/// Its number from 1, its id and its name, as far as it has them; the last is what people would say.
fn step_names(at: usize, step: &Step) -> Vec<String> {
    let mut names = vec![(at + 1).to_string()];
    names.extend(Some(step.id.clone()).filter(|id| !id.starts_with("__")));
    if let Some(Template::String(name)) = &step.name {
        names.push(name.clone());
    }
    names
}

/// What a run is given besides its plan.
struct Asking {
    secrets: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    pause: bool,
    identity: bool,
    not_run: Vec<NotRun>,
}

/// Where the runs of a project are kept: on this machine, or where that can't be, nowhere for long.
struct Shelf {
    runs: Runs,
    temporary: Option<tempfile::TempDir>,
}

impl Shelf {
    fn open(project: &Project, terminal: &Terminal) -> Result<Shelf> {
        match Dirs::open() {
            Ok(dirs) => Ok(Shelf { runs: Runs::of(&dirs, &project.id()), temporary: None }),
            Err(error) => {
                terminal.warn(&format!("nothing of this run is kept: {error}"));
                let folder = tempfile::Builder::new().prefix("plimsoll-run-").tempdir().doing("make a folder for the run")?;
                Ok(Shelf { runs: Runs::at(folder.path()), temporary: Some(folder) })
            }
        }
    }
}

/// A run's first attempt.
fn first(
    mut plan: Plan,
    project: &Project,
    shelf: &Shelf,
    asking: &Asking,
    interrupts: &Interrupts,
    terminal: &Terminal,
) -> Result<Conclusion> {
    let held = shelf.runs.begin().map_err(unkept)?;
    plan.number = held.kept.number;
    let count = shelf.runs.count(&plan.workflow.path).map_err(unkept)?;
    let path = plan.workflow.path.clone();
    plan.count(count).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
    let (by, at) = (actor(), world::now());
    let asked = Asked {
        v: 1,
        plan,
        source: project.source(),
        folder: project.root().display().to_string(),
        by: by.clone(),
        at,
        env: asking.env.clone(),
        secrets: asking.secrets.keys().cloned().collect(),
        withheld: false,
        not_run: asking.not_run.clone(),
    };
    if let Some(snapshot) = &project.snapshot {
        held.write_snapshot(snapshot).map_err(unkept)?;
    }
    let recorded = without_secrets(&asked, &asking.secrets);
    held.write_asked(&recorded).map_err(unkept)?;
    let attempt = Attempt { number: 1, by, at, again: Again::All, reused: BTreeMap::new() };
    let stage = Stage {
        held: &held,
        asked: &asked,
        recorded: &recorded,
        attempt,
        reused: BTreeMap::new(),
        resumed: None,
        secrets: &asking.secrets,
        env: &asking.env,
        pause: asking.pause,
        identity: asking.identity,
        interrupts,
    };
    let conclusion = stage.play(terminal)?;
    if conclusion == Conclusion::Failure && shelf.temporary.is_none() {
        tell_failed(held.kept.number, &project.root(), terminal);
    }
    Ok(conclusion)
}

fn tell_failed(number: u64, folder: &Path, terminal: &Terminal) {
    let flag = match from_here(folder).as_str() {
        "." => String::new(),
        folder => format!(" -C {folder}"),
    };
    let text =
        format!("run-{number} failed; `plimsoll run explain{flag}` says why, `plimsoll run rerun --failed{flag}` tries again what failed");
    // Whoever wants to hear only what went wrong hears this.
    if terminal.is_quiet() { terminal.warn(&text) } else { terminal.say(&terminal.paint(&text, Tone::Faint)) }
}

fn unkept(error: host::runs::Error) -> Failure {
    Failure::from_error("keep the run's record", &error)
}

/// The exit code of runs that have all ended.
fn ended(conclusions: &[Conclusion], waiting: &[String], interrupts: &Interrupts, terminal: &Terminal) -> u8 {
    let good = conclusions.iter().all(|conclusion| matches!(conclusion, Conclusion::Success | Conclusion::Skipped));
    if conclusions.contains(&Conclusion::Cancelled) {
        interrupts.exit_code()
    } else if good && !waiting.is_empty() {
        let jobs: Vec<String> = waiting.iter().map(|job| format!("`{job}`")).collect();
        let of_one = waiting.first().map_or_else(String::new, |job| quote(job));
        terminal.say(&format!("the pipeline waits for {}; the same command with `--manual {of_one}` starts it", jobs.join(", ")));
        exit::WAITING
    } else if good {
        exit::OK
    } else {
        exit::FAILED
    }
}

/// The folder whose workflows these are: the project's around a file, else around here.
pub(super) fn root_of(file: Option<&Path>) -> Result<PathBuf> {
    Ok(Project::around(file, false)?.root())
}

/// A GitLab file's pipeline as it would run on a push; nothing where GitHub's files are meant.
pub(super) fn gitlab_graph(file: Option<&Path>, terminal: &Terminal) -> Result<Option<Graph>> {
    // What is only drawn runs in no image.
    let images = Some(ImagesChoice::Host);
    let args = RunArgs { file: file.map(Path::to_path_buf), event: "push".to_string(), gitlab_images: images, ..RunArgs::default() };
    let project = Project::around(file, false)?;
    let Some(file) = project.gitlab_file(&args, terminal) else { return Ok(None) };
    let gitlab = project.gitlab(&file, &args, &project.event(&args)?, Vec::new(), terminal)?;
    Ok(Some(Graph { stages: gitlab.stages, ..Graph::of(&gitlab.workflow) }))
}

/// What is to be planned.
struct Found {
    workflows: Vec<Workflow>,
    only_job: Option<String>,
    /// Of a GitLab file.
    stages: Vec<(String, Vec<String>)>,
    /// Files that the event doesn't trigger.
    not_run: Vec<NotRun>,
}

/// A GitLab file's pipeline.
struct Gitlab {
    workflow: Workflow,
    only_job: Option<String>,
    stages: Vec<(String, Vec<String>)>,
    blocking: Vec<String>,
}

/// The repository the run is of; a folder without one can run a file that doesn't check it out.
struct Project {
    folder: PathBuf,
    repository: Option<git::Head>,
    snapshot: Option<Vec<u8>>,
}

impl Project {
    fn find(args: &RunArgs) -> Result<Project> {
        let mut project = Project::around(args.file.as_deref(), one_file(args).is_none())?;
        if let (Some(repository), true) = (&project.repository, args.dirty) {
            project.snapshot = Some(git::snapshot(&repository.place).map_err(git_failure)?);
        }
        Ok(project)
    }

    /// Of a file or a folder, else of the current folder.
    fn around(file: Option<&Path>, must_be_repository: bool) -> Result<Project> {
        let here = std::env::current_dir().doing("find the current folder")?;
        let folder = match file.map(|file| here.join(file)) {
            Some(folder) if folder.is_dir() => folder,
            Some(file) => project_folder(&file).unwrap_or(here),
            None => here,
        };
        let repository = match git::head(&folder) {
            Ok(repository) => Some(repository),
            Err(git::Error::NotARepository(_) | git::Error::NoCommits(_) | git::Error::NotInCommit { .. }) if !must_be_repository => None,
            Err(error) => return Err(git_failure(error)),
        };
        Ok(Project { folder, repository, snapshot: None })
    }

    fn event(&self, args: &RunArgs) -> Result<Event> {
        if !events::names().any(|name| name == args.event) {
            let failure = Failure::usage(format!("there is no event `{}`", args.event));
            return Err(match nearest(&args.event, events::names()) {
                Some(near) => failure.hint(format!("did you mean `--event {near}`?")),
                None => failure.hint("`push`, `pull_request`, `workflow_dispatch` and so on: the events that GitHub knows"),
            });
        }
        let payload = match &args.event_file {
            None => serde_json::json!({}),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Failure::usage(format!("failed to read `{}`: {error}", file.display())))?;
                serde_json::from_str(&text).map_err(|error| Failure::usage(format!("`{}` is not JSON: {error}", file.display())))?
            }
        };
        let branch = self.repository.as_ref().and_then(|repository| repository.branch.clone()).unwrap_or_else(|| "main".to_string());
        let sha = self.repository.as_ref().map_or_else(|| "0".repeat(40), |repository| repository.sha.clone());
        let git_ref = event::ref_of(&args.event, &payload).unwrap_or_else(|| format!("refs/heads/{branch}"));
        let mut event = Event { name: args.event.clone(), payload, git_ref, sha, changed_paths: None };
        if self.asks_what_changed(args) {
            self.tell_what_changed(&mut event, args);
        }
        Ok(event)
    }

    /// What is not committed, where the jobs check out the commit; git is asked while they run.
    /// First the files that say how it runs, which are read as they lie there; then the rest, which stays out.
    fn left_out(&self, plans: &[Plan]) -> Option<JoinHandle<(Vec<String>, Vec<String>)>> {
        let is_checkout = |step: &Step| matches!(&step.action, StepAction::Uses { uses, .. } if uses.starts_with("actions/checkout@"));
        let checks_out = |job: &Job| matches!(&job.work, Work::Steps { steps, .. } if steps.iter().any(is_checkout));
        let place = self.repository.as_ref().filter(|_| self.snapshot.is_none())?.place.clone();
        let asked = plans.iter().flat_map(|plan| &plan.workflow.jobs).any(checks_out);
        let is_read = |path: &String| path.starts_with(".github/workflows/") || path == gitlab::FILE || path == "plimsoll.yaml";
        asked
            .then(|| std::thread::spawn(move || git::dirty(&place.root, &place.subtree).unwrap_or_default().into_iter().partition(is_read)))
    }

    /// Whether a file filters by paths or reads the event; asking git for what few files want to know takes longer than a short job.
    fn asks_what_changed(&self, args: &RunArgs) -> bool {
        let files = one_file(args).map_or_else(|| workflow_files(&self.root()).unwrap_or_default(), |file| vec![file.clone()]);
        let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
        texts.into_iter().any(|text| text.contains("paths") || text.contains("github.event"))
    }

    /// As GitHub compares: the commits that the event names, else the commit with the one before it. The working tree has no commit, and
    /// path filters let everything in.
    fn tell_what_changed(&self, event: &mut Event, args: &RunArgs) {
        let Some(repository) = self.repository.as_ref().and_then(|_| git::open(&self.folder).ok()) else { return };
        if event.name == "push" && args.event_file.is_none() {
            let name = self.root().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            event.payload = event::push_payload(&repository, &name, &event.git_ref, &actor());
        }
        if !args.dirty {
            event.changed_paths = event::changed_paths(&repository, &event.name, &event.payload);
        }
    }

    /// The file named, whatever its triggers say; else all that the event triggers.
    fn workflows(&self, args: &RunArgs, event: &Event, terminal: &Terminal) -> Result<Found> {
        let named = one_file(args).is_some();
        let files = match one_file(args) {
            Some(file) => vec![file.clone()],
            None => workflow_files(&self.root()).map_err(|failure| {
                let failure = failure.hint("`plimsoll run FILE` runs a file that lies elsewhere");
                or_workflows_above(failure, &self.root(), "run")
            })?,
        };
        let read = |path: &str| std::fs::read_to_string(self.root().join(path)).ok();
        let config = self.config()?;
        let mode = security::mode(args.security, &config);
        let mut checked = security::Checked::default();
        let mut resolver = fetching::resolver(&config.actions, &read)?;
        let mut workflows = Vec::new();
        let bytes = |path: &str| std::fs::read(self.root().join(path)).ok();
        let mut wrong = Wrong::default();
        let mut not_run = Vec::new();
        for file in files {
            let text = std::fs::read(&file).map_err(|error| unread(&file, &error))?;
            let name = file.strip_prefix(self.root()).unwrap_or(&file).display().to_string();
            let source = match wrong::text(&name, &text) {
                Ok(source) => source,
                Err(said) => {
                    wrong.add(said);
                    continue;
                }
            };
            let loaded = load(&source, &bytes, &config.workflows.runners, &mut resolver);
            if let Some(workflow) = &loaded.workflow
                && !named
                && let Triggered::No { reason } = matches(workflow, event)
            {
                terminal.say(&terminal.paint(&format!("{name} does not run: {reason}"), Tone::Faint));
                not_run.push(NotRun { path: name, reason });
                continue;
            }
            match ready(loaded, args.job.as_deref(), &read, &mut resolver) {
                Ok((workflow, missing)) => {
                    missing.iter().for_each(|it| terminal.warn(it));
                    checked.add(&source, mode, config.workflows.forbidden.as_ref(), &event.name, &read);
                    workflows.push(workflow);
                }
                Err(said) => said.into_iter().for_each(|said| wrong.add(said)),
            }
        }
        wrong.refuse()?;
        resolver.remarks().iter().for_each(|remark| terminal.say(&terminal.paint(remark, Tone::Faint)));
        if workflows.is_empty() {
            return Err(Failure::not_found(format!("no workflow runs on `{}`", event.name))
                .hint("`plimsoll run FILE` runs one whatever its triggers say"));
        }
        if let Some(note) = checked.finish()? {
            terminal.say(&terminal.paint(&note, Tone::Faint));
        }
        Ok(Found { workflows, only_job: args.job.clone(), stages: Vec::new(), not_run })
    }

    /// The GitLab file that is named, or that stands there instead of GitHub's.
    fn gitlab_file(&self, args: &RunArgs, terminal: &Terminal) -> Option<PathBuf> {
        if let Some(file) = one_file(args) {
            return gitlab::is_file(&file.to_string_lossy()).then(|| file.clone());
        }
        let file = self.root().join(gitlab::FILE);
        if !file.is_file() {
            return None;
        }
        let github = workflow_files(&self.root()).is_ok_and(|files| !files.is_empty());
        if github {
            let text = format!("`{0}` is left alone beside `.github/workflows`; `plimsoll run {0}` runs it instead", gitlab::FILE);
            terminal.say(&terminal.paint(&text, Tone::Faint));
        }
        (!github).then_some(file)
    }

    fn gitlab(&self, file: &Path, args: &RunArgs, event: &Event, secrets: Vec<String>, terminal: &Terminal) -> Result<Gitlab> {
        let text = std::fs::read(file).map_err(|error| unread(file, &error))?;
        let root = self.root();
        let here = std::env::current_dir().doing("find the current folder")?;
        let name = here.join(file).strip_prefix(&root).unwrap_or(file).display().to_string();
        let source = wrong::text(&name, &text).or_else(|said| {
            let mut wrong = Wrong::default();
            wrong.add(said);
            wrong.refuse().map(|()| unreachable!("there is something to refuse"))
        })?;
        let config = match std::fs::read_to_string(root.join("plimsoll.yaml")) {
            Ok(text) => {
                let source = Source::new("plimsoll.yaml", text);
                let (config, wrong) = crate::config::parse(&source);
                if !wrong.is_empty() {
                    return Err(Failure::usage(format!(
                        "`plimsoll.yaml` is wrong\n\n{}",
                        base::diagnostic::render(&source, &wrong, false)
                    )));
                }
                config.gitlab
            }
            Err(_) => crate::config::Gitlab::default(),
        };
        // GitLab's variables tell more of the commit than HEAD does.
        let opened = self.repository.as_ref().and_then(|_| git::open(&self.folder).ok());
        let repository = opened.as_ref();
        let push = |repository: &git::Repository| {
            let payload = event::push_payload(repository, &name, &event.git_ref, &actor());
            event::changed_paths(repository, "push", &payload)
        };
        let changed = repository.filter(|_| !args.dirty && event.name == "push").and_then(push);
        let request = gitlab::Request {
            event,
            repository,
            project: &event::full_name(&root.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()),
            actor: &actor(),
            config: &config,
            images: args.gitlab_images,
            vars: &pairs("var", &args.vars)?,
            secrets,
            inputs: pairs("input", &args.inputs)?,
            play: args.manual.iter().chain(&args.job).cloned().collect(),
            changed,
            root: root.clone(),
        };
        let files = gitlab::InFolder::new(&root, repository);
        let (compiled, warnings) = gitlab::compile(&source, &files, &request).map_err(|problem| match problem {
            gitlab::Problem::NoPipeline(why) => Failure::not_found(format!("{name} makes no pipeline on `{}`: {why}", event.name)),
            gitlab::Problem::Wrong(rendered) => {
                Failure::usage(format!("a workflow can't be run as written, so nothing was started\n\n{rendered}"))
            }
        })?;
        warnings.iter().for_each(|warning| terminal.say(warning));
        for left_out in compiled.not_added.iter().filter(|_| args.job.is_none()) {
            terminal.say(&terminal.paint(&format!("{} is left out: {}", left_out.job, left_out.reason), Tone::Faint));
        }
        let only_job = match &args.job {
            None => None,
            Some(job) => match compiled.not_added.iter().find(|it| it.job == *job) {
                Some(it) => return Err(Failure::not_found(format!("the job `{job}` is not in this pipeline: {}", it.reason))),
                None => Some(compiled.ids.get(job).unwrap_or(job).clone()),
            },
        };
        let blocking = if args.job.is_none() { compiled.blocking } else { Vec::new() };
        Ok(Gitlab { workflow: compiled.workflow, only_job, stages: compiled.stages, blocking })
    }

    /// What the project says of itself, where it does.
    fn config(&self) -> Result<Config> {
        let Ok(text) = std::fs::read_to_string(self.root().join("plimsoll.yaml")) else { return Ok(Config::default()) };
        let source = Source::new("plimsoll.yaml", text);
        let (config, diagnostics) = config::parse(&source);
        crate::compose::refuse(&source, &diagnostics)?;
        Ok(config)
    }

    fn root(&self) -> PathBuf {
        self.repository.as_ref().map_or_else(|| self.folder.clone(), |repository| repository.place.root.join(&repository.place.subtree))
    }

    /// Under which its runs are kept; the same as that of its releases.
    fn id(&self) -> String {
        let (root, subtree) = match &self.repository {
            Some(repository) => (repository.place.root.as_path(), repository.place.subtree.as_str()),
            None => (self.folder.as_path(), ""),
        };
        project_id(root, subtree).to_string()
    }

    fn source(&self) -> CodeSource {
        let empty =
            CodeSource { repository: self.folder.display().to_string(), sha: String::new(), subtree: String::new(), snapshot: None };
        self.repository.as_ref().map_or(empty, |repository| CodeSource {
            repository: repository.place.root.display().to_string(),
            sha: repository.sha.clone(),
            subtree: repository.place.subtree.clone(),
            snapshot: self.snapshot.as_ref().map(|bytes| base::Digest::of(bytes)),
        })
    }
}

/// Not where a folder is named: then its project is meant.
fn one_file(args: &RunArgs) -> Option<&PathBuf> {
    args.file.as_ref().filter(|file| !file.is_dir())
}

/// With the folder above that has workflows, for the command that found none.
pub(super) fn or_workflows_above(failure: Failure, root: &Path, command: &str) -> Failure {
    match workflows_above(root) {
        Some(above) => failure.hint(format!("a folder above has workflows: `plimsoll {command} {above}`")),
        None => failure,
    }
}

/// The folder above `.github/workflows`; of a file that lies elsewhere the nearest folder that says it is a project, up to the
/// repository's, else the file's own.
fn project_folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    if folder.ends_with(".github/workflows") {
        return folder.parent()?.parent().filter(|folder| folder.is_dir()).map(Path::to_path_buf);
    }
    let says_so = |folder: &&Path| [".git", ".github/workflows", "plimsoll.yaml"].iter().any(|name| folder.join(name).exists());
    let project = folder.ancestors().find(says_so).unwrap_or(folder);
    project.is_dir().then(|| project.to_path_buf())
}

/// A file that is named and can't be read; one that isn't there may be meant of the workflows.
pub(super) fn unread(file: &Path, error: &std::io::Error) -> Failure {
    let shown = file.display();
    let among_workflows = Path::new(".github/workflows").join(file);
    match error.kind() {
        std::io::ErrorKind::NotFound if among_workflows.is_file() => {
            Failure::not_found(format!("there is no file `{shown}`")).hint(format!("did you mean `{}`?", among_workflows.display()))
        }
        std::io::ErrorKind::NotFound => Failure::not_found(format!("there is no file `{shown}`")),
        _ => Failure::usage(format!("failed to read `{shown}`: {error}")),
    }
}

pub(super) fn workflow_files(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join(".github/workflows");
    let entries = std::fs::read_dir(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::not_found(format!("there are no workflows: no folder `{}`", folder.display())),
        _ => Failure::usage(format!("failed to read `{}`: {error}", folder.display())),
    })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_yaml(path)).collect();
    files.sort();
    Ok(files)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn plan(args: &RunArgs, project: &Project, event: &Event, found: Found, terminal: &Terminal) -> Result<Vec<Plan>> {
    let vars = pairs("var", &args.vars)?;
    let inputs = pairs("input", &args.inputs)?;
    let config = project.config()?;
    let name = project.root().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "project".to_string());
    let mut plans = Vec::new();
    for (index, workflow) in found.workflows.into_iter().enumerate() {
        let path = workflow.path.clone();
        let request = Request {
            run: RunId::new(world::now(), world::random()),
            number: index as u64 + 1,
            workflow,
            event: event.clone(),
            repository: Repository { name: event::full_name(&name), server_url: "https://github.com".to_string() },
            actor: actor(),
            inputs: inputs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect(),
            vars: vars.clone(),
            only_job: found.only_job.clone(),
            max_parallel: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            deliver_by_workflow: false,
            environments: Environments { only: Some(args.allow_environments.iter().cloned().collect()), ..config.environments.clone() },
        };
        let (plan, left_out) = Plan::new(request).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        if args.job.is_none() {
            left_out.iter().for_each(|job| terminal.say(&terminal.paint(&format!("{} is left out: {}", job.job, job.reason), Tone::Faint)));
        }
        plans.push(plan);
    }
    Ok(plans)
}

/// `starts` is whether the server starts by the clock what is scheduled.
fn dry_run(plans: &[Plan], stages: &[(String, Vec<String>)], starts: bool, terminal: &Terminal) -> Result<u8> {
    if terminal.json {
        terminal.json(&plans);
        return Ok(exit::OK);
    }
    for plan in plans {
        terminal.data(&format!("{} on {}", plan.workflow.path, plan.event.name));
        let by_whom = if starts { "the server starts it" } else { "`plimsoll schedule on` lets the server start it" };
        crate::schedules::lines(&plan.workflow, crate::world::now()).iter().for_each(|line| terminal.data(&format!("  {line}; {by_whom}")));
        for (stage, jobs) in stages {
            terminal.data(&format!("  stage {stage}: {}", jobs.join(", ")));
        }
        let left_out: Vec<String> = plan.left_out().into_iter().map(|it| it.job).collect();
        for job in plan.workflow.jobs.iter().filter(|job| !left_out.contains(&job.id)) {
            let needs = if job.needs.is_empty() { String::new() } else { format!(" after {}", job.needs.join(", ")) };
            terminal.data(&format!("  {}{needs}  if {}", job.id, job.condition));
        }
    }
    Ok(exit::OK)
}

/// A shorter secret stands in many words.
const SECRET_MIN: usize = 4;

/// `K=V`, or `K` whose value stands in the environment, else is the project's own secret.
fn secrets(given: &[String], folder: &Path) -> Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|secret| match secret.split_once('=') {
            Some((key, value)) => Ok((key.to_string(), value.to_string())),
            None => match std::env::var(secret) {
                Ok(value) => Ok((secret.clone(), value)),
                Err(_) => match super::secret::kept(folder, secret)? {
                    Some(value) => Ok((secret.clone(), value)),
                    None => Err(Failure::usage(format!(
                        "`--secret {secret}` has no value: the environment has none, and `plimsoll secret list` has none that is for all jobs"
                    ))),
                },
            },
        })
        .collect()
}
