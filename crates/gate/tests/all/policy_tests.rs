//! Tests of policies, run as `opa test` runs them; those of every policy that ships.

use std::fs;
use std::path::Path;

use base::Source;
use gate::policy::{TestOutcome, TestResult, test};

const LIMIT_MS: u64 = 5_000;

fn run(files: &[(&str, &str)]) -> Vec<TestResult> {
    test(files.iter().map(|(name, text)| Source::new(*name, *text)).collect(), LIMIT_MS).expect("the files can be read")
}

/// `place name: outcome`, a line each.
fn told(results: &[TestResult]) -> String {
    let outcome = |outcome: &TestOutcome| match outcome {
        TestOutcome::Passed => "passed".to_string(),
        TestOutcome::Failed => "failed".to_string(),
        TestOutcome::Skipped => "skipped".to_string(),
        TestOutcome::Error(message) => format!("error: {message}"),
    };
    let line = |it: &TestResult| format!("{}:{} {}: {}", it.file, it.line, it.name, outcome(&it.outcome));
    results.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_policy_that_ships_passes_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let default = root.join("crates/gate/src/policy/default_test.rego");
    let examples = fs::read_dir(root.join("examples/policies")).expect("the examples").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = examples.filter(|path| path.extension().is_some_and(|extension| extension == "rego")).collect();
    paths.push(default);
    for policy in paths.iter().filter(|path| !path.display().to_string().ends_with("_test.rego")) {
        assert!(paths.contains(&policy.with_file_name(format!("{}_test.rego", policy.file_stem().expect("a name").to_string_lossy()))));
    }
    let read = |path: &std::path::PathBuf| Source::new(path.display().to_string(), fs::read_to_string(path).expect("a file"));
    let results = test(paths.iter().map(read).collect(), LIMIT_MS).expect("they can be read");
    let bad: Vec<TestResult> = results.iter().filter(|it| it.outcome != TestOutcome::Passed).cloned().collect();
    assert!(bad.is_empty(), "{}", told(&bad));
    assert!(results.len() >= 28, "{} tests only", results.len());
}

#[test]
fn outcomes_have_their_places() {
    let policy = "package team\ndeny contains \"no notes\" if not input.notes\n";
    let tests = r#"package team_test

import data.team

test_notes if count(team.deny) == 0 with input as {"notes": "x"}

test_wrong if {
	print("seen", count(team.deny)) with input as {}
	count(team.deny) == 2 with input as {}
}

test_false := false

test_twice if true

test_twice if false

todo_test_later if false

test_throws if to_number("x") == 1

test_cases[name] if some name in ["a"]

helper if false
"#;
    let results = run(&[("policy/team.rego", policy), ("policy/team_test.rego", tests)]);
    let expected = "\
policy/team_test.rego:5 data.team_test.test_notes: passed
policy/team_test.rego:7 data.team_test.test_wrong: failed
policy/team_test.rego:12 data.team_test.test_false: failed
policy/team_test.rego:14 data.team_test.test_twice: passed
policy/team_test.rego:16 data.team_test.test_twice#01: passed
policy/team_test.rego:18 data.team_test.todo_test_later: skipped
policy/team_test.rego:20 data.team_test.test_throws: error: policy/team_test.rego:20: could not parse string as number
policy/team_test.rego:22 data.team_test.test_cases: error: a test is one rule with a body; cases in brackets, sets and functions can't be told apart: use `every`";
    assert_eq!(told(&results), expected);
    assert!(results[1].printed.iter().any(|line| line.contains("seen 1")), "{:?}", results[1].printed);
}

/// A test may stand in the package it tests; it replaces nothing, and the default policy stays the one that is tested.
#[test]
fn tests_within_the_package_replace_nothing() {
    let tests =
        "package plimsoll.gate\ntest_default if not allow with input as {\"runs\": [{\"workflow\": \"a\", \"conclusion\": \"failure\"}]}\n";
    assert_eq!(told(&run(&[("policy/gate_test.rego", tests)])), "policy/gate_test.rego:2 data.plimsoll.gate.test_default: passed");
    let own = "package plimsoll.gate\ndeny contains \"never\"\n";
    let results = run(&[("policy/gate.rego", own), ("policy/gate_test.rego", "package plimsoll.gate\ntest_own if deny == {\"never\"}\n")]);
    assert_eq!(told(&results), "policy/gate_test.rego:2 data.plimsoll.gate.test_own: passed");
}

#[test]
fn a_test_that_never_ends_is_ended() {
    let tests =
        "package x\ntest_slow if count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a + b == 7]) == 6\n";
    let results = test(vec![Source::new("x_test.rego", tests)], 50).expect("it can be read");
    assert_eq!(told(&results), "x_test.rego:2 data.x.test_slow: error: it did not come to an end within 50 ms");
}

#[test]
fn a_test_may_not_do_what_a_policy_may_not() {
    let tests = "package x\ntest_now if time.now_ns() > 0\ntest_gone if gone(1)\n";
    let problems = test(vec![Source::new("x_test.rego", tests)], LIMIT_MS).expect_err("it is refused");
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["x_test.rego:2:13: `time.now_ns` is refused in a policy", "x_test.rego:3:14: there is no function `gone`"]);
}
