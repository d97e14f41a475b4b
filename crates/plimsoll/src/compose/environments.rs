//! What is worth saying about the environments that jobs name.

use base::name::nearest;
use base::people::same;
use workflow::environment::Environments;
use workflow::model::{Template, Workflow};

/// What jobs will wait for before they deliver; nothing where nothing is protected that one of them names.
pub(super) fn protected(workflows: &[Workflow], environments: &Environments, git_ref: &str, actor: &str) -> Option<String> {
    let jobs = || files(workflows).flat_map(|workflow| &workflow.jobs).filter_map(|job| job.environment.as_ref());
    // What an expression names may be any of them.
    let named = |environment: &str| {
        jobs().any(|it| match &it.name {
            Template::String(name) => same(name, environment),
            _ => true,
        })
    };
    let asked: Vec<String> = environments
        .protections
        .iter()
        .filter(|(name, protection)| named(name) && protection.refuses(name, git_ref).is_none())
        .filter_map(|(name, protection)| Some(format!("{name} ({})", protection.sentence(&environments.people, actor)?)))
        .collect();
    (!asked.is_empty()).then(|| asked.join(", "))
}

fn files(workflows: &[Workflow]) -> impl Iterator<Item = &Workflow> {
    workflows.iter().flat_map(|workflow| std::iter::once(workflow).chain(workflow.called.values()))
}

/// Jobs that nobody's agreement would let: their branch or tag may not deliver there.
pub(super) fn refused(workflows: &[Workflow], environments: &Environments, git_ref: &str) -> Vec<String> {
    let jobs = files(workflows).flat_map(|workflow| &workflow.jobs);
    let refused = jobs.filter_map(|job| {
        let Template::String(name) = &job.environment.as_ref()?.name else { return None };
        let why = environments.protection(name)?.refuses(name, git_ref)?;
        Some(format!("`{}` will fail: {why}", job.id))
    });
    refused.collect()
}

/// Jobs that deliver to an environment which nothing protects although others are: a misspelt name protects nothing.
pub(super) fn unprotected(workflows: &[Workflow], environments: &Environments) -> Vec<String> {
    let known = || environments.protections.keys().map(String::as_str);
    if known().next().is_none() {
        return Vec::new();
    }
    let mut remarks = Vec::new();
    for job in files(workflows).flat_map(|workflow| &workflow.jobs) {
        let Some(Template::String(name)) = job.environment.as_ref().map(|environment| &environment.name) else { continue };
        if environments.protection(name).is_some() {
            continue;
        }
        let near = nearest(name, known()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let job = &job.id;
        remarks.push(format!("`{job}` delivers to `{name}`, which is not among `environments`, so nothing protects it{near}"));
    }
    remarks
}
