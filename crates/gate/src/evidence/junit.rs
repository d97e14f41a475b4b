//! JUnit XML in its dialects: pytest, unittest-xml-reporting, surefire, gtest, jest, nextest and whoever copied them.
//!
//! Test cases are counted one by one. Where a suite's own figures admit more failures than its cases show, the worse figure counts.

use std::io::BufRead;

use quick_xml::events::BytesStart;

use super::claim::{ClaimKind, FAILURES_KEPT_MAX, Parsed, Problem, TestFailure, shorten};
use super::xml::{Token, attribute, count, local, walk};

const MESSAGE_MAX_CHARS: usize = 300;
/// Of a failure's text; what follows is the log of a chatty test.
const TEXT_MAX_BYTES: usize = 64 << 10;

pub(crate) fn parse(input: impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, |token, line| report.take(token, line))?;
    let Counts { total, failed, errors, skipped } = report.totals;
    let passed = total.saturating_sub(failed + errors + skipped);
    let kind = ClaimKind::Tests { passed, failed, errors, skipped, failures: report.failures };
    Ok(vec![Parsed { kind, tool: report.tool, tool_version: None, line: report.line }])
}

#[derive(Debug, Default)]
struct Report {
    suites: Vec<Suite>,
    case: Option<Case>,
    failures: Vec<TestFailure>,
    totals: Counts,
    tool: Option<String>,
    /// Of the first test that failed.
    line: Option<u64>,
}

/// An open `<testsuite>` or `<testsuites>`: what it says of itself and what was counted in it.
#[derive(Debug, Default)]
struct Suite {
    claimed: Counts,
    counted: Counts,
    file: Option<String>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    total: u64,
    failed: u64,
    errors: u64,
    skipped: u64,
}

/// An open `<testcase>`; its attributes are kept as written and only read when it failed.
#[derive(Debug, Default)]
struct Case {
    content: String,
    name_len: usize,
    line: u64,
    outcome: Outcome,
    message: String,
    class: String,
    text: String,
    /// The element inside the case whose text is the message.
    inside: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    #[default]
    Passed,
    Skipped,
    Failed,
    Error,
}

impl Report {
    fn take(&mut self, token: Token<'_>, line: u64) -> Result<(), Problem> {
        match token {
            Token::Open(element) => self.open(element, line),
            Token::Close(name) => {
                self.close(name);
                Ok(())
            }
            Token::Text(text) => {
                if let Some(case) = &mut self.case
                    && case.inside.is_some()
                    && case.text.len() < TEXT_MAX_BYTES
                {
                    case.text.extend(text.chars().take(TEXT_MAX_BYTES));
                }
                Ok(())
            }
            Token::Comment(_) => Ok(()),
        }
    }

    fn open(&mut self, element: &BytesStart<'_>, line: u64) -> Result<(), Problem> {
        match local(element.name().0) {
            "testsuites" | "testsuite" => {
                self.tool = self.tool.take().or_else(|| tool(element));
                self.suites.push(Suite { claimed: claimed(element, line)?, counted: Counts::default(), file: attribute(element, "file") });
            }
            "testcase" => self.case = Some(Case::open(element, line)),
            "failure" => self.worsen(element, Outcome::Failed),
            "error" => self.worsen(element, Outcome::Error),
            "skipped" | "disabled" => self.worsen(element, Outcome::Skipped),
            _ => {}
        }
        Ok(())
    }

    fn worsen(&mut self, element: &BytesStart<'_>, outcome: Outcome) {
        let Some(case) = &mut self.case else { return };
        // Only the first failure of a case is told.
        if outcome > case.outcome {
            case.message = attribute(element, "message").unwrap_or_default();
            case.class = attribute(element, "type").unwrap_or_default();
            case.text.clear();
            case.inside = case.message.is_empty().then(|| local(element.name().0).to_string());
        }
        case.outcome = case.outcome.max(outcome);
    }

    fn close(&mut self, name: &str) {
        match name {
            "testcase" => self.close_case(),
            "testsuites" | "testsuite" => self.close_suite(),
            _ => {
                if let Some(case) = &mut self.case
                    && case.inside.as_deref() == Some(name)
                {
                    case.inside = None;
                }
            }
        }
    }

