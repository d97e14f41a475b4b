//! Packages installed past the lock file.
//!
//! `npm install left-pad` in a script takes whatever version the registry has that minute: a taken-over package runs
//! with the job's secrets, and two runs of one commit differ. zizmor: adhoc-packages.
//!
//! Bad: `run: npm install typescript`. Good: `run: npm ci`, with `typescript` in `package.json`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "adhoc-packages", summary: "packages installed past the lock file", run };

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        for (command, span) in commands(document, &step) {
            if installs(&command) {
                let message = format!("`{}` installs a package that no lock file names, in whatever version there is", command.program());
                report.add(
                    Finding::new(&AUDIT, Severity::Low, Confidence::High, span, message)
                        .hint("add it to the project's manifest and install from the lock file (`npm ci`, `bundle install`)")
                        .scope(step.span()),
                );
            }
        }
    }
}

fn installs(command: &shell::Command) -> bool {
    let mut arguments = command.arguments();
    let is_package = |argument: &str| !argument.starts_with('-');
    match command.program() {
        "gem" => arguments.any(|argument| matches!(argument, "install" | "i")) && arguments.any(is_package),
        "bundle" | "yarn" | "pnpm" => arguments.any(|argument| argument == "add") && arguments.any(is_package),
        "npm" => {
            // npm takes every beginning of the word and its common misspellings.
            let verb = arguments.find(|argument| !argument.starts_with('-'));
            let known = ["i", "in", "ins", "inst", "insta", "instal", "install", "isnt", "isnta", "isntal", "isntall", "add"];
            verb.is_some_and(|verb| known.contains(&verb)) && arguments.any(is_package)
        }
        _ => false,
    }
}
