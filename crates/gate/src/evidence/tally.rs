//! Tests that are counted one by one, whatever format tells of them.

use super::claim::{ClaimKind, FAILURES_KEPT_MAX, Parsed, TestFailure, shorten};

const TEXT_MAX_CHARS: usize = 300;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub errors: u64,
    pub skipped: u64,
    failures: Vec<TestFailure>,
    /// Of the first test that failed.
    line: Option<u64>,
}

impl Tally {
    pub fn fail(&mut self, name: &str, message: &str, line: u64) {
        self.failed += 1;
        self.keep(name, message, line);
    }

    /// What went wrong around the tests: a build, a panic, a run that was given up.
    pub fn error(&mut self, name: &str, message: &str, line: u64) {
        self.errors += 1;
        self.keep(name, message, line);
    }

    pub fn finish(self, tool: Option<&str>, tool_version: Option<String>) -> Vec<Parsed> {
        let Tally { passed, failed, errors, skipped, failures, line } = self;
        let kind = ClaimKind::Tests { passed, failed, errors, skipped, failures };
        vec![Parsed { kind, tool: tool.map(str::to_string), tool_version, line }]
    }

    fn keep(&mut self, name: &str, message: &str, line: u64) {
        self.line.get_or_insert(line);
        if self.failures.len() < FAILURES_KEPT_MAX {
            let (name, message) = (shorten(name, TEXT_MAX_CHARS), shorten(message, TEXT_MAX_CHARS));
            self.failures.push(TestFailure { name, message, file: None, line: None });
        }
    }
}
