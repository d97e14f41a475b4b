//! `plimsoll run`: workflows here, in this process, without a server.
//!
//! Jobs run on threads, as the machine starts them; the record stays in memory.

mod printer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Source;
use base::name::RunId;
use engine::world::{JobStart, Stop};
use host::git;
use host::job::{Cancel, JobDirs, JobOptions};
use host::supervise::Limits;
use host::supervise::cgroup;
use release::CodeSource;
use workflow::job::{Conclusion, JobId, JobOutcome, JobSeen, JobSpec, StepSeen};
use workflow::model::Workflow;
use workflow::plan::{Plan, Repository, Request};
use workflow::run::{Action, Observed, Run};
use workflow::trigger::{Event, Triggered, matches};

use super::{actor, pairs};
use crate::cli::Run as RunArgs;
use crate::compose::{git_failure, load, ready};
use crate::config::{self, Config};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::fetching;
use crate::gitlab;
use crate::security;
use crate::terminal::{Terminal, Tone};
use crate::view;
use crate::world;
use printer::{Printer, Screen};

/// How long the machine is left alone when nothing is heard: its own timers are seconds.
const LOOK: Duration = Duration::from_millis(500);

pub fn run(args: &RunArgs, terminal: &Terminal) -> Result<u8> {
    let project = Project::find(args)?;
    let event = project.event(args)?;
    let secrets = secrets(&args.secrets)?;
    let mut waiting = Vec::new();
    let found = match project.gitlab_file(args, terminal) {
        Some(file) => {
            let gitlab = project.gitlab(&file, args, &event, secrets.keys().cloned().collect(), terminal)?;
            waiting = gitlab.blocking.clone();
            Found { only_job: gitlab.only_job, stages: gitlab.stages, workflows: vec![gitlab.workflow] }
        }
        None => Found { only_job: args.job.clone(), stages: Vec::new(), workflows: project.workflows(args, &event, terminal)? },
    };
    let stages = found.stages.clone();
    let plans = plan(args, &project, &event, found, terminal)?;
    if args.dry_run {
        return dry_run(&plans, &stages, terminal);
    }
    let env = pairs("env", &args.env)?;
    let folder = tempfile::Builder::new().prefix("plimsoll-run-").tempdir().doing("make a folder for the run")?;
    // A group of its own for a few milliseconds' work would cost more than the work.
    cgroup::bound_user(Limits::default());
    let stage = Stage { folder: folder.path(), project: &project, secrets: &secrets, env: &env, pause: args.pause_on_failure };
    let conclusions = plans.into_iter().map(|plan| stage.play(plan, terminal)).collect::<Result<Vec<Conclusion>>>()?;
    let cancelled = conclusions.contains(&Conclusion::Cancelled);
    let good = conclusions.iter().all(|conclusion| matches!(conclusion, Conclusion::Success | Conclusion::Skipped));
    Ok(if cancelled {
        exit::INTERRUPTED
    } else if good && !waiting.is_empty() {
        let jobs: Vec<String> = waiting.iter().map(|job| format!("`{job}`")).collect();
        terminal.say(&format!("the pipeline waits for {}; `--manual JOB` starts a manual job", jobs.join(", ")));
        exit::WAITING
    } else if good {
        exit::OK
    } else {
        exit::FAILED
    })
}

