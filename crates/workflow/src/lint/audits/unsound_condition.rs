//! Conditions that are always true because of what stands around the braces.
//!
//! Anything outside of `${{ }}`, a line's end from `|` or `>` too, makes a text of the condition, and no text but an
//! empty one is false. zizmor: unsound-condition; actionlint: if-cond.
//!
//! Bad: `if: ${{ a }} && ${{ b }}`, or `if: |` with braces below it. Good: `if: a && b`.

use base::Span;

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "unsound-condition", summary: "conditions that are always true", run };

fn run(document: &Document, report: &mut Report) {
    for (node, scope) in document.conditions() {
        let Some(text) = node.as_str() else { continue };
        let Some(first) = document.fenced(node.span).into_iter().next() else { continue };
        let opening = text.find("${{").unwrap_or_default();
        let alone = opening == 0 && text.ends_with("}}") && text.matches("${{").count() == 1;
        if alone {
            continue;
        }
        let message =
            "this condition is always true: with anything outside of `${{ }}` it is a text, and no text but an empty one is false";
        report.add(
            Finding::new(
                &AUDIT,
                Severity::High,
                Confidence::High,
                if text.trim().ends_with("}}") && opening == 0 { first.span } else { node.span },
                message,
            )
            .hint("put the whole condition into one `${{ }}`, or leave the braces out")
            .scope(node.span)
            .scope(scope)
            .fix(strip_end(document, node, text)),
        );
    }
}

/// `|` and `>` keep a line's end that `|-` and `>-` leave out.
fn strip_end(document: &Document, node: &Node, text: &str) -> Option<Fix> {
    let written = document.source.text.get(node.span.start..node.span.end)?;
    let indicator = ["|", ">"].into_iter().find(|indicator| written.starts_with(indicator))?;
    let bare = written[1..].starts_with(['\n', ' ', '\r']);
    let only_the_end = text.starts_with("${{") && text.trim_end().ends_with("}}") && text.matches("${{").count() == 1;
    (bare && only_the_end).then(|| Fix {
        title: format!("write `{indicator}-`"),
        edits: vec![Edit { span: Span::new(node.span.start, node.span.start + 1), text: format!("{indicator}-") }],
    })
}
