//! `bandit --format json`. Its texts quote what it takes for a password; [`Draft`] cuts them.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, cwe, left_out, name, texts, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let mut unread = Vec::new();
    walk(input, "a report of Bandit", &["results", "results/[]", "errors/[]"], &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::List) => scan.done = true,
            (1, Seen::Value(result)) => {
                scan.version = scan.version.take().or_else(|| version(&result));
                return scan.add(draft(&result));
            }
            (2, Seen::Value(error)) => unread.push(told(&error, "/filename")),
            _ => {}
        }
        Ok(())
    })?;
    if !unread.is_empty() {
        return Err(left_out("Bandit", &unread));
    }
    scan.finish("Bandit", "results")
}

fn draft(result: &Value) -> Draft {
    let weakness: Vec<String> = match number(result, "/issue_cwe/id") {
        Some(number) => vec![number.to_string()],
        None => texts(result, "/issue_cwe"),
    };
    Draft {
        rule: name(result, "/test_id").unwrap_or_default(),
        rule_name: name(result, "/test_name"),
        kind: Some(FindingKind::Code),
        severity: word(result, "/issue_severity"),
        message: told(result, "/issue_text"),
        file: name(result, "/filename"),
        line: number(result, "/line_number"),
        // It counts columns from 0, and from 1 in SARIF.
        column: number(result, "/col_offset").map(|column| column.saturating_add(1)),
        cwe: cwe(&weakness),
        ..Draft::default()
    }
}

/// Only the address of its manual says which version it is: `…/en/1.7.9/plugins/…`.
fn version(result: &Value) -> Option<String> {
    let address = name(result, "/more_info")?;
    let version = address.split("/en/").nth(1)?.split('/').next()?;
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_string())
}
