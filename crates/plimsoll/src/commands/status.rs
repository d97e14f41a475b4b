//! `plimsoll status`: what runs where, since when, and why.

use std::collections::BTreeSet;
use std::path::Path;

use base::time::format_duration_ms;
use base::{Timestamp, thousands};
use record::{ReleaseEntry, StrategyKind};
use release::{Outcome, environment};
use rollout::{InstancePhase, InstanceSeen, RevisionId};

use super::history::few_words;
use super::project_of;
use crate::cli::Here;
use crate::client::Client;
use crate::compose::project_above;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::server::{EnvironmentView, Verified};
use crate::terminal::{Terminal, Tone};
use crate::view::{Mark, marked, percent, typed};
use crate::world;

pub async fn status(args: &Here, terminal: &Terminal) -> Result<u8> {
    if !args.dir.is_dir() {
        return Err(Failure::usage(format!("there is no folder `{}`", args.dir.display())));
    }
    // In a project its own environments, elsewhere all of them.
    let project = project_of(&args.dir).ok();
    let dirs = super::dirs_to_read()?;
    let mut views: Vec<EnvironmentView> = match Client::existing(&dirs).await? {
        Some(client) => client.get("/api/v1/environments").await?,
        None => Vec::new(),
    };
    views.sort_by(|one, other| {
        (&one.project_name, &one.folder, &one.environment).cmp(&(&other.project_name, &other.folder, &other.environment))
    });
    let of_project: Vec<EnvironmentView> = views.iter().filter(|view| project == Some(view.project)).cloned().collect();
    let releases: Vec<ReleaseEntry> = if project.is_some() { super::listed("releases", &args.dir).await? } else { Vec::new() };
    // A folder that is named, or has had releases, is asked about alone.
    let alone = !of_project.is_empty() || !releases.is_empty() || args.dir != Path::new(".");
    let of_project_is_empty = of_project.is_empty() && releases.is_empty();
    let shown = if alone { of_project } else { views };
    if terminal.json {
        terminal.json(&shown);
        return Ok(exit::OK);
    }
    if project.is_some() && !alone && !shown.is_empty() {
        terminal.say("nothing of this project is live; elsewhere:");
    }
    if shown.is_empty() {
        terminal.data("nothing is live here; `plimsoll up` brings something up");
        if let Some(ended) = releases.iter().max_by_key(|release| release.number) {
            let how = ended.outcome.as_ref().map_or("it is under way".to_string(), ended_how);
            terminal.data(&format!("    release-{} was the last: {how}", ended.number));
        }
    }
    if of_project_is_empty && let Some(above) = project_above(&args.dir) {
        terminal.say(&format!("the folder above is a project: `plimsoll status {above}`"));
    }
    for view in &shown {
        print(view, terminal);
        if project == Some(view.project) {
            tell_of_the_last(&releases, &view.environment, terminal);
        }
    }
    // Where nothing was ever live there is nothing else to be told.
    let is_shown = |environment: &str| shown.iter().any(|view| project == Some(view.project) && view.environment == environment);
    let others: BTreeSet<&str> = releases.iter().map(|it| it.environment.as_str()).filter(|name| !is_shown(name)).collect();
    for environment in others.into_iter().filter(|_| !shown.is_empty()) {
        let name = releases.iter().find(|it| it.environment == environment).map_or("", |it| it.project_name.as_str());
        terminal.data(&terminal.paint(&format!("{name} → {environment}"), Tone::Strong));
        terminal.data(&format!("  {}", marked(terminal, Mark::Skipped, "nothing is live")));
        tell_of_the_last(&releases, environment, terminal);
    }
    Ok(exit::OK)
}

