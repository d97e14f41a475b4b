//! `plimsoll release …`: look at releases and steer them.

use base::name::{ProjectId, ReleaseId};
use base::time::format_duration_ms;
use gate::approval::Vote;
use record::ReleaseEntry;
use release::Outcome;

use super::history::few_words;
use super::{OnInterrupt, Watched, actor, attest, follow, history, listed, manifests, or_above, project_of, running};
use crate::cli::{OfDir, OneRelease, Promote, Release, Rollback, View};
use crate::client::Client;
use crate::compose::{LOCAL, short};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::proposal::Accepted;
use crate::server::{EnvironmentView, ReleaseView, RollbackRequest};
use crate::terminal::{Terminal, Tone};
use crate::view::{Mark, agreed_before, evidence_line, marked};
use crate::world;

pub async fn release(command: Release, terminal: &Terminal) -> Result<u8> {
    match command {
        Release::List(of) => list(&of, terminal).await,
        Release::View(args) if args.record => record(&args, terminal).await,
        Release::View(args) => view(&args.one, terminal).await,
        Release::Watch(one) => watch(&one, terminal).await,
        Release::Promote(args) => promote(&args, terminal).await,
        Release::Pause(one) => steer(&one, "pause", false, terminal).await,
        Release::Resume(one) => steer(&one, "resume", false, terminal).await,
        Release::Abort(one) => steer(&one, "abort", false, terminal).await,
        Release::Rollback(args) => rollback(&args, terminal).await,
        Release::Explain(one) => explain(&one, terminal).await,
        Release::History(of) => history::history(&of, terminal).await,
        Release::Provenance(args) => attest::provenance(&args, terminal).await,
        Release::Sbom(args) => attest::sbom(&args, terminal).await,
        Release::Artifact(args) => attest::artifact(&args, terminal).await,
        Release::Lint(args) => manifests::lint(&args, terminal),
    }
}

async fn list(of: &OfDir, terminal: &Terminal) -> Result<u8> {
    let entries: Vec<ReleaseEntry> = listed("releases", &of.dir).await?;
    if terminal.json {
        terminal.json(&entries);
        return Ok(exit::OK);
    }
    for entry in &entries {
        terminal.data(&entry_line(entry, terminal));
    }
    if entries.is_empty() {
        let nothing = "no release of this folder yet; `plimsoll up` makes the first, and `plimsoll status` shows what runs elsewhere";
        terminal.data(&or_above(&of.dir, "release list", nothing));
    }
    Ok(exit::OK)
}

fn entry_line(entry: &ReleaseEntry, terminal: &Terminal) -> String {
    let age = format_duration_ms(world::now().since_ms(entry.created));
    let how = entry.outcome.as_ref().map_or("under way".to_string(), how);
    let what = what(entry);
    let line = format!("release-{:<4} {what}  {}", entry.number, terminal.paint(&format!("{age} ago by {}", entry.actor), Tone::Faint));
    format!("{}\n    {how}", marked(terminal, mark(entry), &line))
}

/// Afterwards nobody says that it is live: another one may be.
fn how(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Promoted { revision } => format!("promoted: revision {revision}"),
        _ => few_words(&outcome.sentence()).to_string(),
    }
}

pub(super) fn mark(entry: &ReleaseEntry) -> Mark {
    match &entry.outcome {
        None => Mark::Going,
        Some(outcome) if outcome.exit_code() == exit::OK => Mark::Good,
        Some(outcome) if outcome.exit_code() == exit::ROLLED_BACK || outcome.exit_code() == exit::INTERRUPTED => Mark::Warn,
        Some(_) => Mark::Bad,
    }
}

/// The commit, or what it went back to.
pub(super) fn what(entry: &ReleaseEntry) -> String {
    let what = match (&entry.commit, &entry.revision) {
        (Some(commit), _) if commit.dirty => format!("{} {} with changes that were not committed", short(&commit.sha), commit.subject),
        (Some(commit), _) => format!("{} {}", short(&commit.sha), commit.subject),
        (None, Some(revision)) => format!("rollback to {revision}"),
        (None, None) => "rollback".to_string(),
    };
    // Most projects have one, and need not be told of it.
    if entry.environment == LOCAL { what } else { format!("→ {}: {what}", entry.environment) }
}

