//! What is wrong with workflow files, as `run` tells it: everything at once, each thing once, and why.

#![allow(clippy::unwrap_used)]

use crate::common::Place;

const CI: &str = ".github/workflows/ci.yml";
const CALLED: &str = ".github/workflows/called.yml";

const CALLS: &str = "on: push
permissions: {}
jobs:
  a:
    uses: ./.github/workflows/called.yml
    with: {nmae: x}
  b: {runs-on: x, timeout-minutes: 0, steps: [{uses: ./nowhere}]}
";

#[test]
fn errors_of_a_called_file_hide_none_and_come_once() {
    let called = "on:\n  push:\n  workflow_call: {inputs: {name: {type: string}}}\njobs:\n  a: {runs-on: x, steps: [{run: a, iff: x}]}\n";
    let place = Place::with(&[(CI, CALLS), (CALLED, called)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 2, "{}", said.err);
    for (sentence, times) in [("unknown key `iff`", 1), ("has no input `nmae`", 1), ("`timeout-minutes` must be more than 0", 1)] {
        assert_eq!(said.err.matches(sentence).count(), times, "{sentence}\n{}", said.err);
    }
    assert_eq!(place.up(&["--dry-run"]).err.matches("unknown key `iff`").count(), 1);
}

#[test]
fn what_actions_are_missing_is_said_beside_what_is_wrong_elsewhere() {
    let calls = CALLS.replace("timeout-minutes: 0, ", "").replace("    with: {nmae: x}\n", "").replace("./nowhere", "a/b@v1");
    let place = Place::with(&[(CI, &calls), (CALLED, "on: workflow_call\njobs:\n  a: {runs-on: x}\n")]);
    let mut run = place.plimsoll(&["run"]);
    run.env("PLIMSOLL_ACTIONS_SOURCES", format!("file://{}/{{repo}}", place.path("mirror").display()));
    let said = place.start(run).wait();
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("job `a` needs `steps`") && said.err.contains("a/b"), "{}", said.err);
}

#[test]
fn a_byte_that_is_no_text_has_a_place() {
    let place = Place::with(&[(CI, "")]);
    let wrong = b"on: push\njobs:\n  a: {runs-on: x, steps: [{run: \"echo \xff\"}]}\n";
    std::fs::write(place.project().join(CI), wrong).unwrap();
    std::fs::write(place.project().join(".gitlab-ci.yml"), b"a: {script: \xe9}\n").unwrap();
    place.git(&["add", "-A"]);
    place.git(&["commit", "--quiet", "--message", "bytes"]);
    for args in [&["run"] as &[&str], &["up", "--dry-run"]] {
        let said = place.say(args);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains("this is not UTF-8: the byte 0xff can't stand here\n --> .github/workflows/ci.yml:3:39"), "{}", said.err);
    }
    let said = place.say(&["run", ".gitlab-ci.yml"]);
    assert!(said.code == 2 && said.err.contains(" --> .gitlab-ci.yml:1:13"), "{}", said.err);
}

#[test]
fn a_called_file_that_is_no_text_has_a_place_too() {
    let place = Place::with(&[(CI, "on: push\njobs:\n  a: {uses: ./.github/workflows/called.yml}\n")]);
    std::fs::write(place.project().join(CALLED), b"on: workflow_call\n\xff").unwrap();
    let said = place.say(&["run", CI]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("called.yml:2:1: this is not UTF-8: the byte 0xff"), "{}", said.err);
}

#[test]
fn a_single_job_that_can_t_start_says_why() {
    let numbers = (0..17).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let job = format!("runs-on: x\n    strategy: {{matrix: {{a: [{numbers}], b: [{numbers}]}}}}\n    steps: [{{run: a}}]\n");
    let place = Place::with(&[(CI, &format!("on: push\npermissions: {{}}\njobs:\n  a:\n    {job}"))]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("✖ a can't start: the matrix makes 289 jobs, and 256 are allowed\n"), "{}", said.err);
}
