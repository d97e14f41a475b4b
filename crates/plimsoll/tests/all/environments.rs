//! Jobs that deliver by themselves, and what protects where they deliver to.

#![allow(clippy::unwrap_used)]

use nix::sys::signal::{Signal, kill};

use crate::common::{DEADLINE, Place, Said, until};

const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

/// Each job leaves a file beside the project, so that it is known whether it ran.
const DEPLOY: &str = "on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - run: echo built
  stage:
    needs: build
    environment: staging
    runs-on: self-hosted
    steps:
      - run: touch LEFT/staged
  deploy:
    needs: stage
    environment: production
    runs-on: self-hosted
    steps:
      - run: touch LEFT/deployed
";

fn delivering(environments: &str) -> Place {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}deliver: workflow\n{environments}"));
    place.write(".github/workflows/deploy.yml", &DEPLOY.replace("LEFT", &place.path("home").display().to_string()));
    place.commit("deploys by itself");
    place
}

fn as_person(place: &Place, who: &str, args: &[&str]) -> Said {
    let mut command = place.plimsoll(args);
    command.env("PLIMSOLL_ACTOR", who);
    place.start(command).wait()
}

fn left(place: &Place, name: &str) -> bool {
    place.path("home").join(name).exists()
}

#[test]
fn a_reviewer_who_is_nearly_a_team_is_asked_about() {
    let place = delivering("gate:\n  teams: {ops: [bo, cy]}\nenvironments:\n  production: {reviewers: [opps, dee]}\n");
    let plan = place.up(&["--dry-run"]);
    let warning = "`opps` is no team, so a person of that name is asked; did you mean the team `ops`?";
    assert!(plan.code == 0 && plan.err.contains(warning) && !plan.err.contains("`dee`"), "{plan:?}");
}

#[test]
fn a_job_waits_for_its_reviewers_and_outlives_the_server() {
    let place =
        delivering("gate:\n  teams: {ops: [bo, cy]}\nenvironments:\n  production: {reviewers: [dee, ops], preventSelfReview: true}\n");
    let up = {
        let mut command = place.plimsoll(&["up", "--port", &place.port.to_string()]);
        command.args(AT_ONCE).env("PLIMSOLL_ACTOR", "dee");
        let mut up = place.start(command);
        up.until_it_says("  waits    for what protects production (a review by the team ops)");
        up.until_it_says(
            "`deploy` waits for a review of production by the team ops; `plimsoll approve release-1` gives it, `plimsoll reject release-1 --comment WHY` fails the job",
        );
        up
    };
    assert!(left(&place, "staged") && !left(&place, "deployed"));
    kill(place.server(), Signal::SIGKILL).unwrap();

    // `up` brings the server back, too, and of two that begin at once one steps aside.
    until(DEADLINE, || place.say(&["inbox"]).code == 0).unwrap();
    let inbox = place.say(&["inbox"]);
    assert!(inbox.out.contains("release-1") && inbox.out.contains("`deploy` waits for a review of production"), "{inbox:?}");
    let view = place.say(&["release", "view"]);
    assert!(view.out.contains("deploy is held: waits for a review of production by the team ops\n"), "{view:?}");
    let explained = place.say(&["release", "explain"]);
    assert!(explained.out.contains("deploy: waits for a review of production by the team ops\n"), "{explained:?}");
    let own = as_person(&place, "dee", &["approve"]);
    assert!(own.code != 0 && own.err.contains("nobody reviews a run that they asked for"), "{own:?}");
    let stranger = as_person(&place, "eve", &["reject", "-m", "no"]);
    assert!(stranger.code != 0 && stranger.err.contains("only dee or the team ops may review it"), "{stranger:?}");
    let other = as_person(&place, "bo", &["approve", "--environment", "staging"]);
    assert!(other.code != 0 && other.err.contains("waits for a review of staging"), "{other:?}");
    assert!(!left(&place, "deployed"), "nobody has said yes");
    assert_eq!(as_person(&place, "bo", &["approve", "release-1", "-m", "looks good"]).code, 0);

    up.wait().ends(0, &["✔ approved   production by bo: looks good", "✔ deploy (TIME)"]);
    assert!(left(&place, "deployed"));
    let view = place.say(&["release", "view"]);
    assert!(view.out.contains("approved   production by bo at ") && view.out.contains(": looks good"), "{view:?}");
    assert_eq!(place.say(&["inbox"]).out, "nothing waits for anybody\n");
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
    let late = as_person(&place, "cy", &["reject", "release-1", "-m", "too late"]);
    assert!(late.code != 0 && late.err.contains("release-1 has ended"), "{late:?}");
}

