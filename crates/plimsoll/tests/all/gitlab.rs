//! `.gitlab-ci.yml` through the binary: stages, rules, artifacts, dotenv reports, failures that are allowed, manual jobs.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use crate::common::Place;

const PIPELINE: &str = r#"
stages: [build, test, deploy]

variables:
  GREETING: "hello from $CI_PROJECT_NAME"
  OUT: "$CI_PROJECT_DIR/out"

default:
  before_script:
    - echo "before $CI_JOB_NAME"

compile:
  stage: build
  script:
    - mkdir -p out && echo "$GREETING on $CI_COMMIT_BRANCH" > "$OUT/greeting.txt"
    - echo "VERSION=1.2.$CI_PIPELINE_IID" >> build.env
    - echo "object" > out/x.o
    - test -z "${GITHUB_ACTIONS:-}"
  artifacts:
    paths: [out/]
    exclude: ["out/*.o"]
    reports: {dotenv: build.env}

unit:
  stage: test
  variables: {TAGGED: "v$VERSION"}
  script:
    - cat out/greeting.txt
    - ls out
    - echo "version $VERSION tagged $TAGGED"
    - |
      if [ "$CI_NODE_TOTAL" = 1 ]; then
        echo "alone in $CI_JOB_STAGE"
      fi
  after_script:
    - echo "after unit it is $CI_JOB_STATUS"
    - exit 3

flaky:
  stage: test
  script:
    - echo "about to fail"
    - false
    - echo "never said"
  after_script: [echo "after flaky it is $CI_JOB_STATUS"]
  allow_failure: true

legs:
  stage: test
  needs: []
  script: [echo "leg $CI_NODE_INDEX of $CI_NODE_TOTAL is $LETTER"]
  parallel: {matrix: [{LETTER: [a, b]}]}

codes:
  stage: test
  script: [exit 42]
  allow_failure: {exit_codes: [42]}

only-tags:
  stage: deploy
  script: [echo tags]
  rules: [{if: $CI_COMMIT_TAG}]

ship:
  stage: deploy
  script: [echo "shipping $VERSION"]

undo:
  stage: deploy
  script: [echo undoing]
  when: manual

cleanup:
  stage: deploy
  script: [echo "something failed"]
  when: on_failure
"#;

fn without_prefixes(out: &str) -> Vec<String> {
    out.lines().map(|line| line.split_once(" | ").map_or(line, |(_, rest)| rest).to_string()).collect()
}

