//! `plimsoll run diff`: what is different from the last run before it that succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base::time::format_duration_ms;
use host::git;
use host::runs::{Kept, Runs};
use serde::Serialize;
use workflow::job::Conclusion;
use workflow::run::{Event, State};

use super::kept::{self, Read, commit};
use crate::cli::OneRun;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::terminal::{Terminal, Tone};
use crate::view::name_of;

/// Less is chance.
const SLOWER_MIN_MS: u64 = 100;
/// Paths and commits that are shown; `--json` has all.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Serialize)]
struct Difference {
    run: u64,
    green: u64,
    from: String,
    to: String,
    /// One of them was of a working tree: then commits don't say all.
    dirty: bool,
    /// Newest first.
    commits: Vec<Commit>,
    /// Why they can't be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    commits_unknown: Option<String>,
    files: Vec<String>,
    workflow_changed: bool,
    actions: Vec<Change>,
    tools: Vec<Change>,
    results: Vec<Change>,
    outputs: Vec<Change>,
    durations: Vec<Duration>,
}

#[derive(Debug, Serialize)]
struct Commit {
    sha: String,
    subject: String,
}

/// Something by its name; nothing on a side where it isn't.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    name: String,
    was: Option<String>,
    is: Option<String>,
}

/// How long a job took, or with a step's name that step.
#[derive(Debug, Serialize)]
struct Duration {
    job: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    was_ms: u64,
    is_ms: u64,
}

pub(super) fn diff(args: &OneRun, terminal: &Terminal) -> Result<u8> {
    let runs = kept::runs_of(&args.of.dir)?;
    let read = kept::read(kept::find(&runs, args.run.as_deref())?, None)?;
    let green = last_green(&runs, &read)?;
    let difference = compare(&green, &read);
    if terminal.json {
        terminal.json(&difference);
    } else {
        lines(&difference, terminal).iter().for_each(|line| terminal.data(line));
    }
    Ok(exit::OK)
}

/// Of the same workflow.
fn last_green(runs: &Runs, read: &Read) -> Result<Read> {
    let path = &read.asked.plan.workflow.path;
    let is_green = |kept: &Kept| {
        kept.number < read.number()
            && kept.summary().is_ok_and(|summary| summary.workflow == *path && summary.conclusion == Some(Conclusion::Success))
    };
    // One that was asked for one job knows nothing of the others.
    let only = &read.asked.plan.only_job;
    let is_as_whole = |green: &Read| green.asked.plan.only_job.is_none() || green.asked.plan.only_job == *only;
    let green = runs.all().into_iter().filter(is_green).find_map(|kept| kept::read(kept, None).ok().filter(is_as_whole));
    green.ok_or_else(|| {
        Failure::not_found(format!("no run of {path} before run-{} succeeded, so there is nothing to compare with", read.number()))
    })
}

