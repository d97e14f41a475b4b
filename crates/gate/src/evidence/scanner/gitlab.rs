//! GitLab's own security reports: `gl-sast-report.json` and its like, as its analyzers write them.

use std::io::BufRead;

use serde_json::Value;

use super::package;
use crate::evidence::claim::{ClaimKind, Finding, FindingKind, Parsed, Problem};
use crate::evidence::finding::{Draft, FINDINGS_MAX, MESSAGE_MAX_CHARS, NAME_MAX_CHARS, is_vulnerability};
use crate::evidence::json::{Seen, number, text, walk};
use crate::evidence::severity::from_word;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, "a security report of GitLab's", &["vulnerabilities", "vulnerabilities/[]", "scan"], &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::List) => report.scanned = true,
            (1, Seen::Value(_)) if report.found.len() == FINDINGS_MAX => {
                return Err(Problem::new(format!("has more than {FINDINGS_MAX} findings")));
            }
            (1, Seen::Value(vulnerability)) => report.found.push(Found::new(&vulnerability)),
            (2, Seen::Value(scan)) => report.scan = scan,
            _ => {}
        }
        Ok(())
    })?;
    report.finish()
}

#[derive(Debug, Default)]
struct Report {
    scanned: bool,
    found: Vec<Found>,
    scan: Value,
}

impl Report {
    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        let Report { scanned, found, scan } = self;
        if text(&scan, "/status", 20).as_deref() == Some("failure") {
            return Err(Problem::new("holds a scan that failed, as it says itself"));
        }
        if !scanned {
            return Err(Problem::new("has no `vulnerabilities`: nothing was scanned"));
        }
        let kind = text(&scan, "/type", 50);
        let findings = found.into_iter().map(|found| found.finish(kind.as_deref())).collect();
        let (tool, tool_version) = (text(&scan, "/scanner/name", 100), text(&scan, "/scanner/version", 100));
        Ok(vec![Parsed { kind: ClaimKind::Findings(findings), tool, tool_version, line: None }])
    }
}

/// What is kept until the kind of scan is known, which analyzers write last.
#[derive(Debug)]
struct Found {
    category: Option<String>,
    draft: Draft,
}

impl Found {
    fn new(vulnerability: &Value) -> Found {
        let told = |pointer| text(vulnerability, pointer, MESSAGE_MAX_CHARS);
        let identifiers = vulnerability.pointer("/identifiers").and_then(Value::as_array).into_iter().flatten();
        let mut ids: Vec<String> =
            identifiers.filter_map(|id| text(id, "/value", NAME_MAX_CHARS).or_else(|| text(id, "/name", NAME_MAX_CHARS))).collect();
        let known = ids.iter().position(|id| is_vulnerability(id)).unwrap_or(0);
        let name = told("/name").unwrap_or_default();
        let rule = if ids.is_empty() { name.clone() } else { ids.swap_remove(known) };
        let cwe = ids.iter().filter_map(|id| id.to_ascii_uppercase().strip_prefix("CWE-")?.parse().ok()).collect();
        ids.retain(|id| is_vulnerability(id));
        let draft = Draft {
            rule,
            severity: told("/severity").as_deref().and_then(from_word),
            message: told("/message").or_else(|| told("/name")).or_else(|| told("/description")).unwrap_or_default(),
            title: name,
            file: ["/location/file", "/location/image", "/location/path"]
                .iter()
                .find_map(|place| text(vulnerability, place, NAME_MAX_CHARS)),
            line: number(vulnerability, "/location/start_line"),
            aliases: ids,
            package: package(vulnerability, "/location/dependency/package/name", "/location/dependency/version"),
            cwe,
            ..Draft::default()
        };
        Found { category: told("/category"), draft }
    }

    fn finish(self, scan: Option<&str>) -> Finding {
        let secret = self.category.as_deref().or(scan) == Some("secret_detection");
        Draft { kind: secret.then_some(FindingKind::Secret), ..self.draft }.finish()
    }
}
