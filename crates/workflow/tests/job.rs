//! The machine of a job alone: each `testdata/job/CASE.yml` holds workflow and actions, `CASE.txt` what the machine decides.
//!
//! Documents after the first are actions, their `name` is their directory. A script says how its process ends: `exit N`, `time
//! out`, `cancel` (the job is cancelled meanwhile), `output NAME=VALUE`, `env NAME=VALUE`, `path DIR`, `state NAME=VALUE`, `mask TEXT`.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base::{Source, Timestamp};
use serde_json::json;
use workflow::job::{Command, Contexts, Ended, Event, Exit, FilePaths, Files, Job, JobFacts, JobSpec, Next, StepState, Wrote};
use workflow::model::{Action, Pinned};

struct Given {
    actions: BTreeMap<String, Action>,
    asked: Cell<usize>,
}

impl Files for Given {
    fn hash(&self, patterns: &[String], follow_links: bool) -> Result<String, String> {
        Ok(format!("hash of {}{}", patterns.join(" and "), if follow_links { " through links" } else { "" }))
    }

    fn action(&self, directory: &str) -> Result<Action, String> {
        self.asked.set(self.asked.get() + 1);
        self.actions.get(directory).cloned().ok_or_else(|| format!("there is no action in `{directory}`"))
    }

    fn fetched(&self, key: &str, _: &Pinned) -> Result<String, String> {
        Ok(format!("/fetched/{key}"))
    }

    fn paths(&self) -> FilePaths {
        FilePaths { env: "/env".to_string(), ..FilePaths::default() }
    }
}

#[test]
fn jobs_and_what_the_machine_decides() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/job");
    let mut names: Vec<_> = fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    names.sort();
    assert!(names.len() >= 5);
    let mut wrong = String::new();
    for case in names {
        let seen = transcript(&fs::read_to_string(&case).unwrap());
        let file = case.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &seen).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if seen != expected {
            let _ = writeln!(wrong, "{}\n--- expected\n{expected}\n--- seen\n{seen}", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}\nUPDATE_EXPECT=1 writes what is seen as what is expected");
}

fn transcript(text: &str) -> String {
    let mut documents = text.split("\n---\n");
    let source = Source::new("workflow.yml", documents.next().unwrap());
    let (workflow, diagnostics) = workflow::github::parse(&source);
    let workflow = workflow.unwrap_or_else(|| panic!("{}", base::diagnostic::render(&source, &diagnostics, false)));
    let actions = documents.map(|text| {
        let source = Source::new("action.yml", text);
        let (action, diagnostics) = workflow::github::parse_action(&source);
        let action = action.unwrap_or_else(|| panic!("{}", base::diagnostic::render(&source, &diagnostics, false)));
        (format!("/w/{}", action.name.clone().unwrap()), action)
    });
    let files = Given { actions: actions.collect(), asked: Cell::new(0) };
    let contexts = Contexts { github: json!({ "ref": "refs/heads/main", "sha": "abc" }), ..Contexts::default() };
    let spec = JobSpec {
        name: "job".to_string(),
        job: workflow.jobs[0].clone(),
        workflow_env: workflow.env.clone(),
        workflow_defaults: workflow.defaults.clone(),
        contexts,
        timeout_ms: 3_600_000,
        actions: BTreeMap::new(),
    };
    let facts = JobFacts {
        workspace: "/w".to_string(),
        secrets: BTreeMap::from([("S".to_string(), "secret-value".to_string())]),
        env: BTreeMap::from([("PATH".to_string(), "/bin".to_string())]),
        ..JobFacts::default()
    };
    drive(Job::new(spec, facts), &files)
}

/// Time goes on by a second with every question.
fn drive(mut job: Job, files: &Given) -> String {
    let mut out = String::new();
    let mut now = Timestamp::from_ms(0);
    loop {
        now = now.plus_ms(1_000);
        let advance = job.advance(files, now);
        assert_eq!(job.advance(files, now), advance, "asking changes nothing");
        if let Some(event) = &advance.event {
            job.apply(event);
        }
        match advance.next {
            Next::Again => {}
            Next::Run(command) => {
                let ended = run(&command, &mut job, files, now, &mut out);
                job.apply(&Event::Ended { at: now, ended });
            }
            Next::Action(call) => {
                let _ = writeln!(out, "{} {}@{} {:?} {:?}", call.step, call.builtin.name(), call.reference, call.stage, call.inputs);
                let ended = Ended { exit: Exit::Code(0), wrote: Wrote::default(), masks: Vec::new(), refused: None };
                job.apply(&Event::Ended { at: now, ended });
            }
            Next::Finish { outcome, warnings } => {
                for step in job.steps() {
                    let StepState::Finished { outcome, conclusion } = step.state else { panic!("{step:?}") };
                    let reason = step.reason.as_deref().unwrap_or_default();
                    let _ = writeln!(out, "[{} {}: {} {} {reason}]", step.number, step.name, outcome.word(), conclusion.word());
                }
                let _ = writeln!(out, "{} {:?} {:?} {warnings:?}", outcome.conclusion.word(), outcome.reason, outcome.outputs);
                return out;
            }
        }
    }
}

fn run(command: &Command, job: &mut Job, files: &Given, now: Timestamp, out: &mut String) -> Ended {
    let own = |(name, _): &(&String, &String)| name.starts_with(['X', 'I']) || name.starts_with("STATE_") || *name == "PATH";
    let env: Vec<String> = command.env.iter().filter(own).map(|(name, value)| format!("{name}={value}")).collect();
    let limit = command.timeout_ms.map(|ms| format!(" within {ms} ms")).unwrap_or_default();
    let text = command.script.as_ref().map_or("", |script| script.text.as_str());
    let words = format!("{} {}", command.programs.join("|"), command.arguments.join(" "));
    let _ = writeln!(out, "{} {words} in {}{limit} with {}: {}", command.step, command.directory, env.join(" "), text.replace('\n', "; "));
    let mut ended = Ended { exit: Exit::Code(0), wrote: Wrote::default(), masks: Vec::new(), refused: None };
    for line in text.lines() {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let pair = || rest.split_once('=').map(|(name, value)| (name.to_string(), value.to_string())).unwrap();
        match verb {
            "exit" => ended.exit = Exit::Code(rest.parse().unwrap()),
            "time" => ended.exit = Exit::TimedOut { after_ms: command.timeout_ms.unwrap() },
            "output" => ended.wrote.outputs.push(pair()),
            "env" => ended.wrote.env.push(pair()),
            "state" => ended.wrote.state.push(pair()),
            "path" => ended.wrote.paths.push(rest.to_string()),
            "mask" => ended.masks.push(rest.to_string()),
            "cancel" => {
                job.apply(&Event::Cancelled { at: now, reason: Some("somebody cancelled".to_string()) });
                let wanted = job.still_wanted(files);
                let _ = writeln!(out, "  cancelled: the step {}", if wanted { "runs on" } else { "is interrupted" });
                if !wanted {
                    ended.exit = Exit::Cancelled;
                }
            }
            _ => {}
        }
    }
    ended
}
