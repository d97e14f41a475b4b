//! Actions by a name that can be moved.
//!
//! A tag or a branch is whatever its owner, or whoever took over the owner's account, points it at: in March 2025 the
//! tags of `tj-actions/changed-files` were moved to code that printed secrets in thousands of repositories. A commit
//! stays what it is. zizmor: unpinned-uses.
//!
//! Bad: `uses: actions/checkout@v4`. Good: `uses: actions/checkout@34e1… # v4.3.1`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "unpinned-uses", summary: "actions by a name that can be moved", run };

fn run(document: &Document, report: &mut Report) {
    for (action, node, scope) in actions(document) {
        if action.is_pinned() {
            continue;
        }
        let message = format!("`{}` can be moved to other code by whoever owns `{}/{}`", action.reference, action.owner, action.name);
        report.add(
            Finding::new(&AUDIT, Severity::High, Confidence::High, node.span, message)
                .hint("pin the commit, with the version in a comment: `@<40 hex digits> # v1.2.3`")
                .scope(scope),
        );
    }
}
