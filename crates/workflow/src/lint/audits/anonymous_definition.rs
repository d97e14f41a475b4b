//! Workflows and jobs without a name.
//!
//! Lists and notifications then show a file's path or an id. zizmor: anonymous-definition.
//!
//! Bad: a file that begins with `on: push`. Good: `name: Tests` above it.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "anonymous-definition", summary: "workflows and jobs without a name", run };

fn run(document: &Document, report: &mut Report) {
    if !document.is_workflow() {
        return;
    }
    let nameless = |severity, span, what: &str| {
        Finding::new(&AUDIT, severity, Confidence::High, span, format!("this {what} has no name"))
            .persona(Persona::Pedantic)
            .hint(format!("`name: …` says what the {what} is for"))
    };
    if document.root.get("name").is_none() {
        report.add(nameless(Severity::Low, document.head(), "workflow").scope(document.whole()));
    }
    for job in document.jobs() {
        if job.get("name").is_none() && job.get("uses").is_none() {
            report.add(nameless(Severity::Informational, job.key.span, "job").scope(job.node.span));
        }
    }
}
