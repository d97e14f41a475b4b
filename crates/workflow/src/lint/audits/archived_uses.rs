//! Actions whose repository is archived.
//!
//! Nobody repairs them any more, and what they need (a Node version, an API) goes away under them. The list is built
//! in and names well-known ones; an action that isn't on it may still be archived. zizmor: archived-uses.
//!
//! Bad: `uses: actions/create-release@v1`. Good: `run: gh release create "$TAG"`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "archived-uses", summary: "actions from archived repositories", run };

/// In lower case, in order.
const ARCHIVED: &[&str] = &[
    "8398a7/action-slack",
    "actions-rs/audit-check",
    "actions-rs/cargo",
    "actions-rs/clippy-check",
    "actions-rs/grcov",
    "actions-rs/install",
    "actions-rs/tarpaulin",
    "actions-rs/toolchain",
    "actions/create-release",
    "actions/setup-elixir",
    "actions/setup-haskell",
    "actions/setup-ruby",
    "actions/upload-release-asset",
    "artichoke/setup-rust",
    "azure/appservice-actions",
    "azure/container-actions",
    "azure/container-scan",
    "azure/get-keyvault-secrets",
    "azure/k8s-actions",
    "cedrickring/golang-action",
    "cirrus-actions/rebase",
    "contributor-assistant/github-action",
    "convictional/trigger-workflow-and-wait",
    "crazy-max/ghaction-docker-buildx",
    "crazy-max/ghaction-hugo",
    "delaguardo/setup-graalvm",
    "expo/expo-preview-action",
    "facebook/pysa-action",
    "gradle/gradle-build-action",
    "grafana/k6-action",
    "hashicorp/terraform-cdk-action",
    "helaili/github-graphql-action",
    "helaili/jekyll-action",
    "ilshidur/action-slack",
    "jakejarvis/s3-sync-action",
    "marvinpinto/action-automatic-releases",
    "marvinpinto/actions",
    "maxheld83/ghpages",
    "paambaati/codeclimate-action",
    "pre-commit/mirrors-autopep8",
    "pre-commit/mirrors-isort",
    "pre-commit/mirrors-prettier",
    "repo-sync/pull-request",
    "repo-sync/repo-sync",
    "secrethub/actions",
    "semgrep/semgrep-action",
    "sonarsource/sonarcloud-github-action",
    "stefanprodan/kube-tools",
    "technote-space/auto-cancel-redundant-workflow",
    "technote-space/get-diff-action",
    "tibdex/github-app-token",
    "whelk-io/maven-settings-xml-action",
    "youyo/aws-cdk-github-actions",
    "z0al/dependent-issues",
];

fn run(document: &Document, report: &mut Report) {
    for (action, node, scope) in actions(document) {
        if ARCHIVED.binary_search(&action.slug().as_str()).is_ok() {
            let message = format!("the repository of `{}/{}` is archived: nobody repairs this action any more", action.owner, action.name);
            report.add(Finding::new(&AUDIT, Severity::Medium, Confidence::High, node.span, message).scope(scope));
        }
    }
    for (node, slug) in pre_commit_repositories(document) {
        if slug.as_deref().is_some_and(|slug| ARCHIVED.binary_search(&slug).is_ok()) {
            let message = "this repository is archived: nobody repairs its hooks any more";
            report.add(Finding::new(&AUDIT, Severity::Medium, Confidence::High, node.span, message));
        }
    }
}

/// The repositories of a pre-commit configuration, each with `owner/name` where it lies on GitHub.
pub(super) fn pre_commit_repositories<'a>(document: &Document<'a>) -> Vec<(&'a Node, Option<String>)> {
    if document.kind != super::super::Kind::PreCommit {
        return Vec::new();
    }
    let repositories = document.root.get("repos").and_then(Node::as_sequence).unwrap_or_default();
    let urls = repositories
        .iter()
        .filter_map(|repository| repository.get("repo"))
        .filter(|node| node.as_str().is_some_and(|url| url.contains("://")));
    urls.map(|node| (node, node.as_str().and_then(slug))).collect()
}

fn slug(url: &str) -> Option<String> {
    let path = url.split_once("://")?.1.strip_prefix("github.com/")?;
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (path.split('/').count() == 2).then(|| path.to_lowercase())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_is_in_order() {
        assert!(super::ARCHIVED.is_sorted());
    }
}
