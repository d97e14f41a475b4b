//! `pip-audit --format json`, today's object and the list of its first versions. It knows no severities.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, about, list, name, package, texts, told};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    walk(input, "a report of pip-audit", &["dependencies", "dependencies/[]", "", "[]"], &mut |index, seen, _| {
        match (index, seen) {
            (0 | 2, Seen::List) => scan.done = true,
            (1 | 3, Seen::Value(dependency)) => {
                for vulnerability in list(&dependency, "/vulns") {
                    scan.add(draft(&dependency, vulnerability))?;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("pip-audit", "dependencies")
}

fn draft(dependency: &Value, vulnerability: &Value) -> Draft {
    let package = package(dependency, "/name", "/version");
    Draft {
        rule: name(vulnerability, "/id").unwrap_or_default(),
        kind: Some(FindingKind::Vulnerability),
        message: about(package.as_ref(), &told(vulnerability, "/description"), &texts(vulnerability, "/fix_versions")),
        aliases: texts(vulnerability, "/aliases"),
        package,
        ..Draft::default()
    }
}
