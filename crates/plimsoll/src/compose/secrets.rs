//! Which secrets jobs name that nobody has given the project.

use std::collections::{BTreeMap, BTreeSet};

use host::dirs::Dirs;
use host::secrets::SecretStore;
use serde_json::Value;
use workflow::model::{Job, Template, Workflow};

/// A remark for each secret that would be empty in some job. One that can't be looked up is the server's to tell.
pub(super) fn missing(workflows: &[Workflow], project: &str) -> Vec<String> {
    let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let Ok(store) = Dirs::named().map(|dirs| SecretStore::new(&dirs)) else { return Vec::new() };
    for job in workflows.iter().flat_map(|workflow| &workflow.jobs) {
        let environment = job.environment.as_ref().map(|environment| &environment.name);
        let environment = environment.and_then(|name| if let Template::String(name) = name { Some(name.as_str()) } else { None });
        let names = named(job);
        if names.is_empty() {
            continue;
        }
        let Ok(given) = store.of_job(project, environment) else { return Vec::new() };
        for name in names.into_iter().filter(|name| !given.contains_key(name)) {
            wanted.entry(name).or_default().push(&job.id);
        }
    }
    wanted.into_iter().map(|(name, jobs)| remark(&name, &jobs)).collect()
}

fn remark(name: &str, jobs: &[&str]) -> String {
    let jobs: Vec<String> = jobs.iter().map(|job| format!("`{job}`")).collect();
    format!("`secrets.{name}` is empty in {}; `plimsoll secret set {name}` gives it a value", jobs.join(", "))
}

/// In upper case.
fn named(job: &Job) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(job) = serde_json::to_value(job) {
        look_in(&job, &mut names);
    }
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
