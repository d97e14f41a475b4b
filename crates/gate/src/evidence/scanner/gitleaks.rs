//! `gitleaks --report-format json`. The secret, its line and the commit's message stay unread.

use std::io::BufRead;

use super::{Scan, name, told};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    walk(input, "a report of Gitleaks", &["", "[]"], &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::List) => scan.done = true,
            (1, Seen::Value(leak)) => {
                return scan.add(Draft {
                    rule: name(&leak, "/RuleID").unwrap_or_default(),
                    kind: Some(FindingKind::Secret),
                    title: told(&leak, "/Description"),
                    file: name(&leak, "/File"),
                    line: number(&leak, "/StartLine"),
                    column: number(&leak, "/StartColumn"),
                    ..Draft::default()
                });
            }
            _ => {}
        }
        Ok(())
    })?;
    scan.finish("gitleaks", "list")
}
