//! What people say to the gate: approvals, freezes, closed hours, emergencies.

#![allow(clippy::unwrap_used)]

use crate::common::{Place, Said};

/// Where the judge isn't what is looked at.
const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

fn configured(gate: &str) -> Place {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}{gate}"));
    place.commit("what the gate asks");
    place
}

fn as_person(place: &Place, who: &str, args: &[&str]) -> Said {
    let mut command = place.plimsoll(args);
    command.env("PLIMSOLL_ACTOR", who);
    place.start(command).wait()
}

#[test]
fn a_release_waits_for_people_who_did_not_make_it() {
    let place = configured("gate:\n  teams:\n    leads: [bo, cy]\n  approvals:\n    rules:\n      - {from: leads, count: 1}\n");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("needs 1 approval of leads (bo, cy); `plimsoll approve release-1` gives it");
    let inbox = place.say(&["inbox"]);
    assert!(inbox.out.contains("release-1") && inbox.out.contains("needs 1 approval of leads"), "{inbox:?}");
    let mut elsewhere = place.plimsoll(&["inbox"]);
    elsewhere.current_dir(place.path("home"));
    let hints = "`plimsoll approve release-1 -C DIR/app` gives it, `plimsoll reject release-1 --comment WHY -C DIR/app` ends the release";
    let inbox = place.start(elsewhere).wait();
    assert!(inbox.out.contains(hints), "{inbox:?}");
    let status = place.say(&["status"]);
    assert!(status.out.contains("◌ release-1 waits: needs 1 approval of leads"), "{status:?}");

    let view: serde_json::Value = serde_json::from_str(&place.say(&["release", "view", "--json"]).raw).unwrap();
    let author = view["actor"].as_str().unwrap().to_string();
    let own = as_person(&place, &author, &["approve"]);
    assert!(own.code == 4 && own.err.contains("does not count: nobody approves their own change"), "{own:?}");
    let stranger = as_person(&place, "eve", &["approve", "-m", "why not"]);
    assert!(stranger.code != 0 && stranger.err.contains("no rule that is open asks this person"), "{stranger:?}");
    assert_eq!(as_person(&place, "bo", &["approve", "release-1", "-m", "looks good"]).code, 0);
    up.wait().ends(0, &["✔ approved   by bo: looks good"]);

    let view = place.say(&["release", "view"]);
    assert!(view.out.contains("approved   by bo at ") && view.out.contains(": looks good"), "{view:?}");
    assert_eq!(place.say(&["inbox"]).out, "nothing waits for anybody\n");
    let late = as_person(&place, "cy", &["approve", "release-1"]);
    assert!(late.code != 0 && late.err.contains("release-1 has ended"), "{late:?}");
}

#[test]
fn a_refusal_ends_the_release() {
    let place = configured("gate:\n  approvals:\n    rules:\n      - {from: [bo, cy], count: 2}\n");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("needs 2 approvals of bo or cy (bo, cy)");
    let first = as_person(&place, "bo", &["approve"]);
    assert!(first.code == 0 && first.err.contains("approve is on record; now "), "{first:?}");
    let again = as_person(&place, "Bo", &["approve"]);
    assert!(again.code == 0 && again.err.contains("approve is on record, as it was before: it counts once; now "), "{again:?}");
    up.until_it_says("approved   by Bo again, which counts once");
    assert_eq!(as_person(&place, "cy", &["reject", "-m", "not before the sale"]).code, 0);
    up.wait().ends(3, &["✖ refused    by cy: not before the sale"]);
    assert!(place.say(&["status"]).out.contains("nothing is live"));
}

#[test]
fn a_freeze_holds_what_goes_forward_and_never_the_way_back() {
    let place = Place::with_app();
    for version in ["1", "2"] {
        place.write("version", version);
        place.commit(version);
        assert_eq!(place.up(&AT_ONCE).code, 0);
    }
    let frozen = place.say(&["env", "freeze", "--reason", "the sale"]);
    assert_eq!(frozen.code, 0, "{frozen:?}");
    assert!(place.say(&["status"]).out.contains("frozen until `plimsoll env unfreeze`: the sale"));
    let status: serde_json::Value = serde_json::from_str(&place.say(&["status", "--json"]).raw).unwrap();
    assert!(!status[0]["frozen"][0]["from"].as_str().unwrap().starts_with("1970"), "{status}");

    place.write("version", "3");
    place.commit("3");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("environment `local` is closed: frozen (the sale)");
    assert_eq!(place.say(&["release", "rollback"]).code, 0, "the way back is free");
    assert_eq!(place.say(&["env", "unfreeze"]).code, 0);
    up.wait().ends(3, &["`plimsoll release view 4` shows what overtook it; `plimsoll up` ships this commit all the same"]);
    place.up(&AT_ONCE).ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0, "the way back is no move forward");
    let again = place.say(&["env", "unfreeze"]);
    assert!(again.code == 2 && again.err.contains("nobody has frozen this environment"), "{again:?}");
}

