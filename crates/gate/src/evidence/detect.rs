//! Which format a file has, from its first bytes; the name counts only where the content says nothing.

mod json;
mod outline;
mod text;
mod xml;

use outline::Outline;
use text::{is_coverprofile, is_go_bench, is_lcov, is_tap, is_tap_without_head};
use xml::root_element;

use super::benchmark::Bench;
use super::bill::BillFormat;
use super::scanner::Scanner;

/// What is looked at of a file that turns out to be no evidence.
pub(crate) const START_BYTES: u64 = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Junit,
    Dotnet,
    Tap,
    GoTest,
    Libtest,
    Cobertura,
    Jacoco,
    Clover,
    Lcov,
    Coverprofile,
    CoveragePy,
    LlvmCov,
    Sarif,
    Attestation,
    Scanner(Scanner),
    Bench(Bench),
    Sbom(BillFormat),
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
        Some(Format::Attestation) if trimmed(start).starts_with(b"{") => Detected::Format(Format::Attestation),
        // Whatever the tests print may stand before the first line of it.
        Some(Format::Tap) if !trimmed(start).is_empty() => Detected::Format(Format::Tap),
        // Another format under the same name (JaCoCo's coverage.xml) is its own thing, not a broken one of ours.
        Some(Format::Junit | Format::Cobertura | Format::Jacoco | Format::Clover | Format::Dotnet) if root_element(start).is_some() => {
            Detected::Nothing
        }
        // What Go calls `coverage.out` is a log or a program elsewhere.
        Some(Format::Coverprofile) if !trimmed(start).is_empty() => Detected::Nothing,
        Some(format) if trimmed(start).is_empty() => Detected::Broken(format!("is named like {} and is empty", what(format))),
        Some(format) => Detected::Broken(format!("is named like {} and holds something else", what(format))),
        None => Detected::Nothing,
    }
}

fn by_content(start: &[u8]) -> Option<Format> {
    let text = trimmed(start);
    if is_go_bench(text) {
        return Some(Format::Bench(Bench::Go));
    }
    match text.first()? {
        b'<' => xml::format(text),
        b'{' | b'[' => json::format(text),
        // `go` tells of downloads before the first event, when both streams go to one file.
        b'g' if text.starts_with(b"go: ") => {
            let events = text.split(|byte| *byte == b'\n').find(|line| !line.starts_with(b"go: "))?;
            json::tests(&Outline::of(events)).filter(|format| *format == Format::GoTest)
        }
        b'm' if text.starts_with(b"mode: ") => is_coverprofile(text).then_some(Format::Coverprofile),
        b'T' if text.starts_with(b"TAP version 1") => Some(Format::Tap),
        b'1' => is_tap(text).then_some(Format::Tap),
        b'o' | b'n' => is_tap_without_head(text).then_some(Format::Tap),
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
    } else if name.ends_with(".tap") {
        Some(Format::Tap)
    } else if name.ends_with(".trx") {
        Some(Format::Dotnet)
    } else if name.ends_with(".xml") && name.contains("jacoco") {
        Some(Format::Jacoco)
    } else if name.contains(".intoto.json") || name.ends_with(".sigstore.json") || name.ends_with(".sigstore") {
        Some(Format::Attestation)
    } else if name == "clover.xml" {
        Some(Format::Clover)
    } else if name.ends_with(".coverprofile") || name == "coverage.out" || name == "cover.out" {
        Some(Format::Coverprofile)
    } else if path.contains("criterion/") && path.ends_with("/new/estimates.json") {
        Some(Format::Bench(Bench::Criterion))
    } else if name.ends_with(".cdx.json") {
        Some(Format::Sbom(BillFormat::CycloneDx))
    } else if name.ends_with(".spdx.json") {
        Some(Format::Sbom(BillFormat::Spdx2))
    } else {
        None
    }
}

