//! `npm audit --json`: version 2 of its report, and the one before, which pnpm still writes.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, about, cwe, failed, list, name, texts, told, word};
use crate::evidence::claim::{FindingKind, Package, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, walk};

const PATHS: [&str; 8] = [
    "auditReportVersion",
    "vulnerabilities",
    "vulnerabilities/*",
    "advisories",
    "advisories/*",
    "metadata/vulnerabilities/total",
    "message",
    "error",
];

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let (mut packages, mut total, mut message) = (0, None, String::new());
    walk(input, "a report of npm audit", &PATHS, &mut |index, seen, place| {
        match (PATHS[index], seen) {
            ("auditReportVersion", Seen::Value(version)) if version != 2 => {
                return Err(Problem::new(format!("is version {version} of npm's reports; 2 is read")));
            }
            ("vulnerabilities" | "advisories", Seen::Map) => scan.done = true,
            ("vulnerabilities/*", Seen::Value(vulnerable)) => {
                packages += 1;
                let package = place.last().cloned().unwrap_or_default();
                // A text is the name of a dependency that has an entry of its own.
                for advisory in list(&vulnerable, "/via").filter(|via| via.is_object()) {
                    scan.add(via(&package, advisory))?;
                }
            }
            ("advisories/*", Seen::Value(advisory)) => return scan.add(first_format(&advisory)),
            ("metadata/vulnerabilities/total", Seen::Value(value)) => total = number(&value, ""),
            ("message", Seen::Value(value)) => message = told(&value, ""),
            ("error", Seen::Value(error)) if !error.is_null() => {
                let reason = [told(&error, "/code"), told(&error, "/summary"), message.clone()].join(" ");
                return Err(failed("npm", reason.trim()));
            }
            _ => {}
        }
        Ok(())
    })?;
    match total {
        Some(total) if packages < total => Err(Problem::new(format!("says that {total} packages are vulnerable and lists {packages}"))),
        _ => scan.finish("npm audit", "vulnerabilities"),
    }
}

fn via(package: &str, advisory: &Value) -> Draft {
    let package = Package { name: package.to_string(), version: None };
    let url = name(advisory, "/url").unwrap_or_default();
    let ghsa = url.rsplit('/').next().filter(|id| id.starts_with("GHSA-"));
    let source = || format!("npm/{}", told(advisory, "/source"));
    Draft {
        rule: ghsa.map_or_else(source, str::to_string),
        kind: Some(FindingKind::Vulnerability),
        severity: word(advisory, "/severity"),
        message: about(Some(&package), &told(advisory, "/title"), &[]),
        package: Some(package),
        cwe: cwe(&texts(advisory, "/cwe")),
        ..Draft::default()
    }
}

fn first_format(advisory: &Value) -> Draft {
    let package = super::package(advisory, "/module_name", "/findings/0/version");
    let mut ids = texts(advisory, "/cves");
    ids.extend(name(advisory, "/github_advisory_id"));
    let rule = ids.pop().unwrap_or_else(|| format!("npm/{}", told(advisory, "/id")));
    let fixed: Vec<String> = name(advisory, "/patched_versions").filter(|versions| !versions.starts_with("<0")).into_iter().collect();
    Draft {
        rule,
        kind: Some(FindingKind::Vulnerability),
        severity: word(advisory, "/severity"),
        message: about(package.as_ref(), &told(advisory, "/title"), &fixed),
        aliases: ids,
        package,
        cwe: cwe(&texts(advisory, "/cwe")),
        ..Draft::default()
    }
}
