//! Runs of one project, each a process of its own, in one concurrency group.

#![allow(clippy::unwrap_used)]

use crate::common::{DEADLINE, Place, Running, open_gate, until};
use nix::sys::signal::Signal;

/// A repository whose only step notes that it began, and waits for a file of its run's number.
fn place(concurrency: &str, of_job: &str) -> Place {
    let place = Place::with_app();
    let folder = place.path("");
    let step = format!("cd {}; touch began-$GITHUB_RUN_NUMBER; until [ -e go-$GITHUB_RUN_NUMBER ]; do sleep 0.05; done", folder.display());
    let text =
        format!("on: push\n{concurrency}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    {of_job}\n    steps:\n      - run: {step:?}\n");
    place.write(".github/workflows/ci.yml", &text);
    place.commit("a step that waits");
    place
}

fn began(place: &Place, number: u32) -> bool {
    place.path(&format!("began-{number}")).exists()
}

fn let_go(place: &Place, number: u32) {
    open_gate(&place.path(&format!("go-{number}")));
}

fn start(place: &Place) -> Running<'_> {
    place.start(place.plimsoll(&["run"]))
}

fn first(place: &Place) -> Running<'_> {
    let run = start(place);
    until(DEADLINE, || began(place, 1)).unwrap();
    run
}

#[test]
fn one_runs_the_newest_waits_and_the_one_between_is_cancelled() {
    let place = place("concurrency: Deploy-${{ github.ref_name }}", "");
    let one = first(&place);
    let mut two = start(&place);
    two.until_it_says("run-2 waits for run-1 in the concurrency group `Deploy-main`");
    let mut three = start(&place);
    three.until_it_says("run-3 waits for run-1 in the concurrency group `Deploy-main`");
    assert_eq!(two.wait().code, 130);
    let why = place.say(&["run", "view", "2"]);
    assert!(why.out.contains("run-3, which took its place in the concurrency group `Deploy-main`"), "{}", why.out);
    assert!(!began(&place, 2) && !began(&place, 3));
    let_go(&place, 1);
    assert_eq!(one.wait().code, 0);
    let_go(&place, 3);
    assert_eq!(three.wait().code, 0);
}

#[test]
fn who_comes_with_cancel_in_progress_ends_the_one_that_runs() {
    let place = place("concurrency: {group: g, cancel-in-progress: true}", "");
    let one = first(&place);
    let two = start(&place);
    let_go(&place, 2);
    assert_eq!(one.wait().code, 130);
    assert_eq!(two.wait().code, 0);
}

#[test]
fn a_run_that_is_killed_frees_its_place() {
    let place = place("concurrency: g", "");
    let one = first(&place);
    let mut two = start(&place);
    two.until_it_says("run-2 waits for run-1");
    one.signal(Signal::SIGKILL);
    let_go(&place, 1);
    let_go(&place, 2);
    assert_eq!(two.wait().code, 0);
}

#[test]
fn jobs_of_different_runs_wait_for_each_other() {
    let place = place("", "concurrency: {group: g, queue: max}");
    let one = first(&place);
    let mut two = start(&place);
    two.until_it_says("a of run-2 waits for a of run-1 in the concurrency group `g`");
    assert!(!began(&place, 2));
    let_go(&place, 1);
    let_go(&place, 2);
    assert_eq!((one.wait().code, two.wait().code), (0, 0));
}
