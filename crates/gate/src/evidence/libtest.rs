//! The JSON of Rust's test harness, and of nextest, which writes it too: one event a line, one suite after another.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use super::claim::{Parsed, Problem};
use super::lines::each_line;
use super::tally::Tally;

/// A failed test carries all it said.
const LINE_MAX_BYTES: u64 = 16 << 20;
/// No machine runs that many at once.
const OPEN_MAX: usize = 10_000;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    each_line(input, LINE_MAX_BYTES, |text, line| report.take(text, line))?;
    report.finish()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    event: String,
    name: String,
    message: Option<String>,
    stdout: Option<String>,
    reason: Option<String>,
    test_count: Option<u64>,
    passed: Option<u64>,
    failed: Option<u64>,
    ignored: u64,
    filtered_out: u64,
    nextest: Option<Nextest>,
}

/// What nextest adds where several suites run at once and their events mix.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nextest {
    #[serde(rename = "crate")]
    package: String,
    test_binary: String,
}

#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    /// By what the names of their tests begin with; the plain harness runs one suite after another and names none.
    open: BTreeMap<String, Suite>,
    suites: u64,
    nextest: bool,
}

#[derive(Debug, Default)]
struct Suite {
    planned: Option<u64>,
    ended: u64,
    passed: u64,
    failed: u64,
}

impl Report {
    fn take(&mut self, text: &str, line: u64) -> Result<(), Problem> {
        // Tests that are not captured write between the events.
        if !text.starts_with('{') {
            return Ok(());
        }
        let event: Event = serde_json::from_str(text).map_err(|_| Problem::at(line, "has a line that is no event of a test harness"))?;
        self.nextest |= event.nextest.is_some();
        match (event.kind.as_str(), event.event.as_str()) {
            ("suite", "started") => {
                let suite = Suite { planned: event.test_count, ..Suite::default() };
                if self.open.insert(event.suite(), suite).is_some() {
                    return Err(Problem::at(line, "begins a suite inside another"));
                }
                if self.open.len() > OPEN_MAX {
                    return Err(Problem::at(line, format!("has more than {OPEN_MAX} suites that began and did not end")));
                }
            }
            ("suite", outcome) => self.end(&event, outcome, line)?,
            ("test", outcome) => self.test(&event, outcome, line),
            ("bench", _) => {
                if let Some(suite) = self.suite_of(&event.name) {
                    suite.ended += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn suite_of(&mut self, test: &str) -> Option<&mut Suite> {
        let prefix = test.split(['$', '@']).next().unwrap_or_default();
        let key = if self.open.contains_key(prefix) { prefix } else { "" };
        self.open.get_mut(key)
    }

    fn test(&mut self, event: &Event, outcome: &str, line: u64) {
        match outcome {
            "ok" => self.tally.passed += 1,
            "ignored" => self.tally.skipped += 1,
            "failed" => {
                let said = event
                    .message
                    .as_deref()
                    .or_else(|| event.stdout.as_deref().map(telling))
                    .or(event.reason.as_deref())
                    .unwrap_or_default();
                self.tally.fail(&event.name, said, line);
            }
            // `started`, and `timeout`, which only warns that it takes long.
            _ => return,
        }
        if let Some(suite) = self.suite_of(&event.name) {
            suite.ended += 1;
            suite.passed += u64::from(outcome == "ok");
            suite.failed += u64::from(outcome == "failed");
        }
    }

    fn end(&mut self, event: &Event, outcome: &str, line: u64) -> Result<(), Problem> {
        let suite = self.open.remove(&event.suite()).ok_or_else(|| Problem::at(line, "ends a suite that never began"))?;
        self.suites += 1;
        let hidden = event.failed.unwrap_or(0).saturating_sub(suite.failed);
        self.tally.failed += hidden;
        if outcome != "ok" && suite.failed + hidden == 0 {
            self.tally.error("the suite", outcome, line);
        }
        let passed = event.passed.unwrap_or(0);
        if passed > suite.passed {
            return Err(Problem::at(line, format!("says that {passed} tests passed and reports {}", suite.passed)));
        }
        let unseen = suite.planned.unwrap_or(0).saturating_sub(suite.ended + event.filtered_out + event.ignored);
        if outcome == "ok" && unseen > 0 {
            return Err(Problem::at(line, format!("plans {} tests and reports {}", suite.planned.unwrap_or(0), suite.ended)));
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        if !self.open.is_empty() || self.suites == 0 {
            return Err(Problem::new("ends in the middle of a suite"));
        }
        Ok(self.tally.finish(Some(if self.nextest { "cargo-nextest" } else { "cargo test" }), None))
    }
}

impl Event {
    fn suite(&self) -> String {
        self.nextest.as_ref().map(|nextest| format!("{}::{}", nextest.package, nextest.test_binary)).unwrap_or_default()
    }
}

/// What the panic says comes after the line that says where.
fn telling(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut first = None;
    while let Some(line) = lines.next() {
        if line.contains(" panicked at ") {
            return lines.next().unwrap_or(line);
        }
        first = first.or(Some(line));
    }
    first.unwrap_or_default()
}
