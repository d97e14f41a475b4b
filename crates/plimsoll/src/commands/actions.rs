//! `plimsoll actions`: what the workflows use of other repositories, and what it is locked to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use base::{Diagnostic, Severity, Source, diagnostic};
use host::actions::{Lock, Locked, Resolver, Sources, Store, lock};
use host::job::Checked;
use serde::Serialize;
use workflow::job::{Builtin, Remote};
use workflow::runners::Runners;

use super::run::workflow_files;
use crate::cli::{Actions, ActionsLock, ActionsVerify};
use crate::compose::{config_of, git_failure, load, short};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::fetching;
use crate::terminal::{Terminal, Tone};
use crate::wrong;

pub fn actions(command: Actions, terminal: &Terminal) -> Result<u8> {
    match command {
        Actions::Lock(args) => lock(&args, terminal),
        Actions::Verify(args) => verify(&args, terminal),
        Actions::List(args) => list(&args.dir, terminal),
    }
}

/// The folder with `.github/workflows`, as it lies there.
struct Project {
    root: PathBuf,
    lock: Lock,
    sources: Sources,
}

/// A workflow file and what it uses.
struct Used {
    path: String,
    /// With that of the workflows of other repositories that it calls.
    checked: Checked,
    /// What has to do with where actions come from; what else a run would fail on is a run's affair.
    rendered: Option<String>,
}

impl Project {
    fn open(folder: &Path) -> Result<Project> {
        let root = match host::git::place(folder) {
            Ok(place) => place.root.join(place.subtree),
            Err(host::git::Error::NotARepository(folder)) => folder,
            Err(error) => return Err(git_failure(error)),
        };
        let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
        let sources = fetching::sources(&config_of(read("plimsoll.yaml")).actions)?;
        Ok(Project { lock: fetching::locked(&read)?, sources, root })
    }

    /// What each workflow file uses, looked into as far as `resolver` has it.
    fn used(&self, resolver: &mut Resolver<'_>) -> Result<Vec<Used>> {
        let mut all = Vec::new();
        let mut wrong = Vec::new();
        for file in workflow_files(&self.root)? {
            let bytes = std::fs::read(&file).doing(&format!("read {}", file.display()))?;
            let path = file.strip_prefix(&self.root).unwrap_or(&file).display().to_string();
            let source = match wrong::text(&path, &bytes) {
                Ok(source) => source,
                Err((source, diagnostics)) => {
                    wrong.push(diagnostic::render(&source, &diagnostics, false));
                    continue;
                }
            };
            match self.looked_into(&source, resolver) {
                Ok((checked, rendered)) => all.push(Used { path, checked, rendered }),
                Err(rendered) => wrong.push(rendered),
            }
        }
        if wrong.is_empty() {
            return Ok(all);
        }
        Err(Failure::usage(format!("a workflow can't be read\n\n{}", wrong.join("\n\n"))))
    }

    /// A file, and those of other repositories that it calls; those of this one are looked into by themselves.
    fn looked_into(&self, source: &Source, resolver: &mut Resolver<'_>) -> std::result::Result<(Checked, Option<String>), String> {
        let read = |path: &str| std::fs::read_to_string(self.root.join(path)).ok();
        let path = std::env::var("PATH").unwrap_or_default();
        let loaded = load(source, &|path| std::fs::read(self.root.join(path)).ok(), &Runners::default(), resolver);
        let Some(workflow) = loaded.workflow else {
            // What it uses itself can be told as long as it can be read.
            return match workflow::github::parse(source) {
                (Some(workflow), _) => {
                    let checked = host::job::check(&workflow, &read, &path, resolver);
                    let rendered = unfound(source, &checked);
                    Ok((checked, rendered))
                }
                (None, diagnostics) => Err(diagnostic::render(source, &diagnostics, false)),
            };
        };
        let mut checked = host::job::check(&workflow, &read, &path, resolver);
        let mut rendered: Vec<String> = unfound(source, &checked).into_iter().collect();
        for (key, called) in workflow.called.iter().filter(|(key, _)| !key.starts_with("./")) {
            let more = host::job::check_called((key, called), &workflow.path, &read, &path, resolver);
            let file = loaded.files.iter().find(|file| *file.source.name == *called.path);
            rendered.extend(file.and_then(|file| unfound(&file.source, &more)));
            checked.actions.extend(more.actions);
            for (user, uses) in more.uses {
                checked.uses.entry(user).or_default().extend(uses);
            }
        }
        Ok((checked, Some(rendered.join("\n\n")).filter(|text| !text.is_empty())))
    }
}

