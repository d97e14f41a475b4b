//! `semgrep --json`: matches of rules over code, and of advisories over lock files.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, cwe, failed, name, package, texts, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::{Draft, is_secret_rule};
use crate::evidence::json::{Seen, number, text, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    walk(input, "a report of Semgrep", &["results", "results/[]", "errors/[]", "version"], &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::List) => scan.done = true,
            (1, Seen::Value(result)) => return scan.add(draft(&result)),
            // A file that is only half understood is a warning, as everywhere in Semgrep.
            (2, Seen::Value(error)) if error["level"] == "error" => return Err(failed("Semgrep", &told(&error, "/message"))),
            (3, Seen::Value(version)) => scan.version = text(&version, "", 100),
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("Semgrep", "results")
}

fn draft(result: &Value) -> Draft {
    let rule = name(result, "/check_id").unwrap_or_default();
    // Every result has a state; only rules for secrets have a validator that could have tried one.
    let tried = matches!(told(result, "/extra/validation_state").as_str(), "CONFIRMED_VALID" | "CONFIRMED_INVALID" | "VALIDATION_ERROR");
    let secret = tried || is_secret_rule(&rule) || result["extra"]["metadata"]["category"] == "secrets";
    let advisory = name(result, "/extra/metadata/sca-vuln-database-identifier");
    let kind = match (&advisory, secret) {
        (Some(_), _) => FindingKind::Vulnerability,
        (None, true) => FindingKind::Secret,
        (None, false) => FindingKind::Code,
    };
    let dependency = "/extra/sca_info/dependency_match/found_dependency";
    Draft {
        rule: advisory.unwrap_or(rule),
        kind: Some(kind),
        severity: word(result, "/extra/severity"),
        message: told(result, "/extra/message"),
        file: name(result, "/path"),
        line: number(result, "/start/line"),
        column: number(result, "/start/col"),
        suppressed: (result["extra"]["is_ignored"] == true).then(String::new),
        package: package(result, &format!("{dependency}/package"), &format!("{dependency}/version")),
        cwe: cwe(&texts(result, "/extra/metadata/cwe")),
        ..Draft::default()
    }
}
