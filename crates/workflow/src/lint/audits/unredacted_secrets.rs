//! Parts of secrets that no mask knows.
//!
//! `fromJSON(secrets.X).password` takes a part out of a secret; the mask knows the whole and not the part.
//! zizmor: unredacted-secrets.
//!
//! Bad: `${{ fromJSON(secrets.DB).password }}`. Good: a secret for each part.

use super::*;
use crate::expr::{self, Function, NodeKind};

pub(super) const AUDIT: Audit = Audit { id: "unredacted-secrets", summary: "parts of secrets that no mask knows", run };

fn run(document: &Document, report: &mut Report) {
    if !document.has_expressions() {
        return;
    }
    for found in document.fenced(document.whole()) {
        for _ in 0..leaks(found.root()) {
            let message = "a part of a secret isn't masked where it is printed, only the whole is";
            report.add(
                Finding::new(&AUDIT, Severity::Medium, Confidence::High, found.span, message).hint("keep each part as a secret of its own"),
            );
        }
    }
}

fn leaks(node: &expr::Node) -> usize {
    let is_secret = |node: &expr::Node| Context::of(node).is_some_and(|context| context.starts("secrets"));
    match &node.kind {
        NodeKind::Call(Function::FromJson, arguments) if arguments.iter().any(is_secret) => 1,
        _ => node.children().into_iter().map(leaks).sum(),
    }
}
