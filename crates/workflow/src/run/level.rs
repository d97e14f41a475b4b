//! One workflow among those of a run: the file itself, or one that a job calls.
//!
//! ```text
//! level 0   lint   deploy ── calls deploy.yml ─┐
//! level 1                                      └ deploy/build   deploy/ship
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::state::{JobState, LegPhase, Node};
use super::{Conclusion, Leg, Run};
use crate::expr::{Object, Scope, Value, evaluate_template};
use crate::model::{InputKind, Interface, Template, Workflow};
use crate::permissions::{self, Granted, Policy};
use crate::plan::{Graph, Plan};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    /// Before the keys of its jobs: `deploy/`, `deploy.0/`; nothing for the file itself.
    pub prefix: String,
    /// Before their names: `deploy / `.
    pub names: String,
    /// The called file; nothing for the file itself.
    pub called: Option<String>,
    pub inputs: Json,
    pub caller: Option<Caller>,
    /// What the caller's token may do; nothing where nobody says.
    pub granted: Option<Granted>,
    /// By the place in the file; nothing for one that wasn't asked for.
    pub jobs: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub job: usize,
    pub leg: usize,
}

/// What follows from the plan alone and is looked at again and again.
#[derive(Debug)]
pub(super) struct Ground {
    root: Graph,
    called: BTreeMap<String, Graph>,
    pub github: Value,
    pub vars: Value,
}

/// It follows from the plan, so two of one plan are the same.
impl PartialEq for Ground {
    fn eq(&self, _: &Ground) -> bool {
        true
    }
}

impl Ground {
    pub fn new(plan: &Plan) -> Ground {
        Ground {
            root: Graph::new(&plan.workflow),
            called: plan.workflow.called.iter().map(|(key, called)| (key.clone(), Graph::new(called))).collect(),
            github: Value::from_json(&plan.github),
            vars: Value::from_json(&plan.vars),
        }
    }
}

impl Run {
    /// The file itself with its jobs, those that were asked for.
    pub(super) fn begin(&mut self) {
        let plan = self.plan.clone();
        let asked_for = plan.asked_for();
        let inputs = plan.inputs.clone();
        let level =
            Level { prefix: String::new(), names: String::new(), called: None, inputs, caller: None, granted: None, jobs: Vec::new() };
        self.add_level(level, &plan.workflow, |index| asked_for[index]);
        self.order = self.ordered();
    }

    /// A leg begins to run what it calls.
    pub(super) fn call(&mut self, job: usize, leg: usize) {
        let plan = self.plan.clone();
        let state = &self.jobs[job];
        let Leg { key, name, call, .. } = &state.legs()[leg].leg;
        let call = call.as_ref().expect("a legal event calls what was planned as a call");
        let level = Level {
            prefix: format!("{key}/"),
            names: format!("{name} / "),
            called: Some(call.workflow.clone()),
            inputs: call.inputs.clone(),
            caller: Some(Caller { job, leg }),
            granted: self.granted(self.node(job)),
            jobs: Vec::new(),
        };
        let called = &plan.workflow.called[&call.workflow];
        let number = self.add_level(level, called, |_| true);
        self.jobs[job].leg_mut(leg).level = Some(number);
        self.order = self.ordered();
    }

    fn add_level(&mut self, mut level: Level, workflow: &Workflow, asked_for: impl Fn(usize) -> bool) -> usize {
        let number = self.levels.len();
        for (index, job) in workflow.jobs.iter().enumerate() {
            if !asked_for(index) {
                level.jobs.push(None);
                continue;
            }
            let key = format!("{}{}", level.prefix, job.id);
            level.jobs.push(Some(self.jobs.len()));
            self.keys.insert(key.clone(), self.jobs.len());
            self.jobs.push(JobState::new(key, number, index));
        }
        self.levels.push(level);
        number
    }

