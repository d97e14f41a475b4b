//! Actions that install a tool in whatever version there is.
//!
//! Pinning the action doesn't pin what it downloads. zizmor: unpinned-tools.
//!
//! Bad: `uses: aquasecurity/setup-trivy@…` alone. Good: the same with `version: v0.69.1`.

use super::*;
use crate::lint::document::{is_expression, text};

pub(super) const AUDIT: Audit = Audit { id: "unpinned-tools", summary: "tools installed in whatever version there is", run };

const ACTIONS: &[&str] = &["aquasecurity/setup-trivy", "1password/load-secrets-action"];

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        let Some((action, node)) = step.action() else { continue };
        if !ACTIONS.iter().any(|name| action.is(name)) || step.has_opaque_inputs() {
            continue;
        }
        let finding = |span, confidence, message: &str| {
            Finding::new(&AUDIT, Severity::Medium, confidence, span, message).hint("`version: …`").scope(step.span())
        };
        match step.input("version").map(|version| (version, text(version).unwrap_or_default())) {
            None => report.add(finding(node.span, Confidence::High, "without `version` this installs whatever was published last")),
            Some((version, said)) if said == "latest" => {
                report.add(finding(version.span, Confidence::High, "`latest` is whatever was published last"));
            }
            Some((version, said)) if is_expression(&said) => {
                report.add(finding(
                    version.span,
                    Confidence::Low,
                    "which version this is can't be told, it may be whatever was published last",
                ));
            }
            Some(_) => {}
        }
    }
}
