//! Conditions that are the same whatever happens.
//!
//! `if: true` and `if: ${{ 1 == 2 }}` decide nothing; mostly a part was forgotten. actionlint: if-cond.
//! A text around the braces, which is always true, is [`super::unsound_condition`]'s.
//!
//! Bad: `if: ${{ false }}` on a job that should wait for a flag. Good: `if: ${{ vars.DEPLOY == 'yes' }}`.

use super::*;
use crate::expr::NodeKind;

pub(super) const AUDIT: Audit = Audit { id: "constant-condition", summary: "conditions that are the same whatever happens", run };

fn run(document: &Document, report: &mut Report) {
    for (node, scope) in document.conditions() {
        let Some(condition) = document.condition(node) else { continue };
        let whole = document
            .located(node)
            .is_some_and(|located| !located.text.contains("${{") || crate::lint::document::is_expression(located.text.trim()));
        let Some(value) = fenced::constant_value(&condition.expr, condition.root()).filter(|_| whole) else { continue };
        // A plain `true` or `false` is a switch that somebody set by hand.
        let switch = matches!(condition.root().kind, NodeKind::Literal(crate::expr::Value::Bool(_)));
        let message = format!("this condition is always {}", value.truthy());
        report.add(
            Finding::new(&AUDIT, Severity::Low, Confidence::High, condition.span, message)
                .persona(if switch { Persona::Pedantic } else { Persona::Regular })
                .scope(scope),
        );
    }
}
