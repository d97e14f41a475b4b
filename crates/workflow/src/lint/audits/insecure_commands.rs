//! Old commands let in again.
//!
//! With `ACTIONS_ALLOW_UNSECURE_COMMANDS` whatever a step prints can set later steps' environment and path; Plimsoll
//! never implements them. zizmor: insecure-commands.
//!
//! Bad: `env: {ACTIONS_ALLOW_UNSECURE_COMMANDS: true}`. Good: `echo "KEY=value" >> "$GITHUB_ENV"`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "insecure-commands", summary: "old commands let in again", run };

const VARIABLE: &str = "ACTIONS_ALLOW_UNSECURE_COMMANDS";

fn run(document: &Document, report: &mut Report) {
    let workflow = [document.root].into_iter().filter(|_| document.is_workflow());
    let jobs = document.jobs().into_iter().filter(|job| job.get("uses").is_none()).map(|job| job.node);
    let steps = document.steps().into_iter().filter(|step| step.run().is_some()).map(|step| step.node);
    for node in workflow.chain(jobs).chain(steps) {
        let Some(env) = node.get("env") else { continue };
        if env.as_str().is_some() {
            let message = format!("this environment is decided by an expression, which may contain `{VARIABLE}`");
            report.add(Finding::new(&AUDIT, Severity::High, Confidence::Low, env.span, message).persona(Persona::Auditor));
            continue;
        }
        let Some(value) = env.get(VARIABLE) else { continue };
        let on = value.as_bool() == Some(true) || value.as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
        if on {
            let message = "whatever a step prints can set later steps' environment and path here";
            // A script that prints them would stop working.
            let unused = !["::set-env", "::add-path"].iter().any(|command| document.source.text.contains(command));
            let fix = unused
                .then(|| edit::remove(document, env, VARIABLE))
                .flatten()
                .map(|edit| Fix { title: format!("remove `{VARIABLE}`"), edits: vec![edit] });
            report.add(
                Finding::new(&AUDIT, Severity::High, Confidence::High, value.span, message)
                    .hint("write to the files `$GITHUB_ENV` and `$GITHUB_PATH` name")
                    .scope(env.span)
                    .fix(fix),
            );
        }
    }
}
