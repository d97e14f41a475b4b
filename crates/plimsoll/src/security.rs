//! The security lints where a plan is made: what refuses it, and how much else there is to see.

use base::{Severity as Level, Source, diagnostic};
use workflow::lint::{Finding, Forbidden, Kind, Options, Persona, Security, lint_with_calls};

use crate::cli::SecurityChoice;
use crate::config::Config;
use crate::failure::Failure;

/// How strictly this run is held, from the command line over the project's file.
pub fn mode(given: Option<SecurityChoice>, config: &Config) -> Security {
    match given {
        Some(SecurityChoice::Compat) => Security::Compat,
        Some(SecurityChoice::Guarded) => Security::Guarded,
        Some(SecurityChoice::Strict) => Security::Strict,
        None => config.workflows.security,
    }
}

/// What the lints say of the workflows of one plan.
#[derive(Debug, Default)]
pub struct Checked {
    /// Rendered, one text a file.
    refused: Vec<String>,
    /// Findings that refuse nothing.
    others: usize,
}

impl Checked {
    /// A workflow and what it calls in its own repository, read by path.
    pub fn add(
        &mut self,
        source: &Source,
        mode: Security,
        forbidden: Option<&Forbidden>,
        event: &str,
        read: &dyn Fn(&str) -> Option<String>,
    ) {
        let options =
            Options { persona: Persona::Regular, event: Some(event.to_owned()), forbidden: forbidden.cloned(), ..Options::default() };
        for (source, findings) in lint_with_calls(source, Kind::Workflow, &options, read) {
            self.take(&source, mode, findings);
        }
    }

    fn take(&mut self, source: &Source, mode: Security, findings: Vec<Finding>) {
        let (refused, others): (Vec<Finding>, Vec<Finding>) = findings.into_iter().partition(|finding| mode.refuses(finding));
        self.others += others.len();
        if !refused.is_empty() {
            let diagnostics: Vec<_> = refused.iter().map(|finding| finding.diagnostic(Level::Error)).collect();
            self.refused.push(diagnostic::render(source, &diagnostics, false));
        }
    }

    /// # Errors
    /// What refuses the plan, all of it at once; else a line on the rest, where there is any.
    pub fn finish(self) -> Result<Option<String>, Failure> {
        if !self.refused.is_empty() {
            let message = format!("the security lints refuse this, so nothing was started\n\n{}", self.refused.join("\n\n"));
            return Err(Failure::usage(message)
                .hint("a place that is right as it is: `# plimsoll: ignore[rule] reason` beside it")
                .hint("`--security compat` runs it all the same"));
        }
        Ok(match self.others {
            0 => None,
            1 => Some("1 remark of the security lints stands in nobody's way; `plimsoll lint` shows it".to_owned()),
            count => Some(format!("{count} remarks of the security lints stand in nobody's way; `plimsoll lint` shows them")),
        })
    }
}
