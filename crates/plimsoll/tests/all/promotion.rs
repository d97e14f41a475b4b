//! What is live in one environment moves on to the next as it is.

#![allow(clippy::unwrap_used)]

use serde_json::Value;

use crate::common::{Place, Said, free_port};

const PLACES: &str = "artifact: site\nenvironments:\n  staging: {level: development}\n  production: {after: staging, gate: {provenance: 1}, env: {WHERE: production}}\n";

/// Its only job leaves a word beside the project each time it runs.
fn staged() -> Place {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}{PLACES}"));
    let log = place.path("home").join("ran").display().to_string();
    let steps = format!(
        "    steps:\n      - uses: actions/checkout@v4\n      - run: echo ran >> {log}; mkdir site; cp *.py site/\n      - uses: actions/upload-artifact@v4\n        with: {{name: site, path: site}}\n"
    );
    place.write(".github/workflows/ci.yml", &format!("on: push\njobs:\n  build:\n    runs-on: self-hosted\n{steps}"));
    place.commit("has a pipeline");
    place
}

fn up(place: &Place, environment: &str, more: &[&str]) -> Said {
    let port = free_port().to_string();
    place.say(&[&["up", "--environment", environment, "--strategy", "immediate", "--port", &port], more].concat())
}

fn json(place: &Place, words: &[&str]) -> Value {
    let said = place.say(&[words, &["--json"]].concat());
    serde_json::from_str(&said.raw).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn times_run(place: &Place) -> usize {
    std::fs::read_to_string(place.path("home").join("ran")).unwrap_or_default().lines().count()
}

#[test]
fn the_same_bytes_move_on_with_what_was_proved_of_them_and_nothing_runs_again() {
    let place = staged();
    up(&place, "production", &[]).ends(
        9,
        &[
            "error: nothing is live in `staging` that could move on",
            "hint: `plimsoll up --environment staging` brings something up there first",
        ],
    );
    assert_eq!(up(&place, "staging", &[]).code, 0);
    let tested = json(&place, &["release", "view", "1"]);
    // What has been committed since stays behind.
    place.write("app.py", "raise SystemExit('not tested')\n");
    place.commit("breaks it");
    let moved = up(&place, "production", &[]);
    moved.ends(
        0,
        &["runs     nothing again: what release-1 ran counts", "ships    what is live in staging, as it was proved there (release-1)"],
    );
    assert_eq!(times_run(&place), 1);
    let view = json(&place, &["release", "view", "2"]);
    for same in ["/artifact", "/commit", "/evidence"] {
        assert!(view.pointer(same).is_some() && view.pointer(same) == tested.pointer(same), "{same}: {view}");
    }
    assert_eq!(view["proved"]["runs"][0]["conclusion"], "success");
    assert!(!view.to_string().contains("runs/none"), "{view}");
    let shown = place.say(&["release", "view", "2"]);
    assert!(shown.out.contains("  moves on   from staging, as release-1 built and proved it"), "{shown:?}");
    let stated = |release: &str| place.say(&["release", "provenance", release, "--statement"]).raw;
    assert!(stated("1").contains("slsa.dev/provenance") && stated("1") == stated("2"));

    let elsewhere = up(&place, "development", &["--from", "staging"]);
    assert!(elsewhere.code == 0 && elsewhere.err.contains("`plimsoll up --environment development --from staging` again"), "{elsewhere:?}");

    // Once more there is nothing to do, and the next one moves on only from where it was tried.
    let again = place.say(&["up", "--environment", "production"]);
    assert!(again.code == 0 && again.err.contains("was live already, nothing to do"), "{again:?}");
    up(&place, "production", &["--from", "local"])
        .ends(2, &["error: only what is live in `staging` ships to `production`, and not what is in `local`"]);
    up(&place, "production", &["--dirty"])
        .ends(2, &["error: what moves on from `staging` is what was proved there, and never the working tree: leave out `--dirty`"]);
    assert_eq!(times_run(&place), 1);
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn what_went_back_is_what_moves_on() {
    let place = staged();
    assert_eq!(up(&place, "staging", &[]).code, 0);
    place.write("more.py", "# more\n");
    place.commit("more");
    assert_eq!(up(&place, "staging", &[]).code, 0);
    assert_eq!(place.say(&["release", "rollback", "--environment", "staging"]).code, 0);
    let moved = up(&place, "production", &[]);
    assert!(moved.code == 0 && moved.err.contains("as it was proved there (release-1)"), "{moved:?}");
    let artifact = |release: &str| json(&place, &["release", "view", release])["artifact"].clone();
    assert!(artifact("4") == artifact("1") && artifact("4") != artifact("2"));
}

#[test]
fn what_is_not_committed_stays_where_it_is() {
    let place = staged();
    place.write("more.py", "# more\n");
    assert_eq!(up(&place, "staging", &["--dirty"]).code, 0);
    let said = "error: release-1, which is live in `staging`, has changes that are not committed, and stays there";
    up(&place, "production", &[]).ends(2, &[said, "hint: commit them, and bring that up there"]);
}

#[test]
fn an_environment_comes_after_another_that_there_is() {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write(
        "plimsoll.yaml",
        &format!("{config}environments:\n  a: {{after: b}}\n  b: {{after: a}}\n  c: {{after: stagin}}\n  d: {{after: d}}\n"),
    );
    place.commit("goes in circles");
    let said = place.up(&["--dry-run"]);
    for wrong in [
        "`a` would come after itself",
        "`b` would come after itself",
        "no environment `stagin`",
        "did you mean `staging`?",
        "`d` would come",
    ] {
        assert!(said.code == 2 && said.err.contains(wrong), "{wrong}: {said:?}");
    }
}

/// Hours may lie between what is asked and what is agreed to.
#[test]
fn what_went_back_meanwhile_does_not_move_on() {
    let place = staged();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &config.replace("gate: {provenance: 1}", "gate: {provenance: 1, approvals: {rules: [{from: [bo]}]}}"));
    place.commit("somebody agrees");
    assert_eq!(up(&place, "staging", &[]).code, 0);
    place.write("more.py", "# more\n");
    place.commit("more");
    assert_eq!(up(&place, "staging", &[]).code, 0);
    assert_eq!(up(&place, "production", &["--wait", "1s"]).code, 5);
    assert_eq!(place.say(&["release", "rollback", "--environment", "staging"]).code, 0);
    let mut approve = place.plimsoll(&["approve", "release-3"]);
    approve.env("PLIMSOLL_ACTOR", "bo");
    assert_eq!(place.start(approve).wait().code, 0);
    let why = "what was to move on is not live in `staging` any more";
    let watched = place.say(&["release", "watch", "3"]);
    assert!(watched.code != 0 && format!("{}{}", watched.out, watched.err).contains(why), "{watched:?}");
}
