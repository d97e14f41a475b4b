//! The legs of a job: its matrix, their names, how long each may take and whether it may fail.

use base::Timestamp;
use serde_json::Value as Json;

use super::condition::{JobScope, LegContexts};
use super::event::{Call, Event, Leg};
use super::level::call_inputs;
use super::state::{JobPhase, LegState, Node};
use super::{Group, JobSpec, Run};
use crate::expr::{Value, evaluate_template};
use crate::job::{Contexts, SecretScope};
use crate::matrix::{expand, leg_name, strategy_context};
use crate::model::{CallSecrets, Job, Template, Work, Workflow};
use crate::plan::called_key;
use crate::runners::{Runner, labels};

/// GitHub's six hours.
const TIMEOUT_DEFAULT_MINUTES: f64 = 360.0;

impl Run {
    /// `JobPlanned`, or why it can't be.
    pub(super) fn plan_legs(&self, node: Node<'_>, now: Timestamp) -> Result<Event, String> {
        let key = &node.state.key;
        let [fail_fast, max_parallel, matrix] = self.strategy(node)?;
        let fail_fast = fail_fast.map_or(Ok(true), |value| boolean("fail-fast", &value))?;
        let max_parallel = max_parallel.map(|value| limit(&value)).transpose()?;
        let combinations = matrix.map_or(Ok(Vec::new()), |matrix| expand(&matrix)).map_err(|error| error.to_string())?;

        let mut legs = Vec::new();
        if combinations.is_empty() {
            legs.push(self.leg_of(node, key.clone(), Json::Null, &[], (0, &strategy_context(fail_fast, 0, 1, max_parallel)))?);
        }
        for (index, combination) in combinations.iter().enumerate() {
            let strategy = strategy_context(fail_fast, index, combinations.len(), max_parallel);
            let matrix = Value::from(combination.values.clone()).to_json();
            legs.push(self.leg_of(node, format!("{key}.{index}"), matrix, &combination.shown, (index, &strategy))?);
        }
        Ok(Event::JobPlanned { key: key.clone(), fail_fast, max_parallel, legs, at: now })
    }

    /// `fail-fast`, `max-parallel` and the matrix, each if it is given.
    fn strategy(&self, node: Node<'_>) -> Result<[Option<Value>; 3], String> {
        let Some(strategy) = &node.job.strategy else { return Ok([None, None, None]) };
        let Some(whole) = &strategy.whole else {
            let value = |key, template: &Option<Template>| self.evaluate(node, key, template.as_ref(), None);
            let fail_fast = value("fail-fast", &strategy.fail_fast)?;
            return Ok([fail_fast, value("max-parallel", &strategy.max_parallel)?, value("matrix", &strategy.matrix)?]);
        };
        match self.evaluate(node, "strategy", Some(whole), None)? {
            Some(Value::Object(strategy)) => {
                if let Some((unknown, _)) = strategy.iter().find(|(key, _)| !["fail-fast", "max-parallel", "matrix"].contains(key)) {
                    return Err(format!("its `strategy` has `{unknown}`, which is none of `matrix`, `fail-fast` and `max-parallel`"));
                }
                Ok(["fail-fast", "max-parallel", "matrix"].map(|key| strategy.get(key).cloned()))
            }
            Some(Value::Null) | None => Ok([None, None, None]),
            Some(other) => Err(format!("its `strategy` must be a mapping, not `{}`", other.text())),
        }
    }

    /// What the job is called where it has no legs, behind what those that call it are called.
    pub(super) fn plain_name(&self, node: Node<'_>) -> String {
        let name = self.evaluate(node, "name", node.job.name.as_ref(), None).ok().flatten();
        let name = name.map(|name| name.text()).filter(|name| !name.is_empty()).unwrap_or_else(|| node.job.id.clone());
        format!("{}{name}", self.level(node.state).names)
    }

