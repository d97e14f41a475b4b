//! Cobertura XML, also as coverage.py, gcovr, istanbul and others write it.

use std::io::BufRead;

use quick_xml::events::BytesStart;

use super::claim::{ClaimKind, Parsed, Problem, percent};
use super::xml::{Token, attribute, count, local, walk};

/// Writers count lines in slightly different ways; a head that differs more from its own lines than this contradicts them.
const DIFFERENCE_MAX_POINTS: f64 = 1.0;

pub(crate) fn parse(input: impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, |token, line| report.take(token, line))?;
    let (lines_covered, lines_total) = report.totals()?;
    let kind = ClaimKind::Coverage { lines_covered, lines_total, percent: percent(lines_covered, lines_total) };
    Ok(vec![Parsed { kind, tool: report.tool, tool_version: report.tool_version, line: None }])
}

#[derive(Debug, Default)]
struct Report {
    head_covered: Option<u64>,
    head_total: Option<u64>,
    covered: u64,
    total: u64,
    /// Lines are listed once for the class and again for its methods.
    inside_methods: bool,
    seen_root: bool,
    tool: Option<String>,
    tool_version: Option<String>,
}

impl Report {
    fn take(&mut self, token: Token<'_>, line: u64) -> Result<(), Problem> {
        match token {
            Token::Open(element) => self.open(element, line),
            Token::Close("methods") => {
                self.inside_methods = false;
                Ok(())
            }
            Token::Comment(text) if text.contains("coverage.py") => {
                self.tool = Some("coverage.py".to_string());
                Ok(())
            }
            Token::Close(_) | Token::Text(_) | Token::Comment(_) => Ok(()),
        }
    }

    fn open(&mut self, element: &BytesStart<'_>, line: u64) -> Result<(), Problem> {
        match local(element.name().0) {
            "coverage" if !self.seen_root => {
                self.seen_root = true;
                self.head_covered = count(element, "lines-covered", line)?;
                self.head_total = count(element, "lines-valid", line)?;
                self.tool_version = attribute(element, "version").filter(|version| version.starts_with(|c: char| c.is_ascii_digit()));
            }
            "methods" => self.inside_methods = true,
            "line" if !self.inside_methods => {
                self.total += 1;
                self.covered += u64::from(is_hit(element, line)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn totals(&self) -> Result<(u64, u64), Problem> {
        let counted = (self.covered, self.total);
        let (covered, total) = match (self.head_covered, self.head_total) {
            (Some(covered), Some(total)) => (covered, total),
            _ => counted,
        };
        if total == 0 {
            return Err(Problem::new("measured no line at all"));
        }
        if covered > total {
            return Err(Problem::new(format!("says that {covered} of {total} lines are covered")));
        }
        let (head, lines) = (percent(covered, total), percent(counted.0, counted.1));
        if counted.1 > 0 && (head - lines).abs() > DIFFERENCE_MAX_POINTS {
            return Err(Problem::new(format!("says {head} % in its head, but its lines add up to {lines} %")));
        }
        Ok((covered, total))
    }
}

/// Counters overflow in long runs: any number but zero is a hit.
fn is_hit(element: &BytesStart<'_>, line: u64) -> Result<bool, Problem> {
    let hits = attribute(element, "hits").unwrap_or_default();
    if hits.is_empty() || !hits.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::at(line, format!("says hits=\"{hits}\", which is no count")));
    }
    Ok(!hits.starts_with('-') && hits.bytes().any(|byte| byte != b'0'))
}
