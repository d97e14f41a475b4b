//! Whether an event runs a workflow: what stands below `on:`, read as GitHub reads it.

mod inputs;

use base::Span;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::glob::{Filter, InvalidPattern};
use crate::model::{Trigger, Workflow};

pub use inputs::{dispatch_inputs, dispatch_inputs_as_text};

/// Something that happened in a repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `push`, `pull_request`, `workflow_dispatch` …
    pub name: String,
    /// What the forge said about it: `github.event`.
    pub payload: Json,
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/merge`.
    pub git_ref: String,
    pub sha: String,
    /// Nothing when it isn't known; path filters then let everything in, because running too much is the smaller mistake.
    pub changed_paths: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Triggered {
    Yes,
    /// One sentence, without a full stop: what in the file keeps it from running.
    No {
        reason: String,
    },
}

impl Event {
    pub fn branch(&self) -> Option<&str> {
        self.git_ref.strip_prefix("refs/heads/")
    }

    pub fn tag(&self) -> Option<&str> {
        self.git_ref.strip_prefix("refs/tags/")
    }

    /// The text at a path of the payload.
    fn text(&self, path: &[&str]) -> Option<&str> {
        path.iter().try_fold(&self.payload, |json, key| json.get(key))?.as_str()
    }

    /// The branch the event is about, where that isn't its own ref: what a pull request wants to be merged into.
    pub(crate) fn base_branch(&self) -> Option<&str> {
        let git_ref = match self.name.as_str() {
            "pull_request" | "pull_request_target" => {
                self.text(&["pull_request", "base", "ref"]).or_else(|| self.branch().filter(|_| self.name == "pull_request_target"))
            }
            "merge_group" => self.text(&["merge_group", "base_ref"]),
            "workflow_run" => self.text(&["workflow_run", "head_branch"]),
            _ => self.branch(),
        };
        git_ref.map(|git_ref| git_ref.strip_prefix("refs/heads/").unwrap_or(git_ref))
    }

    pub(crate) fn head_branch(&self) -> Option<&str> {
        self.text(&["pull_request", "head", "ref"])
    }
}

/// Whether the workflow runs for the event. Of several entries for one event one that matches is enough.
pub fn matches(workflow: &Workflow, event: &Event) -> Triggered {
    let mut refusal = None;
    for trigger in workflow.on.iter().filter(|trigger| trigger.event == event.name) {
        match check(trigger, event) {
            Ok(()) => return Triggered::Yes,
            Err(reason) => refusal = Some(reason),
        }
    }
    let reason = refusal.unwrap_or_else(|| {
        let known: Vec<String> = workflow.on.iter().map(|trigger| format!("`{}`", trigger.event)).collect();
        format!("it runs on {}, not on `{}`", known.join(", "), event.name)
    });
    Triggered::No { reason }
}

/// The place in the file that answers for an event, for messages that point there.
pub fn place(workflow: &Workflow, event: &str) -> Option<Span> {
    workflow.on.iter().find(|trigger| trigger.event == event).map(|trigger| trigger.span)
}

fn check(trigger: &Trigger, event: &Event) -> Result<(), String> {
    let config = &trigger.config;
    match event.name.as_str() {
        "push" => {
            skip_asked_for(event)?;
            refs(config, event)?;
            // GitHub doesn't look at paths when a tag is pushed.
            if event.tag().is_some() { Ok(()) } else { paths(config, event) }
        }
        "pull_request" | "pull_request_target" => {
            types(config, event, Some(&["opened", "synchronize", "reopened"]))?;
            branches(config, event)?;
            paths(config, event)
        }
        "workflow_run" => {
            types(config, event, None)?;
            workflows(config, event)?;
            branches(config, event)
        }
        "merge_group" => {
            types(config, event, None)?;
            branches(config, event)
        }
        "schedule" => schedule(config, event),
        "workflow_dispatch" | "workflow_call" => Ok(()),
        _ => types(config, event, None),
    }
}

/// Branch and tag filters of a push: once one kind is filtered, pushes of the other kind run only if they are filtered too.
fn refs(config: &Map<String, Json>, event: &Event) -> Result<(), String> {
    let has = |key: &str| config.contains_key(key);
    if event.payload.get("deleted") == Some(&Json::Bool(true)) {
        return Err(format!("`{}` was deleted, and there is no commit to run for", event.git_ref));
    }
    if let Some(tag) = event.tag() {
        if !has("tags") && !has("tags-ignore") && (has("branches") || has("branches-ignore")) {
            return Err(format!("it runs for branches, and `{tag}` is a tag"));
        }
        return names(config, "tag", tag);
    }
    if let Some(branch) = event.branch() {
        if !has("branches") && !has("branches-ignore") && (has("tags") || has("tags-ignore")) {
            return Err(format!("it runs for tags, and `{branch}` is a branch"));
        }
        return names(config, "branch", branch);
    }
    Ok(())
}

/// Branch filters of every event but a push; they look at the branch that the event goes to.
fn branches(config: &Map<String, Json>, event: &Event) -> Result<(), String> {
    event.base_branch().map_or(Ok(()), |branch| names(config, "branch", branch))
}

fn names(config: &Map<String, Json>, kind: &str, name: &str) -> Result<(), String> {
    let plural = if kind == "tag" { "tags" } else { "branches" };
    if let Some(patterns) = list(config, plural)
        && !filter(&patterns)?.matches(name)
    {
        return Err(format!("the {kind} `{name}` is not among `{plural}: [{}]`", patterns.join(", ")));
    }
    let ignoring = format!("{plural}-ignore");
    if let Some(patterns) = list(config, &ignoring)
        && filter(&patterns)?.matches(name)
    {
        return Err(format!("the {kind} `{name}` is among `{ignoring}: [{}]`", patterns.join(", ")));
    }
    Ok(())
}

fn paths(config: &Map<String, Json>, event: &Event) -> Result<(), String> {
    let Some(changed) = &event.changed_paths else { return Ok(()) };
    if let Some(patterns) = list(config, "paths") {
        let filter = filter(&patterns)?;
        if !changed.iter().any(|path| filter.matches(path)) {
            return Err(format!("none of {} is among `paths: [{}]`", files(changed), patterns.join(", ")));
        }
    }
    if let Some(patterns) = list(config, "paths-ignore") {
        let filter = filter(&patterns)?;
        if changed.iter().all(|path| filter.matches(path)) {
            return Err(format!("all of {} are among `paths-ignore: [{}]`", files(changed), patterns.join(", ")));
        }
    }
    Ok(())
}

/// The first few by name, so that the reader sees at once what was looked at.
fn files(changed: &[String]) -> String {
    const NAMED: usize = 3;
    match changed {
        [] => "the changed files (there are no changed files)".to_string(),
        changed if changed.len() <= NAMED => format!("the changed files ({})", changed.join(", ")),
        changed => format!("the changed files ({} and {} more)", changed[..NAMED].join(", "), changed.len() - NAMED),
    }
}

/// An event that doesn't say its activity passes: it was made by hand.
fn types(config: &Map<String, Json>, event: &Event, default: Option<&[&str]>) -> Result<(), String> {
    let Some(action) = event.text(&["action"]) else { return Ok(()) };
    let wanted = list(config, "types").or_else(|| default.map(<[&str]>::to_vec));
    match wanted {
        Some(wanted) if !wanted.contains(&action) => {
            Err(format!("the activity `{action}` of `{}` is not among `types: [{}]`", event.name, wanted.join(", ")))
        }
        _ => Ok(()),
    }
}

fn workflows(config: &Map<String, Json>, event: &Event) -> Result<(), String> {
    let name = event.text(&["workflow_run", "name"]).or_else(|| event.text(&["workflow", "name"]));
    match (list(config, "workflows"), name) {
        (Some(wanted), Some(name)) if !wanted.contains(&name) => {
            Err(format!("the workflow `{name}` is not among `workflows: [{}]`", wanted.join(", ")))
        }
        _ => Ok(()),
    }
}

/// The entry whose cron line the event names; an event without one is a schedule started by hand.
fn schedule(config: &Map<String, Json>, event: &Event) -> Result<(), String> {
    let Some(due) = event.text(&["schedule"]) else { return Ok(()) };
    let mut lines = Vec::new();
    config.values().for_each(|value| crons(value, &mut lines));
    if lines.is_empty() || lines.contains(&due) {
        return Ok(());
    }
    Err(format!("`{due}` is not among its schedules ({})", lines.join("; ")))
}

fn crons<'a>(value: &'a Json, lines: &mut Vec<&'a str>) {
    match value {
        Json::String(line) => lines.push(line),
        Json::Array(entries) => entries.iter().for_each(|entry| crons(entry, lines)),
        Json::Object(entry) => entry.get("cron").into_iter().for_each(|cron| crons(cron, lines)),
        _ => {}
    }
}

/// What GitHub takes in a commit's message as the wish that nothing runs for it.
fn skip_asked_for(event: &Event) -> Result<(), String> {
    let message = event.text(&["head_commit", "message"]).unwrap_or_default();
    let marks = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
    let lower = message.to_lowercase();
    if let Some(mark) = marks.into_iter().find(|mark| lower.contains(mark)) {
        return Err(format!("the commit's message says `{mark}`"));
    }
    let trailer = message.lines().rev().take_while(|line| !line.trim().is_empty()).find(|line| {
        let line: String = line.to_lowercase().split_whitespace().collect();
        line == "skip-checks:true"
    });
    trailer.map_or(Ok(()), |_| Err("the commit's message says `skip-checks: true`".to_string()))
}

/// A filter's value, written as a list or as one text.
fn list<'a>(config: &'a Map<String, Json>, key: &str) -> Option<Vec<&'a str>> {
    match config.get(key)? {
        Json::String(text) => Some(vec![text]),
        Json::Array(items) => Some(items.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

fn filter(patterns: &[&str]) -> Result<Filter, String> {
    Filter::parse(patterns.iter().copied()).map_err(|error: InvalidPattern| error.to_string())
}
