//! Pinned commits of which nobody can see what version they are.
//!
//! `uses: owner/name@1234…` without a comment, or with one that isn't a version, can't be read by people or by the
//! tools that propose updates. Whether the comment is true takes the repository's tags, and is left to whoever fetches
//! the action. The offline part of zizmor's ref-version-mismatch.
//!
//! Bad: `uses: actions/checkout@34e1…`. Good: `uses: actions/checkout@34e1… # v4.3.1`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "ref-version-mismatch", summary: "pinned commits whose version can't be seen", run };

fn run(document: &Document, report: &mut Report) {
    for (action, node, scope) in actions(document) {
        if !action.is_pinned() {
            continue;
        }
        let said: Vec<&str> = document.comments_on(node.span).iter().map(|comment| comment.text.as_str()).collect();
        if said.iter().any(|comment| inputs::comment_version(comment).is_some()) {
            continue;
        }
        let message = if said.is_empty() {
            "no comment says which version this commit is"
        } else {
            "the comment here doesn't say which version this commit is"
        };
        report.add(
            Finding::new(&AUDIT, Severity::Low, Confidence::Low, node.span, message)
                .persona(Persona::Pedantic)
                .hint("`# v1.2.3` behind it, which tools that propose updates read too")
                .scope(scope),
        );
    }
}
