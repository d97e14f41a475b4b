//! Whether we read workflows and expressions as GitHub does, on GitHub's own cases.
//!
//! The cases aren't part of this repository; `PLIMSOLL_CORPORA` names a directory that has them, and without it only
//! that they weren't run is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base::{Diagnostic, Severity, Source};
use serde_json::Value as Json;
use workflow::expr::{self, ErrorKind, Object, Scope, Value};
use workflow::github;
use workflow::model::{Step, StepAction, Work, Workflow};
use workflow::permissions::{self, Granted, Policy};
use workflow::plan::called_key;
use workflow::schema::places::{self, Place, Status};

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

#[test]
fn official_workflow_cases() {
    let Some(directory) = corpora("workflow-parser/reader") else { return };
    let mut passed = 0;
    let mut skipped = 0;
    let mut misses = Vec::new();
    for path in files(&directory, "yml") {
        let name = path.file_name().expect("a file has a name").display().to_string();
        let text = fs::read_to_string(&path).expect("the corpus is readable");
        let mut documents: Vec<&str> = text.split("\n---\n").collect();
        let options = Given::read(documents.remove(0));
        if options.skipped {
            skipped += 1;
            continue;
        }
        let expected = documents.pop().expect("a case says what it expects");
        match run_workflow(&name, &options, &documents, expected) {
            Ok(()) => passed += 1,
            Err(why) => misses.push((name, why)),
        }
    }
    println!("official parser documents: {passed} passed, {} missed, {skipped} not meant for the official server", misses.len());
    let report: Vec<String> = misses.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    assert!(misses.is_empty(), "{passed} passed\n{}", report.join("\n"));
    assert_eq!((passed, skipped), (182, 13), "the corpus is the one that this was written for");
}

/// Each definition of the official schema that names contexts, and the places of ours that it is about; none where no key uses it.
const WORKFLOW_PLACES: &[(&str, &[Place])] = &[
    ("boolean-needs-context", &[]),
    ("boolean-steps-context", &[]),
    ("boolean-strategy-context", &[places::JOB_CONTINUE]),
    ("container", &[places::JOB_CONTAINER]),
    ("job-concurrency", &[places::JOB_CONCURRENCY]),
    ("job-defaults-run", &[places::JOB_DEFAULTS]),
    ("job-env", &[places::JOB_ENV]),
    ("job-environment", &[places::JOB_ENVIRONMENT]),
    ("job-environment-name", &[places::JOB_ENVIRONMENT]),
    ("job-if", &[places::JOB_IF]),
    ("job-if-result", &[]),
    ("number-needs-context", &[]),
    ("number-steps-context", &[]),
    ("number-strategy-context", &[places::JOB_TIMEOUT, places::JOB_CANCEL_TIMEOUT]),
    ("run-name", &[places::RUN_NAME_PLACE]),
    ("runs-on", &[places::JOB_RUNS_ON]),
    ("scalar-needs-context", &[places::CALL_WITH]),
    ("scalar-needs-context-with-secrets", &[places::CALL_SECRETS]),
    ("services", &[places::JOB_CONTAINER]),
    ("services-container", &[places::JOB_CONTAINER]),
    ("snapshot-if", &[places::JOB_SNAPSHOT_IF]),
    ("step-continue-on-error", &[places::STEP_CONTINUE]),
    ("step-env", &[places::STEP_ENV]),
    ("step-if", &[places::STEP_IF]),
    ("step-if-result", &[]),
    ("step-name", &[places::STEP_NAME]),
    ("step-timeout-minutes", &[places::STEP_TIMEOUT]),
    ("step-with", &[places::STEP_WITH]),
    ("strategy", &[places::JOB_STRATEGY]),
    ("string-needs-context", &[]),
    ("string-runner-context", &[places::JOB_OUTPUTS, places::JOB_CONTAINER_ENV]),
    ("string-runner-context-no-secrets", &[places::JOB_ENVIRONMENT_URL]),
    ("string-steps-context", &[places::STEP_RUN, places::STEP_DIRECTORY]),
    ("string-strategy-context", &[places::JOB_NAME]),
    ("workflow-call-input-default", &[places::CALL_INPUT_DEFAULT]),
    ("workflow-concurrency", &[places::WORKFLOW_CONCURRENCY]),
    ("workflow-env", &[places::WORKFLOW_ENV_PLACE]),
    ("workflow-output-context", &[places::CALL_OUTPUT_VALUE]),
    // The documentation's table has `needs`, `strategy` and `matrix` too, and files in use count on it; the schema hasn't.
    ("container-registry-credentials", &[]),
];

