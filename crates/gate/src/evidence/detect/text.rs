//! Reports in plain lines.

use crate::evidence::benchmark::is_go_figures;

/// LCOV by its first lines: test names, then a source file, then a record about it.
pub(super) fn is_lcov(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').skip_while(|line| line.starts_with(b"TN:") || line.trim_ascii().is_empty());
    let records: [&[u8]; 10] = [b"DA:", b"FN:", b"FNL:", b"FNF:", b"BRDA:", b"BRF:", b"LF:", b"LH:", b"VER:", b"end_of_record"];
    lines.next().is_some_and(|first| first.starts_with(b"SF:"))
        && lines.next().is_some_and(|second| records.iter().any(|prefix| second.starts_with(prefix)))
}

/// A plan alone is a line of any text: a test point has to follow it.
pub(super) fn is_tap(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let plan = lines.next().and_then(|line| line.strip_prefix(b"1.."));
    let counted = plan.is_some_and(|count| count.first().is_some_and(u8::is_ascii_digit));
    counted && lines.map(<[u8]>::trim_ascii_start).find(|line| !line.is_empty() && !line.starts_with(b"#")).is_some_and(is_point)
}

/// Test points in order, the plan comes last: one point alone is a line of any text.
pub(super) fn is_tap_without_head(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| is_point(line) || line.starts_with(b"1.."));
    let numbered = |line: &[u8], number: &[u8]| {
        let rest = line.strip_prefix(b"not ").unwrap_or(line).strip_prefix(b"ok ").and_then(|rest| rest.strip_prefix(number));
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
    };
    lines.next().is_some_and(|first| text.starts_with(first) && numbered(first, b"1"))
        && lines.next().is_some_and(|second| second == b"1..1" || numbered(second, b"2"))
}

/// Go says where it runs before the first benchmark; where that was cut away, the figures tell. Prose that quotes either begins otherwise.
pub(super) fn is_go_bench(text: &[u8]) -> bool {
    let frame = ["goos: ", "goarch: ", "pkg: ", "cpu: ", "Benchmark", "PASS", "ok  \t", "?   \t", "testing: ", "go: ", "=== ", "--- "];
    if !frame.iter().any(|begin| text.starts_with(begin.as_bytes())) {
        return false;
    }
    let text = String::from_utf8_lossy(text);
    let mut before = "";
    text.lines().any(|line| {
        let begins = before.starts_with("goos: ") && line.starts_with("goarch: ");
        before = line;
        begins || is_go_figures(line)
    })
}

fn is_point(line: &[u8]) -> bool {
    line.starts_with(b"ok ") || line.starts_with(b"not ok ")
}

pub(super) fn is_coverprofile(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    matches!(first, b"mode: set" | b"mode: count" | b"mode: atomic")
}
