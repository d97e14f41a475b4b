//! Whether what expressions name is there: needs, steps, inputs, keys of the matrix, outputs, secrets.
//!
//! GitHub takes what isn't there for nothing and says nothing, so these are warnings and no errors.

use std::collections::BTreeSet;

use base::{Diagnostic, Span};

use crate::model::{Action, ActionRuns, Interface, Job, Step, Strategy, Template, Work, Workflow};

/// A path that an expression names, and where.
#[derive(Debug)]
pub(super) struct Reference {
    /// `["needs", "build", "outputs", "tag"]`; the context in small letters.
    pub path: Vec<String>,
    pub span: Span,
    /// The job in which it stands, by the place of its id.
    pub job: Option<Span>,
    /// The step in which it stands, counted within the job.
    pub step: Option<usize>,
}

/// The contexts whose keys are known from the file.
pub(super) const CHECKED: [&str; 6] = ["needs", "steps", "inputs", "matrix", "jobs", "secrets"];

/// From this many on nothing near is looked for: a file made to be expensive shall not be.
const EXPLAINED_MAX: usize = 20;

pub(super) fn of_workflow(workflow: &Workflow, references: &[Reference]) -> Vec<Diagnostic> {
    let inputs = declared_inputs(workflow);
    let mut found = Found::default();
    for reference in references {
        let job = reference.job.and_then(|span| workflow.jobs.iter().find(|job| job.span == span));
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        let at = reference.span;
        match (path.as_slice(), job) {
            (["inputs", input, ..], _) => found.name(at, input, &inputs, |input| format!("the workflow declares no input `{input}`")),
            (["jobs", rest @ ..], None) => found.job(at, rest, &workflow.jobs, |job| format!("there is no job `{job}`")),
            (["needs", need, rest @ ..], Some(job)) => found.need(at, need, rest, job, workflow),
            (["steps", step, rest @ ..], Some(Job { work: Work::Steps { steps, .. }, .. })) => {
                found.step(at, step, rest, steps, reference.step);
            }
            (["matrix", key, ..], Some(job)) => found.matrix(at, key, job.strategy.as_ref()),
            (["secrets", secret, ..], _) => found.secret(at, secret, workflow),
            _ => {}
        }
    }
    found.diagnostics
}

pub(super) fn of_action(action: &Action, references: &[Reference]) -> Vec<Diagnostic> {
    let inputs: Vec<&str> = action.inputs.iter().map(|input| input.name.as_str()).collect();
    let mut found = Found::default();
    for reference in references {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        let at = reference.span;
        match (path.as_slice(), &action.runs) {
            (["inputs", input, ..], _) => found.name(at, input, &inputs, |input| format!("the action declares no input `{input}`")),
            (["steps", step, rest @ ..], ActionRuns::Composite { steps }) => found.step(at, step, rest, steps, reference.step),
            _ => {}
        }
    }
    found.diagnostics
}

/// Of `workflow_dispatch` and of `workflow_call`: an expression doesn't say by which of them it runs.
fn declared_inputs(workflow: &Workflow) -> Vec<&str> {
    let called = workflow.interface.iter().flat_map(|interface| interface.inputs.iter().map(|input| input.name.as_str()));
    let dispatched = workflow.on.iter().filter(|trigger| trigger.event == "workflow_dispatch");
    let dispatched = dispatched.filter_map(|trigger| trigger.config.get("inputs")?.as_object()).flat_map(|inputs| inputs.keys());
    called.chain(dispatched.map(String::as_str)).collect()
}

#[derive(Default)]
struct Found {
    diagnostics: Vec<Diagnostic>,
}

impl Found {
    fn warn(&mut self, at: Span, message: String, hint: Option<String>) {
        let diagnostic = Diagnostic::warning("workflow/unknown-reference", at, message);
        self.diagnostics.push(hint.into_iter().fold(diagnostic, Diagnostic::hint));
    }

    /// Says what is near the name, where it isn't known.
    fn name(&mut self, at: Span, name: &str, known: &[&str], message: impl Fn(&str) -> String) {
        if is_known(name, known) {
            return;
        }
        let explained = self.diagnostics.len() < EXPLAINED_MAX;
        let nearest = explained.then(|| base::name::nearest(name, known.iter().copied())).flatten();
        let nearest = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
        let all = || (!known.is_empty() && known.len() <= 10).then(|| format!("known here: `{}`", known.join("`, `")));
        self.warn(at, message(name), nearest.or_else(all));
    }

