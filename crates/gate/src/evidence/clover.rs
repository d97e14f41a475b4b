//! Clover XML as OpenClover, istanbul (jest, nyc) and PHPUnit write it. A line counts once in its file, whatever stands on it.

use std::collections::BTreeMap;
use std::io::BufRead;

use quick_xml::events::BytesStart;

use super::claim::{ClaimKind, Parsed, Problem, percent};
use super::xml::{Token, attribute, count, local, walk};

/// No source file has more.
const LINES_MAX: usize = 1_000_000;

pub(crate) fn parse(input: impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, |token, line| report.take(token, line))?;
    let (lines_covered, lines_total) = report.totals()?;
    let kind = ClaimKind::Coverage { lines_covered, lines_total, percent: percent(lines_covered, lines_total) };
    Ok(vec![Parsed { kind, tool: None, tool_version: None, line: None }])
}

#[derive(Debug, Default)]
struct Report {
    open: Vec<String>,
    file: BTreeMap<u64, bool>,
    covered: u64,
    total: u64,
    /// Statements of the whole project, for reports without lines.
    head: Option<(u64, u64)>,
}

impl Report {
    fn take(&mut self, token: Token<'_>, line: u64) -> Result<(), Problem> {
        match token {
            Token::Open(element) => {
                let name = local(element.name().0);
                match name {
                    // OpenClover measures the tests themselves too, and lists them apart.
                    "line" if !self.open.iter().any(|parent| parent == "testproject") => self.line(element, line)?,
                    "metrics" if self.open.last().is_some_and(|parent| parent == "project") && self.head.is_none() => {
                        let figure = |name| count(element, name, line);
                        self.head = figure("coveredstatements")?.zip(figure("statements")?);
                    }
                    _ => {}
                }
                self.open.push(name.to_string());
            }
            Token::Close(name) => {
                self.open.pop();
                if name == "file" {
                    let lines = std::mem::take(&mut self.file);
                    self.total += lines.len() as u64;
                    self.covered += lines.values().filter(|hit| **hit).count() as u64;
                }
            }
            Token::Text(_) | Token::Comment(_) => {}
        }
        Ok(())
    }

    fn line(&mut self, element: &BytesStart<'_>, line: u64) -> Result<(), Problem> {
        // A line that holds the head of a method and nothing else is no statement.
        if attribute(element, "type").as_deref() == Some("method") {
            return Ok(());
        }
        let figure = |name| count(element, name, line).map(|count| count.unwrap_or(0));
        let number = count(element, "num", line)?.ok_or_else(|| Problem::at(line, "has a line without a number"))?;
        let hit = figure("count")? > 0 || figure("truecount")? > 0 || figure("falsecount")? > 0;
        *self.file.entry(number).or_default() |= hit;
        if self.file.len() > LINES_MAX {
            return Err(Problem::at(line, format!("has a file of more than {LINES_MAX} lines")));
        }
        Ok(())
    }

    fn totals(&self) -> Result<(u64, u64), Problem> {
        let counted = (self.covered, self.total);
        let (covered, total) = if counted.1 > 0 { counted } else { self.head.unwrap_or_default() };
        if total == 0 {
            return Err(Problem::new("measured no line at all"));
        }
        if covered > total {
            return Err(Problem::new(format!("says that {covered} of {total} statements are covered")));
        }
        Ok((covered, total))
    }
}
