//! Files written so that it is hard to see what they do.
//!
//! `uses: owner/repo/a/../b@v1` gets past lists of actions; `${{ format('{0}', 'x') }}` is `x`; `with: ${{ … }}` hides
//! what an action is given. zizmor: obfuscation.
//!
//! Bad: `uses: actions/cache/./restore@v4`. Good: `uses: actions/cache/restore@v4`.

use super::*;
use crate::expr::{self, NodeKind};
use base::Span;

pub(super) const AUDIT: Audit = Audit { id: "obfuscation", summary: "files that hide what they do", run };

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        if let Some((action, node)) = step.action() {
            uses_path(document, &action, node, &step, report);
            if step.has_opaque_inputs()
                && let Some(with) = step.get("with")
            {
                let message = "an expression decides what this action is given, so nothing can be told of it";
                report.add(Finding::new(&AUDIT, Severity::Informational, Confidence::High, with.span, message).scope(step.span()));
            }
        }
    }
    if document.has_expressions() {
        for fenced in document.fenced(document.whole()) {
            expression(document, &fenced, report);
        }
    }
}

fn uses_path(document: &Document, action: &Action, node: &Node, step: &Step, report: &mut Report) {
    let Some(path) = action.path else { return };
    let Some(odd) = path.split('/').find(|part| matches!(*part, "" | "." | "..")) else { return };
    let what = if odd.is_empty() { "an empty part".to_owned() } else { format!("`{odd}`") };
    let message = format!("{what} in the path hides from lists and people which action this is");
    let fix = straight(action)
        .map(|straight| Fix { title: format!("write `{straight}`"), edits: vec![Edit { span: node.span, text: straight }] });
    let plain = document.source.text.get(node.span.start..node.span.end) == node.as_str();
    report.add(Finding::new(&AUDIT, Severity::Low, Confidence::High, node.span, message).scope(step.span()).fix(fix.filter(|_| plain)));
}

fn straight(action: &Action) -> Option<String> {
    let mut parts = vec![action.owner, action.name];
    for part in action.path?.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.len() > 2 => drop(parts.pop()),
            ".." => return None,
            part => parts.push(part),
        }
    }
    Some(format!("{}@{}", parts.join("/"), action.reference))
}

fn expression(document: &Document, found: &fenced::Fenced, report: &mut Report) {
    let root = found.root();
    let constant = fenced::constant_parts(root);
    if fenced::is_constant(root) {
        let Some(value) = fenced::constant_value(&found.expr, root).map(|value| value.text()) else { return };
        let message = "this expression is always the same";
        let plain = !value.is_empty() && value.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-./".contains(&letter));
        let inside_of_text = plain && is_part_of_text(document, found.span);
        let fix =
            inside_of_text.then(|| Fix { title: format!("write `{value}`"), edits: vec![Edit { span: found.span, text: value.clone() }] });
        report.add(Finding::new(&AUDIT, Severity::Low, Confidence::High, found.span, message).hint(format!("it is `{value}`")).fix(fix));
    } else if let Some(first) = constant.first() {
        let finding = Finding::new(
            &AUDIT,
            Severity::Low,
            Confidence::High,
            found.place(first.span),
            "this part of the expression is always the same",
        );
        report.add(constant[1..].iter().fold(finding, |finding, part| finding.label(found.place(part.span), "and this")).scope(found.span));
    }
    if let Some(computed) = computed_index(root) {
        let message = "which value this is can't be told without running it";
        report.add(
            Finding::new(&AUDIT, Severity::Low, Confidence::High, found.place(computed), message)
                .persona(Persona::Pedantic)
                .scope(found.span),
        );
    }
}

/// Whether there is more than the expression in its value, so that the constant stays a text.
fn is_part_of_text(document: &Document, span: Span) -> bool {
    let text = &document.source.text;
    let before = text[..span.start].chars().next_back();
    let after = text[span.end..].chars().next();
    let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || "-_/.".contains(letter));
    is_word(before) || is_word(after)
}

fn computed_index(node: &expr::Node) -> Option<Span> {
    if let NodeKind::Index(pair) = &node.kind
        && !matches!(pair.1.kind, NodeKind::Literal(_) | NodeKind::Wildcard)
    {
        return Some(pair.1.span);
    }
    node.children().into_iter().find_map(computed_index)
}
