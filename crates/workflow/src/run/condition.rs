//! What a job's own lines can see, whether its condition holds, and why not.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use super::level::Level;
use super::state::{JobState, Node};
use super::{Conclusion, Run};
use crate::expr::{Object, Scope, Value, evaluate_source};

impl Run {
    /// Whether the job may run, with the run cancelled or not.
    ///
    /// # Errors
    /// The expression's own complaint.
    pub(super) fn condition_holds(&self, node: Node<'_>, cancelled: bool) -> Result<bool, String> {
        let scope = JobScope { run: self, node, cancelled, leg: None };
        evaluate_source(&node.job.condition, &scope).map(|value| value.truthy()).map_err(|error| error.message)
    }

    /// One sentence: what keeps the job from running, with the values that its condition looked at.
    pub(super) fn why_not(&self, node: Node<'_>) -> String {
        let condition = &node.job.condition;
        if ["success(", "!failure("].iter().any(|call| condition.to_ascii_lowercase().contains(call)) {
            let culprits = self.unsuccessful(node.state);
            if !culprits.is_empty() {
                return culprits;
            }
        }
        let scope = JobScope { run: self, node, cancelled: self.cancel.is_some(), leg: None };
        let seen: Vec<String> = references(condition).into_iter().filter_map(|source| shown(&source, &scope)).collect();
        let condition = written(condition);
        if seen.is_empty() { format!("`{condition}` is false") } else { format!("`{condition}` is false: {}", seen.join(", ")) }
    }

    /// The `needs` context: what the job names, with results and outputs in the order of the file.
    pub(super) fn needs_context(&self, state: &JobState) -> Value {
        let mut needs = Object::new();
        for need in self.needs(state) {
            let node = Node { job: &self.workflow(need.level).jobs[need.index], state: need };
            needs.insert(node.job.id.as_str(), self.outcome(node));
        }
        Value::object(needs)
    }

    /// A job as `needs` and `jobs` show it.
    pub(super) fn outcome(&self, node: Node<'_>) -> Value {
        let mut outputs = Object::new();
        match &node.job.work {
            // What a call yields is declared in the file that it calls.
            crate::model::Work::Call { .. } => {
                node.state.outputs.iter().for_each(|(name, value)| outputs.insert(name.as_str(), Value::from(value.as_str())));
            }
            crate::model::Work::Steps { .. } => {
                let set = node.job.outputs.iter().filter_map(|(name, _)| Some((name, node.state.outputs.get(name)?)));
                set.for_each(|(name, value)| outputs.insert(name.as_str(), Value::from(value.as_str())));
            }
        }
        let mut outcome = Object::new();
        outcome.insert("result", node.state.result().map_or(Value::Null, |result| Value::from(result.word())));
        outcome.insert("outputs", Value::object(outputs));
        Value::object(outcome)
    }

    /// The `github` context as this job sees it.
    pub(super) fn github_context(&self, node: Node<'_>) -> Value {
        let mut github = match &self.ground.github {
            Value::Object(github) => (**github).clone(),
            _ => Object::new(),
        };
        github.insert("job", Value::from(node.job.id.as_str()));
        Value::object(github)
    }

    pub(super) fn level(&self, state: &JobState) -> &Level {
        &self.levels[state.level]
    }

    /// All that the job needs, directly or not, and that didn't succeed; nothing when all did.
    fn unsuccessful(&self, state: &JobState) -> String {
        const NAMED: usize = 6;
        let level = self.level(state);
        let ancestors = self.graph(state.level).ancestors(state.index);
        let bad = ancestors.into_iter().filter_map(|job| level.jobs[job].map(|at| self.node(at)));
        let mut bad = bad.filter_map(|node| {
            let id = &node.job.id;
            match node.state.result()? {
                Conclusion::Success => None,
                Conclusion::Failure if node.state.was_lost() => Some(format!("`{id}` was lost")),
                Conclusion::Failure => Some(format!("`{id}` failed")),
                Conclusion::Cancelled => Some(format!("`{id}` was cancelled")),
                Conclusion::Skipped => Some(format!("`{id}` was skipped")),
            }
        });
        let named: Vec<String> = bad.by_ref().take(NAMED).collect();
        match bad.count() {
            0 => named.join(", "),
            more => format!("{} and {more} more did not succeed", named.join(", ")),
        }
    }
}

