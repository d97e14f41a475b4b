//! Features that are better left alone.
//!
//! `setup-python` with `pip-install` installs beside the runner's own packages; `shell: cmd` has no grammar that tools
//! could read; a shell of one's own is for those who look for holes. zizmor: misfeature.
//!
//! Bad: `shell: cmd`. Good: `shell: pwsh`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "misfeature", summary: "features that are better left alone", run };

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        let python = step.action().is_some_and(|(action, _)| action.is("actions/setup-python"));
        if let Some(input) = step.input("pip-install").filter(|_| python) {
            let message = "these packages are installed beside the runner's own, with whatever those bring";
            report.add(
                Finding::new(&AUDIT, Severity::Low, Confidence::High, input.span, message)
                    .hint("make a virtual environment")
                    .scope(step.span()),
            );
        }
        let Some((shell, span)) = step.run().and_then(|_| step.shell(document)) else { continue };
        let finding =
            |message: &str, hint: &str| Finding::new(&AUDIT, Severity::Low, Confidence::High, span, message).hint(hint).scope(step.span());
        match shell.as_str() {
            "bash" | "sh" | "pwsh" | "powershell" | "python" => {}
            "cmd" | "cmd.exe" => {
                report.add(finding("nothing can be told of a script for `cmd`, which has no grammar", "`shell: pwsh` or `shell: bash`"))
            }
            _ => report.add(finding("this shell isn't one that tools can read", "`shell: bash`").persona(Persona::Auditor)),
        }
    }
}
