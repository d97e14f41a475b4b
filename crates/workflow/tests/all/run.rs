//! Runs as scripts: `testdata/run/*.script` is a workflow, then `> when what-is-seen` lines and what the run makes of
//! each. `UPDATE_EXPECT=1` rewrites what it makes. `run/script.rs` says what a line may hold.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod random;
mod script;

use std::fs;
use std::path::Path;

use serde_json::json;
use workflow::environment::Review;
use workflow::run::{Command, Event, Run};

use script::{Script, Stage};

#[test]
fn every_script() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/run");
    let mut cases: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10);
    let mut wrong = Vec::new();
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let transcript = script::transcript(&text);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&case, &transcript).unwrap();
        } else if transcript != text {
            wrong.push(format!("{}:\n{transcript}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const TWO_JOBS: &str =
    "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: a}]\n  b:\n    needs: a\n    runs-on: x\n    steps: [{run: b}]\n";

#[test]
fn finished_is_finished() {
    let mut stage = Stage::new(&Script::read(&format!("{TWO_JOBS}====\n")));
    for line in ["0s", "1s a finished", "2s b finished failure"] {
        stage.tick(line);
    }
    let run = &stage.run;
    assert_eq!(run.conclusion().map(|conclusion| conclusion.word()), Some("failure"));
    let again = run.advance(&stage.seen, stage.now.plus_ms(1_000_000_000));
    assert_eq!((again.events, again.actions, again.waiting, again.wake), (vec![], vec![], None, None));
    let refusal = run.command(Command::Cancel { force: true }, "ada", stage.now).unwrap_err();
    assert_eq!(refusal.to_string(), "run-42 has ended");
}

#[test]
fn a_second_cancel_must_insist() {
    let mut stage = Stage::new(&Script::read(&format!("{TWO_JOBS}====\n")));
    stage.tick("0s");
    stage.tick("1s cancel ada");
    let refusal = stage.run.command(Command::Cancel { force: false }, "bob", stage.now).unwrap_err();
    assert_eq!(refusal.to_string(), "run-42 is being cancelled already, since 2026-11-21 00:00:01 UTC by ada");
    assert_eq!(stage.run.command(Command::Cancel { force: true }, "bob", stage.now).unwrap().len(), 1);
}

/// A review of another run, of another commit, of another environment or of a job that doesn't wait is none.
#[test]
fn a_review_is_about_what_waited_for_it() {
    let script = "#! deliver production.reviewers=bo\non: push\njobs:\n  a: {environment: production, runs-on: x, steps: [{run: a}]}\n  b: {runs-on: x, steps: [{run: b}]}\n====\n";
    let mut stage = Stage::new(&Script::read(script));
    stage.tick("0s");
    let right = stage.run.review(None, true, "", "bo", stage.now).unwrap().remove(0);
    let Event::EnvironmentReviewed { review } = &right else { panic!("{right:?}") };
    let other_run = base::name::RunId::new(stage.now, 9);
    let wrong = [
        Review { run: other_run, ..review.clone() },
        Review { sha: "f".repeat(40), ..review.clone() },
        Review { environment: "staging".to_string(), ..review.clone() },
        Review { jobs: vec!["a".to_string(), "b".to_string()], ..review.clone() },
        Review { jobs: Vec::new(), ..review.clone() },
    ];
    for review in wrong {
        let mut run = stage.run.clone();
        let event = Event::EnvironmentReviewed { review };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.apply(&event))).expect_err(&format!("{event:?}"));
    }
    let started = Event::JobStarted {
        id: workflow::job::JobId { run: review.run, key: "a".to_string(), attempt: 1 },
        name: "a".to_string(),
        at: stage.now,
    };
    let mut run = stage.run.clone();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.apply(&started))).expect_err("nothing starts before the yes is folded");
    stage.run.apply(&right);
}

