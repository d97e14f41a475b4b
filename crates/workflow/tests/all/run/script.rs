//! A workflow and what is seen of its jobs, as text; what the run makes of it, as text.
//!
//! ```text
//! #! production.reviewers=bo,ops:cy+dee production.self=no production.timer=30m production.branches=main,release/* production.tags=v*
//! #! rights (what the jobs' tokens may do) stranger (who causes the run)
//! #! max-parallel=2 only=deploy deliver here=staging event=push ref=refs/heads/main var.NAME=value input.NAME=value
//! on: push …                       the workflow
//! ---- ./.github/workflows/x.yml   one that it calls
//! on: workflow_call …
//! ====
//! > 5s build running 0=running     so long after the last line; jobs by key, separated by `;`
//! > 1s build finished failure version=1.2 ; test lost "its machine is gone"
//! > 1s cancel ada ; force ada
//! > 1s hours closed ; hours open
//! > 1s turn run waits ; turn deploy runs ; turn test superseded   in line with other runs, from here on
//! > 1s approve bo ; reject cy production "not before the sale"
//! ```
//! A job is `absent`, `unknown`, `running`, `finished` (success unless said otherwise) or `lost`, and stays so.

use std::collections::BTreeMap;

use base::name::RunId;
use base::{People, Source, Timestamp};
use serde_json::{Map, Value as Json, json};
use workflow::concurrency::{Blocked, Standing, Turn};
use workflow::environment::{Environments, Reviewer};
use workflow::job::{Conclusion, JobId, JobOutcome, JobSeen, SecretScope, StepSeen, StepState};
use workflow::model::{Template, Work};
use workflow::plan::{LeftOut, Plan, PlanError, Repository, Request};
use workflow::run::{Action, Advance, Closed, Command, Event, Observed, Run};
use workflow::runners::{Rule, Runner, Runners};

pub struct Script {
    pub plan: Result<(Plan, Vec<LeftOut>), PlanError>,
    lines: Vec<String>,
    head: String,
    rights: bool,
}

impl Script {
    pub fn read(text: &str) -> Script {
        let (head, lines) = text.split_once("====\n").expect("a workflow, `====`, lines");
        let lines = lines.lines().filter(|line| line.starts_with("> ")).map(|line| line[2..].to_string()).collect();
        let rights = head.lines().any(|line| line.starts_with("#!") && line.contains(" rights"));
        Script { plan: plan(head), lines, head: head.to_string(), rights }
    }
}

/// The script with everything between its lines written anew.
pub fn transcript(text: &str) -> String {
    let script = Script::read(text);
    let mut out = format!("{}====\n", script.head);
    match &script.plan {
        Err(error) => out.push_str(&format!("refused: {error}\n")),
        Ok((plan, left_out)) => {
            out.extend(plan.title.iter().map(|title| format!("title: {title}\n")));
            out.extend(left_out.iter().map(|left_out| format!("left out: {}: {}\n", left_out.job, left_out.reason)));
            let mut stage = Stage::new(&script);
            for line in &script.lines {
                out.push_str(&format!("> {line}\n{}", stage.tick(line)));
            }
            if stage.run.conclusion().is_some() {
                out.push_str(&stage.summary());
            }
        }
    }
    out
}

pub struct Stage {
    pub run: Run,
    pub seen: Observed,
    pub now: Timestamp,
    pub events: Vec<Event>,
    /// Whether it is told what the jobs' tokens may do.
    rights: bool,
}

impl Stage {
    pub fn new(script: &Script) -> Stage {
        let (plan, _) = script.plan.clone().unwrap();
        let now = "2026-11-21T00:00:00Z".parse().unwrap();
        Stage { run: Run::new(plan), seen: Observed::default(), now, events: Vec::new(), rights: script.rights }
    }

