//! `trivy --format json`, schema 2: vulnerabilities, secrets, misconfigurations and licences by target.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, about, cwe, name, package, texts, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, text, walk};

const PATHS: [&str; 9] = [
    "SchemaVersion",
    "Trivy/Version",
    "Results/[]",
    "Results/[]/Target",
    "Results/[]/Vulnerabilities/[]",
    "Results/[]/Secrets/[]",
    "Results/[]/Misconfigurations/[]",
    "Results/[]/Licenses/[]",
    "Results/[]/ExperimentalModifiedFindings/[]",
];

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let mut schema = None;
    let mut target = None;
    walk(input, "a report of Trivy", &PATHS, &mut |index, seen, _| {
        let Seen::Value(value) = seen else {
            target = None;
            return Ok(());
        };
        let draft = match PATHS[index] {
            "SchemaVersion" => {
                schema = number(&value, "");
                None
            }
            "Trivy/Version" => {
                scan.version = text(&value, "", 100);
                None
            }
            "Results/[]/Target" => {
                target = name(&value, "");
                None
            }
            "Results/[]/Vulnerabilities/[]" => Some(vulnerability(&value, &target)),
            "Results/[]/Secrets/[]" => Some(secret(&value, &target)),
            "Results/[]/Misconfigurations/[]" => misconfiguration(&value, &target),
            "Results/[]/Licenses/[]" => Some(licence(&value, &target)),
            "Results/[]/ExperimentalModifiedFindings/[]" => modified(&value, &target),
            _ => None,
        };
        draft.map_or(Ok(()), |draft| scan.add(draft))
    })?;
    match schema {
        // Trivy leaves the results out where it found nothing to look at.
        Some(2) => scan.done = true,
        Some(other) => return Err(Problem::new(format!("is schema {other} of Trivy; only 2 is read"))),
        None => return Err(Problem::new("has no `SchemaVersion`")),
    }
    scan.finish("Trivy", "Results")
}

fn vulnerability(value: &Value, target: &Option<String>) -> Draft {
    let package = package(value, "/PkgName", "/InstalledVersion");
    let fixed: Vec<String> = name(value, "/FixedVersion").into_iter().collect();
    Draft {
        rule: name(value, "/VulnerabilityID").unwrap_or_default(),
        kind: Some(FindingKind::Vulnerability),
        severity: word(value, "/Severity"),
        message: about(package.as_ref(), &told(value, "/Title"), &fixed),
        file: target.clone(),
        aliases: texts(value, "/VendorIDs"),
        package,
        cwe: cwe(&texts(value, "/CweIDs")),
        ..Draft::default()
    }
}

fn secret(value: &Value, target: &Option<String>) -> Draft {
    Draft {
        rule: name(value, "/RuleID").unwrap_or_default(),
        kind: Some(FindingKind::Secret),
        severity: word(value, "/Severity"),
        title: told(value, "/Title"),
        file: target.clone(),
        line: number(value, "/StartLine"),
        ..Draft::default()
    }
}

/// What passed is listed too when asked for.
fn misconfiguration(value: &Value, target: &Option<String>) -> Option<Draft> {
    if matches!(value.pointer("/Status").and_then(Value::as_str), Some("PASS" | "EXCEPTION")) {
        return None;
    }
    Some(Draft {
        rule: name(value, "/ID").or_else(|| name(value, "/AVDID")).unwrap_or_default(),
        kind: Some(FindingKind::Code),
        severity: word(value, "/Severity"),
        message: told(value, "/Message"),
        title: told(value, "/Title"),
        file: target.clone(),
        line: number(value, "/CauseMetadata/StartLine").filter(|line| *line > 0),
        ..Draft::default()
    })
}

fn licence(value: &Value, target: &Option<String>) -> Draft {
    let package = package(value, "/PkgName", "/PkgVersion");
    let licence = told(value, "/Name");
    Draft {
        rule: format!("license/{licence}"),
        kind: Some(FindingKind::Code),
        severity: word(value, "/Severity"),
        message: about(package.as_ref(), &format!("{licence}, which is {}", told(value, "/Category")), &[]),
        file: name(value, "/FilePath").or_else(|| target.clone()),
        package,
        ..Draft::default()
    }
}

/// What somebody decided about, by an ignore file or a VEX document: shown on request.
fn modified(value: &Value, target: &Option<String>) -> Option<Draft> {
    let finding = value.pointer("/Finding")?;
    let draft = match value.pointer("/Type")?.as_str()? {
        "vulnerability" => vulnerability(finding, target),
        "secret" => secret(finding, target),
        "misconfiguration" => misconfiguration(finding, target)?,
        "license" => licence(finding, target),
        _ => return None,
    };
    let accepted = matches!(value.pointer("/Status")?.as_str()?, "ignored" | "not_affected" | "fixed");
    Some(Draft { suppressed: accepted.then(|| told(value, "/Statement")), ..draft })
}