fn what(format: Format) -> &'static str {
    match format {
        Format::Junit => "a JUnit report",
        Format::Dotnet => "a test report of .NET",
        Format::Tap => "a TAP stream",
        Format::GoTest => "what `go test -json` writes",
        Format::Libtest => "what Rust's test harness writes",
        Format::Jacoco => "a JaCoCo report",
        Format::Clover => "a Clover report",
        Format::Coverprofile => "a coverage profile of Go",
        Format::CoveragePy => "a report of coverage.py",
        Format::LlvmCov => "an export of llvm-cov",
        Format::Cobertura => "a Cobertura report",
        Format::Lcov => "an LCOV trace",
        Format::Sarif => "a SARIF report",
        Format::Attestation => "a signed statement",
        Format::Scanner(_) => "a report of a scanner",
        Format::Bench(Bench::Criterion | Bench::CriterionName) => "what criterion leaves",
        Format::Bench(_) => "a report of benchmarks",
        Format::Sbom(BillFormat::CycloneDx) => "a CycloneDX document",
        Format::Sbom(BillFormat::Spdx2 | BillFormat::Spdx3) => "an SPDX document",
    }
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
            ("coverage.xml", b"<coverage generated='1'>", Detected::Nothing),
            ("coverage.xml", b"<coverage generated='1' clover='4'><project>", Detected::Format(Format::Clover)),
            ("coverage.xml", b"<report name='jacoco'>", Detected::Nothing),
            ("coverage.xml", b"<report name='a'><sessioninfo id='b'", Detected::Format(Format::Jacoco)),
            ("a", b"TAP version 14\n", Detected::Format(Format::Tap)),
            ("a", b"1..2\nok 1\n", Detected::Format(Format::Tap)),
            ("a", b"1..2\nare the steps\n", Detected::Nothing),
            ("a", b"ok 1 - a\nnot ok 2 - b\n", Detected::Format(Format::Tap)),
            ("a", b"ok 1 - that is settled\n", Detected::Nothing),
            ("run.tap", b"starting the server\nok 1 - a\n1..1\n", Detected::Format(Format::Tap)),
            ("a", b"mode: set\n", Detected::Format(Format::Coverprofile)),
            ("a.yml", b"mode: settled\n", Detected::Nothing),
            ("cover.out", b"a program", Detected::Nothing),
            ("a", b"{\"Time\":\"t\",\"Action\":\"start\",\"Package\":\"a\"}\n", Detected::Format(Format::GoTest)),
            ("a", b"{\"Action\":\"buy\",\"Package\":\"a\"}\n", Detected::Nothing),
            ("a", b"{\"text\":\"{\\\"Action\\\":\\\"run\\\",\\\"Test\\\":1}\"}", Detected::Nothing),
            ("a", b"go: downloading x\n{\"Action\":\"run\",\"Test\":\"a\"}\n", Detected::Format(Format::GoTest)),
            ("a", b"{\"type\":\"suite\",\"event\":\"started\",\"test_count\":1}\n", Detected::Format(Format::Libtest)),
            ("a", b"{\"meta\":{\"version\":\"7\",\"branch_coverage\":false}", Detected::Format(Format::CoveragePy)),
            ("a", b"{\"data\":[{\"files\":[{\"branches\":[],", Detected::Format(Format::LlvmCov)),
            ("a", b"{\"version\":\"2.1.0\",\"runs\":[", sarif),
            ("a", b"{ \"runs\" : [", Detected::Format(Format::Sarif)),
            ("package.json", b"{\"version\":\"2.1.0\",\"name\":\"runs\"}", Detected::Nothing),
            ("x.sarif", b"{}", Detected::Format(Format::Sarif)),
            (
                "a",
                b"{\"version\":\"15.0.7\",\"vulnerabilities\":[],\"scan\":{\"type\":\"sast\"}}",
                Detected::Format(Format::Scanner(Scanner::Gitlab)),
            ),
            ("a", b"{\"version\":\"1\",\"vulnerabilities\":[]}", Detected::Nothing),
            ("a", b"goos: linux\ngoarch: amd64\n", Detected::Format(Format::Bench(Bench::Go))),
            ("a", b"PASS\nok  \ta\t1s\nBenchmarkA-8 \t 100\t 12.5 ns/op\n", Detected::Format(Format::Bench(Bench::Go))),
            ("a", b"Benchmarks are slow today.\nBenchmarkA-8 100 loops\n", Detected::Nothing),
            ("a", b"Compare:\nBenchmarkA-8 \t 100\t 12.5 ns/op\n", Detected::Nothing),
            (
                "a",
                b"{\"results\":[{\"command\":\"a\",\"mean\":1,\"median\":1,\"times\":[",
                Detected::Format(Format::Bench(Bench::Hyperfine)),
            ),
            ("a", b"{\"mean\":{\"point_estimate\":1},\"median\":{\"point_estimate\":1}}", Detected::Nothing),
            ("a", b"{\"bomFormat\":\"CycloneDX\",", Detected::Format(Format::Sbom(BillFormat::CycloneDx))),
            ("a", b"{\"components\":[{\"bom-ref\":\"a\",", Detected::Format(Format::Sbom(BillFormat::CycloneDx))),
            ("a", b"{\"files\":[{\"SPDXID\":\"a\",", Detected::Format(Format::Sbom(BillFormat::Spdx2))),
            (
                "a",
                b"{\"@context\":[\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\"],",
                Detected::Format(Format::Sbom(BillFormat::Spdx3)),
            ),
            ("a", b"{\"@context\":\"https://schema.org\",\"@graph\":[]}", Detected::Nothing),
            ("shop.cdx.json", b"[]", Detected::Broken("is named like a CycloneDX document and holds something else".into())),
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
