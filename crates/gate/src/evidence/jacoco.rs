//! JaCoCo XML, which Kover writes too: counters at every level; those of the whole report count.

use std::io::BufRead;

use quick_xml::events::BytesStart;

use super::claim::{ClaimKind, Parsed, Problem, percent};
use super::xml::{Token, attribute, count, local, walk};

pub(crate) fn parse(input: impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, |token, line| report.take(token, line))?;
    let (lines_covered, lines_total) = report.totals()?;
    let kind = ClaimKind::Coverage { lines_covered, lines_total, percent: percent(lines_covered, lines_total) };
    Ok(vec![Parsed { kind, tool: Some("JaCoCo".to_string()), tool_version: None, line: None }])
}

#[derive(Debug, Default)]
struct Report {
    open: Vec<String>,
    head: Option<(u64, u64)>,
    files: (u64, u64),
    packages: (u64, u64),
}

impl Report {
    fn take(&mut self, token: Token<'_>, line: u64) -> Result<(), Problem> {
        match token {
            Token::Open(element) => {
                let name = local(element.name().0);
                if name == "counter" && attribute(element, "type").as_deref() == Some("LINE") {
                    self.counter(element, line)?;
                }
                self.open.push(name.to_string());
            }
            Token::Close(_) => {
                self.open.pop();
            }
            Token::Text(_) | Token::Comment(_) => {}
        }
        Ok(())
    }

    fn counter(&mut self, element: &BytesStart<'_>, line: u64) -> Result<(), Problem> {
        let figure = |name| count(element, name, line)?.ok_or_else(|| Problem::at(line, format!("has a counter without `{name}`")));
        let (missed, covered): (u64, u64) = (figure("missed")?, figure("covered")?);
        let total = missed.checked_add(covered).ok_or_else(|| Problem::at(line, "counts more lines than there can be"))?;
        let sum = match self.open.last().map(String::as_str) {
            Some("report") => {
                self.head = Some((covered, total));
                return Ok(());
            }
            Some("sourcefile") => &mut self.files,
            Some("package") => &mut self.packages,
            _ => return Ok(()),
        };
        *sum = (sum.0.saturating_add(covered), sum.1.saturating_add(total));
        Ok(())
    }

    fn totals(&self) -> Result<(u64, u64), Problem> {
        let parts = [self.packages, self.files].into_iter().find(|sum| sum.1 > 0);
        let whole = self.head.or(parts).filter(|sum| sum.1 > 0).ok_or_else(|| Problem::new("measured no line at all"))?;
        match parts {
            Some(parts) if parts != whole => Err(Problem::new(format!(
                "says {} of {} lines in its whole, but its parts add up to {} of {}",
                whole.0, whole.1, parts.0, parts.1
            ))),
            _ => Ok(whole),
        }
    }
}
