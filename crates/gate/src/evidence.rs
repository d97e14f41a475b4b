//! What a run left behind, read by content: test reports, coverage, findings of scanners, benchmarks, bills of materials.
//!
//! A file that looks like evidence and can't be read is [`Reading::Broken`], never silently nothing.

mod attestation;
mod benchmark;
mod bill;
mod claim;
mod clover;
mod cobertura;
mod coverage_json;
mod coverprofile;
mod cvss;
mod detect;
mod dotnet;
mod finding;
mod gotest;
mod jacoco;
mod json;
mod junit;
mod lcov;
mod libtest;
mod lines;
mod merge;
mod sarif;
mod scanner;
pub mod secrets;
mod severity;
mod source;
mod summary;
mod suppression;
mod tally;
mod tap;
mod xml;

use std::io::{self, BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

pub use attestation::{About, Attestation};
pub use benchmark::Timing;
pub(crate) use claim::shorten;
pub use claim::{
    Average, Benchmark, Claim, ClaimKind, EvidenceKind, Finding, FindingKind, Package, Sbom, SbomFormat, SbomSubject, Severity, SourceRef,
    TestFailure,
};
pub use summary::{Bill, CoverageTotals, DistinctFinding, FindingTotals, Summary, TestTotals};
pub use suppression::{SUPPRESSIONS_PATH, Suppression};

use claim::{Parsed, Problem};
use detect::{Detected, Format};
use source::Hashing;

/// What one file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    Claims(Vec<Claim>),
    NotEvidence,
    /// It is evidence by content or by name, and what it says can't be trusted.
    Broken(BrokenFile),
}

/// A piece of evidence that can't be read, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokenFile {
    pub path: String,
    /// A fragment that reads well after the path: `ends in the middle of <testsuite>`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Of its bytes, where they could be read to their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<base::Digest>,
}

/// Everything one run, or several, left behind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub claims: Vec<Claim>,
    pub broken: Vec<BrokenFile>,
    /// What the commit accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<Suppression>,
}

impl Evidence {
    /// Takes in what one file turned out to be.
    pub fn add(&mut self, reading: Reading) {
        match reading {
            Reading::Claims(claims) => self.claims.extend(claims),
            // The same file, left in two places, is broken once.
            Reading::Broken(broken) if broken.digest.is_some() && self.broken.iter().any(|other| other.digest == broken.digest) => {}
            Reading::Broken(broken) => self.broken.push(broken),
            Reading::NotEvidence => {}
        }
    }
}

/// How much is read behind a mistake, only to know a second copy of the file.
const BROKEN_REST_MAX_BYTES: u64 = 1 << 20;

/// Reads a file that is in memory; `path` is what people know it by, and a hint where the content alone says nothing.
pub fn read(path: &str, bytes: &[u8]) -> Reading {
    read_from(path, bytes).expect("a slice of bytes always reads")
}

/// Reads a file as a stream: after the first 4 KiB when it is no evidence, else once, in bounded memory.
pub fn read_from(path: &str, mut input: impl Read) -> io::Result<Reading> {
    let mut start = Vec::new();
    input.by_ref().take(detect::START_BYTES).read_to_end(&mut start)?;
    let format = match detect::detect(path, &start) {
        Detected::Format(format) => format,
        Detected::Nothing => return Ok(Reading::NotEvidence),
        Detected::Broken(reason) => return Ok(Reading::Broken(BrokenFile { path: path.to_string(), reason, line: None, digest: None })),
    };
    let mut input = BufReader::with_capacity(source::CHUNK_BYTES, Hashing::new(start.as_slice().chain(input)));
    // .NET writes the mark before JSON too, and no parser wants it.
    if input.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    }
    let parsed = match format {
        Format::Junit => junit::parse(&mut input),
        Format::Dotnet => dotnet::parse(&mut input),
        Format::Tap => tap::parse(&mut input),
        Format::GoTest => gotest::parse(&mut input),
        Format::Libtest => libtest::parse(&mut input),
        Format::Cobertura => cobertura::parse(&mut input),
        Format::Jacoco => jacoco::parse(&mut input),
        Format::Clover => clover::parse(&mut input),
        Format::Coverprofile => coverprofile::parse(&mut input),
        Format::CoveragePy => coverage_json::parse_coverage_py(&mut input),
        Format::LlvmCov => coverage_json::parse_llvm(&mut input),
        Format::Lcov => lcov::parse(&mut input),
        Format::Sarif => sarif::parse(&mut input),
        Format::Attestation => attestation::parse(&mut input),
        Format::Scanner(scanner) => scanner::parse(scanner, &mut input),
        Format::Bench(bench) => benchmark::parse(bench, &mut input),
        Format::Sbom(format) => bill::parse(format, &mut input),
    };
    // What stands after the parsed part belongs to the digest all the same; of a broken file not for any length.
    let rest_max = if parsed.is_ok() { u64::MAX } else { BROKEN_REST_MAX_BYTES };
    let rest = io::copy(&mut input.by_ref().take(rest_max), &mut io::sink());
    let whole = rest.as_ref().is_ok_and(|bytes| *bytes < rest_max);
    let parsed = parsed.and_then(|parsed| rest.map(|_| parsed).map_err(|_| Problem::new("can't be read to its end")));
    let hashing = input.into_inner();
    if hashing.is_too_large() {
        return Ok(broken(path, Problem::new(format!("is larger than {} MiB", source::SIZE_MAX_BYTES >> 20)), None));
    }
    let digest = hashing.finish()?;
    Ok(match parsed {
        Ok(parsed) => Reading::Claims(parsed.into_iter().map(|parsed| claim(path, digest, parsed)).collect()),
        Err(problem) => broken(path, problem, whole.then_some(digest)),
    })
}

fn broken(path: &str, problem: Problem, digest: Option<base::Digest>) -> Reading {
    Reading::Broken(BrokenFile { path: path.to_string(), reason: problem.reason, line: problem.line, digest })
}

fn claim(path: &str, digest: base::Digest, parsed: Parsed) -> Claim {
    let Parsed { kind, tool, tool_version, line } = parsed;
    Claim { kind, source: SourceRef { path: path.to_string(), digest, line, tool, tool_version } }
}
