//! Events against `on:`: `testdata/trigger/*.txt`, outcome after `=>`; `UPDATE_EXPECT=1` rewrites it.
//!
//! `on: {…}` begins a case. An event line is `name ref {payload} changed,paths`, the last two optional.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use workflow::model::{Trigger, Workflow};
use workflow::trigger::{Event, Triggered, dispatch_inputs, dispatch_inputs_as_text, matches};

#[test]
fn every_trigger() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/trigger");
    let mut cases: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let transcript = transcript(&text);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&case, &transcript).unwrap();
            continue;
        }
        assert_eq!(transcript, text, "{}", case.display());
    }
}

fn transcript(text: &str) -> String {
    let mut workflow = workflow(&json!({}));
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(on) = line.strip_prefix("on: ") {
            workflow = self::workflow(&serde_json::from_str(on).expect(on));
        }
        if line.is_empty() || line.starts_with('#') || line.starts_with("on: ") {
            lines.push(line.to_string());
            continue;
        }
        let question = line.split(" => ").next().unwrap();
        let answer = match matches(&workflow, &event(question)) {
            Triggered::Yes => "yes".to_string(),
            Triggered::No { reason } => format!("no: {reason}"),
        };
        lines.push(format!("{question} => {answer}"));
    }
    lines.join("\n") + "\n"
}

fn event(line: &str) -> Event {
    let (name, rest) = line.split_once(' ').expect(line);
    let (git_ref, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (payload, paths) = match rest.rsplit_once('}') {
        Some((payload, paths)) => (serde_json::from_str(&format!("{payload}}}")).expect(line), paths.trim()),
        None => (Json::Null, rest.trim()),
    };
    let changed_paths = match paths {
        "" => None,
        "none" => Some(Vec::new()),
        paths => Some(paths.split(',').map(String::from).collect()),
    };
    Event { name: name.into(), payload, git_ref: git_ref.into(), sha: "abc".into(), changed_paths }
}

fn workflow(on: &Json) -> Workflow {
    let trigger = |(event, config): (&String, &Json)| Trigger {
        event: event.clone(),
        config: config.as_object().cloned().unwrap_or_default(),
        span: base::Span::default(),
    };
    let on = on.as_object().unwrap().iter().map(trigger).collect();
    Workflow { on, ..Workflow::new(".github/workflows/ci.yml") }
}

#[test]
fn inputs_are_typed_and_every_mistake_is_named() {
    let workflow = workflow(&json!({"workflow_dispatch": {"inputs": {
        "level": {"type": "choice", "options": ["info", "debug"], "required": true},
        "dry": {"type": "boolean"},
        "count": {"type": "number", "default": 3},
        "note": {"default": "none"},
        "where": {"type": "environment"},
    }}}));
    let ask = |given: Json| dispatch_inputs(&workflow, &given.as_object().cloned().unwrap_or_else(Map::new));
    let inputs = ask(json!({"LEVEL": "debug", "dry": "true", "count": "4.5"})).unwrap();
    assert_eq!(inputs, json!({"level": "debug", "dry": true, "count": 4.5, "note": "none", "where": ""}));
    assert_eq!(dispatch_inputs_as_text(&inputs), json!({"level": "debug", "dry": "true", "count": "4.5", "note": "none", "where": ""}));
    assert_eq!(ask(json!({"level": "info"})).unwrap()["count"], json!(3));
    assert_eq!(
        ask(json!({"levle": "x", "dry": "yes", "count": "many"})).unwrap_err(),
        [
            "`.github/workflows/ci.yml` has no input `levle`; did you mean `level`?",
            "the input `level` is required: `--input level=VALUE` gives it",
            "the input `dry` is `true` or `false`, not `yes`",
            "the input `count` is a number, not `many`",
        ]
    );
    assert_eq!(ask(json!({"level": "loud"})).unwrap_err(), ["the input `level` is one of `info`, `debug`, not `loud`"]);
}
