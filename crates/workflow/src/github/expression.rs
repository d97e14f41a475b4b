//! Expressions where they stand: whether they are right, and whether this is a place for what they use.

use base::yaml::Node;
use base::{Diagnostic, Span};

use super::reader::{Reader, scalar_text};
use super::references::{CHECKED, Reference};
use crate::expr::{self, Expr, Piece, pieces};
use crate::model::Template;
use crate::schema::places::{CONTEXTS, Place, Status};

impl Reader<'_> {
    /// A text with its expressions checked.
    pub fn leaf(&mut self, name: &str, text: &str, span: Span, place: &Place) -> Option<Template> {
        if !text.contains("${{") {
            return Some(Template::String(text.to_owned()));
        }
        if !place.allows_expressions() {
            self.error("workflow/expression", span, format!("`{name}` can't contain an expression"));
            return None;
        }
        if text.encode_utf16().count() > expr::LENGTH_MAX {
            let message = format!("a text with expressions in it has at most {} characters", expr::LENGTH_MAX);
            self.error("workflow/expression", span, message);
            return None;
        }
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.error("workflow/expression", self.within(text, span, error.span), error.message);
                return None;
            }
        };
        let mut right = true;
        for piece in &pieces {
            if let Piece::Expression(source, at) = piece {
                right &= self.expression(source, self.within(text, span, *at), place);
            }
        }
        if !right {
            return None;
        }
        match expr::template(text, span) {
            Ok(Template::Expr { source, .. }) => {
                let place = match pieces.as_slice() {
                    [Piece::Expression(_, at)] => self.within(text, span, *at),
                    _ => span,
                };
                Some(Template::Expr { source, span: place })
            }
            Ok(template) => Some(template),
            Err(error) => {
                self.error("workflow/expression", span, error.message);
                None
            }
        }
    }

    /// A condition with `success() && (…)` around it where no status function is named.
    pub fn condition(&mut self, name: &str, node: &Node, place: &Place) -> Option<String> {
        self.bare_condition(name, node, place).map(|condition| with_status(&condition))
    }

    /// A condition as it was written, without `${{ }}`.
    pub fn bare_condition(&mut self, name: &str, node: &Node, place: &Place) -> Option<String> {
        let Some(text) = scalar_text(node) else {
            self.wrong_type(name, node, "a condition");
            return None;
        };
        if text.contains("${{") {
            self.warn_of_constant(&text, node.span);
            return match self.leaf(name, &text, node.span, place)? {
                Template::Expr { source, .. } => Some(source),
                _ => unreachable!("a text with an expression in it is an expression"),
            };
        }
        let source = text.trim();
        let at = text.len() - text.trim_start().len();
        let span = self.within(&text, node.span, Span::new(at, at + source.len()));
        self.expression(source, span, place).then(|| source.to_owned())
    }

    /// One expression; `span` is its place in the file.
    fn expression(&mut self, source: &str, span: Span, place: &Place) -> bool {
        if source == "insert" {
            let message = "`insert` stands alone as a key, it can't be part of a text";
            self.error("workflow/expression", span, message);
            return false;
        }
        let part = |at: Span| {
            let literal_for_literal = span.end - span.start == source.len();
            if literal_for_literal { Span::new(span.start + at.start, span.start + at.end) } else { span }
        };
        match expr::parse(source) {
            Ok(expr) => {
                let problems = problems(&expr, place);
                let right = problems.is_empty();
                // Of what is wrong anyway nothing more is said.
                for (mut path, at) in expr.paths().into_iter().filter(|_| right) {
                    path[0].make_ascii_lowercase();
                    if CHECKED.contains(&path[0].as_str()) {
                        self.references.push(Reference { path, span: part(at), job: self.job, step: self.step });
                    }
                }
                self.diagnostics.extend(problems.into_iter().map(|diagnostic| Diagnostic { span: part(diagnostic.span), ..diagnostic }));
                right
            }
            Err(error) => {
                self.error("workflow/expression", part(error.span), error.message);
                false
            }
        }
    }

    /// `if: ${{ a }} && b` is a text that isn't empty, and so always true.
    fn warn_of_constant(&mut self, text: &str, span: Span) {
        let mixed = pieces(text).is_ok_and(|pieces| pieces.len() > 1 && pieces.iter().any(|piece| matches!(piece, Piece::Text(_))));
        if mixed {
            let message =
                "this condition is always true: with anything outside of `${{ }}` it is a text, and no text but an empty one is false";
            self.report(
                Diagnostic::warning("workflow/constant-condition", span, message)
                    .hint("put the whole condition into one `${{ }}`, or leave the braces out"),
            );
        }
    }

    /// Where a part of a value stands in the file: found in what was written, else the whole value.
    fn within(&self, text: &str, span: Span, at: Span) -> Span {
        let Some(written) = self.source.text.get(span.start..span.end) else { return span };
        let Some(part) = text.get(at.start..at.end).filter(|part| !part.is_empty()) else { return span };
        // The first such part in the value is the first in what was written, and so on.
        let earlier = text[..at.start].matches(part).count();
        match written.match_indices(part).nth(earlier) {
            Some((found, _)) => Span::new(span.start + found, span.start + found + part.len()),
            None => span,
        }
    }
}

fn with_status(condition: &str) -> String {
    if condition.is_empty() {
        return "success()".to_owned();
    }
    match expr::parse(condition) {
        Ok(expr) if !expr.uses_status_function() => format!("success() && ({condition})"),
        _ => condition.to_owned(),
    }
}

fn problems(expr: &Expr, place: &Place) -> Vec<Diagnostic> {
    let contexts = expr.named().into_iter().filter_map(|(name, span)| context_problem(&name, span, place));
    let functions = expr.calls().into_iter().filter_map(|(name, count, span)| function_problem(name, count, span, place));
    contexts.chain(functions).collect()
}

fn context_problem(name: &str, span: Span, place: &Place) -> Option<Diagnostic> {
    let is = |known: &&&str| known.eq_ignore_ascii_case(name);
    if place.contexts.iter().any(|known| is(&known)) {
        return None;
    }
    let here = format!("available here: `{}`", place.contexts.join("`, `"));
    if CONTEXTS.iter().any(|known| is(&known)) {
        let message = format!("the context `{name}` isn't available in `{}`", place.key);
        return Some(Diagnostic::error("workflow/context", span, message).hint(here));
    }
    let hint = base::name::nearest(name, place.contexts.iter().copied()).map_or(here, |nearest| format!("did you mean `{nearest}`?"));
    Some(Diagnostic::error("workflow/context", span, format!("there is no context `{name}`")).hint(hint))
}

fn function_problem(name: &'static str, count: usize, span: Span, place: &Place) -> Option<Diagnostic> {
    let not_here = || Some(Diagnostic::error("workflow/function", span, format!("`{name}` can't be called in `{}`", place.key)));
    match name {
        "hashFiles" if !place.hash_files => not_here(),
        "success" | "failure" | "always" | "cancelled" if place.status == Status::No => not_here(),
        "success" | "failure" if place.status == Status::Plain && count > 0 => {
            let message = format!("`{name}` takes no arguments in `{}`", place.key);
            Some(Diagnostic::error("workflow/function", span, message))
        }
        _ => None,
    }
}
