use std::collections::BTreeSet;

use base::Span;
use base::yaml::{Entry, Mapping, Node, Value};

use super::called::{CallSite, Secrets};
use super::reader::{Reader, scalar_text};
use super::retry;
use super::step;
use super::workflow::{concurrency, defaults, permissions};
use crate::model::{CallSecrets, Defaults, Environment, Job, RetryOn, Snapshot, Step, Strategy, Template, Unsupported, Work};
use crate::runners::{self, Rule};
use crate::schema::places::{self, Place};
use crate::schema::{identifier, uses};

const KEYS: &[&str] = &[
    "name",
    "needs",
    "if",
    "runs-on",
    "permissions",
    "environment",
    "concurrency",
    "strategy",
    "env",
    "defaults",
    "timeout-minutes",
    "cancel-timeout-minutes",
    "continue-on-error",
    "retry",
    "outputs",
    "container",
    "services",
    "snapshot",
    "steps",
];
/// Of a job that calls a workflow.
const CALL_KEYS: &[&str] = &["name", "uses", "with", "secrets", "needs", "if", "permissions", "concurrency", "strategy"];

/// The job, and what it needs with the places.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<(Job, Vec<(String, Span)>)> {
    let Entry { key, value: node } = entry;
    if key.text.contains("${{") {
        reader.error("workflow/expression", key.span, "the id of a job can't be an expression");
        return None;
    }
    if let Some(complaint) = identifier::complaint(&key.text) {
        reader.error("workflow/id", key.span, complaint);
    }
    let mapping = reader.mapping(&key.text, node)?;
    let calls = is_call(reader, &key.text, mapping);
    // Keys of the other kind were reported as a conflict if both kinds are there.
    let conflicts = if calls { &["runs-on", "steps"] as &[&str] } else { &["uses"] };
    let known = if calls { CALL_KEYS } else { KEYS };
    let mut entries = Vec::new();
    for entry in &mapping.entries {
        let name = entry.key.text.as_str();
        if known.contains(&name) {
            entries.push(entry);
        } else if !conflicts.contains(&name) {
            reader.unknown_key(&entry.key, known);
        }
    }
    let work = if calls { call(reader, key.span, node) } else { steps(reader, &key.text, node) };
    let mut job = Job::new(key.text.clone(), key.span, work);
    let mut needs = Vec::new();
    for Entry { key, value } in entries {
        let name = key.text.as_str();
        match name {
            "name" => job.name = reader.string(name, value, &places::JOB_NAME),
            "needs" => needs = reader.literals(name, value),
            "if" => job.condition = reader.condition(name, value, &places::JOB_IF).unwrap_or_default(),
            "permissions" => job.permissions = permissions(reader, value),
            "environment" => job.environment = environment(reader, value),
            "concurrency" => job.concurrency = concurrency(reader, value, &places::JOB_CONCURRENCY),
            "strategy" => job.strategy = strategy(reader, value),
            "env" => job.env = reader.strings(name, value, &places::JOB_ENV),
            "timeout-minutes" => job.timeout_minutes = reader.minutes(name, value, &places::JOB_TIMEOUT),
            "cancel-timeout-minutes" => {
                job.cancel_timeout_minutes = reader.minutes(name, value, &places::JOB_CANCEL_TIMEOUT);
            }
            "retry" => {
                job.retry = retry::read(reader, key.span, value, &[RetryOn::Failure, RetryOn::Lost, RetryOn::Timeout]);
            }
            "continue-on-error" => job.continue_on_error = reader.boolean(name, value, &places::JOB_CONTINUE),
            "outputs" => job.outputs = outputs(reader, value),
            _ => {}
        }
    }
    job.needs = needs.iter().map(|(need, _)| need.clone()).collect();
    Some((job, needs))
}

