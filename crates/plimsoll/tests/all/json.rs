//! `--json` is JSON on every command: of what it answers, and of what goes wrong.

#![allow(clippy::unwrap_used)]

use crate::common;
use std::collections::BTreeSet;

use crate::common::{DEADLINE, Place, Said, until};
use serde_json::Value as Json;

const CI: &str =
    "on: push\njobs:\n  hello:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo one\n          printf two\n";

/// Says something in both places before it answers.
const TALKS: &str = "import sys\nprint('hello', flush=True)\nprint('trouble', file=sys.stderr, flush=True)\nexec(open('app.py').read())\n";

/// Every command that has a page in the reference; those that print a line at a time are named there too.
fn commands() -> BTreeSet<String> {
    let reference = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md")).unwrap();
    reference.lines().filter_map(|line| line.strip_prefix("## plimsoll ")).map(str::to_string).collect()
}

/// Each is asked once, in an order in which each has something to say.
struct Asked<'a> {
    place: &'a Place,
    left: BTreeSet<String>,
}

impl Asked<'_> {
    /// One JSON value, however many lines it takes.
    #[track_caller]
    fn value(&mut self, code: i32, line: &str) -> Json {
        let said = self.ask(code, line);
        serde_json::from_str(&said.raw).unwrap_or_else(|error| panic!("`{line} --json` is no JSON: {error}\n{}", said.raw))
    }

    /// One JSON value a line.
    #[track_caller]
    fn lines(&mut self, code: i32, line: &str) -> Vec<Json> {
        let said = self.ask(code, line);
        let parsed = said.raw.lines().map(|it| serde_json::from_str(it).unwrap_or_else(|error| panic!("`{line}`: {error}: {it}")));
        parsed.collect()
    }

    #[track_caller]
    fn ask(&mut self, code: i32, line: &str) -> Said {
        let command = self.left.iter().filter(|command| format!("{line} ").starts_with(&format!("{command} "))).max_by_key(|it| it.len());
        let command = command.cloned();
        command.map(|command| self.left.remove(&command));
        let mut words: Vec<&str> = line.split(' ').collect();
        words.push("--json");
        let said = self.place.say(&words);
        assert_eq!(said.code, code, "`{line}`: {said:?}");
        said
    }
}

