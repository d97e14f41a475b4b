//! `trufflehog --json`: a finding a line, and what it says about itself between them. The secret stays unread, redacted or not.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use super::{Scan, failed, name};
use crate::evidence::claim::{FindingKind, Parsed, Problem, Severity};
use crate::evidence::finding::Draft;
use crate::evidence::json::number;
use crate::evidence::lines::each_line;

/// A finding carries the secret and what its service said.
const LINE_MAX_BYTES: u64 = 16 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Line {
    source_metadata: Option<Value>,
    detector_name: Option<String>,
    detector_description: Option<String>,
    verified: bool,
    #[serde(rename = "level")]
    level: Option<String>,
    #[serde(rename = "msg")]
    said: Option<String>,
    #[serde(rename = "trufflehog_version")]
    version: Option<String>,
}

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut scan = Scan::default();
    let ended = each_line(input, LINE_MAX_BYTES, |text, number| {
        if text.trim().is_empty() {
            return Ok(());
        }
        let line: Line = serde_json::from_str(text).map_err(|_| Problem::at(number, "has a line that is no finding of TruffleHog"))?;
        match (line.level.as_deref(), &line.source_metadata) {
            (Some("error" | "fatal"), _) => {
                let said = line.said.unwrap_or_default();
                Err(Problem { line: Some(number), ..failed("TruffleHog", &crate::evidence::claim::shorten(&said, 200)) })
            }
            (Some(_), _) => {
                scan.done |= line.said.as_deref() == Some("finished scanning");
                scan.version = scan.version.take().or(line.version);
                Ok(())
            }
            (None, Some(_)) => {
                scan.done = true;
                scan.add(line.draft())
            }
            (None, None) => Err(Problem::at(number, "has a line that is no finding of TruffleHog")),
        }
    })?;
    if !ended {
        return Err(Problem::new("ends in the middle of a line"));
    }
    if !scan.done {
        return Err(Problem::new("does not say that the scan has finished"));
    }
    scan.finish("TruffleHog", "findings")
}

impl Line {
    fn draft(&self) -> Draft {
        // Where it looked is the name of the only key: `Filesystem`, `Git`, `Docker`.
        let source = self.source_metadata.as_ref().and_then(|metadata| metadata.get("Data")?.as_object()?.values().next());
        Draft {
            rule: self.detector_name.clone().unwrap_or_default(),
            kind: Some(FindingKind::Secret),
            // It was tried, and it opens something.
            severity: self.verified.then_some(Severity::Critical),
            title: self.detector_description.clone().unwrap_or_default(),
            file: source.and_then(|source| name(source, "/file")),
            line: source.and_then(|source| number(source, "/line")).filter(|line| *line > 0),
            ..Draft::default()
        }
    }
}
