//! `plimsoll up`: from the last commit to a running, judged, verified version with a URL.

use std::time::Duration;

use base::name::ProjectId;
use base::time::parse_duration_ms;
use release::{Live, Outcome, Ships, environment};
use rollout::InstancePhase;

use super::{Ended, OnInterrupt, Watched, actor, dirs, follow, pairs};
use crate::cli::Up;
use crate::client::Client;
use crate::compose::{Choices, Composed, Elsewhere, compose, moves_on, settle, traffic_of_the_first};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::proposal::{Accepted, Proposal};
use crate::server::{EnvironmentView, ReleaseView};
use crate::terminal::{Terminal, Tone};
use crate::view::{finished_line, folder_argument, folder_flag};
use crate::world;

/// What was killed is started again sooner, and ready.
const COME_BACK: Duration = Duration::from_secs(15);

const LOOK: Duration = Duration::from_millis(100);

pub async fn up(args: &Up, terminal: &Terminal) -> Result<u8> {
    let wait_ms = args.wait.as_deref().map(wait_duration).transpose()?;
    let mut choices = choices(args)?;
    if let Some((project, from)) = moves_on(&args.dir, &choices, args.from.as_deref())? {
        choices.from = Some(what_moves_on(project, &from, args.dry_run).await?);
    }
    let mut composed = compose(&args.dir, &choices, world::now(), world::random())?;
    // What moves on runs in what it was tried in.
    if choices.from.is_none() {
        settle(&mut composed, |what| terminal.say(what))?;
    }
    compare_with_what_runs(&mut composed).await;
    announce(&composed, args.dry_run && !terminal.json, terminal);
    if args.dry_run {
        if terminal.json {
            terminal.json(&composed.proposal);
        }
        return Ok(exit::OK);
    }
    let dirs = dirs()?;
    if let Some(snapshot) = composed.snapshot.clone() {
        keep_snapshot(&dirs, snapshot).await?;
    }
    let client = Client::connect(&dirs).await?;
    let accepted = propose(&client, &composed.proposal).await?;
    if accepted.attached {
        terminal.say(&format!("release-{} of this commit is under way already: following it", accepted.number));
        if args.port.is_some() || args.strategy.is_some() {
            terminal.warn("`--port` and `--strategy` don't count for it; `plimsoll release abort` ends it, and another `up` takes them");
        }
    }
    if args.detach {
        return detached(&accepted, &folder_flag(&composed.proposal.project), terminal);
    }
    // Whoever comes second watches what somebody else began.
    let on_interrupt = if accepted.attached { OnInterrupt::StopWatching } else { OnInterrupt::Abort };
    let watching = follow(&client, accepted.id, on_interrupt, terminal);
    let watched = match wait_ms {
        None => watching.await?,
        Some(ms) => match tokio::time::timeout(Duration::from_millis(ms), watching).await {
            Ok(watched) => watched?,
            Err(_) => return waited_long_enough(&client, &accepted, &folder_flag(&composed.proposal.project), terminal).await,
        },
    };
    match watched {
        Watched::Ended(ended) => {
            let code = conclude(&ended, &choices, &composed.proposal, terminal)?;
            match ended.outcome {
                Outcome::Unchanged { .. } if !answers(&client, &composed.proposal, terminal).await? => return Ok(exit::FAILED),
                Outcome::Promoted { .. } => tell_of_the_first(&client, &ended, &composed.proposal, terminal).await?,
                _ => {}
            }
            Ok(code)
        }
        Watched::Left(code) => Ok(code),
    }
}

