//! Shells that no runner has.
//!
//! `shell: bsah` fails only when the step comes. A shell of one's own is a command with `{0}` for the script's file;
//! anything else must be one of the runner's. actionlint: shell-name.
//!
//! Bad: `shell: zsh`. Good: `shell: zsh {0}`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "shell-name", summary: "shells that no runner has", run };

const SHELLS: &[&str] = &["bash", "sh", "pwsh", "powershell", "cmd", "python"];

fn run(document: &Document, report: &mut Report) {
    let default = |node: &'_ Node| node.get("defaults").and_then(|defaults| defaults.get("run")).and_then(|run| run.get("shell")).cloned();
    let workflow = default(document.root).into_iter().filter(|_| document.is_workflow());
    let jobs = document.jobs().into_iter().filter_map(|job| default(job.node));
    let steps = document.steps().into_iter().filter_map(|step| step.get("shell").cloned());
    for node in workflow.chain(jobs).chain(steps) {
        let Some(name) = node.as_str().filter(|name| !name.contains("{0}") && !name.contains("${{")) else { continue };
        if SHELLS.contains(&name) {
            continue;
        }
        let message = format!("no runner has a shell `{name}`, and without `{{0}}` it is no command that takes a script");
        let hint = match base::name::nearest(name, SHELLS.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`? A shell of your own is `{name} {{0}}`"),
            None => format!("a shell of your own is `{name} {{0}}`"),
        };
        report.add(Finding::new(&AUDIT, Severity::Low, Confidence::High, node.span, message).hint(hint));
    }
}
