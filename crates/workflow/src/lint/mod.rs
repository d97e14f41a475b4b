//! Security lints of a pipeline's files, at plan time and offline.
//!
//! Each audit is one file in `audits`; the rules are zizmor's and actionlint's, by the same names, so that a team's
//! suppression comments keep their meaning. Findings point into the user's own text.

mod audits;
mod calls;
mod document;
mod edit;
mod fenced;
mod inputs;
mod located;
pub(crate) mod shell;
mod taint;
mod uses;

use std::collections::BTreeSet;

use base::{Diagnostic, Label, Severity as Level, Source, Span};
use serde::Serialize;

pub use calls::lint_with_calls;
use document::Document;
pub use document::{Kind, kind};
pub use edit::{apply, diff};
pub use uses::Pattern;

/// What a file's findings are, in the order of their places.
///
/// A file that isn't YAML has none here: whoever reads it for running says what is wrong with it.
pub fn lint(source: &Source, kind: Kind, options: &Options) -> Vec<Finding> {
    let Some(root) = base::yaml::parse(source).0 else { return Vec::new() };
    let document = Document::new(source, kind, &root, options);
    let mut report = Report { findings: Vec::new() };
    for audit in audits::AUDITS {
        (audit.run)(&document, &mut report);
    }
    let wanted = |finding: &Finding| finding.persona <= options.persona && !document.is_suppressed(finding);
    let mut findings: Vec<Finding> = report.findings.into_iter().filter(wanted).collect();
    findings.sort_by(|a, b| (a.span, a.audit).cmp(&(b.span, b.audit)));
    findings.dedup();
    findings
}

/// Every audit there is: its id and what it looks for.
pub fn audits() -> impl Iterator<Item = (&'static str, &'static str)> {
    audits::AUDITS.iter().map(|audit| (audit.id, audit.summary))
}

/// Audits that need the history of the action's repository, and so are left to whoever fetches actions.
pub const LEFT_TO_THE_FETCHER: &[&str] = &["impostor-commit", "ref-confusion", "stale-action-refs"];

/// What an organisation decides for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub persona: Persona,
    /// The event of the run that is about to begin; without it a file's own triggers count.
    pub event: Option<String>,
    pub forbidden: Option<Forbidden>,
    /// Whether a caller that outsiders start calls this, whatever its own triggers say.
    pub reached: bool,
    /// The inputs that get what an outsider chose, in lower case.
    pub tainted: BTreeSet<String>,
}

/// Which actions may not be used at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forbidden {
    /// All but these.
    AllBut(Vec<Pattern>),
    These(Vec<Pattern>),
}

/// How strictly a plan is held to the lints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Findings are said and nothing is refused.
    Compat,
    /// What an outsider wrote must not become code.
    #[default]
    Guarded,
    /// Findings of medium severity or more refuse.
    Strict,
}

impl Security {
    pub fn refuses(self, finding: &Finding) -> bool {
        match self {
            Security::Compat => false,
            Security::Guarded => finding.holds,
            Security::Strict => finding.holds || (finding.severity >= Severity::Medium && finding.persona == Persona::Regular),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
}

/// How sure the audit is that this is what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

/// Who wants to hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Persona {
    #[default]
    Regular,
    /// Also what only may be wrong, and what is merely unusual.
    Pedantic,
    /// Also what is right for most and interesting for somebody who looks for holes.
    Auditor,
}

/// Something an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `template-injection`.
    pub audit: &'static str,
    pub severity: Severity,
    pub confidence: Confidence,
    pub persona: Persona,
    /// The place itself.
    pub span: Span,
    /// What is wrong and why, without a full stop.
    pub message: String,
    pub labels: Vec<Label>,
    pub hint: Option<String>,
    pub fix: Option<Fix>,
    /// What an outsider writes becomes code here: [`Security::Guarded`] refuses it.
    pub holds: bool,
    /// A suppression comment counts on each line of these and of the place.
    scopes: Vec<Span>,
}

/// Edits that are certain to keep the meaning and to end the finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does: `set persist-credentials: false`.
    pub title: String,
    pub edits: Vec<Edit>,
}

/// Put this text in place of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub span: Span,
    pub text: String,
}

impl Finding {
    fn new(audit: &Audit, severity: Severity, confidence: Confidence, span: Span, message: impl Into<String>) -> Finding {
        Finding {
            audit: audit.id,
            severity,
            confidence,
            persona: Persona::Regular,
            span,
            message: message.into(),
            labels: Vec::new(),
            hint: None,
            fix: None,
            holds: false,
            scopes: Vec::new(),
        }
    }

    fn persona(self, persona: Persona) -> Finding {
        Finding { persona, ..self }
    }

    fn label(mut self, span: Span, text: impl Into<String>) -> Finding {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    fn hint(self, hint: impl Into<String>) -> Finding {
        Finding { hint: Some(hint.into()), ..self }
    }

    fn scope(mut self, span: Span) -> Finding {
        self.scopes.push(span);
        self
    }

    fn fix(self, fix: Option<Fix>) -> Finding {
        Finding { fix, ..self }
    }

    fn holds(self, holds: bool) -> Finding {
        Finding { holds, ..self }
    }

    /// As every other diagnostic is shown; `level` says whether it refuses.
    pub fn diagnostic(&self, level: Level) -> Diagnostic {
        let fixable = self.fix.as_ref().map(|fix| format!("`plimsoll lint --fix` would {}", fix.title));
        let hint = match (&self.hint, fixable) {
            (Some(hint), Some(fixable)) => Some(format!("{hint}; {fixable}")),
            (hint, fixable) => hint.clone().or(fixable),
        };
        let new = match level {
            Level::Error => Diagnostic::error,
            Level::Warning => Diagnostic::warning,
        };
        let mut diagnostic = new(self.audit, self.span, self.message.clone());
        diagnostic.labels.clone_from(&self.labels);
        diagnostic.hint = hint;
        diagnostic
    }
}

/// One rule.
struct Audit {
    id: &'static str,
    /// What it looks for, in a few words.
    summary: &'static str,
    run: fn(&Document, &mut Report),
}

struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
