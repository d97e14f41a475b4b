//! Caches restored where something is published.
//!
//! A cache can be filled by any run that shares it, a pull request's among them: what it contained then is in the
//! release. zizmor: cache-poisoning.
//!
//! Bad: `on: release` and `uses: actions/setup-node@v4` with `cache: npm`. Good: no cache in what publishes.

use super::*;
use crate::lint::document::text;

pub(super) const AUDIT: Audit = Audit { id: "cache-poisoning", summary: "caches restored where something is published", run };

use Unsaid::{Does as IfUnsaid, DoesNot as UnlessSaid};
use When::{All, Always, Any, Below, NoneOf, Off, On, OneOf, Said};

const CACHES: &[Rule] = &[
    Rule { action: "actions/cache", when: Off("lookup-only", IfUnsaid) },
    Rule { action: "actions/setup-java", when: Said("cache") },
    Rule { action: "actions/setup-go", when: On("cache", IfUnsaid) },
    Rule {
        action: "actions/setup-node",
        when: Any(&[OneOf("cache", &["npm", "yarn", "pnpm"], UnlessSaid), On("package-manager-cache", IfUnsaid)]),
    },
    Rule { action: "actions/setup-python", when: Said("cache") },
    Rule { action: "actions/setup-dotnet", when: On("cache", UnlessSaid) },
    Rule {
        action: "astral-sh/setup-uv",
        when: Any(&[OneOf("enable-cache", &["true"], UnlessSaid), All(&[Below(10), On("enable-cache", IfUnsaid)])]),
    },
    Rule { action: "swatinem/rust-cache", when: Off("lookup-only", IfUnsaid) },
    Rule { action: "ruby/setup-ruby", when: On("bundler-cache", UnlessSaid) },
    Rule { action: "pyo3/maturin-action", when: On("sccache", UnlessSaid) },
    Rule { action: "mlugg/setup-zig", when: On("use-cache", IfUnsaid) },
    Rule { action: "oven-sh/setup-bun", when: Off("no-cache", IfUnsaid) },
    Rule { action: "determinatesystems/magic-nix-cache-action", when: On("use-gha-cache", IfUnsaid) },
    Rule { action: "graalvm/setup-graalvm", when: Said("cache") },
    Rule { action: "gradle/actions/setup-gradle", when: Off("cache-disabled", IfUnsaid) },
    Rule { action: "docker/setup-buildx-action", when: All(&[On("cache-binary", IfUnsaid), Said("version")]) },
    Rule { action: "actions-rust-lang/setup-rust-toolchain", when: On("cache", IfUnsaid) },
    Rule { action: "mozilla-actions/sccache-action", when: Always },
    Rule { action: "nix-community/cache-nix-action", when: Always },
    Rule { action: "jdx/mise-action", when: On("cache", IfUnsaid) },
    Rule { action: "ramsey/composer-install", when: NoneOf("ignore-cache", &["yes", "true", "1"]) },
    Rule { action: "awalsh128/cache-apt-pkgs-action", when: Always },
];

const PUBLISHERS: &[Rule] = &[
    Rule { action: "pypa/gh-action-pypi-publish", when: Always },
    Rule { action: "rubygems/release-gem", when: Always },
    Rule { action: "jreleaser/release-action", when: Always },
    Rule { action: "goreleaser/goreleaser-action", when: Always },
    Rule { action: "softprops/action-gh-release", when: Always },
    Rule { action: "release-drafter/release-drafter", when: Always },
    Rule { action: "googleapis/release-please-action", when: Always },
    Rule { action: "docker/build-push-action", when: On("push", IfUnsaid) },
    Rule { action: "redhat-actions/push-to-registry", when: Always },
    Rule { action: "aws-actions/amazon-ecs-deploy-task-definition", when: Always },
    Rule { action: "aws-actions/aws-cloudformation-github-deploy", when: Always },
    Rule { action: "azure/aci-deploy", when: Always },
    Rule { action: "azure/container-apps-deploy-action", when: Always },
    Rule { action: "azure/functions-action", when: Always },
    Rule { action: "azure/sql-action", when: Always },
    Rule { action: "cloudflare/wrangler-action", when: Always },
    Rule { action: "google-github-actions/deploy-appengine", when: Always },
    Rule { action: "google-github-actions/deploy-cloudrun", when: Always },
    Rule { action: "google-github-actions/deploy-cloud-functions", when: Always },
];