/// The path of a release of the folder's project.
pub(super) fn path(one: &OneRelease, project: ProjectId, rest: &str) -> String {
    let name = one.release.as_deref().unwrap_or("latest");
    format!("/api/v1/releases/{name}{rest}?project={project}")
}

async fn fetch(one: &OneRelease) -> Result<(Client, ReleaseView)> {
    let client = running().await?;
    let view = client.get(&path(one, project_of(&one.of.dir)?, "")).await?;
    Ok((client, view))
}

async fn record(args: &View, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let facts: Vec<record::Fact> = client.get(&path(&args.one, project_of(&args.one.of.dir)?, "/record")).await?;
    for fact in &facts {
        terminal.data(&serde_json::to_string(fact).expect("a fact is JSON"));
    }
    Ok(exit::OK)
}

async fn view(one: &OneRelease, terminal: &Terminal) -> Result<u8> {
    let (_, view) = fetch(one).await?;
    if terminal.json {
        terminal.json(&view);
        return Ok(exit::OK);
    }
    let status = &view.status;
    terminal.data(&terminal.paint(&format!("release-{} of {} → {}", status.number, status.project, status.environment), Tone::Strong));
    if let Some(commit) = &status.commit {
        terminal.data(&format!("  commit     {} {} by {}", short(&commit.sha), commit.subject, commit.author));
    }
    if let Some(revision) = &status.rollback_to {
        let reason = status.rollback_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        terminal.data(&format!("  back to    {revision}{reason}"));
    }
    if let Some(proved) = &status.proved {
        terminal.data(&format!("  moves on   from {}, as release-{} built and proved it", proved.environment, proved.number));
    }
    terminal.data(&format!("  asked for  {} by {}", status.created.date_and_clock(), status.actor));
    for run in &status.runs {
        terminal.data(&format!("  run        {} {}", run.workflow, run.conclusion.map_or("under way", workflow::job::Conclusion::word)));
        for line in crate::view::job_lines(&run.status, terminal) {
            terminal.data(&format!("    {line}"));
        }
        for review in &run.status.reviews {
            terminal.data(&format!("  {}", crate::view::review_line(review)));
        }
    }
    if let Some(artifact) = &status.artifact {
        terminal.data(&format!("  artifact   {artifact}"));
    }
    if let Some(evidence) = &status.evidence {
        terminal.data(&format!("  evidence   {}", evidence_line(evidence)));
    }
    if let Some(decision) = &status.decision {
        let lines = gate::explain(decision);
        for (index, line) in lines.iter().enumerate() {
            terminal.data(&format!("  {}{line}", if index == 0 { "gate       " } else { "           " }));
        }
    }
    for vote in last_words(&status.votes) {
        terminal.data(&format!("  {}", vote_line(vote)));
    }
    if let Some(by) = &status.overridden {
        terminal.data(&format!("  OVERRIDDEN {by}"));
    }
    if let Some(rollout) = &status.rollout {
        terminal.data(&format!("  traffic    {}", crate::view::rollout_line(rollout)));
        for line in crate::view::evidence_lines(rollout) {
            terminal.data(&format!("             {line}"));
        }
    }
    let (word, text) = standing(&view);
    terminal.data(format!("  {word:<10} {text}").trim_end());
    Ok(exit::OK)
}

/// How it ended, or why it stands still, or that it moves.
fn standing(view: &ReleaseView) -> (&'static str, String) {
    match (&view.status.outcome, &view.waiting) {
        (Some(outcome), _) => ("ended", how(outcome)),
        (None, Some(waiting)) => ("waiting", waiting.clone()),
        (None, None) => ("moving", String::new()),
    }
}

/// The same inside a sentence.
fn stands(view: &ReleaseView) -> String {
    match standing(view) {
        (word, text) if text.is_empty() => word.to_string(),
        ("ended", text) => text,
        (word, text) => format!("{word}: {text}"),
    }
}