/// What is to be planned.
struct Found {
    workflows: Vec<Workflow>,
    only_job: Option<String>,
    /// Of a GitLab file.
    stages: Vec<(String, Vec<String>)>,
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
        let here = std::env::current_dir().doing("find the current folder")?;
        let folder = match args.file.as_deref().map(|file| here.join(file)) {
            Some(file) => project_folder(&file).unwrap_or(here),
            None => here,
        };
        let repository = match git::head(&folder) {
            Ok(repository) => Some(repository),
            Err(git::Error::NotARepository(_) | git::Error::NoCommits(_) | git::Error::NotInCommit { .. }) if args.file.is_some() => None,
            Err(error) => return Err(git_failure(error)),
        };
        let snapshot = match (&repository, args.dirty) {
            (Some(repository), true) => Some(git::snapshot(&repository.place).map_err(git_failure)?),
            _ => None,
        };
        Ok(Project { folder, repository, snapshot })
    }

    fn event(&self, args: &RunArgs) -> Result<Event> {
        let payload = match &args.event_file {
            None => serde_json::json!({}),
            Some(file) => {
                let text = std::fs::read_to_string(file).doing(&format!("read {}", file.display()))?;
                serde_json::from_str(&text).map_err(|error| Failure::usage(format!("`{}` is not JSON: {error}", file.display())))?
            }
        };
        let branch = self.repository.as_ref().and_then(|repository| repository.branch.clone()).unwrap_or_else(|| "main".to_string());
        let sha = self.repository.as_ref().map_or_else(|| "0".repeat(40), |repository| repository.sha.clone());
        Ok(Event { name: args.event.clone(), payload, git_ref: format!("refs/heads/{branch}"), sha, changed_paths: None })
    }

    /// The file named, whatever its triggers say; else all that the event triggers.
    fn workflows(&self, args: &RunArgs, event: &Event, terminal: &Terminal) -> Result<Vec<Workflow>> {
        let named = args.file.is_some();
        let files = match &args.file {
            Some(file) => vec![file.clone()],
            None => workflow_files(&self.root())?,
        };
        let read = |path: &str| std::fs::read_to_string(self.root().join(path)).ok();
        let config = self.config()?;
        let mode = security::mode(args.security, &config);
        let mut checked = security::Checked::default();
        let mut resolver = fetching::resolver(&config.actions, &read)?;
        let mut workflows = Vec::new();
        let mut wrong = Vec::new();
        for file in files {
            let text =
                std::fs::read_to_string(&file).map_err(|error| Failure::usage(format!("failed to read `{}`: {error}", file.display())))?;
            let name = file.strip_prefix(self.root()).unwrap_or(&file).display().to_string();
            let source = Source::new(name.as_str(), text);
            let loaded = load(&source, &read, &mut resolver);
            if let Some(workflow) = &loaded.workflow
                && !named
                && let Triggered::No { reason } = matches(workflow, event)
            {
                terminal.say(&terminal.paint(&format!("{name} does not run: {reason}"), Tone::Faint));
                continue;
            }
            match ready(loaded, &read, &mut resolver) {
                Ok((workflow, missing)) => {
                    missing.iter().for_each(|it| terminal.warn(it));
                    checked.add(&source, mode, config.workflows.forbidden.as_ref(), &event.name, &read);
                    workflows.push(workflow);
                }
                Err(said) => wrong.push(said),
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::usage(format!("a workflow can't be run as written, so nothing was started\n\n{}", wrong.join("\n\n"))));
        }
        resolver.remarks().iter().for_each(|remark| terminal.say(&terminal.paint(remark, Tone::Faint)));
        if workflows.is_empty() {
            return Err(Failure::not_found(format!("no workflow runs on `{}`", event.name))
                .hint("`plimsoll run FILE` runs one whatever its triggers say"));
        }
        if let Some(note) = checked.finish()? {
            terminal.say(&terminal.paint(&note, Tone::Faint));
        }
        Ok(workflows)
    }

    /// The GitLab file that is named, or that stands there instead of GitHub's.
    fn gitlab_file(&self, args: &RunArgs, terminal: &Terminal) -> Option<PathBuf> {
        if let Some(file) = &args.file {
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
        let text =
            std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("failed to read `{}`: {error}", file.display())))?;
        let root = self.root();
        let here = std::env::current_dir().doing("find the current folder")?;
        let name = here.join(file).strip_prefix(&root).unwrap_or(file).display().to_string();
        let source = Source::new(name.as_str(), text);
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
        let changed = match repository.and_then(|it| Some((it, it.parent.as_ref()?))) {
            Some((repository, parent)) if !args.dirty && event.name == "push" => {
                git::changed_paths(repository, parent, &repository.sha).ok()
            }
            _ => None,
        };
        let request = gitlab::Request {
            event,
            repository,
            project: &format!("local/{}", root.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()),
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

/// The folder above `.github/workflows`, else the file's own.
fn project_folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    let in_github = folder.ends_with(".github/workflows");
    let folder = if in_github { folder.parent()?.parent()? } else { folder };
    folder.is_dir().then(|| folder.to_path_buf())
}

