//! The legs of a job: its matrix, their names, how long each may take and whether it may fail.

use base::Timestamp;
use serde_json::Value as Json;

use super::condition::{JobScope, LegContexts};
use super::event::{Event, Leg};
use super::{JobSpec, Run};
use crate::expr::{Value, evaluate_template};
use crate::job::Contexts;
use crate::matrix::{expand, leg_name, strategy_context};
use crate::model::{Job, Template, Work};
use crate::run::state::{JobPhase, JobState, LegState};

/// GitHub's six hours.
const TIMEOUT_DEFAULT_MINUTES: f64 = 360.0;

impl Run {
    /// `JobPlanned`, or why it can't be.
    pub(super) fn plan_legs(&self, job: &Job, now: Timestamp) -> Result<Event, String> {
        if let Work::Call { uses, .. } = &job.work {
            return Err(format!("it calls the workflow `{uses}`, and calling workflows isn't there yet"));
        }
        let strategy = job.strategy.as_ref();
        let fail_fast = self.evaluate(job, "fail-fast", strategy.and_then(|strategy| strategy.fail_fast.as_ref()), None)?;
        let fail_fast = fail_fast.map_or(Ok(true), |value| boolean("fail-fast", &value))?;
        let max_parallel = self.evaluate(job, "max-parallel", strategy.and_then(|strategy| strategy.max_parallel.as_ref()), None)?;
        let max_parallel = max_parallel.map(|value| limit(&value)).transpose()?;
        let matrix = self.evaluate(job, "matrix", strategy.and_then(|strategy| strategy.matrix.as_ref()), None)?;
        let combinations = matrix.map_or(Ok(Vec::new()), |matrix| expand(&matrix)).map_err(|error| error.to_string())?;

        let mut legs = Vec::new();
        if combinations.is_empty() {
            legs.push(self.leg_of(job, job.id.clone(), Json::Null, &[], (0, &strategy_context(fail_fast, 0, 1, max_parallel)))?);
        }
        for (index, combination) in combinations.iter().enumerate() {
            let strategy = strategy_context(fail_fast, index, combinations.len(), max_parallel);
            let matrix = Value::from(combination.values.clone()).to_json();
            legs.push(self.leg_of(job, format!("{}.{index}", job.id), matrix, &combination.shown, (index, &strategy))?);
        }
        Ok(Event::JobPlanned { key: job.id.clone(), fail_fast, max_parallel, legs, at: now })
    }

    /// What the job is called where it has no legs.
    pub(super) fn plain_name(&self, job: &Job) -> String {
        let name = self.evaluate(job, "name", job.name.as_ref(), None).ok().flatten();
        name.map(|name| name.text()).filter(|name| !name.is_empty()).unwrap_or_else(|| job.id.clone())
    }

    /// Everything an executor needs; the same for the same leg whenever it is asked for, since all that it needs has ended.
    pub(super) fn spec(&self, job: &Job, state: &JobState, leg: &LegState) -> JobSpec {
        let JobPhase::Planned { fail_fast, max_parallel, legs } = &state.phase else { panic!("a leg belongs to a planned job") };
        JobSpec {
            name: leg.leg.name.clone(),
            job: job.clone(),
            workflow_env: self.plan.workflow.env.clone(),
            workflow_defaults: self.plan.workflow.defaults.clone(),
            contexts: Contexts {
                github: self.github_context(job),
                needs: self.needs_context(job),
                strategy: strategy_context(*fail_fast, leg.leg.index, legs.len(), *max_parallel),
                matrix: leg.leg.matrix.clone(),
                vars: self.plan.vars.clone(),
                inputs: self.plan.inputs.clone(),
            },
            timeout_ms: leg.leg.timeout_ms,
            actions: self.plan.workflow.actions.clone(),
        }
    }

    fn leg_of(&self, job: &Job, key: String, matrix: Json, shown: &[String], place: (usize, &Json)) -> Result<Leg, String> {
        let (index, strategy) = place;
        let contexts = || Some(LegContexts { strategy, matrix: &matrix });
        let name = match &job.name {
            // A name with expressions says all that it wants to say; any other gets the values of the matrix behind it.
            Some(Template::Expr { .. }) => self.evaluate(job, "name", job.name.as_ref(), contexts())?.map(|name| name.text()),
            Some(Template::String(name)) => Some(leg_name(name, shown)),
            _ => None,
        };
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| leg_name(&job.id, shown));
        let allow_failure = self.evaluate(job, "continue-on-error", job.continue_on_error.as_ref(), contexts())?;
        let allow_failure = allow_failure.map_or(Ok(false), |value| boolean("continue-on-error", &value))?;
        let minutes = self.evaluate(job, "timeout-minutes", job.timeout_minutes.as_ref(), contexts())?;
        let timeout_ms = timeout_ms(minutes.map_or(TIMEOUT_DEFAULT_MINUTES, |value| value.number()))?;
        Ok(Leg { key, name, matrix, index, allow_failure, timeout_ms })
    }

    fn evaluate(&self, job: &Job, key: &str, template: Option<&Template>, leg: Option<LegContexts<'_>>) -> Result<Option<Value>, String> {
        let Some(template) = template else { return Ok(None) };
        let scope = JobScope { run: self, job, cancelled: self.cancel.is_some(), leg };
        evaluate_template(template, &scope).map(Some).map_err(|error| format!("its `{key}` can't be evaluated: {}", error.message))
    }
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

fn timeout_ms(minutes: f64) -> Result<u64, String> {
    // A thousand days; beyond it somebody mistook the unit.
    const MINUTES_MAX: f64 = 1_440_000.0;
    if minutes > 0.0 && minutes <= MINUTES_MAX {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a thousand days")]
        return Ok((minutes * 60_000.0).round() as u64);
    }
    Err(format!("its `timeout-minutes` must be a number of minutes above 0, not `{}`", Value::Number(minutes).text()))
}
