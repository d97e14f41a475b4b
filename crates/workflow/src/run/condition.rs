//! What a job's own lines can see, whether its condition holds, and why not.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value as Json, json};

use super::{Conclusion, Run};
use crate::expr::{Scope, Value, evaluate_source};
use crate::model::Job;
use crate::plan::{ancestors, job as job_of};

impl Run {
    /// Whether the job may run, with the run cancelled or not.
    ///
    /// # Errors
    /// The expression's own complaint.
    pub(super) fn condition_holds(&self, job: &Job, cancelled: bool) -> Result<bool, String> {
        let scope = JobScope { run: self, job, cancelled, leg: None };
        evaluate_source(&job.condition, &scope).map(|value| value.truthy()).map_err(|error| error.message)
    }

    /// One sentence: what keeps the job from running, with the values that its condition looked at.
    pub(super) fn why_not(&self, job: &Job) -> String {
        let condition = job.condition.to_ascii_lowercase();
        let needs_success = condition.contains("success(") || condition.contains("!failure(");
        let culprits = self.unsuccessful(job);
        if needs_success && !culprits.is_empty() {
            return culprits.join(", ");
        }
        let scope = JobScope { run: self, job, cancelled: self.cancel.is_some(), leg: None };
        let seen: Vec<String> = references(&job.condition).into_iter().filter_map(|source| shown(&source, &scope)).collect();
        let condition = written(&job.condition);
        if seen.is_empty() { format!("`{condition}` is false") } else { format!("`{condition}` is false: {}", seen.join(", ")) }
    }

    /// The `needs` context: what the job names, with results and outputs in the order of the file.
    pub(super) fn needs_context(&self, job: &Job) -> Json {
        let needs = job.needs.iter().filter_map(|need| job_of(&self.plan.workflow, need));
        let needs = needs.filter_map(|need| {
            let state = self.jobs.get(&need.id)?;
            let outputs = need.outputs.iter().filter_map(|(name, _)| Some((name.clone(), Json::String(state.outputs.get(name)?.clone()))));
            let result = state.result().map(Conclusion::word);
            Some((need.id.clone(), json!({ "result": result, "outputs": outputs.collect::<Map<_, _>>() })))
        });
        Json::Object(needs.collect())
    }

    /// The `github` context as this job sees it.
    pub(super) fn github_context(&self, job: &Job) -> Json {
        let mut github = self.plan.github.clone();
        if let Json::Object(github) = &mut github {
            github.insert("job".to_string(), Json::String(job.id.clone()));
        }
        github
    }

    /// All that the job needs, directly or not, and that didn't succeed: a sentence each.
    fn unsuccessful(&self, job: &Job) -> Vec<String> {
        let ancestors = ancestors(&self.plan.workflow, &job.id);
        let bad = self.in_order().filter(|(job, _)| ancestors.contains(job.id.as_str()));
        bad.filter_map(|(job, state)| match state.result()? {
            Conclusion::Success => None,
            Conclusion::Failure if state.was_lost() => Some(format!("`{}` was lost", job.id)),
            Conclusion::Failure => Some(format!("`{}` failed", job.id)),
            Conclusion::Cancelled => Some(format!("`{}` was cancelled", job.id)),
            Conclusion::Skipped => Some(format!("`{}` was skipped", job.id)),
        })
        .collect()
    }
}

/// What the expressions of a job see before it starts; `leg` where they belong to one leg.
pub(super) struct JobScope<'a> {
    pub run: &'a Run,
    pub job: &'a Job,
    pub cancelled: bool,
    pub leg: Option<LegContexts<'a>>,
}

pub(super) struct LegContexts<'a> {
    pub strategy: &'a Json,
    pub matrix: &'a Json,
}

impl Scope for JobScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        let json = match (name.to_ascii_lowercase().as_str(), &self.leg) {
            ("github", _) => self.run.github_context(self.job),
            ("needs", _) => self.run.needs_context(self.job),
            ("vars", _) => self.run.plan.vars.clone(),
            ("inputs", _) => self.run.plan.inputs.clone(),
            ("strategy", Some(leg)) => leg.strategy.clone(),
            ("matrix", Some(leg)) => leg.matrix.clone(),
            _ => return None,
        };
        Some(Value::from_json(&json))
    }

    fn call(&self, function: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let answer = match function {
            "always" => Ok(true),
            "cancelled" => Ok(self.cancelled),
            "success" => self.results(args).map(|results| !self.cancelled && results.iter().all(|result| *result == Conclusion::Success)),
            "failure" => self.results(args).map(|results| results.contains(&Conclusion::Failure)),
            _ => return None,
        };
        Some(answer.map(Value::Bool))
    }
}

impl JobScope<'_> {
    /// Of the jobs named, or of everything the job needs, directly or not.
    fn results(&self, args: &[Value]) -> Result<Vec<Conclusion>, String> {
        let workflow = &self.run.plan.workflow;
        let ancestors = ancestors(workflow, &self.job.id);
        let mut asked: Vec<&str> = Vec::new();
        for arg in args {
            let name = arg.text();
            let found = job_of(workflow, &name).map(|job| job.id.as_str()).filter(|id| ancestors.contains(id));
            asked.push(found.ok_or_else(|| format!("`{name}` is no job that `{}` needs", self.job.id))?);
        }
        let jobs = if args.is_empty() { ancestors.into_iter().collect() } else { asked };
        Ok(jobs.into_iter().filter_map(|id| self.run.jobs.get(id)?.result()).collect())
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
