//! What is wrong with the files that a command reads: all of it at once, and each thing once however many ways lead to it.

use base::{Diagnostic, Source, Span, diagnostic};

use crate::failure::{Failure, Result};

/// A file and everything that is said of it.
pub type Said = (Source, Vec<Diagnostic>);

#[derive(Debug, Default)]
pub struct Wrong {
    files: Vec<Said>,
    /// Rendered already.
    rendered: Vec<String>,
}

impl Wrong {
    pub fn add(&mut self, (source, diagnostics): Said) {
        if diagnostics.is_empty() {
            return;
        }
        let at = self.files.iter().position(|(known, _)| known.name == source.name).unwrap_or_else(|| {
            self.files.push((source, Vec::new()));
            self.files.len() - 1
        });
        let known = &mut self.files[at].1;
        for diagnostic in diagnostics {
            if !known.contains(&diagnostic) {
                known.push(diagnostic);
            }
        }
    }

    pub fn add_rendered(&mut self, rendered: String) {
        self.rendered.push(rendered);
    }

    /// # Errors
    /// With all of it, if there is anything.
    pub fn refuse(mut self) -> Result<()> {
        let render = |(source, diagnostics): &mut Said| {
            diagnostics.sort_by_key(|diagnostic| diagnostic.span);
            diagnostic::render(source, diagnostics, false)
        };
        let mut said: Vec<String> = self.files.iter_mut().map(render).collect();
        said.append(&mut self.rendered);
        if said.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(format!("a workflow can't be run as written, so nothing was started\n\n{}", said.join("\n\n"))))
    }
}

/// What went wrong so far, of which nothing hides anything else.
#[derive(Debug, Default)]
pub struct Problems(Vec<Failure>);

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn or_default<T: Default>(&mut self, result: Result<T>) -> T {
        result.unwrap_or_else(|failure| {
            self.0.push(failure);
            T::default()
        })
    }

    /// # Errors
    /// All of them as one.
    pub fn said(self) -> Result<()> {
        let mut failures = self.0.into_iter();
        let Some(first) = failures.next() else { return Ok(()) };
        Err(failures.fold(first, |mut all, failure| {
            all.message = format!("{}\n\nerror: {}", all.message, failure.message);
            all.hints.extend(failure.hints);
            all
        }))
    }
}

/// A file's text, or what is wrong with its bytes.
pub fn text(name: &str, bytes: &[u8]) -> std::result::Result<Source, Said> {
    match Source::decode(name, bytes) {
        (source, None) => Ok(source),
        (source, Some(wrong)) => Err((source, vec![wrong])),
    }
}

/// As [`text`], with a sentence for where there is no room for more.
pub fn text_or_sentence(name: &str, bytes: &[u8]) -> std::result::Result<String, String> {
    text(name, bytes).map(|source| source.text.to_string()).map_err(|(source, wrong)| {
        let (line, column) = source.line_column(wrong[0].span.start);
        format!("{name}:{line}:{column}: {}", wrong[0].message)
    })
}

/// A mistake of a file as `--json` has it.
pub fn json(source: &Source, diagnostic: &Diagnostic) -> serde_json::Value {
    serde_json::json!({
        "file": &*source.name,
        "place": place(source, diagnostic.span),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    })
}

/// From where to where; the end is behind it.
pub fn place(source: &Source, span: Span) -> serde_json::Value {
    let (line, column) = source.line_column(span.start);
    let (end_line, end_column) = source.line_column(span.end);
    serde_json::json!({ "line": line, "column": column, "endLine": end_line, "endColumn": end_column })
}