    pub fn tick(&mut self, line: &str) -> String {
        let (wait, seen) = line.split_once(' ').unwrap_or((line, ""));
        self.now = self.now.plus_ms(base::time::parse_duration_ms(wait).expect(line));
        let mut out = String::new();
        for part in seen.split(" ; ").map(str::trim).filter(|part| !part.is_empty()) {
            let (key, what) = part.split_once(' ').expect(part);
            if matches!(key, "cancel" | "force") {
                let command = Command::Cancel { force: key == "force" };
                match self.run.command(command, what, self.now) {
                    Ok(events) => self.record(&events, &mut out),
                    Err(refusal) => out.push_str(&format!("  refused: {refusal}\n")),
                }
            } else if key == "hours" {
                let closed =
                    || Closed { why: "environment `local` is frozen (the sale)".to_string(), until: Some(self.now.plus_ms(3_600_000)) };
                self.seen.closed = (what == "closed").then(closed);
            } else if key == "turn" {
                let (who, how) = what.split_once(' ').expect(what);
                let run = self.run.plan().run;
                let seat = if who == "run" { run.to_string() } else { format!("{run}/{who}") };
                self.seen.turns.get_or_insert_default().insert(seat, standing(how));
            } else if matches!(key, "approve" | "reject") {
                let said = words(what);
                let [environment, comment] = [1, 2].map(|at| said.get(at).map(String::as_str));
                let comment = comment.unwrap_or_default();
                match self.run.review(environment.filter(|name| *name != "-"), key == "approve", comment, &said[0], self.now) {
                    Ok(events) => self.record(&events, &mut out),
                    Err(refusal) => out.push_str(&format!("  refused: {refusal}\n")),
                }
            } else {
                // `test#2` is the second attempt.
                let (key, attempt) = key.split_once('#').map_or((key, 1), |(key, attempt)| (key, attempt.parse().unwrap()));
                let id = JobId { run: self.run.plan().run, key: key.to_string(), attempt };
                self.seen.jobs.insert(id, job_seen(what, self.now));
            }
        }
        let Advance { events, actions, waiting, wake } = self.run.advance(&self.seen, self.now);
        self.record(&events, &mut out);
        out.extend(actions.iter().map(|action| action_line(action, self.rights)));
        out.extend(waiting.map(|waiting| format!("  … {}\n", waiting.sentence())));
        out.extend(wake.map(|wake| format!("  wake in {}\n", base::time::format_duration_ms(wake.since_ms(self.now)))));
        // What lives on and what is read back from the record are the same.
        assert_eq!(self.run, Run::replay(self.run.plan().clone(), &stored(&self.events)), "replay after `{line}`");
        out
    }

    fn record(&mut self, events: &[Event], out: &mut String) {
        for event in events {
            self.run.apply(event);
            out.push_str(&event_line(event));
        }
        self.events.extend_from_slice(events);
    }

    fn summary(&self) -> String {
        let status = self.run.status();
        let mut out = format!("= {} ({}): {}\n", status.name, status.event, status.conclusion.map_or("none", Conclusion::word));
        for job in status.jobs {
            let reason = job.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            out.push_str(&format!("  {} {:?}{reason}\n", job.name, job.state));
            for leg in job.legs {
                let reason = leg.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let allowed = if leg.allowed_failure { " (allowed)" } else { "" };
                let attempts = if leg.attempts.is_empty() { String::new() } else { format!(" after {} attempts", leg.attempts.len()) };
                out.push_str(&format!("    {} {:?}{allowed}{attempts}, {} steps{reason}\n", leg.name, leg.state, leg.steps.len()));
            }
        }
        out
    }
}

/// Through JSON and back, as the record keeps them.
fn stored(events: &[Event]) -> Vec<Event> {
    serde_json::from_str(&serde_json::to_string(events).unwrap()).unwrap()
}