/// What the plan means beside what is live here; where that can't be known now, it stays as it is.
async fn compare_with_what_runs(composed: &mut Composed) {
    let Composed { proposal, summary, warnings, .. } = composed;
    let Ok(dirs) = super::dirs_to_read() else { return };
    let (live, is_same) = match Client::find(&dirs).await {
        Some(client) => {
            let Ok(view) = environment(&client, proposal).await else { return };
            let live = view.and_then(|view| view.live);
            let is_same = match &live {
                Some(live) => is_what_runs(&client, proposal, live).await,
                None => false,
            };
            (live, is_same)
        }
        // One that doesn't run at the moment may have brought something up before.
        None if dirs.record().exists() => return,
        None => (None, false),
    };
    let moves = |live: &Live| proposal.delivery.port != 0 && proposal.delivery.port != live.delivery.port;
    match live {
        None => {
            let traffic = traffic_of_the_first(&proposal.delivery);
            summary.iter_mut().filter(|(word, _)| *word == "traffic").for_each(|(_, text)| text.clone_from(&traffic));
        }
        Some(live) if moves(&live) => {
            let mut from = "the moment the new version gets its first requests";
            if is_same {
                let traffic = format!("all at once, as {} is live already and only its port changes", live.instance.revision);
                summary.iter_mut().filter(|(word, _)| *word == "traffic").for_each(|(_, text)| text.clone_from(&traffic));
                from = "then on";
            }
            let (old, new) = (live.delivery.port, proposal.delivery.port);
            warnings.push(format!("it moves from port {old} to {new}: nothing answers at the old one from {from}"));
        }
        Some(_) => {}
    }
}

/// Whether the commit's own files are proposed to be run as they are run already; what a workflow leaves isn't known before.
async fn is_what_runs(client: &Client, proposal: &Proposal, live: &Live) -> bool {
    let is_as_it_runs = proposal.delivery.instance(live.instance.artifact).revision == live.instance.revision;
    if proposal.ships != Ships::Source || proposal.commit.dirty || !is_as_it_runs || proposal.delivery.replicas != live.delivery.replicas {
        return false;
    }
    let view: Result<ReleaseView> = client.get(&format!("/api/v1/releases/{}", live.release)).await;
    let commit = view.ok().and_then(|view| view.status.commit);
    commit.is_some_and(|commit| commit.sha == proposal.commit.sha && !commit.dirty)
}

/// The environment that is proposed for, as it stands; nothing where the server can't be asked or knows of none.
async fn environment(client: &Client, proposal: &Proposal) -> Result<Option<EnvironmentView>> {
    let views: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={}", proposal.project.id)).await?;
    Ok(views.into_iter().find(|view| view.environment == proposal.environment))
}