const ACTION_PLACES: &[(&str, &[Place])] = &[
    ("boolean-steps-context", &[places::ACTION_STEP_VALUE]),
    ("container-runs-context", &[places::ACTION_RUNS_DOCKER]),
    ("container-runs-env", &[places::ACTION_RUNS_DOCKER]),
    ("input-default-context", &[places::ACTION_INPUT_DEFAULT]),
    ("output-value", &[places::ACTION_OUTPUT_VALUE]),
    ("runs-if", &[places::ACTION_RUNS_IF]),
    ("step-env", &[places::ACTION_STEP_VALUE]),
    ("step-if", &[places::ACTION_STEP_IF]),
    ("step-with", &[places::ACTION_STEP_VALUE]),
    ("string-steps-context", &[places::ACTION_STEP_VALUE]),
];

#[test]
fn every_key_takes_the_contexts_and_functions_of_the_official_schema() {
    let Some(directory) = corpora("workflow-parser") else { return };
    for (file, table) in [("workflow-v1.0.json", WORKFLOW_PLACES), ("action-v1.0.json", ACTION_PLACES)] {
        let text = fs::read_to_string(directory.join(file)).expect("the corpus is readable");
        let schema: Json = serde_json::from_str(&text).expect("the schema is JSON");
        let definitions = schema["definitions"].as_object().expect("the schema has definitions");
        let mut wrong = Vec::new();
        for (name, contexts) in definitions.iter().filter_map(|(name, definition)| Some((name, definition.get("context")?))) {
            let wanted: BTreeSet<String> =
                contexts.as_array().into_iter().flatten().filter_map(|it| Some(it.as_str()?.to_owned())).collect();
            let Some((_, places)) = table.iter().find(|(known, _)| known == name) else {
                wrong.push(format!("{file}: nothing of ours is compared with `{name}`"));
                continue;
            };
            for place in places.iter().filter(|place| allowed(place) != wanted) {
                wrong.push(format!("{file}: `{}` takes {:?}, and `{name}` says {wanted:?}", place.key, allowed(place)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(table.iter().all(|(name, _)| definitions.contains_key(*name)), "{file} has every definition that is compared");
    }
}

/// As the schema writes it: contexts, and functions with the least and the most arguments.
fn allowed(place: &Place) -> BTreeSet<String> {
    let functions: &[&str] = match place.status {
        Status::No => &[],
        Status::Plain => &["always(0,0)", "cancelled(0,0)", "failure(0,0)", "success(0,0)"],
        Status::OfJobs => &["always(0,0)", "cancelled(0,0)", "failure(0,MAX)", "success(0,MAX)"],
    };
    let hashing = place.hash_files.then_some("hashFiles(1,255)");
    place.contexts.iter().chain(functions).copied().chain(hashing).map(str::to_owned).collect()
}

/// The first document of a case: how it is read, and by whom not.
struct Given {
    skipped: bool,
    follow: bool,
    options: github::Options,
}

impl Given {
    fn read(text: &str) -> Given {
        let (node, _) = base::yaml::parse(&Source::new("options.yml", text));
        let node = node.expect("a case begins with its options");
        let number = |key: &str, default: usize| {
            let number = node.get(key).and_then(base::yaml::Node::as_number);
            number.map_or(default, |number| format!("{number}").parse().expect("a limit is a whole number"))
        };
        let defaults = github::Options::default();
        let skip = node.get("skip").and_then(|skip| skip.as_sequence()).unwrap_or_default();
        let policy = match node.get("permissions-policy").and_then(|policy| policy.as_str()) {
            Some("LimitedRead") => Policy::LimitedRead,
            _ => Policy::Write,
        };
        Given {
            skipped: skip.iter().any(|parser| parser.as_str() == Some("C#")),
            follow: node.get("skip-reusable-workflows").and_then(base::yaml::Node::as_bool) != Some(true),
            options: github::Options {
                // The cases are from before they were allowed.
                anchors: false,
                depth_max: number("max-depth", defaults.depth_max),
                bytes_max: number("max-file-size", defaults.bytes_max),
                calls_depth_max: number("max-nested-reusable-workflows-depth", defaults.calls_depth_max),
                jobs_max: number("max-job-limit", defaults.jobs_max),
                result_max: number("max-result-size", defaults.result_max),
                // The official server asks for them behind its parser.
                steps_required: false,
                policy,
                runners: defaults.runners,
            },
        }
    }
}

fn run_workflow(name: &str, given: &Given, documents: &[&str], expected: &str) -> Result<(), String> {
    let source = Source::new(format!(".github/workflows/{name}"), documents[0]);
    let called: BTreeMap<&str, &str> = documents[1..].chunks(2).map(|pair| (pair[0].trim(), pair[1])).collect();
    let read = |key: &str| called.get(key).map(ToString::to_string).ok_or_else(|| format!("there is no `{key}`"));
    let loaded = if given.follow {
        github::load_with(&source, &read, &given.options)
    } else {
        let (workflow, diagnostics) = github::parse(&source);
        let file = github::File { source: source.clone(), key: None, workflow: None, diagnostics, unsupported: Vec::new() };
        github::Loaded { workflow, files: vec![file] }
    };
    let said: String = loaded.files.iter().map(|file| base::diagnostic::render(&file.source, &file.diagnostics, false)).collect();
    let expected: Json = serde_json::from_str(expected).map_err(|error| format!("the corpus file can't be read: {error}"))?;
    let Some(wanted) = expected.get("errors") else {
        let workflow = loaded.workflow.as_ref().ok_or_else(|| format!("expected no error\n{said}"))?;
        return compare_jobs(workflow, &expected);
    };
    let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
    let errors = || loaded.files.iter().flat_map(|file| file.diagnostics.iter().filter(is_error).map(move |error| (&file.source, error)));
    if errors().next().is_none() {
        return Err(format!("expected {wanted}"));
    }
    for wanted in wanted.as_array().expect("errors are a list") {
        let message = wanted["Message"].as_str().expect("an error has a message");
        let Some(place) = position(message) else { continue };
        // The place is in the file that the message names, which for a called one is its whole name.
        let stands = |(source, error): (&Source, &Diagnostic)| message.contains(&*source.name) && stands_at(source, error, place);
        if !errors().any(stands) {
            return Err(format!("nothing at {place:?} for {message}\n{said}"));
        }
    }
    Ok(())
}

/// What the official template and our model both say: ids, needs, conditions, permissions, and the same of what is called.
fn compare_jobs(workflow: &Workflow, expected: &Json) -> Result<(), String> {
    let wanted = official_jobs(expected);
    let found = our_jobs(workflow, workflow, None, None);
    if wanted == found { Ok(()) } else { Err(format!("expected {wanted:#?}\nfound {found:#?}")) }
}

fn official_jobs(workflow: &Json) -> Vec<String> {
    workflow["jobs"].as_array().into_iter().flatten().flat_map(official_job).collect()
}

fn official_job(job: &Json) -> Vec<String> {
    let empty = Vec::new();
    let text = |json: &Json| json.as_str().or_else(|| json["lit"].as_str()).unwrap_or_default().to_owned();
    let needs: Vec<String> = job["needs"].as_array().unwrap_or(&empty).iter().map(text).collect();
    let mut lines = vec![format!("{} needs {} if {}", text(&job["id"]), needs.join(" "), text(&job["if"]["expr"]))];
    if job["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty()) {
        lines.push(format!("calls {}", text(&job["ref"])));
        lines.extend(official_jobs(job));
        return lines;
    }
    if let Some(granted) = job.get("permissions").and_then(Json::as_object) {
        let granted: BTreeMap<String, String> = granted.iter().map(|(scope, level)| (scope.clone(), text(level))).collect();
        lines.push(format!("may {granted:?}"));
    }
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

fn our_jobs(root: &Workflow, workflow: &Workflow, key: Option<&str>, caller: Option<&Granted>) -> Vec<String> {
    let mut lines = Vec::new();
    for job in &workflow.jobs {
        lines.push(format!("{} needs {} if {}", job.id, job.needs.join(" "), job.condition));
        let granted = permissions::effective(job.permissions.as_ref(), workflow.permissions.as_ref(), caller);
        match &job.work {
            Work::Call { uses, .. } => {
                let called = called_key(key, uses);
                let Some(callee) = root.called.get(&called) else { continue };
                lines.push(format!("calls {called}"));
                lines.extend(our_jobs(root, callee, Some(&called), granted.as_ref()));
            }
            Work::Steps { steps, .. } => {
                // The official list of scopes has grown since the cases were written.
                let known = |scope: &str| {
                    let new = ["artifact-metadata", "attestations", "code-quality", "copilot-requests", "drives", "models"];
                    !new.contains(&scope) && scope != "vulnerability-alerts"
                };
                let granted = granted.map(|granted| {
                    let shown = granted.into_iter().filter(|(scope, _)| known(scope));
                    shown.map(|(scope, level)| (scope, level.word().to_owned())).collect::<BTreeMap<String, String>>()
                });
                lines.extend(granted.map(|granted| format!("may {granted:?}")));
                lines.extend(steps.iter().map(our_step));
            }
        }
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
