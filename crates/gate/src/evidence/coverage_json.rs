//! Coverage as JSON: coverage.py's own report and LLVM's export (clang, swift, cargo-llvm-cov). The totals count; the files must add up.

use std::io::BufRead;

use serde_json::Value;

use super::claim::{ClaimKind, Parsed, Problem, percent};
use super::json::{Seen, number, text, walk};

/// `totals` and `files` of a report that `coverage json` wrote.
pub(crate) fn parse_coverage_py(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut sums = Sums::default();
    let mut version = None;
    let paths = ["meta/version", "files/*/summary", "totals"];
    walk(input, "a report of coverage.py", &paths, &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::Value(value)) => version = text(&value, "", 100),
            (1, Seen::Value(value)) => sums.file(figures(&value, "/covered_lines", "/num_statements")?),
            (2, Seen::Value(value)) => sums.whole(figures(&value, "/covered_lines", "/num_statements")?),
            _ => {}
        }
        Ok(())
    })?;
    sums.finish("coverage.py", version)
}

pub(crate) fn parse_llvm(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut sums = Sums::default();
    let mut exported = false;
    let paths = ["type", "data/[]/files/[]/summary/lines", "data/[]/totals/lines"];
    walk(input, "an export of llvm-cov", &paths, &mut |index, seen, _| {
        match (index, seen) {
            (0, Seen::Value(value)) => exported = value.as_str() == Some("llvm.coverage.json.export"),
            (1, Seen::Value(value)) => sums.file(figures(&value, "/covered", "/count")?),
            (2, Seen::Value(value)) => sums.whole(figures(&value, "/covered", "/count")?),
            _ => {}
        }
        Ok(())
    })?;
    if !exported {
        return Err(Problem::new("does not say that it is an export of llvm-cov"));
    }
    sums.finish("llvm-cov", None)
}

#[derive(Debug, Default)]
struct Sums {
    files: (u64, u64),
    whole: Option<(u64, u64)>,
}

impl Sums {
    fn file(&mut self, (covered, total): (u64, u64)) {
        self.files = (self.files.0.saturating_add(covered), self.files.1.saturating_add(total));
    }

    fn whole(&mut self, (covered, total): (u64, u64)) {
        let sum = self.whole.get_or_insert_default();
        *sum = (sum.0.saturating_add(covered), sum.1.saturating_add(total));
    }

    fn finish(self, tool: &str, tool_version: Option<String>) -> Result<Vec<Parsed>, Problem> {
        let (lines_covered, lines_total) = self.whole.ok_or_else(|| Problem::new("has no totals"))?;
        if lines_total == 0 {
            return Err(Problem::new("measured no line at all"));
        }
        if lines_covered > lines_total {
            return Err(Problem::new(format!("says that {lines_covered} of {lines_total} lines are covered")));
        }
        if self.files.1 > 0 && self.files != (lines_covered, lines_total) {
            let (covered, total) = self.files;
            return Err(Problem::new(format!(
                "says {lines_covered} of {lines_total} lines in its totals, but its files add up to {covered} of {total}"
            )));
        }
        let kind = ClaimKind::Coverage { lines_covered, lines_total, percent: percent(lines_covered, lines_total) };
        Ok(vec![Parsed { kind, tool: Some(tool.to_string()), tool_version, line: None }])
    }
}

fn figures(value: &Value, covered: &str, total: &str) -> Result<(u64, u64), Problem> {
    let figure = |pointer: &str| number(value, pointer).ok_or_else(|| Problem::new(format!("has a sum without `{}`", &pointer[1..])));
    Ok((figure(covered)?, figure(total)?))
}