/// What was live already may not answer any more, and that is no success. One that has just been started again gets its time.
async fn answers(client: &Client, proposal: &Proposal, terminal: &Terminal) -> Result<bool> {
    let deadline = tokio::time::Instant::now() + COME_BACK;
    loop {
        let Some((live, instances)) = environment(client, proposal).await?.and_then(|view| Some((view.live?, view.instances?))) else {
            return Ok(true);
        };
        let of_live = || instances.iter().filter(|it| it.revision == live.instance.revision);
        if of_live().any(|it| it.phase == InstancePhase::Ready) {
            return Ok(true);
        }
        if of_live().any(|it| it.phase == InstancePhase::BackingOff) || tokio::time::Instant::now() > deadline {
            let why = of_live().find_map(|it| it.message.as_deref()).unwrap_or("no instance is ready");
            let (revision, dir) = (&live.instance.revision, folder_argument(&proposal.project));
            terminal
                .warn(&format!("{revision} is live and does not answer: {why}; `plimsoll down{dir}` and `plimsoll up{dir}` start it anew"));
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the first version says of itself that a person should know: where it listens, how it is asked. Once is enough.
async fn tell_of_the_first(client: &Client, ended: &Ended, proposal: &Proposal, terminal: &Terminal) -> Result<()> {
    if ended.release.rollout().is_none_or(|rollout| rollout.plan().stable.is_some()) {
        return Ok(());
    }
    let instances = environment(client, proposal).await?.and_then(|view| view.instances).unwrap_or_default();
    if let Some((revision, message)) = instances.iter().find_map(|it| Some((&it.revision, it.message.as_ref()?))) {
        terminal.say(&terminal.paint(&format!("{revision}: {message}"), Tone::Faint));
    }
    Ok(())
}

/// Puts the proposal on record; asking twice with the same proposal is asking once.
///
/// # Errors
/// When the server refuses it or can't be reached.
pub async fn propose(client: &Client, proposal: &Proposal) -> Result<Accepted> {
    client.post("/api/v1/releases", proposal).await
}

fn choices(args: &Up) -> Result<Choices> {
    Ok(Choices {
        dirty: args.dirty,
        environment: args.environment.clone(),
        git_ref: args.git_ref.clone(),
        workflows: args.workflow.clone(),
        port: args.port,
        strategy: args.strategy,
        gitlab_images: args.gitlab_images,
        security: args.security,
        vars: pairs("var", &args.vars)?,
        actor: actor(),
        from: None,
    })
}

/// What is live in an environment, as the server knows it.
async fn what_moves_on(project: ProjectId, environment: &str, only_looks: bool) -> Result<Elsewhere> {
    let client = match only_looks {
        false => Client::connect(&dirs()?).await?,
        true => Client::find(&super::dirs_to_read()?).await.ok_or_else(|| {
            Failure::not_found(format!("what is live in `{environment}` is the server's to say, and none is running"))
                .hint("`plimsoll up` without `--dry-run` starts one")
        })?,
    };
    let views: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={project}")).await?;
    let view = views.into_iter().find(|view| view.environment == environment);
    let brought = view.and_then(|view| view.brought_by).and_then(|entry| Some((entry.id, entry.number, entry.commit?)));
    let Some((release, number, commit)) = brought else {
        let hint = format!("`plimsoll up{}` brings something up there first", environment::flag(environment));
        return Err(Failure::not_found(format!("nothing is live in `{environment}` that could move on")).hint(hint));
    };
    if commit.dirty {
        let message = format!("release-{number}, which is live in `{environment}`, has changes that are not committed, and stays there");
        return Err(Failure::usage(message).hint("commit them, and bring that up there"));
    }
    Ok(Elsewhere { release, number, environment: environment.to_string(), commit })
}

fn wait_duration(text: &str) -> Result<u64> {
    parse_duration_ms(text).ok_or_else(|| Failure::usage(format!("`--wait {text}` is not a length of time")).hint("`30s`, `5m`, `1h30m`"))
}

/// As the command's result, where there is no other.
fn announce(composed: &Composed, is_result: bool, terminal: &Terminal) {
    let name = &composed.proposal.project.name;
    let say = |line: &str| if is_result { terminal.data(line) } else { terminal.say(line) };
    let paint = |text: &str, tone| if is_result { text.to_string() } else { terminal.paint(text, tone) };
    say(&format!("{} → {}", paint(name, Tone::Strong), composed.proposal.environment));
    for (word, text) in &composed.summary {
        say(&format!("  {} {text}", paint(&format!("{word:<8}"), Tone::Faint)));
    }
    for warning in &composed.warnings {
        terminal.warn(warning);
    }
    for note in &composed.notes {
        terminal.say(&terminal.paint(&format!("  {note}"), Tone::Faint));
    }
}

/// Keeps the working tree as it is under its digest, for the jobs to check out.
async fn keep_snapshot(dirs: &host::dirs::Dirs, snapshot: Vec<u8>) -> Result<()> {
    use engine::world::Blobs as _;
    host::blobs::FileBlobs::new(dirs).put(snapshot).await.doing("keep the working tree's snapshot").map(drop)
}

fn detached(accepted: &Accepted, folder: &str, terminal: &Terminal) -> Result<u8> {
    if terminal.json {
        terminal.json(accepted);
    } else {
        terminal.say(&format!("`plimsoll release watch {}{folder}` follows it", accepted.number));
        terminal.data(&format!("release-{}", accepted.number));
    }
    Ok(exit::OK)
}

async fn waited_long_enough(client: &Client, accepted: &Accepted, folder: &str, terminal: &Terminal) -> Result<u8> {
    if terminal.json {
        terminal.json(&serde_json::json!({ "release": accepted, "waiting": true }));
    }
    let view: Option<ReleaseView> = client.get(&format!("/api/v1/releases/{}", accepted.id)).await.ok();
    let why = view.and_then(|view| view.waiting).map(|why| format!("waits: {why}")).unwrap_or_else(|| "goes on".to_string());
    terminal.say(&format!("release-{0} {why}; `plimsoll release watch {0}{folder}` looks again", accepted.number));
    Ok(exit::WAITING)
}

/// What a router said last that did not follow.
fn in_the_way(ended: &Ended) -> Option<&str> {
    use rollout::Outcome as Delivered;
    let (Delivered::RolledBack { reason } | Delivered::Failed { reason } | Delivered::RollbackFailed { reason }) =
        ended.release.rollout()?.outcome()?
    else {
        return None;
    };
    ended.waited_for.as_deref().filter(|_| matches!(reason, rollout::Reason::RouterRefuses { .. }))
}

fn conclude(ended: &Ended, choices: &Choices, proposal: &Proposal, terminal: &Terminal) -> Result<u8> {
    if terminal.json {
        terminal.json(&ended.release.status());
    }
    let plan = ended.release.plan();
    let name = &proposal.project.name;
    let port = plan.delivery.port;
    let folder = folder_flag(&proposal.project);
    let dir = folder_argument(&proposal.project);
    let there = environment::flag(&proposal.environment);
    match &ended.outcome {
        Outcome::Promoted { .. } | Outcome::Unchanged { .. } => {
            if !terminal.json {
                terminal.data(&format!("http://{name}.localhost:{port}"));
            }
            let (first, from) = match choices.from.as_ref() {
                Some(from) => (format!("bring a change to `{0}`", from.environment), format!(" --from {}", from.environment)),
                None => ("commit a change".to_string(), String::new()),
            };
            terminal.say(&format!(
                "also http://127.0.0.1:{port}; next: {first} and `plimsoll up{dir}{there}{from}` again, or `plimsoll status{dir}`"
            ));
        }
        // The application is not to blame, and who answers at the port is not known.
        Outcome::RolledBack { .. } | Outcome::Failed { .. } | Outcome::RollbackFailed { .. } if in_the_way(ended).is_some() => {
            terminal.say(&format!("the last it said: {}", in_the_way(ended).unwrap_or_default()));
        }
        Outcome::RolledBack { .. } => {
            let revision = ended
                .release
                .instance()
                .map(|instance| format!(", `plimsoll logs{folder} --revision {}` what it wrote", instance.revision));
            terminal.say(&format!(
                "http://127.0.0.1:{port} answers with the version before; `plimsoll release explain{folder}` shows the evidence{}",
                revision.unwrap_or_default()
            ));
        }
        Outcome::Denied { .. } => {
            terminal.say(&format!("`plimsoll release explain{folder}` shows every reason, with its rule and its report"));
        }
        Outcome::Refused { .. } => {
            terminal.say(&format!("`plimsoll release view{folder}` shows who was asked; `plimsoll up{dir}` asks again"));
        }
        Outcome::RunFailed { .. } => terminal.say(&finished_line(&ended.release, &folder)),
        Outcome::Failed { .. } | Outcome::RollbackFailed { .. } => {
            terminal.say(&format!("what the application wrote: `plimsoll logs{folder}`"));
        }
        Outcome::Superseded { by } => {
            terminal.say(&format!(
                "`plimsoll release view {by}{folder}` shows what overtook it; `plimsoll up{dir}` ships this commit all the same"
            ));
        }
        Outcome::Cancelled { .. } => {}
    }
    Ok(ended.exit_code())
}
