//! `a && b || c` where `b` is false itself.
//!
//! The expression language has no `? :`; with `b` empty, zero or false the whole is always `c`. zizmor: unsound-ternary.
//!
//! Bad: `${{ inputs.quiet && '' || '--verbose' }}`. Good: `${{ !inputs.quiet && '--verbose' || '' }}`, or `case(…)`.

use super::*;
use crate::expr::{self, NodeKind};

pub(super) const AUDIT: Audit = Audit { id: "unsound-ternary", summary: "choices whose first answer never comes", run };

fn run(document: &Document, report: &mut Report) {
    if !document.has_expressions() {
        return;
    }
    for found in document.fenced(document.whole()) {
        for part in false_answers(&found, found.root()) {
            let message = "this is false, so the choice always goes to what follows `||`";
            report.add(
                Finding::new(&AUDIT, Severity::Low, Confidence::High, found.place(part), message)
                    .hint("turn the condition around, or use `case(condition, this, other)`")
                    .scope(found.span),
            );
        }
    }
}

fn false_answers(found: &fenced::Fenced, node: &expr::Node) -> Vec<base::Span> {
    if fenced::is_constant(node) {
        return Vec::new();
    }
    let mut spans = Vec::new();
    if let NodeKind::Or(operands) = &node.kind {
        for operand in &operands[..operands.len() - 1] {
            if let NodeKind::And(parts) = &operand.kind
                && let Some(answer) = parts.last()
                && fenced::constant_value(&found.expr, answer).is_some_and(|value| !value.truthy())
            {
                spans.push(answer.span);
            }
        }
    }
    spans.extend(node.children().into_iter().flat_map(|child| false_answers(found, child)));
    spans
}