/// What was tried last and is not what runs would be missed otherwise.
fn tell_of_the_last(releases: &[ReleaseEntry], environment: &str, terminal: &Terminal) {
    let last = releases.iter().filter(|it| it.environment == environment).max_by_key(|release| release.number);
    if let Some((last, outcome)) = last.and_then(|last| Some((last, last.outcome.as_ref()?)))
        && !matches!(outcome, Outcome::Promoted { .. } | Outcome::Unchanged { .. })
    {
        let how = ended_how(outcome);
        terminal.data(&format!("  {}", marked(terminal, Mark::Warn, &format!("release-{} was the last: {how}", last.number))));
    }
}

/// `release explain` has all the numbers.
fn ended_how(outcome: &Outcome) -> String {
    few_words(&outcome.sentence()).to_string()
}

fn print(view: &EnvironmentView, terminal: &Terminal) {
    let title = format!("{} → {}", view.project_name, view.environment);
    terminal.data(&format!("{}  {}", terminal.paint(&title, Tone::Strong), terminal.paint(&view.folder, Tone::Faint)));
    let leading = Leading::of(view);
    match &leading {
        Some(leading) => {
            let age = format_duration_ms(world::now().since_ms(leading.since));
            let url = format!("http://{}.localhost:{}", view.project_name, leading.port);
            let verified = if view.verified.is_some() { ", verified" } else { "" };
            let text = format!("revision {} since {age} (release-{}){verified}", leading.revision, leading.number);
            terminal.data(&format!("  {}  {url}", marked(terminal, mark_of(view, leading), &text)));
        }
        None => terminal.data(&format!("  {}", marked(terminal, Mark::Skipped, "nothing is live"))),
    }
    if leading.is_some() && !Path::new(&view.folder).is_dir() {
        let gone = format!("its folder is gone, what runs goes on; `plimsoll down {}` takes it down", typed(&view.folder));
        terminal.data(&format!("    {}", marked(terminal, Mark::Warn, &gone)));
    }
    if let Some(route) = &view.route {
        for (revision, weight) in route.weights.iter().filter(|(_, weight)| **weight > 0) {
            let counts = route.counts.get(revision).cloned().unwrap_or_default();
            let p95 = counts.users.latency.quantile_us(0.95).map(|us| format!(", p95 {:.1} ms", us as f64 / 1_000.0)).unwrap_or_default();
            let line = format!(
                "{} of traffic to {revision}: {}, {} bad{p95}",
                percent(*weight),
                requests(counts.users.requests),
                thousands(counts.users.bad)
            );
            terminal.data(&format!("    {line}"));
        }
    } else if view.live.is_some() {
        terminal.data(&format!("    {}", marked(terminal, Mark::Warn, "the proxy does not answer; it is started again within a second")));
    }
    if let (Some(leading), Some(route)) = (&leading, &view.route) {
        let beside = route.weights.iter().filter(|(revision, weight)| **weight == 0 && *revision != leading.revision);
        for (revision, _) in beside {
            let url = format!("http://{revision}.{}.localhost:{}", view.project_name, leading.port);
            terminal.data(&format!("    no traffic to {revision}, reached at {url}"));
        }
    }
    let is_live = |revision: &RevisionId| leading.as_ref().is_some_and(|leading| leading.revision == revision);
    let is_news = |it: &&InstanceSeen| it.phase != InstancePhase::Stopped || it.message.is_some() && is_live(&it.revision);
    for instance in view.instances.iter().flatten().filter(is_news) {
        terminal.data(&format!("    {}", instance_line(instance, terminal)));
    }
    for noticed in &view.noticed {
        terminal.data(&format!("  {}", marked(terminal, Mark::Warn, &format!("at {}: {}", noticed.at.date_and_clock(), noticed.said))));
    }
    for freeze in &view.frozen {
        let at = environment::flag(&view.environment);
        let until = freeze.to.map_or(format!("until `plimsoll env unfreeze{at}`"), |to| format!("until {}", to.date_and_clock()));
        terminal.data(&format!("  {}", marked(terminal, Mark::Warn, &format!("frozen {until}: {}", freeze.reason))));
    }
    if let Some(by) = &view.overridden {
        terminal.data(&format!("  {}", marked(terminal, Mark::Bad, &format!("the gate is OVERRIDDEN {by}"))));
    }
    if let Some(release) = &view.changing {
        let what = what_it_does(view);
        terminal.data(&format!("  {}", marked(terminal, Mark::Going, &format!("release-{} {what}", release.number))));
    }
    for release in &view.coming {
        let line = format!("release-{} is still to come: {}", release.number, super::release::what(release));
        terminal.data(&format!("  {}", marked(terminal, Mark::Going, &line)));
    }
}

