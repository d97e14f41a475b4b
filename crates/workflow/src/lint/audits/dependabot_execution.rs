//! Updates that may run the packages' own code.
//!
//! With `insecure-external-code-execution: allow` a manifest's code runs beside the credentials for private
//! registries. zizmor: dependabot-execution.
//!
//! Bad: `insecure-external-code-execution: allow`. Good: `deny`, which is the default.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "dependabot-execution", summary: "updates that may run the packages' own code", run };

fn run(document: &Document, report: &mut Report) {
    for update in super::dependabot_cooldown::updates(document) {
        let Some(node) = update.get("insecure-external-code-execution").filter(|node| node.as_str() == Some("allow")) else { continue };
        let message = "code of the packages that are looked at may run here, beside the credentials for registries";
        report.add(
            Finding::new(&AUDIT, Severity::High, Confidence::High, node.span, message)
                .hint("`deny`; an ecosystem that needs it can have registries without credentials")
                .scope(update.span),
        );
    }
}