fn event_line(event: &Event) -> String {
    let mut json = serde_json::to_value(event).unwrap();
    let json = json.as_object_mut().unwrap();
    json.shift_remove("at");
    let kind = json.shift_remove("event").unwrap();
    let words = match event {
        Event::JobPlanned { key, fail_fast, max_parallel, legs, .. } => {
            let legs: Vec<String> = legs.iter().map(|leg| format!("{}={}{}", leg.key, leg.name, leg_notes(leg))).collect();
            let limit = max_parallel.map(|limit| format!(" max-parallel={limit}")).unwrap_or_default();
            format!("{key}{}{limit}: {}", if *fail_fast { "" } else { " no fail-fast" }, legs.join(" | "))
        }
        Event::JobHeld { key, environment, .. } => format!("{key} by {environment}"),
        Event::EnvironmentReviewed { review } => {
            let word = if review.agrees { "yes" } else { "no" };
            format!("{} {word} by {}: {}", review.environment, review.by, review.jobs.join(", "))
        }
        Event::JobCleared { key, .. } => key.clone(),
        Event::JobRefused { key, conclusion, reason, .. } => format!("{key} {}: {reason}", conclusion.word()),
        Event::JobStarted { id, .. } | Event::JobAccepted { id, .. } if id.attempt > 1 => format!("{}#{}", id.key, id.attempt),
        Event::JobStarted { id, .. } | Event::JobAccepted { id, .. } => id.key.clone(),
        Event::CallStarted { key, .. } => key.clone(),
        Event::CallFinished { key, conclusion, outputs, reason, .. } => {
            let outputs: String = outputs.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{key} {}{outputs}{}", conclusion.word(), reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())
        }
        Event::JobSuperseded { key, by, group, .. } => format!("{key} by `{by}` in `{group}`"),
        Event::JobRetried { key, attempt, not_before, at } => {
            format!("{key}#{attempt} in {}", base::time::format_duration_ms(not_before.since_ms(*at)))
        }
        Event::StepStarted { id, step, .. } | Event::StepFinished { id, step, .. } => {
            let how = match step.state {
                StepState::Running => String::new(),
                StepState::Finished { conclusion, .. } => format!(": {}", conclusion.word()),
            };
            format!("{} {} `{}`{how}", id.key, step.number, step.name)
        }
        Event::JobTimedOut { id, budget_ms, .. } => format!("{} budget {}", id.key, base::time::format_duration_ms(*budget_ms)),
        Event::JobFinished { id, outcome, allowed_failure, .. } => {
            let reason = outcome.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} {}{}{reason}", id.key, outcome.conclusion.word(), if *allowed_failure { " (allowed)" } else { "" })
        }
        Event::JobLost { id, reason, .. } => format!("{}: {reason}", id.key),
        Event::JobSkipped { key, reason, .. } | Event::JobRejected { key, reason, .. } => format!("{key}: {reason}"),
        Event::JobCancelled { key, name, reason, .. } => format!("{key} ({name}): {reason}"),
        Event::CancelRequested { by, force, .. } => format!("by {by}{}", if *force { ", by force" } else { "" }),
        Event::RunFinished { conclusion, .. } => conclusion.word().to_string(),
        Event::RunStarted { .. } => String::new(),
    };
    format!("  {} {words}\n", kind.as_str().unwrap()).replace(" \n", "\n")
}

fn leg_notes(leg: &workflow::run::Leg) -> String {
    let mut notes = String::new();
    if leg.allow_failure {
        notes.push_str(" may-fail");
    }
    if let Some(call) = &leg.call {
        notes.push_str(&format!(" calls {} with {}", call.workflow, call.inputs));
    }
    if let Runner::Image(image) = &leg.runner {
        notes.push_str(&format!(" in {image}"));
    }
    if let Some(environment) = &leg.environment {
        notes.push_str(&format!(" to {environment}"));
    }
    for group in &leg.groups {
        notes.push_str(&format!(" in `{}`", group.name));
    }
    if leg.timeout_ms != 360 * 60_000 {
        notes.push_str(&format!(" {}", base::time::format_duration_ms(leg.timeout_ms)));
    }
    notes
}

