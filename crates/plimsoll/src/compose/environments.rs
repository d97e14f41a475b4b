//! The environment a release is for, and what is worth saying about those that jobs name.

use base::name::nearest;
use base::people::same;
use gate::Level;
use gate::approval::Rule;
use workflow::environment::{Environments, Protection, Reviewer};
use workflow::model::{Template, Workflow};

use super::LOCAL;
use crate::config::Config;
use crate::failure::{Failure, Result};

/// The environment that is asked for, by its name in lower case: one of the project's own, or one whose name says all.
///
/// # Errors
/// When the project has none of that name: a misspelt one would be another environment.
pub(super) fn of_release(asked: Option<&str>, config: &Config) -> Result<String> {
    let Some(asked) = asked else { return Ok(LOCAL.to_string()) };
    let name = asked.to_lowercase();
    let levels = || Level::ALL.iter().map(|level| level.as_str());
    let is_known = name == LOCAL || config.places.contains_key(&name) || Level::named(&name).is_some();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if is_known && name.len() <= NAME_MAX && name.chars().all(fits) && !name.starts_with(['.', '-']) {
        return Ok(name);
    }
    if is_known {
        let message = format!("nothing can be brought up in the environment `{asked}`");
        return Err(
            Failure::usage(message).hint(format!("its name would have to be letters, digits, `-`, `_` and `.`, at most {NAME_MAX}"))
        );
    }
    let known = || config.places.keys().map(String::as_str).chain(levels()).chain([LOCAL]);
    let near = nearest(&name, known()).map(|near| format!("did you mean `{near}`? "));
    let failure = Failure::not_found(format!("this project has no environment `{asked}`"));
    Err(failure.hint(format!("{}`environments: {{{name}: {{}}}}` in plimsoll.yaml makes one", near.unwrap_or_default())))
}

/// A name in the file that was probably meant to be this one, of which the file says nothing.
pub(super) fn nearly(environment: &str, config: &Config) -> Option<String> {
    let is_said = environment == LOCAL || config.places.contains_key(environment);
    let near = nearest(environment, config.places.keys().map(String::as_str)).filter(|_| !is_said)?;
    Some(format!("nothing is said of `{environment}` in plimsoll.yaml, but of `{near}`, which is another environment"))
}

/// It becomes part of an address and of file names.
const NAME_MAX: usize = 40;

/// What protects an environment from jobs protects it from releases too.
///
/// # Errors
/// When the branch or tag may not be delivered there.
pub(super) fn protect(environment: &str, protection: &Protection, git_ref: &str, gate: &mut gate::GatePlan) -> Result<Vec<String>> {
    if let Some(why) = protection.refuses(environment, git_ref) {
        return Err(Failure::usage(why).hint("`--ref` says which branch the commit counts as a push to"));
    }
    if !protection.reviewers.is_empty() {
        let name = protection.reviewers.iter().map(Reviewer::shown).collect::<Vec<_>>().join(" or ");
        let people = protection.reviewers.iter().flat_map(Reviewer::people).collect();
        gate.approvals.rules.push(Rule { name, people, count: 1, when: None });
    }
    let timer = format!("`waitTimer` of `{environment}` holds jobs of workflows and no release");
    Ok((protection.wait_timer_ms > 0).then_some(timer).into_iter().collect())
}

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
