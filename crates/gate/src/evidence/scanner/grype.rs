//! `grype --output json`: what matches between packages and advisories, and what was told to be ignored.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, about, list, name, package, texts, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, text, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let paths = ["matches", "matches/[]", "ignoredMatches/[]", "descriptor/version"];
    walk(input, "a report of Grype", &paths, &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::List) => scan.done = true,
            (1, Seen::Value(found)) => return scan.add(vulnerability(&found)),
            (2, Seen::Value(found)) => {
                let reason = list(&found, "/appliedIgnoreRules").map(|rule| told(rule, "/reason")).find(|reason| !reason.is_empty());
                return scan.add(Draft { suppressed: Some(reason.unwrap_or_default()), ..vulnerability(&found) });
            }
            (3, Seen::Value(version)) => scan.version = text(&version, "", 100),
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("Grype", "matches")
}

fn vulnerability(found: &Value) -> Draft {
    let package = package(found, "/artifact/name", "/artifact/version");
    Draft {
        rule: name(found, "/vulnerability/id").unwrap_or_default(),
        kind: Some(FindingKind::Vulnerability),
        severity: word(found, "/vulnerability/severity"),
        message: about(package.as_ref(), &told(found, "/vulnerability/description"), &texts(found, "/vulnerability/fix/versions")),
        file: name(found, "/artifact/locations/0/path"),
        aliases: list(found, "/relatedVulnerabilities").filter_map(|related| name(related, "/id")).collect(),
        package,
        ..Draft::default()
    }
}