#[test]
fn a_rejection_fails_the_job_and_the_next_release_asks_again() {
    let place = delivering("environments:\n  production: {reviewers: [bo]}\n");
    for round in ["1", "2"] {
        let mut up = place.start_up(&AT_ONCE);
        up.until_it_says("waits for a review of production by bo");
        let rejected = as_person(&place, "bo", &["reject", &format!("release-{round}"), "-m", "not before the sale", "--json"]);
        assert_eq!(rejected.code, 0, "{rejected:?}");
        up.wait().ends(
            1,
            &[
                "✖ rejected   production by bo: not before the sale",
                "✖ deploy was refused: production was rejected by bo: not before the sale",
            ],
        );
    }
    assert!(left(&place, "staged") && !left(&place, "deployed"));
}

#[test]
fn a_branch_that_may_not_deliver_fails_at_once_and_a_misspelt_name_is_told() {
    let place = delivering("environments:\n  production: {branches: [\"release/*\"]}\n  stagng: {waitTimer: 5}\n");
    place.up(&AT_ONCE).ends(
        1,
        &[
            "warning: `stage` delivers to `staging`, which is not among `environments`, so nothing protects it; did you mean `stagng`?",
            "warning: `deploy` will fail: main is not allowed to deploy to production: only release/*",
            "✖ deploy was refused: main is not allowed to deploy to production: only release/*",
            "`stage` delivered to staging; `plimsoll release view 1` shows the jobs, `plimsoll logs --job JOB` what they wrote",
        ],
    );
    assert!(left(&place, "staged") && !left(&place, "deployed"));
}

#[test]
fn a_job_of_gitlab_waits_as_well() {
    let place = delivering("environments:\n  production: {reviewers: [bo]}\n");
    std::fs::remove_file(place.project().join(".github/workflows/deploy.yml")).unwrap();
    let file = place.path("home").join("deployed").display().to_string();
    place.write(
        ".gitlab-ci.yml",
        &format!("stages: [deploy]\nship:\n  stage: deploy\n  environment: {{name: production}}\n  script: [touch {file}]\n"),
    );
    place.commit("a pipeline of GitLab");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("`ship` waits for a review of production by bo");
    assert!(!left(&place, "deployed"));
    assert_eq!(as_person(&place, "bo", &["approve"]).code, 0);
    up.wait().ends(0, &["✔ approved   production by bo", "✔ ship (TIME)"]);
    assert!(left(&place, "deployed"));
}

#[test]
fn closed_hours_hold_jobs_that_deliver_and_an_emergency_goes_past_them() {
    let place = delivering(
        "gate:\n  window:\n    freezes:\n      - {from: 2020-01-01, to: 2199-12-31, reason: the quiet century}\nenvironments:\n  production: {reviewers: [bo]}\n",
    );
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("`stage` waits because environment `local` is closed: frozen (the quiet century)");
    up.until_it_says("in an emergency `plimsoll gate override --reason WHY` goes past it");
    assert!(!left(&place, "staged"));
    assert_eq!(place.say(&["gate", "override", "--reason", "the shop is down"]).code, 0);
    up.until_it_says("waits for a review of production by bo");
    assert!(left(&place, "staged") && !left(&place, "deployed"), "an emergency gives no review");
    assert_eq!(as_person(&place, "bo", &["approve"]).code, 0);
    let up = up.wait();
    assert_eq!(up.code, 0, "{up:?}");
    assert!(up.err.contains("past: .github/workflows/deploy.yml: `stage` waits because"), "{up:?}");
    assert!(left(&place, "deployed"));
}

