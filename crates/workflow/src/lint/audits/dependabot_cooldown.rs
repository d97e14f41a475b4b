//! Updates taken on the day they appear.
//!
//! A taken-over package is mostly noticed within days; who waits has never had it. Dependabot waits three days by
//! itself. zizmor: dependabot-cooldown.
//!
//! Bad: no `cooldown:`. Good: `cooldown: {default-days: 7}`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "dependabot-cooldown", summary: "updates taken before they have been looked at", run };

const DAYS_MIN: f64 = 7.0;
const DAYS_DEFAULT: f64 = 3.0;

fn run(document: &Document, report: &mut Report) {
    for update in updates(document) {
        let cooldown = update.get("cooldown");
        let said = cooldown.and_then(|cooldown| cooldown.get("default-days"));
        let days = said.and_then(Node::as_number).unwrap_or(DAYS_DEFAULT);
        if days >= DAYS_MIN {
            continue;
        }
        let place = said.or(cooldown).or_else(|| update.get("package-ecosystem")).unwrap_or(update);
        let message = format!("updates are proposed {days} days after they appear, before anybody has looked at them");
        let fix = said
            .map(|said| Fix { title: format!("wait {DAYS_MIN} days"), edits: vec![Edit { span: said.span, text: DAYS_MIN.to_string() }] });
        report.add(
            Finding::new(&AUDIT, Severity::Medium, Confidence::High, place.span, message)
                .hint(format!("`cooldown: {{default-days: {DAYS_MIN}}}`; security updates don't wait for it"))
                .scope(update.span)
                .fix(fix),
        );
    }
}

pub(super) fn updates<'a>(document: &Document<'a>) -> &'a [Node] {
    let is_dependabot = document.kind == crate::lint::Kind::Dependabot;
    let updates = document.root.get("updates").filter(|_| is_dependabot);
    updates.and_then(Node::as_sequence).unwrap_or_default()
}
