//! `plimsoll run`: workflows here, in this process, without a server.
//!
//! Jobs run on threads, as the machine starts them; the record stays in memory and is written once, at the end.

mod diff;
mod explain;
mod kept;
mod list;
mod printer;
mod project;
mod rerun;
mod stage;
mod turns;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;

use base::name::{RunId, nearest};
use base::people::same;
use host::dirs::Dirs;
use host::forge::App;
use host::runs::{Again, Asked, Attempt, NotRun, Runs};
use host::supervise::Limits;
use host::supervise::cgroup;
use workflow::environment::Environments;
use workflow::job::Conclusion;
use workflow::model::{Job, Step, StepAction, Template, Work, Workflow};
use workflow::plan::{Plan, Repository, Request};
use workflow::trigger::Event;

use super::{actor, pairs};
use crate::cli::{Run as RunArgs, RunCommand};
use crate::compose::secrets::{empty, is_empty_in};
use crate::compose::stays_out;
use crate::detect::quote;
use crate::event;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::fetching;
use crate::gitlab;
use crate::terminal::{Terminal, Tone};
use crate::view::from_here;
use crate::world;
use project::{Found, Project};
pub use project::{gitlab_graph, or_workflows_above, root_of, unread, workflow_files};
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
    let app = app(args.token)?;
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
    let asking = Asking {
        secrets,
        env: pairs("env", &args.env)?,
        pause: args.pause_on_failure,
        identity: args.identity,
        app,
        not_run: found_not_run,
    };
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
    let delivers = !args.allow_environments.is_empty();
    let empty = empty(&found.workflows, is_asked, delivers, |_| Some(given.keys().map(|name| name.to_ascii_uppercase()).collect()));
    let remark = |(name, jobs): (String, Vec<&Job>)| {
        format!(
            "{}; `--secret {name}=VALUE` gives it one, `--secret {name}` the one that `plimsoll secret set` keeps",
            is_empty_in(&name, &jobs)
        )
    };
    empty.into_iter().flatten().map(remark).collect()
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

/// That of the user's own file, where jobs shall have its tokens.
fn app(wanted: bool) -> Result<Option<App>> {
    if !wanted {
        return Ok(None);
    }
    let none = || {
        Failure::usage("`--token` gives jobs tokens of a GitHub App, and none is named in your own configuration")
            .hint("`githubApp` in `~/.config/plimsoll/config.yaml` names one; see docs/config.md")
    };
    fetching::user()?.github_app.map(Some).ok_or_else(none)
}

/// What a run is given besides its plan.
struct Asking {
    secrets: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    pause: bool,
    identity: bool,
    app: Option<App>,
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
        app: asking.app.as_ref(),
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
