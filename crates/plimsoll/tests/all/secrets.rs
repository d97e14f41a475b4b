//! What jobs of a release get as `secrets.NAME`, and nobody is shown.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::common::{Place, Said};

const CI: &str = "on: push
jobs:
  test:
    runs-on: self-hosted
    steps:
      - run: echo \"token [$TOKEN] ${#TOKEN} key [$KEY]\"
        env: {TOKEN: \"${{ secrets.npm_token }}\", KEY: \"${{ secrets.DEPLOY_KEY }}\"}
      - run: cat secrets.MISSING 2> /dev/null || echo ${{ secrets['OTHER'] || 'none' }}
  deploy:
    needs: test
    environment: production
    runs-on: self-hosted
    steps: [{run: 'echo \"deploy key ${#KEY}\"', env: {KEY: \"${{ secrets.DEPLOY_KEY }}\"}}]
";

const VALUE: &str = "a-rather-secret-value";

fn set(place: &Place, value: &str, args: &[&str]) -> Said {
    let mut command = place.plimsoll(&[&["secret", "set"], args].concat());
    std::fs::write(place.path("value"), value).unwrap();
    command.stdin(std::fs::File::open(place.path("value")).unwrap());
    place.start(command).wait()
}

/// Whether the bytes lie anywhere below a folder.
fn lies_in(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        match kind.is_dir() {
            true => lies_in(&path, bytes),
            false => kind.is_file() && std::fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes),
        }
    })
}

#[test]
fn a_release_has_the_projects_secrets_and_shows_them_to_nobody() {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}deliver: workflow\n"));
    place.write(".github/workflows/ci.yml", CI);
    place.commit("uses secrets");
    let misused = place.up(&["--secret", "TOKEN"]);
    assert!(
        misused.code == 2 && misused.err.contains("its jobs have the project's own secrets: `plimsoll secret set NAME`"),
        "{misused:?}"
    );
    let plan = place.up(&["--dry-run"]);
    for line in [
        "warning: `secrets.NPM_TOKEN` is empty in `test`; `plimsoll secret set NPM_TOKEN` gives it a value",
        "warning: `secrets.DEPLOY_KEY` is empty in `test`, `deploy`; `plimsoll secret set DEPLOY_KEY` gives it a value",
    ] {
        assert!(plan.err.contains(line), "{line}\n{plan:?}");
    }
    assert!(!plan.err.contains("MISSING"), "a file's name is no secret: {plan:?}");
    let run = place.say(&["run", "--dry-run", "--secret", "NPM_TOKEN=npm-secret"]);
    let empty = "warning: `secrets.DEPLOY_KEY` is empty in `test`; `--secret DEPLOY_KEY=VALUE` gives it one, `--secret DEPLOY_KEY` the one that `plimsoll secret set` keeps";
    assert!(run.err.contains(empty) && !run.err.contains("NPM_TOKEN"), "{run:?}");
    assert_eq!(place.say(&["secret", "list"]).err, "this project has no secret; `plimsoll secret set NAME` gives it one\n");
    set(&place, &format!("{VALUE}\n"), &["npm_token"]).ends(0, &["`NPM_TOKEN` is set for all jobs"]);
    assert_eq!(set(&place, "to-production-alone", &["DEPLOY_KEY", "--environment", "production"]).code, 0);
    for (name, value, why) in
        [("2FA", "x", "no digit is its first"), ("GITHUB_SHA", "x", "GitHub's own"), ("EMPTY", "\n", "the secret is empty")]
    {
        let said = set(&place, value, &[name]);
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    }

    let up = place.up(&["--strategy", "immediate"]);
    assert_eq!(up.code, 0, "{up:?}");
    assert!(up.err.contains("`secrets.DEPLOY_KEY` is empty in `test`; ") && !up.err.contains("NPM_TOKEN"), "{up:?}");
    let log = |job: &str| place.say(&["logs", "--job", job]).raw;
    assert!(log("test").contains(&format!("token [***] {} key []\n", VALUE.len())), "{}", log("test"));
    assert!(log("test").contains("none\n"), "{}", log("test"));
    assert!(log("deploy").contains("deploy key 19\n"), "{}", log("deploy"));
    assert!(!lies_in(&place.state(), VALUE.as_bytes()), "it lies somewhere in the state directory");

    let list = place.say(&["secret", "list"]).out;
    assert!(list.starts_with("DEPLOY_KEY  for jobs that deliver to production, set by ada at "), "{list}");
    assert!(!list.contains(VALUE) && list.contains("\nNPM_TOKEN   for all jobs, "), "{list}");
    assert_eq!(place.say(&["secret", "rm", "DEPLOY_KEY"]).code, 9);
    assert_eq!(place.say(&["secret", "rm", "deploy_key", "--environment", "production"]).code, 0);
    assert_eq!(place.say(&["secret", "list"]).out.lines().count(), 1);
}

