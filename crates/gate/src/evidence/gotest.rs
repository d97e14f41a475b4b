//! `go test -json`: one event a line. What began must end: a test or a package that doesn't was cut short.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use serde::Deserialize;

use super::claim::{Parsed, Problem, shorten};
use super::lines::each_line;
use super::tally::Tally;

/// One piece of output is one event.
const LINE_MAX_BYTES: u64 = 16 << 20;
const OUTPUT_MAX_BYTES: usize = 2 << 10;
/// Of names and words of tests that began and did not end; Go runs as many as there are processors, and waits for the rest.
const OPEN_MAX_BYTES: usize = 64 << 20;
/// What a name costs beside its bytes.
const ENTRY_BYTES: usize = 128;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    let ended = each_line(input, LINE_MAX_BYTES, |text, line| report.take(text, line))?;
    if !ended {
        return Err(Problem::new("ends in the middle of a line"));
    }
    report.finish()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Event {
    action: String,
    package: Option<String>,
    import_path: Option<String>,
    test: Option<String>,
    output: Option<String>,
}

#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    packages: BTreeMap<String, Package>,
    /// What the compiler said.
    builds: BTreeMap<String, String>,
    /// Packages that don't build, by the import path without the variant in brackets.
    unbuilt: BTreeSet<String>,
    open_bytes: usize,
    seen: bool,
}

/// A package whose end wasn't seen yet.
#[derive(Debug, Default)]
struct Package {
    tests: BTreeMap<String, String>,
    failed: bool,
    said: String,
}

impl Report {
    fn take(&mut self, text: &str, line: u64) -> Result<(), Problem> {
        // `go` itself speaks between the events when both streams go to one file.
        if !text.starts_with('{') {
            return Ok(());
        }
        let event: Event = serde_json::from_str(text).map_err(|_| Problem::at(line, "has a line that is no event of `go test -json`"))?;
        self.seen = true;
        match event.import_path.clone() {
            Some(path) => self.build(&path, &event, line),
            None => self.test(event, line),
        }
        if self.open_bytes > OPEN_MAX_BYTES {
            return Err(Problem::at(line, format!("has more than {} MiB of tests that began and did not end", OPEN_MAX_BYTES >> 20)));
        }
        Ok(())
    }

    fn build(&mut self, path: &str, event: &Event, line: u64) {
        match event.action.as_str() {
            "build-output" => {
                self.open_bytes += path.len() + ENTRY_BYTES;
                let said = self.builds.entry(path.to_string()).or_default();
                self.open_bytes += append(said, event.output.as_deref().unwrap_or_default());
            }
            "build-fail" => {
                let said = self.builds.remove(path).unwrap_or_default();
                self.tally.error(path, telling(&said), line);
                self.open_bytes += path.len() + ENTRY_BYTES;
                self.unbuilt.insert(path.split(' ').next().unwrap_or_default().to_string());
            }
            _ => {}
        }
    }

    fn test(&mut self, event: Event, line: u64) {
        let name = event.package.unwrap_or_default();
        if !self.packages.contains_key(&name) {
            self.open_bytes += name.len() + ENTRY_BYTES;
        }
        let package = self.packages.entry(name.clone()).or_default();
        let output = event.output.as_deref().unwrap_or_default();
        match (event.action.as_str(), event.test) {
            (action @ ("run" | "output"), Some(test)) => {
                self.open_bytes += if package.tests.contains_key(&test) { 0 } else { test.len() + ENTRY_BYTES };
                let said = package.tests.entry(test).or_default();
                if action == "output" {
                    self.open_bytes += append(said, output);
                }
            }
            ("output", None) => self.open_bytes += append(&mut package.said, output),
            (end @ ("pass" | "fail" | "skip"), Some(test)) => {
                let said = package.tests.remove(&test);
                self.open_bytes -= said.as_ref().map_or(0, |said| test.len() + ENTRY_BYTES + said.len());
                let said = said.unwrap_or_default();
                match end {
                    "pass" => self.tally.passed += 1,
                    "skip" => self.tally.skipped += 1,
                    _ => {
                        package.failed = true;
                        self.tally.fail(&full_name(&name, &test), telling(&said), line);
                    }
                }
            }
            (end @ ("pass" | "fail" | "skip"), None) => self.end(&name, end == "fail", line),
            _ => {}
        }
    }

    fn end(&mut self, name: &str, failed: bool, line: u64) {
        let Some(package) = self.packages.remove(name) else { return };
        let tests: usize = package.tests.iter().map(|(test, said)| test.len() + ENTRY_BYTES + said.len()).sum();
        self.open_bytes -= name.len() + ENTRY_BYTES + package.said.len() + tests;
        if !failed {
            return;
        }
        for (test, said) in &package.tests {
            self.tally.error(&full_name(name, test), telling(said), line);
        }
        if package.tests.is_empty() && !package.failed && !self.unbuilt.contains(name) {
            self.tally.error(name, telling(&package.said), line);
        }
    }

    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        if !self.seen {
            return Err(Problem::new("holds no event"));
        }
        match self.packages.keys().next() {
            Some(name) => Err(Problem::new(format!("ends in the middle of package {}", shorten(name, 200)))),
            None => Ok(self.tally.finish(Some("go test"), None)),
        }
    }
}

fn full_name(package: &str, test: &str) -> String {
    if package.is_empty() { test.to_string() } else { format!("{package}.{test}") }
}

/// How many bytes were added: the first words of a failure say what it is.
fn append(said: &mut String, output: &str) -> usize {
    let before = said.len();
    if before < OUTPUT_MAX_BYTES {
        said.extend(output.chars().take(OUTPUT_MAX_BYTES));
    }
    said.len() - before
}

/// The first line that is not Go's own frame around it.
fn telling(said: &str) -> &str {
    let frame = ["=== ", "--- ", "# ", "FAIL", "PASS", "ok ", "exit status"];
    said.lines().map(str::trim).find(|line| !line.is_empty() && !frame.iter().any(|prefix| line.starts_with(prefix))).unwrap_or_default()
}
