//! Whether we read workflows and expressions as GitHub does, on GitHub's own cases.
//!
//! The cases aren't part of this repository; `PLIMSOLL_CORPORA` names a directory that has them, and without it only
//! that they weren't run is said.

use std::fs;
use std::path::{Path, PathBuf};

use base::{Diagnostic, Severity, Source};
use serde_json::Value as Json;
use workflow::expr::{self, ErrorKind, Object, Scope, Value};
use workflow::github;
use workflow::model::{Job, Step, StepAction, Work, Workflow};

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

/// Cases that we don't meet, each with the reason.
const KNOWN_MISSES: &[(&str, &str)] = &[
    ("errors-anchor-tag.yml", "anchors have been allowed since September 2025"),
    ("errors-max-depth.yml", "sets a limit that is none of GitHub's"),
    ("errors-max-file-size.yml", "sets a limit that is none of GitHub's"),
    ("errors-max-result-size.yml", "sets a limit that is none of GitHub's"),
    ("events-mapping-all.yml", "has both `branches` and `branches-ignore`, which GitHub refuses elsewhere"),
    ("events-single-invalid.yml", "the official parsers differ on unknown keys below `workflow_dispatch`; a warning for us"),
    ("yaml-schema-sequence.yml", "has a comment without a blank before it, which YAML forbids"),
    ("yaml-schema-str-flow-styles.yml", "has a quoted text that goes on too far left, which YAML forbids"),
];

#[test]
fn official_workflow_cases() {
    let Some(directory) = corpora("workflow-parser/reader") else { return };
    let mut passed = 0;
    let mut not_run = Vec::new();
    let mut misses = Vec::new();
    for path in files(&directory, "yml") {
        let name = path.file_name().expect("a file has a name").display().to_string();
        let text = fs::read_to_string(&path).expect("the corpus is readable");
        let documents: Vec<&str> = text.split("\n---\n").collect();
        let [options, workflow, expected] = documents.as_slice() else {
            // Sets of files that call each other.
            not_run.push(name);
            continue;
        };
        match run_workflow(&name, options, workflow, expected) {
            Ok(()) => passed += 1,
            Err(why) => misses.push((name, why)),
        }
    }
    println!("{passed} passed, {} not run, {} missed", not_run.len(), misses.len());
    let report: Vec<String> = misses.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    let missed: Vec<&str> = misses.iter().map(|(name, _)| name.as_str()).collect();
    let known: Vec<&str> = KNOWN_MISSES.iter().map(|(name, _)| *name).collect();
    assert_eq!(missed, known, "{passed} passed\n{}", report.join("\n"));
}

fn run_workflow(name: &str, _options: &str, text: &str, expected: &str) -> Result<(), String> {
    let source = Source::new(format!(".github/workflows/{name}"), text);
    let (workflow, diagnostics) = github::parse(&source);
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    let said = base::diagnostic::render(&source, &diagnostics, false);
    let expected: Json = serde_json::from_str(expected).map_err(|error| format!("the corpus file can't be read: {error}"))?;
    let Some(wanted) = expected.get("errors") else {
        let workflow = workflow.filter(|_| errors.is_empty()).ok_or_else(|| format!("expected no error\n{said}"))?;
        return compare_jobs(&workflow, &expected);
    };
    if errors.is_empty() {
        return Err(format!("expected {wanted}"));
    }
    for wanted in wanted.as_array().expect("errors are a list") {
        let message = wanted["Message"].as_str().expect("an error has a message");
        let Some(place) = position(message) else { continue };
        if !errors.iter().any(|error| stands_at(&source, error, place)) {
            return Err(format!("nothing at {place:?} for {message}\n{said}"));
        }
    }
    Ok(())
}

/// What the official template and our model both say: ids, needs, conditions.
fn compare_jobs(workflow: &Workflow, expected: &Json) -> Result<(), String> {
    let empty = Vec::new();
    let wanted: Vec<String> = expected["jobs"].as_array().unwrap_or(&empty).iter().flat_map(official_job).collect();
    let found: Vec<String> = workflow.jobs.iter().flat_map(our_job).collect();
    if wanted == found { Ok(()) } else { Err(format!("expected {wanted:#?}\nfound {found:#?}")) }
}

fn official_job(job: &Json) -> Vec<String> {
    let empty = Vec::new();
    let text = |json: &Json| json.as_str().or_else(|| json["lit"].as_str()).unwrap_or_default().to_owned();
    let needs: Vec<String> = job["needs"].as_array().unwrap_or(&empty).iter().map(text).collect();
    let mut lines = vec![format!("{} needs {} if {}", text(&job["id"]), needs.join(" "), text(&job["if"]["expr"]))];
    for step in job["steps"].as_array().unwrap_or(&empty) {
        let background = if step["background"] == true { " in the background" } else { "" };
        lines.push(match ["wait", "wait-all", "cancel"].into_iter().find(|kind| step.get(kind).is_some()) {
            Some("wait-all") => format!("{} waits for all", text(&step["id"])),
            Some(kind) => {
                let targets = step[kind].as_array().cloned().unwrap_or_else(|| vec![step[kind].clone()]);
                let targets: Vec<String> = targets.iter().map(text).collect();
                format!("{} {kind} {}", text(&step["id"]), targets.join(" "))
            }
            None => format!("{} if {}{background}", text(&step["id"]), text(&step["if"]["expr"])),
        });
    }
    lines
}

fn our_job(job: &Job) -> Vec<String> {
    let mut lines = vec![format!("{} needs {} if {}", job.id, job.needs.join(" "), job.condition)];
    if let Work::Steps { steps, .. } = &job.work {
        lines.extend(steps.iter().map(our_step));
    }
    lines
}

fn our_step(step: &Step) -> String {
    match &step.action {
        StepAction::WaitAll => format!("{} waits for all", step.id),
        StepAction::Wait { steps } => format!("{} wait {}", step.id, steps.join(" ")),
        StepAction::Cancel { steps } => format!("{} cancel {}", step.id, steps.join(" ")),
        StepAction::Run { .. } | StepAction::Uses { .. } => {
            let background = if step.background { " in the background" } else { "" };
            format!("{} if {}{background}", step.id, step.condition)
        }
    }
}

/// Where the official error stands, which is where a value begins; ours may stand inside of that value.
fn stands_at(source: &Source, error: &Diagnostic, place: (usize, usize)) -> bool {
    if source.line_column(error.span.start) == place {
        return true;
    }
    let (Some(root), _) = base::yaml::parse(source) else { return false };
    contains(source, &root, place, error.span.start)
}

fn contains(source: &Source, node: &base::yaml::Node, place: (usize, usize), offset: usize) -> bool {
    let is_scalar = node.as_sequence().is_none() && node.as_mapping().is_none();
    if is_scalar && source.line_column(node.span.start) == place {
        return (node.span.start..node.span.end).contains(&offset);
    }
    let items = node.as_sequence().into_iter().flatten();
    let values = node.as_mapping().into_iter().flat_map(|mapping| mapping.iter().map(|(_, value)| value));
    items.chain(values).any(|child| contains(source, child, place, offset))
}

/// `(Line: 5, Col: 3)`
fn position(message: &str) -> Option<(usize, usize)> {
    let (_, rest) = message.split_once("(Line: ")?;
    let (line, rest) = rest.split_once(", Col: ")?;
    let (column, _) = rest.split_once(')')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}
