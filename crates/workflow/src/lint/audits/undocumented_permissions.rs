//! Rights of which nobody says what they are for.
//!
//! Who wants to take one away has to guess what would break. zizmor: undocumented-permissions.
//!
//! Bad: `packages: write`. Good: `packages: write # pushes the image`.

use super::*;
use crate::lint::document::{Permissions, permissions};

pub(super) const AUDIT: Audit = Audit { id: "undocumented-permissions", summary: "rights without a reason beside them", run };

fn run(document: &Document, report: &mut Report) {
    if !document.is_workflow() {
        return;
    }
    for node in std::iter::once(document.root).chain(document.jobs().into_iter().map(|job| job.node)) {
        let Permissions::Scopes(scopes) = permissions(node) else { continue };
        let unexplained: Vec<_> = scopes
            .entries
            .iter()
            // Everybody knows what that is for.
            .filter(|entry| !(entry.key.text == "contents" && entry.value.as_str() == Some("read")))
            .filter(|entry| !document.comments_on(entry.key.span).iter().any(|comment| !comment.text.trim_matches(['#', ' ']).is_empty()))
            .collect();
        let Some((first, others)) = unexplained.split_first() else { continue };
        let finding = Finding::new(&AUDIT, Severity::Low, Confidence::High, first.key.span, "nothing says what this right is for")
            .persona(Persona::Pedantic)
            .hint("a comment behind it");
        report.add(others.iter().fold(finding, |finding, entry| finding.label(entry.key.span, "nor this")));
    }
}
