//! Lists of allowed names that aren't lists.
//!
//! `contains('main develop', github.ref_name)` is true for every part of the text, `ai` too. zizmor: unsound-contains.
//!
//! Bad: `if: contains('refs/heads/main refs/heads/dev', github.ref)`. Good: `if: contains(fromJSON('["refs/heads/main"]'), github.ref)`.

use super::*;
use crate::expr::{self, Function, NodeKind, Value};

pub(super) const AUDIT: Audit = Audit { id: "unsound-contains", summary: "lists of allowed names that aren't lists", run };

/// What somebody else can choose, wholly or in part.
const CHOSEN: &[&str] = &[
    "env",
    "github.actor",
    "github.base_ref",
    "github.event",
    "github.head_ref",
    "github.ref",
    "github.ref_name",
    "github.sha",
    "github.triggering_actor",
    "inputs",
];

fn run(document: &Document, report: &mut Report) {
    if !document.is_workflow() {
        return;
    }
    for (node, scope) in document.conditions() {
        let Some(condition) = document.condition(node) else { continue };
        for (context, span) in containments(condition.root()) {
            let severity = if CHOSEN.iter().any(|chosen| context.starts(chosen)) { Severity::High } else { Severity::Informational };
            let message = format!("this is true for every part of the text, so whoever chooses `{}` can get past it", context.text());
            report.add(
                Finding::new(&AUDIT, severity, Confidence::High, condition.place(span), message)
                    .hint("compare with a list: `contains(fromJSON('[\"one\", \"two\"]'), …)`")
                    .scope(node.span)
                    .scope(scope),
            );
        }
    }
}

fn containments(node: &expr::Node) -> Vec<(Context<'_>, base::Span)> {
    if let NodeKind::Call(Function::Contains, arguments) = &node.kind
        && let [list, wanted] = arguments.as_slice()
        && matches!(list.kind, NodeKind::Literal(Value::String(_)))
        && let Some(context) = Context::of(wanted)
    {
        return vec![(context, node.span)];
    }
    node.children().into_iter().flat_map(containments).collect()
}