/// In its file.
fn unfound(source: &Source, checked: &Checked) -> Option<String> {
    let mine = ["workflow/remote-action", "workflow/bad-action", "workflow/action-cycle", "workflow/no-action"];
    let wrong = |it: &&Diagnostic| it.severity == Severity::Error && mine.contains(&it.code);
    let unfound: Vec<Diagnostic> = checked.diagnostics.iter().filter(wrong).cloned().collect();
    (!unfound.is_empty()).then(|| diagnostic::render(source, &unfound, false))
}

fn lock(args: &ActionsLock, terminal: &Terminal) -> Result<u8> {
    let project = Project::open(&args.of.dir)?;
    let mut known = Lock { workflows: BTreeMap::new(), ..project.lock.clone() };
    if let Some(repository) = &args.update {
        let prefix = format!("{}@", repository.to_ascii_lowercase());
        let before = known.dependencies.len();
        known.dependencies.retain(|key, _| !repository.is_empty() && !key.starts_with(&prefix));
        if known.dependencies.len() == before && !repository.is_empty() {
            return Err(Failure::not_found(format!("no action of `{repository}` is locked")).hint("`plimsoll actions list` shows what is"));
        }
    }
    let mut resolver = Resolver::new(project.sources.clone(), known.clone(), || fetching::store().map_err(|failure| failure.message));
    let used = project.used(&mut resolver)?;
    let wrong: Vec<String> = used.iter().filter_map(|it| it.rendered.clone()).collect();
    if !wrong.is_empty() {
        return Err(Failure::usage(format!("not everything can be locked, so the lock stays as it was\n\n{}", wrong.join("\n\n"))));
    }
    let written = locked(&project, &known, &used, args.all)?;
    let file = project.root.join(lock::PATH);
    std::fs::write(&file, written.render()).doing(&format!("write {}", file.display()))?;
    tell(&project.lock, &written, terminal);
    if terminal.json {
        let commits: BTreeMap<_, _> = written.dependencies.iter().map(|(key, locked)| (key, &locked.commit)).collect();
        terminal.json(
            &serde_json::json!({ "lock": lock::PATH, "actions": commits, "workflows": written.workflows.keys().collect::<Vec<_>>() }),
        );
    }
    Ok(exit::OK)
}

fn locked(project: &Project, known: &Lock, used: &[Used], all: bool) -> Result<Lock> {
    let mut written = Lock::default();
    // Built-in ones are kept where somebody has locked them: GitHub wants them in the file, we don't need them.
    let belongs =
        |remote: &Remote| all || Builtin::of(&remote.to_string()).is_none() || project.lock.dependencies.contains_key(&remote.key());
    for Used { path, checked, .. } in used {
        let keys = |user: &str| -> BTreeSet<String> {
            checked.uses.get(user).into_iter().flatten().filter(|remote| belongs(remote)).map(Remote::key).collect()
        };
        written.workflows.insert(path.clone(), keys(""));
        for remote in checked.uses.values().flatten().filter(|remote| belongs(remote)) {
            let key = remote.key();
            if written.dependencies.contains_key(&key) {
                continue;
            }
            let before = known.dependencies.get(&key);
            let (commit, tree) = match (checked.actions.get(&key), before) {
                (Some(pinned), _) => (pinned.commit.clone(), Some(pinned.tree)),
                (None, Some(before)) => (before.commit.clone(), before.tree),
                (None, None) => (Store::resolve(remote, &project.sources).map_err(|error| Failure::usage(error.to_string()))?, None),
            };
            let reference = before.map(|before| before.reference.clone()).unwrap_or_else(|| remote.reference.clone());
            let (owner_id, repo_id) = ids(&project.lock, remote);
            written.dependencies.insert(key.clone(), Locked { reference, commit, tree, owner_id, repo_id, uses: keys(&key) });
        }
    }
    Ok(written)
}