    fn need(&mut self, at: Span, need: &str, rest: &[&str], job: &Job, workflow: &Workflow) {
        let known: Vec<&str> = job.needs.iter().map(String::as_str).collect();
        if is_known(need, &known) {
            let path: Vec<&str> = std::iter::once(need).chain(rest.iter().copied()).collect();
            return self.job(at, &path, &workflow.jobs, |_| String::new());
        }
        match workflow.jobs.iter().find(|other| other.id.eq_ignore_ascii_case(need)) {
            Some(other) => {
                let message = format!("`needs.{}` is empty: job `{}` doesn't need that job itself", other.id, job.id);
                self.warn(at, message, Some(format!("add `{}` to its `needs`", other.id)));
            }
            None => self.name(at, need, &known, |need| format!("job `{}` needs no job `{need}`", job.id)),
        }
    }

    /// `x.result` and `x.outputs.y` of one of the jobs.
    fn job(&mut self, at: Span, path: &[&str], jobs: &[Job], unknown: impl Fn(&str) -> String) {
        let Some((id, rest)) = path.split_first() else { return };
        let Some(job) = jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id)) else {
            let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
            return self.name(at, id, &ids, unknown);
        };
        match rest {
            ["outputs", output, ..] if matches!(job.work, Work::Steps { .. }) => {
                let outputs: Vec<&str> = job.outputs.iter().map(|(name, _)| name.as_str()).collect();
                self.name(at, output, &outputs, |output| format!("job `{}` has no output `{output}`", job.id));
            }
            [key, ..] => self.name(at, key, &["outputs", "result"], |key| format!("a job has no `{key}`")),
            [] => {}
        }
    }

    /// `x.outcome` and its like of a step that has run before; at the job's end all have.
    fn step(&mut self, at: Span, id: &str, rest: &[&str], steps: &[Step], here: Option<usize>) {
        let before = &steps[..here.unwrap_or(steps.len()).min(steps.len())];
        let written = |step: &&Step| !step.id.starts_with("__");
        if !before.iter().any(|step| step.id.eq_ignore_ascii_case(id)) {
            if let Some(step) = steps.iter().find(|step| step.id.eq_ignore_ascii_case(id)) {
                let message = format!("the step `{}` comes later or is this one, so `steps.{}` is empty here", step.id, step.id);
                return self.warn(at, message, None);
            }
            let ids: Vec<&str> = before.iter().filter(written).map(|step| step.id.as_str()).collect();
            return self.name(at, id, &ids, |id| format!("no step before has the id `{id}`"));
        }
        if let Some(key) = rest.first() {
            self.name(at, key, &["outputs", "outcome", "conclusion"], |key| format!("a step has no `{key}`"));
        }
    }

    fn matrix(&mut self, at: Span, key: &str, strategy: Option<&Strategy>) {
        let matrix = match strategy {
            None => None,
            Some(Strategy { whole: Some(_), .. }) => return,
            Some(strategy) => strategy.matrix.as_ref(),
        };
        let Some(matrix) = matrix else {
            return self.warn(at, format!("`matrix.{key}` is empty: the job has no matrix"), None);
        };
        let Some(keys) = matrix_keys(matrix) else { return };
        let keys: Vec<&str> = keys.into_iter().collect();
        self.name(at, key, &keys, |key| format!("the matrix has no `{key}`"));
    }

    /// Where a workflow is only called and says which secrets it takes.
    fn secret(&mut self, at: Span, secret: &str, workflow: &Workflow) {
        let only_called = workflow.on.iter().all(|trigger| trigger.event == "workflow_call");
        let declared: Vec<&str> = match &workflow.interface {
            Some(Interface { secrets, .. }) if only_called => secrets.iter().map(|secret| secret.name.as_str()).collect(),
            _ => return,
        };
        if !declared.is_empty() && !secret.eq_ignore_ascii_case("GITHUB_TOKEN") {
            let message = |secret: &str| format!("the workflow declares no secret `{secret}`: only a caller with `inherit` passes it");
            self.name(at, secret, &declared, message);
        }
    }
}

fn is_known(name: &str, known: &[&str]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Of the vectors and of what is included; nothing where an expression can bring others.
fn matrix_keys(matrix: &Template) -> Option<BTreeSet<&str>> {
    let Template::Mapping(entries) = matrix else { return None };
    let mut keys = BTreeSet::new();
    for (key, value) in entries {
        let Template::String(key) = key else { return None };
        match key.as_str() {
            "exclude" => {}
            "include" => {
                let Template::Sequence(items) = value else { return None };
                for item in items {
                    let Template::Mapping(entries) = item else { return None };
                    for (key, _) in entries {
                        let Template::String(key) = key else { return None };
                        keys.insert(key.as_str());
                    }
                }
            }
            key => {
                keys.insert(key);
            }
        }
    }
    Some(keys)
}