/// By the first key that only one of the two kinds of jobs has.
fn is_call(reader: &mut Reader<'_>, id: &str, mapping: &Mapping) -> bool {
    let uses = mapping.entries.iter().position(|entry| entry.key.text == "uses");
    let own = mapping.entries.iter().position(|entry| entry.key.text == "runs-on" || entry.key.text == "steps");
    match (uses, own) {
        (Some(uses), Some(own)) => {
            let second = &mapping.entries[uses.max(own)].key;
            let message =
                format!("job `{id}` can't have `{}`: it either calls a workflow with `uses` or has steps of its own", second.text);
            reader.error("workflow/conflict", second.span, message);
            uses < own
        }
        (uses, _) => uses.is_some(),
    }
}

fn call(reader: &mut Reader<'_>, job: Span, node: &Node) -> Work {
    let mut target = None;
    if let Some(value) = node.get("uses")
        && let Some(text) = reader.non_empty_literal("uses", value)
    {
        if let Some(complaint) = uses::workflow_complaint(&text) {
            reader.error("workflow/uses", value.span, complaint);
        }
        target = Some((text, value.span));
    }
    let with = node.get("with").and_then(|value| call_inputs(reader, value));
    let mut passed = Secrets::Given(Vec::new());
    let secrets = match node.get("secrets") {
        None => CallSecrets::None,
        Some(value) if value.as_mapping().is_none() => {
            passed = Secrets::Unknown;
            if reader.choice("secrets", value, &["inherit"]).is_some() {
                passed = Secrets::Inherited;
                CallSecrets::Inherit
            } else {
                CallSecrets::None
            }
        }
        Some(value) => {
            passed = Secrets::Given(pairs(value).map(|(name, value)| (name.to_owned(), value.span)).collect());
            reader.strings("secrets", value, &places::CALL_SECRETS).map_or(CallSecrets::None, CallSecrets::Given)
        }
    };
    let inputs = node.get("with").into_iter().flat_map(pairs).map(|(name, value)| (name.to_owned(), value.clone())).collect();
    reader.calls.extend(target.clone().map(|uses| CallSite { job, uses, inputs, secrets: passed }));
    Work::Call { uses: target.map(|(uses, _)| uses).unwrap_or_default(), with, secrets }
}

fn pairs(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    node.as_mapping().into_iter().flat_map(|mapping| mapping.iter().map(|(key, value)| (key.text.as_str(), value)))
}

/// Inputs keep their types: `true` isn't `'true'`.
fn call_inputs(reader: &mut Reader<'_>, node: &Node) -> Option<Template> {
    let mapping = reader.mapping("with", node)?;
    for entry in &mapping.entries {
        if scalar_text(&entry.value).is_none() {
            reader.wrong_type(&entry.key.text, &entry.value, "a text, a number, or `true` or `false`");
            return None;
        }
    }
    reader.any("with", node, &places::CALL_WITH)
}

fn steps(reader: &mut Reader<'_>, id: &str, node: &Node) -> Work {
    let runs_on = match node.get("runs-on") {
        Some(value) => {
            let template = runs_on(reader, value);
            look_up_in_matrix(reader, template.as_ref(), node);
            template
        }
        None => {
            reader.missing(node, "runs-on", &format!("job `{id}`"));
            None
        }
    };
    let container = node.as_mapping().and_then(|mapping| mapping.entry("container")).and_then(|entry| {
        reader.needs_engine(entry.key.span, "a job in a container");
        container(reader, "container", &entry.value, CONTAINER_KEYS)
    });
    let services = node.as_mapping().and_then(|mapping| mapping.entry("services")).and_then(|entry| {
        reader.needs_engine(entry.key.span, "a service container");
        services(reader, &entry.value)
    });
    let snapshot = node.as_mapping().and_then(|mapping| mapping.entry("snapshot")).and_then(|entry| {
        reader.unsupported(entry.key.span, "a snapshot of the job's machine");
        snapshot(reader, &entry.value)
    });
    let defaults = node.get("defaults").map_or_else(Defaults::default, |value| defaults(reader, value, &places::JOB_DEFAULTS));
    let steps: Vec<Step> = node.get("steps").map_or_else(Vec::new, |value| step::read(reader, value));
    if reader.steps_required {
        require_steps(reader, id, node);
    }
    Work::Steps { runs_on: runs_on.unwrap_or(Template::Null), container, services, snapshot, defaults, steps }
}

