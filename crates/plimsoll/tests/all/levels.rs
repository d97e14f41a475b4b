//! Several environments of one project beside each other, and what each asks of what ships.

#![allow(clippy::unwrap_used)]

use base::Digest;
use gate::attest::{CYCLONEDX, PROVENANCE, SigningKey, Statement};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::{Signal, kill};

use crate::common::{Place, Said, free_port};

fn with(environments: &str) -> Place {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}{environments}"));
    place.commit("has environments");
    place
}

fn up(place: &Place, environment: &str, more: &[&str]) -> Said {
    let port = free_port().to_string();
    let args = [&["up", "--environment", environment, "--strategy", "immediate", "--port", &port], more].concat();
    place.say(&args)
}

/// What `--json` says of the environments: each by its name, with the port of what is live.
fn live(place: &Place) -> Vec<(String, Option<u64>)> {
    let views: serde_json::Value = serde_json::from_str(&place.say(&["status", "--json"]).raw).unwrap();
    let view = |view: &serde_json::Value| {
        (view["environment"].as_str().unwrap().to_string(), view.pointer("/live/delivery/port").and_then(serde_json::Value::as_u64))
    };
    views.as_array().unwrap().iter().map(view).collect()
}

#[test]
fn environments_of_a_project_stand_beside_each_other() {
    let place = with("env: {WHERE: local}\nenvironments:\n  Staging: {level: development, replicas: 2, env: {WHERE: staging}}\n");
    let app = std::fs::read_to_string(place.project().join("app.py")).unwrap();
    place.write("app.py", &format!("import os\nprint('started for', os.environ['WHERE'], flush=True)\n{app}"));
    place.commit("says where it runs");
    assert_eq!(place.up(&[]).code, 0);
    let staged = up(&place, "staging", &[]);
    assert!(staged.code == 0 && staged.err.contains("app → staging"), "{staged:?}");
    let both = live(&place);
    assert!(matches!(both.as_slice(), [(one, Some(here)), (two, Some(there))] if one == "local" && two == "staging" && here != there));
    let status = place.say(&["status"]);
    assert_eq!(status.out.matches("ready at").count(), 3, "{status:?}");

    // Each is steered by its name, and none by chance.
    let which = "error: this project has several environments: `local`, `staging`";
    for command in [&["down"][..], &["release", "rollback"], &["env", "freeze", "--reason", "the sale"]] {
        place.say(command).ends(2, &[which, "hint: `--environment NAME` says which"]);
    }
    let frozen = place.say(&["env", "freeze", "--reason", "the sale", "--environment", "STAGING"]);
    assert!(frozen.code == 0 && frozen.err.contains("`staging` is frozen: the sale"), "{frozen:?}");
    place.write("README", "changed\n");
    place.commit("second");
    let waits = up(&place, "staging", &["--wait", "1s"]);
    assert!(waits.code == 5 && waits.err.contains("the sale"), "{waits:?}");
    assert_eq!(place.up(&["--strategy", "immediate"]).code, 0, "the other is not frozen");
    assert_eq!(place.say(&["gate", "check", "--environment", "staging"]).code, 5);
    assert_eq!(place.say(&["gate", "check"]).code, 0);

    let view: serde_json::Value = serde_json::from_str(&place.say(&["release", "view", "2", "--json"]).raw).unwrap();
    assert_eq!(view["environment"], "staging");
    place.say(&["logs"]).ends(2, &[which, "hint: `--environment NAME` says which"]);
    let logs = place.say(&["logs", "--environment", "staging"]);
    assert!(logs.code == 0 && logs.out.matches("started for staging").count() == 2 && !logs.out.contains("for local"), "{logs:?}");
    assert_eq!(place.say(&["logs", "--release", "2"]).out, logs.out);
    assert_eq!(place.say(&["release", "abort", "3"]).code, 0);
    let down = place.say(&["down", "--environment", "staging"]);
    assert!(down.code == 0 && down.err.contains("app → staging is down; `plimsoll up --environment staging` brings it back"), "{down:?}");
    assert!(matches!(live(&place).as_slice(), [(one, Some(_)), (two, None)] if one == "local" && two == "staging"));
    place.say(&["down"]).ends(2, &[which]);
    assert_eq!(place.say(&["down", "--environment", "local"]).code, 0);
}

