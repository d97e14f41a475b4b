//! `plimsoll run explain`: why a job or a step was skipped, waits, or failed.

use serde::Serialize;
use workflow::expr::Clause;
use workflow::job::{Conclusion, StepSeen, StepState, command::Annotation};
use workflow::run::{Explained, LegStatus, State};

use super::kept::{self, Read};
use crate::cli::RunExplain;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::terminal::{Terminal, Tone};

/// Lines of a failed step's log that are shown; `--json` has all that is kept.
const LINES_SHOWN: usize = 15;

#[derive(Serialize)]
struct Explanation {
    number: u64,
    attempt: u32,
    conclusion: Option<Conclusion>,
    not_run: Vec<host::runs::NotRun>,
    jobs: Vec<JobExplained>,
}

#[derive(Serialize)]
struct JobExplained {
    /// One sentence.
    why: String,
    #[serde(flatten)]
    explained: Explained,
    /// Of its steps those that were skipped or failed.
    steps: Vec<StepExplained>,
}

#[derive(Serialize)]
struct StepExplained {
    leg: String,
    /// From 1.
    number: u32,
    name: String,
    outcome: Conclusion,
    conclusion: Conclusion,
    why: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    condition: Vec<Clause>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    /// The end of its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
}

pub(super) fn explain(args: &RunExplain, terminal: &Terminal) -> Result<u8> {
    // What is no run's number is a job of the last one.
    let is_run = |text: &str| text.strip_prefix("run-").unwrap_or(text).parse::<u64>().is_ok();
    let (run, job_named) = match (args.run.as_deref(), args.job.as_deref()) {
        (Some(job), None) if !is_run(job) => (None, Some(job)),
        both => both,
    };
    let read = kept::read(kept::find(&kept::runs_of(&args.of.dir)?, run)?, args.attempt)?;
    let all = read.run.explain();
    let jobs: Vec<Explained> = match job_named {
        None => all,
        Some(named) => named_jobs(&read, all, named)?,
    };
    let explanation = Explanation {
        number: read.number(),
        attempt: read.attempt.number,
        conclusion: read.conclusion(),
        not_run: read.asked.not_run.clone(),
        jobs: jobs.into_iter().map(|explained| job(&read, explained)).collect(),
    };
    if terminal.json {
        terminal.json(&explanation);
    } else {
        lines(&explanation, job_named.is_some(), terminal).iter().for_each(|line| terminal.data(line));
    }
    Ok(exit::OK)
}

fn named_jobs(read: &Read, all: Vec<Explained>, named: &str) -> Result<Vec<Explained>> {
    let is = |text: &str| text.eq_ignore_ascii_case(named);
    let ids: Vec<String> = all.iter().map(|it| it.job.key.clone()).collect();
    let found: Vec<Explained> = all
        .into_iter()
        .filter(|it| is(&it.job.key) || is(&it.job.name) || it.job.legs.iter().any(|leg| is(&leg.key) || is(&leg.name)))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let left_out = read.asked.plan.left_out().into_iter().find(|it| is(&it.job));
    Err(match left_out {
        Some(it) => Failure::not_found(format!("`{}` is no job of run-{}: {}", it.job, read.number(), it.reason)),
        None => {
            let near = base::name::nearest(named, ids.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
            Failure::not_found(format!("run-{} has no job `{named}`{}", read.number(), near.unwrap_or_default()))
        }
    })
}

fn job(read: &Read, explained: Explained) -> JobExplained {
    let steps = explained.job.legs.iter().flat_map(|leg| leg.steps.iter().filter_map(move |step| explain_step(read, leg, step))).collect();
    JobExplained { why: why(read, &explained), steps, explained }
}

fn why(read: &Read, explained: &Explained) -> String {
    let job = &explained.job;
    let waits: Vec<String> = explained.needs.iter().filter(|need| need.result.is_none()).map(|need| format!("`{}`", need.key)).collect();
    if !waits.is_empty() {
        return format!("waits for {}", waits.join(", "));
    }
    if let Some(reason) = &job.reason {
        return format!("{}: {reason}", word(job.state));
    }
    let legs: Vec<String> = job.legs.iter().filter(|leg| leg.state != State::Finished(Conclusion::Success)).map(leg_why).collect();
    if !legs.is_empty() {
        return legs.join("; ");
    }
    match read.attempt.reused.get(&job.key) {
        Some(attempt) => format!("{}, taken from attempt {attempt}", word(job.state)),
        None => word(job.state).to_string(),
    }
}

fn leg_why(leg: &LegStatus) -> String {
    let allowed = if leg.allowed_failure { ", which is allowed" } else { "" };
    let reason = leg.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {}{allowed}{reason}", leg.name, word(leg.state))
}

fn word(state: State) -> &'static str {
    match state {
        State::Finished(Conclusion::Success) => "succeeded",
        State::Finished(Conclusion::Failure) => "failed",
        State::Finished(Conclusion::Cancelled) => "was cancelled",
        State::Finished(Conclusion::Skipped) => "was skipped",
        State::Waiting => "waits for what it needs",
        State::Queued => "waits for a free place",
        State::Held => "is held",
        State::Starting => "is being started",
        State::Running => "runs",
        State::Stopping => "is being ended",
    }
}