fn require_steps(reader: &mut Reader<'_>, id: &str, node: &Node) {
    match node.get("steps") {
        Some(value) if value.as_sequence().is_some_and(<[Node]>::is_empty) => {
            reader.error("workflow/value", value.span, format!("job `{id}` needs at least one step"));
        }
        // Without `runs-on` that is said instead: nothing tells which kind of job it was to be.
        None if node.get("runs-on").is_some() && !has_near(node, &["steps", "uses"]) => {
            reader.missing_one(node, "`steps`, or `uses` with a workflow to call", &format!("job `{id}`"));
        }
        _ => {}
    }
}

/// A key that was to be one of these, which is said of it.
fn has_near(node: &Node, wanted: &[&str]) -> bool {
    let unknown = node.as_mapping().into_iter().flat_map(|mapping| &mapping.entries).map(|entry| entry.key.text.as_str());
    unknown.filter(|key| !KEYS.contains(key)).any(|key| base::name::nearest(key, wanted.iter().copied()).is_some())
}

fn runs_on(reader: &mut Reader<'_>, node: &Node) -> Option<Template> {
    let place = &places::JOB_RUNS_ON;
    match node.value() {
        Value::Sequence(items) => {
            if items.is_empty() {
                reader.error("workflow/value", node.span, "`runs-on` needs at least one label");
            }
            Some(labels(reader, items))
        }
        Value::Mapping(_) => {
            let mut entries = Vec::new();
            for Entry { key, value } in reader.closed("runs-on", node, &["group", "labels"])? {
                let template = match (key.text.as_str(), value.value()) {
                    ("labels", Value::Sequence(items)) => Some(labels(reader, items)),
                    ("labels", _) => label(reader, value),
                    _ => {
                        check_group(reader, value);
                        reader.non_empty_string("group", value, place)
                    }
                };
                entries.extend(template.map(|template| (Template::String(key.text.clone()), template)));
            }
            Some(Template::Mapping(entries))
        }
        _ => label(reader, node),
    }
}

/// The first with a rule decides, whatever the others stand for.
fn labels(reader: &mut Reader<'_>, items: &[Node]) -> Template {
    let read: Vec<(Template, Span)> =
        items.iter().filter_map(|item| Some((reader.non_empty_string("runs-on", item, &places::JOB_RUNS_ON)?, item.span))).collect();
    let written = || read.iter().filter_map(|(label, span)| if let Template::String(label) = label { Some((label, *span)) } else { None });
    match written().find(|(label, _)| reader.runners.rule(label).is_some()) {
        Some((label, span)) => look_up(reader, label, span),
        None => written().for_each(|(label, span)| look_up(reader, label, span)),
    }
    Template::Sequence(read.into_iter().map(|(label, _)| label).collect())
}

fn label(reader: &mut Reader<'_>, node: &Node) -> Option<Template> {
    let template = reader.non_empty_string("runs-on", node, &places::JOB_RUNS_ON)?;
    if let Template::String(label) = &template {
        look_up(reader, label, node.span);
    }
    Some(template)
}

/// A label that is there word for word: what it stands for may not be here.
fn look_up(reader: &mut Reader<'_>, label: &str, span: Span) {
    match (reader.runners.rule(label), runners::system(label)) {
        (Some(Rule::Image(_)), _) => reader.needs_engine(span, format!("a job of `{label}`, which runs in a container,")),
        (None, Some(system)) => {
            let what = format!("a job on {system} (`{label}`)");
            reader.unsupported.push(Unsupported { span, what, hint: Some(runners::advice(label)) });
        }
        _ => {}
    }
}

