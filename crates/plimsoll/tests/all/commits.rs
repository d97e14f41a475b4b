//! What the messages of the commits that a release brings are asked to be like, and who is asked of a breaking change.

#![allow(clippy::unwrap_used)]

use crate::common::{Place, SMALL};

/// Where the judge isn't what is looked at.
const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

fn configure(place: &Place, gate: &str, subject: &str) {
    place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\ngate:\n{gate}"));
    place.commit(subject);
}

/// A change of what ships.
fn change(place: &Place, version: &str, subject: &str) {
    place.write("version", version);
    place.commit(subject);
}

fn asked(place: &Place, query: &str) -> serde_json::Value {
    let answer: serde_json::Value = serde_json::from_str(&place.say(&["policy", "eval", query, "--json"]).raw).unwrap();
    answer["result"][0]["expressions"][0]["value"].clone()
}

#[test]
fn every_commit_since_the_live_one_is_held_to_the_rules() {
    let place = Place::with_app();
    configure(&place, "  commits: {types: [feat, fix, chore], subjectMax: 40}\n", "chore: rules for commits");
    let first = place.up(&AT_ONCE);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.err.contains("; conventional commits"), "the plan says it: {first:?}");
    assert!(place.say(&["gate", "explain"]).out.contains("nothing was live before, so of its commits only the one that ships is read"));

    change(&place, "2", "wip");
    change(&place, "3", "docs(cart): how it is meant");
    place.git(&["switch", "--quiet", "--create", "side"]);
    change(&place, "4", "fix: beside");
    place.git(&["switch", "--quiet", "main"]);
    place.git(&["merge", "--quiet", "--no-ff", "--message", "Merge branch 'side'", "side"]);
    place.git(&["revert", "--no-edit", "--mainline", "1", "HEAD"]);
    change(&place, "5", "feat: the last one is right");
    let denied = place.up(&AT_ONCE);
    assert_eq!(denied.code, 3, "{denied:?}");
    for said in [
        " \"wip\" is against the commit rules: it has no type and colon before it, as `fix: …` has",
        " \"docs(cart): how it is meant\" is against the commit rules: `docs` is none of the types feat, fix, chore",
        "denied for local",
        "said no for 2 reasons",
    ] {
        assert!(denied.err.contains(said), "{said}: {denied:?}");
    }
    assert_eq!(asked(&place, "count(input.commits)"), 6, "the record tells it");
    assert_eq!(asked(&place, "input.change.step"), "unknown");

    // Once they are live nobody is asked about them any more.
    assert_eq!(place.say(&["gate", "override", "--reason", "they are pushed"]).code, 0);
    assert_eq!(place.up(&AT_ONCE).code, 0);
    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    change(&place, "6", "fix: and on");
    let again = place.up(&AT_ONCE);
    assert!(again.code == 0 && again.err.contains("\"wip\""), "back at the first one all of them come again: {again:?}");
    assert_eq!(asked(&place, "count(input.commits)"), 7);
    change(&place, "7", "fix: the next");
    let next = place.up(&AT_ONCE);
    assert_eq!((next.code, asked(&place, "input.change.step")), (0, "patch".into()), "{next:?}");
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn of_a_breaking_change_others_are_asked() {
    let place = Place::with_app();
    configure(&place, "  approvals: {rules: [{from: bo, when: breaking}]}\n", "feat: the first");
    assert_eq!(place.up(&AT_ONCE).code, 0, "nothing breaks, and nobody is asked");
    let check = place.say(&["gate", "check"]);
    assert!(check.out.contains("approvals  1 of bo where the change is breaking"), "{check:?}");
    change(&place, "2", "feat!: other prices");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("needs 1 approval of bo");
    let mut approve = place.plimsoll(&["approve", "release-2"]);
    approve.env("PLIMSOLL_ACTOR", "bo");
    assert_eq!(place.start(approve).wait().code, 0);
    assert_eq!(up.wait().code, 0);
    // What was agreed to is not asked again, although its bytes were live already.
    place.commit("feat!: the same bytes");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("needs 1 approval of bo");
    let mut approve = place.plimsoll(&["approve", "release-3"]);
    approve.env("PLIMSOLL_ACTOR", "bo");
    assert_eq!(place.start(approve).wait().code, 0);
    let same = up.wait();
    assert!(same.code == 0 && same.err.contains("was live already"), "{same:?}");
    change(&place, "4", "docs: what it costs");
    assert_eq!(place.up(&AT_ONCE).code, 0);
    change(&place, "3", "whatever it is");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("needs 1 approval of bo");
    assert_eq!(place.say(&["release", "abort"]).code, 0);
    up.wait();
}

#[test]
fn whatever_is_wrong_with_the_rules_is_said_at_once() {
    let place = Place::with_app();
    configure(&place, "  commits: angular\n  approvals: {rules: [{from: bo, when: major}]}\n", "one");
    let wrong = place.up(&AT_ONCE);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    for said in ["`conventional`, or a mapping with `types`, `scopes` or `subjectMax`, is expected here", "`breaking` is expected here"] {
        assert!(wrong.err.contains(said), "{said}: {wrong:?}");
    }
}
