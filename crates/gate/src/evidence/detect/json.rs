//! Reports in JSON, by the keys near their start and where these stand.

use super::outline::Outline;
use super::{Format, after_end, contains};

pub(super) fn format(text: &[u8]) -> Option<Format> {
    if is_sarif(text) {
        return Some(Format::Sarif);
    }
    let outline = Outline::of(text);
    tests(&outline).or_else(|| coverage(&outline)).or_else(|| scans(&outline))
}

pub(super) fn tests(outline: &Outline) -> Option<Format> {
    let action = outline.value("Action").unwrap_or_default();
    let actions =
        ["start", "run", "pause", "cont", "pass", "bench", "fail", "output", "skip", "attr", "artifacts", "build-output", "build-fail"];
    if actions.contains(&action) && outline.has_any(&["Package", "ImportPath", "Test"]) {
        return Some(Format::GoTest);
    }
    let begins = matches!(outline.value("type"), Some("suite" | "test")) && outline.value("event") == Some("started");
    (begins && outline.has_any(&["test_count", "name"])).then_some(Format::Libtest)
}

fn coverage(outline: &Outline) -> Option<Format> {
    if outline.has("meta/version") && outline.has_any(&["meta/branch_coverage", "meta/show_contexts"]) {
        return Some(Format::CoveragePy);
    }
    let measured = ["data/*/files/*/branches", "data/*/files/*/segments", "data/*/files/*/expansions", "data/*/files/*/summary/lines"];
    (outline.has_any(&measured) || outline.value("type") == Some("llvm.coverage.json.export")).then_some(Format::LlvmCov)
}

fn scans(outline: &Outline) -> Option<Format> {
    // The scan may stand far behind its findings, or before them.
    let told = [
        "vulnerabilities/*/category",
        "vulnerabilities/*/identifiers",
        "vulnerabilities/*/location",
        "scan/scanner",
        "scan/type",
        "scan/analyzer",
    ];
    let gitlab = outline.has("vulnerabilities") && outline.has("version") && outline.has_any(&told);
    let schema = outline.value("schema").is_some_and(|schema| schema.contains("security-report"));
    (gitlab || schema).then_some(Format::Gitlab)
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
