//! Reports in XML, by the first element and what stands near it.

use super::{Format, after_end, contains, trimmed};

pub(super) fn format(text: &[u8]) -> Option<Format> {
    match root_element(text)? {
        (b"testsuites" | b"testsuite", _) => Some(Format::Junit),
        (b"test-run" | b"TestRun", _) => Some(Format::Dotnet),
        (b"assemblies", rest) if contains(rest, b"<assembly") || contains(rest, b"timestamp=") => Some(Format::Dotnet),
        (b"assembly", rest) if contains(rest, b"test-framework=") => Some(Format::Dotnet),
        // Clover's root has the same name; Cobertura's always has a rate.
        (b"coverage", rest) if contains(rest, b"line-rate") || contains(rest, b"lines-valid") => Some(Format::Cobertura),
        (b"coverage", rest)
            if contains(rest, b"<project") && (contains(rest, b"clover=") || contains(rest, b"<metrics") || contains(rest, b"<line")) =>
        {
            Some(Format::Clover)
        }
        (b"report", rest) if contains(text, b"-//JACOCO//") || is_jacoco(rest) => Some(Format::Jacoco),
        _ => None,
    }
}

/// Kover writes no document type.
fn is_jacoco(rest: &[u8]) -> bool {
    contains(rest, b"<sessioninfo ")
        || ((contains(rest, b"<package ") || contains(rest, b"<group ")) && contains(rest, b"<counter ") && contains(rest, b"missed="))
}

/// The first element's name and what follows it, past the declaration, comments, instructions and the document type.
pub(super) fn root_element(start: &[u8]) -> Option<(&[u8], &[u8])> {
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
