//! Steps that would show a forge a token which this machine alone takes: told before anything starts.

use base::Diagnostic;
use host::dirs::Dirs;
use host::secrets::SecretStore;
use workflow::model::Workflow;
use workflow::token;

use crate::fetching;

pub const NO_FORGE: &str = "workflow/no-forge";

/// How jobs get a token that a forge takes; nothing where they have one.
pub type Remedy = Option<&'static str>;

/// For jobs of `up`.
pub(super) fn remedy(project: &str) -> Remedy {
    let kept = || Some(SecretStore::new(&Dirs::named().ok()?).of_job(project, None).ok()?.contains_key(token::NAME));
    let has_one = fetching::user().is_ok_and(|user| user.github_app.is_some()) || kept().unwrap_or(false);
    (!has_one).then_some("`githubApp` in your own configuration gives jobs GitHub's, `plimsoll secret set GITHUB_TOKEN` one of yours")
}

/// One for each step of the workflow's own file.
pub(super) fn remarks(workflow: &Workflow, remedy: &str) -> Vec<Diagnostic> {
    let of_job = |job| token::shown_to_forge(workflow, job);
    let shown = workflow.jobs.iter().filter(|job| !workflow.runners.skips(job)).flat_map(of_job);
    let message = |by: &str| match by {
        token::PUSH => format!("{by} reaches the repository on this machine and no forge: the job has no token that one takes; {remedy}"),
        by => format!("{by} shows the job's token to a forge, and it is one that this machine alone takes; {remedy}"),
    };
    shown.map(|shown| Diagnostic::warning(NO_FORGE, shown.span, message(&shown.by))).collect()
}
