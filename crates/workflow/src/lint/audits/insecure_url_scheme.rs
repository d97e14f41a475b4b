//! Code fetched over connections that anybody can change.
//!
//! `http://` and `git://` say nothing about who answers. zizmor: insecure-url-scheme.
//!
//! Bad, in `.pre-commit-config.yaml`: `repo: http://example.com/hooks`. Good: `repo: https://example.com/hooks`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "insecure-url-scheme", summary: "code fetched over connections that can be changed", run };

fn run(document: &Document, report: &mut Report) {
    for (node, _) in super::archived_uses::pre_commit_repositories(document) {
        let scheme = node.as_str().and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme.to_lowercase());
        if let Some(scheme @ ("http" | "git")) = scheme.as_deref() {
            let message = format!("hooks that come over `{scheme}://` can be changed by anybody on the way");
            report.add(Finding::new(&AUDIT, Severity::High, Confidence::High, node.span, message).hint("`https://`"));
        }
    }
}
