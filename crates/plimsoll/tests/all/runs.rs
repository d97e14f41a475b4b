//! What is left of `plimsoll run`: its record, further attempts, why and what differs; and the plan drawn.

#![allow(clippy::unwrap_used)]

use crate::common::{Place, Said};
use serde_json::Value as Json;

const CI: &str = ".github/workflows/ci.yml";

/// `test` fails as long as there is no file `fixed` in the project; `build` notes how often it ran.
const FAILING: &str = "name: ci
on: push
permissions: {}
jobs:
  build:
    runs-on: ubuntu-24.04
    outputs: {tag: '${{ steps.it.outputs.tag }}'}
    steps:
      - run: echo built >> \"$COUNT\"
      - {id: it, run: 'echo tag=v$GITHUB_RUN_ATTEMPT >> $GITHUB_OUTPUT; echo data > out.txt'}
      - {uses: actions/upload-artifact@v4, with: {name: out, path: out.txt}}
  test:
    needs: build
    runs-on: ubuntu-24.04
    steps:
      - {uses: actions/download-artifact@v4, with: {name: out}}
      - {id: prepare, run: 'echo WHO=ada >> $GITHUB_ENV; echo n=$(($(cat n 2>/dev/null || echo 0) + 1)) >> $GITHUB_OUTPUT; echo x >> n.txt'}
      - name: Check it
        run: |
          echo \"tag ${{ needs.build.outputs.tag }} attempt $GITHUB_RUN_ATTEMPT who $WHO n ${{ steps.prepare.outputs.n }}\"
          cat out.txt
          test -f \"$FIXED\" || { echo '::error file=app.py,line=3::not fixed'; exit 3; }
  lint:
    runs-on: ubuntu-24.04
    steps: [{run: echo linted}]
  deploy:
    needs: [build, test]
    if: needs.test.result == 'success' && github.ref == 'refs/heads/main'
    runs-on: ubuntu-24.04
    steps: [{run: 'echo deployed ${{ needs.build.outputs.tag }}'}]
  report:
    needs: [test]
    if: always()
    runs-on: ubuntu-24.04
    steps: [{run: 'echo report ${{ needs.test.result }}'}]
";

/// A place in which the file has run once, and failed.
fn failed() -> Place {
    let place = Place::with(&[(CI, FAILING)]);
    let said = run(&place, &[]);
    said.ends(1, &["run-1 failed; `plimsoll run explain` says why, `plimsoll run rerun --failed` tries again what failed"]);
    assert!(said.out.contains("test | tag v1 attempt 1 who ada n 1"), "{}", said.out);
    assert!(said.out.contains("report | report failure"), "{}", said.out);
    place
}

fn run(place: &Place, args: &[&str]) -> Said {
    let count = format!("COUNT={}", place.path("count").display());
    let fixed = format!("FIXED={}", place.path("fixed").display());
    place.say(&[&["run", "--env", &count, "--env", &fixed], args].concat())
}

fn fix(place: &Place) {
    std::fs::write(place.path("fixed"), "").unwrap();
}

fn built(place: &Place) -> usize {
    std::fs::read_to_string(place.path("count")).unwrap().lines().count()
}

fn json(said: &Said) -> Json {
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}\n{}", said.out))
}

