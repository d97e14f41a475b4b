//! `cargo audit --json`: advisories over `Cargo.lock`, and warnings about crates nobody keeps up.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, about, name, package, texts, told};
use crate::evidence::claim::{FindingKind, Parsed, Problem, Severity};
use crate::evidence::cvss::base_score;
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, walk};
use crate::evidence::severity::from_score;

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let (mut listed, mut count) = (0, None);
    let paths = ["vulnerabilities/list", "vulnerabilities/list/[]", "vulnerabilities/count", "warnings/*/[]", "warnings/[]"];
    walk(input, "a report of cargo-audit", &paths, &mut |index, seen, place| {
        match (index, seen) {
            (0, Seen::List) => scan.done = true,
            (1, Seen::Value(vulnerability)) => {
                listed += 1;
                return scan.add(advisory(&vulnerability));
            }
            (2, Seen::Value(value)) => count = number(&value, ""),
            (3 | 4, Seen::Value(value)) => return scan.add(warning(&value, place)),
            _ => {}
        }
        Ok(())
    })?;
    match count {
        Some(count) if listed < count => Err(Problem::new(format!("says that there are {count} vulnerabilities and lists {listed}"))),
        _ => scan.finish("cargo-audit", "vulnerabilities"),
    }
}

fn advisory(value: &Value) -> Draft {
    let package = package(value, "/package/name", "/package/version");
    let score = name(value, "/advisory/cvss").and_then(|vector| base_score(&vector));
    Draft {
        rule: name(value, "/advisory/id").unwrap_or_default(),
        kind: Some(FindingKind::Vulnerability),
        severity: score.and_then(|score| from_score(Some(&score.into()))),
        message: about(package.as_ref(), &told(value, "/advisory/title"), &texts(value, "/versions/patched")),
        file: Some("Cargo.lock".to_string()),
        aliases: texts(value, "/advisory/aliases"),
        package,
        ..Draft::default()
    }
}

/// Unmaintained, unsound, yanked: worth knowing, and no hole that anybody has found.
fn warning(value: &Value, place: &[String]) -> Draft {
    let listed_under = place.get(1).filter(|key| *key != "[]").cloned();
    let kind = name(value, "/kind").or(listed_under).unwrap_or_else(|| "warning".to_string());
    let draft = advisory(value);
    let has_advisory = !draft.rule.is_empty();
    let message = if has_advisory { draft.message } else { about(draft.package.as_ref(), &kind, &[]) };
    let rule = if has_advisory { draft.rule } else { kind };
    Draft {
        rule,
        kind: Some(if has_advisory { FindingKind::Vulnerability } else { FindingKind::Code }),
        severity: Some(Severity::Low),
        message,
        ..draft
    }
}
