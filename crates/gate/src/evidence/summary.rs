use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::benchmark::timings;
use super::claim::percent;
use super::finding::NAMES_MAX;
use super::merge::merge;
use super::suppression;
use super::{
    Attestation, BrokenFile, Claim, ClaimKind, Evidence, EvidenceKind, Finding, FindingKind, Package, Sbom, Severity, SourceRef,
    TestFailure, Timing,
};

/// Enough to name in a sentence and a page; the counts are exact.
const FAILURES_SHOWN_MAX: usize = 20;

/// What all files say together; this is what a policy sees as `input.evidence`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The kinds that are there and say something: a report in which no test ran is none.
    pub present: BTreeSet<EvidenceKind>,
    pub tests: Option<TestTotals>,
    pub coverage: Option<CoverageTotals>,
    pub findings: Option<FindingTotals>,
    /// Statements under a signature; whose, is asked with the keys.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub signed: u64,
    /// Sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benchmarks: Vec<Timing>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sbom: Vec<Bill>,
    pub broken: Vec<BrokenFile>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TestTotals {
    pub passed: u64,
    pub failed: u64,
    pub errors: u64,
    pub skipped: u64,
    pub failures: Vec<TestFailure>,
    pub sources: Vec<SourceRef>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CoverageTotals {
    pub lines_covered: u64,
    pub lines_total: u64,
    pub percent: f64,
    pub sources: Vec<SourceRef>,
}

/// Distinct findings that nobody accepted, by severity; secrets are counted on their own and not by severity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingTotals {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
    pub secrets: u64,
    pub suppressed: u64,
    pub sources: Vec<SourceRef>,
}

/// A bill of materials and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    #[serde(flatten)]
    pub sbom: Sbom,
    pub source: SourceRef,
}

/// A finding once, whoever reported it and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistinctFinding {
    pub rule: String,
    pub severity: Severity,
    pub kind: FindingKind,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub fingerprint: String,
    /// What else it is called: public names of the same weakness, and the rules of other scanners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cwe: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// Paths of the reports, each also in `evidence.findings.sources`.
    pub sources: Vec<String>,
}

impl Evidence {
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            // Which bytes they are says nothing more to a policy.
            broken: self.broken.iter().map(|broken| BrokenFile { digest: None, ..broken.clone() }).collect(),
            ..Summary::default()
        };
        let claims = self.distinct_claims();
        summary.benchmarks = timings(&claims);
        for claim in claims {
            match &claim.kind {
                ClaimKind::Tests { passed, failed, errors, skipped, failures } => {
                    let tests = summary.tests.get_or_insert_default();
                    tests.passed += passed;
                    tests.failed += failed;
                    tests.errors += errors;
                    tests.skipped += skipped;
                    let room = FAILURES_SHOWN_MAX - tests.failures.len();
                    tests.failures.extend(failures.iter().take(room).cloned());
                    tests.sources.push(claim.source.clone());
                }
                ClaimKind::Coverage { lines_covered, lines_total, .. } => {
                    let coverage = summary.coverage.get_or_insert_default();
                    coverage.lines_covered += lines_covered;
                    coverage.lines_total += lines_total;
                    coverage.sources.push(claim.source.clone());
                }
                ClaimKind::Attestation(_) => summary.signed += 1,
                ClaimKind::Findings(_) => summary.findings.get_or_insert_default().sources.push(claim.source.clone()),
                ClaimKind::Sbom(sbom) => summary.sbom.push(Bill { sbom: sbom.clone(), source: claim.source.clone() }),
                ClaimKind::Benchmarks(_) | ClaimKind::BenchmarkName(_) => {}
            }
        }
        if let Some(coverage) = &mut summary.coverage {
            coverage.percent = percent(coverage.lines_covered, coverage.lines_total);
        }
        if let Some(findings) = &mut summary.findings {
            self.findings().iter().for_each(|finding| findings.count(finding));
        }
        summary.present = present(&summary);
        summary
    }

    /// Each finding once: the most severe report of it counts, and it is accepted only when every report says so.
    pub fn findings(&self) -> Vec<DistinctFinding> {
        let claims = self.distinct_claims();
        let mut res = merge(claims.iter().filter_map(|claim| match &claim.kind {
            ClaimKind::Findings(findings) => Some((&claim.source, findings.as_slice())),
            _ => None,
        }));
        suppression::apply(&self.suppressions, &mut res);
        res
    }

    /// What is signed, with where it stands.
    pub fn attestations(&self) -> Vec<(SourceRef, Attestation)> {
        let of = |claim: &&Claim| match &claim.kind {
            ClaimKind::Attestation(attestation) => Some((claim.source.clone(), (**attestation).clone())),
            _ => None,
        };
        self.distinct_claims().iter().filter_map(of).collect()
    }

    /// Claims in the order of their paths; the same bytes under a second name say nothing new.
    fn distinct_claims(&self) -> Vec<&Claim> {
        let mut claims: Vec<&Claim> = self.claims.iter().collect();
        claims.sort_by_key(|claim| (&claim.source.path, claim.source.digest));
        let mut first_path = BTreeMap::new();
        claims.retain(|claim| *first_path.entry(claim.source.digest).or_insert(&claim.source.path) == &claim.source.path);
        claims
    }
}

