//! The machine of a job alone: each `testdata/job/CASE.yml` holds workflow and actions, `CASE.txt` what the machine decides.
//!
//! Documents after the first are actions, their `name` is their directory. A script says how its process ends: `exit N`, `time
//! out`, `cancel` (the job is cancelled meanwhile), `output NAME=VALUE`, `env NAME=VALUE`, `path DIR`, `state NAME=VALUE`, `mask TEXT`,
//! `exit N until M` (so in the first M attempts), `remark LEVEL TEXT`, `summary TEXT`. What is in the background (its lines begin with
//! the number of its lane) ends when the job has nothing to do but wait, in the order of `late N`, else in that it began in.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base::{Digest, Source, Timestamp};
use serde_json::json;
use workflow::job::command::{Annotation, Level};
use workflow::job::contained::{JobContainer, Service};
use workflow::job::{
    Asked, Command, ContainerWork, Contexts, Ended, Event, Exit, FilePaths, Files, Job, JobFacts, JobSpec, Next, Node, On, Started,
    StepState,
};
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

    fn own(&self) -> Result<String, String> {
        Ok("/own".to_string())
    }

    fn paths(&self, lane: usize) -> FilePaths {
        FilePaths { env: format!("/env{lane}"), ..FilePaths::default() }
    }

    fn node(&self, using: &str, _path: &str) -> Result<Node, String> {
        let warning = (using == "node12").then(|| "there is no node 12 any more".to_string());
        if using == "node16" { Err("there is no node 16".to_string()) } else { Ok(Node { program: "node".to_string(), warning }) }
    }

    fn node_inside(&self, _: &str) -> Result<Node, String> {
        Ok(Node { program: "node of the image".to_string(), warning: None })
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
        // One of the workspace, unless its name says where it lies.
        let name = action.name.clone().unwrap();
        (if name.starts_with('/') { name } else { format!("/w/{name}") }, action)
    });
    let files = Given { actions: actions.collect(), asked: Cell::new(0) };
    let contexts = Contexts { github: json!({ "ref": "refs/heads/main", "ref_name": "main", "sha": "abc" }), ..Contexts::default() };
    let spec = JobSpec {
        workflow_env: workflow.env.clone(),
        workflow_defaults: workflow.defaults.clone(),
        actions: BTreeMap::from([("acme/tool@v1".to_string(), Pinned { commit: "0".repeat(40), tree: Digest::of(b"") })]),
        ..JobSpec::new("job", workflow.jobs[0].clone(), contexts, 3_600_000)
    };
    let facts = JobFacts {
        workspace: "/w".to_string(),
        temp: "/t".to_string(),
        tool_cache: "/tools".to_string(),
        secrets: BTreeMap::from([("S".to_string(), "secret-value".to_string())]),
        env: BTreeMap::from([("PATH".to_string(), "/bin".to_string())]),
        ..JobFacts::default()
    };
    drive(Job::new(spec, facts), &files)
}

/// What was started and has not ended yet.
struct UnderWay {
    lane: usize,
    after: u32,
    ended: Ended,
}

/// Time goes on by a second with every question, and to where a wait ends.
fn drive(mut job: Job, files: &Given) -> String {
    let mut out = String::new();
    let mut now = Timestamp::from_ms(0);
    let mut under_way: Vec<UnderWay> = Vec::new();
    loop {
        now = now.plus_ms(1_000);
        let advance = job.advance(files, now);
        assert_eq!(job.advance(files, now), advance, "asking changes nothing");
        if let Some(event) = &advance.event {
            job.apply(event);
            if let Event::Waiting { says, .. } | Event::Waited { says, .. } | Event::Retrying { says, .. } = event {
                says.lines().for_each(|line| out.push_str(&format!("  {line}\n")));
            }
        }
        match advance.next {
            Next::Again => {}
            Next::Run(command) => {
                let (after, ended) = run(&command, &mut job, files, now, &mut out);
                match command.lane {
                    0 => job.apply(&Event::Ended { at: now, lane: 0, ended }),
                    lane => under_way.push(UnderWay { lane, after, ended }),
                }
            }
            Next::Action(call) => {
                let _ = writeln!(out, "{} {}@{} {:?} {:?}", call.step, call.builtin.name(), call.reference, call.stage, call.inputs);
                call.warnings.iter().for_each(|warning| out.push_str(&format!("  warning: {warning}\n")));
                job.apply(&Event::Ended { at: now, lane: call.lane, ended: Ended::with(Exit::Code(0)) });
            }
            Next::Containers(call) => {
                if let ContainerWork::Start(asked) = &call.work {
                    let _ = writeln!(out, "{} starts {:?} and {:?} in {}", call.step, asked.job, asked.services, asked.directory);
                    job.apply(&Event::Contained { started: started(asked) });
                } else {
                    let _ = writeln!(out, "{} stops them", call.step);
                }
                job.apply(&Event::Ended { at: now, lane: 0, ended: Ended::with(Exit::Code(0)) });
            }
            Next::Interrupt(lanes) => {
                for under_way in under_way.iter_mut().filter(|under_way| lanes.contains(&under_way.lane)) {
                    under_way.ended.exit = Exit::Cancelled;
                }
            }
            Next::Wait { until } => {
                under_way.sort_by_key(|under_way| under_way.after);
                if under_way.is_empty() {
                    now = until.expect("a job that waits waits for something");
                } else {
                    let UnderWay { lane, ended, .. } = under_way.remove(0);
                    let _ = writeln!(out, "{lane}| ended");
                    job.apply(&Event::Ended { at: now, lane, ended });
                }
            }
            Next::Finish { outcome, warnings } => {
                for step in job.steps() {
                    let StepState::Finished { outcome, conclusion } = step.state else { panic!("{step:?}") };
                    let reason = step.reason.as_deref().unwrap_or_default();
                    let attempts = if step.attempts > 1 { format!(" after {} attempts", step.attempts) } else { String::new() };
                    let _ = writeln!(out, "[{} {}: {} {}{attempts} {reason}]", step.number, step.name, outcome.word(), conclusion.word());
                    for remark in &step.annotations {
                        let _ = writeln!(out, "  {}: {}", remark.level.word(), remark.message);
                    }
                    step.summary.iter().for_each(|summary| out.push_str(&format!("  summary: {summary:?}\n")));
                }
                let _ = writeln!(out, "{} {:?} {:?} {warnings:?}", outcome.conclusion.word(), outcome.reason, outcome.outputs);
                let (notices, remarks): (Vec<_>, Vec<_>) = outcome.annotations.iter().partition(|remark| remark.level == Level::Notice);
                notices.iter().for_each(|notice| out.push_str(&format!("{}\n", notice.message)));
                assert_eq!(remarks.len(), warnings.len());
                return out;
            }
        }
    }
}

