//! Which secrets jobs and the gate name that nobody has given the project.

use std::collections::{BTreeMap, BTreeSet};

use gate::slo::Access;
use host::dirs::Dirs;
use host::secrets::SecretStore;
use serde_json::Value;
use workflow::model::{CallSecrets, IdTokens, Job, Template, Work, Workflow};
use workflow::plan::called_key;
use workflow::token;

use crate::config;

/// A remark for each secret that would be empty in some job that runs. One that can't be looked up is the server's to tell.
pub(super) fn missing(workflows: &[Workflow], project: &str, deliver_by_workflow: bool) -> Vec<String> {
    let Ok(store) = Dirs::named().map(|dirs| SecretStore::new(&dirs)) else { return Vec::new() };
    let given = |job: &Job| Some(store.of_job(project, environment(job)).ok()?.into_keys().collect());
    empty(workflows, |_| true, deliver_by_workflow, given).into_iter().flatten().map(|(name, jobs)| remark(&name, &jobs)).collect()
}

/// Secrets, in upper case, that nobody has given, each with the jobs that run and use it, those of the files that take all secrets of
/// their callers among them; nothing where it isn't known which are given.
pub fn empty(
    workflows: &[Workflow],
    is_asked: impl Fn(&Job) -> bool,
    delivers: bool,
    given: impl Fn(&Job) -> Option<BTreeSet<String>>,
) -> Option<BTreeMap<String, Vec<&Job>>> {
    let mut empty: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    for workflow in workflows {
        for (job, wanted) in users(workflow, &is_asked) {
            if delivers || job.environment.is_none() {
                wanted.difference(&given(job)?).for_each(|name| empty.entry(name.clone()).or_default().push(job));
            }
        }
    }
    for jobs in empty.values_mut() {
        // A file may be called more than once.
        let mut seen = BTreeSet::new();
        jobs.retain(|job| seen.insert(std::ptr::from_ref(*job)));
    }
    Some(empty)
}

/// The jobs that see the project's secrets by their own names, with those that each names.
fn users(root: &Workflow, is_asked: impl Fn(&Job) -> bool) -> Vec<(&Job, BTreeSet<String>)> {
    let mut users = Vec::new();
    let mut open: Vec<(&Workflow, Option<String>)> = vec![(root, None)];
    while let Some((file, key)) = open.pop() {
        let everywhere = serde_json::to_value(&file.env).map(|env| named(&env)).unwrap_or_default();
        for job in file.jobs.iter().filter(|job| (key.is_some() || is_asked(job)) && !root.runners.skips(job)) {
            let own = serde_json::to_value(job).map(|job| named(&job)).unwrap_or_default();
            // Every job has a token, given or not, and what is made for it when it starts nobody gives either.
            let is_made = |name: &String| name == token::NAME || name.starts_with(&IdTokens::SECRET.to_ascii_uppercase());
            let wanted: BTreeSet<String> = own.union(&everywhere).filter(|name| !is_made(name)).cloned().collect();
            users.extend((!wanted.is_empty()).then_some((job, wanted)));
            if let Work::Call { uses, secrets: CallSecrets::Inherit, .. } = &job.work {
                let called = called_key(key.as_deref(), uses);
                open.extend(root.called.get(&called).map(|file| (file, Some(called.clone()))));
            }
        }
    }
    users
}

/// Remarks where those who are asked before something ships can't be shown what they want to see.
pub(super) fn of_gate_missing(gate: &config::Gate, project: &str, environment: &str) -> Vec<String> {
    let token = gate.incidents.as_ref().and_then(|incidents| incidents.token.as_deref());
    let access = gate.slo.slos.access.as_ref();
    let forge = gate.protection.as_ref().and_then(|protection| protection.token.as_deref());
    let wanted = [
        token.map(|name| ("gate.incidents.token", name, "the incidents")),
        forge.map(|name| ("gate.protection.token", name, "how the branch is protected")),
        access.map(|access| match access {
            Access::Token(name) => ("gate.slo.token", name.as_str(), "the error budgets"),
            Access::Basic { password, .. } => ("gate.slo.password", password.as_str(), "the error budgets"),
        }),
    ];
    let store = Dirs::named().map(|dirs| SecretStore::new(&dirs));
    let Some(given) = store.ok().and_then(|store| store.of_job(project, Some(environment)).ok()) else { return Vec::new() };
    let missing = wanted.into_iter().flatten().filter(|(_, name, _)| !given.contains_key(&name.to_ascii_uppercase()));
    missing
        .map(|(key, name, what)| {
            format!("`{key}` is empty, so nobody will know {what}; `plimsoll secret set {}` gives it a value", name.to_ascii_uppercase())
        })
        .collect()
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
    format!("{}; `plimsoll secret set {name}{alone}` gives it a value", is_empty_in(name, jobs))
}

/// `secrets.TOKEN` is empty in `test`, `deploy`.
pub fn is_empty_in(name: &str, jobs: &[&Job]) -> String {
    let jobs: Vec<String> = jobs.iter().map(|job| format!("`{}`", job.id)).collect();
    format!("`secrets.{name}` is empty in {}", jobs.join(", "))
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