/// What `matrix.<key>` in the labels can be, as far as the matrix says it in so many words.
fn look_up_in_matrix(reader: &mut Reader<'_>, runs_on: Option<&Template>, job: &Node) {
    /// Nobody has more of them, and each one is looked up in every entry.
    const KEYS_MAX: usize = 20;
    let Some(matrix) = job.get("strategy").and_then(|strategy| strategy.get("matrix")) else { return };
    let mut keys = BTreeSet::new();
    runs_on.into_iter().for_each(|runs_on| runners::matrix_keys(runs_on, &mut keys));
    for key in keys.iter().take(KEYS_MAX) {
        let included = matrix.get("include").and_then(Node::as_sequence).unwrap_or_default();
        let vector = matrix.get(key).and_then(Node::as_sequence).unwrap_or_default();
        for node in vector.iter().chain(included.iter().filter_map(|item| item.get(key))) {
            look_up(reader, node.as_str().unwrap_or_default(), node.span);
        }
    }
}

fn check_group(reader: &mut Reader<'_>, node: &Node) {
    const PREFIXES: [&str; 4] = ["organization", "org", "enterprise", "ent"];
    let Some(group) = node.as_str().filter(|group| group.contains('/') && !group.contains("${{")) else { return };
    let (prefix, name) = group.split_once('/').expect("a `/` was seen in it");
    if !PREFIXES.iter().any(|known| known.eq_ignore_ascii_case(prefix)) || name.is_empty() || name.contains('/') {
        let message = format!("`{group}` is no group of runners: it is a name, `organization/<name>` or `enterprise/<name>`");
        reader.error("workflow/value", node.span, message);
    }
}

fn environment(reader: &mut Reader<'_>, node: &Node) -> Option<Environment> {
    if node.as_mapping().is_none() {
        return reader.string("environment", node, &places::JOB_ENVIRONMENT).map(|name| Environment { name, url: None, deployment: None });
    }
    let mut name = None;
    let mut url = None;
    let mut deployment = None;
    for Entry { key, value } in reader.closed("environment", node, &["name", "url", "deployment"])? {
        match key.text.as_str() {
            "name" => name = reader.string("name", value, &places::JOB_ENVIRONMENT),
            "url" => url = reader.string("url", value, &places::JOB_ENVIRONMENT_URL),
            _ => deployment = reader.boolean("deployment", value, &places::JOB_ENVIRONMENT),
        }
    }
    if node.get("name").is_none() {
        reader.missing(node, "name", "`environment`");
    }
    Some(Environment { name: name?, url, deployment })
}

fn outputs(reader: &mut Reader<'_>, node: &Node) -> Vec<(String, Template)> {
    let Some(mapping) = reader.mapping("outputs", node) else { return Vec::new() };
    let mut outputs = Vec::new();
    for Entry { key, value } in &mapping.entries {
        if key.text.is_empty() {
            reader.error("workflow/value", key.span, "a key is empty");
        } else if key.text.contains("${{") {
            reader.error("workflow/expression", key.span, "the name of an output can't be an expression");
            continue;
        }
        outputs.extend(reader.string(&key.text, value, &places::JOB_OUTPUTS).map(|template| (key.text.clone(), template)));
    }
    outputs
}

fn strategy(reader: &mut Reader<'_>, node: &Node) -> Option<Strategy> {
    let place = &places::JOB_STRATEGY;
    if let Some(expression) = reader.whole_expression("strategy", node, place) {
        return expression.map(|whole| Strategy { whole: Some(whole), matrix: None, fail_fast: None, max_parallel: None });
    }
    let mut strategy = Strategy { whole: None, matrix: None, fail_fast: None, max_parallel: None };
    for Entry { key, value } in reader.closed("strategy", node, &["matrix", "fail-fast", "max-parallel"])? {
        match key.text.as_str() {
            "matrix" => strategy.matrix = matrix(reader, value, place),
            "fail-fast" => strategy.fail_fast = reader.boolean(&key.text, value, place),
            _ => strategy.max_parallel = reader.number(&key.text, value, place),
        }
    }
    Some(strategy)
}

