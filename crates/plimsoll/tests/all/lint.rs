//! `plimsoll lint`, and what the lints refuse where a plan is made.

#![allow(clippy::unwrap_used)]

use crate::common::Place;
use serde_json::Value as Json;

const CI: &str = ".github/workflows/ci.yml";

const TAINTED: &str = "name: ci
on: [push, pull_request]
permissions: {}
jobs:
  title:
    runs-on: ubuntu-24.04
    steps:
      - run: |
          echo \"title: ${{ github.event.pull_request.title }}\"
";

const CLEAN: &str = "name: ci
on: push
permissions: {}
jobs:
  hello:
    runs-on: ubuntu-24.04
    steps:
      - run: echo hello
";

#[test]
fn a_clean_file_ends_with_0_and_a_finding_with_10() {
    let place = Place::with(&[(CI, CLEAN)]);
    let said = place.say(&["lint"]);
    said.is(0, "nothing found in 1 file");
    assert_eq!(said.out, "");
    place.write(CI, TAINTED);
    let said = place.say(&["lint"]);
    said.is(10, "1 finding in 1 file: 1 high, 0 medium, 0 low, 0 informational; 1 would refuse a run; `--fix` mends 1");
    for part in
        ["error[template-injection]: anybody can choose", "--> .github/workflows/ci.yml:9:28", "^^^^", "= help: set a variable in `env:`"]
    {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    assert_eq!(place.say(&["lint", "--security", "compat"]).code, 10);
}

#[test]
fn a_file_that_cannot_be_read_ends_with_2() {
    let place = Place::with(&[(CI, "on: push\njbos: {}\n")]);
    let said = place.say(&["lint"]);
    assert_eq!(said.code, 2);
    assert!(said.out.contains("error[workflow/unknown-key]: unknown key `jbos`"), "{}", said.out);
    assert_eq!(place.say(&["lint", "none.yml"]).code, 9);
    place.say(&["lint", "app.py"]).is(
        2,
        "error: `app.py` is no file that is linted\nhint: workflows, `action.yml`, `dependabot.yml` and `.pre-commit-config.yaml` are",
    );
}

#[test]
fn a_certain_fix_is_made_and_shown() {
    let place = Place::with(&[(CI, TAINTED)]);
    let said = place.say(&["lint", "--fix"]);
    said.is(0, "nothing found in 1 file");
    let diff = "--- a/.github/workflows/ci.yml
+++ b/.github/workflows/ci.yml
@@ -5,5 +5,7 @@
   title:
     runs-on: ubuntu-24.04
     steps:
-      - run: |
-          echo \"title: ${{ github.event.pull_request.title }}\"
+      - env:
+          PULL_REQUEST_TITLE: ${{ github.event.pull_request.title }}
+        run: |
+          echo \"title: ${PULL_REQUEST_TITLE}\"
";
    assert_eq!(said.out, diff);
}

#[test]
fn a_run_is_refused_before_anything_starts() {
    let place = Place::with(&[(CI, TAINTED)]);
    let event = place.path("event.json");
    std::fs::write(&event, r#"{"pull_request": {"title": "\"; touch ../ran; echo \""}}"#).unwrap();
    let event = event.display().to_string();
    let run = ["run", CI, "--event", "pull_request", "--event-file", &event];
    let said = place.say(&run);
    assert_eq!(said.code, 2, "{}", said.err);
    for part in [
        "the security lints refuse this, so nothing was started",
        "error[template-injection]: anybody can choose",
        "--> .github/workflows/ci.yml:9:28",
        "`plimsoll lint --fix` would use the variable `PULL_REQUEST_TITLE`",
        "`--security compat` runs it all the same",
    ] {
        assert!(said.err.contains(part), "{part}\n{}", said.err);
    }
    assert_eq!(said.out, "");
    place
        .say(&[&run[..], &["--security", "compat"]].concat())
        .ends(0, &["1 remark of the security lints stands in nobody's way; `plimsoll lint` shows it"]);
    // A push brings no title, and nobody from outside.
    assert_eq!(place.say(&["run", CI]).code, 0);
    assert_eq!(place.say(&["run", CI, "--security", "strict"]).code, 2);
    place.write("plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\nworkflows: {security: compat}\n");
    assert_eq!(place.say(&run).code, 0);
    place.write(CI, &TAINTED.replace("title }}\"", "title }}\" # plimsoll: ignore[template-injection] no"));
    let said = place.say(&[&run[..], &["--security", "guarded"]].concat());
    assert_eq!(said.code, 2, "a comment of the script's own suppresses nothing: {}", said.err);
    place.write(CI, &TAINTED.replace("- run: |", "- run: | # plimsoll: ignore[template-injection] for the test"));
    assert_eq!(place.say(&[&run[..], &["--security", "guarded"]].concat()).code, 0);
}

#[test]
fn a_release_is_held_to_the_same() {
    let place = Place::with(&[(CI, &CLEAN.replace("echo hello", "cat x >> $GITHUB_ENV").replace("push", "[push, pull_request_target]"))]);
    place.up(&["--dry-run"]).ends(0, &["2 remarks of the security lints stand in nobody's way; `plimsoll lint` shows them"]);
    let said = place.up(&["--dry-run", "--security", "strict"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("error[dangerous-triggers]") && said.err.contains("error[github-env]"), "{}", said.err);
}

#[test]
fn what_the_configuration_forbids_is_found() {
    let place = Place::with(&[(CI, &CLEAN.replace("- run: echo hello", "- uses: evil/action@0000000000000000000000000000000000000000"))]);
    assert_eq!(place.say(&["lint"]).code, 0);
    place.write("plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\nworkflows: {forbiddenUses: {deny: [evil/*]}}\n");
    assert!(place.say(&["lint"]).out.contains("warning[forbidden-uses]: `evil/action` may not be used here"));
}

#[test]
fn all_the_project_has_is_looked_at() {
    let action = "name: a\ndescription: b\nruns:\n  using: composite\n  steps:\n    - run: gem install x\n      shell: bash\n";
    let dependabot = "version: 2\nupdates:\n  - package-ecosystem: npm\n    directory: /\n    schedule: {interval: daily}\n";
    let place = Place::with(&[
        (CI, CLEAN),
        (".github/actions/a/action.yml", action),
        (".github/dependabot.yml", dependabot),
        (".pre-commit-config.yaml", "repos:\n  - repo: http://example.com/a\n    rev: b\n    hooks: []\n"),
        ("node_modules/x/action.yml", action),
        ("docker-compose.yml", "services: {}\n"),
    ]);
    let json: Json = serde_json::from_str(&place.say(&["lint", "--json"]).out).unwrap();
    let found: Vec<(&str, &str)> =
        json.as_array().unwrap().iter().map(|it| (it["file"].as_str().unwrap(), it["code"].as_str().unwrap())).collect();
    let expected = [
        (".github/actions/a/action.yml", "adhoc-packages"),
        (".github/dependabot.yml", "dependabot-cooldown"),
        (".pre-commit-config.yaml", "insecure-url-scheme"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn sarif_is_valid_and_the_gate_reads_it() {
    let many = TAINTED.replace("- run: |", "- uses: actions/checkout@v4\n      - run: |");
    let place = Place::with(&[(CI, &many), (".github/workflows/wrong.yml", "on: push\njbos: {}\n")]);
    let said = place.say(&["lint", "--format", "sarif", "--persona", "auditor"]);
    let log: Json = serde_json::from_str(&said.out).unwrap();
    let schema: Json = serde_json::from_str(include_str!("../../testdata/sarif-schema-2.1.0.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let of = |rule: &str| results.iter().find(|result| result["ruleId"] == rule).unwrap();
    assert_eq!(of("template-injection")["locations"][0]["physicalLocation"]["region"]["startLine"], 10);
    assert_eq!(of("artipacked")["fixes"][0]["artifactChanges"][0]["artifactLocation"]["uri"], CI);
    assert_eq!(log["runs"][0]["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 2);
    let read = gate::evidence::read("lint.sarif", said.out.as_bytes());
    // A file that couldn't be read means that the tool didn't finish, which the gate must not take for "nothing found".
    assert!(matches!(read, gate::evidence::Reading::Broken(_)), "{read:?}");
    std::fs::remove_file(place.path("app").join(".github/workflows/wrong.yml")).unwrap();
    let said = place.say(&["lint", "--format", "sarif", "--persona", "auditor"]);
    let gate::evidence::Reading::Claims(claims) = gate::evidence::read("lint.sarif", said.out.as_bytes()) else { panic!("it is evidence") };
    let text = format!("{claims:?}");
    assert!(text.contains("template-injection") && text.contains("artipacked"), "{text}");
}