async fn explain(one: &OneRelease, terminal: &Terminal) -> Result<u8> {
    let (_, view) = fetch(one).await?;
    if terminal.json {
        terminal.json(&view);
        return Ok(exit::OK);
    }
    let status = &view.status;
    let mut lines = vec![format!("release-{}: {}", status.number, stands(&view))];
    if let (Some(revision), Some(reason)) = (&status.rollback_to, &status.rollback_reason) {
        lines.push(format!("It goes back to {revision}: {reason}."));
    }
    for run in &status.runs {
        lines.extend(crate::view::job_reasons(&run.status));
        lines.extend(run.status.reviews.iter().map(crate::view::review_line));
    }
    if let Some(decision) = &status.decision {
        lines.extend(gate::explain(decision));
    }
    lines.extend(last_words(&status.votes).map(vote_line));
    lines.extend(status.overridden.iter().map(|by| format!("OVERRIDDEN {by}")));
    if let Some(rollout) = &status.rollout {
        lines.extend(crate::view::evidence_lines(rollout));
    }
    terminal.data(&lines.join("\n"));
    Ok(exit::OK)
}

/// What each said last; whoever approves twice has approved.
pub(super) fn last_words(votes: &[Vote]) -> impl Iterator<Item = &Vote> {
    votes.iter().enumerate().filter(|(index, vote)| !votes[index + 1..].iter().any(|later| later.by == vote.by)).map(|(_, vote)| vote)
}

/// `approved   by bo at 2026-11-25 12:00:00 UTC: looks good`.
pub(super) fn vote_line(vote: &Vote) -> String {
    let word = if vote.agrees { "approved" } else { "refused" };
    let comment = if vote.comment.is_empty() { String::new() } else { format!(": {}", vote.comment) };
    format!("{word:<10} by {} at {}{comment}", vote.by, vote.at.date_and_clock())
}

async fn watch(one: &OneRelease, terminal: &Terminal) -> Result<u8> {
    let (client, view) = fetch(one).await?;
    let id: ReleaseId = view.status.id.parse().map_err(|_| Failure::infrastructure("the server answered with an id that is none"))?;
    conclude(follow(&client, id, OnInterrupt::StopWatching, terminal).await?, terminal)
}

fn conclude(watched: Watched, terminal: &Terminal) -> Result<u8> {
    let ended = match watched {
        Watched::Ended(ended) => ended,
        Watched::Left(code) => return Ok(code),
    };
    if terminal.json {
        terminal.json(&ended.release.status());
    }
    Ok(ended.exit_code())
}

async fn promote(args: &Promote, terminal: &Terminal) -> Result<u8> {
    steer(&args.one, "promote", args.full, terminal).await
}

async fn steer(one: &OneRelease, verb: &str, full: bool, terminal: &Terminal) -> Result<u8> {
    steer_with(one, verb, serde_json::json!({ "by": actor(), "full": full }), terminal).await
}

pub(super) async fn steer_with(one: &OneRelease, verb: &str, body: serde_json::Value, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let view: ReleaseView = client.post(&path(one, project_of(&one.of.dir)?, &format!("/{verb}")), &body).await?;
    if terminal.json {
        terminal.json(&view);
    } else {
        let voter = body["by"].as_str().unwrap_or_default();
        let again = verb == "approve" && body["environment"].is_null() && agreed_before(&view.status.votes, voter);
        let again = if again { ", as it was before: it counts once" } else { "" };
        terminal.say(&format!("release-{}: {verb} is on record{again}; now {}", view.status.number, stands(&view)));
    }
    Ok(exit::OK)
}

async fn rollback(args: &Rollback, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let project = project_of(&args.at.of.dir)?;
    let known: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={project}")).await?;
    let request = RollbackRequest {
        id: ReleaseId::new(world::now(), world::random()),
        project,
        environment: super::env::meant(&args.at, &known)?,
        revision: args.revision.clone(),
        actor: actor(),
        reason: None,
        undoes: None,
    };
    let accepted: Accepted = client.post("/api/v1/rollbacks", &request).await?;
    let code = conclude(follow(&client, accepted.id, OnInterrupt::Abort, terminal).await?, terminal)?;
    if code == exit::OK {
        tell_what_is_overtaken(&client, &project, accepted.number, terminal).await;
    }
    Ok(code)
}

/// A release that was asked for before a rollback does not undo it.
async fn tell_what_is_overtaken(client: &Client, project: &ProjectId, rollback: u64, terminal: &Terminal) {
    let entries: Result<Vec<ReleaseEntry>> = client.get(&format!("/api/v1/releases?project={project}")).await;
    for entry in entries.unwrap_or_default().iter().filter(|entry| entry.outcome.is_none() && entry.number < rollback) {
        terminal.say(&format!(
            "release-{} ({}) began before and will not be shipped; `plimsoll up` ships it anew",
            entry.number,
            what(entry)
        ));
    }
}
