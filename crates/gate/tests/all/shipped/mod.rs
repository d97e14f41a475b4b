//! Every policy that ships, and documents of every kind to ask them about.

#![allow(clippy::unwrap_used, dead_code, reason = "the tool and the test each use a part")]

use std::fs;
use std::path::{Path, PathBuf};

use base::{Digest, Source};
use gate::evidence::read;
use gate::policy::{DEFAULT_POLICY, DEFAULT_POLICY_NAME, Policies};
use gate::{Evidence, GatePlan, Input};
use serde_json::{Value, json};

use crate::patch::merge;

pub struct Policy {
    pub path: PathBuf,
    /// `plimsoll.gate`.
    pub package: String,
    sources: Vec<Source>,
}

pub fn policies() -> Vec<Policy> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut res = vec![Policy { path: root.join("src/policy/default.rego"), package: "plimsoll.gate".into(), sources: Vec::new() }];
    let examples = fs::read_dir(root.join("../../examples/policies")).unwrap().map(|entry| entry.unwrap().path());
    let mut examples: Vec<PathBuf> = examples
        .filter(|path| path.extension().is_some_and(|it| it == "rego") && !path.to_str().unwrap().ends_with("_test.rego"))
        .collect();
    examples.sort();
    for path in examples {
        let text = fs::read_to_string(&path).unwrap();
        let package = text.lines().find_map(|line| line.strip_prefix("package ")).unwrap().to_string();
        res.push(Policy { sources: vec![Source::new(path.file_name().unwrap().to_str().unwrap(), text)], path, package });
    }
    assert!(res.len() >= 4 && !DEFAULT_POLICY.is_empty() && !DEFAULT_POLICY_NAME.is_empty());
    res
}

/// Those of the decisions in testdata, as they would go to each environment, with messages of two kinds.
pub fn documents() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/decision");
    let base: Value = serde_json::from_str(&fs::read_to_string(folder.join("base.json")).unwrap()).unwrap();
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    let mut res = Vec::new();
    for case in cases {
        let mut seen = base.clone();
        merge(&mut seen, serde_json::from_str(&fs::read_to_string(case.join("case.json")).unwrap()).unwrap());
        for (environment, message, time) in [
            ("production", "fix(cart): count the tax once", "2026-11-27T23:30:00.000Z"),
            ("production", "count the tax", "2026-11-28T00:00:00.000Z"),
            ("staging", "feat!: new prices", "2026-11-28T00:00:00.000Z"),
            ("development", "count the tax", "2024-02-29T12:00:00.000Z"),
        ] {
            merge(&mut seen, json!({"input": {"environment": environment, "commit": {"message": message}, "time": time}}));
            let plan: GatePlan = serde_json::from_value(seen["plan"].clone()).unwrap();
            let mut input: Input = serde_json::from_value(seen["input"].clone()).unwrap();
            let mut evidence = Evidence::default();
            let mut files: Vec<PathBuf> = fs::read_dir(&case).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            for file in files {
                let name = file.file_name().unwrap().to_str().unwrap().to_string();
                if !name.ends_with(".rego") && name != "case.json" && name != "expected.txt" {
                    evidence.add(read(&name, &fs::read(&file).unwrap()));
                }
            }
            if evidence != Evidence::default() {
                input = input.with_evidence(&evidence);
            }
            res.push(input.document(&plan).json());
        }
    }
    assert!(res.len() >= 170);
    res
}

/// What we say of each.
pub fn ours(policy: &Policy, documents: &[Value]) -> Vec<Value> {
    let policies = Policies::compile(policy.sources.clone()).unwrap();
    let query = format!("data.{}", policy.package);
    let ask = |document: &Value| canonical(&policies.query(&query, document).unwrap()["result"][0]["expressions"][0]["value"]);
    documents.iter().map(ask).collect()
}

/// A rule's value may be a set, of which only the elements count.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<(String, Value)> = entries.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(elements) => {
            let mut elements: Vec<Value> = elements.iter().map(canonical).collect();
            elements.sort_by_key(Value::to_string);
            Value::Array(elements)
        }
        other => other.clone(),
    }
}

pub fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/opa/answers.json")
}

/// Answers are long, and only whether they are alike is asked.
pub fn digests(answers: &[Value]) -> Value {
    answers.iter().map(|answer| Value::String(Digest::of(answer.to_string().as_bytes()).short())).collect()
}
