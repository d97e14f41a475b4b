//! One question to each package, with a limit on its time; everything that goes wrong is a violation.
//!
//! The interpreter of regorus is asked and not its register machine: that takes as long over findings, and a rule whose body fails says
//! nothing there, where it has to deny.

use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, QueryResults, Value};
use serde::Serialize;

use super::answer::{self, Answer, Statement};
use super::load::{Package, place_and_message};
use super::{Policies, fired, value};
use crate::decision::MUCH;

/// Rules between two looks at the time.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(64).expect("not zero");

pub(super) fn ask(policies: &Policies, document: &impl Serialize) -> Answer {
    let mut answer = Answer::default();
    let input = match value::value_of(document) {
        Ok(input) => input,
        Err(error) => {
            answer.violations.push(Statement::new("policy/error", format!("the policies can't be given the input: {error}")));
            return answer;
        }
    };
    for (package, value) in policies.packages.iter().zip(values(policies, &input)) {
        let before = answer.violations.len() + answer.warnings.len() + answer.requires.len();
        match value {
            Ok(value) => answer::read(package, value.as_ref(), &mut answer),
            Err(error) => answer.violations.push(failure(package, &error, policies.limit_ms)),
        }
        if answer.violations.len() + answer.warnings.len() + answer.requires.len() > before {
            fired::locate(package, policies, &input, &mut answer);
        }
    }
    answer.sort();
    answer
}

/// Of each package, in their order.
fn values(policies: &Policies, input: &Value) -> Vec<Result<Option<Value>, String>> {
    let packages = &policies.packages;
    let value = |package: &Package| value_of(&mut policies.engine.clone(), policies.limit_ms, &package.path, input);
    let is_much = input["findings"].as_array().is_ok_and(|findings| findings.len() >= MUCH);
    // No more than can run at a time: each has a limit on its time.
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(packages.len());
    if !is_much || threads < 2 {
        return packages.iter().map(value).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, Result<Option<Value>, String>)> {
        std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)))
            .map_while(|at| packages.get(at).map(|package| (at, value(package))))
            .collect()
    };
    let mut values = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut values = work();
        for other in others {
            values.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        values
    });
    values.sort_by_key(|(at, _)| *at);
    values.into_iter().map(|(_, value)| value).collect()
}

pub(super) fn query(policies: &Policies, query: &str, document: &serde_json::Value) -> Result<serde_json::Value, String> {
    let input = value::value_of(document).map_err(|error| format!("the policies can't be given the input: {error}"))?;
    match results_of(&mut policies.engine.clone(), policies.limit_ms, query, &input) {
        Ok(results) => serde_json::to_value(results).map_err(|error| format!("the answer is no JSON: {error}")),
        Err(error) => Err(said_of_query(query, &error, policies.limit_ms)),
    }
}

fn said_of_query(query: &str, error: &str, limit_ms: u64) -> String {
    match place_and_message(error) {
        (_, message) if message == "expecting" => "it ends where more is needed".to_string(),
        (Some((_, 1, column)), message) if message == "expecting EOF" => {
            let rest: String = query.chars().skip(column - 1).collect();
            format!("it is complete before `{rest}`")
        }
        _ => said(error, limit_ms),
    }
}

/// What regorus says of a failure, in a line: `policy/gate.rego:7: message`.
pub(super) fn said(error: &str, limit_ms: u64) -> String {
    let (place, message) = place_and_message(error);
    match (is_timeout(error), place) {
        (true, _) => format!("it did not come to an end within {limit_ms} ms"),
        // A query is no file.
        (false, Some((file, line, _))) if file.ends_with(".rego") => format!("{file}:{line}: {message}"),
        (false, _) => message,
    }
}

/// All rules of one package, asked once; `None` when it has no value at all.
pub(super) fn value_of(engine: &mut Engine, limit_ms: u64, path: &str, input: &Value) -> Result<Option<Value>, String> {
    let results = results_of(engine, limit_ms, path, input)?;
    Ok(results.result.into_iter().next().and_then(|result| result.expressions.into_iter().next()).map(|expression| expression.value))
}

pub(super) fn results_of(engine: &mut Engine, limit_ms: u64, query: &str, input: &Value) -> Result<QueryResults, String> {
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: Duration::from_millis(limit_ms), check_interval: CHECK_INTERVAL });
    engine.set_input(input.clone());
    let asked = catch_unwind(AssertUnwindSafe(|| engine.eval_query(query.to_string(), false)));
    asked.map_err(|_| "error: the policy engine gave up".to_string())?.map_err(|error| format!("{error:#}"))
}

pub(super) fn is_timeout(error: &str) -> bool {
    error.contains("time limit") || error.contains("execution exceeded")
}

fn failure(package: &Package, error: &str, limit_ms: u64) -> Statement {
    let (place, message) = place_and_message(error);
    let rule = place.map(|(file, line, _)| format!("{file}:{line}")).or_else(|| package.declared.values().next().cloned());
    let (id, message) = match is_timeout(error) {
        true => ("policy/timeout", format!("the policy `{}` did not come to an end within {limit_ms} ms", package.name)),
        false => ("policy/error", format!("the policy `{}` failed: {message}", package.name)),
    };
    Statement { rule, ..Statement::new(id, message) }
}
