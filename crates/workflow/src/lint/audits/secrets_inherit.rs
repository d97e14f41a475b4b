//! All secrets handed to a called workflow.
//!
//! `secrets: inherit` gives the called workflow every secret the caller can see, whatever it needs. zizmor: secrets-inherit.
//!
//! Bad: `secrets: inherit`. Good: `secrets: {TOKEN: "${{ secrets.TOKEN }}"}`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "secrets-inherit", summary: "all secrets handed to a called workflow", run };

fn run(document: &Document, report: &mut Report) {
    for job in document.jobs() {
        let Some(uses) = job.get("uses") else { continue };
        let Some(secrets) = job.get("secrets").filter(|secrets| secrets.as_str() == Some("inherit")) else { continue };
        let message = "the called workflow gets every secret there is";
        report.add(
            Finding::new(&AUDIT, Severity::Medium, Confidence::High, uses.span, message)
                .label(secrets.span, "from here")
                .hint("name those it needs: `secrets: {NAME: ${{ secrets.NAME }}}`"),
        );
    }
}
