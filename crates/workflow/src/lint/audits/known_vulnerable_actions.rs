//! Versions of actions that are known to be dangerous.
//!
//! A few well-known advisories are built in, each with the first version without it; a pinned commit is known by its
//! comment. GitHub's advisories have many more. zizmor: known-vulnerable-actions.
//!
//! Bad: `uses: tj-actions/changed-files@v45`. Good: `uses: tj-actions/changed-files@v46.0.1`, pinned to its commit.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "known-vulnerable-actions", summary: "versions of actions known to be dangerous", run };

struct Advisory {
    action: &'static str,
    /// The first version that has it, and the first without.
    since: (u64, u64, u64),
    fixed: (u64, u64, u64),
    id: &'static str,
    what: &'static str,
}

const fn advisory(action: &'static str, fixed: (u64, u64, u64), id: &'static str, what: &'static str) -> Advisory {
    Advisory { action, since: (0, 0, 0), fixed, id, what }
}

const ADVISORIES: &[Advisory] = &[
    advisory("tj-actions/changed-files", (46, 0, 1), "CVE-2025-30066", "its tags were moved to code that prints the job's secrets"),
    advisory("tj-actions/changed-files", (41, 0, 0), "CVE-2023-51664", "names of changed files become commands"),
    advisory("tj-actions/branch-names", (9, 0, 0), "CVE-2025-54416", "names of branches become commands"),
    advisory("tj-actions/verify-changed-files", (17, 0, 0), "CVE-2023-52137", "names of changed files become commands"),
    Advisory {
        action: "reviewdog/action-setup",
        since: (1, 0, 0),
        fixed: (1, 3, 2),
        id: "CVE-2025-30154",
        what: "its tag was moved to code that prints the job's secrets",
    },
    Advisory {
        action: "aquasecurity/trivy-action",
        since: (0, 0, 0),
        fixed: (0, 35, 0),
        id: "CVE-2026-33634",
        what: "its tags were moved to code that takes the job's secrets",
    },
    Advisory {
        action: "aquasecurity/setup-trivy",
        since: (0, 0, 0),
        fixed: (0, 2, 6),
        id: "CVE-2026-33634",
        what: "its tags were moved to code that takes the job's secrets",
    },
    Advisory {
        action: "actions/download-artifact",
        since: (4, 0, 0),
        fixed: (4, 1, 3),
        id: "CVE-2024-42471",
        what: "an artifact can write outside of the folder it is unpacked into",
    },
    advisory("atlassian/gajira-create", (2, 0, 1), "CVE-2020-14188", "an issue's title becomes a command"),
    advisory("atlassian/gajira-comment", (2, 0, 2), "CVE-2020-14189", "a comment becomes a command"),
    advisory("hashicorp/vault-action", (2, 2, 0), "CVE-2021-32074", "secrets of several lines are printed"),
    advisory("azure/setup-kubectl", (3, 0, 0), "CVE-2023-23939", "everybody on the machine can change the tool it installs"),
    advisory("embano1/wip", (2, 0, 0), "CVE-2023-30623", "a pull request's title becomes a command"),
    advisory("rlespinasse/github-slug-action", (4, 4, 1), "CVE-2023-27581", "names of branches become commands"),
    advisory("dawidd6/action-download-artifact", (6, 0, 0), "GHSA-5xr6-xhww-33m4", "artifacts of forks are taken for the repository's own"),
];

fn run(document: &Document, report: &mut Report) {
    for (action, node, scope) in actions(document) {
        let reference = if action.is_pinned() {
            document.comments_on(node.span).iter().find_map(|comment| inputs::comment_version(&comment.text))
        } else {
            Some(action.reference)
        };
        let Some((version, reference)) = reference.and_then(|reference| Some((uses::version(reference)?, reference))) else { continue };
        // A major tag moves with its last release; whether that one is safe is told by the major alone.
        let floats = !reference.contains('.');
        let worst = ADVISORIES.iter().filter(|advisory| {
            let fixed = if floats && advisory.fixed.0 == version.0 { version } else { advisory.fixed };
            action.is(advisory.action) && (advisory.since..fixed).contains(&version)
        });
        for advisory in worst {
            let (major, minor, patch) = advisory.fixed;
            let message = format!("{}: in this version of `{}/{}` {}", advisory.id, action.owner, action.name, advisory.what);
            report.add(
                Finding::new(&AUDIT, Severity::High, Confidence::High, node.span, message)
                    .hint(format!("v{major}.{minor}.{patch} or later, pinned to its commit"))
                    .scope(scope),
            );
        }
    }
}