#[test]
fn a_pipeline_runs_as_written() {
    let place = Place::with(&[(".gitlab-ci.yml", PIPELINE)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let lines = without_prefixes(&said.out);
    let said_once = |line: &str| assert_eq!(lines.iter().filter(|it| *it == line).count(), 1, "`{line}` in\n{}", said.out);
    said_once("before compile");
    said_once("hello from app on main");
    said_once("greeting.txt");
    said_once("version 1.2.1 tagged v1.2.1");
    said_once("alone in test");
    said_once("$ if [ \"$CI_NODE_TOTAL\" = 1 ]; then # collapsed multi-line command");
    said_once("after unit it is success");
    said_once("about to fail");
    said_once("after flaky it is failed");
    said_once("leg 1 of 2 is a");
    said_once("leg 2 of 2 is b");
    said_once("shipping 1.2.1");
    for never in ["never said", "x.o", "tags", "undoing", "something failed"] {
        assert!(!lines.iter().any(|line| line == never), "`{never}` in\n{}", said.out);
    }
    for left_out in
        ["only-tags is left out: none of its rules matches", "undo is left out: it is manual; `plimsoll run --manual 'undo'` starts it"]
    {
        assert!(said.err.lines().any(|line| line == left_out), "`{left_out}` in\n{}", said.err);
    }
}

#[test]
fn a_failure_stops_later_stages_and_starts_what_waits_for_it() {
    let file = "
stages: [one, two, three]
bad: {stage: one, script: [exit 7], artifacts: {paths: [x], when: on_failure}}
next: {stage: two, script: [echo next]}
rescue: {stage: two, script: [echo rescued], when: on_failure}
last: {stage: three, script: [echo last], when: always}
";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let lines = without_prefixes(&said.out);
    assert!(lines.contains(&"rescued".to_string()) && lines.contains(&"last".to_string()), "{}", said.out);
    assert!(!lines.contains(&"next".to_string()), "{}", said.out);
}

#[test]
fn a_blocking_manual_job_is_waited_for_or_started() {
    let file = "
stages: [build, approve, deploy]
build: {stage: build, script: [echo built]}
approve: {stage: approve, script: [echo approved], rules: [{when: manual}]}
deploy: {stage: deploy, script: [echo deployed]}
";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 5, "{}{}", said.out, said.err);
    assert!(said.err.contains("the pipeline waits for `approve`; the same command with `--manual approve` starts it"), "{}", said.err);
    assert!(!said.out.contains("deployed"), "{}", said.out);
    let said = place.say(&["run", "--manual", "approve"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("approved") && said.out.contains("deployed"), "{}", said.out);
    let said = place.say(&["run", "--job", "approve"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("approved") && !said.out.contains("deployed"), "{}", said.out);
}

#[test]
fn a_cache_lives_from_job_to_job_and_changes() {
    let file = "
stages: [one, two, three]
cache: {key: $CI_COMMIT_REF_SLUG, paths: [kept/]}
one: {stage: one, script: [mkdir kept, echo 1 > kept/n]}
two: {stage: two, script: [echo \"two finds $(cat kept/n)\", echo 2 > kept/n]}
three: {stage: three, script: [echo \"three finds $(cat kept/n)\"], cache: {key: main, paths: [kept/], policy: pull}}
";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run", "--var", "X=1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let lines = without_prefixes(&said.out);
    for line in ["two finds 1", "three finds 2"] {
        assert!(lines.contains(&line.to_string()), "`{line}` in\n{}", said.out);
    }
}

#[test]
fn secrets_and_variables_given_by_hand_win_and_are_masked() {
    let file = "
a:
  variables: {LEVEL: job, AUTH: \"Bearer $TOKEN\"}
  script: [echo \"level $LEVEL\", 'echo \"auth $AUTH\"', 'echo \"length ${#TOKEN}\"']
";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run", "--var", "LEVEL=given", "--secret", "TOKEN=s3cr3t-value"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("level given") && said.out.contains("auth Bearer ***") && said.out.contains("length 12"), "{}", said.out);
}

#[test]
fn mistakes_are_shown_with_their_places_and_nothing_runs() {
    let file = "a: {scirpt: [a]}\nb: {stage: biuld, script: [b]}\n";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 2);
    for text in ["unknown key `scirpt`", ".gitlab-ci.yml:1:5", "did you mean `script`?", ".gitlab-ci.yml:2:12", "did you mean `build`?"] {
        assert!(said.err.contains(text), "`{text}` in\n{}", said.err);
    }
}

#[test]
fn images_are_refused_or_ignored_where_that_is_said() {
    let file = "image: alpine:3\na: {script: [echo here]}\n";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run", "--gitlab-images", "refuse"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("the container image `alpine:3` isn't run") && said.err.contains("--gitlab-images container"),
        "{}",
        said.err
    );
    let mut without_engine = place.plimsoll(&["run"]);
    without_engine.env("PLIMSOLL_CONTAINER_ENGINE", "no-such-engine");
    let said = place.start(without_engine).wait();
    assert_eq!(said.code, 2);
    let why = "the image `alpine:3` needs a container engine: `PLIMSOLL_CONTAINER_ENGINE` names `no-such-engine`";
    assert!(said.err.contains(why) && said.err.contains(".gitlab-ci.yml:1:8"), "{}", said.err);
    assert_eq!(place.say(&["run", "--gitlab-images", "host"]).code, 0);
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}gitlab: {{images: host}}\n"));
    assert_eq!(place.say(&["run"]).code, 0);
}

#[test]
fn includes_come_from_the_project_and_from_mirrors() {
    let file = "include: [{local: ci/a.yml}, {project: group/tools, ref: main, file: b.yml}]\nmine: {extends: .shared, stage: test}\n";
    let place = Place::with(&[(".gitlab-ci.yml", file), ("ci/a.yml", "theirs: {script: [echo theirs]}\n")]);
    place.git(&["init", "--quiet", "--initial-branch", "main", "../tools"]);
    std::fs::write(place.path("tools/b.yml"), ".shared: {script: [echo shared]}\n").unwrap();
    place.git(&["-C", "../tools", "add", "--all"]);
    place.git(&["-C", "../tools", "commit", "--quiet", "--message", "tools"]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("the project `group/tools` isn't fetched"), "{}", said.err);
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}gitlab: {{mirrors: {{group/tools: ../tools}}}}\n"));
    let said = place.say(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("theirs") && said.out.contains("shared"), "{}", said.out);
}

#[test]
fn beside_github_s_files_it_is_left_alone_unless_it_is_named() {
    let github = "on: push\njobs: {hub: {runs-on: x, steps: [{run: echo from hub}]}}\n";
    let place = Place::with(&[(".gitlab-ci.yml", "lab: {script: [echo from lab]}\n"), (".github/workflows/ci.yml", github)]);
    let said = place.say(&["run"]);
    assert!(said.out.contains("from hub") && !said.out.contains("from lab"), "{}", said.out);
    assert!(said.err.contains("`.gitlab-ci.yml` is left alone beside `.github/workflows`"), "{}", said.err);
    let said = place.say(&["run", ".gitlab-ci.yml"]);
    assert!(said.out.contains("from lab") && !said.out.contains("from hub"), "{}", said.out);
    place.up(&["--dry-run", "--workflow", ".gitlab-ci.yml"]).shows(0, &["runs     .gitlab-ci.yml (1 job)"]);
}

#[test]
fn a_dry_run_shows_stages_and_jobs() {
    let place = Place::with(&[(".gitlab-ci.yml", PIPELINE)]);
    let said = place.say(&["run", "--dry-run"]);
    assert_eq!(said.code, 0);
    let expected = ".gitlab-ci.yml on push
  stage build: compile
  stage test: unit, flaky, legs: [a], legs: [b], codes
  stage deploy: ship, cleanup
";
    assert!(said.out.starts_with(expected), "{}", said.out);
}

/// Several components, the scanners' templates, reports that the gate reads: the pipeline of a team that builds five services.
#[test]
fn a_release_runs_the_pipeline_of_a_real_team_and_reads_its_evidence() {
    let file = r#"
stages: [quality, build, test, security, package, deploy]

include:
  - template: Security/SAST.gitlab-ci.yml
  - template: Security/Secret-Detection.gitlab-ci.yml
  - template: Security/Dependency-Scanning.gitlab-ci.yml

.component: &component
  parallel:
    matrix:
      - COMPONENT: [consciousness, context-engine, security, orchestrator, message-bus]

lint:
  stage: quality
  script: [echo "linting"]

build component:
  stage: build
  <<: *component
  script:
    - mkdir -p "dist/$COMPONENT"
    - echo "$COMPONENT $CI_COMMIT_SHORT_SHA" > "dist/$COMPONENT/bin"
  artifacts: {paths: ["dist/$COMPONENT/"]}

test component:
  stage: test
  <<: *component
  needs: ["build component"]
  script:
    - test "$(cat "dist/$COMPONENT/bin")" = "$COMPONENT $CI_COMMIT_SHORT_SHA"
    - echo '<testsuite name="'"$COMPONENT"'" tests="2"><testcase name="a"/><testcase name="b"/></testsuite>' > report.xml
  artifacts: {reports: {junit: report.xml}}

package:
  stage: package
  script: [test "$(ls dist | wc -l)" = 5]
  artifacts: {paths: [dist]}

deploy staging:
  stage: deploy
  script: [echo deploying]
  environment: {name: staging, url: "https://staging.example.com"}
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual}]
"#;
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.up(&[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let view = place.say(&["release", "view"]);
    assert_eq!(view.code, 0, "{}{}", view.out, view.err);
    assert!(view.out.contains("10 tests"), "{}", view.out);
}

#[test]
fn a_job_may_fail_with_certain_exit_codes_alone() {
    let file = |code: u32| {
        format!(
            "
stages: [one, two, three]
codes:
  stage: one
  script: [echo x > kept, exit {code}]
  after_script: ['echo \"after codes it is $CI_JOB_STATUS\"']
  allow_failure: {{exit_codes: [42, 43]}}
  artifacts: {{paths: [kept], when: on_failure}}
needing: {{stage: two, script: ['cat kept; echo \"needing ran\"'], needs: [codes]}}
next: {{stage: two, script: [echo \"next ran\"]}}
rescue: {{stage: three, script: [echo rescued], when: on_failure}}
"
        )
    };
    let place = Place::with(&[(".gitlab-ci.yml", &file(42))]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let lines = without_prefixes(&said.out);
    for line in ["after codes it is failed", "x", "needing ran", "next ran"] {
        assert!(lines.contains(&line.to_string()), "{line}\n{}", said.out);
    }
    assert!(!lines.contains(&"rescued".to_string()), "{}", said.out);
    assert!(said.err.contains("codes failed, which is allowed ("), "{}", said.err);
    assert!(place.say(&["run", "view"]).out.contains("codes failed, which is allowed"));

    place.write(".gitlab-ci.yml", &file(1));
    let said = place.say(&["run"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let lines = without_prefixes(&said.out);
    assert!(lines.contains(&"rescued".to_string()) && !lines.contains(&"next ran".to_string()), "{}", said.out);
}

#[test]
fn the_coverage_in_a_log_is_shown() {
    let file = "
unit:
  script: ['echo \"TOTAL 10 2 50%\"', 'echo \"TOTAL 10 2 81.5%\"']
  coverage: '/TOTAL.*\\s(\\d+(?:\\.\\d+)?)%$/'
";
    let place = Place::with(&[(".gitlab-ci.yml", file)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("coverage 81.5 %, by the job's log"), "{}", said.out);
}

#[test]
fn files_that_came_with_the_sources_are_not_untracked() {
    let file = "
stages: [one, two]
make: {stage: one, script: [echo new > new.txt, mkdir -p deep, echo ignored > deep/x.log], artifacts: {untracked: true, exclude: [deep/none]}}
show: {stage: two, script: [ls], variables: {GIT_STRATEGY: none}}
";
    let place = Place::with(&[(".gitlab-ci.yml", file), (".gitignore", "*.log\\n")]);
    place.write("uncommitted.txt", "");
    for args in [&["run"] as &[&str], &["run", "--dirty"]] {
        let said = place.say(args);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let shown = without_prefixes(&said.out);
        let listed = |name: &str| shown.contains(&name.to_string());
        assert!(listed("new.txt") && listed("deep") && !listed("app.py") && !listed("uncommitted.txt"), "{args:?}\n{}", said.out);
    }
}

#[test]
fn a_child_pipeline_is_part_of_the_run() {
    let file = "
variables: {LEVEL: top}
stages: [build, children, deploy]
make: {stage: build, script: [mkdir out, echo parent > out/x], artifacts: {paths: [out]}}
part:
  stage: children
  variables: {PART: \"of $CI_COMMIT_BRANCH\"}
  trigger: {include: [{local: ci/child.yml}], strategy: depend}
loose:
  stage: children
  trigger: {include: ci/failing.yml}
bad:
  stage: children
  trigger: {include: ci/failing.yml, strategy: depend}
  rules: [{if: $BAD}]
deploy: {stage: deploy, script: ['echo \"deployed with $(cat out/x), version $VERSION.\"']}
";
    let child = "
stages: [one, two]
variables: {LEVEL: child}
make: {stage: one, script: [mkdir out, echo child > out/x, echo VERSION=3 > v.env], artifacts: {paths: [out], reports: {dotenv: v.env}}}
use: {stage: two, script: ['echo \"child has $(cat out/x), $LEVEL, $PART, version $VERSION, from $CI_PIPELINE_SOURCE\"']}
";
    let failing = "fails: {script: ['false']}\n";
    let files = [(".gitlab-ci.yml", file), ("ci/child.yml", child), ("ci/failing.yml", failing)];
    let place = Place::with(&files);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let lines = without_prefixes(&said.out);
    for line in ["child has child, top, of main, version 3, from parent_pipeline", "deployed with parent, version ."] {
        assert!(lines.contains(&line.to_string()), "`{line}` in\n{}", said.out);
    }
    let said = place.say(&["run", "--var", "BAD=1"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(!said.out.contains("deployed"), "{}", said.out);
    let wrong = "x: {scirpt: [x]}\n";
    place.write("ci/child.yml", wrong);
    let said = place.say(&["run", "--dirty"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.err.contains("ci/child.yml:1:5") && said.err.contains("did you mean `script`?"), "{}", said.err);
}

/// Whoever depends on a child waits for a person with it, and nobody else does.
#[test]
fn a_blocking_job_of_a_child_holds_up_whoever_depends_on_it() {
    let file = |strategy: &str| {
        format!(
            "
stages: [children, later]
part: {{stage: children, trigger: {{include: child.yml{strategy}}}}}
later: {{stage: later, script: [echo went on]}}
"
        )
    };
    let child = "
first: {script: [echo first]}
approve: {script: [echo approved], when: manual, allow_failure: false}
";
    let place = Place::with(&[(".gitlab-ci.yml", &file("")), ("child.yml", child)]);
    let said = place.say(&["run"]);
    assert!(said.code == 0 && said.out.contains("went on"), "{}{}", said.out, said.err);
    place.write(".gitlab-ci.yml", &file(", strategy: depend"));
    let said = place.say(&["run", "--dirty"]);
    assert!(said.code == 5 && !said.out.contains("went on"), "{} {}{}", said.code, said.out, said.err);
    let said = place.say(&["run", "--dirty", "--manual", "approve"]);
    assert!(said.code == 0 && said.out.contains("approved") && said.out.contains("went on"), "{}{}", said.out, said.err);
}
