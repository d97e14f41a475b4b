//! What the real `opa` says of every policy that ships, over documents of every kind: against_opa OPA [--write].
//!
//! `--write` keeps its answers in `testdata/opa/answers.json`, which the tests compare with; without it they are compared with what is kept.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a tool of the developers")]

#[path = "../tests/all/patch/mod.rs"]
mod patch;
#[path = "../tests/all/shipped/mod.rs"]
mod shipped;

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let opa = arguments.first().expect("against_opa OPA [--write]");
    let documents = shipped::documents();
    let mut answers = serde_json::Map::new();
    for policy in shipped::policies() {
        let answer = ask(opa, &policy, &documents);
        answers.insert(policy.package.clone(), shipped::digests(&answer));
        let ours = shipped::ours(&policy, &documents);
        let differ: Vec<usize> = (0..documents.len()).filter(|at| answer[*at] != ours[*at]).collect();
        println!("{}: {} documents, {} answers differ", policy.package, documents.len(), differ.len());
        if let Some(at) = differ.first() {
            eprintln!("document {}\nopa  {}\nours {}", documents[*at], answer[*at], ours[*at]);
            return ExitCode::FAILURE;
        }
    }
    let text = serde_json::to_string_pretty(&answers).unwrap() + "\n";
    let kept = shipped::kept();
    if arguments.iter().any(|argument| argument == "--write") {
        std::fs::write(&kept, text).unwrap();
    } else if std::fs::read_to_string(&kept).unwrap_or_default() != text {
        eprintln!("{} is not what opa says: `--write` writes it anew", kept.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn ask(opa: &str, policy: &shipped::Policy, documents: &[Value]) -> Vec<Value> {
    let query = format!("[answer | some document in input.documents; answer := data.{} with input as document]", policy.package);
    let mut child = Command::new(opa)
        .args(["eval", "--stdin-input", "--format", "json", "--data"])
        .arg(&policy.path)
        .arg(query)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!({ "documents": documents }).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = results["result"][0]["expressions"][0]["value"].as_array().unwrap_or_else(|| panic!("{results}"));
    assert_eq!(answers.len(), documents.len());
    answers.iter().map(shipped::canonical).collect()
}
