//! What was live when, and which way a rollback leads.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::common::{APP, DEADLINE, Place, SMALL, free_port, until};

/// All traffic at once: what is asked here is not the judge.
fn bring_up(place: &Place, version: &str) {
    place.write("version", version);
    place.commit(&format!("version {version}"));
    let said = place.up(&["--strategy", "immediate"]);
    assert_eq!(said.code, 0, "{said:?}");
}

fn live(place: &Place) -> u64 {
    let views: serde_json::Value = serde_json::from_str(&place.say(&["status", "--json"]).raw).unwrap();
    views[0]["live"]["number"].as_u64().unwrap()
}

fn revision_of(place: &Place, number: u64) -> String {
    let view: serde_json::Value = serde_json::from_str(&place.say(&["release", "view", &number.to_string(), "--json"]).raw).unwrap();
    view["revision"].as_str().unwrap().to_string()
}

#[test]
fn a_second_rollback_goes_further_back_and_never_to_what_the_first_one_left() {
    let place = Place::with_app();
    for version in ["1", "2", "3"] {
        bring_up(&place, version);
    }
    let revisions: Vec<String> = (1..=3).map(|number| revision_of(&place, number)).collect();
    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    assert_eq!(revision_of(&place, 4), revisions[1]);
    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    assert_eq!(revision_of(&place, 5), revisions[0]);
    let none = place.say(&["release", "rollback"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.err.contains("but what was left by a rollback or a failed canary"), "{none:?}");
    assert_eq!(live(&place), 5);
    // Who names it means it.
    assert_eq!(place.say(&["release", "rollback", &revisions[2]]).code, 0);
    assert_eq!(revision_of(&place, 6), revisions[2]);

    let history = place.say(&["release", "history"]);
    let lines: Vec<&str> = history.out.lines().collect();
    assert_eq!(lines.len(), 6, "{history:?}");
    assert!(lines[0].contains("release-6") && lines[0].contains("rollback to HASH") && lines[0].ends_with(", now"), "{history:?}");
    assert!(
        lines[5].contains("HASH version 1 · revision HASH · at once · promoted · began ") && lines[5].contains(" UTC, took "),
        "{history:?}"
    );
    assert_eq!(lines.iter().filter(|line| line.contains("live from")).count(), 6, "{history:?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with(", now")).count(), 1, "{history:?}");

    let list = place.say(&["release", "list"]);
    assert!(list.out.contains("promoted: revision HASH") && !list.out.contains("is live"), "{list:?}");

    let told: serde_json::Value = serde_json::from_str(&place.say(&["release", "history", "--json"]).raw).unwrap();
    let first = &told[5];
    assert_eq!((&first["number"], &first["strategy"], &first["ended"]), (&1.into(), &"immediate".into(), &"promoted".into()), "{first}");
    assert!(first["live"][0]["until"].is_string() && first["took_ms"].is_u64() && first["is_live"] == false, "{first}");
}

/// The status line and the body that the proxy answers with.
fn ask(place: &Place, host: &str) -> String {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", place.port)) else { return String::new() };
    let mut answer = String::new();
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let _ = connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut answer));
    answer
}

fn answers(place: &Place) -> bool {
    ask(place, "app.localhost").starts_with("HTTP/1.1 200")
}