/// In an emergency nobody wants to have ended the other one.
#[test]
fn of_two_releases_that_move_none_is_steered_by_chance() {
    let place = with("environments: {staging: {level: development}}\nstrategy: {canary: {steps: [setWeight: 50, pause: {}]}}\n");
    let port = free_port().to_string();
    let staging = ["up", "--environment", "staging", "--port", &port];
    assert_eq!(place.up(&[]).code, 0);
    assert_eq!(place.say(&staging).code, 0);
    place.write("README", "changed\n");
    place.commit("second");
    let mut here = place.start_up(&[]);
    here.until_it_says("is a pause until somebody says");
    let mut there = place.start(place.plimsoll(&staging));
    there.until_it_says("is a pause until somebody says");
    let which = "error: several releases are under way: release-3 to `local`, release-4 to `staging`";
    for command in [&["release", "abort"][..], &["approve"], &["reject", "-m", "no"]] {
        place.say(command).ends(2, &[which, "hint: name the one that is meant, by its number"]);
    }
    assert_eq!(place.say(&["release", "abort", "4"]).code, 0);
    assert_eq!(there.wait().code, 6);
    assert_eq!(place.say(&["release", "promote", "--full"]).code, 0, "one is left");
    assert_eq!(here.wait().code, 0);
}

