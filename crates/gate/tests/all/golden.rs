//! Every case is a folder: what goes in, and `expected.*` beside it, rewritten by `UPDATE_EXPECT=1`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::below::below;
use crate::patch::merge;
use base::Source;
use gate::evidence::{Reading, read, read_from};
use gate::{Evidence, GatePlan, Input, Policies, PolicyFile, decide, explain};
use serde_json::{Value, json};

#[test]
fn evidence_is_read_as_expected() {
    for case in cases("evidence") {
        let mut evidence = Evidence::default();
        let mut ignored = Vec::new();
        for (name, bytes) in files(&case, |name| name != "expected.json") {
            if name == "suppressions.yaml" {
                evidence.suppress(&text(bytes), "2026-11-25T09:00:00Z".parse().expect("a time"));
                continue;
            }
            let reading = read(&name, &bytes);
            assert_eq!(read_from(&name, Dribble(&bytes)).expect("memory reads"), reading, "read in small pieces: {name}");
            match reading {
                Reading::NotEvidence => ignored.push(name),
                reading => evidence.add(reading),
            }
        }
        let mut seen = json!({ "summary": evidence.summary() });
        let findings = evidence.findings();
        if !findings.is_empty() {
            seen["findings"] = json!(findings);
        }
        if !ignored.is_empty() {
            seen["not evidence"] = json!(ignored);
        }
        check(&case.join("expected.json"), &(serde_json::to_string_pretty(&seen).expect("JSON") + "\n"));
    }
}

/// A name may say that a file without its content is missing something; it never says what the content is.
#[test]
fn a_report_is_what_its_content_says_whatever_its_name() {
    let mut reports = 0;
    for case in cases("evidence") {
        for (name, bytes) in files(&case, |name| name != "expected.json") {
            let Reading::Claims(claims) = read(&name, &bytes) else { continue };
            for lie in
                ["a", "notes.txt", "coverage.xml", "junit.xml", "scan.sarif", "lcov.info", "cover.out", "run.tap", "gl-sast-report.json"]
            {
                let Reading::Claims(seen) = read(lie, &bytes) else { panic!("{} of {} is nothing as {lie}", name, case.display()) };
                let kinds = |claims: &[gate::evidence::Claim]| claims.iter().map(|claim| claim.kind.clone()).collect::<Vec<_>>();
                assert_eq!(kinds(&seen), kinds(&claims), "{name} of {} as {lie}", case.display());
            }
            reports += 1;
        }
    }
    assert!(reports >= 50, "{reports} reports only");
}

/// Every case that quotes a secret, wherever scanners do so, plants one of these words.
#[test]
fn no_secret_that_a_report_quotes_is_kept() {
    let planted = ["PLANTED", "AKIAQUOTED", "correct horse"];
    let mut quoting = 0;
    for case in cases("evidence") {
        for (name, bytes) in files(&case, |name| name != "expected.json") {
            quoting += u64::from(planted.iter().any(|word| String::from_utf8_lossy(&bytes).contains(word)));
            let mut evidence = Evidence::default();
            evidence.add(read(&name, &bytes));
            let kept = json!({ "evidence": evidence, "summary": evidence.summary(), "findings": evidence.findings() }).to_string();
            assert!(planted.iter().all(|word| !kept.contains(word)), "{name} of {}: {kept}", case.display());
        }
    }
    assert!(quoting >= 15, "{quoting} reports quote a secret");
}

#[test]
fn decisions_are_as_expected() {
    let base: Value = json(&root("decision").join("base.json"));
    for case in cases("decision") {
        let mut seen = base.clone();
        merge(&mut seen, json(&case.join("case.json")));
        let mut plan: GatePlan = serde_json::from_value(seen["plan"].clone()).expect("a plan");
        let policies = files(&case, |name| name.ends_with(".rego"));
        plan.policies = policies.map(|(name, bytes)| PolicyFile { path: format!("policy/{name}"), text: text(bytes) }).collect();
        let mut input: Input = serde_json::from_value(seen["input"].clone()).expect("an input");
        let mut evidence = Evidence::default();
        files(&case, |name| !name.ends_with(".rego") && name != "case.json" && name != "expected.txt")
            .for_each(|(name, bytes)| evidence.add(read(&name, &bytes)));
        if evidence != Evidence::default() {
            input = input.with_evidence(&evidence);
        }
        let decision = decide(&plan, &input);
        assert_eq!(serde_json::from_str::<gate::Decision>(&json!(decision).to_string()).expect("it reads back"), decision);
        let mut sentences = explain(&decision);
        sentences.pop();
        check(&case.join("expected.txt"), &(sentences.join("\n") + "\n"));
    }
}

#[test]
fn policies_are_read_as_expected() {
    for case in cases("policy") {
        let sources = files(&case, |name| name.ends_with(".rego")).map(|(name, bytes)| Source::new(format!("policy/{name}"), text(bytes)));
        let seen = match Policies::compile(sources.collect()) {
            Ok(policies) => {
                let asked = policies.packages().map(|name| format!("asked: {name}\n"));
                asked.chain(policies.unseen().iter().map(|it| it.render(false) + "\n")).collect()
            }
            Err(diagnostics) => diagnostics.iter().map(|it| it.render(false) + "\n").collect::<Vec<_>>().join("\n"),
        };
        check(&case.join("expected.txt"), &seen);
    }
}

fn check(path: &Path, seen: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, seen).expect("expected files are writable");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(expected == seen, "{} differs (UPDATE_EXPECT=1 rewrites it)\n--- expected\n{expected}\n--- seen\n{seen}", path.display());
}

fn root(area: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(area)
}

fn cases(area: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root(area)).expect("testdata is there").map(|entry| entry.expect("an entry").path());
    let mut res: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    res.sort();
    assert!(res.len() >= 10, "{area} has lost its cases");
    res
}

fn files(case: &Path, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, Vec<u8>)> {
    let named = below(case).into_iter().map(|path| (path.strip_prefix(case).expect("below it").to_string_lossy().into_owned(), path));
    let wanted: Vec<(String, PathBuf)> = named.filter(|(name, _)| wanted(name)).collect();
    wanted.into_iter().map(|(name, path)| (name, fs::read(&path).expect("a file")))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Seven bytes at a time, as a slow disk or a pipe gives them.
struct Dribble<'a>(&'a [u8]);

impl std::io::Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(7);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}
