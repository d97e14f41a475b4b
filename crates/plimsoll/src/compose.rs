//! From a folder to a proposal: what is committed, what it triggers, what ships, how it starts, and why we think so.

mod delivery;
mod elsewhere;
mod environments;
mod image;
pub mod secrets;
mod summary;
pub mod token;
mod workflows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::name::{ProjectId, ReleaseId};
use base::{Diagnostic, Digest, Severity, Source, Timestamp, diagnostic};
use gate::incident;
use gate::policy::{Idle, PolicyDiagnostic};
use host::git::{self, Repository};
use host::harvest::archive::leading_outside;
use release::{CodeSource, Commit, Project, Ships};
use workflow::model::Workflow;
use workflow::trigger::Event;

use crate::cli::{ImagesChoice, SecurityChoice, StrategyChoice};
use crate::config::{self, Config};
use crate::detect::{Artifact, Detected, Files, detect, nested, silent};
use crate::event;
use crate::failure::{Failure, Result};
use crate::fetching;
use crate::gitlab;
use crate::proposal::Proposal;
use crate::security;
use crate::view::{from_here, typed};
use crate::wrong::Problems;

pub use delivery::delivery;
pub use elsewhere::{Elsewhere, moves_on};
pub use image::settle;
pub use summary::traffic_of_the_first;
use workflows::{GitlabOf, has_errors, is_workflow, triggered};
pub use workflows::{load, ready};

/// What the command line says over everything else.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    pub dirty: bool,
    /// Where it is to go, as it was typed.
    pub environment: Option<String>,
    pub git_ref: Option<String>,
    /// Only these workflow files.
    pub workflows: Vec<String>,
    pub port: Option<u16>,
    /// In place of what the file says.
    pub strategy: Option<StrategyChoice>,
    /// What becomes of `image:` in GitLab's files.
    pub gitlab_images: Option<ImagesChoice>,
    pub security: Option<SecurityChoice>,
    pub vars: BTreeMap<String, String>,
    pub actor: String,
    /// Ships what is live elsewhere.
    pub from: Option<Elsewhere>,
}

