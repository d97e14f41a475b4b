//! Packages published with a token that lasts.
//!
//! A token kept as a secret is good until somebody takes it away, for whoever has it; PyPI, npm, crates.io, RubyGems
//! and NuGet take the job's own identity instead, which lasts for minutes. zizmor: use-trusted-publishing.
//!
//! Bad: `pypa/gh-action-pypi-publish` with `password:`. Good: the same without, and `permissions: {id-token: write}`.

use super::*;
use crate::lint::document::{Permissions, permissions};

pub(super) const AUDIT: Audit = Audit { id: "use-trusted-publishing", summary: "packages published with a token that lasts", run };

use Unsaid::Does as IfUnsaid;
use Unsaid::DoesNot as UnlessSaid;
use When::{All, Not, On, OneOf, Said};

const PYTHON: &[&str] = &["https://upload.pypi.org/legacy/", "https://test.pypi.org/legacy/"];
const NPM: &[&str] = &["https://registry.npmjs.org", "https://registry.npmjs.org/"];

/// And the input that has the token.
const ACTIONS: &[(Rule, &str)] = &[
    (
        Rule {
            action: "pypa/gh-action-pypi-publish",
            when: All(&[Said("password"), OneOf("repository-url", PYTHON, IfUnsaid), OneOf("repository_url", PYTHON, IfUnsaid)]),
        },
        "password",
    ),
    (Rule { action: "rubygems/release-gem", when: Not(&On("setup-trusted-publisher", IfUnsaid)) }, "setup-trusted-publisher"),
    (
        Rule {
            action: "rubygems/configure-rubygems-credentials",
            when: All(&[Said("api-token"), OneOf("gem-server", &["https://rubygems.org"], IfUnsaid)]),
        },
        "api-token",
    ),
    (
        Rule { action: "actions/setup-node", when: All(&[OneOf("registry-url", NPM, IfUnsaid), On("always-auth", UnlessSaid)]) },
        "always-auth",
    ),
];

const MESSAGE: &str = "this publishes with a token that lasts, where the job's own identity would do";
const HINT: &str = "trusted publishing: `permissions: {id-token: write}`, and the registry told which workflow may publish";

fn run(document: &Document, report: &mut Report) {
    for step in document.steps() {
        let finding = |span| Finding::new(&AUDIT, Severity::Informational, Confidence::High, span, MESSAGE).hint(HINT).scope(step.span());
        for (rule, input) in ACTIONS {
            if rule.does(document, &step) > Does::No
                && let Some((_, node)) = step.action()
            {
                let at_input = step.input(input);
                report.add(at_input.into_iter().fold(finding(node.span), |finding, node| finding.label(node.span, "by this")));
            }
        }
        if step.job.is_none() || has_identity(document, &step) {
            continue;
        }
        for (command, span) in commands(document, &step) {
            if publishes(&command) {
                report.add(finding(span));
            }
        }
    }
}

/// With an identity the tools publish by it themselves.
fn has_identity(document: &Document, step: &Step) -> bool {
    let own = step.job.map(|job| job.permissions());
    let effective = match own {
        Some(Permissions::Default) | None => permissions(document.root),
        Some(own) => own,
    };
    match effective {
        Permissions::WriteAll(_) => true,
        Permissions::Scopes(scopes) => scopes.get("id-token").and_then(Node::as_str) == Some("write"),
        Permissions::Default | Permissions::ReadAll(_) => false,
    }
}

fn publishes(command: &shell::Command) -> bool {
    let arguments: Vec<&str> = command.arguments().collect();
    let says = |word: &str| arguments.contains(&word);
    let after = |first: &str, then: &str| {
        let at = arguments.iter().position(|argument| {
            *argument == first || argument.starts_with(&format!("{first}==")) || argument.starts_with(&format!("{first}@"))
        });
        at.is_some_and(|at| arguments[at + 1..].contains(&then))
    };
    let trial = says("--dry-run");
    match command.program() {
        "cargo" => says("publish") && !trial && !says("-n"),
        "uv" => (says("publish") && !says("run") && !trial) || (after("run", "twine") && after("twine", "upload")),
        "uvx" | "pipx" => after("twine", "upload"),
        "hatch" | "pdm" => says("publish"),
        "poetry" | "pnpm" | "npm" | "bun" => says("publish") && !trial,
        "bunx" => after("npm", "publish") && !trial,
        "yarn" => (says("publish") && !says("npm")) || (after("npm", "publish") && !trial && !says("-n")),
        "twine" => says("upload"),
        "gem" | "nuget" | "nuget.exe" => says("push"),
        "bundle" => after("exec", "gem") && after("gem", "push"),
        "dotnet" => after("nuget", "push"),
        program if program.starts_with("python") => after("-m", "twine") && after("twine", "upload"),
        _ => false,
    }
}
