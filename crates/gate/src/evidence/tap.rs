//! TAP 12 to 14: one line a test, a plan before or after them, subtests indented under the line that sums them up.

use std::io::BufRead;

use super::claim::{Parsed, Problem};
use super::lines::each_line;
use super::tally::Tally;

const LINE_MAX_BYTES: u64 = 1 << 20;
/// Deeper than any runner indents its subtests.
const DEPTH_MAX: usize = 64;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    each_line(input, LINE_MAX_BYTES, |text, line| report.take(text, line))?;
    report.finish()
}

#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    levels: Vec<Level>,
    /// The indentation of a YAML block that is open.
    block: Option<usize>,
    /// A failure is told when its diagnosis has been read.
    failing: Option<Failing>,
    bailed: bool,
    /// A diagnosis can only follow a test point.
    after_point: bool,
}

/// One indentation: its plan, and what was seen since the last test point of the level outside.
#[derive(Debug, Default)]
struct Level {
    planned: Option<u64>,
    points: u64,
    failed: u64,
}

#[derive(Debug)]
struct Failing {
    name: String,
    message: String,
    line: u64,
}

impl Report {
    fn take(&mut self, text: &str, line: u64) -> Result<(), Problem> {
        let content = text.trim_start();
        let indent = text.len() - content.len();
        if let Some(block) = self.block {
            if content == "..." && indent <= block {
                self.block = None;
            } else if let Some(failing) = &mut self.failing
                && failing.message.is_empty()
            {
                let told = ["message:", "error:"].iter().find_map(|key| content.strip_prefix(key));
                failing.message = told.unwrap_or_default().trim().trim_matches(['"', '\'', '|', '-', '>']).to_string();
            }
            return Ok(());
        }
        // Anywhere else it is a line that some program wrote.
        if content == "---" && self.after_point && indent > 0 {
            self.block = Some(indent);
            return Ok(());
        }
        self.after_point = false;
        if let Some(version) = text.strip_prefix("TAP version ") {
            return match version.trim() {
                "12" | "13" | "14" => Ok(()),
                other => Err(Problem::at(line, format!("is TAP {other}; 12 to 14 are read"))),
            };
        }
        if let Some(reason) = content.strip_prefix("Bail out!") {
            self.tell();
            self.bailed = true;
            self.tally.error("Bail out!", reason.trim(), line);
            return Ok(());
        }
        let depth = indent / 4;
        if !indent.is_multiple_of(4) || depth > DEPTH_MAX {
            return Ok(());
        }
        if let Some(count) = plan(content) {
            return self.planned(depth, count, line);
        }
        match point(content) {
            Some(point) => self.point(depth, &point, line),
            None => Ok(()),
        }
    }

    fn level(&mut self, depth: usize) -> &mut Level {
        while self.levels.len() <= depth {
            self.levels.push(Level::default());
        }
        &mut self.levels[depth]
    }

    fn planned(&mut self, depth: usize, count: u64, line: u64) -> Result<(), Problem> {
        match self.level(depth).planned.replace(count) {
            Some(_) => Err(Problem::at(line, "has two plans")),
            None => Ok(()),
        }
    }

    fn point(&mut self, depth: usize, point: &Point<'_>, line: u64) -> Result<(), Problem> {
        self.tell();
        self.after_point = true;
        let (mut inner_points, mut inner_failed) = (0, 0);
        while self.levels.len() > depth + 1 {
            let Some(inner) = self.levels.pop() else { break };
            inner.check(line)?;
            inner_points += inner.points;
            inner_failed += inner.failed;
        }
        let failed = !point.ok && !point.excused;
        let level = self.level(depth);
        level.points += 1;
        level.failed += u64::from(failed) + if point.excused { 0 } else { inner_failed };
        // It sums up subtests that were counted already; only a failure none of them shows is news.
        if inner_points > 0 && (!failed || inner_failed > 0) {
            return Ok(());
        }
        if failed {
            self.failing = Some(Failing { name: point.name.to_string(), message: String::new(), line });
        } else if point.excused {
            self.tally.skipped += 1;
        } else {
            self.tally.passed += 1;
        }
        Ok(())
    }

    fn tell(&mut self) {
        if let Some(Failing { name, message, line }) = self.failing.take() {
            self.tally.fail(&name, &message, line);
        }
    }

    fn finish(mut self) -> Result<Vec<Parsed>, Problem> {
        self.tell();
        if !self.bailed {
            if self.block.is_some() {
                return Err(Problem::new("ends in the middle of a diagnosis"));
            }
            if self.levels.len() > 1 {
                return Err(Problem::new("ends in the middle of a subtest"));
            }
            match self.levels.first() {
                Some(level) if level.planned.is_some() => level.check_end()?,
                _ => return Err(Problem::new("has no plan: nothing says that it is whole")),
            }
        }
        Ok(self.tally.finish(None, None))
    }
}

impl Level {
    fn check(&self, line: u64) -> Result<(), Problem> {
        self.check_end().map_err(|problem| Problem::at(line, problem.reason))
    }

    fn check_end(&self) -> Result<(), Problem> {
        match self.planned {
            Some(planned) if planned != self.points => Err(Problem::new(format!("plans {planned} tests and reports {}", self.points))),
            _ => Ok(()),
        }
    }
}

struct Point<'a> {
    ok: bool,
    /// Skipped, or known not to work yet.
    excused: bool,
    name: &'a str,
}

/// `1..N`, maybe with a remark.
fn plan(text: &str) -> Option<u64> {
    text.strip_prefix("1..")?.split_whitespace().next()?.parse().ok()
}

fn point(text: &str) -> Option<Point<'_>> {
    let (ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let (told, directive) = match rest.rfind(" #") {
        Some(place) => (&rest[..place], rest[place + 2..].trim_start().to_ascii_lowercase()),
        None => (rest, String::new()),
    };
    let todo = directive.starts_with("todo");
    let skip = directive.starts_with("skip");
    let told = told.trim().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let name = told.strip_prefix("- ").unwrap_or(told).trim_end_matches(" {");
    // A test that is not expected to work and does is simply a passed one.
    Some(Point { ok, excused: skip || (todo && !ok), name })
}
