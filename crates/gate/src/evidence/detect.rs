//! Which format a file has, from its first bytes; the name counts only where the content says nothing.

/// What is looked at of a file that turns out to be no evidence.
pub(crate) const START_BYTES: u64 = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Junit,
    Cobertura,
    Lcov,
    Sarif,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Detected {
    Format(Format),
    Nothing,
    Broken(String),
}

pub(crate) fn detect(path: &str, start: &[u8]) -> Detected {
    let named = by_name(path);
    if let Some(plain) = from_utf16(start) {
        return match by_content(&plain).or(named) {
            Some(_) => Detected::Broken("is encoded in UTF-16; only UTF-8 is read".to_string()),
            None => Detected::Nothing,
        };
    }
    if let Some(format) = by_content(start) {
        return Detected::Format(format);
    }
    match named {
        Some(Format::Sarif) if trimmed(start).starts_with(b"{") => Detected::Format(Format::Sarif),
        // Another format under the same name (JaCoCo's coverage.xml) is its own thing, not a broken one of ours.
        Some(Format::Junit | Format::Cobertura) if root_element(start).is_some() => Detected::Nothing,
        Some(format) if trimmed(start).is_empty() => Detected::Broken(format!("is named like {} and is empty", what(format))),
        Some(format) => Detected::Broken(format!("is named like {} and holds something else", what(format))),
        None => Detected::Nothing,
    }
}

fn by_content(start: &[u8]) -> Option<Format> {
    let text = trimmed(start);
    match text.first()? {
        b'<' => match root_element(start)? {
            (b"testsuites" | b"testsuite", _) => Some(Format::Junit),
            // Clover's root has the same name; Cobertura's always has a rate.
            (b"coverage", rest) if contains(rest, b"line-rate") || contains(rest, b"lines-valid") => Some(Format::Cobertura),
            _ => None,
        },
        b'{' => is_sarif(text).then_some(Format::Sarif),
        b'T' | b'S' => is_lcov(text).then_some(Format::Lcov),
        _ => None,
    }
}

fn by_name(path: &str) -> Option<Format> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase();
    if name.ends_with(".sarif") || name.ends_with(".sarif.json") {
        Some(Format::Sarif)
    } else if name == "lcov.info" || name.ends_with(".lcov") {
        Some(Format::Lcov)
    } else if name.ends_with(".xml") && (name.contains("junit") || name.starts_with("test-")) {
        Some(Format::Junit)
    } else if name == "coverage.xml" || (name.ends_with(".xml") && name.contains("cobertura")) {
        Some(Format::Cobertura)
    } else {
        None
    }
}

fn what(format: Format) -> &'static str {
    match format {
        Format::Junit => "a JUnit report",
        Format::Cobertura => "a Cobertura report",
        Format::Lcov => "an LCOV trace",
        Format::Sarif => "a SARIF report",
    }
}

/// The first element's name and what follows it, past the declaration, comments, instructions and the document type.
fn root_element(start: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = trimmed(start);
    loop {
        let after = rest.strip_prefix(b"<")?;
        rest = if after.starts_with(b"!--") {
            trimmed(after_end(after, b"-->")?)
        } else if after.starts_with(b"?") {
            trimmed(after_end(after, b"?>")?)
        } else if after.starts_with(b"!") {
            let subset = after.iter().position(|byte| *byte == b'[').unwrap_or(usize::MAX);
            let end = after.iter().position(|byte| *byte == b'>')?;
            trimmed(if subset < end { after_end(after, b"]")?.get(1..)? } else { &after[end + 1..] })
        } else {
            let end = after.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')).unwrap_or(after.len());
            let local = after[..end].rsplit(|byte| *byte == b':').next().unwrap_or_default();
            return (!local.is_empty() && local[0].is_ascii_alphabetic()).then_some((local, &after[end..]));
        };
    }
}

