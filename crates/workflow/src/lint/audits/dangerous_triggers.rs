//! Events that bring a stranger's work together with the repository's rights.
//!
//! `pull_request_target`, `workflow_run` and `issue_comment` run with secrets and a writing token for what anybody proposed or said; one step
//! that uses the proposal's files or words gives both away. zizmor: dangerous-triggers.
//!
//! Bad: `on: pull_request_target`. Good: `on: pull_request`, and what needs rights in a workflow that takes no files from it.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "dangerous-triggers", summary: "events that bring strangers and rights together", run };

fn run(document: &Document, report: &mut Report) {
    for trigger in document.triggers() {
        let dangerous = match trigger.event {
            "pull_request_target" => !is_labeler(document),
            "workflow_run" | "issue_comment" => true,
            _ => false,
        };
        if dangerous {
            let message = format!("`{}` runs with the repository's rights for what anybody proposed or said", trigger.event);
            let on = document.root.get("on").map_or(trigger.span, |on| on.span);
            report.add(
                Finding::new(&AUDIT, Severity::High, Confidence::Medium, trigger.span, message)
                    .hint("`pull_request` where no rights are needed; else take neither files nor words from the proposal")
                    .scope(on)
                    .scope(document.on_span()),
            );
        }
    }
}

/// One job of one step, `actions/labeler`: what the event was made for.
fn is_labeler(document: &Document) -> bool {
    let jobs = document.jobs();
    let [job] = jobs.as_slice() else { return false };
    let steps = job.steps();
    matches!(steps.as_slice(), [step] if step.action().is_some_and(|(action, _)| action.is("actions/labeler")))
}
