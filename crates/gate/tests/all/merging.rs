//! Whatever scanners say, in whatever order their reports are read: nothing is lost, and nothing gets better by saying it twice.

use std::collections::BTreeSet;

use base::Digest;
use gate::Evidence;
use gate::evidence::{Claim, ClaimKind, DistinctFinding, Finding, FindingKind, Package, Severity, SourceRef};

const SEEDS: u64 = 2_000;

#[test]
fn the_order_of_reports_does_not_matter() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let claims = reports(&mut dice);
        let findings = merged(&claims);
        let summary = Evidence { claims: claims.clone(), ..Evidence::default() }.summary();
        for _ in 0..3 {
            let mut shuffled = claims.clone();
            for place in (1..shuffled.len()).rev() {
                shuffled.swap(place, dice.below(place as u64 + 1) as usize);
            }
            assert_eq!(merged(&shuffled), findings, "seed {seed}");
            assert_eq!(Evidence { claims: shuffled, ..Evidence::default() }.summary(), summary, "seed {seed}");
        }
    }
}

/// The default policy doesn't look for what was counted as 0.
#[test]
fn what_is_counted_is_what_is_listed() {
    for seed in 0..SEEDS {
        let claims = reports(&mut Dice(seed));
        let listed = merged(&claims);
        let open = |of: &dyn Fn(&DistinctFinding) -> bool| listed.iter().filter(|it| it.suppressed.is_none() && of(it)).count() as u64;
        let secrets = open(&|it| it.kind == FindingKind::Secret);
        let critical = open(&|it| it.kind != FindingKind::Secret && it.severity == Severity::Critical);
        let counted = Evidence { claims, ..Evidence::default() }.summary().findings.unwrap_or_default();
        assert_eq!((counted.secrets, counted.critical), (secrets, critical), "seed {seed}");
    }
}

#[test]
fn every_report_of_a_finding_is_in_one_with_its_source_its_name_and_at_least_its_severity() {
    for seed in 0..SEEDS {
        let claims = reports(&mut Dice(seed));
        let merged = merged(&claims);
        for (path, finding) in told(&claims) {
            let holds = |it: &&DistinctFinding| {
                let named = it.rule == finding.rule || it.aliases.contains(&finding.rule);
                let accepted = it.suppressed.is_none() || finding.suppressed.is_some();
                named && accepted && it.severity >= finding.severity && it.sources.iter().any(|source| source == path)
            };
            assert!(merged.iter().any(|it| holds(&it)), "seed {seed}: {finding:?} of {path} is gone from {merged:#?}");
        }
        let reported: BTreeSet<Severity> = told(&claims).map(|(_, finding)| finding.severity).collect();
        assert!(merged.iter().all(|it| reported.contains(&it.severity)), "seed {seed}: a severity nobody said");
    }
}

/// Weaknesses of packages are left out: another scanner may know that two names mean one.
#[test]
fn there_are_never_fewer_than_one_scanner_says_alone() {
    let count = |claims: &[Claim]| merged(claims).iter().filter(|it| it.kind != FindingKind::Vulnerability).count();
    for seed in 0..SEEDS {
        let claims = reports(&mut Dice(seed));
        let tools: BTreeSet<_> = claims.iter().map(|claim| claim.source.tool.clone()).collect();
        for tool in tools {
            let alone: Vec<Claim> = claims.iter().filter(|claim| claim.source.tool == tool).cloned().collect();
            let others = told(&alone).filter(|(_, finding)| finding.kind != FindingKind::Vulnerability);
            let alone: BTreeSet<&String> = others.map(|(_, finding)| &finding.fingerprint).collect();
            assert!(count(&claims) >= alone.len(), "seed {seed}: {tool:?}");
        }
        for without in 0..claims.len() {
            let mut fewer = claims.clone();
            fewer.remove(without);
            assert!(count(&claims) >= count(&fewer), "seed {seed}: a report more made it fewer");
        }
    }
}

