//! `checkov --output json`: one report, or a list of them, one a framework.

use std::io::BufRead;

use serde_json::Value;

use super::{Scan, about, left_out, list, name, package, texts, told, word};
use crate::evidence::claim::{FindingKind, Parsed, Problem};
use crate::evidence::finding::Draft;
use crate::evidence::json::{Seen, number, text, walk};

/// Of one report; the same again one level down.
const PATHS: [&str; 6] = [
    "results/failed_checks/[]",
    "results/skipped_checks/[]",
    "results/parsing_errors",
    "summary/failed",
    "summary/checkov_version",
    // Nothing to look at was found.
    "checkov_version",
];

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let mut unread = Vec::new();
    let (mut listed, mut failed) = (0, 0);
    let paths: Vec<String> = PATHS.iter().map(|path| path.to_string()).chain(PATHS.iter().map(|path| format!("[]/{path}"))).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    walk(input, "a report of Checkov", &paths, &mut |index, seen, _| {
        let Seen::Value(value) = seen else { return Ok(()) };
        match PATHS[index % PATHS.len()] {
            "results/failed_checks/[]" => {
                listed += 1;
                return scan.add(draft(&value));
            }
            "results/skipped_checks/[]" => {
                let reason = told(&value, "/check_result/suppress_comment");
                return scan.add(Draft { suppressed: Some(reason), ..draft(&value) });
            }
            "results/parsing_errors" => unread.extend(list(&value, "").filter_map(|file| name(file, ""))),
            "summary/failed" => {
                scan.done = true;
                failed += number(&value, "").unwrap_or(0);
            }
            _ => {
                scan.done = true;
                scan.version = text(&value, "", 100);
            }
        }
        Ok(())
    })?;
    if !unread.is_empty() {
        return Err(left_out("Checkov", &unread));
    }
    if listed < failed {
        return Err(Problem::new(format!("says that {failed} checks failed and lists {listed}")));
    }
    scan.finish("Checkov", "summary")
}

fn draft(check: &Value) -> Draft {
    let id = name(check, "/check_id").unwrap_or_default();
    let title = told(check, "/check_name");
    let draft = Draft {
        severity: word(check, "/severity"),
        file: name(check, "/repo_file_path").or_else(|| name(check, "/file_path")).map(|file| file.trim_start_matches('/').to_string()),
        line: number(check, "/file_line_range/0").filter(|line| *line > 0),
        ..Draft::default()
    };
    if let Some(advisory) = name(check, "/vulnerability_details/id") {
        let package = package(check, "/vulnerability_details/package_name", "/vulnerability_details/package_version");
        let message = about(
            package.as_ref(),
            &told(check, "/vulnerability_details/description"),
            &texts(check, "/vulnerability_details/lowest_fixed_version"),
        );
        return Draft { rule: advisory, kind: Some(FindingKind::Vulnerability), message, package, ..draft };
    }
    match id.starts_with("CKV_SECRET_") {
        true => Draft { rule: id, kind: Some(FindingKind::Secret), title, ..draft },
        // Several resources of one file may fail one check on one line.
        false => Draft { rule: id, kind: Some(FindingKind::Code), message: format!("{title}: {}", told(check, "/resource")), ..draft },
    }
}