fn compare(green: &Read, read: &Read) -> Difference {
    let (from, to) = (&green.asked.source, &read.asked.source);
    let (commits, commits_unknown) = match git::commits(Path::new(&to.repository), &from.sha, &to.sha) {
        Ok(commits) => (commits.into_iter().map(|(sha, subject)| Commit { sha, subject }).collect(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let files = git::open(Path::new(&read.asked.folder)).and_then(|repository| git::changed_paths(&repository, &from.sha, &to.sha));
    let pinned = |read: &Read| -> Named {
        read.asked.plan.workflow.actions.iter().map(|(key, pinned)| (key.clone(), pinned.commit.clone())).collect()
    };
    // A run of one job says nothing of the others.
    let there: BTreeSet<String> = jobs_of(read).into_iter().map(|(name, _)| name).collect();
    let is_asked = |job: &str| read.asked.plan.only_job.is_none() || there.contains(job);
    Difference {
        run: read.number(),
        green: green.number(),
        from: from.sha.clone(),
        to: to.sha.clone(),
        dirty: from.snapshot.is_some() || to.snapshot.is_some(),
        commits,
        commits_unknown,
        files: files.unwrap_or_default(),
        workflow_changed: green.asked.plan.workflow != read.asked.plan.workflow,
        actions: changes(&pinned(green), &pinned(read)),
        tools: changes(&tools(green), &tools(read)),
        results: changes(&results(green, is_asked), &results(read, is_asked)),
        outputs: changes(&outputs(green, is_asked), &outputs(read, is_asked)),
        durations: durations(green, read),
    }
}

type Named = BTreeMap<String, String>;

fn changes(was: &Named, is: &Named) -> Vec<Change> {
    let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| Change { name: name.clone(), was: was.get(name).cloned(), is: is.get(name).cloned() };
    names.into_iter().map(change).filter(|change| change.was != change.is).collect()
}

fn tools(read: &Read) -> Named {
    read.tools.iter().map(|tool| (format!("{} in {}", tool.name, name_of(&read.run, &tool.id.key)), tool.version.clone())).collect()
}

fn results(read: &Read, is_asked: impl Fn(&str) -> bool) -> Named {
    let finished = |(name, state): (String, State)| match state {
        State::Finished(conclusion) if is_asked(&name) => Some((name, conclusion.word().to_string())),
        _ => None,
    };
    jobs_of(read).into_iter().filter_map(finished).collect()
}

/// A job with a matrix is each of its legs.
fn jobs_of(read: &Read) -> Vec<(String, State)> {
    let of_job = |job: workflow::run::JobStatus| match job.legs.as_slice() {
        [] => vec![(job.name, job.state)],
        legs => legs.iter().map(|leg| (leg.name.clone(), leg.state)).collect(),
    };
    read.run.status().jobs.into_iter().flat_map(of_job).collect()
}

fn outputs(read: &Read, is_asked: impl Fn(&str) -> bool) -> Named {
    let mut named = Named::new();
    for event in &read.events {
        if let Event::JobFinished { id, outcome, .. } = event {
            let job = name_of(&read.run, &id.key);
            if is_asked(&job) {
                named.extend(outcome.outputs.iter().map(|(name, value)| (format!("{job}.{name}"), value.clone())));
            }
        }
    }
    named
}

/// Jobs and steps that ran in both, those that got slower most first.
fn durations(green: &Read, read: &Read) -> Vec<Duration> {
    let (was, is) = (times(green), times(read));
    let both = is.into_iter().filter_map(|((job, step), is_ms)| {
        let was_ms = *was.get(&(job.clone(), step.clone()))?;
        Some(Duration { job, step, was_ms, is_ms })
    });
    let mut both: Vec<Duration> = both.collect();
    both.sort_by_key(|it| (std::cmp::Reverse(i128::from(it.is_ms) - i128::from(it.was_ms)), it.job.clone(), it.step.clone()));
    both
}

fn times(read: &Read) -> BTreeMap<(String, Option<String>), u64> {
    let mut times = BTreeMap::new();
    let fresh = |key: &str| !read.attempt.reused.contains_key(key);
    for leg in read.run.status().jobs.into_iter().flat_map(|job| job.legs).filter(|leg| fresh(&leg.key)) {
        if let (Some(started), Some(finished)) = (leg.started, leg.finished) {
            times.insert((leg.name.clone(), None), finished.since_ms(started));
        }
        for step in leg.steps {
            if let (Some(started), Some(finished)) = (step.started, step.finished) {
                times.insert((leg.name.clone(), Some(step.name)), finished.since_ms(started));
            }
        }
    }
    times
}

fn lines(difference: &Difference, terminal: &Terminal) -> Vec<String> {
    let mut lines = vec![format!("run-{} beside run-{}, the last of it that succeeded", difference.run, difference.green)];
    let (from, to) = (commit(&difference.from, false), commit(&difference.to, false));
    if from == to {
        let tree = if difference.dirty { ", with changes in the working tree" } else { "" };
        lines.push(format!("commit: the same, {to}{tree}"));
    } else {
        lines.push(format!("commits from {from} to {to}"));
    }
    let commits: Vec<String> = difference.commits.iter().map(|it| format!("{} {}", commit(&it.sha, false), it.subject)).collect();
    some(&mut lines, &commits);
    lines.extend(difference.commits_unknown.as_ref().map(|why| format!("  {why}")));
    if !difference.files.is_empty() {
        lines.push(format!("files: {}", difference.files.len()));
        some(&mut lines, &difference.files);
    }
    if difference.workflow_changed {
        lines.push("the workflow itself has changed".to_string());
    }
    for (what, changes) in
        [("results", &difference.results), ("actions", &difference.actions), ("tools", &difference.tools), ("outputs", &difference.outputs)]
    {
        if !changes.is_empty() {
            lines.push(format!("{what}:"));
            let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_string());
            some(&mut lines, &changes.iter().map(|it| format!("{}: {} → {}", it.name, side(&it.was), side(&it.is))).collect::<Vec<_>>());
        }
    }
    let slower = |it: &&Duration| it.is_ms >= it.was_ms + SLOWER_MIN_MS && it.is_ms * 10 >= it.was_ms * 11;
    let told: Vec<String> = difference.durations.iter().filter(slower).map(took).collect();
    if !told.is_empty() {
        lines.push("slower:".to_string());
        some(&mut lines, &told);
    }
    let untold = |it: &&Duration| it.step.is_none() && !slower(it);
    let jobs: Vec<String> = difference.durations.iter().filter(untold).map(took).collect();
    if !jobs.is_empty() {
        lines.push("durations:".to_string());
        some(&mut lines, &jobs.iter().map(|line| terminal.paint(line, Tone::Faint)).collect::<Vec<_>>());
    }
    lines
}

fn took(it: &Duration) -> String {
    let step = it.step.as_ref().map(|step| format!(", {step}")).unwrap_or_default();
    format!("{}{step}: {} → {}", it.job, format_duration_ms(it.was_ms), format_duration_ms(it.is_ms))
}

fn some(lines: &mut Vec<String>, all: &[String]) {
    lines.extend(all.iter().take(SHOWN_MAX).map(|line| format!("  {line}")));
    if all.len() > SHOWN_MAX {
        lines.push(format!("  … and {} more", all.len() - SHOWN_MAX));
    }
}
