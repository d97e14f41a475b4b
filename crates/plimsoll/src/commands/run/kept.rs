//! Runs that are on record, found and read.

use std::path::Path;

use base::Timestamp;
use host::dirs::Dirs;
use host::runs::{Asked, Attempt, Happened, Kept, Runs, StepLog, Tool};
use serde::Serialize;
use workflow::job::{Conclusion, JobOutcome};
use workflow::run::{Event, Run};

use super::project::Project;
use super::unkept;
use crate::failure::{Doing, Failure, Result};

/// One attempt at a run, read from its record.
pub(super) struct Read {
    pub kept: Kept,
    pub asked: Asked,
    pub attempt: Attempt,
    pub run: Run,
    pub events: Vec<Event>,
    pub logs: Vec<StepLog>,
    pub tools: Vec<Tool>,
}

/// The runs of the project around a folder.
pub(super) fn runs_of(folder: &Path) -> Result<Runs> {
    let here = std::env::current_dir().doing("find the current folder")?.join(folder);
    let project = Project::around(Some(&here), false)?;
    let dirs = Dirs::open().map_err(|error| Failure::from_error("open the state directory", &error))?;
    Ok(Runs::of(&dirs, &project.id()))
}

/// `run-7` or `7`; the last one when nothing is said.
pub(super) fn find(runs: &Runs, named: Option<&str>) -> Result<Kept> {
    let Some(named) = named else {
        let newest = runs.all().into_iter().next();
        return newest.ok_or_else(|| Failure::not_found("nothing was run here yet").hint("`plimsoll run` runs what a push would"));
    };
    let number = named.strip_prefix("run-").unwrap_or(named).parse::<u64>();
    let number = number.map_err(|_| Failure::usage(format!("`{named}` is no run; one is called `run-7` or `7`")))?;
    runs.get(number).ok_or_else(|| Failure::not_found(format!("there is no run-{number} here")).hint("`plimsoll run list` shows all"))
}

/// An attempt, the last one when nothing is said.
pub(super) fn read(kept: Kept, attempt: Option<u32>) -> Result<Read> {
    let asked = kept.asked().map_err(unkept)?;
    let last = kept.attempts();
    let number = kept.number;
    if last == 0 {
        let why = if kept.is_under_way() { "is under way" } else { "was killed before its record was written" };
        return Err(Failure::not_found(format!("run-{number} {why}")));
    }
    let wanted = attempt.unwrap_or(last);
    if wanted == 0 || wanted > last {
        return Err(Failure::not_found(format!("run-{number} has {last} attempts, and no attempt {wanted}")));
    }
    let (mut begun, mut events, mut logs, mut tools) = (None, Vec::new(), Vec::new(), Vec::new());
    for happened in kept.happened(wanted).map_err(unkept)? {
        match happened {
            Happened::Begun(attempt) => begun = Some(attempt),
            Happened::Run(event) => events.push(event),
            Happened::Log(log) => logs.push(log),
            Happened::Tool(tool) => tools.push(tool),
        }
    }
    let attempt = begun.ok_or_else(|| Failure::infrastructure(format!("the record of run-{number} has no beginning")))?;
    let run = Run::replay(asked.plan.clone(), &events);
    Ok(Read { kept, asked, attempt, run, events, logs, tools })
}

impl Read {
    pub fn number(&self) -> u64 {
        self.kept.number
    }

    pub fn conclusion(&self) -> Option<Conclusion> {
        self.run.conclusion()
    }

    /// How a leg ended, as its executor told it.
    pub fn outcome(&self, key: &str) -> Option<&JobOutcome> {
        self.events.iter().rev().find_map(|event| match event {
            Event::JobFinished { id, outcome, .. } if id.key == key => Some(outcome),
            _ => None,
        })
    }

    pub fn log(&self, key: &str, step: u32) -> Option<&str> {
        self.logs.iter().rev().find(|log| log.id.key == key && log.step == step).map(|log| log.text.as_str())
    }
}

/// A run as `run view` shows it in JSON.
#[derive(Serialize)]
pub(super) struct View {
    pub commit: String,
    pub git_ref: String,
    pub dirty: bool,
    pub attempt: Attempt,
    /// Whether what jobs left for each other, and where they failed, is still there.
    pub files: bool,
    pub not_run: Vec<host::runs::NotRun>,
    #[serde(flatten)]
    pub status: workflow::run::Status,
    pub tools: Vec<Tool>,
}

impl View {
    pub fn of(read: &Read) -> View {
        View {
            commit: read.asked.source.sha.clone(),
            git_ref: read.asked.plan.event.git_ref.clone(),
            dirty: read.asked.source.snapshot.is_some(),
            attempt: read.attempt.clone(),
            files: !read.kept.is_cleared(),
            not_run: read.asked.not_run.clone(),
            status: read.run.status(),
            tools: read.tools.clone(),
        }
    }
}

/// `3f2a1b0c9d8e`, or that it was the working tree.
pub(super) fn commit(sha: &str, dirty: bool) -> String {
    let short = sha.get(..12).unwrap_or(sha);
    match (short.chars().all(|c| c == '0'), dirty) {
        (true, _) => "no commit".to_string(),
        (false, true) => format!("{short} with changes"),
        (false, false) => short.to_string(),
    }
}

/// `2026-11-25 13:00 UTC`.
pub(super) fn minute(at: Timestamp) -> String {
    at.to_string().get(..16).map(|text| format!("{} UTC", text.replace('T', " "))).unwrap_or_default()
}
