//! Whether we read workflows and expressions as GitHub does, on GitHub's own cases.
//!
//! The cases aren't part of this repository; `PLIMSOLL_CORPORA` names a directory that has them, and without it only
//! that they weren't run is said.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use workflow::expr::{self, ErrorKind, Object, Scope, Value};

#[test]
fn every_official_expression_case() {
    let Some(directory) = corpora("expressions") else { return };
    let mut misses = Vec::new();
    let mut passed = 0;
    for path in files(&directory, "json") {
        let text = fs::read_to_string(&path).expect("the corpus is readable");
        let groups: Json = serde_json::from_str(&text).expect("a corpus file is JSON");
        for case in groups
            .as_object()
            .expect("a corpus file is a mapping")
            .values()
            .flat_map(|group| group.as_array().expect("a corpus file has the official shape"))
        {
            match run_expression(case) {
                Ok(()) => passed += 1,
                Err(why) => misses.push(format!(
                    "{}: {}: {why}",
                    path.file_name().expect("a corpus file has the official shape").display(),
                    case["expr"]
                )),
            }
        }
    }
    assert!(misses.is_empty(), "{passed} passed, {} missed:\n{}", misses.len(), misses.join("\n"));
    assert_eq!(passed, 1020);
}

fn run_expression(case: &Json) -> Result<(), String> {
    let contexts = case.get("contexts").map_or(Value::Object(Object::new().into()), Value::from_json);
    let outcome = expr::evaluate_source(case["expr"].as_str().expect("a corpus file has the official shape"), &Contexts(contexts));
    match (outcome, case.get("err")) {
        (Ok(value), None) => compare(&value, &case["result"]),
        (Err(error), Some(expected)) => {
            let kind = match error.kind {
                ErrorKind::Lexing => "lexing",
                ErrorKind::Parsing => "parsing",
                ErrorKind::Evaluation => "evaluation",
            };
            if kind == expected["kind"] { Ok(()) } else { Err(format!("{kind} error, expected {}: {error}", expected["kind"])) }
        }
        (Ok(value), Some(expected)) => Err(format!("{value:?}, expected {expected}")),
        (Err(error), None) => Err(format!("error, expected {}: {error}", case["result"])),
    }
}

fn compare(value: &Value, expected: &Json) -> Result<(), String> {
    let kind = match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    };
    // Through our own values, so that 1 and 1.0 are the same and keys are in order.
    let wanted = Value::from_json(&expected["value"]);
    if kind == expected["kind"] && *value == wanted { Ok(()) } else { Err(format!("{kind} {value:?}, expected {expected}")) }
}

struct Contexts(Value);

impl Scope for Contexts {
    fn context(&self, name: &str) -> Option<Value> {
        match &self.0 {
            Value::Object(contexts) => contexts.get(name).cloned(),
            _ => None,
        }
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

fn corpora(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("PLIMSOLL_CORPORA").map(|root| Path::new(&root).join(name));
    directory.filter(|directory| directory.is_dir())
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the corpus is readable");
    let paths = entries.map(|entry| entry.expect("the corpus is readable").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}
