//! `golangci-lint run --output.json.path` (`--out-format json` before version 2).

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, failed, name, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    walk(input, "a report of golangci-lint", &["Issues", "Issues/[]", "Report/Error", "Report/Linters"], &mut |index, seen, _| {
        match (index, seen) {
            // `null` where there is no issue.
            (0, Seen::List | Seen::Value(Value::Null)) => scan.done = true,
            (1, Seen::Value(issue)) => return scan.add(draft(&issue)),
            (2, Seen::Value(error)) if !told(&error, "").is_empty() => return Err(failed("golangci-lint", &told(&error, ""))),
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("golangci-lint", "Issues")
}

fn draft(issue: &Value) -> Draft {
    let linter = name(issue, "/FromLinter").unwrap_or_default();
    let said = told(issue, "/Text");
    // `G404: Use of weak random number generator`.
    let code = said.split_once(": ").map(|(code, _)| code).filter(|code| {
        let letters = code.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.len() < code.len() && !letters.is_empty() && letters.chars().all(|c| c.is_ascii_uppercase())
    });
    Draft {
        rule: code.map_or_else(|| linter.clone(), |code| format!("{linter}/{code}")),
        kind: Some(FindingKind::Code),
        severity: word(issue, "/Severity"),
        file: name(issue, "/Pos/Filename"),
        line: number(issue, "/Pos/Line").filter(|line| *line > 0),
        column: number(issue, "/Pos/Column").filter(|column| *column > 0),
        message: said,
        ..Draft::default()
    }
}