#[test]
fn an_emergency_goes_past_everything_and_is_loud() {
    let place = configured(
        "gate:\n  require: [coverage]\n  approvals:\n    rules:\n      - {from: [bo]}\n  window:\n    freezes:\n      - {from: 2020-01-01, to: 2199-12-31, reason: the quiet century}\n",
    );
    let denied = place.up(&AT_ONCE);
    assert_eq!(denied.code, 3, "{denied:?}");
    let nothing = place.say(&["gate", "override", "--reason", " "]);
    assert!(nothing.code == 2 && nothing.err.contains("an override needs a reason"), "{nothing:?}");
    let long = place.say(&["gate", "override", "--reason", "x", "--for", "2d"]);
    assert!(long.code == 2 && long.err.contains("24 hours at most"), "{long:?}");
    let asked = place.say(&["gate", "override", "--reason", "the shop is down", "--ticket", "INC-7", "--for", "1h"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(place.say(&["status"]).out.contains("OVERRIDDEN by "));

    let up = place.up(&AT_ONCE);
    assert_eq!(up.code, 0, "{up:?}");
    assert!(up.err.contains("gate       denied for local, and OVERRIDDEN by "), "{up:?}");
    assert!(up.err.contains("past: needs 1 approval of bo"), "{up:?}");
    assert!(up.err.lines().filter(|line| line.contains("past: ")).all(|line| !line.contains("`plimsoll ")), "{up:?}");
    let explained = place.say(&["release", "explain"]);
    assert!(explained.out.contains("and was overridden: by ") && explained.out.contains("the shop is down (INC-7)"), "{explained:?}");
}

#[test]
fn an_override_of_two_needs_the_other_one() {
    let place = configured(
        "gate:\n  override: {people: 2}\n  people: {bo: [bo@example.org]}\n  window:\n    freezes:\n      - {from: 2020-01-01, to: 2199-12-31, reason: the quiet century}\n",
    );
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("frozen (the quiet century)");
    let nothing = as_person(&place, "cy", &["gate", "override", "--confirm"]);
    assert!(nothing.code == 2 && nothing.err.contains("there is no override to confirm"), "{nothing:?}");
    let why = ["gate", "override", "--reason", "the shop is down"];
    assert_eq!(as_person(&place, "bo", &why).code, 0);
    up.until_it_says("the override bo asked for needs a second person: `plimsoll gate override --confirm`");
    assert!(place.say(&["gate", "check"]).out.contains("a second person has to confirm it"));
    let own = as_person(&place, "Bo", &["gate", "override", "--confirm"]);
    assert!(own.code == 2 && own.err.contains("another person confirms it"), "{own:?}");
    // Another name of the same person is on record, and lets nothing past.
    assert_eq!(as_person(&place, "bo@example.org", &["gate", "override", "--confirm"]).code, 0);
    assert_eq!(place.say(&["gate", "check"]).code, 5);

    assert_eq!(as_person(&place, "cy", &["gate", "override", "--confirm"]).code, 0);
    up.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    let explained = place.say(&["gate", "explain"]);
    assert!(
        explained.out.contains("OVERRIDDEN by bo until ") && explained.out.contains(", confirmed by bo@example.org and cy"),
        "{explained:?}"
    );
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn what_the_gate_would_say_and_would_have_said() {
    let place = Place::with_app();
    let nothing = place.say(&["gate", "check"]);
    assert!(nothing.code == 0 && nothing.out.contains("no release has left evidence yet"), "{nothing:?}");
    assert_eq!(place.up(&AT_ONCE).code, 0);
    let open = place.say(&["gate", "check"]);
    assert!(
        open.code == 0 && open.out.contains("policy     allows what release-1 left") && open.out.contains("hours      open"),
        "{open:?}"
    );
    let explained = place.say(&["gate", "explain"]);
    assert!(
        explained.code == 0 && explained.out.contains("The gate allows artifact") && explained.out.contains("The evidence: "),
        "{explained:?}"
    );

    // Rules that nobody has committed yet are tried on what was.
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}gate: {{require: [coverage]}}\n"));
    let same = place.say(&["gate", "simulate"]);
    assert!(
        same.out.contains("release-1")
            && same.out.contains("allowed as it was")
            && same.out.contains(", 0 that were allowed would be denied"),
        "{same:?}"
    );
    let dirty = place.say(&["gate", "simulate", "--dirty", "--since", "1d"]);
    assert!(dirty.code == 0 && dirty.out.contains("was allowed, would be denied") && dirty.out.contains("coverage"), "{dirty:?}");
    assert!(
        dirty.out.contains("of 1 decisions since ") && dirty.out.contains(", 1 that were allowed would be denied, 0 that"),
        "{dirty:?}"
    );
    assert_eq!(place.say(&["gate", "check", "--dirty"]).code, 3);
    assert_eq!(place.say(&["env", "freeze", "--reason", "the sale"]).code, 0);
    let closed = place.say(&["gate", "check"]);
    assert!(closed.code == 5 && closed.out.contains("hours      closed: frozen (the sale)"), "{closed:?}");
}

#[test]
fn nothing_is_promoted_in_a_freeze_to_happen_at_its_end() {
    let place = configured("strategy: {canary: {steps: [{setWeight: 10}, {pause: {}}]}}\n");
    assert_eq!(place.up(&AT_ONCE).code, 0);
    place.write("version", "2");
    place.commit("2");
    let mut up = place.start_up(&[]);
    up.until_it_says("step 2 of 2 is a pause until somebody says `plimsoll release resume`");
    assert_eq!(place.say(&["env", "freeze", "--reason", "the sale"]).code, 0);
    let refused = place.say(&["release", "promote", "--full"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    let why = "error: release-2 can't move on now: environment `local` is closed: frozen (the sale)";
    assert!(refused.err.contains(why) && refused.err.contains("`plimsoll gate override --reason WHY` goes past it"), "{refused:?}");
    assert_eq!(place.say(&["release", "resume"]).code, 5, "it would move all traffic");
    assert_eq!(place.say(&["release", "pause"]).code, 0);
    assert_eq!(place.say(&["release", "resume"]).code, 0, "one's own pause ends");
    assert_eq!(place.say(&["env", "unfreeze"]).code, 0);
    assert_eq!(place.say(&["release", "promote", "--full"]).code, 0);
    assert_eq!(up.wait().code, 0);
}

#[test]
fn everything_wrong_in_hours_and_approvals_is_told_at_once() {
    let place = configured(
        "gate:\n  window:\n    timezone: Europe/Berlim\n    weekly: [\"mon-thu 9\", \"fri 09:00-25:00\", \"fry 09:00-10:00\"]\n    holidays: [\"Christmas\"]\n    freezes:\n      - {from: 2026-12-20, to: 2026-12-01, reason: x}\n      - {from: soon, reason: x}\n  approvals:\n    rules:\n      - {from: leads, count: 2}\n    expires: soon\n",
    );
    let said = place.up(&[]);
    assert_eq!(said.code, 2, "{said:?}");
    for expected in [
        "the time zone `Europe/Berlim` is not known",
        "`mon-thu 9` is no weekly window",
        "`25:00` is no time of the day",
        "`fry` is no day of the week",
        "`Christmas` is no day with a name",
        "this ends before it begins",
        "`soon` is no day, and no day with a time",
        "`to` is missing",
        "2 approvals are asked of `leads`, who are 1: it could never be given",
        "`soon` is not a length of time",
    ] {
        assert!(said.err.contains(expected), "{expected}: {said:?}");
    }
    let place = configured("gate: {window: {holidays: policy/holidays.ics}}\n");
    assert!(place.up(&[]).err.contains("`gate.window.holidays` names `policy/holidays.ics`, which is not in the commit"));
    place.write("policy/holidays.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:2026\nEND:VEVENT\n");
    place.commit("holidays");
    let said = place.up(&[]);
    assert!(said.code == 2 && said.err.contains("policy/holidays.ics:3:1") && said.err.contains("`2026` is no date"), "{said:?}");
}

/// Put together here, so that nobody finds one in this file.
fn planted() -> String {
    "ghp_".chars().chain("a1B2c3D4e5F6g7H8i9J0".chars().cycle().take(36)).collect()
}

#[test]
fn a_secret_in_what_ships_is_denied_by_its_place_and_never_told() {
    let place = Place::with_app();
    place.write("deep/settings.py", &format!("DEBUG = False\nTOKEN = \"{}\"\n", planted()));
    place.commit("settings");
    let denied = place.up(&AT_ONCE);
    assert!(denied.code == 3 && denied.err.contains("secret found: github-token at deep/settings.py:2"), "{denied:?}");
    let view = place.say(&["release", "view", "--record"]);
    let explained = place.say(&["gate", "explain"]);
    for said in [&denied, &view, &explained] {
        assert!(!said.raw.contains(&planted()) && !said.err.contains(&planted()), "{said:?}");
    }
    assert!(
        explained.out.contains("there is no evidence of") && explained.out.contains("a security scan"),
        "it is no scan of a scanner: {explained:?}"
    );

    let accepted = "apiVersion: plimsoll/v1alpha1\nsuppressions:\n  - {rule: github-token, file: deep/settings.py, reason: revoked long since, expires: 2199-12-31}\n";
    place.write("policy/suppressions.yaml", accepted);
    place.commit("it is revoked");
    let up = place.up(&AT_ONCE);
    assert!(up.code == 0, "{up:?}");
    place.write("deep/settings.py", "DEBUG = False\n");
    place.commit("it is gone");
    assert_eq!(place.up(&AT_ONCE).code, 0, "a scan that never was is not missed");
}

#[test]
fn a_repository_tests_its_policies() {
    let place = Place::with_app();
    let nothing = place.say(&["policy", "test"]);
    assert!(nothing.code == 9 && nothing.err.contains("there is no `./policy`"), "{nothing:?}");
    place.write("policy/notes.rego", "package team\n\ndeny contains \"no notes\" if not input.commit.notes\n");
    let untested = place.say(&["policy", "test"]);
    assert!(untested.code == 9 && untested.err.contains("there is no test in `policy`"), "{untested:?}");
    let good = "package team_test\n\nimport data.team\n\ntest_none if team.deny == {\"no notes\"} with input as {}\n";
    place.write("policy/deep/notes_test.rego", good);
    let passed = place.say(&["policy", "test"]);
    assert!(passed.code == 0 && passed.out == "of 1 tests 1 passed\n", "{passed:?}");
    place.write("policy/deep/notes_test.rego", &format!("{good}\ntest_more if count(team.deny) == 2 with input as {{}}\n"));
    let failed = place.say(&["policy", "test"]);
    assert!(
        failed.code == 1
            && failed.out.contains("policy/deep/notes_test.rego:7: data.team_test.test_more does not hold")
            && failed.out.contains("of 2 tests 1 passed, 1 failed"),
        "{failed:?}"
    );
    let json: serde_json::Value = serde_json::from_str(&place.say(&["policy", "test", "--json"]).raw).unwrap();
    assert_eq!((&json["passed"], &json["failed"], &json["tests"][1]["line"]), (&1.into(), &1.into(), &7.into()), "{json}");
    place.write("policy/notes.rego", "package team\n\ndeny contains msg if gone(input)\n");
    let wrong = place.say(&["policy", "test"]);
    assert!(wrong.code == 2 && wrong.err.contains("policy/notes.rego:3:22") && wrong.err.contains("no function `gone`"), "{wrong:?}");
    let fmt = place.say(&["policy", "fmt"]);
    assert!(fmt.code == 2 && fmt.err.contains("`opa fmt --write policy`"), "{fmt:?}");
}

#[test]
fn a_policy_that_nobody_asks_is_refused_or_named_and_not_told_to_be_in_force() {
    let place = Place::with_app();
    place.write("policy/team.rego", "package team\n\ndefault allow := false\n");
    place.commit("a rule that nobody asks");
    let said = place.up(&["--dry-run"]);
    assert!(said.code == 2 && said.err.contains("nobody asks `allow` of `package team`, so it decides nothing"), "{said:?}");
    assert!(said.err.contains("policy/team.rego:3:9") && said.err.contains("as `package plimsoll.team`"), "{said:?}");
    place.write("policy/team.rego", "package plimsoll.team\n\nviolation contains \"no\" if true\n");
    place.commit("misspelt");
    let said = place.up(&["--dry-run"]);
    assert!(said.code == 2 && said.err.contains("did you mean `violations`?"), "{said:?}");
    place.write(
        "policy/note.rego",
        "package plimsoll.note\n\n# as data.plimsoll.team has it\nimport data.plimsoll.gate\nwarn contains \"x\" if gate.allow\n",
    );
    place.commit("one that is named in a comment, and whose neighbour is named");
    let said = place.up(&["--dry-run"]);
    assert!(said.code == 2 && said.err.contains("did you mean `violations`?"), "{said:?}");
    std::fs::remove_file(place.project().join("policy/note.rego")).unwrap();
    place.write("policy/chain.rego", "package cluster.deep\n\nimport data.cluster\nx := cluster.violation\n");
    place.write("policy/team.rego", "package cluster\n\nviolation contains \"no\" if true\n");
    place.write("policy/lib.rego", "package words\n\nloud(word) := upper(word)\n\nallow := true\n");
    place.write("policy/own.rego", "package plimsoll.own\n\nimport data.words\n\nwarn contains words.loud(\"mind\") if words.allow\n");
    place.commit("another tool's, and a library");
    let said = place.up(&["--dry-run"]);
    assert!(
        said.code == 0 && said.err.contains("`policy/team.rego` takes no part in the gate: `package cluster` is asked nothing"),
        "{said:?}"
    );
    assert!(said.err.contains("`policy/chain.rego` takes no part"), "{said:?}");
    assert!(!said.err.contains("policy/lib.rego") && said.out.contains("and 2 policy files:"), "{said:?}");
}

#[test]
fn a_field_that_no_input_has_is_said_before_a_rule_waits_for_it_in_vain() {
    let place = Place::with_app();
    place.write("policy/mine.rego", "package mine\n\ndeny[msg] {\n\tinput.commit.subject == \"wip\"\n\tmsg := \"no wip\"\n}\n");
    place.commit("wip");
    let warning = "policy/mine.rego:4:15: no input has `input.commit.subject`, so it is undefined, and a rule that needs it says nothing; there are `sha`, `message`, `author`";
    for said in [place.up(&["--dry-run"]), {
        place.write("input.json", "{}");
        place.say(&["policy", "eval", "--input", "input.json", "1"])
    }] {
        assert!(said.code == 0 && said.err.contains(warning), "{said:?}");
    }
}

#[test]
fn policies_answer_about_an_input_and_about_a_release() {
    let place = Place::with_app();
    let nothing = place.say(&["policy", "eval"]);
    assert!(nothing.code == 9 && nothing.err.contains("`--input FILE`"), "{nothing:?}");
    place.write("input.json", r#"{"environment": "local", "runs": [{"workflow": "ci.yml", "conclusion": "failure"}]}"#);
    let denied = place.say(&["policy", "eval", "--input", "input.json"]);
    assert!(
        denied.code == 3
            && denied.out.contains("the policies deny it")
            && denied.out.contains("denied: workflow ci.yml ended with failure; says built-in/gate.rego:"),
        "{denied:?}"
    );
    place.write("policy/needs.rego", "package plimsoll.needs\n\nrequires contains \"tests\"\n");
    place.write(
        "input.json",
        r#"{"environment": "local", "runs": [{"workflow": "ci.yml", "conclusion": "success"}], "evidence": {"present": []}}"#,
    );
    let unmet = place.say(&["policy", "eval", "--input", "input.json"]);
    let why = "denied: the policy requires evidence of tests, and there is none; says policy/needs.rego:3";
    assert!(unmet.code == 3 && unmet.out.contains(why), "{unmet:?}");
    place.write(
        "input.json",
        r#"{"environment": "local", "runs": [{"workflow": "ci.yml", "conclusion": "success"}], "evidence": {"present": ["tests"]}}"#,
    );
    let met = place.say(&["policy", "eval", "--input", "input.json"]);
    assert!(met.code == 0 && met.out.contains("requires: tests"), "{met:?}");
    std::fs::remove_dir_all(place.project().join("policy")).unwrap();
    place.write("input.json", r#"{"environment": "local", "runs": [{"workflow": "ci.yml", "conclusion": "failure"}]}"#);
    let query = place.say(&["policy", "eval", "--input", "input.json", "data.plimsoll.gate.allow"]);
    assert!(query.code == 0 && query.out == "false\n", "{query:?}");
    let undefined = place.say(&["policy", "eval", "--input", "input.json", "data.nothing.here"]);
    assert!(undefined.code == 0 && undefined.out == "undefined\n", "{undefined:?}");
    for (query, why) in [("data.x ===", ""), ("[1,", ": it ends where more is needed"), ("data.x] + 1", ": it is complete before `] + 1`")]
    {
        let wrong = place.say(&["policy", "eval", "--input", "input.json", query]);
        assert!(wrong.code == 2 && wrong.err.contains(&format!("`{query}` has no answer{why}")), "{wrong:?}");
    }

    assert_eq!(place.up(&AT_ONCE).code, 0);
    let allowed = place.say(&["policy", "eval"]);
    assert!(allowed.code == 0 && allowed.out.contains("the policies allow it") && !allowed.err.contains("another version"), "{allowed:?}");
    place.write("policy/team.rego", "package team\n\ndeny contains sprintf(\"%s is late\", [input.release])\n");
    let denied: serde_json::Value = serde_json::from_str(&place.say(&["policy", "eval", "--release", "1", "--json"]).raw).unwrap();
    assert_eq!(denied["violations"][0]["message"], "release-1 is late", "{denied}");
}