    fn close_case(&mut self) {
        let Some(case) = self.case.take() else { return };
        let suite_file = self.suites.last().and_then(|suite| suite.file.clone());
        let counted = self.suites.last_mut().map_or(&mut self.totals, |suite| &mut suite.counted);
        counted.total += 1;
        match case.outcome {
            Outcome::Passed => {}
            Outcome::Skipped => counted.skipped += 1,
            Outcome::Failed => counted.failed += 1,
            Outcome::Error => counted.errors += 1,
        }
        if case.outcome >= Outcome::Failed {
            self.line.get_or_insert(case.line);
        }
        if case.outcome >= Outcome::Failed && self.failures.len() < FAILURES_KEPT_MAX {
            self.failures.push(case.failure(suite_file));
        }
    }

    fn close_suite(&mut self) {
        let Some(suite) = self.suites.pop() else { return };
        let whole = suite.worse();
        let outer = self.suites.last_mut().map_or(&mut self.totals, |outer| &mut outer.counted);
        outer.total += whole.total;
        outer.failed += whole.failed;
        outer.errors += whole.errors;
        outer.skipped += whole.skipped;
    }
}

impl Suite {
    /// Dialects differ in whether an error is also a failure, so only the sum of both is compared.
    fn worse(&self) -> Counts {
        let Suite { claimed, counted, .. } = self;
        let mut res = *counted;
        if counted.total == 0 {
            res = *claimed;
        } else {
            let hidden = (claimed.failed + claimed.errors).saturating_sub(counted.failed + counted.errors);
            res.failed += hidden;
        }
        res.total = res.total.max(claimed.total).max(res.failed + res.errors + res.skipped);
        res
    }
}

impl Case {
    fn open(element: &BytesStart<'_>, line: u64) -> Case {
        let content: &str = element;
        let outcome = match attribute(element, "status").or_else(|| attribute(element, "result")).as_deref() {
            Some("notrun" | "disabled" | "skipped" | "suppressed") => Outcome::Skipped,
            Some("failed" | "failure" | "fail") => Outcome::Failed,
            Some("error") => Outcome::Error,
            _ => Outcome::Passed,
        };
        Case { content: content.to_string(), name_len: element.name().0.len(), line, outcome, ..Case::default() }
    }

    fn failure(&self, suite_file: Option<String>) -> TestFailure {
        let element = BytesStart::from_content(self.content.as_str(), self.name_len);
        let name = attribute(&element, "name").unwrap_or_default();
        let name = match attribute(&element, "classname") {
            Some(class) if !class.is_empty() && !name.starts_with(&class) => format!("{class}.{name}"),
            _ => name,
        };
        TestFailure {
            name: shorten(&name, MESSAGE_MAX_CHARS),
            message: shorten(self.told(), MESSAGE_MAX_CHARS),
            file: attribute(&element, "file").or(suite_file),
            line: attribute(&element, "line").and_then(|line| line.parse().ok()),
        }
    }
}

impl Case {
    /// The message, else the telling line of the text (Python's is the last one), else the kind of failure.
    fn told(&self) -> &str {
        let mut lines = self.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = if self.text.trim_start().starts_with("Traceback") { lines.next_back() } else { lines.next() };
        if self.message.is_empty() { line.unwrap_or(&self.class) } else { &self.message }
    }
}

fn claimed(element: &BytesStart<'_>, line: u64) -> Result<Counts, Problem> {
    let mut skipped = 0;
    for name in ["skipped", "skip", "disabled", "ignored"] {
        skipped = skipped.max(count(element, name, line)?.unwrap_or(0));
    }
    Ok(Counts {
        total: count(element, "tests", line)?.unwrap_or(0),
        failed: count(element, "failures", line)?.unwrap_or(0),
        errors: count(element, "errors", line)?.unwrap_or(0),
        skipped,
    })
}

fn tool(element: &BytesStart<'_>) -> Option<String> {
    let schema = attribute(element, "xsi:noNamespaceSchemaLocation").unwrap_or_default();
    let tool = match attribute(element, "name").as_deref() {
        Some("pytest") => "pytest",
        Some("nextest-run") => "cargo-nextest",
        Some("jest tests") => "jest",
        _ if schema.contains("surefire") => "maven-surefire",
        _ => return None,
    };
    Some(tool.to_string())
}
