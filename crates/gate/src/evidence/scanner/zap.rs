//! The JSON report of ZAP: alerts about a running site. What was sent and answered stays unread.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, cwe, name, texts, told};
use crate::evidence::claim::{FindingKind, Parsed, Problem, Severity};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, text, walk};

/// A single site may stand without its list.
const PATHS: [&str; 7] = ["@version", "site", "site/[]", "site/[]/@name", "site/@name", "site/[]/alerts/[]", "site/alerts/[]"];

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let mut site = None;
    walk(input, "a report of ZAP", &PATHS, &mut |index, seen, _| {
        match (PATHS[index], seen) {
            ("@version", Seen::Value(version)) => scan.version = text(&version, "", 100),
            ("site", Seen::List | Seen::Map) => scan.done = true,
            ("site/[]", Seen::Map) => site = None,
            ("site/[]/@name" | "site/@name", Seen::Value(value)) => site = name(&value, ""),
            ("site/[]/alerts/[]" | "site/alerts/[]", Seen::Value(alert)) => return scan.add(draft(&alert, &site)),
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("ZAP", "site")
}

fn draft(alert: &Value, site: &Option<String>) -> Draft {
    let severity = match told(alert, "/riskcode").as_str() {
        "3" => Some(Severity::High),
        "2" => Some(Severity::Medium),
        "0" | "1" => Some(Severity::Low),
        _ => None,
    };
    // Somebody has set its confidence to `False Positive`.
    let suppressed = (told(alert, "/confidence") == "0").then(|| "a false positive".to_string());
    Draft {
        rule: name(alert, "/pluginid").unwrap_or_default(),
        kind: Some(FindingKind::Code),
        severity,
        message: told(alert, "/name"),
        title: told(alert, "/alert"),
        file: site.clone(),
        suppressed,
        cwe: cwe(&texts(alert, "/cweid")),
        ..Draft::default()
    }
}
