//! A workflow's run in words.

use base::Timestamp;
use base::time::format_duration_ms;
use release::Release;
use workflow::environment::Review;
use workflow::job::{Conclusion, StepState};
use workflow::run::{Event, LegStatus, Run, State, Status};

use super::{Mark, marked, spinner};
use crate::terminal::{Terminal, Tone};

/// One event; `run` has it applied already.
pub fn event(terminal: &Terminal, run: &Run, event: &Event) {
    let say = |mark, text: String| terminal.say(&marked(terminal, mark, &text));
    match event {
        Event::JobSkipped { name, reason, .. } => say(Mark::Skipped, format!("{name} was skipped: {reason}")),
        Event::JobRejected { name, reason, .. } => say(Mark::Bad, format!("{name} can't start: {reason}")),
        Event::JobCancelled { name, reason, .. } => say(Mark::Warn, format!("{name} was cancelled: {reason}")),
        Event::JobHeld { name, environment, .. } => say(Mark::Going, format!("{name} waits until it may deliver to {environment}")),
        Event::EnvironmentReviewed { review } => {
            let mark = if review.agrees { Mark::Good } else { Mark::Bad };
            let comment = if review.comment.is_empty() { String::new() } else { format!(": {}", review.comment) };
            say(mark, format!("{:<10} {} by {}{comment}", review_word(review), review.environment, review.by));
        }
        Event::JobRefused { name, conclusion: Conclusion::Skipped, reason, .. } => {
            say(Mark::Skipped, format!("{name} was skipped: {reason}"))
        }
        Event::JobRefused { name, reason, .. } => say(Mark::Bad, format!("{name} was refused: {reason}")),
        Event::JobStarted { name, .. } if !terminal.is_live() => say(Mark::Going, format!("{name} started")),
        Event::StepFinished { step, .. } => {
            if let StepState::Finished { outcome: Conclusion::Failure, conclusion } = step.state {
                let mark = if conclusion == Conclusion::Failure { Mark::Bad } else { Mark::Warn };
                let reason = step.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                say(mark, format!("  {}{reason}", step.name));
            }
        }
        Event::JobTimedOut { id, budget_ms, .. } => {
            say(Mark::Bad, format!("{} ran longer than its {} and is being ended", name_of(run, &id.key), format_duration_ms(*budget_ms)));
        }
        Event::JobFinished { id, outcome, allowed_failure, .. } => {
            let status = run.status_of(&id.key);
            let took = status.as_ref().and_then(took_ms).unwrap_or_else(|| outcome.finished.since_ms(outcome.started));
            let took = format_duration_ms(took);
            let reason = status.and_then(|leg| leg.reason).or_else(|| outcome.reason.clone());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            match (outcome.conclusion, allowed_failure) {
                (Conclusion::Success, _) => say(Mark::Good, format!("{} ({took})", name_of(run, &id.key))),
                (Conclusion::Cancelled, false) => say(Mark::Bad, format!("{} was cancelled ({took}){reason}", name_of(run, &id.key))),
                (_, true) => say(Mark::Warn, format!("{} failed, which is allowed ({took}){reason}", name_of(run, &id.key))),
                (conclusion, false) => {
                    say(Mark::Bad, format!("{} ended with {} ({took}){reason}", name_of(run, &id.key), conclusion.word()))
                }
            }
        }
        Event::JobLost { id, reason, .. } => say(Mark::Bad, format!("{}: {reason}", name_of(run, &id.key))),
        Event::JobRetried { key, attempt, not_before, at } => {
            let pause = match not_before.since_ms(*at) {
                0 => String::new(),
                pause => format!(" in {}", format_duration_ms(pause)),
            };
            say(Mark::Warn, format!("{} is tried again{pause}, attempt {attempt}", name_of(run, key)));
        }
        Event::JobSuperseded { key, by, group, .. } => {
            say(Mark::Warn, format!("{} is being ended: `{by}` takes its place in the concurrency group `{group}`", name_of(run, key)));
        }
        Event::CallFinished { key, conclusion: Conclusion::Failure, reason: Some(reason), outputs, .. } if outputs.is_empty() => {
            say(Mark::Bad, format!("{key} failed: {reason}"));
        }
        Event::CallStarted { .. }
        | Event::CallFinished { .. }
        | Event::CancelRequested { .. }
        | Event::RunStarted { .. }
        | Event::JobPlanned { .. }
        | Event::JobCleared { .. }
        | Event::JobStarted { .. }
        | Event::JobAccepted { .. }
        | Event::StepStarted { .. }
        | Event::RunFinished { .. } => {}
    }
}

fn review_word(review: &Review) -> &'static str {
    if review.agrees { "approved" } else { "rejected" }
}

/// `approved   production by bo at 2026-11-25 12:00:00 UTC: looks good`.
pub fn review_line(review: &Review) -> String {
    let comment = if review.comment.is_empty() { String::new() } else { format!(": {}", review.comment) };
    format!("{:<10} {} by {} at {}{comment}", review_word(review), review.environment, review.by, review.at.date_and_clock())
}