/// A proposal and the lines that explain it.
#[derive(Debug)]
pub struct Composed {
    pub proposal: Proposal,
    /// Pairs of a word and what stands behind it: the plan in six lines.
    pub summary: Vec<(&'static str, String)>,
    pub warnings: Vec<String>,
    /// Worth a line and no more.
    pub notes: Vec<String>,
    /// For the working tree as it is: its files, to be kept under the snapshot's digest.
    pub snapshot: Option<Vec<u8>>,
    /// What its instances are to run in, before anybody has looked which image that is.
    pub container: Option<Contained>,
}

/// A container as the project asks for it.
#[derive(Debug, Clone)]
pub struct Contained {
    pub asked: config::Container,
    /// The artifact lies in it.
    pub files: bool,
    pub port: Option<u16>,
}

pub const LOCAL: &str = release::environment::FIRST;

/// # Errors
/// Whatever is wrong with the folder or its files, all at once.
pub fn compose(folder: &Path, choices: &Choices, now: Timestamp, random: u128) -> Result<Composed> {
    let mut repository = git::open(folder).map_err(git_failure)?;
    let git_ref = match &choices.from {
        Some(from) => from.commit.git_ref.clone(),
        None => the_ref(folder, &repository, choices)?,
    };
    if let Some(from) = &choices.from {
        // As it was committed there, whatever lies here.
        repository = Repository { sha: from.commit.sha.clone(), dirty: Vec::new(), ..repository };
    }
    // Otherwise it was run and packed before.
    let is_new = choices.from.is_none();
    let tree = Tree::open(&repository, choices.dirty)?;
    let mut warnings = Vec::new();
    if !choices.dirty && !repository.dirty.is_empty() {
        warnings.push(dirty_warning(&repository));
    }
    // Whatever is wrong with any file is said at once.
    let mut problems = Problems::default();
    let (config, config_source) = problems.or_default(read_config(&tree, &mut warnings));
    // A configuration that can't be read may have it.
    let environment =
        if problems.is_empty() { environments::of_release(choices.environment.as_deref(), &config) } else { Ok(LOCAL.to_string()) };
    let environment = problems.or_default(environment);
    warnings.extend(environments::nearly(&environment, &config));
    if let Some(from) = &choices.from {
        elsewhere::may_come(&from.environment, &environment, &config)?;
    }
    let config = config.at(&environment);
    // An image says itself how it starts, and has what it needs.
    let detected = if config.container.is_some() { None } else { detect(&tree) };
    let name = config.name.clone().unwrap_or_else(|| project_name(&repository));
    let project = Project {
        id: project_id(&repository.root, &repository.subtree),
        name,
        repository: repository.root.display().to_string(),
        subtree: repository.subtree.clone(),
    };
    let event = push_event(&repository, &project, &git_ref, choices);
    // A configuration that can't be read may have said it.
    let start = if problems.is_empty() { start_command(&config, detected.as_ref(), &tree) } else { Ok(Default::default()) };
    let (start, why_start) = problems.or_default(start.map_err(|failure| match choices.dirty || repository.dirty.is_empty() {
        true => failure,
        false => failure.hint(dirty_warning(&repository)),
    }));
    let health = detected.as_ref().filter(|_| config.start.is_none()).and_then(|detected| detected.health.clone());
    let given = detected.as_ref().filter(|_| config.start.is_none()).map(|detected| detected.env.clone()).unwrap_or_default();
    let builds = is_new && config.artifact.is_none() && config.start.is_none();
    let build = detected.filter(|_| builds).and_then(|detected| detected.build);
    let mut checked = security::Checked::default();
    let mut check = |source: &Source| {
        checked.add(source, security::mode(choices.security, &config), config.workflows.forbidden.as_ref(), &event.name, &|path| {
            tree.read(path)
        });
    };
    let mut resolver = fetching::resolver(&config.actions, &|path| tree.read(path))?;
    let gitlab = GitlabOf { project: &project.name, config: &config.gitlab, choices };
    let runners = &config.workflows.runners;
    let remedy = token::remedy(&project.id.to_string());
    let mut workflows = Vec::new();
    if is_new {
        workflows = problems.or_default(triggered(&tree, &event, &gitlab, (runners, remedy), &mut resolver, &mut warnings, &mut check));
    }
    let policies = problems.or_default(read_policies(&tree, &mut warnings));
    let calendar = problems.or_default(read_calendar(&tree, &config, now));
    let slos = problems.or_default(read_slos(&tree, &config));
    let keys = problems.or_default(read_keys(&tree, &config));
    let notes = problems.or_default(checked.finish()).into_iter().collect();
    problems.said()?;
    warnings.extend(resolver.remarks());
    let mut protects = None;
    if config.deliver_by_workflow {
        protects = environments::protected(&workflows, &config.environments, &git_ref, &choices.actor);
        warnings.extend(environments::unprotected(&workflows, &config.environments));
        warnings.extend(environments::refused(&workflows, &config.environments, &git_ref));
    }
    warnings.extend(secrets::missing(&workflows, &project.id.to_string(), config.deliver_by_workflow));
    warnings.extend(secrets::of_gate_missing(&config.gate, &project.id.to_string(), &environment));
    let why_runs = match &choices.from {
        Some(from) => format!("nothing again: what release-{} ran counts", from.number),
        None => summary::runs(&workflows, &git_ref, config.deliver_by_workflow),
    };
    if workflows.is_empty() && is_new {
        warnings.extend(workflows_of_the_root(&repository));
    }
    let mut ships = config.artifact.clone().map_or(Ships::Source, Ships::Left);
    if is_new {
        warnings.extend(not_in_the_commit(&tree));
    }
    if let (Ships::Left(what), true) = (&ships, workflows.is_empty() && is_new) {
        return Err(Failure::usage(format!("`artifact: {what}` is what a workflow leaves behind, and {why_runs}"))
            .hint("without `artifact:` the commit's files ship; `start:` runs in their folder"));
    }
    if let Some(build) = &build {
        if tree.list().iter().any(|path| path.starts_with(&format!("{BUILT}/"))) {
            return Err(Failure::usage(format!(
                "the folder `{BUILT}` is where what `{}` makes is kept, and the commit has one",
                build.command
            ))
            .hint("`start:` in plimsoll.yaml, and a workflow that builds, take the place of what was detected"));
        }
        workflows.push(build_workflow(&build.command, &build.artifact));
        ships = Ships::Left(BUILT.to_string());
    }
    if ships == Ships::Source && is_new {
        tree.leads_nowhere_else()?;
    }
    let mut delivery = delivery(&config, start.clone(), choices);
    delivery.env = given.into_iter().chain(delivery.env).collect();
    delivery::crowded(&delivery).map_or(Ok(()), Err)?;
    if config.health == config::Health::default() {
        delivery.probes.startup.path.clone_from(&health);
        delivery.probes.readiness.path = health;
    }
    let snapshot = tree.snapshot.clone();
    let commit = choices.from.as_ref().map(|from| from.commit.clone()).unwrap_or_else(|| Commit {
        sha: repository.sha.clone(),
        git_ref: git_ref.clone(),
        subject: repository.subject.clone(),
        author: repository.author.clone(),
        dirty: choices.dirty,
    });
    let source = CodeSource {
        repository: project.repository.clone(),
        sha: repository.sha.clone(),
        subtree: repository.subtree.clone(),
        snapshot: snapshot.as_ref().map(|bytes| Digest::of(bytes)),
    };
    let mut gate = gate::GatePlan { policies, calendar, slos, keys, ..config.gate.plan(config.level(&environment)) };
    gate.incidents = gate.incidents.map(|incidents| placed(incidents, &repository));
    if let Some(protection) = config.environments.protection(&environment) {
        warnings.extend(environments::protect(&environment, protection, &git_ref, &mut gate)?);
    }
    let container = config.container.clone().map(|asked| {
        let files = config.start.is_some() || config.artifact.is_some();
        Contained { asked, files, port: config.port }
    });
    let mut summary = vec![
        ("commit", summary::commit(&commit, !repository.dirty.is_empty())),
        ("runs", why_runs),
        (
            "ships",
            match &choices.from {
                Some(from) => format!("what is live in {}, as it was proved there (release-{})", from.environment, from.number),
                None => summary::ships(&ships, build.as_ref().map(|build| build.command.as_str()), config_source, choices.dirty),
            },
        ),
        ("gate", summary::gate(&gate)),
        ("starts", summary::starts(&start, &why_start, container.as_ref())),
        ("traffic", summary::traffic(&delivery)),
    ];
    if let Some(waits) = protects {
        summary.insert(2, ("waits", format!("for what protects {waits}")));
    }
    let proposal = Proposal {
        id: ReleaseId::new(now, random),
        project,
        environment,
        commit,
        source,
        event,
        workflows,
        vars: choices.vars.clone(),
        deliver_by_workflow: config.deliver_by_workflow,
        environments: config.environments.clone(),
        ships,
        from: choices.from.as_ref().map(|from| from.release),
        gate,
        delivery,
        actor: choices.actor.clone(),
    };
    Ok(Composed { proposal, summary, warnings, notes, snapshot, container })
}

/// The nearest folder above, up to the repository's root, of which it is known how it starts; as it would be typed.
pub fn project_above(folder: &Path) -> Option<String> {
    above(folder, |tree| tree.list().iter().any(|path| path == "plimsoll.yaml") || detect(tree).is_some())
}

/// The same for one that has workflows.
pub fn workflows_above(folder: &Path) -> Option<String> {
    above(folder, |tree| tree.list().iter().any(|path| is_workflow(path) || gitlab::is_file(path)))
}

/// Nothing where the folder itself is such a one.
fn above(folder: &Path, is_meant: impl Fn(&Tree) -> bool) -> Option<String> {
    let git::Place { root, subtree } = git::place(folder).ok()?;
    let is_meant = |folder: &PathBuf| {
        let tree = git::open(folder).ok().and_then(|repository| Tree::open(&repository, false).ok());
        tree.is_some_and(|tree| is_meant(&tree))
    };
    let mut folders = Path::new(&subtree).ancestors().map(|above| root.join(above));
    let is_itself = folders.next().is_some_and(|itself| is_meant(&itself));
    if is_itself { None } else { folders.find(is_meant).map(|folder| from_here(&folder)) }
}

/// What lies beside a commit and only seems to be in it.
fn not_in_the_commit(tree: &Tree) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(modules) = tree.read(".gitmodules") {
        let path = |line: &str| line.split_once('=').filter(|(key, _)| key.trim() == "path").map(|(_, path)| format!("`{}`", path.trim()));
        let paths: Vec<String> = modules.lines().filter_map(path).collect();
        said.extend((!paths.is_empty()).then(|| format!("submodules aren't fetched, their folders stay empty: {}", paths.join(", "))));
    }
    if tree.read(".gitattributes").is_some_and(|text| text.contains("filter=lfs")) {
        said.push("files of Git LFS aren't fetched: what ships has the pointers to them".to_string());
    }
    said
}