/// GitHub's own numbers, which git doesn't know: from an older entry, else from `gh` where it is installed.
fn ids(lock: &Lock, remote: &Remote) -> (Option<u64>, Option<u64>) {
    let (owner, repository) = lock.ids(remote);
    if repository.is_some() {
        return (owner, repository);
    }
    let asked = Command::new("gh").args(["api", &format!("repos/{}", remote.slug()), "--jq", "\"\\(.owner.id) \\(.id)\""]).output();
    let text = asked.ok().filter(|output| output.status.success()).map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    let numbers = text.as_deref().and_then(|text| text.split_once(' '));
    numbers.map_or((owner, None), |(owner, repository)| (owner.parse().ok(), repository.parse().ok()))
}

fn tell(before: &Lock, after: &Lock, terminal: &Terminal) {
    for (key, locked) in &after.dependencies {
        match before.dependencies.get(key) {
            None => terminal.say(&format!("locked  {key} at {}", locked.commit)),
            Some(old) if old.commit != locked.commit => terminal.say(&format!("moved   {key} from {} to {}", old.commit, locked.commit)),
            Some(_) => {}
        }
    }
    for key in before.dependencies.keys().filter(|key| !after.dependencies.contains_key(*key)) {
        terminal.say(&format!("dropped {key}: nothing uses it any more"));
    }
    let unnumbered: Vec<&str> =
        after.dependencies.iter().filter(|(_, it)| it.owner_id.is_none() || it.repo_id.is_none()).map(|(key, _)| key.as_str()).collect();
    if !unnumbered.is_empty() {
        terminal.warn(&format!(
            "GitHub's numbers of {} are not known here, and GitHub refuses a lock without them: `gh actions-lock` adds them where these \
             workflows run at GitHub too",
            unnumbered.join(", ")
        ));
    }
    let count = after.dependencies.len();
    terminal.say(&format!("{} locks {count} actions of {} workflows", lock::PATH, after.workflows.len()));
}

fn verify(args: &ActionsVerify, terminal: &Terminal) -> Result<u8> {
    let project = Project::open(&args.of.dir)?;
    let sources = if args.offline { Sources::none() } else { project.sources.clone() };
    let mut resolver = Resolver::new(sources, project.lock.clone(), || fetching::store().map_err(|failure| failure.message));
    let used = project.used(&mut resolver)?;
    let mut findings: Vec<String> = used.iter().filter_map(|it| it.rendered.clone()).collect();
    let mut reached = BTreeSet::new();
    for Used { path, checked, .. } in &used {
        let fetched = checked.uses.get("").into_iter().flatten().filter(|remote| Builtin::of(&remote.to_string()).is_none());
        let names: Vec<String> = fetched.map(|remote| format!("`{remote}`")).collect();
        if !project.lock.workflows.contains_key(path) && !names.is_empty() {
            findings.push(format!("{path} is not locked, and it uses {}; `plimsoll actions lock` locks it", names.join(", ")));
        }
        reached.extend(checked.uses.values().flatten().map(Remote::key));
    }
    for key in project.lock.dependencies.keys().filter(|key| !reached.contains(*key)) {
        findings.push(format!("`{key}` is locked, and no workflow uses it; `plimsoll actions lock` drops it"));
    }
    if !args.offline {
        for (key, locked) in &project.lock.dependencies {
            let verified =
                Remote::parse(key).map(|remote| Store::verify(&remote, &project.sources, locked).map_err(|error| error.to_string()));
            findings.extend(verified.and_then(std::convert::identity).err());
        }
    }
    if terminal.json {
        terminal.json(&serde_json::json!({ "valid": findings.is_empty(), "findings": findings }));
    } else if !findings.is_empty() {
        terminal.data(&findings.join("\n\n"));
    }
    if findings.is_empty() {
        if project.lock.dependencies.is_empty() {
            terminal.say("no action needs to be locked: what workflows use is built in, or of this repository");
            return Ok(exit::OK);
        }
        let how = if args.offline { "nobody was asked whether a tag moved" } else { "and it is what their sources have" };
        terminal.say(&format!("{} actions are locked, {how}", project.lock.dependencies.len()));
        return Ok(exit::OK);
    }
    Ok(exit::DIFFERENCES)
}

