//! Tokens of a GitHub App that may do more than the job.
//!
//! `actions/create-github-app-token` gives everything the App is installed for unless `permission-*` inputs say less,
//! and every repository of `owner` unless `repositories` names some. zizmor: github-app.
//!
//! Bad: `with: {app-id: …, private-key: …, owner: acme}`. Good: `repositories: one,two` and `permission-contents: read` beside it.

use super::*;
use crate::lint::document::{is_expression, text};

pub(super) const AUDIT: Audit = Audit { id: "github-app", summary: "App tokens that may do more than the job", run };

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        let Some((action, node)) = step.action() else { continue };
        if !action.is("actions/create-github-app-token") || step.has_opaque_inputs() {
            continue;
        }
        let permissions: Vec<&str> = step
            .with()
            .into_iter()
            .flat_map(|with| &with.entries)
            .map(|entry| entry.key.text.as_str())
            .filter(|key| key.starts_with("permission-"))
            .collect();
        let finding = |confidence, span, message: &str| Finding::new(&AUDIT, Severity::High, confidence, span, message).scope(step.span());
        if let Some(skip) = step.input("skip-token-revoke") {
            match text(skip).as_deref().map(str::trim) {
                Some("true" | "True" | "TRUE") => {
                    report.add(finding(Confidence::High, skip.span, "the token stays good for an hour after the job has ended"));
                }
                Some(said) if is_expression(said) => {
                    report.add(finding(Confidence::Low, skip.span, "the token may stay good for an hour after the job has ended"));
                }
                _ => {}
            }
        }
        let only_organisation = !permissions.is_empty() && permissions.iter().all(|permission| is_of_organisation(permission));
        if let Some(owner) = step.input("owner").filter(|_| step.input("repositories").is_none() && !only_organisation) {
            let message = "the token is good for every repository that this owner installed the App for";
            report.add(finding(Confidence::High, owner.span, message).hint("name those it is for: `repositories: one,two`"));
        }
        if permissions.is_empty() {
            let message = "the token has every right the App was installed with";
            report.add(finding(Confidence::High, node.span, message).hint("name those it needs: `permission-contents: read`"));
        }
    }
}

/// Rights that reach no repository.
fn is_of_organisation(permission: &str) -> bool {
    let right = permission.trim_start_matches("permission-");
    right.starts_with("organization-")
        || matches!(right, "members" | "custom-properties-for-organizations" | "enterprise-custom-properties-for-organizations")
}
