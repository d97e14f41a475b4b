//! The jobs of a workflow and what each waits for, as data and as drawings.

mod formats;
mod text;

use serde::Serialize;
use workflow::expr::{Scope, Value, evaluate_template};
use workflow::matrix::expand;
use workflow::model::{Job, Template, Work, Workflow};
use workflow::plan::called_key;

pub use formats::{dot, mermaid};
pub use text::lines;

/// One workflow file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Graph {
    pub path: String,
    pub name: Option<String>,
    /// The events that it runs on.
    pub on: Vec<String>,
    /// Of a GitLab file, each with its jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<(String, Vec<String>)>,
    pub jobs: Vec<Node>,
}

/// A job; its legs are one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    pub id: String,
    pub name: Option<String>,
    pub needs: Vec<String>,
    /// As written; nothing where it only waits for the success of what it needs.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The values of each leg, as its name shows them; empty without a matrix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<String>,
    /// The expression that makes the matrix, where its value is known only when it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<String>,
    /// How many steps it has.
    pub steps: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<String>,
    /// Of the workflow that it calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Node>,
}

impl Graph {
    /// Called workflows are drawn as far as the workflow has them.
    pub fn of(workflow: &Workflow) -> Graph {
        Graph {
            path: workflow.path.clone(),
            name: workflow.name.clone(),
            on: workflow.on.iter().map(|trigger| trigger.event.clone()).collect(),
            stages: Vec::new(),
            jobs: nodes(workflow, workflow, None, workflow::plan::CALLS_DEPTH_MAX),
        }
    }
}

fn nodes(root: &Workflow, workflow: &Workflow, key: Option<&str>, levels: usize) -> Vec<Node> {
    workflow.jobs.iter().map(|job| node(root, job, key, levels)).collect()
}

fn node(root: &Workflow, job: &Job, key: Option<&str>, levels: usize) -> Node {
    let (legs, matrix) = legs(job);
    let (steps, calls, jobs) = match &job.work {
        Work::Steps { steps, .. } => (steps.len(), None, Vec::new()),
        Work::Call { uses, .. } => {
            let callee = called_key(key, uses);
            let called = root.called.get(&callee).filter(|_| levels > 1);
            let jobs = called.map(|called| nodes(root, called, Some(&callee), levels - 1)).unwrap_or_default();
            (0, Some(uses.clone()), jobs)
        }
    };
    Node {
        id: job.id.clone(),
        name: job.name.as_ref().map(written),
        needs: job.needs.clone(),
        condition: Some(condition(&job.condition)).filter(|condition| condition != "success()"),
        environment: job.environment.as_ref().map(|environment| written(&environment.name)),
        legs,
        matrix,
        steps,
        calls,
        jobs,
    }
}

/// The legs of a matrix that is known beforehand, else the expression that will make it.
fn legs(job: &Job) -> (Vec<String>, Option<String>) {
    let Some(strategy) = &job.strategy else { return (Vec::new(), None) };
    let matrix = match (&strategy.whole, &strategy.matrix) {
        (Some(whole), _) => whole,
        (None, Some(matrix)) => matrix,
        (None, None) => return (Vec::new(), None),
    };
    match evaluate_template(matrix, &Nothing).ok().filter(|_| strategy.whole.is_none()).map(|matrix| expand(&matrix)) {
        Some(Ok(combinations)) => (combinations.into_iter().map(|combination| combination.shown.join(", ")).collect(), None),
        Some(Err(_)) | None => (Vec::new(), Some(expression_in(matrix).unwrap_or_else(|| written(matrix)))),
    }
}

/// Without the `success() && (…)` put around it.
fn condition(condition: &str) -> String {
    let inner = condition.strip_prefix("success() && (").and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(condition).trim().to_string()
}

/// As somebody would read it: an expression stays one.
fn written(template: &Template) -> String {
    match template {
        Template::String(text) => text.clone(),
        Template::Expr { source, .. } => format!("${{{{ {source} }}}}"),
        Template::Number(number) => number.to_string(),
        Template::Bool(bool) => bool.to_string(),
        Template::Null | Template::Sequence(_) | Template::Mapping(_) => String::new(),
    }
}

/// The first expression inside.
fn expression_in(template: &Template) -> Option<String> {
    match template {
        Template::Expr { source, .. } => Some(source.clone()),
        Template::Sequence(items) => items.iter().find_map(expression_in),
        Template::Mapping(entries) => entries.iter().find_map(|(key, value)| expression_in(key).or_else(|| expression_in(value))),
        _ => None,
    }
}

/// Before a run nothing is known.
struct Nothing;

impl Scope for Nothing {
    fn context(&self, _: &str) -> Option<Value> {
        None
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}