/// What users get: what is live, or what is verified and will be called so as soon as nothing of the version before is left.
struct Leading<'a> {
    revision: &'a RevisionId,
    number: u64,
    since: Timestamp,
    port: u16,
    replicas: u32,
}

impl Leading<'_> {
    fn of(view: &EnvironmentView) -> Option<Leading<'_>> {
        if let Some(Verified { revision, number, since, port, replicas }) = &view.verified {
            return Some(Leading { revision, number: *number, since: *since, port: *port, replicas: *replicas });
        }
        let release::Live { instance, number, since, delivery, .. } = view.live.as_ref()?;
        Some(Leading { revision: &instance.revision, number: *number, since: *since, port: delivery.port, replicas: delivery.replicas })
    }
}

/// Only what has the environment changes it.
fn what_it_does(view: &EnvironmentView) -> String {
    let word = match (&view.verified, view.is_changing, &view.waiting) {
        (Some(_), _, Some(why)) if why.starts_with("verified; ") => return format!("is {why}"),
        (Some(_), ..) => "is verified",
        (None, true, _) => "is changing it",
        (None, false, Some(_)) => "waits",
        (None, false, None) => "is under way",
    };
    view.waiting.as_ref().map_or_else(|| word.to_string(), |why| format!("{word}: {why}"))
}

/// Good is what answers; in the middle of a rolling update that is both versions together.
fn mark_of(view: &EnvironmentView, leading: &Leading<'_>) -> Mark {
    let Some(instances) = &view.instances else { return Mark::Warn };
    let is_rolling = view.changing.as_ref().is_some_and(|release| release.strategy == Some(StrategyKind::Rolling));
    let has_traffic =
        |revision: &RevisionId| view.route.as_ref().is_some_and(|route| route.weights.get(revision).is_some_and(|weight| *weight > 0));
    let counts = |it: &&InstanceSeen| it.revision == *leading.revision || is_rolling && has_traffic(&it.revision);
    let ready = instances.iter().filter(counts).filter(|it| it.phase == InstancePhase::Ready).count();
    match ready {
        0 => Mark::Bad,
        ready if ready < leading.replicas as usize => Mark::Warn,
        _ => Mark::Good,
    }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_string() } else { format!("{} requests", thousands(count)) }
}

/// So many restarts of one instance are no accident.
const RESTLESS: u32 = 3;

fn instance_line(instance: &InstanceSeen, terminal: &Terminal) -> String {
    let (mark, word) = match instance.phase {
        InstancePhase::Ready if instance.restarts >= RESTLESS => (Mark::Warn, "ready"),
        InstancePhase::Ready => (Mark::Good, "ready"),
        InstancePhase::Starting => (Mark::Going, "starting"),
        InstancePhase::NotReady => (Mark::Warn, "not ready"),
        InstancePhase::BackingOff => (Mark::Bad, "waiting to be started again"),
        InstancePhase::Stopped => (Mark::Skipped, "stopped"),
    };
    let address = instance.address.as_deref().unwrap_or("no port yet");
    let restarts = match instance.restarts {
        0 => String::new(),
        1 => ", restarted once".to_string(),
        count => format!(", restarted {count} times"),
    };
    // What it says of itself is no reason for the restarts.
    let message = instance.message.as_ref().map(|message| format!("; {message}")).unwrap_or_default();
    marked(terminal, mark, &format!("{}/{} {word} at {address}{restarts}{message}", instance.revision, instance.index))
}