/// Of a spec, what differs from job to job.
fn action_line(action: &Action, rights: bool) -> String {
    match action {
        Action::Start { id, spec } => {
            let contexts = &spec.contexts;
            assert_eq!(contexts.github["job"], json!(spec.job.id));
            let attempt = if id.attempt > 1 { format!("#{}", id.attempt) } else { String::new() };
            let mut line = format!("  ! start {}{attempt}", id.key);
            if let Work::Steps { container: Some(Template::String(image)), .. } = &spec.job.work {
                line.push_str(&format!(" in {image}"));
            }
            if contexts.inputs != json!({}) {
                line.push_str(&format!(" inputs={}", contexts.inputs));
            }
            if let Some(permissions) = spec.permissions.as_ref().filter(|_| !rights) {
                line.push_str(&format!(" permissions={}", json!(permissions)));
            }
            if rights {
                let rights = workflow::token::rights(spec.permissions.as_ref(), &contexts.github);
                let rights: Vec<String> = rights.iter().map(|(scope, level)| format!("{scope}:{}", level.word())).collect();
                line.push_str(&format!(" rights=[{}]", rights.join(" ")));
            }
            if !spec.secrets.is_all() {
                line.push_str(&format!(" secrets={}", secrets_shown(&spec.secrets)));
            }
            if contexts.needs != json!({}) {
                line.push_str(&format!(" needs={}", contexts.needs));
            }
            if !contexts.matrix.is_null() {
                line.push_str(&format!(" matrix={} strategy={}", contexts.matrix, contexts.strategy));
            }
            line + "\n"
        }
        Action::Stop { id, at_once } => format!("  ! stop {}{}\n", id.key, if *at_once { " at once" } else { "" }),
    }
}

/// Beside run-41 in the group `g`.
fn standing(word: &str) -> Standing {
    let (by, group) = ("run-41".to_string(), "g".to_string());
    match word {
        "runs" => Standing::Runs,
        "waits" => Standing::Waits(Blocked { group, by, others: 0 }),
        "superseded" => Standing::Gone(Turn::Superseded { by, group }),
        "displaced" => Standing::Gone(Turn::Displaced { by, group }),
        "refused" => Standing::Gone(Turn::Refused { group }),
        other => panic!("{other}"),
    }
}

fn secrets_shown(secrets: &SecretScope) -> String {
    match secrets {
        SecretScope::All => "all".to_string(),
        SecretScope::None => "none".to_string(),
        SecretScope::Given { template: Template::Mapping(given), from, .. } => {
            let names: Vec<String> = given.iter().map(|(name, _)| format!("{name:?}")).collect();
            format!("[{}] of {}", names.join(", "), secrets_shown(from))
        }
        SecretScope::Given { .. } => "an expression".to_string(),
    }
}

fn job_seen(text: &str, now: Timestamp) -> JobSeen {
    let words = words(text);
    let (state, words) = words.split_first().expect(text);
    let mut steps = Vec::new();
    let mut outputs = BTreeMap::new();
    let mut reason = None;
    let mut conclusion = Conclusion::Success;
    for word in words {
        match word.split_once('=') {
            Some((number, state)) if number.parse::<u32>().is_ok() => steps.push(step(number.parse().unwrap(), state)),
            Some((name, value)) => drop(outputs.insert(name.to_string(), value.to_string())),
            None => match conclusion_of(word) {
                Some(word) => conclusion = word,
                None => reason = Some(word.clone()),
            },
        }
    }
    match state.as_str() {
        "absent" => JobSeen::Absent,
        "unknown" => JobSeen::Unknown,
        "running" => JobSeen::Running { steps },
        "lost" => JobSeen::Lost { steps, reason: reason.unwrap_or_else(|| "its supervisor is gone".into()) },
        "finished" => JobSeen::Finished {
            outcome: JobOutcome { conclusion, outputs, reason, started: now, finished: now, annotations: Vec::new() },
            steps,
        },
        other => panic!("{other} in {text}"),
    }
}

fn step(number: u32, state: &str) -> StepSeen {
    let state = match conclusion_of(state) {
        Some(conclusion) => StepState::Finished { outcome: conclusion, conclusion },
        None => StepState::Running,
    };
    StepSeen { state, ..StepSeen::new(number, format!("step {number}")) }
}

fn conclusion_of(word: &str) -> Option<Conclusion> {
    use Conclusion::{Cancelled, Failure, Skipped, Success};
    [Success, Failure, Cancelled, Skipped].into_iter().find(|conclusion| conclusion.word() == word)
}