#[test]
fn what_was_run_is_listed_and_shown() {
    let place = Place::with(&[(CI, FAILING)]);
    place.say(&["run", "list"]).is(0, "nothing was run here yet");
    assert_eq!(place.say(&["run", "view"]).code, 9);
    fix(&place);
    assert_eq!(run(&place, &[]).code, 0);
    place.say(&["run", "rerun"]).ends(0, &["run-1, attempt 2"]);
    let list = place.say(&["run", "list"]);
    assert!(list.out.starts_with("run-1  success, attempt 2  ci  push  main HASH"), "{}", list.out);
    let view = place.say(&["run", "view"]);
    for line in ["run-1 ci: success", ".github/workflows/ci.yml on push, main HASH", "✔ build success (TIME)"] {
        assert!(view.out.contains(line), "{line}\n{}", view.out);
    }
    assert!(view.out.contains("attempt 2, by ada, "), "{}", view.out);
    let first = json(&place.say(&["run", "view", "1", "--attempt", "1", "--json"]));
    assert_eq!((&first["attempt"]["number"], &first["conclusion"]), (&1.into(), &"success".into()));
    assert_eq!(json(&place.say(&["--json", "run", "list"]))[0]["attempts"], 2);
    let record = place.say(&["run", "view", "run-1", "--record"]);
    let kinds: Vec<Json> = record.out.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["kind"].clone()).collect();
    assert_eq!((&kinds[0], kinds.last().unwrap()), (&"attempt.begun".into(), &"run.run-finished".into()));
    // A job that succeeded leaves no workspace, and an attempt that isn't there is said so.
    assert_eq!(place.say(&["run", "rerun", "--job", "test", "--from-step", "Check it"]).code, 9);
    assert_eq!(place.say(&["run", "view", "--attempt", "3"]).code, 9);
    assert_eq!(place.say(&["run", "rerun", "--failed"]).code, 9);
    assert_eq!(place.say(&["run", "view", "7"]).code, 9);
    assert_eq!(place.say(&["run", "view", "seven"]).code, 2);
}

#[test]
fn what_failed_runs_again_with_what_the_others_left() {
    let place = failed();
    fix(&place);
    let said = place.say(&["run", "rerun", "--failed"]);
    said.ends(0, &["run-1, attempt 2", "build is taken from attempt 1: success"]);
    assert!(said.out.contains("test | tag v1 attempt 2 who ada n 1\ntest | data"), "{}", said.out);
    assert!(said.out.contains("deploy | deployed v1") && said.out.contains("report | report success"), "{}", said.out);
    assert!(!said.out.contains("linted"), "{}", said.out);
    assert_eq!(built(&place), 1);
    let view = json(&place.say(&["run", "view", "--json"]));
    assert_eq!(view["attempt"]["reused"], serde_json::json!({ "build": 1, "lint": 1 }));
    assert_eq!(view["attempt"]["again"], "failed");
    // What it reuses may have been reused itself; the job's artifact is made anew under the same name.
    let said = place.say(&["run", "rerun", "--job", "build"]);
    said.ends(0, &["run-1, attempt 3", "lint is taken from attempt 1: success"]);
    assert!(said.out.contains("test | tag v3 attempt 3"), "{}", said.out);
    assert_eq!(built(&place), 2);
}

#[test]
fn a_job_goes_on_from_a_step_in_the_workspace_as_it_was() {
    let place = failed();
    let said = place.say(&["run", "rerun", "--from-step", "check IT"]);
    assert!(said.out.contains("test | tag v1 attempt 2 who ada n 1"), "{}", said.out);
    assert_eq!(said.code, 1);
    fix(&place);
    let said = place.say(&["run", "rerun", "--job", "test", "--from-step", "3"]);
    said.ends(0, &["run-1, attempt 3", "build is taken from attempt 1: success"]);
    // The step before it did not run again, and what it had set is there.
    assert!(said.out.contains("test | tag v1 attempt 3 who ada n 1\ntest | data"), "{}", said.out);
    let steps = json(&place.say(&["run", "view", "--json"]))["jobs"][1]["legs"][0]["steps"].clone();
    let names: Vec<&str> = steps.as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], "Check it");
    place.say(&["run", "rerun", "--job", "test", "--from-step", "3"]).is(
        9,
        "error: the workspace of `test` in run-1 is gone: a job that succeeded doesn't keep its workspace
hint: `plimsoll run rerun 1 --job test` runs the whole job again",
    );
}

