//! Actions that the configuration forbids.
//!
//! `workflows: {forbiddenUses: …}` in `plimsoll.yaml` lists what may not be used, or all that may. zizmor: forbidden-uses.
//!
//! Bad, with `deny: [evil/*]`: `uses: evil/action@v1`. Good: an action that isn't forbidden.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "forbidden-uses", summary: "actions that the configuration forbids", run };

fn run(document: &Document, report: &mut Report) {
    let Some(forbidden) = &document.options.forbidden else { return };
    for (action, node, scope) in actions(document) {
        let denied = match forbidden {
            Forbidden::AllBut(allowed) => !allowed.iter().any(|pattern| pattern.matches(&action)),
            Forbidden::These(denied) => denied.iter().any(|pattern| pattern.matches(&action)),
        };
        if denied {
            let message =
                format!("`{}/{}` may not be used here: `workflows.forbiddenUses` in `plimsoll.yaml` says so", action.owner, action.name);
            report.add(Finding::new(&AUDIT, Severity::High, Confidence::High, node.span, message).scope(scope));
        }
    }
}
