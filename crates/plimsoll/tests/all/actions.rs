//! Actions of other repositories as a person meets them: locked, checked, run without a network, refused.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::common::Place;

const CI: &str = ".github/workflows/ci.yml";
const LOCK: &str = ".github/workflows/actions.lock";
const WORKFLOW: &str =
    "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - uses: acme/greet@v1\n";
const OUTER: &str =
    "name: greet\ndescription: g\nruns:\n  using: composite\n  steps:\n    - { run: echo hello, shell: sh }\n    - uses: acme/end@main\n";
const INNER: &str = "name: end\ndescription: e\nruns:\n  using: composite\n  steps:\n    - { run: echo the end, shell: sh }\n";

/// A project that uses two actions of a forge beside it.
fn place() -> Place {
    let place = Place::with(&[(CI, WORKFLOW)]);
    for (name, text) in [("greet", OUTER), ("end", INNER)] {
        let work = place.path(&format!("forge/acme/{name}.git"));
        std::fs::create_dir_all(&work).unwrap();
        git(&place, name, &["init", "--quiet", "--initial-branch", "main"]);
        change(&place, name, text);
    }
    git(&place, "greet", &["tag", "v1"]);
    let forge = format!("file://{}/{{repo}}.git", place.path("forge").display());
    place
        .write("plimsoll.yaml", &format!("apiVersion: plimsoll/v1alpha1\nstart: exec python3 app.py\nactions: {{sources: ['{forge}']}}\n"));
    place.commit("actions");
    place
}

/// A commit on the action's branch.
fn change(place: &Place, name: &str, text: &str) {
    change_file(place, name, "action.yml", text);
}

