//! More rights for the job's token than its work needs.
//!
//! Without `permissions:` the token has what the organisation's default says, often the right to write everything;
//! rights given to the whole workflow reach jobs that don't need them. zizmor: excessive-permissions.
//!
//! Bad: no `permissions:`, or `permissions: write-all`. Good: `permissions: {}` above, and what a job needs at the job.

use super::*;
use crate::lint::document::{Permissions, permissions};

pub(super) const AUDIT: Audit = Audit { id: "excessive-permissions", summary: "more rights for the token than needed", run };

/// What writing with it can do; anything else counts as medium.
const GRAVE: &[&str] = &["actions", "attestations", "contents", "deployments", "id-token", "issues", "packages", "pages", "pull-requests"];
const SLIGHT: &[&str] = &["models", "statuses"];

fn run(document: &Document, report: &mut Report) {
    if !document.is_workflow() {
        return;
    }
    let jobs = document.jobs();
    let own = permissions(document.root);
    let every_job_says = jobs.iter().all(|job| !matches!(job.permissions(), Permissions::Default));
    let only_called = document.is_only_called();
    let above = if jobs.len() == 1 || every_job_says || only_called { Persona::Pedantic } else { Persona::Regular };
    for finding in of_workflow(document, own) {
        report.add(finding.persona(above));
    }
    for job in jobs {
        let inherits = !matches!(own, Permissions::Default);
        let calls = job.get("uses").is_some();
        let persona = if only_called && !calls { Persona::Pedantic } else { Persona::Regular };
        let finding = match job.permissions() {
            Permissions::Default if !inherits => default(job.key.span, "this job"),
            Permissions::ReadAll(span) => all(span, Severity::Medium, "read"),
            Permissions::WriteAll(span) => all(span, Severity::High, "write"),
            Permissions::Default | Permissions::Scopes(_) => continue,
        };
        report.add(finding.persona(persona).scope(job.node.span).scope(job.key.span));
    }
}

fn of_workflow(document: &Document, own: Permissions) -> Vec<Finding> {
    match own {
        Permissions::Default => vec![default(document.head(), "this workflow").scope(document.whole())],
        Permissions::ReadAll(span) => vec![all(span, Severity::Medium, "read")],
        Permissions::WriteAll(span) => vec![all(span, Severity::High, "write")],
        Permissions::Scopes(scopes) => {
            let writes = scopes.entries.iter().filter(|entry| entry.value.as_str() == Some("write"));
            writes
                .map(|entry| {
                    let name = entry.key.text.as_str();
                    let severity = match name {
                        _ if GRAVE.contains(&name) => Severity::High,
                        _ if SLIGHT.contains(&name) => Severity::Low,
                        _ => Severity::Medium,
                    };
                    let message = format!("every job of this workflow gets `{name}: write`, those that don't need it too");
                    Finding::new(&AUDIT, severity, Confidence::High, entry.key.span, message).hint("give it to the job that needs it")
                })
                .collect()
        }
    }
}

fn default(span: base::Span, what: &str) -> Finding {
    let message = format!("{what} has no `permissions:`, so its token has whatever is the default, often everything");
    Finding::new(&AUDIT, Severity::Medium, Confidence::Medium, span, message)
        .hint("`permissions: {}` for the workflow, and what a job needs at the job (a checkout needs `contents: read`)")
}

fn all(span: base::Span, severity: Severity, what: &str) -> Finding {
    let message = format!("the token may {what} everything");
    Finding::new(&AUDIT, severity, Confidence::High, span, message).hint("name the rights that are needed")
}
