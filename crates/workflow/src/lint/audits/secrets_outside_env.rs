//! Secrets of the whole repository where an environment's would do.
//!
//! A secret of an environment is given only to jobs that name the environment, after its rules (branches, approvals)
//! are met; a repository's goes to every job of every branch. zizmor: secrets-outside-env.
//!
//! Bad: `${{ secrets.DEPLOY_KEY }}` in a job without `environment:`. Good: `environment: production` at the job.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "secrets-outside-env", summary: "secrets used without an environment", run };

fn run(document: &Document, report: &mut Report) {
    // Environments don't reach through a call.
    if document.trigger("workflow_call").is_some() {
        return;
    }
    for job in document.jobs() {
        if job.get("environment").is_some() || job.get("uses").is_some() {
            continue;
        }
        for found in document.fenced(job.node.span) {
            for context in fenced::contexts(found.root()) {
                // Every job has a token of its own.
                let token = context.key(1).is_some_and(|name| name.eq_ignore_ascii_case("GITHUB_TOKEN"));
                if !context.below("secrets") || token {
                    continue;
                }
                let message = format!("`{}` is given to this job without the rules of an environment", context.text());
                report.add(
                    Finding::new(&AUDIT, Severity::Medium, Confidence::High, found.place(context.span), message)
                        .persona(Persona::Auditor)
                        .scope(job.node.span)
                        .scope(job.key.span),
                );
            }
        }
    }
}