/// What the expressions of a job see before it starts; `leg` where they belong to one leg.
pub(super) struct JobScope<'a> {
    pub run: &'a Run,
    pub node: Node<'a>,
    pub cancelled: bool,
    pub leg: Option<LegContexts<'a>>,
}

pub(super) struct LegContexts<'a> {
    pub strategy: &'a Json,
    pub matrix: &'a Json,
}

impl Scope for JobScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        Some(match (name.to_ascii_lowercase().as_str(), &self.leg) {
            ("github", _) => self.run.github_context(self.node),
            ("needs", _) => self.run.needs_context(self.node.state),
            ("vars", _) => self.run.ground.vars.clone(),
            ("inputs", _) => Value::from_json(&self.run.level(self.node.state).inputs),
            ("strategy", Some(leg)) => Value::from_json(leg.strategy),
            ("matrix", Some(leg)) => Value::from_json(leg.matrix),
            _ => return None,
        })
    }

    fn call(&self, function: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let needs = || self.run.needs(self.node.state).filter_map(|need| need.lineage);
        let answer = match (function, args) {
            ("always", _) => Ok(true),
            ("cancelled", _) => Ok(self.cancelled),
            ("success", []) => Ok(!self.cancelled && needs().all(|need| need.all_succeeded)),
            ("failure", []) => Ok(needs().any(|need| need.any_failed)),
            ("success", _) => {
                self.results(args).map(|results| !self.cancelled && results.iter().all(|result| *result == Conclusion::Success))
            }
            ("failure", _) => self.results(args).map(|results| results.contains(&Conclusion::Failure)),
            _ => return None,
        };
        Some(answer.map(Value::Bool))
    }
}

impl JobScope<'_> {
    /// Of the jobs named.
    fn results(&self, args: &[Value]) -> Result<Vec<Conclusion>, String> {
        let state = self.node.state;
        let graph = self.run.graph(state.level);
        let ancestors = graph.ancestors(state.index);
        let mut results = Vec::new();
        for arg in args {
            let name = arg.text();
            let found = graph.job(&name).filter(|job| ancestors.contains(job));
            let found = found.ok_or_else(|| format!("`{name}` is no job that `{}` needs", self.node.job.id))?;
            let at = self.run.level(state).jobs[found];
            results.extend(at.and_then(|at| self.run.jobs[at].result()));
        }
        Ok(results)
    }
}

/// The condition as it stands in the file, without the `success() && (…)` put around it.
fn written(condition: &str) -> &str {
    let inner = condition.strip_prefix("success() && (").and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(condition).trim()
}

/// Properties of contexts and status functions in a condition, in the order of their appearance, each once.
fn references(condition: &str) -> Vec<String> {
    const SHOWN_MAX: usize = 6;
    static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)'(?:[^']|'')*'|\b(?:github|needs|vars|inputs)(?:\.[a-z_][\w-]*|\['[^']*'\])+|\b(?:failure|cancelled)\(\s*\)")
            .expect("the expression is written right here")
    });
    let mut found: Vec<String> = Vec::new();
    for reference in REFERENCE.find_iter(written(condition)).map(|found| found.as_str()).filter(|text| !text.starts_with('\'')) {
        if !found.iter().any(|known| known == reference) && found.len() < SHOWN_MAX {
            found.push(reference.to_string());
        }
    }
    found
}

fn shown(source: &str, scope: &JobScope<'_>) -> Option<String> {
    const TEXT_MAX: usize = 80;
    let value = evaluate_source(source, scope).ok()?;
    if source.ends_with(')') {
        return Some(status_in_words(source, value.truthy()).to_string());
    }
    let value = match value {
        Value::Null => "nothing".to_string(),
        Value::String(text) if text.chars().count() > TEXT_MAX => format!("'{}…'", text.chars().take(TEXT_MAX).collect::<String>()),
        Value::String(text) => format!("'{text}'"),
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "a mapping".to_string(),
        other => other.text(),
    };
    Some(format!("`{source}` is {value}"))
}

fn status_in_words(call: &str, holds: bool) -> &'static str {
    match (call.to_ascii_lowercase().starts_with("failure"), holds) {
        (true, true) => "something that it needs failed",
        (true, false) => "nothing that it needs failed",
        (false, true) => "the run was cancelled",
        (false, false) => "the run was not cancelled",
    }
}