#[test]
fn a_timer_is_told_with_its_end() {
    let place = delivering("environments:\n  production: {waitTimer: 30, reviewers: [bo, cy]}\n");
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("waits for a review of production by bo or cy");
    assert_eq!(as_person(&place, "bo", &["approve"]).code, 0);
    up.until_it_says(" for production's timer");
    let again = as_person(&place, "cy", &["approve"]);
    assert!(again.code != 0 && again.err.contains("was approved by bo already"), "{again:?}");
    let view: serde_json::Value = serde_json::from_str(&place.say(&["release", "view", "--json"]).raw).unwrap();
    let jobs = view["runs"][0]["status"]["jobs"].as_array().unwrap();
    assert_eq!(jobs[2]["state"], "held", "{view}");
    assert_eq!(place.say(&["inbox"]).out, "nothing waits for anybody\n", "nobody can do anything about a timer");
    assert_eq!(place.say(&["release", "abort"]).code, 0);
    assert_eq!(up.wait().code, 1);
    assert!(!left(&place, "deployed"));
}

#[test]
fn on_ones_own_machine_nothing_is_delivered_unless_one_says_so() {
    let place = delivering("environments:\n  production: {reviewers: [bo]}\n");
    place.say(&["run"]).ends(
        0,
        &[
            "stage is left out: it delivers to staging; `--allow-environment staging` lets it run here",
            "deploy is left out: it delivers to production, which is protected (a review by bo); `plimsoll up` with `deliver: workflow` asks for that, `--allow-environment production` lets it run here without",
        ],
    );
    assert!(!left(&place, "staged"));
    assert_eq!(place.say(&["run", "--allow-environment", "Staging"]).code, 0);
    assert!(left(&place, "staged") && !left(&place, "deployed"));
    let both = place.say(&["run", "--allow-environment", "staging", "--allow-environment", "production"]);
    assert_eq!(both.code, 0, "{both:?}");
    assert!(left(&place, "deployed"));
    std::fs::remove_file(place.path("home").join("deployed")).unwrap();
    assert_eq!(place.say(&["run", "rerun"]).code, 0);
    assert!(left(&place, "deployed"), "a run that is gone through again goes by what was said of it");
}

#[test]
fn the_plan_says_which_jobs_are_left_to_the_release() {
    let place = delivering("");
    let all = place.up(&["--dry-run"]);
    assert!(all.out.contains("runs     .github/workflows/deploy.yml (3 jobs)"), "{all:?}");
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &config.replace("deliver: workflow\n", ""));
    place.commit("the release delivers");
    let plan = place.up(&["--dry-run"]);
    assert!(plan.out.contains("deploy.yml (3 jobs, without `stage`, `deploy` and what needs it)"), "{plan:?}");
    place.write(
        "plimsoll.yaml",
        &format!("{config}workflows: {{runners: {{macos-*: skip, ubuntu-22.04: 'docker://ubuntu:22.04', x: host}}}}\n")
            .replace("deliver: workflow\n", ""),
    );
    let legs = "on: push\njobs:\n  a:\n    strategy: {matrix: {os: [x, ubuntu-22.04], include: [{os: macos-14}]}}\n    runs-on: ${{ matrix.os }}\n    steps: [{run: 'true'}]\n  mac:\n    runs-on: macos-13\n    steps: [{run: 'true'}]\n";
    place.write(".github/workflows/deploy.yml", legs);
    place.commit("legs");
    let plan = place.up(&["--dry-run"]);
    let told = "deploy.yml (2 jobs, without `mac`, without those on `macos-14`, those on `ubuntu-22.04` in a container of ubuntu:22.04)";
    assert!(plan.out.contains(told), "{plan:?}");
}

#[test]
fn what_is_given_and_asked_for_nowhere_is_told() {
    let place = delivering("environments:\n  production: {reviewers: [bo]}\n");
    let said = place.say(&["run", "--allow-environment", "prodution", "--input", "a=b"]);
    said.ends(
        0,
        &[
            "warning: `--allow-environment prodution` has no effect: no job delivers to `prodution`; did you mean `production`?",
            "warning: `--input a=b` has no effect: `push` has no inputs; `--event workflow_dispatch` has",
        ],
    );
    assert!(!place.say(&["run", "--allow-environment", "Staging"]).err.contains("has no effect"));
}
