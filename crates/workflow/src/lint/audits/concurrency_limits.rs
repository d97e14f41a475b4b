//! Workflows whose runs pile up.
//!
//! Without `concurrency` every push starts another run beside those that are already outdated; they cost machines, and
//! two deployments may overtake each other. zizmor: concurrency-limits.
//!
//! Bad: no `concurrency:`. Good: `concurrency: {group: "${{ github.workflow }}-${{ github.ref }}", cancel-in-progress: true}`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "concurrency-limits", summary: "workflows whose runs pile up", run };

fn run(document: &Document, report: &mut Report) {
    // What is only called has its caller's limits; limits of its own can lock both.
    if !document.is_workflow() || document.is_only_called() {
        return;
    }
    let finding = |span, message: &str| {
        Finding::new(&AUDIT, Severity::Low, Confidence::High, span, message)
            .persona(Persona::Pedantic)
            .hint("`concurrency: {group: …, cancel-in-progress: true}`")
    };
    if let Some(concurrency) = document.root.get("concurrency") {
        if concurrency.as_str().is_some() {
            report.add(
                finding(concurrency.span, "a newer run waits for the older ones here, which it makes pointless").scope(document.whole()),
            );
        }
        return;
    }
    let jobs: Vec<_> = document.jobs().into_iter().filter(|job| job.get("uses").is_none()).collect();
    let bare: Vec<_> = jobs.iter().filter_map(|job| job.get("concurrency")).filter(|node| node.as_str().is_some()).collect();
    let missing: Vec<_> = jobs.iter().filter(|job| job.get("concurrency").is_none()).collect();
    if !bare.is_empty() {
        let first = finding(document.on_span(), "newer runs wait for older ones here, which they make pointless");
        report.add(bare.iter().fold(first, |finding, node| finding.label(node.span, "no `cancel-in-progress`")));
    }
    if !missing.is_empty() {
        let first = finding(document.on_span(), "nothing limits how many runs of this go on at once");
        report.add(missing.iter().fold(first, |finding, job| finding.label(job.key.span, "this job has no limit")));
    }
}