fn matrix(reader: &mut Reader<'_>, node: &Node, place: &Place) -> Option<Template> {
    if let Some(expression) = reader.whole_expression("matrix", node, place) {
        return expression;
    }
    let mapping = reader.mapping("matrix", node)?;
    let mut any_vector = false;
    for Entry { key, value } in &mapping.entries {
        let is_filter = key.text == "include" || key.text == "exclude";
        any_vector |= key.text != "exclude";
        if value.as_str().is_some_and(|text| text.contains("${{")) || key.text.contains("${{") {
            any_vector = true;
            continue;
        }
        let Some(items) = reader.sequence(&key.text, value) else { continue };
        if is_filter {
            for item in items {
                if !item.as_str().is_some_and(|text| text.contains("${{")) {
                    reader.mapping(&format!("an entry of `{}`", key.text), item);
                }
            }
        } else if items.is_empty() {
            reader.error("workflow/value", value.span, format!("the matrix has no values for `{}`", key.text));
        }
    }
    if !any_vector {
        reader.error("workflow/value", node.span, "a matrix needs at least one list of values, or `include`");
    }
    reader.any("matrix", node, place)
}

const CONTAINER_KEYS: &[&str] = &["image", "options", "env", "ports", "volumes", "credentials"];
const SERVICE_KEYS: &[&str] = &["image", "options", "env", "ports", "volumes", "credentials", "entrypoint", "command"];

fn container(reader: &mut Reader<'_>, name: &str, node: &Node, keys: &[&str]) -> Option<Template> {
    let place = &places::JOB_CONTAINER;
    let Some(mapping) = node.as_mapping() else {
        return reader.string(name, node, place);
    };
    let mut entries = Vec::new();
    for Entry { key, value } in reader.known(mapping, keys) {
        let name = key.text.as_str();
        let template = match name {
            "env" => reader.strings(name, value, &places::JOB_CONTAINER_ENV),
            "ports" | "volumes" => reader.sequence(name, value).and_then(|_| reader.any(name, value, place)),
            "credentials" => {
                reader.closed(name, value, &["username", "password"]);
                reader.strings(name, value, &places::JOB_CONTAINER_CREDENTIALS)
            }
            "image" => reader.non_empty_string(name, value, place),
            _ => reader.string(name, value, place),
        };
        entries.extend(template.map(|template| (Template::String(key.text.clone()), template)));
    }
    if mapping.get("image").is_none() {
        reader.missing(node, "image", "a container");
    }
    Some(Template::Mapping(entries))
}

fn services(reader: &mut Reader<'_>, node: &Node) -> Option<Template> {
    if let Some(expression) = reader.whole_expression("services", node, &places::JOB_CONTAINER) {
        return expression;
    }
    let mapping = reader.mapping("services", node)?;
    let mut services = Vec::new();
    for Entry { key, value } in &mapping.entries {
        let service = container(reader, &key.text, value, SERVICE_KEYS);
        services.extend(service.map(|service| (Template::String(key.text.clone()), service)));
    }
    Some(Template::Mapping(services))
}

fn snapshot(reader: &mut Reader<'_>, node: &Node) -> Option<Snapshot> {
    let mut snapshot = Snapshot { image_name: String::new(), version: None, condition: "success()".to_owned() };
    if node.as_mapping().is_none() {
        snapshot.image_name = reader.non_empty_literal("snapshot", node)?;
        return Some(snapshot);
    }
    for Entry { key, value } in reader.closed("snapshot", node, &["image-name", "if", "version"])? {
        match key.text.as_str() {
            "if" => snapshot.condition = reader.condition("if", value, &places::JOB_SNAPSHOT_IF).unwrap_or_default(),
            "version" => snapshot.version = reader.non_empty_literal("version", value),
            name => snapshot.image_name = reader.non_empty_literal(name, value).unwrap_or_default(),
        }
    }
    if node.get("image-name").is_none() {
        reader.missing(node, "image-name", "`snapshot`");
    }
    Some(snapshot)
}
