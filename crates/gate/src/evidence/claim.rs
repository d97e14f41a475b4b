use std::fmt;

use base::Digest;
use serde::{Deserialize, Serialize};

use super::Attestation;

/// One thing that a file of evidence says, and where it says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub kind: ClaimKind,
    pub source: SourceRef,
}

/// A file of evidence: bound to its bytes, so that a decision can be checked against what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceRef {
    pub path: String,
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimKind {
    Tests {
        passed: u64,
        failed: u64,
        errors: u64,
        skipped: u64,
        /// The first [`FAILURES_KEPT_MAX`] of them; the counts are exact.
        failures: Vec<TestFailure>,
    },
    Coverage {
        lines_covered: u64,
        lines_total: u64,
        percent: f64,
    },
    Findings(Vec<Finding>),
    Attestation(Box<Attestation>),
    Benchmarks(Vec<Benchmark>),
    /// What criterion calls the benchmark whose figures lie in the same folder.
    #[serde(rename = "benchmark_name")]
    BenchmarkName(String),
    Sbom(Sbom),
}

/// The kinds of evidence a plan can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    Tests,
    Coverage,
    Findings,
    Benchmarks,
    Sbom,
}

impl EvidenceKind {
    pub const ALL: [EvidenceKind; 5] =
        [EvidenceKind::Tests, EvidenceKind::Coverage, EvidenceKind::Findings, EvidenceKind::Benchmarks, EvidenceKind::Sbom];

    pub fn as_str(self) -> &'static str {
        match self {
            EvidenceKind::Tests => "tests",
            EvidenceKind::Coverage => "coverage",
            EvidenceKind::Findings => "findings",
            EvidenceKind::Benchmarks => "benchmarks",
            EvidenceKind::Sbom => "sbom",
        }
    }
}

impl fmt::Display for EvidenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFailure {
    pub name: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// What a scanner found, on our one scale of severities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: String,
    pub severity: Severity,
    pub kind: FindingKind,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What makes two reports of a thing the same thing.
    pub fingerprint: String,
    /// Other public names of the same weakness.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Apart, because most findings have none and a report may hold hundreds of thousands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Box<Package>>,
    /// Numbers of the Common Weakness Enumeration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cwe: Vec<u32>,
    /// The justification, maybe empty, when somebody accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// What has a known weakness, as its ecosystem names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How long something takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// Empty where the folder says it: criterion's `estimates.json` names nobody.
    pub name: String,
    pub ns: f64,
    pub average: Average,
    /// The standard deviation of its measurements, where the tool knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_ns: Option<f64>,
}

/// What a benchmark's time is, of all its measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    Mean,
    Median,
}

/// A bill of materials: what something is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sbom {
    pub format: SbomFormat,
    /// Of the format: `1.6`.
    pub version: String,
    /// Without what it describes.
    pub components: u64,
    /// What it describes, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SbomSubject>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SbomFormat {
    CycloneDx,
    Spdx,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SbomSubject {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// From the least to the most severe, so that the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// A known weakness of something we use: it has a public identifier.
    Vulnerability,
    /// A password, key or token in the clear. Its message never quotes the report, which may quote the secret.
    Secret,
    /// Everything else that a rule says about our own files.
    Code,
}

/// Enough to name what went wrong without keeping a million stack traces.
pub(crate) const FAILURES_KEPT_MAX: usize = 1_000;

/// What a reader of one format returns; the path and the digest come from whoever opened the file.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub kind: ClaimKind,
    pub tool: Option<String>,
    pub tool_version: Option<String>,
    pub line: Option<u64>,
}

/// Why a file can't be trusted: a fragment that reads well after its path.
#[derive(Debug)]
pub(crate) struct Problem {
    pub reason: String,
    pub line: Option<u64>,
}

impl Problem {
    pub fn new(reason: impl Into<String>) -> Problem {
        Problem { reason: reason.into(), line: None }
    }

    pub fn at(line: u64, reason: impl Into<String>) -> Problem {
        Problem { reason: reason.into(), line: Some(line) }
    }
}

/// The first `max` characters on one line, for people. Hundreds of thousands of them may be kept: nothing is kept in reserve.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character.is_control());
    // A character has one byte at least.
    let end = if text.len() <= max { None } else { text.char_indices().nth(max).map(|(end, _)| end) };
    let kept = &text[..end.unwrap_or(text.len())];
    let mut res = String::with_capacity(kept.len() + end.map_or(0, |_| '…'.len_utf8()));
    if kept.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control()) {
        res.push_str(kept);
    } else {
        res.extend(kept.chars().map(|character| if character.is_control() { ' ' } else { character }));
    }
    res.extend(end.map(|_| '…'));
    res
}

/// A percentage of integers, cut (not rounded) to two decimals: 79.999 must not read as 80.
pub(crate) fn percent(covered: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let hundredths = u128::from(covered) * 10_000 / u128::from(total);
    hundredths as f64 / 100.0
}
