//! `plimsoll down`: the environment goes down; with `--purge` the server and everything that is kept go too.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use base::name::ProjectId;
use engine::world::{Executor as _, Stop};
use record::ReleaseEntry;
use release::environment;
use rollout::InstancePhase;
use workflow::job::JobSeen;

use super::{actor, dirs_to_read, project_of};
use crate::cli::Down;
use crate::client::Client;
use crate::compose::project_above;
use crate::exit;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::server::{Claim, DownRequest, EnvironmentDown, EnvironmentView, Health};
use crate::terminal::Terminal;
use crate::view::typed;

/// Instances get their grace period, and then some.
const DOWN: Duration = Duration::from_secs(45);

/// A supervisor's last words.
const LEFT: Duration = Duration::from_secs(5);

const LOOK: Duration = Duration::from_millis(100);

pub async fn down(args: &Down, terminal: &Terminal) -> Result<u8> {
    let dirs = dirs_to_read()?;
    if args.purge {
        if !args.all {
            refuse_to_purge_others(&dirs, &args.here.dir).await?;
        }
        purge_all(&dirs, terminal).await?;
        return Ok(exit::OK);
    }
    let nothing = |why: &str| {
        if terminal.json {
            terminal.json(&serde_json::json!({ "down": null }));
        }
        terminal.say(why);
        Ok(exit::OK)
    };
    let Some(client) = Client::existing(&dirs).await? else { return nothing("nothing has been brought up here") };
    let views: Vec<EnvironmentView> = client.get("/api/v1/environments").await?;
    let Some(view) = asked_for(args, &views)? else {
        let others: Vec<String> = views.iter().filter(|view| view.live.is_some()).map(named).collect();
        let others = match others.len() {
            0 => String::new(),
            count if count > NAMED_MAX => {
                format!("; live are {} and {} more: `plimsoll status`", others[..NAMED_MAX].join(", "), count - NAMED_MAX)
            }
            _ => format!("; live are {}", others.join(", ")),
        };
        let above = project_above(&args.here.dir).map(|above| format!("; the folder above is a project: `plimsoll down {above}`"));
        return nothing(&format!("nothing of this project is live{others}{}", above.unwrap_or_default()));
    };
    let runs = view.live.is_some() || view.changing.is_some() || view.instances.as_ref().is_none_or(|all| !all.is_empty());
    if !runs && view.route.is_none() {
        return nothing(&format!("nothing of {} is live", view.project_name));
    }
    let folder = typed(&view.folder);
    let (argument, flag) = match args.here.dir == Path::new(".") {
        true => (String::new(), String::new()),
        false => (format!(" {folder}"), format!(" -C {folder}")),
    };
    take_down(&client, view).await.map_err(|failure| match failure.kind {
        FailureKind::Conflict => failure.hint(format!("`plimsoll release abort{flag}` ends it")),
        _ => failure,
    })?;
    if terminal.json {
        terminal.json(&serde_json::json!({ "down": view.environment }));
    }
    let back = match Path::new(&view.folder).is_dir() {
        true => format!("`plimsoll up{argument}{}` brings it back", environment::flag(&view.environment)),
        false => format!("its folder {folder} is gone, so nothing brings it back"),
    };
    terminal.say(&format!("{} → {} is down; {back}", view.project_name, view.environment));
    Ok(exit::OK)
}

/// The project of the folder, or the one of that name or of a folder that isn't there any more.
fn asked_for<'a>(args: &Down, views: &'a [EnvironmentView]) -> Result<Option<&'a EnvironmentView>> {
    let dir = args.here.dir.as_path();
    let project = project_of(dir);
    if let Ok(project) = &project
        && views.iter().any(|view| view.project == *project)
    {
        return one_of(*project, args.environment.as_deref(), views);
    }
    let is_named = |view: &&EnvironmentView| {
        Path::new(&view.project_name) == dir || std::path::absolute(dir).is_ok_and(|dir| Path::new(&view.folder) == dir)
    };
    let of_that_name: BTreeSet<ProjectId> = views.iter().filter(is_named).map(|view| view.project).collect();
    let mut of_that_name = of_that_name.into_iter();
    match (of_that_name.next(), of_that_name.next(), project) {
        (Some(found), None, _) => one_of(found, args.environment.as_deref(), views),
        (Some(_), Some(_), _) => Err(Failure::usage(format!("several projects are called `{}`", dir.display()))
            .hint("name the folder as `plimsoll status` shows it")),
        (None, _, Ok(_)) => Ok(None),
        (None, _, Err(error)) => {
            let live: Vec<String> = views.iter().filter(|view| view.live.is_some()).map(named).collect();
            Err(if live.is_empty() {
                error
            } else {
                error.hint(format!("live are {}; `plimsoll down NAME` takes one down", live.join(", ")))
            })
        }
    }
}