#[test]
fn every_command_answers_in_json() {
    let place = Place::with(&[(".github/workflows/ci.yml", CI), ("talks.py", TALKS)]);
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap().replace("app.py", "talks.py");
    place.write("plimsoll.yaml", &config);
    place.commit("an application that talks");
    let mut asked = Asked { place: &place, left: commands() };
    assert!(asked.left.len() > 20, "{:?}", asked.left);

    for nothing in ["status", "release list", "release history"] {
        assert_eq!(asked.value(0, nothing), serde_json::json!([]));
    }
    assert!(asked.value(0, "down")["down"].is_null());
    assert!(asked.value(0, "secret list").as_array().unwrap().is_empty());
    asked.value(9, "secret rm NOBODY");
    asked.value(2, "secret set 2FA");
    asked.value(0, "identity issuer https://ci.example.org");
    assert_eq!(asked.value(0, "identity publish ../www").as_array().unwrap().len(), 2);
    asked.value(0, "help exit-codes");
    asked.value(0, "help config");
    assert!(asked.value(0, "help release rollback")["text"].as_str().unwrap().contains("Usage: plimsoll release rollback"));
    for (line, code) in [("help release nonsense", 2), ("status nowhere", 2), ("up --port 0", 2), ("replay .", 9)] {
        assert!(asked.value(code, line)["error"]["message"].is_string(), "{line}");
    }
    asked.value(0, "completions bash");
    asked.value(0, "doctor");
    asked.value(10, "lint");
    assert!(asked.value(9, "release lint none.yaml")["error"]["message"].is_string());
    asked.value(0, "actions lock");
    asked.value(0, "actions verify --offline");
    asked.value(0, "actions list");
    asked.lines(0, "run");
    asked.lines(0, "run");
    assert!(!asked.lines(0, "run rerun").is_empty());
    assert!(!asked.value(0, "run list").as_array().unwrap().is_empty());
    asked.value(0, "run view");
    asked.value(0, "run explain");
    asked.value(0, "run diff");
    asked.value(0, "graph");
    // The server's log is no answer, and the demo plays for minutes; both fail as the others do, which is asked below.
    asked.left.remove("serve");
    asked.left.remove("demo");

    asked.value(0, "up --dry-run");
    let port = place.port.to_string();
    let up = asked.value(0, &format!("up --port {port}"));
    assert_eq!(up["number"], 1);
    asked.value(0, "status");
    assert_eq!(asked.value(0, "release list").as_array().unwrap().len(), 1);
    asked.value(0, "release view");
    asked.value(0, "release explain");
    std::fs::write(place.path("envelope"), asked.value(0, "release provenance").to_string()).unwrap();
    assert_eq!(asked.value(0, "release sbom")["bomFormat"], "CycloneDX");
    assert!(asked.value(0, "release artifact --output ../app.tar")["digest"].is_string());
    std::fs::write(place.path("key"), asked.value(0, "attest key")["publicKey"].as_str().unwrap()).unwrap();
    assert!(asked.value(0, "attest sign ../app.tar")["signature"].is_string());
    assert!(asked.value(0, "attest show ../envelope")["predicate"].is_object());
    assert_eq!(asked.value(0, "attest verify --key ../key ../app.tar ../envelope")["verified"], true);
    let refused = asked.value(2, "attest attest --image app --predicate ../envelope --type cyclonedx");
    assert!(refused["error"]["message"].as_str().unwrap().contains("names no image"), "{refused}");
    asked.value(0, "release watch");
    let history = asked.value(0, "release history");
    assert_eq!((&history[0]["ended"], &history[0]["is_live"]), (&"promoted".into(), &true.into()), "{history}");
    let facts = asked.lines(0, "release view --record");
    let record: String = facts.iter().map(|fact| format!("{fact}\n")).collect();
    place.write("record.jsonl", &record);

    let log = asked.lines(0, "logs");
    let said: Vec<_> = log.iter().map(|line| (line["stream"].as_str().unwrap(), line["text"].as_str().unwrap())).collect();
    assert_eq!(said, [("stdout", "hello"), ("stderr", "trouble")]);
    assert!(log.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z') && line["instance"].is_string()), "{log:?}");
    let job: Vec<String> = asked.lines(0, "logs --job hello").iter().map(|line| line["text"].as_str().unwrap().to_string()).collect();
    assert!(job.ends_with(&["one".to_string(), "two".to_string()]), "{job:?}");

    assert!(asked.value(0, "gate check")["hours"].is_object());
    assert!(asked.value(0, "gate explain")["decision"].is_object());
    assert!(asked.value(0, "gate simulate")[0]["now"].is_object());
    assert_eq!(asked.value(0, "policy eval")["allow"], true);
    for (line, code) in [("policy test", 9), ("policy fmt", 2), ("slo status", 9), ("slo burn", 9), ("slo budget", 9)] {
        assert!(asked.value(code, line)["error"]["message"].is_string(), "{line}");
    }
    asked.value(0, "env freeze --reason sale --for 1h");
    asked.value(0, "env unfreeze");
    asked.value(9, "schedule on");
    asked.value(9, "schedule off");
    assert_eq!(asked.value(0, "schedule list")["starts"], false);
    assert_eq!(asked.value(0, "inbox"), serde_json::json!([]));
    for refused in ["approve", "reject -m no"] {
        assert!(asked.value(2, refused)["error"]["message"].is_string());
    }
    asked.value(0, "gate override --reason emergency --for 1m");
    asked.value(0, "doctor --verify");
    // What is asked of a release that has ended is refused; what is answered to one under way is asked elsewhere.
    for verb in ["promote", "pause", "resume", "abort"] {
        assert!(asked.value(2, &format!("release {verb}"))["error"]["message"].is_string());
    }
    assert!(asked.value(9, "release rollback")["error"]["message"].is_string());
    assert_eq!(asked.value(0, "down")["down"], "local");
    asked.value(0, "down --purge");
    assert_eq!(asked.left, BTreeSet::new());
}

#[test]
fn a_replay_answers_in_json() {
    let place = Place::with_app();
    place.write(
        "good.script",
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../rollout/testdata/first_release.script")).unwrap(),
    );
    let mut asked = Asked { place: &place, left: BTreeSet::new() };
    assert!(!asked.value(0, "replay good.script")["transcript"].as_array().unwrap().is_empty());
    assert_eq!(place.up(&["--quiet"]).code, 0);
    let record = place.say(&["release", "view", "--record"]);
    place.write("record.jsonl", &record.raw);
    let replay = asked.value(0, "replay record.jsonl");
    let mut piped = place.at_home("sh");
    piped.args(["-c", &format!("cat record.jsonl | {} replay - --json", env!("CARGO_BIN_EXE_plimsoll"))]);
    let piped = place.start(piped).wait();
    assert_eq!(serde_json::from_str::<Json>(&piped.raw).unwrap(), replay, "{piped:?}");
    assert_eq!(replay["release"]["number"], 1);
    assert!(replay["events"].as_array().unwrap().iter().all(|event| event["at"].is_string() && event["kind"].is_string()));
    let message =
        |asked: &mut Asked, name: &str| asked.value(2, &format!("replay {name}"))["error"]["message"].as_str().unwrap().to_string();
    let good = std::fs::read_to_string(place.project().join("good.script")).unwrap();
    place.write("broken.script", &format!("no such line\n{good}"));
    assert!(message(&mut asked, "broken.script").contains("no such line"));
    place.write("plan.yaml", "kind: Rollout\nspec:\n  replicas: 2\n");
    assert_eq!(message(&mut asked, "plan.yaml"), "`plan.yaml` is neither a release's record nor a rollout's script");
}

#[test]
fn every_command_that_is_misused_says_so_in_json() {
    let place = Place::with_app();
    for command in commands() {
        let mut words: Vec<&str> = command.split(' ').collect();
        words.extend(["--json", "--no-such-option"]);
        let said = place.say(&words);
        let answer: Json = serde_json::from_str(&said.raw).unwrap_or_else(|error| panic!("`{command}`: {error}\n{said:?}"));
        assert_eq!((said.code, &answer["error"]["kind"]), (2, &"usage".into()), "`{command}`: {answer}");
    }
    for (line, code, key) in [("--version", 0, "version"), ("--help", 0, "help"), ("nonsense", 2, "error"), ("up nowhere", 2, "error")] {
        let words: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let said = place.say(&words);
        let answer: Json = serde_json::from_str(&said.raw).unwrap_or_else(|error| panic!("`{line}`: {error}\n{said:?}"));
        assert!(said.code == code && !answer[key].is_null(), "`{line}`: {said:?}");
    }
}

#[test]
fn what_is_steered_answers_with_how_it_stands_then() {
    let place = Place::with_app();
    let gate = place.path("gate");
    let began = place.path("began");
    let step = format!("trap '' INT TERM; touch {}; until [ -e {} ]; do sleep 0.05; done", began.display(), gate.display());
    place.write(
        ".github/workflows/ci.yml",
        &format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {step:?}\n"),
    );
    place.commit("a step that waits");
    assert_eq!(place.up(&["--detach"]).code, 0);
    let mut asked = Asked { place: &place, left: BTreeSet::new() };
    until(DEADLINE, || began.exists()).unwrap();
    let aborted = asked.value(0, "release abort");
    assert!(
        aborted["waiting"].as_str().unwrap().contains("`a` was asked to end: a step gets 10 s, and what cleans up has until "),
        "{aborted}"
    );
    common::open_gate(&gate);
    asked.value(1, "release watch");
}