fn started(asked: &Asked) -> Started {
    let job = asked.job.as_ref().map(|_| JobContainer { id: "c0".to_string(), path: "/image/bin".to_string() });
    let ports = || BTreeMap::from([("80".to_string(), "40080".to_string())]);
    let services = asked.services.iter().map(|(name, _)| Service { name: name.clone(), id: format!("{name}0"), ports: ports() });
    Started { network: "net".to_string(), job, services: services.collect(), serves: false }
}

fn run(command: &Command, job: &mut Job, files: &Given, now: Timestamp, out: &mut String) -> (u32, Ended) {
    let own = |(name, _): &(&String, &String)| name.starts_with(['X', 'I']) || name.starts_with("STATE_") || *name == "PATH";
    let env: Vec<String> = command.env.iter().filter(own).map(|(name, value)| format!("{name}={value}")).collect();
    let limit = command.timeout_ms.map(|ms| format!(" within {ms} ms")).unwrap_or_default();
    let text = command.script.as_ref().map_or("", |script| script.text.as_str());
    let words = format!("{} {}", command.programs.join("|"), command.arguments.join(" "));
    let lane = if command.lane == 0 { String::new() } else { format!("{}| ", command.lane) };
    let (step, directory) = (command.step, &command.directory);
    let on = match &command.on {
        On::Machine => String::new(),
        On::JobContainer => "in the job's container ".to_string(),
        On::Image(run) => format!("in {:?} {:?} {:?} ", run.image, run.entrypoint, run.arguments),
    };
    let _ = writeln!(out, "{lane}{step} {on}{words} in {directory}{limit} with {}: {}", env.join(" "), text.replace('\n', "; "));
    command.warnings.iter().for_each(|warning| out.push_str(&format!("  warning: {warning}\n")));
    let mut ended = Ended::with(Exit::Code(0));
    let mut after = 1;
    // Of an action the file's name says what it does.
    let file = command.arguments.last().filter(|_| command.script.is_none()).and_then(|file| file.rsplit('/').next());
    for line in file.into_iter().chain(text.lines()) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let pair = || rest.split_once('=').map(|(name, value)| (name.to_string(), value.to_string())).unwrap();
        match verb {
            "exit" => {
                let (code, until) = rest.split_once(" until ").unwrap_or((rest, "99"));
                let attempt = job.steps()[command.step as usize].attempts;
                if attempt <= until.parse().unwrap() {
                    ended.exit = Exit::Code(code.parse().unwrap());
                }
            }
            "time" => ended.exit = Exit::TimedOut { after_ms: command.timeout_ms.unwrap() },
            "output" => ended.wrote.outputs.push(pair()),
            "env" => ended.wrote.env.push(pair()),
            "state" => ended.wrote.state.push(pair()),
            "path" => ended.wrote.paths.push(rest.to_string()),
            "mask" => ended.masks.push(rest.to_string()),
            "summary" => ended.summary.push_str(rest),
            "remark" => ended.annotations.push(Annotation::of_job(if rest.starts_with('e') { Level::Error } else { Level::Notice }, rest)),
            "late" => after = rest.parse().unwrap(),
            "cancel" => {
                job.apply(&Event::Cancelled { at: now, reason: Some("somebody cancelled".to_string()) });
                let wanted = job.still_wanted(command.lane, files);
                let _ = writeln!(out, "  cancelled: the step {}", if wanted { "runs on" } else { "is interrupted" });
                if !wanted {
                    ended.exit = Exit::Cancelled;
                }
            }
            _ => {}
        }
    }
    (after, ended)
}