/// The environment that was named, or the only one there is.
fn one_of<'a>(project: ProjectId, asked: Option<&str>, views: &'a [EnvironmentView]) -> Result<Option<&'a EnvironmentView>> {
    let mut all = views.iter().filter(|view| view.project == project);
    if let Some(asked) = asked {
        let names: Vec<String> = all.clone().map(|view| format!("`{}`", view.environment)).collect();
        let found = all.find(|view| view.environment.eq_ignore_ascii_case(asked));
        let missing = || Failure::not_found(format!("nothing of this project is in `{asked}`, but in {}", names.join(", ")));
        return found.map(Some).ok_or_else(missing);
    }
    let known: Vec<EnvironmentView> = all.clone().cloned().collect();
    let is_in_use = |view: &EnvironmentView| view.live.is_some() || view.changing.is_some();
    // Said twice, it would take down another one.
    if known.len() > 1 && known.iter().any(is_in_use) {
        return Err(super::env::several_environments(&known));
    }
    Ok(all.next())
}

/// More is no line that anybody reads.
const NAMED_MAX: usize = 5;

fn named(view: &EnvironmentView) -> String {
    format!("`{}` ({})", view.project_name, view.folder)
}

/// Whoever tried one project and cleans up after it doesn't mean what others run.
async fn refuse_to_purge_others(dirs: &host::dirs::Dirs, here: &Path) -> Result<()> {
    // A record that can't be read, or a server that doesn't answer, is no reason to leave anything running.
    let Ok(Some(client)) = Client::existing(dirs).await else { return Ok(()) };
    let views: Vec<EnvironmentView> = match client.get("/api/v1/environments").await {
        Err(failure) if failure.kind == FailureKind::Infrastructure => return Ok(()),
        views => views?,
    };
    let mut in_use: Vec<&EnvironmentView> = views.iter().filter(|view| view.live.is_some() || view.changing.is_some()).collect();
    in_use.sort_by_key(|view| named(view));
    // Standing in no project that has ever been up one means all that there is, as long as that is one.
    let own = project_of(here).ok().filter(|own| views.iter().any(|view| view.project == *own));
    let others: Vec<String> = in_use.iter().filter(|view| own.is_none_or(|own| own != view.project)).map(|view| named(view)).collect();
    if others.len() < if own.is_some() { 1 } else { 2 } {
        return Ok(());
    }
    let this_one = if own.is_some() { "`plimsoll down` takes this one down; " } else { "" };
    Err(Failure::usage(format!("`--purge` removes every project, and others are in use: {}", others.join(", ")))
        .hint(format!("{this_one}`plimsoll down --purge --all` means all of them")))
}

/// Ends and removes everything of a state directory, whether or not its server still runs. What isn't Plimsoll's stays there.
///
/// # Errors
/// When something does not end.
pub async fn purge_all(dirs: &host::dirs::Dirs, terminal: &Terminal) -> Result<()> {
    // Held to the end: whoever still watches would start another server on what is being removed.
    let mut no_server = None;
    if dirs.record().exists() {
        dirs.make_room();
        match Client::connect(dirs).await {
            Ok(client) => {
                end_all(dirs, &client).await?;
                let next = Claim::next(dirs)?;
                let _: Health = client.post("/api/v1/shutdown", &()).await?;
                let late = |_| Failure::new(FailureKind::Timeout, "the server does not end").hint("`plimsoll status` says what it does");
                no_server = Some(tokio::time::timeout(DOWN, next).await.map_err(late)??);
            }
            Err(why) => {
                // One that runs and doesn't answer may yet; nothing is ended behind its back.
                let Ok(taken) = Claim::take(dirs) else { return Err(why) };
                no_server = Some(taken);
                terminal.say(&format!("no server can be asked, what runs is ended without one: {}", why.message));
                end_without_server(dirs).await?;
            }
        }
    }
    if !host::job::end_all_below(dirs.state()) {
        terminal.warn("a step of a run that was killed does not end");
    }
    let rest = removed(dirs).await.doing("remove what is kept")?;
    drop(no_server);
    if terminal.json {
        terminal.json(&serde_json::json!({ "purged": dirs.state(), "stays": rest }));
    }
    terminal.say("everything is down and removed");
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().take(5).map(|name| format!("`{name}`")).collect();
        let more = if rest.len() > 5 { ", …" } else { "" };
        terminal.say(&format!("`{}` stays: it also holds {}{more}", dirs.state().display(), names.join(", ")));
    }
    Ok(())
}

