//! Actions for what a tool on every runner does.
//!
//! Each action is code of somebody else with the job's token. `gh`, `git`, `docker`, `jq` and `rustup` are there
//! already. zizmor: superfluous-actions.
//!
//! Bad: `uses: softprops/action-gh-release@v2`. Good: `run: gh release create "$TAG" dist/*`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "superfluous-actions", summary: "actions for what a runner's own tool does", run };

/// The action, what does the same, and how much it is really the same.
const ACTIONS: &[(&str, &str, Persona, Confidence)] = &[
    ("ncipollo/release-action", "gh release", Persona::Regular, Confidence::High),
    ("softprops/action-gh-release", "gh release", Persona::Regular, Confidence::High),
    ("elgohr/github-release-action", "gh release", Persona::Regular, Confidence::High),
    ("peter-evans/create-pull-request", "gh pr create", Persona::Pedantic, Confidence::Low),
    ("peter-evans/create-or-update-comment", "gh pr comment` or `gh issue comment", Persona::Pedantic, Confidence::Low),
    ("dacbd/create-issue-action", "gh issue create", Persona::Regular, Confidence::High),
    ("actions-ecosystem/action-add-labels", "gh issue edit --add-label", Persona::Regular, Confidence::High),
    ("actions-ecosystem/action-remove-labels", "gh issue edit --remove-label", Persona::Regular, Confidence::High),
    ("svenstaro/upload-release-action", "gh release upload", Persona::Regular, Confidence::High),
    ("addnab/docker-run-action", "docker run", Persona::Regular, Confidence::High),
    ("sergeysova/jq-action", "jq", Persona::Regular, Confidence::High),
    ("dtolnay/rust-toolchain", "rustup toolchain install", Persona::Pedantic, Confidence::Medium),
    ("stefanzweifel/git-auto-commit-action", "git commit` and `git push", Persona::Pedantic, Confidence::Low),
    ("endbug/add-and-commit", "git commit` and `git push", Persona::Pedantic, Confidence::Low),
];

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        let Some((action, node)) = step.action() else { continue };
        for (_, tool, persona, confidence) in ACTIONS.iter().filter(|(name, ..)| action.is(name)) {
            let message = format!("`{tool}` in a script does the same, without somebody else's code");
            report.add(Finding::new(&AUDIT, Severity::Informational, *confidence, node.span, message).persona(*persona).scope(step.span()));
        }
    }
}
