//! LCOV traces. A source file may appear in several records, one for each test: a line is covered when any of them hit it.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use super::claim::{ClaimKind, Parsed, Problem, percent};

/// A line of a trace is a name or three numbers.
const LINE_MAX_BYTES: u64 = 64 << 10;
/// No source file has more lines; the number is kept in 31 bits.
const LINE_NUMBER_MAX: u32 = u32::MAX >> 1;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut trace = Trace::default();
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        line += 1;
        let count = input.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut bytes).map_err(|_| Problem::at(line, "can't be read on"))?;
        if count == 0 {
            break;
        }
        if count as u64 == LINE_MAX_BYTES && bytes.last() != Some(&b'\n') {
            return Err(Problem::at(line, format!("has a line longer than {} KiB", LINE_MAX_BYTES >> 10)));
        }
        trace.take(String::from_utf8_lossy(&bytes).trim_end(), line)?;
    }
    let (lines_covered, lines_total) = trace.finish()?;
    let kind = ClaimKind::Coverage { lines_covered, lines_total, percent: percent(lines_covered, lines_total) };
    Ok(vec![Parsed { kind, tool: None, tool_version: None, line: None }])
}

#[derive(Debug, Default)]
struct Trace {
    files: BTreeMap<String, File>,
    open: Option<(String, File)>,
}

/// Lines as `number << 1 | hit`, sorted when the record ends: four bytes a line.
#[derive(Debug, Default)]
struct File {
    lines: Vec<u32>,
    /// `LH` and `LF`, for traces without lines.
    covered: u64,
    total: u64,
}

impl Trace {
    fn take(&mut self, text: &str, line: u64) -> Result<(), Problem> {
        if text == "end_of_record" {
            let (name, file) = self.open.take().ok_or_else(|| Problem::at(line, "ends a record that never began"))?;
            self.files.entry(name).or_default().merge(file);
            return Ok(());
        }
        let Some((key, value)) = text.split_once(':') else { return Ok(()) };
        if key == "SF" {
            if self.open.is_some() {
                return Err(Problem::at(line, "begins a record inside another"));
            }
            self.open = Some((value.to_string(), File::default()));
            return Ok(());
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        let no_count = || Problem::at(line, format!("says `{text}`, which is no count"));
        match key {
            "DA" => file.lines.push(da(value).ok_or_else(no_count)?),
            "LF" => file.total = value.parse().map_err(|_| no_count())?,
            "LH" => file.covered = value.parse().map_err(|_| no_count())?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<(u64, u64), Problem> {
        if let Some((name, _)) = self.open {
            return Err(Problem::new(format!("ends in the middle of the record of {name}")));
        }
        let (mut covered, mut total) = (0, 0);
        for file in self.files.values() {
            let (file_covered, file_total) = file.totals();
            covered += file_covered;
            total += file_total;
        }
        if covered > total {
            return Err(Problem::new(format!("says that {covered} of {total} lines are covered")));
        }
        if total == 0 {
            return Err(Problem::new("measured no line at all"));
        }
        Ok((covered, total))
    }
}

impl File {
    fn merge(&mut self, other: File) {
        self.lines.extend(other.lines);
        self.lines.sort_unstable();
        // Of equal numbers the hit sorts last, and stays.
        self.lines.reverse();
        self.lines.dedup_by_key(|line| *line >> 1);
        self.covered = self.covered.max(other.covered);
        self.total = self.total.max(other.total);
    }

    fn totals(&self) -> (u64, u64) {
        if self.lines.is_empty() {
            return (self.covered, self.total);
        }
        (self.lines.iter().filter(|line| **line & 1 == 1).count() as u64, self.lines.len() as u64)
    }
}

/// `line,hits[,checksum]`; negative hits are an old compiler's overflow and no proof of anything.
fn da(value: &str) -> Option<u32> {
    let mut parts = value.split(',');
    let number: u32 = parts.next()?.parse().ok()?;
    let hits: i64 = parts.next()?.parse().ok()?;
    (number <= LINE_NUMBER_MAX).then_some(number << 1 | u32::from(hits > 0))
}