/// Where the record can't be read no server starts, and nothing else would end what still runs.
async fn end_without_server(dirs: &host::dirs::Dirs) -> Result<()> {
    let executor = host::executor::HostExecutor::new(dirs.clone());
    let jobs = dirs.all_jobs().doing("look for steps that run")?;
    for job in &jobs {
        executor.stop(job, Stop::AtOnce).await.doing("end a step")?;
    }
    // What ends a step needs the step's files until it has.
    let deadline = tokio::time::Instant::now() + DOWN;
    for job in &jobs {
        while matches!(executor.observe(job).await, JobSeen::Running { .. }) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }
    let target = host::target::HostTarget::new(dirs.clone());
    for scope in target.scopes().doing("look for what runs")? {
        target.purge(&scope).await.doing("end what runs")?;
    }
    host::router::ProxyRouter::new(dirs.runtime()).shutdown().await.doing("end the proxy")
}

async fn end_all(dirs: &host::dirs::Dirs, client: &Client) -> Result<()> {
    let body = serde_json::json!({ "by": actor() });
    for release in unfinished(client).await? {
        // Once asks, twice doesn't wait; one that ended meanwhile refuses, and that is as good.
        for _ in 0..2 {
            let _: Result<serde_json::Value> = client.post(&format!("/api/v1/releases/{}/abort", release.id), &body).await;
        }
    }
    let deadline = tokio::time::Instant::now() + DOWN;
    while !unfinished(client).await?.is_empty() {
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(FailureKind::Timeout, "a release does not end").hint("`plimsoll status` says why"));
        }
        tokio::time::sleep(LOOK).await;
    }
    let views: Vec<EnvironmentView> = client.get("/api/v1/environments").await?;
    for view in &views {
        take_down(client, view).await?;
    }
    host::router::ProxyRouter::new(dirs.runtime()).shutdown().await.doing("end the proxy")?;
    Ok(())
}

async fn unfinished(client: &Client) -> Result<Vec<ReleaseEntry>> {
    let all: Vec<ReleaseEntry> = client.get("/api/v1/releases").await?;
    Ok(all.into_iter().filter(|release| release.outcome.is_none()).collect())
}

/// Removes what is kept; a supervisor that is about to end may still write, so it is tried for a moment. The names of what stays.
async fn removed(dirs: &host::dirs::Dirs) -> std::io::Result<Vec<String>> {
    let deadline = tokio::time::Instant::now() + LEFT;
    loop {
        match dirs.remove() {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOOK).await;
            }
            done => return done,
        }
    }
}

/// Returns when nothing of it runs any more.
async fn take_down(client: &Client, view: &EnvironmentView) -> Result<()> {
    let request = DownRequest { project: view.project, environment: view.environment.clone(), by: actor() };
    let _: EnvironmentDown = client.post("/api/v1/environments/down", &request).await?;
    let deadline = tokio::time::Instant::now() + DOWN;
    while tokio::time::Instant::now() < deadline {
        let views: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={}", view.project)).await?;
        let running = |seen: &&EnvironmentView| {
            seen.environment == view.environment
                && (seen.route.is_some()
                    || seen.instances.as_ref().is_none_or(|all| all.iter().any(|it| it.phase != InstancePhase::Stopped)))
        };
        if !views.iter().any(|seen| running(&seen)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::new(FailureKind::Timeout, "instances do not stop").hint("`plimsoll status` says which"))
}