    /// Jobs in the order of the file, those of a call behind the job that calls.
    fn ordered(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.jobs.len());
        // Deep calls are limited when the plan is made, but the record is nobody's to trust: no recursion.
        let mut open: Vec<usize> =
            if self.levels.is_empty() { Vec::new() } else { self.levels[0].jobs.iter().rev().filter_map(|job| *job).collect() };
        while let Some(job) = open.pop() {
            order.push(job);
            for level in self.jobs[job].legs().iter().rev().filter_map(|leg| leg.level) {
                open.extend(self.levels[level].jobs.iter().rev().filter_map(|job| *job));
            }
        }
        order
    }

    pub(super) fn workflow(&self, level: usize) -> &Workflow {
        match &self.levels[level].called {
            None => &self.plan.workflow,
            Some(key) => &self.plan.workflow.called[key],
        }
    }

    pub(super) fn graph(&self, level: usize) -> &Graph {
        match &self.levels[level].called {
            None => &self.ground.root,
            Some(key) => &self.ground.called[key],
        }
    }

    /// What the job's token may do; nothing where nobody says anything, and then it is the default's.
    pub(super) fn granted(&self, node: Node<'_>) -> Option<Granted> {
        let workflow = self.workflow(node.state.level);
        let level = &self.levels[node.state.level];
        let asks = node.job.permissions.is_some() || workflow.permissions.is_some();
        // Who calls and says nothing has the defaults, and can't give more.
        let default = (asks && level.caller.is_some()).then(|| Policy::LimitedRead.granted());
        let caller = level.granted.as_ref().or(default.as_ref());
        permissions::effective(node.job.permissions.as_ref(), workflow.permissions.as_ref(), caller)
    }

    /// How a called workflow has ended: its conclusion, its outputs, and why they have no value. Nothing while a job of it hasn't.
    pub(super) fn call_ended(&self, level: usize) -> Option<(Conclusion, BTreeMap<String, String>, Option<String>)> {
        let jobs = || self.levels[level].jobs.iter().flatten().map(|job| &self.jobs[*job]);
        let results: Vec<Conclusion> = jobs().map(JobState::result).collect::<Option<_>>()?;
        let has = |conclusion| results.contains(&conclusion);
        let conclusion = match () {
            () if has(Conclusion::Failure) => Conclusion::Failure,
            () if has(Conclusion::Cancelled) => Conclusion::Cancelled,
            () if !has(Conclusion::Success) => Conclusion::Skipped,
            () => Conclusion::Success,
        };
        let failed = jobs().find(|job| job.result() == Some(Conclusion::Failure));
        let reason = failed.map(|job| format!("`{}` failed", job.key));
        match self.call_outputs(level) {
            Ok(outputs) => Some((conclusion, outputs, reason)),
            Err(why) => Some((Conclusion::Failure, BTreeMap::new(), Some(why))),
        }
    }

    fn call_outputs(&self, level: usize) -> Result<BTreeMap<String, String>, String> {
        let mut outputs = BTreeMap::new();
        let Some(interface) = &self.workflow(level).interface else { return Ok(outputs) };
        if interface.outputs.is_empty() {
            return Ok(outputs);
        }
        let scope = OutputScope { run: self, level, jobs: self.jobs_context(level) };
        for (name, template) in &interface.outputs {
            let value = evaluate_template(template, &scope)
                .map_err(|error| format!("the output `{name}` of the called workflow has no value: {}", error.message))?;
            outputs.insert(name.clone(), value.text());
        }
        Ok(outputs)
    }

    /// The `jobs` context: every job of the level with its result and its outputs.
    fn jobs_context(&self, level: usize) -> Value {
        let mut jobs = Object::new();
        for job in self.levels[level].jobs.iter().flatten() {
            let node = self.node(*job);
            jobs.insert(node.job.id.as_str(), self.outcome(node));
        }
        Value::object(jobs)
    }
}

struct OutputScope<'a> {
    run: &'a Run,
    level: usize,
    jobs: Value,
}

impl Scope for OutputScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        match name.to_ascii_lowercase().as_str() {
            "github" => Some(self.run.ground.github.clone()),
            "vars" => Some(self.run.ground.vars.clone()),
            "inputs" => Some(Value::from_json(&self.run.levels[self.level].inputs)),
            "jobs" => Some(self.jobs.clone()),
            _ => None,
        }
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// The `inputs` context of a called workflow: what it is given, else its defaults, each of its type.
///
/// # Errors
/// One sentence: the first input that is missing, unknown, or not of its type.
pub(super) fn call_inputs(interface: &Interface, with: Option<&Template>, caller: &dyn Scope, own: &dyn Scope) -> Result<Json, String> {
    let given = match with.map(|with| evaluate_template(with, caller)).transpose() {
        Err(error) => return Err(format!("its `with` can't be evaluated: {}", error.message)),
        Ok(Some(Value::Object(given))) => given,
        Ok(_) => Object::new().into(),
    };
    if let Some((unknown, _)) = given.iter().find(|(name, _)| !interface.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name))) {
        return Err(format!("the workflow that it calls has no input `{unknown}`"));
    }
    let mut inputs = Map::new();
    for input in &interface.inputs {
        let value = match (given.get(&input.name), &input.default) {
            (Some(value), _) => Some(value.clone()),
            (None, _) if input.required => return Err(format!("the workflow that it calls requires the input `{}`", input.name)),
            (None, Some(default)) => {
                let value = evaluate_template(default, own);
                Some(value.map_err(|error| format!("the default of the input `{}` has no value: {}", input.name, error.message))?)
            }
            (None, None) => None,
        };
        inputs.insert(input.name.clone(), typed(&input.name, input.kind, value)?);
    }
    Ok(Json::Object(inputs))
}

fn typed(name: &str, kind: InputKind, value: Option<Value>) -> Result<Json, String> {
    let expected = match (kind, value) {
        (InputKind::Boolean, None) => return Ok(Json::Bool(false)),
        (InputKind::Number, None) => return Ok(Json::from(0)),
        (InputKind::String, None) => return Ok(Json::String(String::new())),
        (InputKind::Boolean, Some(Value::Bool(value))) => return Ok(Json::Bool(value)),
        (InputKind::Number, Some(Value::Number(value))) => return Ok(Value::Number(value).to_json()),
        (InputKind::String, Some(value)) if !matches!(value, Value::Array(_) | Value::Object(_)) => return Ok(Json::String(value.text())),
        (kind, Some(value)) => (kind, value.text()),
    };
    let (kind, found) = expected;
    let kind = match kind {
        InputKind::Boolean => "`true` or `false`",
        InputKind::Number => "a number",
        InputKind::String => "a text",
    };
    Err(format!("the input `{name}` of the workflow that it calls is {kind}, not `{found}`"))
}

impl LegPhase {
    /// Whether it runs something, itself or by calling it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, LegPhase::Started { .. } | LegPhase::Called { .. })
    }
}