/// Nothing of a step that simply succeeded.
fn explain_step(read: &Read, leg: &LegStatus, step: &StepSeen) -> Option<StepExplained> {
    let StepState::Finished { outcome, conclusion } = step.state else { return None };
    if outcome == Conclusion::Success {
        return None;
    }
    let reason = step.reason.clone().unwrap_or_else(|| outcome.word().to_string());
    Some(StepExplained {
        leg: leg.key.clone(),
        number: step.number + 1,
        name: step.name.clone(),
        outcome,
        conclusion,
        why: if outcome == conclusion { reason } else { format!("{reason}, and `continue-on-error` allows that") },
        condition: step.condition.clone(),
        annotations: step.annotations.clone(),
        log: read.log(&leg.key, step.number).map(str::to_string),
    })
}

fn lines(explanation: &Explanation, named: bool, terminal: &Terminal) -> Vec<String> {
    let mut lines = Vec::new();
    for it in &explanation.not_run {
        lines.push(format!("{} does not run: {}", it.path, it.reason));
    }
    for job in &explanation.jobs {
        let good = job.explained.job.state == State::Finished(Conclusion::Success);
        let legs = &job.explained.job.legs;
        match legs.len() {
            0 | 1 => lines.push(format!("{}: {}", job.explained.job.name, job.why)),
            // Each leg on a line of its own.
            count => {
                let bad: Vec<&LegStatus> = legs.iter().filter(|leg| leg.state != State::Finished(Conclusion::Success)).collect();
                lines.push(format!("{}: {} of {count} legs succeeded", job.explained.job.name, count - bad.len()));
                lines.extend(bad.into_iter().map(|leg| format!("  {}", leg_why(leg))));
            }
        }
        for need in &job.explained.needs {
            lines.push(format!(
                "  needs {}, which {}",
                need.key,
                need.result.map_or_else(|| word(need.state), |result| word(State::Finished(result)))
            ));
        }
        let trivial = matches!(job.explained.condition.as_str(), "success()" | "always()");
        if (!trivial && !good) || (named && !job.explained.clauses.is_empty()) {
            lines.extend(clauses("  if ", &job.explained.clauses));
        }
        for step in &job.steps {
            let leg = legs.iter().find(|leg| leg.key == step.leg && legs.len() > 1).map(|leg| leg.name.as_str());
            step_lines(step, leg, &mut lines, terminal);
        }
    }
    lines
}

/// `leg`: where the job has several.
fn step_lines(step: &StepExplained, leg: Option<&str>, lines: &mut Vec<String>, terminal: &Terminal) {
    let of = leg.map(|leg| format!(" of {leg}")).unwrap_or_default();
    lines.push(format!("  step {} \"{}\"{of}: {}", step.number, step.name, step.why));
    lines.extend(clauses("    if ", &step.condition));
    for annotation in &step.annotations {
        let place = annotation.file.as_ref().map(|path| {
            let line = annotation.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{path}{line}: ")
        });
        lines.push(format!("    {}{}", place.unwrap_or_default(), annotation.message));
    }
    let log: Vec<&str> = step.log.as_deref().unwrap_or_default().lines().collect();
    let shown = &log[log.len().saturating_sub(LINES_SHOWN)..];
    if shown.len() < log.len() {
        lines.push(terminal.paint(&format!("    │ … {} lines before", log.len() - shown.len()), Tone::Faint));
    }
    lines.extend(shown.iter().map(|line| format!("    {} {line}", terminal.paint("│", Tone::Faint))));
}

/// `needs.build.result == 'success'  →  'failure' == 'success'  →  false`, the parts below the whole.
fn clauses(before: &str, clauses: &[Clause]) -> Vec<String> {
    let blank = " ".repeat(before.chars().count());
    let indented = |it: &Clause| format!("{}{}", "  ".repeat(it.depth as usize), it.source);
    let width = clauses.iter().map(|it| indented(it).chars().count()).max().unwrap_or(0).min(60);
    let line = |(index, it): (usize, &Clause)| {
        let values = if it.values == it.source { String::new() } else { format!("  →  {}", it.values) };
        let result = it.result.as_ref().map_or_else(|| "  was not looked at".to_string(), |result| format!("  →  {result}"));
        let result = if Some(&it.values) == it.result.as_ref() { String::new() } else { result };
        format!("{}{:<width$}{values}{result}", if index == 0 { before } else { &blank }, indented(it))
    };
    clauses.iter().enumerate().map(line).collect()
}