pub(super) fn workflow_files(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join(".github/workflows");
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        let failure = match error.kind() {
            std::io::ErrorKind::NotFound => Failure::not_found(format!("there are no workflows: no folder `{}`", folder.display())),
            _ => Failure::usage(format!("failed to read `{}`: {error}", folder.display())),
        };
        failure.hint("`plimsoll run FILE` runs a file that lies elsewhere")
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
    let name = project.root().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "project".to_string());
    let mut plans = Vec::new();
    for (index, workflow) in found.workflows.into_iter().enumerate() {
        let path = workflow.path.clone();
        let request = Request {
            run: RunId::new(world::now(), world::random()),
            number: index as u64 + 1,
            workflow,
            event: event.clone(),
            repository: Repository { name: format!("local/{name}"), server_url: "https://github.com".to_string() },
            actor: actor(),
            inputs: inputs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect(),
            vars: vars.clone(),
            only_job: found.only_job.clone(),
            max_parallel: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            deliver_by_workflow: false,
        };
        let (plan, left_out) = Plan::new(request).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        if args.job.is_none() {
            left_out.iter().for_each(|job| terminal.say(&terminal.paint(&format!("{} is left out: {}", job.job, job.reason), Tone::Faint)));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn dry_run(plans: &[Plan], stages: &[(String, Vec<String>)], terminal: &Terminal) -> Result<u8> {
    if terminal.json {
        terminal.json(&plans);
        return Ok(exit::OK);
    }
    for plan in plans {
        terminal.data(&format!("{} on {}", plan.workflow.path, plan.event.name));
        for (stage, jobs) in stages {
            terminal.data(&format!("  stage {stage}: {}", jobs.join(", ")));
        }
        for job in &plan.workflow.jobs {
            let needs = if job.needs.is_empty() { String::new() } else { format!(" after {}", job.needs.join(", ")) };
            terminal.data(&format!("  {}{needs}  if {}", job.id, job.condition));
        }
    }
    Ok(exit::OK)
}

/// `K=V`, or `K` whose value stands in the environment.
fn secrets(given: &[String]) -> Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|secret| match secret.split_once('=') {
            Some((key, value)) => Ok((key.to_string(), value.to_string())),
            None => match std::env::var(secret) {
                Ok(value) => Ok((secret.clone(), value)),
                Err(_) => Err(Failure::usage(format!("`--secret {secret}` has no value, and the environment has no `{secret}`"))),
            },
        })
        .collect()
}

/// What a thread with a job tells the loop.
enum Heard {
    Step(JobId, StepSeen),
    Ended(JobId, JobOutcome),
    /// What a step summed up, in Markdown.
    Summary {
        job: String,
        step: String,
        text: String,
    },
    /// Whether a shell has the terminal: then an interrupt is the shell's.
    Shell {
        open: bool,
    },
    Interrupt,
}

/// What the loop keeps of what it heard, besides the machine's own view.
#[derive(Debug, Default)]
struct Kept {
    interrupts: u32,
    shell: bool,
    summaries: Vec<(String, String, String)>,
}

struct Stage<'a> {
    folder: &'a Path,
    project: &'a Project,
    secrets: &'a BTreeMap<String, String>,
    env: &'a BTreeMap<String, String>,
    /// Hold a job where a step has failed.
    pause: bool,
}