impl FindingTotals {
    fn count(&mut self, finding: &DistinctFinding) {
        let counter = match (finding.suppressed.is_some(), finding.kind, finding.severity) {
            (true, _, _) => &mut self.suppressed,
            (_, FindingKind::Secret, _) => &mut self.secrets,
            (_, _, Severity::Critical) => &mut self.critical,
            (_, _, Severity::High) => &mut self.high,
            (_, _, Severity::Medium) => &mut self.medium,
            (_, _, Severity::Low) => &mut self.low,
        };
        *counter += 1;
    }
}

impl DistinctFinding {
    pub(super) fn new(finding: &Finding, path: &str) -> DistinctFinding {
        let Finding { rule, severity, kind, message, file, line, fingerprint, aliases, package, cwe, suppressed } = finding.clone();
        let (package, sources) = (package.map(|package| *package), vec![path.to_string()]);
        DistinctFinding { rule, severity, kind, message, file, line, fingerprint, aliases, package, cwe, suppressed, sources }
    }

    /// Takes in what another report says about the same thing.
    pub(super) fn join(&mut self, other: DistinctFinding) {
        self.severity = self.severity.max(other.severity);
        // A secret is what counts, so it gives the name.
        let other_name = if other.kind == FindingKind::Secret && self.kind != FindingKind::Secret {
            self.kind = FindingKind::Secret;
            self.message = other.message;
            std::mem::replace(&mut self.rule, other.rule)
        } else {
            other.rule
        };
        if other.suppressed.is_none() {
            self.suppressed = None;
        }
        if self.file.is_none() {
            (self.file, self.line) = (other.file, other.line);
        }
        self.package = self.package.take().or(other.package);
        let names = other.aliases.into_iter().chain([other_name]).filter(|name| !name.eq_ignore_ascii_case(&self.rule));
        insert(&mut self.aliases, names);
        insert(&mut self.cwe, other.cwe.into_iter());
        for path in other.sources {
            if !self.sources.contains(&path) {
                self.sources.push(path);
            }
        }
    }
}

/// Keeps a short list sorted, each thing once.
fn insert<T: Ord>(list: &mut Vec<T>, more: impl Iterator<Item = T>) {
    for thing in more {
        if let Err(place) = list.binary_search(&thing)
            && list.len() < NAMES_MAX
        {
            list.insert(place, thing);
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn present(summary: &Summary) -> BTreeSet<EvidenceKind> {
    let tests = summary.tests.as_ref().filter(|tests| tests.passed + tests.failed + tests.errors > 0).map(|_| EvidenceKind::Tests);
    let coverage = summary.coverage.as_ref().map(|_| EvidenceKind::Coverage);
    // That nothing but our own look at the artifact found something is no scan of a scanner.
    let is_scan = |findings: &&FindingTotals| findings.sources.iter().any(|source| source.tool.as_deref() != Some(super::secrets::TOOL));
    let findings = summary.findings.as_ref().filter(is_scan).map(|_| EvidenceKind::Findings);
    let benchmarks = (!summary.benchmarks.is_empty()).then_some(EvidenceKind::Benchmarks);
    // One that lists nothing, as a document about known weaknesses alone does, says of nothing what it is made of.
    let sbom = summary.sbom.iter().any(|bill| bill.sbom.components > 0).then_some(EvidenceKind::Sbom);
    [tests, coverage, findings, benchmarks, sbom].into_iter().flatten().collect()
}