    /// Everything an executor needs; the same for the same leg whenever it is asked for, since all that it needs has ended.
    pub(super) fn spec(&self, node: Node<'_>, leg: &LegState) -> JobSpec {
        let JobPhase::Planned { fail_fast, max_parallel, legs } = &node.state.phase else { panic!("a leg belongs to a planned job") };
        let workflow = self.workflow(node.state.level);
        JobSpec {
            name: leg.leg.name.clone(),
            job: within(node.job, &leg.leg.runner),
            workflow_env: workflow.env.clone(),
            workflow_defaults: workflow.defaults.clone(),
            contexts: Contexts {
                strategy: strategy_context(*fail_fast, leg.leg.index, legs.len(), *max_parallel),
                matrix: leg.leg.matrix.clone(),
                ..self.contexts(node)
            },
            timeout_ms: leg.leg.timeout_ms,
            actions: self.plan.workflow.actions.clone(),
            cancel_timeout_ms: leg.leg.cancel_timeout_ms,
            called: self.level(node.state).called.clone(),
            permissions: self.granted(node),
            environment: leg.leg.environment.clone(),
            secrets: self.secrets(node.state.level),
        }
    }

    /// Those that don't differ from leg to leg.
    fn contexts(&self, node: Node<'_>) -> Contexts {
        Contexts {
            github: self.github_context(node).to_json(),
            needs: self.needs_context(node.state).to_json(),
            strategy: Json::Null,
            matrix: Json::Null,
            vars: self.plan.vars.clone(),
            inputs: self.level(node.state).inputs.clone(),
        }
    }

    /// Which secrets the jobs of a level see: all, or what the caller passes of those that it sees.
    fn secrets(&self, level: usize) -> SecretScope {
        let Some(caller) = &self.levels[level].caller else { return SecretScope::All };
        let node = self.node(caller.job);
        let Work::Call { secrets, .. } = &node.job.work else { panic!("only a call has a level of its own") };
        let from = Box::new(self.secrets(node.state.level));
        match secrets {
            CallSecrets::Inherit => *from,
            CallSecrets::None => SecretScope::None,
            CallSecrets::Given(template) => {
                let JobPhase::Planned { fail_fast, max_parallel, legs } = &node.state.phase else { panic!("what calls was planned") };
                let leg = &legs[caller.leg].leg;
                let contexts = Contexts {
                    strategy: strategy_context(*fail_fast, leg.index, legs.len(), *max_parallel),
                    matrix: leg.matrix.clone(),
                    ..self.contexts(node)
                };
                SecretScope::Given { template: template.clone(), contexts: Box::new(contexts), from }
            }
        }
    }

