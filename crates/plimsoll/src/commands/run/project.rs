//! Which project `plimsoll run` and its like are about, and what of its files is to be run.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use base::Source;
use base::name::nearest;
use host::git;
use host::runs::NotRun;
use release::CodeSource;
use workflow::model::{Job, Step, StepAction, Work, Workflow};
use workflow::plan::Plan;
use workflow::schema::events;
use workflow::token;
use workflow::trigger::{Event, Triggered, matches};

use crate::cli::Run as RunArgs;
use crate::commands::{actor, pairs};
use crate::compose::token::Remedy;
use crate::compose::{git_failure, load, project_id, ready, workflows_above};
use crate::config::{self, Config};
use crate::event;
use crate::failure::{Doing, Failure, Result};
use crate::fetching;
use crate::gitlab;
use crate::graph::Graph;
use crate::security;
use crate::terminal::{Terminal, Tone};
use crate::wrong::{self, Wrong};

/// The folder whose workflows these are: the project's around a file, else around here.
pub fn root_of(file: Option<&Path>) -> Result<PathBuf> {
    Ok(Project::around(file, false)?.root())
}

/// A GitLab file's pipeline as it would run on a push; nothing where GitHub's files are meant.
pub fn gitlab_graph(file: Option<&Path>, terminal: &Terminal) -> Result<Option<Graph>> {
    // What is only drawn needs no engine.
    let args = RunArgs { file: file.map(Path::to_path_buf), event: "push".to_string(), dry_run: true, ..RunArgs::default() };
    let project = Project::around(file, false)?;
    let Some(file) = project.gitlab_file(&args, terminal) else { return Ok(None) };
    let gitlab = project.gitlab(&file, &args, &project.event(&args)?, Vec::new(), terminal)?;
    Ok(Some(Graph { stages: gitlab.stages, ..Graph::of(&gitlab.workflow) }))
}

/// What is to be planned.
pub(super) struct Found {
    pub(super) workflows: Vec<Workflow>,
    pub(super) only_job: Option<String>,
    /// Of a GitLab file.
    pub(super) stages: Vec<(String, Vec<String>)>,
    /// Files that the event doesn't trigger.
    pub(super) not_run: Vec<NotRun>,
}

/// A GitLab file's pipeline.
pub(super) struct Gitlab {
    pub(super) workflow: Workflow,
    pub(super) only_job: Option<String>,
    pub(super) stages: Vec<(String, Vec<String>)>,
    pub(super) blocking: Vec<String>,
}

/// The repository the run is of; a folder without one can run a file that doesn't check it out.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) repository: Option<git::Head>,
    pub(super) snapshot: Option<Vec<u8>>,
}

impl Project {
    pub(super) fn find(args: &RunArgs) -> Result<Project> {
        let mut project = Project::around(args.file.as_deref(), one_file(args).is_none())?;
        if let (Some(repository), true) = (&project.repository, args.dirty) {
            project.snapshot = Some(git::snapshot(&repository.place).map_err(git_failure)?);
        }
        Ok(project)
    }

    /// Of a file or a folder, else of the current folder.
    pub(super) fn around(file: Option<&Path>, must_be_repository: bool) -> Result<Project> {
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

    pub(super) fn event(&self, args: &RunArgs) -> Result<Event> {
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
    pub(super) fn left_out(&self, plans: &[Plan]) -> Option<JoinHandle<(Vec<String>, Vec<String>)>> {
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
    pub(super) fn workflows(&self, args: &RunArgs, event: &Event, terminal: &Terminal) -> Result<Found> {
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
            match ready(loaded, args.job.as_deref(), &read, &mut resolver, remedy(args)) {
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
    pub(super) fn gitlab_file(&self, args: &RunArgs, terminal: &Terminal) -> Option<PathBuf> {
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

    pub(super) fn gitlab(&self, file: &Path, args: &RunArgs, event: &Event, secrets: Vec<String>, terminal: &Terminal) -> Result<Gitlab> {
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
            engine: !args.dry_run,
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
        let jobs = std::iter::once(&compiled.workflow).chain(compiled.workflow.called.values()).flat_map(|workflow| &workflow.jobs);
        for job in jobs.filter(|job| job.id_tokens.is_some() && !args.identity) {
            terminal.say(&format!("warning: `{}` has `id_tokens` and will fail: only with `--identity` may it show who it is", job.id));
        }
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
    pub(super) fn config(&self) -> Result<Config> {
        let Ok(text) = std::fs::read_to_string(self.root().join("plimsoll.yaml")) else { return Ok(Config::default()) };
        let source = Source::new("plimsoll.yaml", text);
        let (config, diagnostics) = config::parse(&source);
        crate::compose::refuse(&source, &diagnostics)?;
        Ok(config)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.repository.as_ref().map_or_else(|| self.folder.clone(), |repository| repository.place.root.join(&repository.place.subtree))
    }

    /// Under which its runs are kept; the same as that of its releases.
    pub(super) fn id(&self) -> String {
        let (root, subtree) = match &self.repository {
            Some(repository) => (repository.place.root.as_path(), repository.place.subtree.as_str()),
            None => (self.folder.as_path(), ""),
        };
        project_id(root, subtree).to_string()
    }

    pub(super) fn source(&self) -> CodeSource {
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
pub(super) fn one_file(args: &RunArgs) -> Option<&PathBuf> {
    args.file.as_ref().filter(|file| !file.is_dir())
}

/// With the folder above that has workflows, for the command that found none.
pub fn or_workflows_above(failure: Failure, root: &Path, command: &str) -> Failure {
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
    let says_so =
        |folder: &&Path| [".git", ".github/workflows", "plimsoll.yaml", gitlab::FILE].iter().any(|name| folder.join(name).exists());
    let project = folder.ancestors().find(says_so).unwrap_or(folder);
    project.is_dir().then(|| project.to_path_buf())
}

/// A file that is named and can't be read; one that isn't there may be meant of the workflows.
pub fn unread(file: &Path, error: &std::io::Error) -> Failure {
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

pub fn workflow_files(root: &Path) -> Result<Vec<PathBuf>> {
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

/// How the jobs of this run get a token that a forge takes; nothing where they have one.
fn remedy(args: &RunArgs) -> Remedy {
    let given = args.secrets.iter().any(|secret| secret.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case(token::NAME)));
    (!given && !args.token)
        .then_some("`--token` gives jobs one of the GitHub App in your own configuration, `--secret GITHUB_TOKEN` one of yours")
}
