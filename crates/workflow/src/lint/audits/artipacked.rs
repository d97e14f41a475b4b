//! Credentials that a checkout leaves behind.
//!
//! `actions/checkout` writes the job's token into `.git/config` unless it is told not to (since v6 into the runner's
//! temporary folder). Every later step can read it, and an artifact of the whole folder carries it away.
//! zizmor: artipacked.
//!
//! Bad: `uses: actions/checkout@v4` and then an upload of `.`. Good: the checkout `with: {persist-credentials: false}`.

use super::*;
use crate::lint::document::{is_expression, text};

pub(super) const AUDIT: Audit = Audit { id: "artipacked", summary: "credentials that a checkout leaves behind", run };

/// From this version on the token lies in `$RUNNER_TEMP`.
const OUTSIDE_THE_WORKSPACE: (u64, u64, u64) = (6, 0, 0);

fn run(document: &Document, report: &mut Report) {
    for steps in document.step_groups() {
        let uploads: Vec<usize> = (0..steps.len()).filter(|at| uploads_everything(&steps[*at])).collect();
        let last_need = steps.iter().rposition(needs_credentials);
        for (at, step) in steps.iter().enumerate() {
            // What pushes or fetches later needs them.
            let needed = last_need.is_some_and(|last| last > at);
            if let Some(finding) = checkout(document, step, &steps, at, &uploads, needed) {
                report.add(finding);
            }
        }
    }
}

fn checkout(document: &Document, step: &Step, steps: &[Step], at: usize, uploads: &[usize], needed: bool) -> Option<Finding> {
    let (action, node) = step.action()?;
    if step.has_opaque_inputs() && (action.is("actions/checkout") || action.is("actions/upload-artifact")) {
        let with = step.get("with")?;
        let message = "what this is given is decided by an expression, which may not set `persist-credentials: false`";
        return Some(
            Finding::new(&AUDIT, Severity::Informational, Confidence::High, with.span, message)
                .persona(Persona::Pedantic)
                .scope(step.span()),
        );
    }
    if !action.is("actions/checkout") {
        return None;
    }
    let persona = match step.input("persist-credentials").and_then(text).as_deref() {
        Some("false") => return None,
        // Somebody who says so means it.
        Some("true") => Persona::Auditor,
        Some(said) if is_expression(said) => Persona::Pedantic,
        _ => Persona::Regular,
    };
    let outside = uses::version(action.reference).is_some_and(|version| version >= OUTSIDE_THE_WORKSPACE);
    let upload = uploads.get(uploads.partition_point(|upload| *upload <= at));
    if !uploads.is_empty() && upload.is_none() {
        return None;
    }
    let severity = match (upload, outside) {
        (Some(_), false) => Severity::High,
        (Some(_), true) | (None, false) => Severity::Medium,
        (None, true) => Severity::Low,
    };
    let confidence = if upload.is_some() { Confidence::High } else { Confidence::Low };
    let message = "this checkout leaves the job's token on the disk, for every later step to read";
    let fix = (!needed && persona == Persona::Regular)
        .then(|| edit::set(document, step, "with", "persist-credentials", "false"))
        .flatten()
        .map(|edit| Fix { title: "set `persist-credentials: false`".to_owned(), edits: vec![edit] });
    let mut finding = Finding::new(&AUDIT, severity, confidence, node.span, message)
        .persona(persona)
        .hint("`persist-credentials: false`, unless a later step pushes with it")
        .scope(step.span())
        .fix(fix);
    if let Some(path) = upload.and_then(|upload| steps[*upload].input("path")) {
        finding = finding.label(path.span, "and this uploads it with everything else");
    }
    Some(finding)
}

fn needs_credentials(step: &Step) -> bool {
    const GIT: &[&str] = &["git push", "git fetch", "git pull", "git clone", "git submodule", "git lfs", "git ls-remote"];
    let by_script = step.run().and_then(Node::as_str).is_some_and(|script| GIT.iter().any(|command| script.contains(command)));
    // Actions of others may push with them; those of GitHub bring their own token.
    let by_action = step.action().is_some_and(|(action, _)| !matches!(action.owner, "actions" | "github" | "docker"));
    let local = step.uses().is_some_and(|(uses, _)| matches!(uses, Uses::Local(_)));
    by_script || by_action || local
}

fn uploads_everything(step: &Step) -> bool {
    let is_upload = step.action().is_some_and(|(action, _)| action.is("actions/upload-artifact"));
    let path = step.input("path").filter(|_| is_upload).and_then(Node::as_str).unwrap_or_default();
    path.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .any(|line| matches!(line, "." | "./" | ".." | "../") || (is_expression(line) && line.contains("github.workspace")))
}