/// Every event against a fresh run, one that runs, and one that has ended: what may follow is a table.
#[test]
fn legality() {
    let mut stage = Stage::new(&Script::read(&format!("{TWO_JOBS}====\n")));
    let fresh = stage.run.clone();
    stage.tick("0s");
    stage.tick("1s a running");
    let running = stage.run.clone();
    stage.tick("2s a finished failure");
    let ended = stage.run.clone();

    let of = |key: &str| json!({"run": stage.run.plan().run, "key": key, "attempt": 1});
    let at = "2026-11-21T00:00:03.000Z";
    let outcome = json!({"conclusion": "success", "outputs": {}, "reason": null, "started": at, "finished": at});
    let step = json!({"number": 0, "name": "Run a", "state": "running", "started": null, "finished": null, "reason": null});
    let leg = json!([{"key": "b", "name": "b", "matrix": null, "index": 0, "allow_failure": false, "timeout_ms": 1}]);
    let run = stage.run.plan();
    let review = json!({"environment": "x", "run": run.run, "sha": run.event.sha, "jobs": ["a"], "by": "ada", "agrees": true, "at": at});
    // fresh, running, ended
    let table = [
        (json!({"event": "run_started"}), [true, false, false]),
        (json!({"event": "cancel_requested", "by": "ada", "force": false}), [true, true, false]),
        (json!({"event": "job_skipped", "key": "b", "name": "b", "reason": ""}), [false, true, false]),
        (json!({"event": "job_skipped", "key": "a", "name": "a", "reason": ""}), [false, false, false]),
        (json!({"event": "job_rejected", "key": "b", "name": "b", "reason": ""}), [false, true, false]),
        (json!({"event": "job_cancelled", "key": "b", "name": "b", "reason": ""}), [false, true, false]),
        (json!({"event": "job_cancelled", "key": "a", "name": "a", "reason": ""}), [false, false, false]),
        (json!({"event": "job_cancelled", "key": "nobody", "name": "b", "reason": ""}), [false, false, false]),
        (json!({"event": "job_planned", "key": "b", "fail_fast": true, "max_parallel": null, "legs": leg}), [false, true, false]),
        (json!({"event": "job_planned", "key": "b", "fail_fast": true, "max_parallel": null, "legs": []}), [false, false, false]),
        (json!({"event": "job_planned", "key": "a", "fail_fast": true, "max_parallel": null, "legs": leg}), [false, false, false]),
        (json!({"event": "job_held", "key": "a", "name": "a", "environment": "x"}), [false, false, false]),
        (json!({"event": "job_cleared", "key": "a"}), [false, false, false]),
        (json!({"event": "job_refused", "key": "a", "name": "a", "conclusion": "failure", "reason": ""}), [false, false, false]),
        (json!({"event": "environment_reviewed", "review": review}), [false, false, false]),
        (json!({"event": "job_started", "id": of("a"), "name": "a"}), [false, false, false]),
        (json!({"event": "job_started", "id": of("b"), "name": "b"}), [false, false, false]),
        (json!({"event": "job_accepted", "id": of("a")}), [false, false, false]),
        (json!({"event": "step_started", "id": of("a"), "step": step}), [false, true, false]),
        (json!({"event": "step_finished", "id": of("b"), "step": step}), [false, false, false]),
        (json!({"event": "job_timed_out", "id": of("a"), "budget_ms": 1}), [false, true, false]),
        (json!({"event": "job_finished", "id": of("a"), "outcome": outcome, "allowed_failure": false}), [false, true, false]),
        (json!({"event": "job_finished", "id": of("b"), "outcome": outcome, "allowed_failure": false}), [false, false, false]),
        (json!({"event": "job_lost", "id": of("a"), "reason": "lost: x", "allowed_failure": false}), [false, true, false]),
        (json!({"event": "job_retried", "key": "a", "attempt": 2, "not_before": at}), [false, false, false]),
        (json!({"event": "job_superseded", "key": "a", "by": "b", "group": "g"}), [false, true, false]),
        (json!({"event": "call_started", "key": "a", "name": "a"}), [false, false, false]),
        (json!({"event": "call_finished", "key": "a", "conclusion": "success", "outputs": {}, "reason": null}), [false, false, false]),
        (json!({"event": "run_finished", "conclusion": "success"}), [false, false, false]),
    ];
    for (event, expected) in table {
        let mut stored = event.clone();
        stored["at"] = json!(at);
        let parsed: Event = serde_json::from_value(stored.clone()).unwrap_or_else(|error| panic!("{event}: {error}"));
        assert_eq!(serde_json::to_value(&parsed).unwrap()["event"], event["event"]);
        for (run, allowed) in [&fresh, &running, &ended].into_iter().zip(expected) {
            let mut run: Run = run.clone();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.apply(&parsed)));
            assert_eq!(outcome.is_ok(), allowed, "{event} on {:?}", run.status().conclusion);
        }
    }
}