#[test]
fn a_step_that_comes_after_a_failure_or_is_not_there_is_no_place_to_go_on_from() {
    let place = Place::with(&[(
        CI,
        "on: push\npermissions: {}\njobs:\n  it:\n    runs-on: x\n    steps:\n      - {id: a, run: exit 1}\n      - {id: b, if: always(), run: echo b}\n",
    )]);
    assert_eq!(place.say(&["run"]).code, 1);
    let said = place.say(&["run", "rerun", "--from-step", "b"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("`it` can't go on from `b`: step \"Run exit 1\" exited with 1"), "{}", said.err);
    let said = place.say(&["run", "rerun", "--from-step", "c"]);
    assert_eq!(said.code, 9);
    assert!(said.err.contains("`it` got to no step `c`; it stood before `Run exit 1`, `Run echo b`"), "{}", said.err);
}

#[test]
fn secrets_are_given_again_and_never_kept() {
    let place = Place::with(&[(
        CI,
        "on: push
permissions: {}
jobs:
  it:
    runs-on: x
    env: {OWN: '${{ secrets.TOKEN }}'}
    steps:
      - {id: a, run: 'echo LEAK=$OWN >> $GITHUB_ENV'}
      - {id: b, name: 'with ${{ secrets.TOKEN }}', run: 'echo got $OWN; exit 1'}
      - {if: always(), run: 'true'}
",
    )]);
    let secret = "correct-horse-battery";
    let given = format!("TOKEN={secret}");
    assert_eq!(place.say(&["run", "--secret", &given]).code, 1);
    let said = place.say(&["run", "rerun", "--failed"]);
    said.is(
        2,
        "error: run-1 was given `TOKEN`, and secrets are never kept
hint: give it again: `--secret TOKEN`, with the value in the environment or behind a `=`",
    );
    let said = place.say(&["run", "rerun", "--from-step", "b", "--secret", &given]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("the variable `LEAK`, which a step before it set, holds a secret"), "{}", said.err);
    let said = place.say(&["run", "rerun", "--failed", "--secret", &given]);
    assert!(said.out.contains("got ***"), "{}", said.out);
    // A variable that holds one isn't kept either.
    assert_eq!(place.say(&["run", "--secret", &given, "--env", &format!("X=a{secret}b")]).code, 1);
    let said = place.say(&["run", "rerun", "--failed", "--secret", &given]);
    assert!(said.err.contains("held a secret, which isn't kept"), "{}", said.err);
    let found = place.at_home("grep").args(["-rl", secret]).arg(place.state()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the secret lies in the state directory");
}

#[test]
fn why_is_said_with_the_values_put_in() {
    let place = failed();
    let said = place.say(&["run", "explain"]);
    for line in [
        "build: succeeded",
        "test: test failed: step \"Check it\" exited with 3",
        "  step 3 \"Check it\": exited with 3",
        "    app.py:3: not fixed",
        "    │ data",
        "deploy: was skipped: `test` failed",
        "  needs test, which failed",
        "report: succeeded",
    ] {
        assert!(said.out.lines().any(|it| it == line), "`{line}` is not in\n{}", said.out);
    }
    let said = place.say(&["run", "explain", "deploy"]);
    let whole = "  if success() && (needs.test.result == 'success' && github.ref == 'refs/heads/main')";
    let lines: Vec<&str> = said.out.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(whole)).unwrap_or_else(|| panic!("{}", said.out));
    assert!(lines[at].ends_with("→  false && false && true  →  false"), "{}", said.out);
    assert!(lines[at + 1].trim().starts_with("success()") && lines[at + 1].ends_with("→  false"), "{}", said.out);
    assert!(lines[at + 2].ends_with("was not looked at"), "{}", said.out);
    let deploy = json(&place.say(&["run", "explain", "1", "deploy", "--json"]));
    let deploy = &deploy["jobs"][0];
    assert_eq!(deploy["why"], "was skipped: `test` failed");
    assert_eq!(deploy["needs"][1], serde_json::json!({ "key": "test", "state": { "finished": "failure" }, "result": "failure" }));
    assert_eq!(deploy["clauses"][1]["result"], "false");
    assert_eq!(place.say(&["run", "explain", "1", "depoly"]).code, 9);
}

#[test]
fn a_skipped_step_and_a_workflow_that_was_not_triggered_say_why() {
    let place = Place::with(&[
        (
            CI,
            "on: push\npermissions: {}\njobs:\n  it:\n    runs-on: x\n    steps:\n      - {id: a, run: 'echo x=1 >> $GITHUB_OUTPUT'}\n      - {if: \"steps.a.outputs.x == '2'\", run: echo b}\n",
        ),
        (
            ".github/workflows/release.yml",
            "on: {push: {branches: [release]}}\npermissions: {}\njobs: {it: {runs-on: x, steps: [{run: a}]}}\n",
        ),
    ]);
    assert_eq!(place.say(&["run"]).code, 0);
    let said = place.say(&["run", "explain"]);
    assert!(said.out.contains("    if success() && (steps.a.outputs.x == '2')  →  true && false  →  false"), "{}", said.out);
    assert!(said.out.contains("steps.a.outputs.x == '2'"), "{}", said.out);
    assert!(said.out.contains("→  '1' == '2'  →  false"), "{}", said.out);
    assert!(said.out.starts_with(".github/workflows/release.yml does not run: "), "{}", said.out);
}

#[test]
fn a_run_is_compared_with_the_last_that_succeeded() {
    let place = Place::with(&[(CI, FAILING)]);
    assert_eq!(place.say(&["run", "diff"]).code, 9);
    fix(&place);
    assert_eq!(run(&place, &[]).code, 0);
    let said = place.say(&["run", "diff"]);
    said.is(9, "error: no run of .github/workflows/ci.yml before run-1 succeeded, so there is nothing to compare with");
    std::fs::remove_file(place.path("fixed")).unwrap();
    place.write("more.txt", "more");
    place.write(CI, &FAILING.replace("tag=v", "tag=w"));
    place.commit("more");
    assert_eq!(run(&place, &[]).code, 1);
    let said = place.say(&["run", "diff"]);
    for line in [
        "run-2 beside run-1, the last of it that succeeded",
        "commits from HASH to HASH",
        "  HASH more",
        "files: 2",
        "  more.txt",
        "the workflow itself has changed",
        "  deploy: success → skipped",
        "  test: success → failure",
        "  build.tag: v1 → w1",
        "  build: TIME → TIME",
    ] {
        assert!(said.out.lines().any(|it| it == line), "`{line}` is not in\n{}", said.out);
    }
    let diff = json(&place.say(&["run", "diff", "run-2", "--json"]));
    assert_eq!((&diff["run"], &diff["green"], &diff["files"]), (&2.into(), &1.into(), &serde_json::json!([CI, "more.txt"])));

    let only = run(&place, &["--job", "build"]);
    assert_eq!(only.code, 0, "{only:?}");
    let diff = json(&place.say(&["run", "diff", "--json"]));
    assert_eq!(diff["results"], serde_json::json!([]), "one job says nothing of the others");
    assert_eq!(diff["outputs"][0]["name"], "build.tag");
    let none = place.say(&["run", "list", "-n", "0"]);
    assert!(none.code == 0 && none.out.is_empty() && none.err.is_empty(), "{none:?}");
}

#[test]
fn a_file_outside_the_folder_of_workflows_runs_in_the_repository_it_lies_in() {
    let file =
        "on: push\npermissions: {}\njobs: {it: {runs-on: x, steps: [{uses: actions/checkout@v4}, {run: 'ls; git log --format=%s'}]}}\n";
    let place = Place::with(&[("ci/q.yml", file), ("there.txt", "")]);
    let said = place.say(&["run", "ci/q.yml"]);
    assert!(said.code == 0 && said.out.contains("there.txt") && said.out.contains("first"), "{said:?}");
    assert!(place.say(&["run", "list"]).out.contains("run-1"), "it is a run of the project");
    place.write("sub/plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\n");
    place.write("sub/jobs/q.yml", &file.replace("; git log --format=%s", ""));
    place.commit("another");
    let said = place.say(&["run", "sub/jobs/q.yml"]);
    assert!(said.code == 0 && !said.out.contains("there.txt") && said.out.contains("plimsoll.yaml"), "{said:?}");
    // A folder is the project that `run` there makes it, also where nothing but a pipeline says so.
    place.write("lab/.gitlab-ci.yml", "it: {script: [ls -a]}\n");
    place.commit("a pipeline");
    for asked in [&["run", "lab"][..], &["run", "lab/.gitlab-ci.yml"]] {
        let said = place.say(asked);
        assert!(said.code == 0 && !said.out.contains("there.txt"), "{said:?}");
    }
    assert_eq!(place.say(&["run", "list", "-C", "lab"]).out.lines().count(), 2, "both are runs of that folder");
}

#[test]
fn a_plan_is_drawn() {
    let place = Place::with(&[
        (
            CI,
            "name: ci
on: [push, pull_request]
permissions: {}
jobs:
  lint: {runs-on: x, steps: [{run: a}]}
  test:
    needs: lint
    strategy: {matrix: {python: ['3.11', '3.12'], os: [a]}}
    runs-on: x
    steps: [{run: a}]
  ship:
    needs: [lint, test]
    if: github.ref == 'refs/heads/main'
    uses: ./.github/workflows/ship.yml
",
        ),
        (
            ".github/workflows/ship.yml",
            "on: workflow_call\npermissions: {}\njobs:\n  pack: {runs-on: x, steps: [{run: a}]}\n  push: {needs: pack, runs-on: x, steps: [{run: a}]}\n",
        ),
    ]);
    let said = place.say(&["graph", CI]);
    said.is(0, "");
    let drawn = "\
.github/workflows/ci.yml (ci) on push, pull_request
●      lint
├─●    test  2 legs: 3.11, a · 3.12, a
╰─┴─●  ship  calls ./.github/workflows/ship.yml; if github.ref == 'refs/heads/main'
         ●    pack
         ╰─●  push
";
    assert_eq!(said.out, drawn);
    let all = place.say(&["graph"]);
    assert!(all.out.starts_with(drawn) && all.out.contains("\n.github/workflows/ship.yml on workflow_call\n"), "{}", all.out);
    let json = json(&place.say(&["graph", CI, "--format", "json"]));
    assert_eq!(json[0]["jobs"][2]["jobs"][1]["needs"], serde_json::json!(["pack"]));
    let mermaid = place.say(&["graph", CI, "--format", "mermaid"]).out;
    for line in ["flowchart LR", "  lint_[\"lint\"]", "  test_[\"test ×2\"]", "  lint_ --> test_", "    ship__pack_ --> ship__push_"] {
        assert!(mermaid.lines().any(|it| it == line), "`{line}` is not in\n{mermaid}");
    }
    let dot = place.say(&["graph", CI, "--format", "dot"]).out;
    assert!(dot.starts_with("digraph plan {") && dot.contains("w0_lint_ -> w0_test_;"), "{dot}");
    place.write(CI, "on: push\njobs: {a: {runs-on: x, steps: [{runn: a}]}}\n");
    let said = place.say(&["graph", CI]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("ci.yml:2:"), "{}", said.err);
}

#[test]
fn one_step_is_picked_with_the_actions_before_it() {
    let place = Place::with(&[(
        CI,
        "on: push
permissions: {}
jobs:
  it:
    runs-on: x
    steps:
      - uses: actions/checkout@v4
      - run: echo alpha
      - {id: two, run: 'echo beta; ls app.py'}
      - run: echo gamma
",
    )]);
    let said = place.say(&["run", "--job", "it", "--step", "two"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.ends_with("beta\napp.py\n") && !said.out.contains("alpha") && !said.out.contains("gamma"), "{}", said.out);
    assert_eq!(place.say(&["run", "--job", "it", "--step", "2"]).code, 0);
    assert_eq!(place.say(&["run", "--step", "two"]).code, 2);
    place.say(&["run", "-j", "it", "--step", "four"]).ends(9, &["error: `it` has no step `four`; it has 1, 2, two, 4"]);
    let plan = place.say(&["run", "-j", "it", "--step", "two", "--dry-run"]);
    assert_eq!(plan.out, ".github/workflows/ci.yml on push\n  it  if success()\n");
}

#[test]
fn a_change_of_a_file_runs_it_again_and_an_ignored_one_does_not() {
    let file = "on: push\npermissions: {}\njobs:\n  it:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - run: cat text.txt\n";
    let place = Place::with(&[(CI, file), ("text.txt", "first\n"), (".gitignore", "*.log\n")]);
    let mut running = place.start(place.plimsoll(&["run", "--watch"]));
    running.until_it_says("watching");
    // Were it counted, it would be named.
    place.write("a.log", "noise");
    place.write("text.txt", "second\n");
    running.until_it_says("text.txt has changed");
    running.until_it_says_so_often("watching", 2);
    place.write("sub/new.txt", "new");
    running.until_it_says("sub/new.txt has changed");
    running.until_it_says_so_often("watching", 3);
    running.interrupt();
    let said = running.wait();
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("first\n") && said.out.matches("second\n").count() == 2, "{}", said.out);
    assert!(!said.err.contains("a.log"), "{}", said.err);
}

#[test]
fn a_file_called_like_a_command_is_reached_by_its_path() {
    let place = Place::with(&[("list", "on: push\npermissions: {}\njobs: {it: {runs-on: x, steps: [{run: echo from list}]}}\n")]);
    let said = place.say(&["run", "./list"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("from list"), "{}", said.out);
    assert!(place.say(&["run", "list"]).out.starts_with("run-1  success"));
}

#[test]
fn a_cache_and_a_tool_are_there_in_the_next_run() {
    let steps = "
      - {id: kept, uses: actions/cache@v4, with: {path: deps, key: one}}
      - run: 'echo hit=${{ steps.kept.outputs.cache-hit }} tool=$(cat $RUNNER_TOOL_CACHE/made 2>/dev/null); mkdir -p deps $RUNNER_TOOL_CACHE'
      - run: 'echo kept > deps/x; echo yes > $RUNNER_TOOL_CACHE/made'
";
    let place = Place::with(&[(CI, &format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:{steps}"))]);
    let first = place.say(&["run"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("hit= tool=") || first.out.contains("hit=false tool="), "{}", first.out);
    let second = place.say(&["run"]);
    assert!(second.out.contains("hit=true tool=yes"), "{}{}", second.out, second.err);
}

#[test]
fn a_run_is_told_in_json_line_by_line() {
    let file = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    name: build for ${{ vars.WHO }}\n    steps:\n      - run: echo hello geheim-geheim; printf end\n";
    let place = Place::with(&[(CI, file)]);
    let said = place.say(&["run", "--json", "--secret", "S=geheim-geheim", "--var", "WHO=geheim-geheim"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let facts: Vec<Json> = said.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let lines: Vec<&str> =
        facts.iter().filter(|fact| fact["kind"] == "step.line").map(|fact| fact["payload"]["text"].as_str().unwrap()).collect();
    assert!(lines.ends_with(&["hello ***", "end"]), "{lines:?}");
    let kinds: Vec<&str> = facts.iter().map(|fact| fact["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("attempt.begun", "run.run-finished"), "{kinds:?}");
    assert!(!said.out.contains("geheim"), "{}", said.out);
    // The same facts are kept.
    let record = place.say(&["run", "view", "1", "--record"]).out;
    let told = said.out.lines().filter(|line| !line.contains("\"step.line\""));
    assert_eq!(told.collect::<Vec<_>>(), record.lines().collect::<Vec<_>>());
}

const FILTERED: &str = "on:
  push: {paths: ['src/**', '!src/docs/**'], tags: ['v*'], branches: [main]}
  pull_request: {paths: ['src/**']}
jobs:
  it:
    runs-on: x
    steps:
      - run: echo $GITHUB_REF $GITHUB_REF_NAME of $SAID
        env: {SAID: '${{ github.event.head_commit.message }}'}
";

#[test]
fn an_event_has_the_paths_and_the_ref_that_it_is_about() {
    let place = Place::with(&[(CI, FILTERED)]);
    let commit = |path: &str| {
        place.write(path, "x");
        place.commit(path);
    };
    commit("z.txt");
    let outside = place.say(&["run"]);
    assert!(
        outside.code == 9
            && outside.err.contains("does not run: none of the changed files (z.txt) is among `paths: [src/**, !src/docs/**]`"),
        "{outside:?}"
    );
    assert_eq!(place.say(&["run", "--dirty"]).code, 0, "the working tree has no commit to compare");
    commit("src/docs/a");
    assert_eq!(place.say(&["run"]).code, 9);
    commit("src/a");
    let inside = place.say(&["run"]);
    assert!(inside.code == 0 && inside.out.contains("refs/heads/main main of src/a"), "{inside:?}");

    place.write("tag.json", "{\"ref\": \"refs/tags/v1.0\"}");
    let tag = place.say(&["run", "--event-file", "tag.json"]);
    assert!(tag.code == 0 && tag.out.contains("refs/tags/v1.0 v1.0 of"), "{tag:?}");
    place.write("pull.json", "{\"number\": 7, \"pull_request\": {\"base\": {\"ref\": \"main\"}, \"head\": {\"ref\": \"topic\"}}}");
    let pull = place.say(&["run", "--event", "pull_request", "--event-file", "pull.json"]);
    assert!(pull.code == 0 && pull.out.contains("refs/pull/7/merge 7/merge of"), "{pull:?}");
}

/// As at GitHub, whatever number the run has here; a further attempt keeps it.
#[test]
fn the_run_number_counts_the_runs_of_a_file() {
    let file = |name: &str| {
        format!(
            "name: {name}\nrun-name: {name} ${{{{ github.run_number }}}}\non: push\npermissions: {{}}\njobs:\n  a: {{runs-on: x, steps: [{{run: 'echo {name} ${{{{ github.run_number }}}} $GITHUB_RUN_NUMBER'}}]}}\n"
        )
    };
    let place = Place::with(&[(".github/workflows/one.yml", &file("one")), (".github/workflows/two.yml", &file("two"))]);
    let said = place.say(&["run"]);
    assert!(said.out.contains("one 1 1\n") && said.out.contains("two 1 1\n"), "{}", said.out);
    let said = place.say(&["run", ".github/workflows/two.yml"]);
    assert!(said.out.contains("two 2 2\n"), "{}", said.out);
    let said = place.say(&["run", "rerun"]);
    assert!(said.out.contains("two 2 2\n"), "{}", said.out);
    assert!(place.say(&["run", "list"]).out.contains("two 2"));
    let said = place.say(&["run", ".github/workflows/one.yml"]);
    assert!(said.out.contains("one 2 2\n"), "{}", said.out);
}

#[test]
fn what_is_not_committed_is_told_where_the_commit_is_checked_out() {
    let file = |steps: &str| format!("on: push\npermissions: {{}}\njobs:\n  a: {{runs-on: x, steps: [{steps}{{run: 'echo hello'}}]}}\n");
    let place = Place::with(&[(CI, &file("{uses: actions/checkout@v4}, ")), (".github/workflows/other.yml", &file(""))]);
    assert!(!place.say(&["run", CI]).err.contains("not committed"));
    place.write("notes.txt", "x");
    let said = place.say(&["run", CI]);
    said.ends(0, &["warning: `notes.txt` is not committed and stays out; `--dirty` takes the working tree as it is"]);
    assert!(!place.say(&["run", CI, "--dirty"]).err.contains("not committed"));
    assert!(!place.say(&["run", ".github/workflows/other.yml"]).err.contains("not committed"), "nothing of the commit is used");
}

#[test]
fn an_event_that_is_none_and_one_that_can_not_be_read_are_mistakes_of_the_command() {
    let place = Place::with(&[(CI, FILTERED)]);
    place
        .say(&["run", "--event", "pull-request"])
        .ends(2, &["error: there is no event `pull-request`", "hint: did you mean `--event pull_request`?"]);
    place
        .say(&["run", "--event-file", "absent.json"])
        .ends(2, &["error: failed to read `absent.json`: No such file or directory (os error 2)"]);
}

#[test]
fn the_legs_of_a_matrix_are_told_apart_by_the_names_they_are_shown_with() {
    let file = "on: push\npermissions: {}\njobs:\n  t:\n    runs-on: x\n    strategy: {matrix: {v: [one, two]}}\n    steps: [{run: 'echo hello from ${{ matrix.v }}'}]\n";
    let place = Place::with(&[(CI, file)]);
    let said = place.say(&["run"]);
    assert!(said.raw.contains("t (one) | hello from one\n") && said.raw.contains("t (two) | hello from two\n"), "{said:?}");
}

#[test]
fn a_job_that_is_none_is_told_which_there_are_and_a_short_secret_what_it_does() {
    let file = "on: push\npermissions: {}\njobs:\n  build: {runs-on: x, steps: [{run: 'echo built'}]}\n  check: {runs-on: x, steps: [{run: 'echo checked'}]}\n";
    let place = Place::with(&[(CI, file)]);
    place.say(&["run", "-j", "nosuch"]).ends(2, &["error: .github/workflows/ci.yml: there is no job `nosuch`; there are `build`, `check`"]);
    place.say(&["run", "-j", "build (2)"]).ends(
        2,
        &["error: .github/workflows/ci.yml: `build (2)` is one leg of the job `build`, which runs with all its legs or not at all: ask for `build`"],
    );
    let said = place.say(&["run", "--secret", "TOKEN=x"]);
    said.ends(0, &["warning: the secret `TOKEN` is so short that parts of other words are hidden with it"]);
}

#[test]
fn what_a_job_can_t_have_here_stops_only_those_that_want_it() {
    let file = "on: push\npermissions: {}\njobs:\n  app: {runs-on: macos-latest, steps: [{run: 'echo app'}]}\n  build: {runs-on: x, steps: [{run: 'echo built'}]}\n  pack: {runs-on: x, needs: app, steps: [{run: 'echo packed'}]}\n";
    let place = Place::with(&[(CI, file)]);
    let refused = "a job on macOS (`macos-latest`) can't be run here yet";
    for wanting in [&["run"][..], &["run", "-j", "app"], &["run", "-j", "pack"]] {
        let said = place.say(wanting);
        assert!(said.code == 2 && said.err.contains(refused), "{wanting:?}: {said:?}");
    }
    let said = place.say(&["run", "-j", "build"]);
    assert!(said.code == 0 && said.raw.contains("build | built\n"), "{said:?}");
}

#[test]
fn a_project_says_which_jobs_run_elsewhere_and_the_others_run() {
    let app = "  app: {runs-on: macos-latest, steps: [{uses: microsoft/nowhere@v1}, {run: 'echo app'}]}\n";
    let test = "  test:\n    strategy: {matrix: {os: [ubuntu-latest, windows-2025]}}\n    runs-on: ${{ matrix.os }}\n    steps: [{run: echo tested}]\n";
    let pack = "  pack: {runs-on: x, needs: test, steps: [{run: 'echo packed'}]}\n";
    let mixed = "  mixed: {runs-on: [gpu, windows-11], steps: [{run: 'echo mixed'}]}\n";
    let file = format!("on: push\npermissions: {{}}\njobs:\n{app}{test}{pack}{mixed}");
    let place = Place::with(&[(CI, &file)]);
    let said = place.say(&["run"]);
    let hint = "= help: `workflows: {runners: {windows-2025: skip}}` in plimsoll.yaml leaves such jobs out";
    assert!(said.code == 2 && said.err.contains(hint), "{said:?}");
    place.write("plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\nworkflows: {runners: {macos-latest: skip, Windows-*: skip, gpu: host}}\n");
    let said = place.say(&["run"]);
    let skipped = |label: &str| format!("`workflows.runners` skips the jobs of `{label}`");
    assert!(said.code == 0 && said.raw.contains("pack | packed\n") && said.raw.contains("mixed | mixed\n"), "{said:?}");
    assert!(said.err.contains(&format!("app is left out: {}", skipped("macos-latest"))), "{said:?}");
    assert!(said.err.contains(&skipped("windows-2025")) && !said.err.contains("nowhere"), "{said:?}");
}

#[test]
fn a_quiet_run_says_only_what_failed() {
    let place = Place::with(&[(
        CI,
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo all is well; echo sum >> $GITHUB_STEP_SUMMARY\n      - {run: echo forgiven; exit 1, continue-on-error: true}\n  b:\n    runs-on: ubuntu-24.04\n    steps: [{run: 'echo out of cheese; test -f fixed'}]\n",
    )]);
    let said = place.say(&["run", "--quiet", "--dirty"]);
    said.is(1, "warning: run-1 failed; `plimsoll run explain` says why, `plimsoll run rerun --failed` tries again what failed");
    assert_eq!(said.out, "b | out of cheese\nb | ##[error]Process completed with exit code 1.\n", "{said:?}");
    let said = place.say(&["run", "--quiet", "--job", "a"]);
    assert!(said.code == 0 && said.out.is_empty(), "{said:?}");
}