#[test]
fn the_nearer_to_users_the_more_is_asked() {
    let place = with("");
    let said = |environment: &str| up(&place, environment, &["--dry-run"]);
    let asks = |environment: &str, what: &str| {
        let said = said(environment);
        assert!(said.code == 0 && said.out.contains(what), "{said:?}");
    };
    asks("development", "nothing critical, at most 10 high, no secret, level 1 of SLSA\n");
    asks("staging", "nothing critical, at most 5 high, no secret, level 2 of SLSA, signed\n");
    asks("production", "nothing critical, nothing high, no secret, level 3 of SLSA, signed\n");
    assert!(!place.up(&["--dry-run"]).out.contains("SLSA"), "one's own machine asks for none");
    said("stagin").ends(
        9,
        &[
            "error: this project has no environment `stagin`",
            "hint: did you mean `staging`? `environments: {stagin: {}}` in plimsoll.yaml makes one",
        ],
    );

    assert_eq!(up(&place, "development", &[]).code, 0);
    let low = "the build is at level 1 of SLSA, at least 2 is asked: somebody may work at this machine";
    let denied = up(&place, "staging", &[]);
    assert!(denied.code == 3 && denied.err.contains(low), "{denied:?}");
    let check = place.say(&["gate", "check", "--environment", "staging"]);
    assert!(check.code == 3 && check.out.contains(low), "{check:?}");

    // What was denied is told where it was to go, and by the rules of there it would be denied again.
    let status = place.say(&["status"]);
    assert!(
        status.out.ends_with("app → staging\n  – nothing is live\n  ⚠ release-2 was the last: the gate said no for one reason\n"),
        "{status:?}"
    );
    let again = place.say(&["gate", "simulate"]);
    assert!(again.out.contains("release-2    → staging: ") && again.out.contains("0 that were denied would be allowed"), "{again:?}");
    assert!(place.say(&["release", "list"]).out.contains("→ staging: "));
    let only = place.say(&["gate", "simulate", "--environment", "development"]);
    assert!(only.out.contains("of 1 decisions since"), "{only:?}");

    // Its owner says that nobody works there, and the server hears it when it starts.
    std::fs::create_dir_all(place.path("home/.config/plimsoll")).unwrap();
    std::fs::write(place.path("home/.config/plimsoll/config.yaml"), "builder: hosted\n").unwrap();
    assert_eq!(up(&place, "staging", &[]).code, 3);
    kill(place.server(), Signal::SIGKILL).unwrap();
    place.write("README", "changed\n");
    place.commit("second");
    assert_eq!(up(&place, "staging", &[]).code, 0);
    let explained = place.say(&["gate", "explain"]);
    assert!(explained.out.contains("Signed: by the server, whose key is "), "{explained:?}");
    let denied = up(&place, "production", &[]);
    let reached = "level 2 of SLSA, at least 3 is asked: the steps of a job, in a container too, are not kept from all that";
    assert!(denied.code == 3 && denied.err.contains(reached), "{denied:?}");

    // A key that others have read signs nothing.
    std::fs::set_permissions(place.state().join("server.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    place.commit("again");
    let denied = up(&place, "staging", &[]);
    let unsigned = "what ships must be signed, and can't be: others than its owner can read or change the key";
    assert!(denied.code == 3 && denied.err.contains(unsigned), "{denied:?}");
}

#[test]
fn what_the_file_says_goes_before_the_level() {
    let place = with("gate: {tier: 3}\nenvironments:\n  production: {gate: {provenance: 0, signed: false, findings: {high: any}}}\n");
    let nearly = "nothing is said of `staging` in plimsoll.yaml, but of `stagin`, which is another environment";
    assert!(up(&with("environments: {stagin: {}}\n"), "staging", &["--dry-run"]).err.contains(nearly));
    let said = up(&place, "production", &["--dry-run"]);
    assert!(
        said.out.contains("the default policy for production: tests passed, coverage at least 60 %, nothing critical, no secret\n"),
        "{said:?}"
    );
}

#[test]
fn what_protects_an_environment_protects_it_from_releases_too() {
    let place = with("environments:\n  live: {reviewers: [bo], branches: [release/*], waitTimer: 5}\n");
    let refused = "error: main is not allowed to deploy to live: only release/*";
    let hint = "hint: `--ref` says which branch the commit counts as a push to";
    up(&place, "live", &[]).ends(2, &[refused, hint]);
    let plan = up(&place, "live", &["--ref", "release/1", "--dry-run"]);
    assert!(plan.out.contains("approved by 1 of bo"), "{plan:?}");
    assert!(plan.err.contains("`waitTimer` of `live` holds jobs of workflows and no release"), "{plan:?}");
}

#[test]
fn what_the_runs_leave_under_a_signature_must_be_of_a_key_that_is_trusted() {
    let key = |seed: u8| SigningKey::from_random(&[seed; 32]).unwrap();
    let config = "gate:\n  keys:\n    - {name: ci, file: keys/ci.pub, level: 2}\n";
    let place = with(config);
    place.up(&["--dry-run"]).ends(2, &["error: `gate.keys` names `keys/ci.pub`, which is not in the commit, so nothing was started"]);
    place.write("keys/ci.pub", "no key");
    place.commit("a key that is none");
    let wrong = place.up(&["--dry-run"]);
    assert!(wrong.code == 2 && wrong.err.contains("error: `keys/ci.pub`, the key `ci` of `gate.keys`, can't be read: "), "{wrong:?}");

    place.write("keys/ci.pub", &key(7).public().to_pem());
    let steps = "[{uses: actions/checkout@v4}, {uses: actions/upload-artifact@v4, with: {name: signed, path: signed}}]";
    place.write(".github/workflows/ci.yml", &format!("on: push\njobs:\n  build:\n    runs-on: self-hosted\n    steps: {steps}\n"));
    let up = |statement: &Statement, seed: u8| {
        place.write("signed/app.intoto.jsonl", &format!("{}\n", statement.sign(&key(seed)).to_json()));
        place.commit("leaves a statement");
        place.up(&["--strategy", "immediate"])
    };
    let sbom = Statement::of("app.bin", &Digest::of(b"app"), CYCLONEDX, json!({}));
    assert_eq!(up(&sbom, 7).code, 0);
    let input = place.say(&["policy", "eval", "input.attestations[0].signed_by", "--json"]);
    assert!(input.raw.contains("\"ci\""), "{input:?}");
    let denied = up(&sbom, 8);
    let unknown = "app.intoto.jsonl is not believed: none of the keys that are trusted has signed it";
    assert!(denied.code == 3 && denied.err.contains(unknown), "{denied:?}");
    let old = json!({
        "buildDefinition": { "resolvedDependencies": [{ "digest": { "gitCommit": "f".repeat(40) } }] },
        "runDetails": { "builder": { "id": "https://example.org/builder" } },
    });
    let denied = up(&Statement::of("app.bin", &Digest::of(b"app"), PROVENANCE, old), 7);
    let replayed = "app.intoto.jsonl is not believed: it is about commit HASH, and HASH ships";
    assert!(denied.code == 3 && denied.err.contains(replayed), "{denied:?}");
}
