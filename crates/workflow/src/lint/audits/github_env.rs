//! Words that aren't one's own, written into later steps' environment or path.
//!
//! A line in `$GITHUB_ENV` like `LD_PRELOAD=…` runs code in every later step, with its secrets; in a workflow of a
//! dangerous event the words may be a stranger's. zizmor: github-env.
//!
//! Bad, under `pull_request_target`: `cat pr-number >> "$GITHUB_ENV"`. Good: `echo "n=$(cat pr-number)" >> "$GITHUB_OUTPUT"`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "github-env", summary: "others' words written into later steps' environment", run };

fn run(document: &Document, report: &mut Report) {
    let dangerous = document.triggers().iter().any(|trigger| matches!(trigger.event, "workflow_run" | "pull_request_target"));
    if document.is_workflow() && !dangerous {
        return;
    }
    for step in document.steps() {
        let Some(run) = step.run() else { continue };
        for (file, span) in writes(document, &step, run) {
            let message = format!("what is written to `{file}` here is code for every later step, if somebody else can choose it");
            report.add(
                Finding::new(&AUDIT, Severity::High, Confidence::Low, span, message)
                    .hint("write to `$GITHUB_OUTPUT` and name the value where it is needed")
                    .scope(run.span)
                    .scope(step.span()),
            );
        }
    }
}

fn writes(document: &Document, step: &Step, run: &Node) -> Vec<(&'static str, base::Span)> {
    if step.shell(document).is_some_and(|(shell, _)| matches!(shell.as_str(), "cmd" | "cmd.exe")) {
        let script = run.as_str().unwrap_or_default().to_uppercase();
        let redirected =
            |file: &&str| script.lines().any(|line| line.split('>').skip(1).any(|target| target.contains(&format!("%{file}%"))));
        return FILES.iter().filter(|file| redirected(file)).map(|file| (*file, run.span)).collect();
    }
    let is_powershell = step.is_powershell(document);
    let commands = commands(document, step);
    let mut found = Vec::new();
    for (command, span) in &commands {
        let targets = if is_powershell { powershell_targets(command) } else { shell_targets(command) };
        found.extend(targets.into_iter().map(|file| (file, *span)));
    }
    found
}

const FILES: &[&str] = &["GITHUB_ENV", "GITHUB_PATH"];

fn shell_targets(command: &shell::Command) -> Vec<&'static str> {
    // Somebody's own fixed words do no harm.
    let fixed = matches!(command.program(), "echo" | "printf") && command.words.iter().skip(1).all(|word| !word.expands);
    let redirected = command.redirects.iter().filter(|_| !fixed);
    let teed = command.words.iter().skip(1).filter(|_| command.piped && command.program().ends_with("tee"));
    redirected.chain(teed).filter_map(|word| named(&word.text)).collect()
}

fn powershell_targets(command: &shell::Command) -> Vec<&'static str> {
    const WRITERS: &[&str] = &["out-file", "add-content", "set-content", "tee-object"];
    let writes = WRITERS.contains(&command.program().to_lowercase().as_str());
    let named = |word: &shell::Word| {
        let lower = word.text.to_lowercase();
        FILES
            .iter()
            .find(|file| lower == format!("$env:{}", file.to_lowercase()) || lower == format!("${{env:{}}}", file.to_lowercase()))
            .copied()
    };
    let written = command.words.iter().skip(1).filter(|_| writes);
    command.redirects.iter().chain(written).filter_map(named).collect()
}

fn named(target: &str) -> Option<&'static str> {
    FILES.iter().find(|file| target == format!("${file}") || target == format!("${{{file}}}")).copied()
}