#[test]
fn instances_come_back_when_all_that_kept_them_was_killed() {
    let place = Place::with_app();
    bring_up(&place, "1");
    assert!(answers(&place));
    place.kill_everything();
    // Whatever is asked next starts a server, and that one what shall run.
    assert_eq!(place.say(&["status"]).code, 0);
    let is_back = || answers(&place) && place.say(&["status"]).out.contains("✔ HASH/0 ready");
    until(DEADLINE, is_back).expect("what was live answers again");
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn nothing_is_shipped_to_a_port_that_somebody_else_has_since_a_reboot() {
    let place = Place::with_app();
    bring_up(&place, "1");
    place.kill_everything();
    let mut taken = None;
    let take = || {
        taken = std::net::TcpListener::bind(("127.0.0.1", place.port)).ok();
        taken.is_some()
    };
    until(DEADLINE, take).expect("the port is free once the router is dead");
    place.write("app.py", &format!("{APP}# 2\n"));
    place.commit("version 2");
    place.up(&[]).ends(2, &["error: port PORT is taken by another process"]);
    drop(taken);
    until(DEADLINE, || answers(&place)).expect("what was live answers again");
    assert_eq!(place.up(&["--strategy", "immediate"]).code, 0);
}

#[test]
fn blue_green_shows_the_new_version_before_anybody_gets_it() {
    let place = Place::with_app();
    bring_up(&place, "1");
    let config = format!(
        "{SMALL}start: exec python3 app.py\nsmoke: [/]\nstrategy: {{blueGreen: {{autoPromotionEnabled: false, scaleDownDelaySeconds: 10s}}}}\n"
    );
    place.write("plimsoll.yaml", &config);
    place.write("app.py", &APP.replace(r#"b"ok\n""#, r#"b"up\n""#));
    place.commit("version 2");
    let mut up = place.start_up(&[]);
    up.until_it_says("then all at once when somebody says `plimsoll release promote` or `resume`");
    up.until_it_says("without traffic; `plimsoll release promote` or `resume` moves all of it");
    let new = revision_of(&place, 2);
    assert!(ask(&place, "app.localhost").ends_with("ok\n"), "users stay with the old one");
    assert!(ask(&place, &format!("{new}.app.localhost")).ends_with("up\n"), "who asks for the new one gets it");
    let status = place.say(&["status"]);
    let url = format!("http://{new}.app.localhost:{}", place.port);
    assert!(status.raw.contains(&format!("no traffic to {new}, reached at {url}")), "{status:?}");
    assert_eq!(place.say(&["release", "promote"]).code, 0);
    up.until_it_says("verified   ");
    assert!(ask(&place, "app.localhost").ends_with("up\n"));
    up.until_it_says(&format!("answers    http://app.localhost:{}; {} is kept running until ", place.port, revision_of(&place, 1)));
    let status = place.say(&["status"]);
    assert_eq!(status.out.matches("✔ HASH/0 ready").count(), 2, "the old one is kept for a while");
    let first = status.raw.lines().nth(1).unwrap();
    assert!(first.contains(&format!("✔ revision {new} since ")) && first.contains("(release-2), verified"), "{status:?}");
    assert!(status.out.contains("release-2 is verified; the old version HASH is kept running until "), "{status:?}");
    let history = place.say(&["release", "history"]);
    let lines: Vec<&str> = history.out.lines().collect();
    assert!(lines[0].contains(" · verified, the version before is kept for a while") && lines[0].ends_with(", now"), "{history:?}");
    assert!(!lines[1].contains(", now"), "{history:?}");
    let said = up.wait();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(place.say(&["release", "history"]).out.lines().next().unwrap().contains(" · blue-green · promoted"));
}

#[test]
fn what_is_live_moves_to_another_port_and_is_not_called_unchanged() {
    let place = Place::with_app();
    bring_up(&place, "1");
    let other = free_port();
    let said = place.say(&["up", "--port", &other.to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("warning: it moves from port PORT to ") && said.err.contains("at the old one from then on"), "{said:?}");
    assert!(said.err.contains("traffic  all at once, as HASH is live already and only its port changes"), "{said:?}");
    assert!(said.err.contains("revision   HASH is live already; its port, or how many instances it has, changes"), "{said:?}");
    assert!(said.raw.contains(&format!("http://app.localhost:{other}")), "{said:?}");
    let connection = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(connection(other) && !connection(place.port));
    assert!(place.say(&["status"]).raw.contains(&format!(":{other}")));
}

#[test]
fn after_a_down_the_way_back_leads_to_what_was_live_last() {
    let place = Place::with_app();
    bring_up(&place, "1");
    bring_up(&place, "2");
    assert_eq!(place.say(&["down"]).code, 0);
    let history = place.say(&["release", "history"]);
    assert!(!history.out.contains(", now"), "{history:?}");
    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    assert_eq!(revision_of(&place, 3), revision_of(&place, 2));
    let denied = place.say(&["release", "history", "--json"]);
    assert!(denied.raw.contains("\"is_live\": true"), "{denied:?}");
}

#[test]
fn what_was_never_live_is_told_with_why() {
    let place = Place::with_app();
    bring_up(&place, "1");
    place.write("app.py", "raise SystemExit('no')\n");
    place.commit("an application that ends at once");
    assert_eq!(place.up(&[]).code, 6);
    let history = place.say(&["release", "history"]);
    let first = history.out.lines().next().unwrap();
    assert!(first.contains("⚠ release-2") && first.contains(" · canary · went back: ") && !first.contains("live from"), "{history:?}");
}

const MATRIX: &str = "on: push\njobs:\n  test:\n    strategy: {matrix: {v: [1, 2]}}\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo leg ${{ matrix.v }}\n  named:\n    name: A nice name\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo nice\n";

#[test]
fn the_log_of_a_job_is_found_by_every_name_it_is_shown_under() {
    let place = Place::with_app();
    place.write(".github/workflows/ci.yml", MATRIX);
    bring_up(&place, "1");
    for (name, line) in
        [("test (2)", "leg 2"), ("test.0", "leg 1"), ("ci.yml/test (1)", "leg 1"), ("A nice name", "nice"), ("named", "nice")]
    {
        let log = place.say(&["logs", "--job", name]);
        assert!(log.code == 0 && log.raw.lines().any(|it| it == line), "{name}: {log:?}");
    }
    let several = place.say(&["logs", "--job", "test"]);
    assert!(several.code == 2 && several.err.contains("`test` is several jobs of release-1: `test (1)`, `test (2)`"), "{several:?}");
    let none = place.say(&["logs", "--job", "deploy"]);
    assert!(none.code == 9 && none.err.contains("it has `test (1)`, `test (2)`, `A nice name`"), "{none:?}");
}

#[test]
fn a_folder_where_nothing_is_live_is_not_answered_with_others() {
    let place = Place::with_app();
    bring_up(&place, "1");
    let other = place.project().join("other");
    place.write("other/plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\nstart: ./missing\ngate: {require: [coverage]}\n");
    place.commit("another project of the same repository");
    assert_eq!(place.say(&["up", "other"]).code, 3);
    for status in [
        place.say(&["status", "other"]),
        place
            .start({
                let mut status = place.plimsoll(&["status"]);
                status.current_dir(&other);
                status
            })
            .wait(),
    ] {
        assert!(status.out.contains("nothing is live") && !status.out.contains("revision"), "{status:?}");
        assert!(!status.err.contains("the folder above"), "it is a project of its own: {status:?}");
        assert!(status.out.contains("release-1 was the last: the gate said no for one reason"), "{status:?}");
    }
}

#[test]
fn what_a_release_wrote_that_went_back_is_shown() {
    let place = Place::with_app();
    bring_up(&place, "1");
    place.write("app.py", "raise SystemExit('out of cheese')\n");
    place.commit("an application that ends at once");
    let up = place.up(&[]);
    assert!(up.code == 6 && up.err.contains("--revision HASH` what it wrote"), "{up:?}");
    let log = place.say(&["logs", "--release", "2"]);
    assert!(log.code == 0 && log.out.contains("out of cheese"), "{log:?}");
}

/// What can't run any more must not keep its own repair away.
#[test]
fn a_version_that_crashes_again_and_again_is_replaced() {
    let place = Place::with_app();
    let broken = place.path("broken");
    let crash =
        format!("import os, sys\nif os.path.exists('{}') and os.path.exists('old'): sys.exit('no such table')\n{APP}", broken.display());
    place.write("app.py", &crash);
    place.write("old", "");
    place.commit("first");
    let canary = "canary 10 % → 50 % → 100 %, judged against the version that runs beside it";
    place.up(&[]).ends(0, &[&format!("traffic  all at once, as it is the first here; from the next on {canary}")]);
    std::fs::write(&broken, "").unwrap();
    place.kill_application();
    until(DEADLINE, || place.say(&["status"]).out.contains("no such table")).expect("it crashes when it is started again");
    std::fs::remove_file(place.path("app/old")).unwrap();
    place.commit("the repair");
    let said = place.up(&[]);
    said.ends(
        0,
        &[
            &format!("traffic  {canary}"),
            "⚠ judge      HASH is dead (exited with 1: no such table): nothing to compare with, and nothing to lose",
        ],
    );
    assert!(place.say(&["release", "explain"]).out.contains("the steps were skipped: HASH was dead before HASH had any traffic"));
    assert!(answers(&place));
}

/// Who has mended what a version needs, and not the version, tries it again.
#[test]
fn a_revision_that_crashed_before_gets_a_new_chance() {
    let place = Place::with_app();
    let database = place.path("database");
    let needs = format!("import os, sys\nif not os.path.exists('{}'): sys.exit('no database')\n{APP}", database.display());
    place.write("app.py", &needs);
    place.commit("it needs a database");
    let failed = place.up(&[]);
    assert!(failed.code == 1 && failed.err.contains("crashed 3 times: exited with 1: no database"), "{failed:?}");
    std::fs::write(&database, "").unwrap();
    let again = place.up(&[]);
    assert_eq!(again.code, 0, "its crashes of before are no word on this time: {again:?}");

    std::fs::remove_file(&database).unwrap();
    place.kill_application();
    until(DEADLINE, || place.say(&["status"]).out.contains("no database")).expect("it crashes when it is started again");
    place.up(&[]).ends(
        1,
        &[
            "✔ release-3  revision HASH was live already, nothing to do (TIME)",
            "warning: HASH is live and does not answer: exited with 1: no database; `plimsoll down` and `plimsoll up` start it anew",
        ],
    );
    std::fs::write(&database, "").unwrap();
    assert_eq!(place.say(&["down"]).code, 0);
    assert_eq!(place.up(&[]).code, 0);
    assert!(answers(&place));
}

#[test]
fn what_waited_before_a_rollback_is_not_shipped_after_it() {
    let place = Place::with_app();
    bring_up(&place, "1");
    bring_up(&place, "2");
    assert_eq!(place.say(&["env", "freeze", "--reason", "the sale"]).code, 0);
    place.write("version", "3");
    place.commit("version 3");
    place.up(&["--wait", "2s"]).ends(5, &["release-3 waits: environment `local` is closed: frozen (the sale); no opening is in sight; in an emergency `plimsoll gate override --reason WHY` goes past it; `plimsoll release watch 3` looks again"]);
    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    assert_eq!(place.say(&["env", "unfreeze"]).code, 0);
    place
        .say(&["release", "watch", "3"])
        .ends(3, &["⚠ release-3  overtaken: release-4 began later and is live, so this one is not shipped (TIME)"]);
    place.up(&[]).ends(0, &["✔ release-5  revision HASH is live and verified (TIME)"]);
}

#[test]
fn what_is_steered_without_a_name_is_what_moves_and_not_what_waits_behind_it() {
    let place = Place::with_app();
    bring_up(&place, "1");
    place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\nstrategy: {{blueGreen: {{autoPromotionEnabled: false}}}}\n"));
    place.commit("asks first");
    let mut moving = place.start_up(&[]);
    moving.until_it_says("without traffic");
    place.write("version", "3");
    place.commit("third");
    let mut queued = place.start_up(&[]);
    queued.until_it_says("is taken by release");

    let status = place.say(&["status"]);
    assert!(
        status.out.contains("release-2 is changing it: ") && status.out.contains("release-3 is still to come: HASH third"),
        "{status:?}"
    );
    let pause = place.say(&["release", "pause"]);
    assert!(pause.code == 0 && pause.err.contains("release-2: pause is on record"), "{pause:?}");
    let abort = place.say(&["release", "abort"]);
    assert!(abort.code == 0 && abort.err.contains("release-2: abort is on record"), "{abort:?}");
    assert_eq!(moving.wait().code, 6);
    let rest = place.say(&["release", "abort", "3"]);
    assert_eq!(rest.code, 0, "{rest:?}");
    queued.wait();
}
