//! Test results of .NET: NUnit 3, xUnit.net 2 and Visual Studio's TRX. Each names its cases and outcomes in its own words.

use std::io::BufRead;

use quick_xml::events::BytesStart;

use super::claim::{Parsed, Problem};
use super::tally::Tally;
use super::xml::{Token, attribute, count, local, walk};

const MESSAGE_MAX_BYTES: usize = 4 << 10;

pub(crate) fn parse(input: impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, |token, line| report.take(token, line))?;
    report.finish()
}

#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    case: Option<Case>,
    in_message: bool,
    tool: Option<&'static str>,
    /// What the heads admit.
    admitted: u64,
    /// The run as a whole did not end well, and the line that says so: a crash outside of every test.
    unwell: Option<(String, u64)>,
}

#[derive(Debug)]
struct Case {
    element: String,
    name: String,
    outcome: Outcome,
    message: String,
    line: u64,
    rows_open: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Skipped,
    Failed,
    Error,
}

impl Report {
    fn take(&mut self, token: Token<'_>, line: u64) -> Result<(), Problem> {
        match token {
            Token::Open(element) => self.open(element, line)?,
            Token::Text(text) if self.in_message => {
                if let Some(case) = &mut self.case
                    && case.message.len() < MESSAGE_MAX_BYTES
                {
                    case.message.extend(text.chars().take(MESSAGE_MAX_BYTES));
                }
            }
            Token::Close(name) => self.close(name),
            Token::Text(_) | Token::Comment(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, element: &BytesStart<'_>, line: u64) -> Result<(), Problem> {
        let name = local(element.name().0);
        match name {
            "test-run" => {
                self.tool = Some("NUnit");
                self.admitted = count(element, "failed", line)?.unwrap_or(0);
                self.whole(element, "result", line);
            }
            "assemblies" => self.tool = Some("xUnit.net"),
            "assembly" => {
                self.tool = Some("xUnit.net");
                for key in ["failed", "errors"] {
                    self.admitted = self.admitted.saturating_add(count(element, key, line)?.unwrap_or(0));
                }
            }
            "ResultSummary" => self.whole(element, "outcome", line),
            "TestRun" => self.tool = Some("Visual Studio Test"),
            "Counters" => {
                self.admitted = 0;
                for key in ["failed", "error", "timeout", "aborted"] {
                    self.admitted = self.admitted.saturating_add(count(element, key, line)?.unwrap_or(0));
                }
            }
            "test-case" => self.case(element, &["fullname", "name"], "result", line)?,
            "test" => self.case(element, &["name"], "result", line)?,
            "UnitTestResult" => self.case(element, &["testName"], "outcome", line)?,
            "message" | "Message" => self.in_message = self.case.as_ref().is_some_and(|case| case.message.is_empty()),
            // xUnit's failures of fixtures, outside of every test.
            "error" if self.tool == Some("xUnit.net") => {
                let told = attribute(element, "name").or_else(|| attribute(element, "type")).unwrap_or_default();
                self.tally.error(&told, "", line);
            }
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, element: &BytesStart<'_>, name: &str, line: u64) {
        let word = attribute(element, name).unwrap_or_default();
        if matches!(word.as_str(), "Failed" | "Error" | "Aborted" | "Timeout" | "Disconnected") {
            self.unwell = Some((word, line));
        }
    }

    fn case(&mut self, element: &BytesStart<'_>, names: &[&str], outcome: &str, line: u64) -> Result<(), Problem> {
        let name = names.iter().find_map(|name| attribute(element, name)).unwrap_or_default();
        let word = attribute(element, outcome).unwrap_or_default();
        let outcome = match word.to_ascii_lowercase().as_str() {
            "pass" | "passed" | "success" | "warning" | "completed" | "passedbutrunaborted" => Outcome::Passed,
            "skip" | "skipped" | "ignored" | "inconclusive" | "notexecuted" | "notrunnable" | "notrun" | "pending" => Outcome::Skipped,
            "fail" | "failed" | "failure" => Outcome::Failed,
            "error" | "timeout" | "aborted" | "disconnected" => Outcome::Error,
            _ => return Err(Problem::at(line, format!("says {outcome}=\"{word}\" of a test, which is no outcome"))),
        };
        // A data-driven test of TRX holds the results of its rows; it is one test, and no worse than it says itself.
        match &mut self.case {
            Some(case) => case.rows_open += u64::from(case.element == local(element.name().0)),
            None => {
                let element = local(element.name().0).to_string();
                self.case = Some(Case { element, name, outcome, message: String::new(), line, rows_open: 0 });
            }
        }
        Ok(())
    }

    fn close(&mut self, name: &str) {
        self.in_message = false;
        match &mut self.case {
            Some(case) if case.element == name && case.rows_open == 0 => {}
            Some(case) => return case.rows_open -= u64::from(case.element == name),
            None => return,
        }
        let Some(case) = self.case.take() else { return };
        match case.outcome {
            Outcome::Passed => self.tally.passed += 1,
            Outcome::Skipped => self.tally.skipped += 1,
            Outcome::Failed => self.tally.fail(&case.name, &case.message, case.line),
            Outcome::Error => self.tally.error(&case.name, &case.message, case.line),
        }
    }

    fn finish(mut self) -> Result<Vec<Parsed>, Problem> {
        let hidden = self.admitted.saturating_sub(self.tally.failed + self.tally.errors);
        self.tally.failed += hidden;
        if let Some((word, line)) = self.unwell
            && self.tally.failed + self.tally.errors == 0
        {
            self.tally.error("the run", &word, line);
        }
        Ok(self.tally.finish(self.tool, None))
    }
}