/// One action that a workflow uses.
#[derive(Debug, Serialize)]
struct Row {
    action: String,
    /// `built in`, `locked`, `not locked`.
    how: &'static str,
    commit: Option<String>,
    tree: Option<String>,
    /// Whether its files are on this machine.
    here: bool,
    workflows: BTreeSet<String>,
    /// Nothing where a workflow uses it itself.
    through: BTreeSet<String>,
}

fn list(folder: &Path, terminal: &Terminal) -> Result<u8> {
    let project = Project::open(folder)?;
    let mut resolver = Resolver::new(Sources::none(), Lock { workflows: BTreeMap::new(), ..project.lock.clone() }, || {
        fetching::store().map_err(|it| it.message)
    });
    let store = fetching::store().ok();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for Used { path, checked, .. } in project.used(&mut resolver)? {
        for (user, remote) in checked.uses.iter().flat_map(|(user, all)| all.iter().map(move |remote| (user, remote))) {
            let locked = project.lock.dependencies.get(&remote.key());
            let commit = locked.map(|locked| locked.commit.clone()).or(remote.commit().map(str::to_string));
            let how = match (Builtin::of(&remote.to_string()), &commit) {
                (Some(_), _) => "built in",
                (None, Some(_)) => "locked",
                (None, None) => "not locked",
            };
            let row = rows.entry(remote.to_string()).or_insert_with(|| Row {
                action: remote.to_string(),
                how,
                here: commit.as_ref().zip(store.as_ref()).is_some_and(|(commit, store)| store.has(remote, commit)),
                commit,
                tree: locked.and_then(|locked| locked.tree).map(|tree| tree.to_string()),
                workflows: BTreeSet::new(),
                through: BTreeSet::new(),
            });
            row.workflows.insert(path.clone());
            row.through.extend(Some(user.clone()).filter(|user| !user.is_empty()));
        }
    }
    let rows: Vec<Row> = rows.into_values().collect();
    if terminal.json {
        terminal.json(&rows);
        return Ok(exit::OK);
    }
    let width = rows.iter().map(|row| row.action.len()).max().unwrap_or_default();
    for row in &rows {
        let commit =
            row.commit.as_deref().filter(|_| row.how != "built in").map(|commit| format!(" at {}", short(commit))).unwrap_or_default();
        let here = if row.how == "built in" || row.here { "" } else { ", not fetched yet" };
        let through = row.through.iter().map(|user| format!(" through {user}")).collect::<String>();
        let tone = if row.how == "not locked" { Tone::Warn } else { Tone::Plain };
        terminal.data(&terminal.paint(&format!("{:width$}  {}{commit}{here}{through}", row.action, row.how), tone));
    }
    if rows.is_empty() {
        terminal.say("the workflows use no actions of other repositories");
    }
    Ok(exit::OK)
}
