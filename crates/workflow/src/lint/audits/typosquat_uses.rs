//! Names one letter away from a well-known action's.
//!
//! `action/checkout` is somebody else's, and gets the token of everybody who mistypes. zizmor: typosquat-uses.
//!
//! Bad: `uses: actons/checkout@v4`. Good: `uses: actions/checkout@v4`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "typosquat-uses", summary: "names one letter away from a well-known action's", run };

/// Worth imitating.
const WELL_KNOWN: &[&str] = &[
    "8398a7/action-slack",
    "actions/attest-build-provenance",
    "actions/cache",
    "actions/checkout",
    "actions/configure-pages",
    "actions/create-github-app-token",
    "actions/dependency-review-action",
    "actions/deploy-pages",
    "actions/download-artifact",
    "actions/github-script",
    "actions/labeler",
    "actions/setup-dotnet",
    "actions/setup-go",
    "actions/setup-java",
    "actions/setup-node",
    "actions/setup-python",
    "actions/stale",
    "actions/upload-artifact",
    "actions/upload-pages-artifact",
    "aquasecurity/trivy-action",
    "astral-sh/setup-uv",
    "aws-actions/amazon-ecr-login",
    "aws-actions/configure-aws-credentials",
    "azure/login",
    "codecov/codecov-action",
    "dependabot/fetch-metadata",
    "docker/build-push-action",
    "docker/login-action",
    "docker/metadata-action",
    "docker/setup-buildx-action",
    "docker/setup-qemu-action",
    "dorny/paths-filter",
    "dtolnay/rust-toolchain",
    "github/codeql-action",
    "golangci/golangci-lint-action",
    "google-github-actions/auth",
    "google-github-actions/setup-gcloud",
    "goreleaser/goreleaser-action",
    "gradle/actions",
    "hashicorp/setup-terraform",
    "jamesives/github-pages-deploy-action",
    "mikefarah/yq",
    "ncipollo/release-action",
    "peaceiris/actions-gh-pages",
    "peter-evans/create-pull-request",
    "pnpm/action-setup",
    "pre-commit/action",
    "pypa/gh-action-pypi-publish",
    "release-drafter/release-drafter",
    "ruby/setup-ruby",
    "shivammathur/setup-php",
    "slackapi/slack-github-action",
    "softprops/action-gh-release",
    "step-security/harden-runner",
    "styfle/cancel-workflow-action",
    "swatinem/rust-cache",
    "tj-actions/changed-files",
];

fn run(document: &Document, report: &mut Report) {
    for (action, node, scope) in actions(document) {
        let slug = action.slug();
        if WELL_KNOWN.contains(&slug.as_str()) {
            continue;
        }
        let owner = action.owner.to_lowercase();
        let same_owner = |known: &str| known.split('/').next() == Some(owner.as_str());
        let Some(known) = WELL_KNOWN.iter().find(|known| !same_owner(known) && is_near(&slug, known)) else { continue };
        let message = format!("`{}/{}` is almost `{known}`, and somebody else's", action.owner, action.name);
        report.add(
            Finding::new(&AUDIT, Severity::High, Confidence::Low, node.span, message).hint(format!("did you mean `{known}`?")).scope(scope),
        );
    }
}

/// One letter more, less or other, two neighbours in the other order, `m` for `rn` and the like, or the words in
/// another order.
fn is_near(name: &str, known: &str) -> bool {
    one_edit(name.as_bytes(), known.as_bytes()) || look_alike(name) == look_alike(known) || words(name) == words(known)
}

fn one_edit(left: &[u8], right: &[u8]) -> bool {
    let common = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let (left, right) = (&left[common..], &right[common..]);
    match (left, right) {
        ([_, left @ ..], [_, right @ ..]) if left == right => true,
        ([_, left @ ..], right) if left == right => true,
        (left, [_, right @ ..]) if left == right => true,
        ([a, b, left @ ..], [c, d, right @ ..]) => a == d && b == c && left == right,
        _ => false,
    }
}

fn look_alike(name: &str) -> String {
    name.replace("rn", "m").replace("vv", "w").replace('1', "l").replace('0', "o").replace(['-', '_', '.'], "")
}

fn words(name: &str) -> Vec<&str> {
    let mut words: Vec<&str> = name.split(['-', '_', '/']).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_one_slip() {
        for near in ["action/checkout", "acitons/checkout", "actions/checkout-", "actionz/checkout", "checkout/actions", "acti0ns/checkout"]
        {
            assert!(is_near(near, "actions/checkout"), "{near}");
        }
        for far in ["acton/checkouts", "mine/checkout", "actions-x/checkout"] {
            assert!(!is_near(far, "actions/checkout"), "{far}");
        }
    }
}
