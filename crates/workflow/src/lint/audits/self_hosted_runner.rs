//! Machines that outlive a job.
//!
//! A runner of one's own keeps what one job leaves for the next; in a public repository anybody's pull request leaves
//! something. Plimsoll's own machines start each job afresh. zizmor: self-hosted-runner.
//!
//! Bad, in public: `runs-on: self-hosted`. Good: `runs-on: ubuntu-24.04`, or machines that are thrown away.

use super::*;
use crate::lint::document::is_expression;

pub(super) const AUDIT: Audit = Audit { id: "self-hosted-runner", summary: "machines that outlive a job", run };

fn run(document: &Document, report: &mut Report) {
    for job in document.jobs() {
        let Some(runs_on) = job.get("runs-on") else { continue };
        let finding = |confidence, message: &str| {
            Finding::new(&AUDIT, Severity::Medium, confidence, runs_on.span, message).persona(Persona::Auditor).scope(job.node.span)
        };
        let label = runs_on.as_sequence().map_or(Some(runs_on), |labels| labels.first()).and_then(Node::as_str).unwrap_or_default();
        if runs_on.get("group").is_some() {
            report.add(finding(Confidence::Low, "a group of runners is mostly of machines that outlive the job"));
        } else if label == "self-hosted" {
            report.add(finding(Confidence::High, "this machine may outlive the job, with whatever the job leaves"));
        } else if runs_on.as_str().is_some_and(is_expression) {
            let in_matrix = job.matrix().is_some_and(|matrix| is_in_matrix(document, runs_on, matrix));
            if in_matrix {
                report.add(finding(Confidence::High, "one of the matrix's machines may outlive the job, with whatever the job leaves"));
            }
        } else if is_expression(label) {
            report.add(finding(Confidence::Low, "what this expression says may be a machine that outlives the job"));
        }
    }
}

fn is_in_matrix(document: &Document, runs_on: &Node, matrix: &Node) -> bool {
    document.fenced(runs_on.span).iter().any(|found| {
        Context::of(found.root()).filter(|context| context.below("matrix")).is_some_and(|context| {
            taint::matrix_values(matrix, &context).iter().any(|node| node.as_str().is_some_and(|label| label.contains("self-hosted")))
        })
    })
}
