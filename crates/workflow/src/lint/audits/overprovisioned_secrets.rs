//! All secrets given where one is needed.
//!
//! `toJSON(secrets)` and `secrets[…]` bring every secret of the repository into the job, for whatever runs in it to
//! take. zizmor: overprovisioned-secrets.
//!
//! Bad: `env: {ALL: "${{ toJSON(secrets) }}"}`. Good: `env: {TOKEN: "${{ secrets.TOKEN }}"}`.

use super::*;
use crate::expr::{self, Function, NodeKind};

pub(super) const AUDIT: Audit = Audit { id: "overprovisioned-secrets", summary: "all secrets given where one is needed", run };

fn run(document: &Document, report: &mut Report) {
    if !document.has_expressions() {
        return;
    }
    for found in document.fenced(document.whole()) {
        for _ in 0..expansions(found.root()) {
            let message = "this brings every secret there is into the job";
            report.add(Finding::new(&AUDIT, Severity::Medium, Confidence::High, found.span, message).hint("name the one that is needed"));
        }
    }
}

fn expansions(node: &expr::Node) -> usize {
    let is_secrets = |node: &expr::Node| Context::of(node).is_some_and(|context| context.is("secrets"));
    match &node.kind {
        NodeKind::Call(Function::ToJson, arguments) if arguments.iter().any(is_secrets) => 1,
        NodeKind::Index(pair) if is_secrets(&pair.0) => usize::from(!matches!(pair.1.kind, NodeKind::Literal(_))),
        _ => node.children().into_iter().map(expansions).sum(),
    }
}
