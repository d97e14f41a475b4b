//! Which jobs a pipeline has: `rules`, `only` and `except`, decided when it is created.

use std::collections::BTreeMap;

use super::expression;
use super::file::{AllowFailure, Job, Need, Policy, Rule, When};
use super::glob::Pattern;
use super::pipeline::Pipeline;
use super::variables::{Variable, expand_known};

/// A job is in the pipeline, and how.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub when: When,
    pub start_in_ms: Option<u64>,
    pub allow_failure: AllowFailure,
    pub variables: Vec<Variable>,
    /// Of the rule that decided, where it says some.
    pub needs: Option<Vec<Need>>,
}

/// `workflow:rules`: the variables of the rule that matched, or why there is no pipeline.
pub(super) fn pipeline(rules: Option<&[Rule]>, pipeline: &Pipeline, variables: &BTreeMap<String, String>) -> Result<Vec<Variable>, String> {
    let Some(rules) = rules else { return Ok(Vec::new()) };
    match first(rules, pipeline, variables) {
        None => Err("none of its `workflow:rules` matches".to_string()),
        Some(rule) if rule.when == Some(When::Never) => Err(format!("its `workflow:rules` say never for {}", shown(rule))),
        Some(rule) => Ok(rule.variables.clone()),
    }
}

/// How the job is in the pipeline, or why it isn't, as a sentence.
pub(super) fn job(job: &Job, pipeline: &Pipeline, variables: &BTreeMap<String, String>) -> Result<Added, String> {
    let mut added = Added {
        when: job.when,
        start_in_ms: job.start_in_ms,
        // A manual job doesn't hold a pipeline up, unless a rule made it manual.
        allow_failure: job.allow_failure.clone().unwrap_or(AllowFailure::Always(job.when == When::Manual)),
        variables: Vec::new(),
        needs: None,
    };
    if let Some(rules) = &job.rules {
        let Some(rule) = first(rules, pipeline, variables) else { return Err("none of its rules matches".to_string()) };
        added.when = rule.when.unwrap_or(added.when);
        added.start_in_ms = rule.start_in_ms.or(added.start_in_ms);
        added.allow_failure = rule.allow_failure.clone().unwrap_or(added.allow_failure);
        added.variables = rule.variables.clone();
        added.needs = rule.needs.clone();
        if added.when == When::Never {
            return Err(format!("its rules say never for {}", shown(rule)));
        }
        return Ok(added);
    }
    let branches_and_tags = Policy { refs: Some(vec!["branches".to_string(), "tags".to_string()]), ..Policy::default() };
    if let Some(why) = only_refuses(job.only.as_ref().unwrap_or(&branches_and_tags), job.only.is_some(), pipeline, variables) {
        return Err(why);
    }
    if let Some(except) = &job.except
        && let Some(why) = except_refuses(except, pipeline, variables)
    {
        return Err(why);
    }
    Ok(added)
}

fn first<'r>(rules: &'r [Rule], pipeline: &Pipeline, variables: &BTreeMap<String, String>) -> Option<&'r Rule> {
    rules.iter().find(|rule| {
        let condition = rule.condition.as_ref().is_none_or(|(condition, _)| condition.holds(variables));
        let exists = || rule.exists.as_ref().is_none_or(|patterns| Pattern::any(&expanded(patterns, variables), &pipeline.files));
        condition && changes_hold(rule.changes.as_ref(), pipeline, variables) && exists()
    })
}

/// What can't be known has changed: a new branch, a tag, a schedule.
fn changes_hold(patterns: Option<&Vec<String>>, pipeline: &Pipeline, variables: &BTreeMap<String, String>) -> bool {
    let (Some(patterns), Some(changed)) = (patterns, &pipeline.changed) else { return true };
    pipeline.event.tag().is_some() || Pattern::any(&expanded(patterns, variables), changed)
}

