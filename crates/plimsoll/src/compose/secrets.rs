//! Which secrets jobs name that nobody has given the project.

use std::collections::{BTreeMap, BTreeSet};

use host::dirs::Dirs;
use host::secrets::SecretStore;
use serde_json::Value;
use workflow::model::{Job, Template, Workflow};

/// A remark for each secret that would be empty in some job that runs. One that can't be looked up is the server's to tell.
pub(super) fn missing(workflows: &[Workflow], project: &str, deliver_by_workflow: bool) -> Vec<String> {
    let mut wanted: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    let Ok(store) = Dirs::named().map(|dirs| SecretStore::new(&dirs)) else { return Vec::new() };
    for workflow in workflows {
        let everywhere = serde_json::to_value(&workflow.env).map(|env| named(&env)).unwrap_or_default();
        for job in &workflow.jobs {
            let is_left_out = job.environment.is_some() && !deliver_by_workflow || workflow.runners.skips(job);
            let names: BTreeSet<String> = serde_json::to_value(job).map(|job| named(&job)).unwrap_or_default();
            let names: BTreeSet<String> = names.union(&everywhere).cloned().collect();
            if is_left_out || names.is_empty() {
                continue;
            }
            let Ok(given) = store.of_job(project, environment(job)) else { return Vec::new() };
            names.into_iter().filter(|name| !given.contains_key(name)).for_each(|name| wanted.entry(name).or_default().push(job));
        }
    }
    wanted.into_iter().map(|(name, jobs)| remark(&name, &jobs)).collect()
}

fn environment(job: &Job) -> Option<&str> {
    match &job.environment.as_ref()?.name {
        Template::String(name) => Some(name),
        _ => None,
    }
}

/// What only jobs of one environment want is set for that one alone.
fn remark(name: &str, jobs: &[&Job]) -> String {
    let first = jobs.first().and_then(|job| environment(job));
    let alone = first.filter(|first| jobs.iter().all(|job| environment(job) == Some(first)));
    let alone = alone.map(|environment| format!(" --environment {environment}")).unwrap_or_default();
    let jobs: Vec<String> = jobs.iter().map(|job| format!("`{}`", job.id)).collect();
    format!("`secrets.{name}` is empty in {}; `plimsoll secret set {name}{alone}` gives it a value", jobs.join(", "))
}

/// In upper case.
fn named(part: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    look_in(part, &mut names);
    names
}

/// Expressions are where `source` is; no condition may name a secret, and all other texts mean what they are.
fn look_in(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| look_in(item, names)),
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(source) if key == "source" => read(source, names),
                    other => look_in(other, names),
                }
            }
        }
        _ => {}
    }
}

fn read(source: &str, names: &mut BTreeSet<String>) {
    let Ok(expression) = workflow::expr::parse(source) else { return };
    for (path, _) in expression.paths() {
        if let [context, name, ..] = path.as_slice()
            && context.eq_ignore_ascii_case("secrets")
        {
            names.insert(name.to_ascii_uppercase());
        }
    }
}