/// A folder inside a larger repository is a project of its own, which surprises whoever has the workflows at the root.
fn workflows_of_the_root(repository: &Repository) -> Option<String> {
    let subtree = Some(&repository.subtree).filter(|subtree| !subtree.is_empty())?;
    let paths = git::tree_paths(&repository.root, &repository.sha, "").ok()?;
    let is_workflow = |path: &str| path.starts_with(".github/workflows/") && (path.ends_with(".yml") || path.ends_with(".yaml"));
    paths.iter().any(|path| is_workflow(path)).then(|| {
        format!("the workflows at the repository's root are not run for `{subtree}`, a project of its own; its are those in `{subtree}/.github/workflows`")
    })
}

/// Repository and folder decide it, so that every command finds the same project without asking.
pub fn project_id(root: &Path, subtree: &str) -> ProjectId {
    let name = format!("{}\0{subtree}", root.display());
    let digest = Digest::of(name.as_bytes());
    let mut random = [0; 16];
    random.copy_from_slice(&digest.as_bytes()[..16]);
    ProjectId::new(Timestamp::default(), u128::from_be_bytes(random))
}

pub fn git_failure(error: git::Error) -> Failure {
    let hint = error.hint();
    let failure = Failure::usage(error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The files as of the commit, or as they lie there.
struct Tree {
    repository: Repository,
    paths: Vec<String>,
    snapshot: Option<Vec<u8>>,
}

impl Tree {
    fn open(repository: &Repository, dirty: bool) -> Result<Tree> {
        let paths = if dirty { git::working_files(&repository.place()) } else { git::files(repository, &repository.sha) };
        let snapshot = if dirty { Some(git::snapshot(&repository.place()).map_err(git_failure)?) } else { None };
        Ok(Tree { repository: repository.clone(), paths: paths.map_err(git_failure)?, snapshot })
    }

    /// What ships is complete in itself. Of a working tree that has been seen when it was taken.
    fn leads_nowhere_else(&self) -> Result<()> {
        if self.snapshot.is_some() {
            return Ok(());
        }
        let links = git::links(&self.repository.root, &self.repository.sha, &self.repository.subtree).map_err(git_failure)?;
        let target = |link: &git::TreeFile| PathBuf::from(String::from_utf8_lossy(&link.bytes).into_owned());
        let links: Vec<(String, PathBuf)> = links.iter().map(|link| (link.path.clone(), target(link))).collect();
        let outside = leading_outside(links.iter().map(|(path, target)| (path.as_str(), target.as_path())));
        if outside.is_empty() {
            return Ok(());
        }
        let message = format!("what ships has links that lead out of the folder: {}", outside.join(", "));
        Err(Failure::usage(message)
            .hint("a copy in a link's place ships, and so does a folder that a workflow leaves, named by `artifact:` in plimsoll.yaml"))
    }

    /// Whether git knows it: of a commit every file, of a working tree what it does not say to be new.
    fn is_tracked(&self, path: &str) -> bool {
        self.snapshot.is_none() || git::files(&self.repository, &self.repository.sha).is_ok_and(|files| files.iter().any(|it| it == path))
    }

    fn folder(&self) -> PathBuf {
        self.repository.root.join(&self.repository.subtree)
    }
}

impl Files for Tree {
    fn list(&self) -> &[String] {
        &self.paths
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        if !self.paths.iter().any(|known| known == path) {
            return None;
        }
        match self.snapshot {
            Some(_) => std::fs::read(self.folder().join(path)).ok(),
            None => git::read(&self.repository, &self.repository.sha, path).ok()?,
        }
    }
}

fn the_ref(folder: &Path, repository: &Repository, choices: &Choices) -> Result<String> {
    if let Some(git_ref) = &choices.git_ref {
        if !is_ref(git_ref) {
            return Err(Failure::usage(format!("`{git_ref}` can't be the name of a branch")));
        }
        return Ok(if git_ref.starts_with("refs/") { git_ref.clone() } else { format!("refs/heads/{git_ref}") });
    }
    match &repository.branch {
        Some(branch) => Ok(format!("refs/heads/{branch}")),
        None => {
            let (git, up) = match typed(&folder.display().to_string()).as_str() {
                "." => (String::new(), String::new()),
                folder => (format!(" -C {folder}"), format!(" {folder}")),
            };
            Err(Failure::usage("HEAD is detached, so it isn't known which branch this commit is a push to")
                .hint(format!("`git{git} switch BRANCH`, or name it: `plimsoll up{up} --ref BRANCH`")))
        }
    }
}

/// The rules of `git check-ref-format` that names typed by hand break.
fn is_ref(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock") && !part.ends_with('.');
    !name.starts_with('-') && !name.contains(forbidden) && !name.contains("..") && !name.contains("@{") && name.split('/').all(part)
}

fn dirty_warning(repository: &Repository) -> String {
    stays_out(&repository.dirty)
}

/// What is not committed isn't part of what runs.
pub fn stays_out(dirty: &[String]) -> String {
    let count = dirty.len();
    let first = dirty.first().map(String::as_str).unwrap_or_default();
    let files = if count == 1 {
        format!("`{first}` is not committed and stays out")
    } else {
        format!("`{first}` and {} more are not committed and stay out", count - 1)
    };
    format!("{files}; `--dirty` takes the working tree as it is")
}

/// What the project configures, from a file that isn't of a commit; what is wrong in it is said where it is used as a whole.
pub fn config_of(text: Option<String>) -> Config {
    text.map(|text| config::parse(&Source::new("plimsoll.yaml", text)).0).unwrap_or_default()
}

fn read_config(tree: &Tree, warnings: &mut Vec<String>) -> Result<(Config, bool)> {
    let Some(bytes) = tree.bytes("plimsoll.yaml") else {
        let is_meant = |path: &&String| ["plimsoll.yml", "plimsoll.yaml"].iter().any(|name| path.eq_ignore_ascii_case(name));
        return match tree.list().iter().find(is_meant) {
            Some(near) => Err(Failure::usage(format!("`{near}` is not read: the file is called `plimsoll.yaml`"))
                .hint(format!("`{} {near} plimsoll.yaml`, and commit it", if tree.is_tracked(near) { "git mv" } else { "mv" }))),
            None => Ok((Config::default(), false)),
        };
    };
    let (source, unread) = Source::decode("plimsoll.yaml", &bytes);
    refuse(&source, unread.as_slice())?;
    let (config, diagnostics) = config::parse(&source);
    refuse(&source, &diagnostics)?;
    warnings.extend(diagnostics.iter().map(|diagnostic| told(&source, diagnostic)));
    Ok((config, true))
}

pub fn refuse(source: &Source, diagnostics: &[Diagnostic]) -> Result<()> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    if errors == 0 {
        return Ok(());
    }
    let places = if errors == 1 { "one place".to_string() } else { format!("{errors} places") };
    Err(Failure::usage(format!("`{}` is wrong in {places}\n\n{}", source.name, diagnostic::render(source, diagnostics, false))))
}

fn project_name(repository: &Repository) -> String {
    let folder = if repository.subtree.is_empty() { repository.root.clone() } else { PathBuf::from(&repository.subtree) };
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    if name.is_empty() { "app".to_string() } else { name }
}

fn push_event(repository: &Repository, project: &Project, git_ref: &str, choices: &Choices) -> Event {
    let payload = event::push_payload(repository, &project.name, git_ref, &choices.actor);
    let changed_paths = if choices.dirty { None } else { event::changed_paths(repository, "push", &payload) };
    Event { name: "push".to_string(), payload, git_ref: git_ref.to_string(), sha: repository.sha.clone(), changed_paths }
}

/// The name under which a detected build's result is uploaded.
const BUILT: &str = "plimsoll-app";

/// A build that was detected is a workflow like any other, so that it is logged, recorded and cancelled like one.
fn build_workflow(command: &str, artifact: &Artifact) -> Workflow {
    let keep = match artifact {
        Artifact::File(path) => format!("uses: actions/upload-artifact@v4\n        with: {{name: {BUILT}, path: {path}}}"),
        // An upload would follow links, and what `node_modules/.bin` links to finds its own files only from its own place.
        Artifact::Whole => format!(
            "name: Keep\n        run: mkdir {BUILT} && find . -mindepth 1 -maxdepth 1 ! -name .git ! -name {BUILT} -exec mv -t {BUILT} {{}} +"
        ),
    };
    let text = format!(
        "name: build\non: push\njobs:\n  build:\n    runs-on: self-hosted\n    steps:\n      - uses: actions/checkout@v4\n      - name: Build\n        run: {command}\n      - {keep}\n"
    );
    let (workflow, diagnostics) = workflow::github::parse(&Source::new("(detected build)", text));
    assert!(!has_errors(&diagnostics), "our own workflow is right: {diagnostics:?}");
    workflow.expect("our own workflow can be read")
}

/// So many folders are named where one was meant.
const NESTED_MAX: usize = 5;

fn start_command(config: &Config, detected: Option<&Detected>, files: &dyn Files) -> Result<(String, String)> {
    if let Some(start) = &config.start {
        return Ok((start.clone(), "`plimsoll.yaml`".to_string()));
    }
    if config.container.is_some() {
        return Ok((String::new(), "`plimsoll.yaml`".to_string()));
    }
    match detected {
        Some(detected) => Ok((detected.start.clone(), detected.why.clone())),
        None => {
            let silent = silent(files);
            let others = if silent.is_empty() {
                ". A `Procfile`, `Dockerfile`, `package.json`, `Cargo.toml`, `go.mod`, Python application or `index.html` would have told"
            } else {
                ""
            };
            let failure = Failure::usage("it isn't known how this project starts").hint(format!(
                "write a `plimsoll.yaml` with `apiVersion: plimsoll/v1alpha1` and `start: COMMAND`; the command gets `PORT`{others}"
            ));
            let nested = nested(files);
            let failure = match nested.as_slice() {
                [] => failure,
                [first, ..] => {
                    let named: Vec<String> = nested.iter().take(NESTED_MAX).map(|folder| format!("`{folder}`")).collect();
                    let more = if nested.len() > NESTED_MAX { " and more" } else { "" };
                    failure.hint(format!("projects may be in {}{more}: `plimsoll up {first}`", named.join(", ")))
                }
            };
            Err(silent.into_iter().fold(failure, Failure::hint))
        }
    }
}

/// Those that take part in the decision.
fn read_policies(tree: &Tree, warnings: &mut Vec<String>) -> Result<Vec<gate::PolicyFile>> {
    let paths = tree
        .paths
        .iter()
        .filter(|path| path.strip_prefix("policy/").is_some_and(|name| name.ends_with(".rego") && !name.ends_with("_test.rego")));
    let mut files: Vec<gate::PolicyFile> =
        paths.map(|path| gate::PolicyFile { path: path.clone(), text: tree.read(path).unwrap_or_default() }).collect();
    let unreadable = |problems: &[PolicyDiagnostic]| {
        let rendered: Vec<String> = problems.iter().map(|problem| problem.render(false)).collect();
        Failure::usage(format!("a policy can't be read, so nothing was started\n\n{}", rendered.join("\n\n")))
    };
    // Without one of them another may be named by nobody any more.
    loop {
        let sources = files.iter().map(|file| Source::new(file.path.as_str(), file.text.as_str())).collect();
        let policies = gate::Policies::compile(sources).map_err(|problems| unreadable(&problems))?;
        let unheard = policies.unheard();
        if !unheard.is_empty() {
            return Err(unreadable(&unheard));
        }
        if policies.idle().is_empty() {
            warnings.extend(policies.unseen().iter().map(|it| told(&it.source, &it.diagnostic)));
            return Ok(files);
        }
        for Idle { path, package, .. } in policies.idle() {
            warnings.push(format!("`{path}` takes no part in the gate: `package {package}` is asked nothing, and no other file uses it"));
            files.retain(|file| file.path != *path);
        }
    }
}

/// A warning about a file in a line: where, what, and what to do.
pub fn told(source: &Source, warning: &Diagnostic) -> String {
    let (line, column) = source.line_column(warning.span.start);
    let hint = warning.hint.iter().map(|hint| format!("; {hint}"));
    std::iter::once(format!("{}:{line}:{column}: {}", source.name, warning.message)).chain(hint).collect()
}

/// The hours of the configuration, with the holidays of the file it names.
fn read_calendar(tree: &Tree, config: &Config, now: Timestamp) -> Result<gate::window::Calendar> {
    let mut calendar = config.gate.calendar.clone();
    let Some(path) = &config.gate.holidays_file else { return Ok(calendar) };
    let text = tree.read(path).ok_or_else(|| {
        let message = format!("`gate.window.holidays` names `{path}`, which is not in the commit, so nothing was started");
        Failure::usage(message).hint("commit the iCalendar file, or list the days")
    })?;
    let source = Source::new(path.as_str(), text);
    calendar.holidays = config::holidays_from(&source, now).map_err(|problems| {
        let rendered = base::diagnostic::render(&source, &problems, false);
        Failure::usage(format!("the holidays can't be read, so nothing was started\n\n{rendered}"))
    })?;
    Ok(calendar)
}

/// Whose signatures count, from the files of the commit.
fn read_keys(tree: &Tree, config: &Config) -> Result<Vec<gate::TrustedKey>> {
    let mut problems = Problems::default();
    let mut keys = Vec::new();
    for key in &config.gate.keys {
        let text = tree.read(&key.file).ok_or_else(|| {
            let message = format!("`gate.keys` names `{}`, which is not in the commit, so nothing was started", key.file);
            Failure::usage(message).hint("commit the public half of the key, in PEM")
        });
        let read = text.and_then(|text| match gate::attest::PublicKey::from_pem(&text) {
            Ok(_) => Ok(text),
            Err(why) => Err(Failure::usage(format!("`{}`, the key `{}` of `gate.keys`, can't be read: {why}", key.file, key.name))
                .hint("`plimsoll attest key` and `cosign public-key` print one")),
        });
        keys.push(gate::TrustedKey {
            name: key.name.clone(),
            key: problems.or_default(read),
            builder: key.builder.clone(),
            level: key.level,
            expires: key.expires,
        });
    }
    problems.said().map(|()| keys)
}

/// What the configuration promises, and the OpenSLO files of the commit that it names.
fn read_slos(tree: &Tree, config: &Config) -> Result<gate::slo::Slos> {
    let mut sources = Vec::new();
    for path in &config.gate.slo.files {
        let text = tree.read(path).ok_or_else(|| {
            let message = format!("`gate.slo.files` names `{path}`, which is not in the commit, so nothing was started");
            Failure::usage(message).hint("commit the OpenSLO file, or write the objectives under `gate.slo.objectives`")
        })?;
        sources.push(Source::new(path.as_str(), text));
    }
    config::slos_of(&config.gate.slo, &sources)
        .map_err(|wrong| Failure::usage(format!("what is promised can't be read, so nothing was started\n\n{}", wrong.join("\n\n"))))
}

/// A file of the project's is known to the server by its whole path, and read as it is then.
fn placed(incidents: incident::Incidents, repository: &Repository) -> incident::Incidents {
    let source = match incidents.source {
        incident::Source::File(path) => incident::Source::File(repository.root.join(&repository.subtree).join(path).display().to_string()),
        other => other,
    };
    incident::Incidents { source, ..incidents }
}

/// The environment of the project in this folder, as its file has it now.
///
/// # Errors
/// When it has none of that name.
pub fn environment_named(folder: &Path, asked: &str) -> Result<String> {
    let text = std::fs::read_to_string(folder.join("plimsoll.yaml")).ok();
    environments::of_release(Some(asked), &config_of(text))
}

pub fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}
