//! Runs of one project in one concurrency group: each a process of its own, and those of releases.

#![allow(clippy::unwrap_used)]

use crate::common::{DEADLINE, Place, Running, open_gate, until};
use nix::sys::signal::{Signal, kill};

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

fn up(place: &Place) -> Running<'_> {
    place.start_up(&["--strategy", "immediate"])
}

/// A first release whose job runs.
fn first_up(place: &Place) -> Running<'_> {
    let up = up(place);
    until(DEADLINE, || began(place, 1)).unwrap();
    up
}

/// What the record would tell apart: the next release of another commit.
fn next_up<'a>(place: &'a Place, subject: &str) -> Running<'a> {
    place.commit(subject);
    up(place)
}

fn status_says(place: &Place, sentence: &str) {
    let seen = until(DEADLINE, || place.say(&["status"]).raw.contains(sentence));
    assert!(seen.is_ok(), "{sentence}\n{:?}", place.say(&["status"]));
}

#[test]
fn releases_stand_in_line_and_the_one_between_is_cancelled() {
    let place = place("concurrency: deploy", "");
    let one = first_up(&place);
    let two = next_up(&place, "second");
    status_says(&place, "release-2 waits: .github/workflows/ci.yml: it waits for release-1 in the concurrency group `deploy`");
    let three = next_up(&place, "third");
    let two = two.wait();
    assert!(
        two.code == 1 && two.err.contains("release-2  cancelled by release-3, which took its place in the concurrency group `deploy`"),
        "{two:?}"
    );
    assert!(!began(&place, 2) && !began(&place, 3));
    let_go(&place, 1);
    let_go(&place, 3);
    assert_eq!((one.wait().code, three.wait().code), (0, 0));
    assert!(!began(&place, 2));
}

#[test]
fn a_release_ends_the_run_of_another_with_cancel_in_progress() {
    let place = place("concurrency: {group: deploy, cancel-in-progress: true}", "");
    let one = first_up(&place);
    let two = next_up(&place, "second");
    let_go(&place, 2);
    let one = one.wait();
    assert!(one.code == 1 && one.err.contains("release-1  cancelled by release-2, which took its place"), "{one:?}");
    assert_eq!(two.wait().code, 0);
}

#[test]
fn jobs_of_releases_and_runs_wait_for_each_other_and_a_killed_server_leaves_no_group_taken() {
    let place = place("", "concurrency: {group: g, queue: max}");
    let one = first_up(&place);
    let mut run = start(&place);
    run.until_it_says("a of run-1 waits for a of release-1 in the concurrency group `g`");
    kill(place.server(), Signal::SIGKILL).unwrap();
    // The job goes on without it, and has its place.
    let mut other = start(&place);
    other.until_it_says("a of run-2 waits for a of release-1 and 1 more in the concurrency group `g`");
    let_go(&place, 1);
    let_go(&place, 2);
    assert_eq!((run.wait().code, other.wait().code), (0, 0));
    drop(one);
    let seen = until(DEADLINE, || place.say(&["status"]).raw.contains("release-1"));
    assert!(seen.is_ok(), "what comes after it takes the release up again");
}