fn change_file(place: &Place, name: &str, file: &str, text: &str) {
    let path = place.path(&format!("forge/acme/{name}.git/{file}"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    git(place, name, &["add", "--all"]);
    git(place, name, &["commit", "--quiet", "--message", "change"]);
}

fn git(place: &Place, name: &str, args: &[&str]) {
    let mut command: Command = place.at_home("git");
    let output = command.current_dir(place.path(&format!("forge/acme/{name}.git"))).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_locked_runs_without_asking_anybody() {
    let place = place();
    let unlocked = place.say(&["run"]);
    assert!(unlocked.code == 0 && unlocked.out.ends_with("\nhello\nthe end\n"), "{unlocked:?}");
    assert!(unlocked.err.contains("`acme/end@main`, `acme/greet@v1` are not locked"), "{}", unlocked.err);
    assert_eq!(place.say(&["actions", "verify"]).code, 10);

    let locked = place.say(&["actions", "lock"]);
    locked.ends(0, &["locked  acme/end@main at HASH", "locked  acme/greet@v1 at HASH", &format!("{LOCK} locks 2 actions of 1 workflows")]);
    let listed = place.say(&["actions", "list"]).out;
    assert!(listed.contains("actions/checkout@v4  built in\n") && listed.contains("acme/end@main        locked at"), "{listed}");
    assert!(listed.contains("through acme/greet@v1"), "{listed}");
    place.say(&["actions", "verify"]).is(0, "2 actions are locked, and it is what their sources have");

    std::fs::remove_dir_all(place.path("forge")).unwrap();
    let offline = place.say(&["run"]);
    assert!(offline.code == 0 && offline.out.ends_with("\nhello\nthe end\n"), "{offline:?}");
    assert_eq!(offline.err, "4 remarks of the security lints stand in nobody's way; `plimsoll lint` shows them\n");
    place.say(&["actions", "verify", "--offline"]).is(0, "2 actions are locked, nobody was asked whether a tag moved");

    // On a machine that has never seen them nothing begins.
    std::fs::remove_dir_all(place.state().join("actions")).unwrap();
    let absent = place.say(&["run"]);
    assert_eq!((absent.code, absent.out.as_str()), (2, ""));
    assert!(absent.err.contains("ci.yml:7:9") && absent.err.contains("`acme/greet@v1` can't be fetched"), "{}", absent.err);
}

#[test]
fn a_tag_that_moved_is_refused_until_somebody_takes_it() {
    let place = place();
    assert_eq!(place.say(&["actions", "lock"]).code, 0);
    place.commit("lock");
    change(&place, "greet", &OUTER.replace("hello", "evil"));
    git(&place, "greet", &["tag", "--force", "v1"]);
    // What is here is what was locked.
    assert!(place.say(&["run"]).out.contains("hello"));
    std::fs::remove_dir_all(place.state().join("actions")).unwrap();
    for command in [&["run"][..], &["up", "--dry-run"], &["actions", "lock"]] {
        let refused = place.say(command);
        let said = format!("{}{}", refused.out, refused.err);
        assert_eq!(refused.code, 2, "{said}");
        assert!(said.contains("the tag `v1` of `acme/greet@v1` has moved: it was locked to HASH and is now HASH"), "{said}");
    }
    let verified = place.say(&["actions", "verify"]);
    assert!(
        verified.code == 10 && verified.out.contains("`plimsoll actions lock --update acme/greet` takes the new commit"),
        "{verified:?}"
    );
    place.say(&["actions", "lock", "--update", "acme/greet"]).ends(0, &["moved   acme/greet@v1 from HASH to HASH"]);
    assert!(place.say(&["run"]).out.contains("evil"));
}

#[test]
fn everything_that_can_t_be_had_is_named_at_once() {
    let place = place();
    place.write(CI, &format!("{WORKFLOW}      - uses: acme/missing@v2\n      - uses: acme/greet@v9\n"));
    let refused = place.say(&["run"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    for part in ["ci.yml:8:9", "`acme/missing@v2` can't be fetched", "ci.yml:9:9", "`v9` is neither a tag nor a branch"] {
        assert!(refused.err.contains(part), "{part} is missing in\n{}", refused.err);
    }
    place.write(LOCK, "version: 'v9'\n");
    let wrong = place.say(&["run"]);
    assert!(wrong.code == 2 && wrong.err.contains("actions.lock:1:10"), "{}", wrong.err);
}

#[test]
fn the_environment_names_other_sources() {
    let place = place();
    let mut run = place.plimsoll(&["run"]);
    run.env("PLIMSOLL_ACTIONS_SOURCES", format!("file://{}/{{repo}}", place.path("elsewhere").display()));
    let refused = place.start(run).wait();
    assert!(refused.code == 2 && refused.err.contains("/elsewhere/acme/greet"), "{}", refused.err);
}

const CALLS: &str = "on: push\njobs:\n  call:\n    uses: acme/end/.github/workflows/check.yml@main\n    with: { who: ada }\n  after:\n    \
    needs: call\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo \"it said ${{ needs.call.outputs.said }}\"\n";
const CALLED: &str = "on:\n  workflow_call:\n    inputs: { who: { type: string, required: true } }\n    outputs: { said: { value: '${{ jobs.in.outputs.said }}' } }\n\
    jobs:\n  in:\n    uses: ./.github/workflows/inner.yml\n    with: { who: '${{ inputs.who }}' }\n";
const INNERMOST: &str = "on:\n  workflow_call:\n    inputs: { who: { type: string } }\n    outputs: { said: { value: '${{ jobs.say.outputs.said }}' } }\n\
    jobs:\n  say:\n    runs-on: ubuntu-latest\n    outputs: { said: '${{ steps.it.outputs.said }}' }\n    steps:\n      - uses: acme/greet@v1\n      - uses: $/own\n      \
    - id: it\n        run: echo \"said=good day ${{ inputs.who }}\" >> \"$GITHUB_OUTPUT\"\n";

#[test]
fn workflows_of_other_repositories_are_called_and_locked_with_what_they_use() {
    let place = place();
    change_file(&place, "end", ".github/workflows/check.yml", CALLED);
    change_file(&place, "end", ".github/workflows/inner.yml", INNERMOST);
    let own = "name: o\ndescription: o\nruns:\n  using: composite\n  steps:\n    - { run: echo of its own repository, shell: sh }\n";
    change_file(&place, "end", "own/action.yml", own);
    place.write(CI, CALLS);
    place.commit("calls");
    let locked = place.say(&["actions", "lock"]);
    locked.ends(0, &["locked  acme/end@main at HASH", "locked  acme/greet@v1 at HASH", &format!("{LOCK} locks 2 actions of 1 workflows")]);
    let lock = std::fs::read_to_string(place.path(&format!("app/{LOCK}"))).unwrap();
    // The workflow uses the repository that it calls, and that uses the action.
    let ours = lock.split("dependencies:").next().unwrap();
    assert!(ours.contains("'acme/end@main'") && !ours.contains("acme/greet"), "{lock}");

    std::fs::remove_dir_all(place.path("forge")).unwrap();
    let ran = place.say(&["run"]);
    assert!(
        ran.code == 0
            && ran.out.contains("hello\n")
            && ran.out.contains("of its own repository\n")
            && ran.out.contains("it said good day ada\n"),
        "{ran:?}"
    );

    std::fs::remove_dir_all(place.state().join("actions")).unwrap();
    let absent = place.say(&["run"]);
    assert_eq!((absent.code, absent.out.as_str()), (2, ""));
    assert!(
        absent.err.contains("ci.yml:4:11") && absent.err.contains("`acme/end/.github/workflows/check.yml@main` can't be fetched"),
        "{}",
        absent.err
    );
}

#[test]
fn what_is_wrong_in_a_workflow_of_another_repository_is_shown_in_its_own_lines() {
    let place = place();
    let wrong = "on:\n  workflow_call:\njobs:\n  in:\n    runs-on: ubuntu-latest\n    stepps: []\n";
    change_file(&place, "end", ".github/workflows/check.yml", wrong);
    place.write(CI, "on: push\njobs:\n  call:\n    uses: acme/end/.github/workflows/check.yml@main\n  none:\n    uses: acme/end/.github/workflows/none.yml@main\n");
    let ran = place.say(&["run"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    for part in [
        "acme/end/.github/workflows/check.yml@main:6:5",
        "stepps",
        "ci.yml:6:11",
        "`.github/workflows/none.yml` can't be read in `acme/end`",
    ] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
}

#[test]
fn provenance_names_the_commit_of_every_action_however_deep() {
    let place = place();
    let port = place.port.to_string();
    assert_eq!(place.say(&["up", "--quiet", "--port", &port]).code, 0);
    let said = place.say(&["release", "provenance", "--statement"]);
    let statement: serde_json::Value = serde_json::from_str(&said.raw).unwrap();
    let dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let named: Vec<(&str, &str)> =
        dependencies.iter().map(|it| (it["name"].as_str().unwrap(), it["digest"]["gitCommit"].as_str().unwrap())).collect();
    let head = |name: &str| {
        let output =
            place.at_home("git").current_dir(place.path(&format!("forge/acme/{name}.git"))).args(["rev-parse", "HEAD"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    assert_eq!(named[1..], [("action acme/end@main", &*head("end")), ("action acme/greet@v1", &*head("greet"))]);
}
