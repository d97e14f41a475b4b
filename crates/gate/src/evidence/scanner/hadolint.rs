//! `hadolint --format json`.

use std::io::BufRead;

use super::{Scan, name, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem, Severity};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    walk(input, "a report of hadolint", &["", "[]"], &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::List) => scan.done = true,
            (1, Seen::Value(found)) if found["level"] != "ignore" => {
                let style = (found["level"] == "style").then_some(Severity::Low);
                return scan.add(Draft {
                    rule: name(&found, "/code").unwrap_or_default(),
                    kind: Some(FindingKind::Code),
                    severity: style.or_else(|| word(&found, "/level")),
                    message: told(&found, "/message"),
                    file: name(&found, "/file"),
                    line: number(&found, "/line"),
                    column: number(&found, "/column"),
                    ..Draft::default()
                });
            }
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("hadolint", "list")
}
