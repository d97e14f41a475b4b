//! What Ctrl-C and SIGTERM end, and what they leave alone: as `plimsoll help signals` has it.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use crate::common::{DEADLINE, Place, open_gate, until};
use nix::sys::signal::Signal;

/// A repository whose only step waits for the gate.
fn waiting() -> (Place, PathBuf) {
    let place = Place::with_app();
    let gate = place.path("gate");
    let step = format!("touch {}; until [ -e {} ]; do sleep 0.05; done", place.path("began").display(), gate.display());
    place.write(
        ".github/workflows/ci.yml",
        &format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {step:?}\n"),
    );
    place.commit("a step that waits");
    (place, gate)
}

/// The release that was left is under way, and ends well.
fn goes_on(place: &Place, gate: &std::path::Path) {
    let view = place.say(&["release", "view"]);
    assert!(view.out.contains("under way"), "{view:?}");
    open_gate(gate);
    assert_eq!(place.say(&["release", "watch"]).code, 0);
}

#[test]
fn ctrl_c_of_a_watch_ends_the_watching_alone() {
    let (place, gate) = waiting();
    assert_eq!(place.up(&["--detach"]).code, 0);
    let mut watch = place.start(place.plimsoll(&["release", "watch"]));
    watch.until_it_says("a started");
    watch.interrupt();
    watch
        .wait()
        .ends(130, &["stopped watching; release-1 goes on: `plimsoll release watch 1` looks again, `plimsoll release abort 1` ends it"]);
    goes_on(&place, &gate);
}

#[test]
fn sigterm_of_up_ends_the_watching_alone() {
    let (place, gate) = waiting();
    let mut up = place.start_up(&[]);
    up.until_it_says("a started");
    up.signal(Signal::SIGTERM);
    assert_eq!(up.wait().code, 143);
    goes_on(&place, &gate);
}

#[test]
fn a_server_that_is_told_to_stop_does_not_wait_for_those_who_watch() {
    let (place, gate) = waiting();
    let mut up = place.start_up(&[]);
    up.until_it_says("a started");
    let before = place.server();
    nix::sys::signal::kill(before, Signal::SIGTERM).unwrap();
    // Its follower starts the next one, which adopts the step.
    until(DEADLINE, || place.find_server().is_some_and(|now| now != before)).unwrap();
    open_gate(&gate);
    assert_eq!(up.wait().code, 0);
}

#[test]
fn sigterm_of_a_run_lets_its_steps_end() {
    let (place, gate) = waiting();
    let mut run = place.start(place.plimsoll(&["run"]));
    until(DEADLINE, || place.path("began").exists()).unwrap();
    run.signal(Signal::SIGTERM);
    run.until_it_says("interrupted: running steps are told to stop");
    open_gate(&gate);
    assert_eq!(run.wait().code, 143);
}

#[test]
fn steps_hear_signals_whoever_sends_them() {
    let place = Place::with(&[(
        ".github/workflows/ci.yml",
        "on: push\njobs:\n  it:\n    runs-on: x\n    timeout-minutes: 0.5\n    steps:\n      - run: |\n          grep SigBlk /proc/self/status\n          sleep 100 & kill $!; wait $! || echo ended with $?\n          timeout 0.1 sleep 100 || echo timed out with $?\n",
    )]);
    let run = place.say(&["run"]);
    assert_eq!(run.code, 0, "{run:?}");
    for line in ["SigBlk:\t0000000000000000", "ended with 143", "timed out with 124"] {
        assert!(run.raw.contains(line), "{line}: {run:?}");
    }
}

#[test]
fn sigterm_of_a_demo_takes_everything_down() {
    let place = Place::with_app();
    let mut demo = place.start(place.plimsoll(&["demo"]));
    demo.until_it_says("started");
    demo.signal(Signal::SIGTERM);
    demo.wait().ends(
        143,
        &["terminated: everything is taken down", "Nothing is left of it: the copy, its server, its proxy and its processes are gone."],
    );
}
