//! Actions of one's own repository named by a folder that steps can change.
//!
//! `./path` is whatever lies in the workspace when the step comes, so an earlier step, or a checkout of somebody
//! else's branch, decides what runs; `$/path` is the file's own repository at the file's own commit. zizmor: self-repository.
//!
//! Bad: `uses: ./.github/actions/build`. Good: `uses: $/.github/actions/build`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "self-repository", summary: "own actions named by a folder that steps can change", run };

fn run(document: &Document, report: &mut Report) {
    let called = "`./` is read as this file's own repository and commit here, as `$/` says everywhere";
    let used = "this is whatever lies in the workspace when the step comes";
    let jobs = document.jobs().into_iter().filter_map(|job| Some((job.uses()?, job.node.span, called)));
    let steps = document.steps().into_iter().filter_map(|step| Some((step.uses()?, step.span(), used)));
    for ((uses, node), scope, message) in jobs.chain(steps) {
        let Uses::Local(path) = uses else { continue };
        if path.starts_with("$/") {
            continue;
        }
        let straight = path.strip_prefix('.').filter(|rest| rest.starts_with('/')).map(|rest| format!("${rest}"));
        let mut finding = Finding::new(&AUDIT, Severity::Low, Confidence::High, node.span, message).scope(scope);
        if let Some(straight) = straight {
            finding = finding.hint(format!("`{straight}` is the same of this file's own repository and commit"));
        }
        report.add(finding);
    }
}
