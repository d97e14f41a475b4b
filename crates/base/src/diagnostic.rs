use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// A text that a person wrote, and the name they know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the user would type it, relative to the project: `.github/workflows/ci.yml`.
    pub name: Arc<str>,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        Source { name: name.into(), text: text.into() }
    }

    /// What a file holds, and an error where it isn't text: there the source has a replacement character.
    pub fn decode(name: impl Into<Arc<str>>, bytes: &[u8]) -> (Source, Option<Diagnostic>) {
        let source = Source::new(name, String::from_utf8_lossy(bytes));
        let wrong = std::str::from_utf8(bytes).err().map(|error| {
            let at = error.valid_up_to();
            let span = Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8());
            Diagnostic::error("file/encoding", span, format!("this is not UTF-8: the byte 0x{:02x} can't stand here", bytes[at]))
                .hint("save the file in UTF-8")
        });
        (source, wrong)
    }

    /// Line and column of a byte offset, both counted from 1, columns in characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Byte offsets into a [`Source`]: from `start` up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// A second place that belongs to a diagnostic, with what it has to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One thing that is wrong in a file: a code, a sentence, its place and, where we can, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable and documented, e.g. `workflow/unknown-key`.
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong and why, without a full stop.
    pub message: String,
    pub span: Span,
    pub labels: Vec<Label>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, severity: Severity::Error, message: message.into(), span, labels: Vec::new(), hint: None }
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }
}

/// All diagnostics of one file as text, in the order of their places: message, `file:line:column`, the line, a caret, the hint.
pub fn render(source: &Source, diagnostics: &[Diagnostic], color: bool) -> String {
    let mut ordered: Vec<&Diagnostic> = diagnostics.iter().collect();
    ordered.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.code));
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let reports: Vec<String> = ordered.iter().map(|diagnostic| render_one(source, diagnostic, &renderer)).collect();
    reports.join("\n\n")
}

fn render_one(source: &Source, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let primary = AnnotationKind::Primary.span(visible(source, diagnostic.span));
    let others = diagnostic.labels.iter().map(|label| AnnotationKind::Context.span(visible(source, label.span)).label(label.text.as_str()));
    let snippet = Snippet::source(&*source.text).line_start(1).path(&*source.name).annotation(primary).annotations(others);
    let mut group = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code).element(snippet);
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The span cut to the text and to whole characters.
fn visible(source: &Source, span: Span) -> std::ops::Range<usize> {
    let cut = |offset: usize| {
        let mut offset = offset.min(source.text.len());
        while !source.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = cut(span.start);
    start..cut(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_place_line_caret_and_hint() {
        let source = Source::new("ci.yml", "on: push\njbos: {}\n");
        let diagnostic = Diagnostic::error("workflow/unknown-key", Span::new(9, 13), "unknown key `jbos`").hint("did you mean `jobs`?");
        let text = render(&source, &[diagnostic], false);
        assert_eq!(
            text,
            "error[workflow/unknown-key]: unknown key `jbos`\n --> ci.yml:2:1\n  |\n2 | jbos: {}\n  | ^^^^\n  |\n  = help: did you mean `jobs`?"
        );
    }

    #[test]
    fn columns_count_characters_and_offsets_past_the_end_are_the_end() {
        let source = Source::new("x", "äb\nc");
        assert_eq!(source.line_column(2), (1, 2));
        assert_eq!(source.line_column(1), (1, 1));
        assert_eq!(source.line_column(99), (2, 2));
    }
}