impl Stage<'_> {
    /// Look, ask the machine, remember, act; until the run has ended.
    fn play(&self, plan: Plan, terminal: &Terminal) -> Result<Conclusion> {
        let (sender, receiver) = channel();
        listen_for_interrupts(sender.clone());
        let mut run = Run::new(plan);
        let mut seen = Observed::default();
        let mut cancels: BTreeMap<JobId, Cancel> = BTreeMap::new();
        let screen = Arc::new(Mutex::new(Screen::default()));
        let many = run.plan().workflow.jobs.len() > 1;
        let mut kept = Kept::default();
        std::thread::scope(|scope| {
            loop {
                let advance = run.advance(&seen, world::now());
                for event in &advance.events {
                    run.apply(event);
                    if many || terminal.is_live() {
                        view::run_event(terminal, &run, event);
                    }
                }
                for action in advance.actions {
                    match action {
                        Action::Start { id, spec } if !cancels.contains_key(&id) => {
                            let Ok(cancel) = Cancel::new() else {
                                return Err(Failure::infrastructure("no more pipes: too many files are open"));
                            };
                            cancels.insert(id.clone(), cancel.clone());
                            seen.jobs.insert(id.clone(), JobSeen::Running { steps: Vec::new() });
                            let sender = sender.clone();
                            let screen = screen.clone();
                            scope.spawn(move || self.execute(id, spec, &cancel, &sender, &screen, many));
                        }
                        Action::Start { .. } => {}
                        Action::Stop { id, at_once } => stop(&cancels, &mut seen, &id, at_once),
                    }
                }
                if let Some(conclusion) = run.conclusion() {
                    summarize(&kept.summaries, many, terminal);
                    return Ok(conclusion);
                }
                if advance.events.is_empty() {
                    self.hear(&receiver, &mut run, &mut seen, &mut kept, terminal);
                }
            }
        })
    }

    fn hear(&self, receiver: &Receiver<Heard>, run: &mut Run, seen: &mut Observed, kept: &mut Kept, terminal: &Terminal) {
        match receiver.recv_timeout(LOOK) {
            Ok(Heard::Step(id, step)) => {
                if let Some(JobSeen::Running { steps }) = seen.jobs.get_mut(&id) {
                    steps.retain(|known| known.number != step.number);
                    steps.push(step);
                }
            }
            Ok(Heard::Ended(id, outcome)) => {
                let steps = match seen.jobs.remove(&id) {
                    Some(JobSeen::Running { steps }) => steps,
                    _ => Vec::new(),
                };
                seen.jobs.insert(id, JobSeen::Finished { outcome, steps });
            }
            Ok(Heard::Summary { job, step, text }) => kept.summaries.push((job, step, text)),
            Ok(Heard::Shell { open }) => kept.shell = open,
            Ok(Heard::Interrupt) if kept.shell => {}
            Ok(Heard::Interrupt) => {
                kept.interrupts += 1;
                let force = kept.interrupts > 1;
                terminal.say(if force {
                    "interrupted again: steps are ended at once"
                } else {
                    "interrupted: waiting for running steps to end; once more ends them at once"
                });
                if let Ok(events) = run.command(workflow::run::Command::Cancel { force }, &actor(), world::now()) {
                    events.iter().for_each(|event| run.apply(event));
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn execute(&self, id: JobId, spec: JobSpec, cancel: &Cancel, sender: &Sender<Heard>, screen: &Mutex<Screen>, many: bool) {
        let job = self.folder.join(id.run.to_string()).join(format!("{}-{}", id.key.replace('/', "~2f"), id.attempt));
        let snapshot = self.project.snapshot.as_ref().map(|bytes| {
            let path = self.folder.join("snapshot.tar");
            if !path.exists() {
                // A job that can't find it says so in its checkout.
                let _ = std::fs::write(&path, bytes);
            }
            path
        });
        let dirs = JobDirs {
            workspace: job.join("workspace"),
            temp: job.join("temp"),
            tool_cache: self.folder.join("tools"),
            artifacts: self.folder.join("artifacts"),
            cache: self.folder.join("cache"),
            actions: host::dirs::Dirs::open().map(|dirs| dirs.actions()).unwrap_or_default(),
            snapshot,
        };
        let mut env = host::job::inherited(std::env::vars(), host::job::Home::Users);
        env.extend(self.env.clone());
        let options = JobOptions {
            secrets: self.secrets.clone(),
            env,
            pause_on_failure: self.pause,
            engine: std::env::var(host::container::CHOICE).ok(),
            ..JobOptions::default()
        };
        let start = JobStart { spec, source: self.project.source(), artifacts: id.run.to_string(), project: "local".to_string() };
        let mut sink = Printer::new(id.clone(), sender.clone(), screen, many);
        let outcome = host::job::run(&start, &dirs, &options, &mut sink, cancel);
        sink.flush();
        let _ = sender.send(Heard::Ended(id, outcome));
    }
}

fn stop(cancels: &BTreeMap<JobId, Cancel>, seen: &mut Observed, id: &JobId, at_once: bool) {
    match cancels.get(id) {
        Some(cancel) => cancel.request(if at_once { Stop::AtOnce } else { Stop::Gracefully }),
        None => {
            let now = world::now();
            let outcome = JobOutcome {
                conclusion: Conclusion::Cancelled,
                outputs: BTreeMap::new(),
                reason: None,
                started: now,
                finished: now,
                annotations: Vec::new(),
            };
            seen.jobs.insert(id.clone(), JobSeen::Finished { outcome, steps: Vec::new() });
        }
    }
}

/// Ctrl-C becomes a message, the first time and every other.
fn listen_for_interrupts(sender: Sender<Heard>) {
    let mut wanted = nix::sys::signal::SigSet::empty();
    wanted.add(nix::sys::signal::Signal::SIGINT);
    wanted.add(nix::sys::signal::Signal::SIGTERM);
    if wanted.thread_block().is_ok() {
        std::thread::spawn(move || {
            while wanted.wait().is_ok() {
                if sender.send(Heard::Interrupt).is_err() {
                    return;
                }
            }
        });
    }
}

/// The summaries of all steps, after everything else.
fn summarize(summaries: &[(String, String, String)], many: bool, terminal: &Terminal) {
    for (job, step, text) in summaries.iter().filter(|_| !terminal.json) {
        let of = if many { format!("{job}, {step}") } else { step.clone() };
        terminal.data(&terminal.paint(&format!("summary of {of}"), Tone::Faint));
        terminal.data(text.trim_end());
    }
}
