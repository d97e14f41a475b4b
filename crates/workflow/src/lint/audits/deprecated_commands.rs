//! Commands printed to standard output that runners no longer take.
//!
//! `::set-output`, `::save-state`, `::set-env` and `::add-path` are read from what a step prints, so anything that is
//! printed can give them; the last two are refused by every current runner. actionlint: deprecated-commands.
//!
//! Bad: `echo "::set-output name=tag::$TAG"`. Good: `echo "tag=$TAG" >> "$GITHUB_OUTPUT"`.

use base::Span;

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "deprecated-commands", summary: "commands that runners no longer take", run };

const COMMANDS: &[(&str, &str)] =
    &[("set-output", "GITHUB_OUTPUT"), ("save-state", "GITHUB_STATE"), ("set-env", "GITHUB_ENV"), ("add-path", "GITHUB_PATH")];

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        let Some(located) = step.run().and_then(|run| document.located(run)) else { continue };
        for (command, file) in COMMANDS {
            for (at, found) in located.text.match_indices(&format!("::{command}")) {
                let after = located.text[at + found.len()..].chars().next();
                if !after.is_some_and(|letter| letter == ':' || letter.is_whitespace()) {
                    continue;
                }
                let place = located.place(Span::new(at, at + found.len()));
                let message = format!("`::{command}` is read from everything a step prints, and current runners warn of it or refuse it");
                report.add(
                    Finding::new(&AUDIT, Severity::Low, Confidence::High, place, message)
                        .hint(format!("write to the file `${file}` names"))
                        .scope(step.span()),
                );
            }
        }
    }
}