/// `test (3.x)` for `test.0`: what people read is the job's name.
pub fn name_of(run: &Run, key: &str) -> String {
    run.status_of(key).map_or_else(|| key.to_string(), |leg| leg.name)
}

/// From the moment it was asked for: what every view shows.
fn took_ms(leg: &LegStatus) -> Option<u64> {
    Some(leg.finished?.since_ms(leg.started?))
}

/// One line for each job that runs, with the step it is at.
pub fn live(terminal: &Terminal, release: &Release, now: Timestamp, beat: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, run) in release.runs() {
        lines.extend(live_run(terminal, &run.status(), now, beat));
    }
    lines
}

pub fn live_run(terminal: &Terminal, status: &Status, now: Timestamp, beat: usize) -> Vec<String> {
    let legs = status.jobs.iter().flat_map(|job| &job.legs);
    let running = legs.filter(|leg| matches!(leg.state, State::Running | State::Starting | State::Stopping));
    running
        .map(|leg| {
            let elapsed = leg.started.map_or(0, |started| now.since_ms(started));
            let step = leg.steps.iter().rfind(|step| step.state == StepState::Running).map(|step| step.name.as_str()).unwrap_or_default();
            let clock = terminal.paint(&format_duration_ms(elapsed / 1_000 * 1_000), Tone::Faint);
            format!("{} {:<20} {clock}  {}", spinner(beat), leg.name, terminal.paint(step, Tone::Faint))
        })
        .collect()
}

/// Each job of a run and how it stands.
pub fn job_lines(status: &Status, terminal: &Terminal) -> Vec<String> {
    let mut lines = Vec::new();
    for job in &status.jobs {
        if job.legs.is_empty() {
            let reason = job.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines.push(marked(terminal, mark(job.state, false), &format!("{} {}{reason}", job.name, word(job.state))));
        }
        lines.extend(job.legs.iter().map(|leg| leg_line(leg, terminal)));
    }
    lines
}

fn leg_line(leg: &LegStatus, terminal: &Terminal) -> String {
    let took = took_ms(leg).map(|ms| format!(" ({})", format_duration_ms(ms))).unwrap_or_default();
    let reason = leg.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let word = if leg.allowed_failure { "failed, which is allowed" } else { word(leg.state) };
    let attempts = match leg.attempts.len() {
        0 => String::new(),
        before => format!(", attempt {}", before + 1),
    };
    marked(terminal, mark(leg.state, leg.allowed_failure), &format!("{} {word}{took}{attempts}{reason}", leg.name))
}

/// A sentence for each job that did not simply succeed.
pub fn job_reasons(status: &Status) -> Vec<String> {
    let of_jobs = status.jobs.iter().filter_map(|job| job.reason.as_ref().map(|reason| format!("{} was not run: {reason}", job.name)));
    let legs = status.jobs.iter().flat_map(|job| &job.legs);
    of_jobs.chain(legs.filter_map(|leg| leg.reason.as_ref().map(|reason| format!("{}: {reason}", leg.name)))).collect()
}

fn word(state: State) -> &'static str {
    match state {
        State::Waiting => "waits for what it needs",
        State::Queued => "waits for a free place",
        State::Held => "is held",
        State::Starting => "is being started",
        State::Running => "runs",
        State::Stopping => "is being ended",
        State::Finished(conclusion) => conclusion.word(),
    }
}

fn mark(state: State, allowed_failure: bool) -> Mark {
    match state {
        State::Finished(Conclusion::Success) => Mark::Good,
        State::Finished(Conclusion::Skipped) => Mark::Skipped,
        State::Finished(Conclusion::Cancelled) => Mark::Warn,
        State::Finished(Conclusion::Failure) if allowed_failure => Mark::Warn,
        State::Finished(Conclusion::Failure) => Mark::Bad,
        _ => Mark::Going,
    }
}

/// What to look at after a run that failed; `folder` is ` -C FOLDER`, or nothing in the project's own.
pub fn finished_line(release: &Release, folder: &str) -> String {
    let number = release.plan().number;
    if release.jobs().is_empty() {
        return "nothing was deployed, and no job ran".to_string();
    }
    let delivered = delivered(release);
    let deployed = if delivered.is_empty() { "nothing was deployed".to_string() } else { delivered.join(", ") };
    format!("{deployed}; `plimsoll release view {number}{folder}` shows the jobs, `plimsoll logs{folder} --job JOB` what they wrote")
}

/// What jobs have brought somewhere by themselves: `` `deploy` delivered to production ``.
fn delivered(release: &Release) -> Vec<String> {
    let legs = release.runs().flat_map(|(_, run)| run.status().jobs).flat_map(|job| job.legs);
    let ended = legs.filter(|leg| leg.state == State::Finished(Conclusion::Success));
    ended.filter_map(|leg| Some(format!("`{}` delivered to {}", leg.name, leg.environment?))).collect()
}
