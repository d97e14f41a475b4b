//! A policy's own tests: every rule named `test_…`, asked alone, as `opa test` does.

use base::Source;
use regorus::unstable::{Expr, Rule, RuleHead};
use regorus::{Engine, Value};
use serde::Serialize;

use super::ask;
use super::load::{PolicyDiagnostic, head_of, leftmost, load, package_name};

/// One test and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// `data.team_test.test_notes_are_needed`, with `#01` where the name was there before.
    pub name: String,
    pub file: String,
    pub line: u32,
    #[serde(flatten)]
    pub outcome: TestOutcome,
    /// What its `print` calls said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub printed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "message", rename_all = "lowercase")]
pub enum TestOutcome {
    Passed,
    /// It is undefined, or `false`.
    Failed,
    Error(String),
    /// Its name begins with `todo_`.
    Skipped,
}

/// Runs the tests of all files, policies and tests alike; without a `package plimsoll.gate` the default policy is there to be tested.
///
/// # Errors
/// Everything that is wrong with the files: a policy that can't be read has no tests that say anything.
pub fn test(sources: Vec<Source>, limit_ms: u64) -> Result<Vec<TestResult>, Vec<PolicyDiagnostic>> {
    let loaded = load(sources)?;
    let mut res: Vec<TestResult> = Vec::new();
    for (module, (source, _)) in loaded.modules.iter().zip(&loaded.files) {
        let (package, _) = package_name(module);
        for (name, is_whole, line) in module.policy.iter().filter_map(|rule| declared(rule)) {
            let path = format!("{package}.{name}");
            let before = res.iter().filter(|earlier| earlier.name.split('#').next() == Some(&path)).count();
            let (outcome, printed) = match is_whole {
                _ if name.starts_with("todo_") => (TestOutcome::Skipped, Vec::new()),
                true => run(loaded.engine.clone(), &path, limit_ms),
                false => (TestOutcome::Error(SEVERAL.to_string()), Vec::new()),
            };
            let name = if before == 0 { path } else { format!("{path}#{before:02}") };
            res.push(TestResult { name, file: source.name.to_string(), line, outcome, printed });
        }
    }
    Ok(res)
}

/// Cases that don't hold would be missing from the rule's value, and nobody would know.
const SEVERAL: &str = "a test is one rule with a body; cases in brackets, sets and functions can't be told apart: use `every`";

fn run(mut engine: Engine, path: &str, limit_ms: u64) -> (TestOutcome, Vec<String>) {
    let asked = ask::results_of(&mut engine, limit_ms, path, &Value::new_object());
    let outcome = match asked {
        Err(error) => TestOutcome::Error(ask::said(&error, limit_ms)),
        Ok(results) => {
            let value = results.result.first().and_then(|result| result.expressions.first()).map(|expression| &expression.value);
            match value {
                None | Some(Value::Undefined | Value::Bool(false)) => TestOutcome::Failed,
                Some(_) => TestOutcome::Passed,
            }
        }
    };
    (outcome, engine.take_prints().unwrap_or_default())
}

/// The name of a test, whether it is a rule with one value, and its line.
fn declared(rule: &Rule) -> Option<(String, bool, u32)> {
    let refr = match rule {
        Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => refr,
        _ => head_of(rule)?.0,
    };
    let head = leftmost(refr)?;
    let is_test = head.text().starts_with("test_") || head.text().starts_with("todo_test_");
    let is_whole = matches!(rule, Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } if matches!(refr.as_ref(), Expr::Var { .. }));
    is_test.then(|| (head.text().to_string(), is_whole, head.line))
}