fn run(document: &Document, report: &mut Report) {
    let release = release_trigger(document);
    for job in document.jobs() {
        let steps = job.steps();
        let publisher = steps.iter().find(|step| PUBLISHERS.iter().any(|rule| rule.does(document, step) > Does::No));
        let why = match (&release, publisher.and_then(Step::uses)) {
            (Some(span), _) => (*span, "this event usually publishes"),
            (None, Some((_, node))) => (node.span, "this publishes what the job made"),
            (None, None) => continue,
        };
        for step in &steps {
            let Some((rule, does)) = CACHES.iter().map(|rule| (rule, rule.does(document, step))).find(|(_, does)| *does > Does::No) else {
                continue;
            };
            let Some((action, node)) = step.action() else { continue };
            if does == Does::Maybe && release.is_some() && is_off_for_tags(document, step, rule) {
                continue;
            }
            let message =
                format!("`{}/{}` restores a cache that other runs can fill, where something is published", action.owner, action.name);
            report.add(
                Finding::new(&AUDIT, Severity::High, Confidence::Low, node.span, message)
                    .label(why.0, why.1)
                    .hint("build what is published without a cache")
                    .scope(step.span())
                    .fix(turn_off(document, step, rule)),
            );
        }
    }
}

/// Where the file says that it runs for a release: the event itself, a tag, a branch of that name.
fn release_trigger(document: &Document) -> Option<base::Span> {
    document.triggers().into_iter().find_map(|trigger| {
        let config = |key: &str| trigger.config.and_then(|config| config.get(key));
        let publishes = match trigger.event {
            "release" => true,
            "push" => config("tags").is_some() || config("tags-ignore").is_some() || config("branches").is_some_and(names_release),
            _ => false,
        };
        publishes.then_some(trigger.span)
    })
}

fn names_release(node: &Node) -> bool {
    let branches = node.as_sequence().map_or_else(|| vec![node], |items| items.iter().collect());
    branches.into_iter().filter_map(Node::as_str).any(|branch| branch.to_lowercase().contains("release"))
}

/// `cache: ${{ !startsWith(github.ref, 'refs/tags/') }}` is off exactly where it matters.
fn is_off_for_tags(document: &Document, step: &Step, rule: &Rule) -> bool {
    let (name, turns_on) = match rule.when {
        On(name, _) => (name, true),
        Off(name, _) => (name, false),
        _ => return false,
    };
    let only_tags = document.triggers().iter().all(|trigger| {
        let branches = trigger.config.and_then(|config| config.get("branches"));
        trigger.event != "push" || !branches.is_some_and(names_release)
    });
    let Some(node) = step.input(name).filter(|_| only_tags) else { return false };
    let Some(said) = text(node) else { return false };
    let bare = said.trim_start_matches("${{").trim_end_matches("}}").trim();
    let negations = bare.len() - bare.trim_start_matches('!').len();
    let condition = bare.trim_start_matches('!').trim_matches(['(', ')', ' ']).replace(' ', "").replace('"', "'");
    let is_tag = matches!(
        condition.as_str(),
        "startsWith(github.ref,'refs/tags/'"
            | "github.event_name=='push'&&github.ref_type=='tag'"
            | "github.ref_type=='tag'&&github.event_name=='push'"
            | "true"
    );
    let is_not_tag = condition == "false";
    let value = if is_tag { Some(negations % 2 == 0) } else { is_not_tag.then_some(negations % 2 == 1) };
    value.is_some_and(|value| value != turns_on)
}

fn turn_off(document: &Document, step: &Step, rule: &Rule) -> Option<Fix> {
    let (name, value) = match rule.when {
        On(name, _) => (name, "false"),
        Off(name, _) => (name, "true"),
        _ => return None,
    };
    let edit = edit::set(document, step, "with", name, value)?;
    Some(Fix { title: format!("set `{name}: {value}`"), edits: vec![edit] })
}
