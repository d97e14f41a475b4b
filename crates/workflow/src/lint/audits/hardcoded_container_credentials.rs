//! Passwords of container registries written into the file.
//!
//! Everybody who can read the repository, now or later, has them. zizmor: hardcoded-container-credentials.
//!
//! Bad: `credentials: {username: me, password: hunter2}`. Good: `password: ${{ secrets.REGISTRY_PASSWORD }}`.

use super::*;
use crate::lint::document::is_expression;

pub(super) const AUDIT: Audit = Audit { id: "hardcoded-container-credentials", summary: "registry passwords written into the file", run };

fn run(document: &Document, report: &mut Report) {
    for job in document.jobs() {
        let services = job.get("services").and_then(Node::as_mapping);
        let services = services.into_iter().flat_map(base::yaml::Mapping::iter).map(|(_, node)| node);
        for container in job.get("container").into_iter().chain(services) {
            let password = container.get("credentials").and_then(|credentials| credentials.get("password"));
            let Some(password) =
                password.filter(|password| password.as_str().is_some_and(|text| !text.is_empty() && !is_expression(text.trim())))
            else {
                continue;
            };
            let message = "this registry's password is written into the file, for everybody who reads it";
            let scope = container.get("credentials").map_or(password.span, |credentials| credentials.span);
            report.add(
                Finding::new(&AUDIT, Severity::High, Confidence::High, password.span, message)
                    .hint("keep it as a secret and name it here: `${{ secrets.REGISTRY_PASSWORD }}`; and change it, it is known")
                    .scope(scope)
                    .scope(container.span),
            );
        }
    }
}