fn expanded(patterns: &[String], variables: &BTreeMap<String, String>) -> Vec<String> {
    patterns.iter().map(|pattern| expand_known(pattern, variables)).collect()
}

fn shown(rule: &Rule) -> String {
    match (&rule.condition, &rule.changes, &rule.exists) {
        (Some((_, text)), _, _) => format!("`{text}`"),
        (None, Some(changes), _) => format!("changes of `{}`", changes.join("`, `")),
        (None, None, Some(exists)) => format!("a project with `{}`", exists.join("`, `")),
        (None, None, None) => "everything else".to_string(),
    }
}

/// All that `only` asks has to hold; of several refs, or variables, one is enough.
fn only_refuses(only: &Policy, given: bool, pipeline: &Pipeline, variables: &BTreeMap<String, String>) -> Option<String> {
    let name = pipeline.ref_name();
    if let Some(refs) = &only.refs
        && !refs.iter().any(|wanted| ref_matches(wanted, pipeline))
    {
        return Some(match given {
            true => format!("`{name}` ({}) is not among `only: [{}]`", pipeline.kind(), refs.join(", ")),
            false => format!("without `rules` and `only` it is for branches and tags, not for `{}`", pipeline.kind()),
        });
    }
    if let Some(conditions) = &only.variables
        && !conditions.iter().any(|condition| condition.holds(variables))
    {
        return Some("none of the conditions of its `only:variables` holds".to_string());
    }
    if !changes_hold(only.changes.as_ref(), pipeline, variables) {
        return Some(format!(
            "nothing changed of its `only:changes` ({})",
            only.changes.as_ref().map(|it| it.join(", ")).unwrap_or_default()
        ));
    }
    only.kubernetes.then(|| "it is only for projects with a Kubernetes cluster".to_string())
}

/// One thing that `except` names is enough.
fn except_refuses(except: &Policy, pipeline: &Pipeline, variables: &BTreeMap<String, String>) -> Option<String> {
    let refs = except.refs.iter().flatten().find(|wanted| ref_matches(wanted, pipeline));
    if let Some(wanted) = refs {
        return Some(format!("`{}` ({}) is among `except`: `{wanted}`", pipeline.ref_name(), pipeline.kind()));
    }
    if except.variables.iter().flatten().any(|condition| condition.holds(variables)) {
        return Some("a condition of its `except:variables` holds".to_string());
    }
    if except.changes.is_some() && changes_hold(except.changes.as_ref(), pipeline, variables) {
        return Some("something of its `except:changes` changed".to_string());
    }
    None
}

/// `branches`, `tags`, `merge_requests`, `schedules` …, a name, or a pattern between slashes; `@group/project` behind it.
fn ref_matches(wanted: &str, pipeline: &Pipeline) -> bool {
    let (wanted, project) = match wanted.rsplit_once('@') {
        Some((wanted, project)) if !project.contains('/') || wanted.is_empty() => (format!("{wanted}@{project}"), None),
        Some((wanted, project)) => (wanted.to_string(), Some(project)),
        None => (wanted.to_string(), None),
    };
    if project.is_some_and(|project| project != pipeline.project) {
        return false;
    }
    let source = pipeline.source.as_str();
    match wanted.as_str() {
        "branches" => pipeline.branch().is_some(),
        "tags" => pipeline.event.tag().is_some(),
        "merge_requests" => pipeline.is_merge_request(),
        "pushes" => source == "push",
        "schedules" => source == "schedule",
        "triggers" => source == "trigger",
        "pipelines" => source == "pipeline",
        "external_pull_requests" => source == "external_pull_request_event",
        "web" | "api" | "chat" | "external" => source == wanted,
        pattern if pattern.starts_with('/') => {
            // Merge requests have no ref that a pattern could match.
            !pipeline.is_merge_request() && expression::regex(pattern).is_ok_and(|regex| regex.is_match(&pipeline.ref_name()))
        }
        name => !pipeline.is_merge_request() && pipeline.ref_name() == name,
    }
}