/// SARIF by what it must have near its start: a list of `runs` and its schema or its version, or the list first of all.
fn is_sarif(text: &[u8]) -> bool {
    let schema = contains(text, b"sarif");
    let first = text[1..].trim_ascii_start().starts_with(b"\"runs\"");
    let runs = has_list(text, b"\"runs\"");
    (runs && (schema || first || contains(text, b"\"2.1.0\""))) || (schema && contains(text, b"\"$schema\""))
}

/// The key is there and opens a list of objects, as far as can be seen.
fn has_list(text: &[u8], key: &[u8]) -> bool {
    let Some(rest) = after_end(text, key) else { return false };
    let mut rest = rest.trim_ascii_start();
    for expected in [b":", b"[", b"{"] {
        match rest.strip_prefix(expected) {
            Some(after) => rest = after.trim_ascii_start(),
            None => return rest.is_empty() || (expected == b"{" && rest.starts_with(b"]")),
        }
    }
    true
}

/// LCOV by its first lines: test names, then a source file, then a record about it.
fn is_lcov(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').skip_while(|line| line.starts_with(b"TN:") || line.trim_ascii().is_empty());
    let records: [&[u8]; 10] = [b"DA:", b"FN:", b"FNL:", b"FNF:", b"BRDA:", b"BRF:", b"LF:", b"LH:", b"VER:", b"end_of_record"];
    lines.next().is_some_and(|first| first.starts_with(b"SF:"))
        && lines.next().is_some_and(|second| records.iter().any(|prefix| second.starts_with(prefix)))
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn after_end<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let position = text.windows(end.len()).position(|window| window == end)?;
    Some(&text[position + end.len()..])
}

/// The ASCII part of a text that starts like UTF-16, with or without its mark.
fn from_utf16(start: &[u8]) -> Option<Vec<u8>> {
    let marked = start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF");
    let bare = start.len() >= 4 && (start[1] == 0 && start[3] == 0 || start[0] == 0 && start[2] == 0);
    (marked || bare).then(|| start.iter().copied().filter(|byte| !matches!(byte, 0 | 0xFE | 0xFF)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_the_name_only_where_content_is_silent() {
        let junit = Detected::Format(Format::Junit);
        let sarif = Detected::Format(Format::Sarif);
        let cases: &[(&str, &[u8], Detected)] = &[
            ("out/notes.txt", b"\xEF\xBB\xBF<?xml version='1.0'?><!-- a > b --><testsuites>", junit),
            ("a", b"<!DOCTYPE testsuite [<!ENTITY x 'y'>]><testsuite>", Detected::Format(Format::Junit)),
            ("a", b"<coverage line-rate='1'>", Detected::Format(Format::Cobertura)),
            ("coverage.xml", b"<coverage generated='1' clover='4'>", Detected::Nothing),
            ("coverage.xml", b"<report name='jacoco'>", Detected::Nothing),
            ("a", b"{\"version\":\"2.1.0\",\"runs\":[", sarif),
            ("a", b"{ \"runs\" : [", Detected::Format(Format::Sarif)),
            ("package.json", b"{\"version\":\"2.1.0\",\"name\":\"runs\"}", Detected::Nothing),
            ("x.sarif", b"{}", Detected::Format(Format::Sarif)),
            ("x.sarif", b"", Detected::Broken("is named like a SARIF report and is empty".into())),
            ("junit.xml", b"oops", Detected::Broken("is named like a JUnit report and holds something else".into())),
            ("a", b"TN:\nSF:a.c\nDA:1,1\n", Detected::Format(Format::Lcov)),
            ("a", b"SF: I moved to San Francisco\nand liked it", Detected::Nothing),
            ("a", b"\xFF\xFE<\0t\0e\0s\0t\0s\0u\0i\0t\0e\0>\0", Detected::Broken("is encoded in UTF-16; only UTF-8 is read".into())),
            ("main.rs", b"fn main() {}", Detected::Nothing),
            ("index.html", b"<!doctype html><html>", Detected::Nothing),
            ("a", b"", Detected::Nothing),
        ];
        for (path, start, expected) in cases {
            assert_eq!(&detect(path, start), expected, "{path} {:?}", String::from_utf8_lossy(start));
        }
    }
}