/// Separated by blanks; `"…"` is one.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for char in text.chars() {
        match char {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            char => words.last_mut().unwrap().push(char),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn plan(head: &str) -> Result<(Plan, Vec<LeftOut>), PlanError> {
    let mut options: BTreeMap<&str, &str> = BTreeMap::new();
    for word in head.lines().filter_map(|line| line.strip_prefix("#!")).flat_map(str::split_whitespace) {
        let (name, value) = word.split_once('=').unwrap_or((word, "yes"));
        options.insert(name, value);
    }
    let mut files = head.split("\n---- ");
    let source = Source::new(".github/workflows/ci.yml", files.next().unwrap());
    let called: BTreeMap<&str, &str> = files.map(|file| file.split_once('\n').unwrap()).collect();
    let read = |name: &str| called.get(name).map(ToString::to_string).ok_or_else(|| format!("there is no `{name}`"));
    let options_of = workflow::github::Options { runners: runners(&options), ..Default::default() };
    let loaded = workflow::github::load_with(&source, &read, &options_of);
    let said = || loaded.files.iter().map(|file| base::diagnostic::render(&file.source, &file.diagnostics, false)).collect::<String>();
    let workflow = loaded.workflow.clone().unwrap_or_else(|| panic!("{}\n{head}", said()));
    let named = |prefix: &str| options.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, *value))).collect::<Vec<_>>();
    Plan::new(Request {
        run: RunId::new(Timestamp::from_ms(0), 7),
        number: 42,
        workflow,
        event: workflow::trigger::Event {
            name: options.get("event").copied().unwrap_or("push").to_string(),
            payload: match options.contains_key("stranger") {
                true => json!({"number": 7, "pull_request": {"head": {"repo": {"full_name": "eve/shop"}}}}),
                false => json!({"head_commit": {"message": "a change"}}),
            },
            git_ref: options.get("ref").copied().unwrap_or("refs/heads/main").to_string(),
            sha: "0123456789abcdef0123456789abcdef01234567".to_string(),
            changed_paths: None,
        },
        repository: Repository { name: "acme/shop".into(), server_url: "https://github.com".into() },
        actor: "ada".into(),
        inputs: named("input.").into_iter().map(|(name, value)| (name.to_string(), Json::from(value))).collect::<Map<_, _>>(),
        vars: named("var.").into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        only_job: options.get("only").map(ToString::to_string),
        max_parallel: options.get("max-parallel").map_or(0, |limit| limit.parse().unwrap()),
        deliver_by_workflow: options.contains_key("deliver"),
        environments: environments(&options),
    })
}

/// `runner.LABEL=host`, `=skip` or `=docker://IMAGE`.
fn runners(options: &BTreeMap<&str, &str>) -> Runners {
    let mut runners = Runners::default();
    for (label, rule) in options.iter().filter_map(|(name, rule)| Some((name.strip_prefix("runner.")?, *rule))) {
        let rule = match rule.strip_prefix("docker://") {
            Some(image) => Rule::Image(image.to_string()),
            None if rule == "skip" => Rule::Skip,
            None => Rule::Host,
        };
        runners.add(label, rule);
    }
    runners
}

/// Of every environment that an option names before a dot.
fn environments(options: &BTreeMap<&str, &str>) -> Environments {
    let mut environments = Environments {
        people: People([("ada".to_string(), ["ada@example.org".to_string()].into())].into()),
        only: options.get("here").map(|names| names.split(',').filter(|name| *name != "-").map(str::to_string).collect()),
        ..Environments::default()
    };
    for (name, value) in options {
        let Some((environment, rule)) = name.split_once('.').filter(|(first, _)| !matches!(*first, "var" | "input" | "runner")) else {
            continue;
        };
        let protection = environments.protections.entry(environment.to_string()).or_default();
        let listed = || value.split(',').filter(|it| !it.is_empty()).map(str::to_string).collect();
        match rule {
            "reviewers" => protection.reviewers = value.split(',').map(reviewer).collect(),
            "self" => protection.prevent_self_review = *value == "no",
            "timer" => protection.wait_timer_ms = base::time::parse_duration_ms(value).expect(value),
            "branches" => protection.refs.get_or_insert_default().branches = listed(),
            "tags" => protection.refs.get_or_insert_default().tags = listed(),
            other => panic!("{other}"),
        }
    }
    environments
}

/// `bo`, or a team: `ops:cy+dee`.
fn reviewer(text: &str) -> Reviewer {
    match text.split_once(':') {
        Some((name, people)) => Reviewer { name: name.to_string(), team: Some(people.split('+').map(str::to_string).collect()) },
        None => Reviewer { name: text.to_string(), team: None },
    }
}