#[test]
fn a_run_has_a_kept_secret_only_when_it_is_named() {
    let place = Place::with(&[(".github/workflows/ci.yml", CI)]);
    set(&place, VALUE, &["NPM_TOKEN"]).ends(0, &["`NPM_TOKEN` is set for all jobs"]);
    assert!(place.say(&["run"]).raw.contains("test | token [] 0 key []\n"));
    assert!(place.say(&["run", "--secret", "NPM_TOKEN"]).raw.contains(&format!("test | token [***] {} key []\n", VALUE.len())));
    let mut below = place.plimsoll(&["secret", "set", "LOST"]);
    std::fs::create_dir_all(place.project().join("sub")).unwrap();
    below.current_dir(place.project().join("sub")).stdin(std::fs::File::open(place.path("value")).unwrap());
    let below = place.start(below).wait();
    assert!(below.code == 2 && below.err.contains("the folder above is a project: `plimsoll secret set -C ..`"), "{below:?}");
    let said = place.say(&["run", "--secret", "OTHER"]);
    assert!(
        said.code == 2 && said.err.contains("the environment has none, and `plimsoll secret list` has none that is for all jobs"),
        "{said:?}"
    );
}

/// The secret goes down nine levels, under another name on each; a tenth file is the caller of all.
fn chain(place: &Place, last: &str) {
    let file = |level: usize| format!(".github/workflows/{}", if level == 0 { "ci.yml".to_string() } else { format!("l{level}.yml") });
    for level in 0..9 {
        let on = match level {
            0 => "on: push".to_string(),
            level => format!("on:\n  workflow_call:\n    secrets: {{ S{level}: {{ required: true }} }}"),
        };
        let pass = format!("{{ S{}: '${{{{ secrets.S{level} }}}}' }}", level + 1);
        let text = format!("{on}\njobs:\n  next:\n    uses: ./{}\n    secrets: {pass}\n", file(level + 1));
        place.write(&file(level), &text);
    }
    place.write(&file(9), &format!("on:\n  workflow_call:\n    secrets: {{ S9: {{ required: true }}, REST: {{}} }}\njobs:\n{last}"));
    place.commit("calls and calls");
}

const LAST: &str = "  it:
    runs-on: self-hosted
    environment: production
    env: { S9: '${{ secrets.S9 }}', S0: '${{ secrets.S0 }}', REST: '${{ secrets.REST }}', OWN: '${{ secrets.OF_THERE }}' }
    steps: [{ run: 'echo \"[$S9] ${#S9} [$S0] [$REST] [$OWN]\"' }]
";

#[test]
fn a_secret_is_passed_down_by_name_and_nothing_else_goes_with_it() {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}deliver: workflow\n"));
    chain(&place, LAST);
    set(&place, VALUE, &["S0"]).ends(0, &["`S0` is set for all jobs"]);
    for (name, value) in [("S0", "another-one-of-production"), ("OF_THERE", "only-there")] {
        assert_eq!(set(&place, value, &[name, "--environment", "production"]).code, 0);
    }
    let expected = format!("[***] {} [] [] []\n", VALUE.len());
    let run = place.say(&["run", "--secret", "S0", "--secret", "OTHER=not-passed-on", "--allow-environment", "production"]);
    assert!(run.code == 0 && run.raw.contains(&expected), "{run:?}");
    let up = place.up(&["--strategy", "immediate"]);
    assert_eq!(up.code, 0, "{up:?}");
    let log = place.say(&["logs", "--job", "next/next/next/next/next/next/next/next/next/it"]);
    assert!(log.raw.contains(&expected), "what an environment keeps is passed on by nobody: {log:?}");
}

#[test]
fn what_files_that_inherit_miss_is_told_before() {
    let called =
        "on: workflow_call\njobs:\n  deep: { runs-on: self-hosted, steps: [{ run: 'true', env: { T: '${{ secrets.DEEP }}' } }] }\n";
    let ci = "on: push\njobs:\n  all: { uses: ./.github/workflows/x.yml, secrets: inherit }\n  some: { uses: ./.github/workflows/x.yml }\n";
    let place = Place::with(&[(".github/workflows/ci.yml", ci), (".github/workflows/x.yml", called)]);
    let plan = place.up(&["--dry-run"]);
    assert!(plan.err.contains("warning: `secrets.DEEP` is empty in `deep`; `plimsoll secret set DEEP` gives it a value"), "{plan:?}");
    let run = place.say(&["run", "--dry-run"]);
    assert!(run.err.contains("`secrets.DEEP` is empty in `deep`"), "{run:?}");
}