/// Reports that were made to keep the gate busy: all names one, all places one.
#[test]
fn a_hundred_thousand_findings_of_one_thing_are_merged_in_no_time() {
    let claim = |path: &str, findings| Claim {
        kind: ClaimKind::Findings(findings),
        source: SourceRef {
            path: path.into(),
            digest: Digest::of(path.as_bytes()),
            line: None,
            tool: Some(path.into()),
            tool_version: None,
        },
    };
    let named = |number: u32, kind| Finding {
        rule: format!("CVE-{number}"),
        kind,
        aliases: vec!["CVE-X".into(), format!("GHSA-{number}")],
        package: Some(Box::new(Package { name: "a".into(), version: None })),
        file: Some("f".into()),
        line: Some(1),
        fingerprint: format!("{kind:?} {number}"),
        ..finding(&mut Dice(1))
    };
    let vulnerabilities = (0..50_000).map(|number| named(number, FindingKind::Vulnerability)).collect();
    let secrets = |from: u32| (from..from + 25_000).map(|number| named(number, FindingKind::Secret)).collect();
    let claims = [claim("a", vulnerabilities), claim("b", secrets(0)), claim("c", secrets(50_000))];
    let merged = merged(&claims);
    assert_eq!(merged.iter().filter(|it| it.kind == FindingKind::Vulnerability).count(), 1);
    assert_eq!(merged.iter().filter(|it| it.kind == FindingKind::Secret).count(), 50_000);
    assert!(merged[0].aliases.len() <= 50, "{} names", merged[0].aliases.len());
}

fn merged(claims: &[Claim]) -> Vec<DistinctFinding> {
    Evidence { claims: claims.to_vec(), ..Evidence::default() }.findings()
}

fn told(claims: &[Claim]) -> impl Iterator<Item = (&String, &Finding)> {
    claims.iter().flat_map(|claim| match &claim.kind {
        ClaimKind::Findings(findings) => findings.iter().map(|finding| (&claim.source.path, finding)).collect(),
        _ => Vec::new(),
    })
}

/// Up to five reports about three packages and three lines, so that they meet.
fn reports(dice: &mut Dice) -> Vec<Claim> {
    let count = 1 + dice.below(5);
    let report = |number: u64, dice: &mut Dice| {
        let path = format!("{number}.json");
        let tool = ["Trivy", "Grype", "Semgrep OSS", "semgrep"][dice.below(4) as usize].to_string();
        let findings = (0..dice.below(6)).map(|_| finding(dice)).collect();
        let digest = Digest::of(format!("{path} {}", dice.next()).as_bytes());
        let source = SourceRef { path, digest, line: None, tool: Some(tool), tool_version: None };
        Claim { kind: ClaimKind::Findings(findings), source }
    };
    (0..count).map(|number| report(number, dice)).collect()
}

fn finding(dice: &mut Dice) -> Finding {
    let kind = [FindingKind::Vulnerability, FindingKind::Secret, FindingKind::Code][dice.below(3) as usize];
    let severity = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical][dice.below(4) as usize];
    let vulnerable = kind == FindingKind::Vulnerability;
    let rule = format!("{}-{}", if vulnerable { "CVE" } else { "R" }, dice.below(4));
    let aliases = (0..if vulnerable { dice.below(2) } else { 0 }).map(|_| format!("GHSA-{}", dice.below(3))).collect();
    let package = (vulnerable && dice.below(3) > 0)
        .then(|| Box::new(Package { name: ["a", "A", "b"][dice.below(3) as usize].into(), version: None }));
    let file = (dice.below(4) > 0).then(|| format!("f{}", dice.below(2)));
    let line = (!vulnerable && dice.below(4) > 0).then(|| dice.below(2));
    let cwe =
        if kind == FindingKind::Code { (0..dice.below(3)).map(|_| [79, 89, 798][dice.below(3) as usize]).collect() } else { Vec::new() };
    let suppressed = (dice.below(4) == 0).then(|| "accepted".to_string());
    let fingerprint = format!("{rule} {kind:?} {file:?} {line:?} {package:?} {cwe:?}");
    Finding { rule, severity, kind, message: String::new(), file, line, fingerprint, aliases, package, cwe, suppressed }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