    fn leg_of(&self, node: Node<'_>, key: String, matrix: Json, shown: &[String], place: (usize, &Json)) -> Result<Leg, String> {
        let (index, strategy) = place;
        let job = node.job;
        let contexts = || Some(LegContexts { strategy, matrix: &matrix });
        let name = match &job.name {
            // A name with expressions says all that it wants to say; any other gets the values of the matrix behind it.
            Some(Template::Expr { .. }) => self.evaluate(node, "name", job.name.as_ref(), contexts())?.map(|name| name.text()),
            Some(Template::String(name)) => Some(leg_name(name, shown)),
            _ => None,
        };
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| leg_name(&job.id, shown));
        let name = format!("{}{name}", self.level(node.state).names);
        let allow_failure = self.evaluate(node, "continue-on-error", job.continue_on_error.as_ref(), contexts())?;
        let allow_failure = allow_failure.map_or(Ok(false), |value| boolean("continue-on-error", &value))?;
        let minutes = self.evaluate(node, "timeout-minutes", job.timeout_minutes.as_ref(), contexts())?;
        let limit_ms = timeout_ms("timeout-minutes", minutes.map_or(TIMEOUT_DEFAULT_MINUTES, |value| value.number()))?;
        let cancel = self.evaluate(node, "cancel-timeout-minutes", job.cancel_timeout_minutes.as_ref(), contexts())?;
        let cancel_timeout_ms = cancel.map(|value| timeout_ms("cancel-timeout-minutes", value.number())).transpose()?;
        let environment = self.evaluate(node, "environment", job.environment.as_ref().map(|environment| &environment.name), contexts())?;
        let environment = environment.map(|value| environment_name(&value)).transpose()?.flatten();
        let scope = || JobScope { run: self, node, cancelled: self.cancel.is_some(), leg: contexts() };
        let own = job.concurrency.as_ref().map(|concurrency| Group::evaluate(concurrency, &scope())).transpose()?;
        let mut groups: Vec<Group> = own.into_iter().collect();
        let call = self.call_of(node, &scope, &mut groups)?;
        if let Some(held) = groups.iter().find(|group| self.is_held_around(node, group)) {
            return Err(format!("it would wait for itself: the concurrency group `{}` is held by what it belongs to", held.name));
        }
        let runner = self.runner_of(node, contexts())?;
        Ok(Leg { key, name, matrix, index, allow_failure, timeout_ms: limit_ms, cancel_timeout_ms, environment, groups, call, runner })
    }

    fn runner_of(&self, node: Node<'_>, leg: Option<LegContexts<'_>>) -> Result<Runner, String> {
        let Work::Steps { runs_on, .. } = &node.job.work else { return Ok(Runner::Host) };
        let labels = self.evaluate(node, "runs-on", Some(runs_on), leg)?.map(|value| labels(&value)).unwrap_or_default();
        self.plan.workflow.runners.runner(labels.iter().map(String::as_str))
    }

    /// What the leg calls, with its inputs; the called workflow's own group is one more that the call is in.
    fn call_of<'a>(&'a self, node: Node<'a>, scope: &dyn Fn() -> JobScope<'a>, groups: &mut Vec<Group>) -> Result<Option<Call>, String> {
        let Work::Call { uses, with, .. } = &node.job.work else { return Ok(None) };
        let workflow = called_key(self.level(node.state).called.as_deref(), uses);
        let called: &Workflow = self.plan.workflow.called.get(&workflow).ok_or_else(|| format!("the workflow `{uses}` wasn't read"))?;
        let interface = called.interface.as_ref().ok_or_else(|| format!("`{uses}` isn't made to be called: it has no `workflow_call`"))?;
        let own = InputScope { run: self, inputs: &Json::Null };
        let inputs = call_inputs(interface, with.as_ref(), &scope(), &own)?;
        if let Some(concurrency) = &called.concurrency {
            let group = Group::evaluate(concurrency, &InputScope { run: self, inputs: &inputs })?;
            if !groups.iter().any(|known| known.is(&group)) {
                groups.push(group);
            }
        }
        Ok(Some(Call { workflow, inputs }))
    }

    fn evaluate(
        &self,
        node: Node<'_>,
        key: &str,
        template: Option<&Template>,
        leg: Option<LegContexts<'_>>,
    ) -> Result<Option<Value>, String> {
        let Some(template) = template else { return Ok(None) };
        let scope = JobScope { run: self, node, cancelled: self.cancel.is_some(), leg };
        evaluate_template(template, &scope).map(Some).map_err(|error| format!("its `{key}` can't be evaluated: {}", error.message))
    }
}

/// The job where it runs: in the image of its label where it names none itself.
fn within(job: &Job, runner: &Runner) -> Job {
    let mut job = job.clone();
    if let (Runner::Image(image), Work::Steps { container, .. }) = (runner, &mut job.work) {
        container.get_or_insert_with(|| Template::String(image.clone()));
    }
    job
}

/// What a called workflow's own lines see outside of its jobs.
struct InputScope<'a> {
    run: &'a Run,
    inputs: &'a Json,
}

impl crate::expr::Scope for InputScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        match name.to_ascii_lowercase().as_str() {
            "github" => Some(self.run.ground.github.clone()),
            "vars" => Some(self.run.ground.vars.clone()),
            "inputs" => Some(Value::from_json(self.inputs)),
            _ => None,
        }
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// Nothing where it is empty: the job then has no environment.
fn environment_name(value: &Value) -> Result<Option<String>, String> {
    let name = match value {
        Value::Object(_) => value.get("name").text(),
        Value::Array(_) => return Err("its `environment` must be a text or a mapping, not a list".to_string()),
        other => other.text(),
    };
    Ok(Some(name).filter(|name| !name.is_empty()))
}

fn boolean(key: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        other => Err(format!("its `{key}` must be true or false, not `{}`", other.text())),
    }
}

fn limit(value: &Value) -> Result<u32, String> {
    let number = value.number();
    if number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number between 1 and u32::MAX")]
        return Ok(number as u32);
    }
    Err(format!("its `max-parallel` must be a whole number of at least 1, not `{}`", value.text()))
}

fn timeout_ms(key: &str, minutes: f64) -> Result<u64, String> {
    // A thousand days; beyond it somebody mistook the unit.
    const MINUTES_MAX: f64 = 1_440_000.0;
    if minutes > 0.0 && minutes <= MINUTES_MAX {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a thousand days")]
        return Ok((minutes * 60_000.0).round() as u64);
    }
    Err(format!("its `{key}` must be a number of minutes above 0, not `{}`", Value::Number(minutes).text()))
}
