use base::yaml::{Entry, Node, Value};
use base::{Diagnostic, Severity, Span};
use serde_json::{Map, Value as Json};

use super::called::Callable;
use super::reader::Reader;
use super::{job, needs, references, triggers};
use crate::model::{Concurrency, Defaults, Permissions, Template, Workflow};
use crate::schema::permissions::SCOPES;
use crate::schema::places::{self, Place};

const KEYS: &[&str] = &["name", "description", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"];

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Workflow> {
    let entries = reader.closed("a workflow", root, KEYS)?;
    let mut workflow = Workflow::new(reader.source.name.to_string());
    for Entry { key, value } in entries {
        let name = key.text.as_str();
        match name {
            "name" => workflow.name = reader.literal(name, value).filter(|name| !name.is_empty()),
            "description" => drop(reader.literal(name, value)),
            "run-name" => workflow.run_name = reader.string(name, value, &places::RUN_NAME_PLACE),
            "on" => {
                let before = reader.diagnostics.len();
                (workflow.on, workflow.interface) = triggers::read(reader, value);
                if reader.diagnostics[before..].iter().all(|diagnostic| diagnostic.severity != Severity::Error) {
                    reader.callable = workflow.interface.clone().map_or(Callable::No, Callable::With);
                }
            }
            "permissions" => workflow.permissions = permissions(reader, value),
            "env" => workflow.env = reader.strings(name, value, &places::WORKFLOW_ENV_PLACE),
            "defaults" => workflow.defaults = defaults(reader, value, &places::WORKFLOW_DEFAULTS),
            "concurrency" => {
                let message = "runs that `plimsoll run` starts wait for each other here; what `plimsoll up` starts doesn't yet";
                reader.warning("workflow/concurrency", key.span, message);
                workflow.concurrency = concurrency(reader, value, &places::WORKFLOW_CONCURRENCY);
            }
            "jobs" => workflow.jobs = jobs(reader, value),
            _ => unreachable!("only known keys are left"),
        }
    }
    for key in ["on", "jobs"] {
        if root.get(key).is_none() {
            reader.missing(root, key, "a workflow");
        }
    }
    workflow.unsupported = std::mem::take(&mut reader.unsupported);
    workflow.contained = std::mem::take(&mut reader.contained);
    workflow.runners = std::mem::take(&mut reader.runners);
    let unknown = references::of_workflow(&workflow, &reader.references);
    reader.diagnostics.extend(unknown);
    Some(workflow)
}

fn jobs(reader: &mut Reader<'_>, node: &Node) -> Vec<crate::model::Job> {
    let Some(mapping) = reader.mapping("jobs", node) else { return Vec::new() };
    if mapping.is_empty() {
        reader.error("workflow/value", node.span, "a workflow needs at least one job");
    }
    let mut jobs = Vec::new();
    let mut wanted = Vec::new();
    for entry in &mapping.entries {
        reader.job = Some(entry.key.span);
        let read = job::read(reader, entry);
        reader.job = None;
        if let Some((job, needs)) = read {
            jobs.push(job);
            wanted.push(needs);
        }
    }
    let all_ids: Vec<(&str, Span)> = mapping.entries.iter().map(|entry| (entry.key.text.as_str(), entry.key.span)).collect();
    needs::check(reader, &all_ids, &mut jobs, &wanted);
    jobs
}

pub(super) fn permissions(reader: &mut Reader<'_>, node: &Node) -> Option<Permissions> {
    if let Value::String(_) = node.value() {
        return match reader.choice("permissions", node, &["read-all", "write-all"])?.as_str() {
            "read-all" => Some(Permissions::ReadAll),
            _ => Some(Permissions::WriteAll),
        };
    }
    let known: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    let mut scopes = Map::new();
    for entry in reader.closed("permissions", node, &known)? {
        let levels = SCOPES.iter().find(|(scope, _)| *scope == entry.key.text).map_or(&[] as &[&str], |(_, levels)| levels);
        if let Some(level) = reader.choice(&entry.key.text, &entry.value, levels) {
            scopes.insert(entry.key.text.clone(), Json::String(level));
        }
    }
    Some(Permissions::Scopes(scopes))
}

pub(super) fn defaults(reader: &mut Reader<'_>, node: &Node, place: &Place) -> Defaults {
    let mut defaults = Defaults::default();
    for entry in reader.closed("defaults", node, &["run"]).unwrap_or_default() {
        if let Some(expression) = reader.whole_expression("run", &entry.value, place) {
            defaults.run = expression;
            continue;
        }
        for Entry { key, value } in reader.closed("run", &entry.value, &["shell", "working-directory"]).unwrap_or_default() {
            let template = reader.non_empty_string(&key.text, value, place);
            match key.text.as_str() {
                "shell" => {
                    check_shell(reader, template.as_ref(), value.span);
                    defaults.shell = template;
                }
                _ => defaults.working_directory = template,
            }
        }
    }
    defaults
}

/// The shells that are built in; any other must say with `{0}` where the script's file goes.
pub(super) fn check_shell(reader: &mut Reader<'_>, shell: Option<&Template>, span: Span) {
    const BUILT_IN: [&str; 6] = ["bash", "sh", "pwsh", "powershell", "cmd", "python"];
    let Some(Template::String(shell)) = shell else { return };
    if BUILT_IN.contains(&shell.as_str()) || shell.contains("{0}") {
        return;
    }
    let diagnostic = Diagnostic::error("workflow/shell", span, format!("there is no shell `{shell}`"));
    reader.report(match base::name::nearest(shell, BUILT_IN) {
        Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
        None => diagnostic.hint(format!("it is one of {}, or a command with `{{0}}` for the script's file", BUILT_IN.join(", "))),
    });
}

pub(super) fn concurrency(reader: &mut Reader<'_>, node: &Node, place: &Place) -> Option<Concurrency> {
    /// Longer names of groups are refused.
    const GROUP_MAX: usize = 400;
    let mut group = None;
    let mut group_span = node.span;
    let mut cancel_in_progress = None;
    let mut queue = None;
    if node.as_mapping().is_none() {
        group = reader.string("concurrency", node, place);
    } else {
        for Entry { key, value } in reader.closed("concurrency", node, &["group", "cancel-in-progress", "queue"])? {
            match key.text.as_str() {
                "group" => {
                    group = reader.string("group", value, place);
                    group_span = value.span;
                }
                "cancel-in-progress" => cancel_in_progress = reader.boolean(&key.text, value, place),
                _ => queue = reader.choice("queue", value, &["single", "max"]),
            }
        }
        if node.get("group").is_none() {
            reader.missing(node, "group", "`concurrency`");
        }
        if queue.as_deref() == Some("max") && cancel_in_progress == Some(Template::Bool(true)) {
            let span = node.as_mapping().and_then(|mapping| mapping.entry("queue")).map_or(node.span, |entry| entry.key.span);
            let message =
                "`queue: max` and `cancel-in-progress: true` can't both be given: with the one all wait, with the other none does";
            reader.error("workflow/conflict", span, message);
        }
    }
    if let Some(Template::String(group)) = &group {
        if group.is_empty() {
            reader.error("workflow/value", group_span, "a concurrency group needs a name");
        } else if group.chars().count() > GROUP_MAX {
            reader.error("workflow/value", group_span, format!("the name of a concurrency group has at most {GROUP_MAX} characters"));
        }
    }
    Some(Concurrency { group: group?, cancel_in_progress, queue })
}
