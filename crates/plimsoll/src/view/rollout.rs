//! A rollout in words: what it did, what the judge said, where the traffic is.

use std::collections::BTreeMap;

use base::{counted, thousands};
use release::Release;
use rollout::judge::{Proof, Stream};
use rollout::{Happened, RevisionId, Rollout};

use super::{Mark, marked, spinner};
use crate::terminal::{Terminal, Tone};

/// `told` is the new revision's share of the traffic, as it was told last.
pub fn event(terminal: &Terminal, release: &Release, event: &rollout::Event, told: &mut Option<u32>) {
    let Some(rollout) = release.rollout() else { return };
    let plan = rollout.plan();
    let say = |mark, text: String| terminal.say(&marked(terminal, mark, &text));
    let share = |weights: &BTreeMap<RevisionId, u32>| weights.get(&plan.revision.id).copied().unwrap_or(0);
    let goes_back = rollout.status().reason.is_some();
    match &event.what {
        Happened::InstancesReady if rollout.scales_stable() => {}
        Happened::Scaled { scale, .. } => {
            let old = plan.stable.as_ref().map(|stable| format!(", {} of {}", scale.old, stable.id)).unwrap_or_default();
            say(Mark::Going, format!("instances  {} of {}{old}", scale.new, plan.revision.id));
        }
        Happened::InstancesReady => say(Mark::Good, format!("ready      {}", counted(plan.replicas as usize, "instance"))),
        // Some of the old instances leave, and who comes isn't there yet.
        Happened::Routed { weights, .. } if rollout.scales_stable() && !goes_back && share(weights) == 0 => {}
        // The same to other addresses: an instance came, or is gone for a moment.
        Happened::Routed { weights, .. } if *told == Some(share(weights)) => {}
        Happened::Routed { weights, .. } => {
            let weight = share(weights);
            *told = Some(weight);
            if weight == 0 && rollout.phase() == rollout::Phase::Canary {
                let (project, port) = (&release.plan().project.name, release.plan().delivery.port);
                say(Mark::Going, format!("beside     http://{}.{project}.localhost:{port}, without traffic", plan.revision.id));
            } else if plan.stable.is_some() {
                say(Mark::Going, format!("traffic    {} to {}", percent(weight), plan.revision.id));
            } else {
                say(Mark::Going, format!("traffic    all to {}", plan.revision.id));
            }
        }
        Happened::BoundFixed { stream, bound_us, from_answers, .. } => {
            let whose = match stream {
                Stream::Users => "users'",
                Stream::Synthetic => "synthetic",
            };
            let bound = *bound_us as f64 / 1_000.0;
            terminal.say(&terminal.paint(
                &format!(
                    "             {whose} requests slower than {bound:.1} ms count as slow (from {} answers)",
                    thousands(*from_answers)
                ),
                Tone::Faint,
            ));
        }
        Happened::DeadlinePassed { step } => say(Mark::Warn, format!("step {}     its time ran out without enough evidence", step + 1)),
        Happened::Closed { why } => say(Mark::Warn, format!("closed     {}", why.strip_prefix("closed: ").unwrap_or(why))),
        Happened::Opened => say(Mark::Going, "open       it goes on".to_string()),
        Happened::RouteMissed { .. } => say(Mark::Warn, "traffic    the router answers, and has not moved it".to_string()),
        // Of a rolling update no verdict was asked.
        Happened::StepsDone if rollout.scales_stable() => {}
        Happened::StepsDone => {
            for (mark, line) in short_evidence_lines(&rollout.status()) {
                say(mark, format!("judge      {line}"));
            }
        }
        Happened::StableDead { revision, message } => {
            let why = message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
            say(Mark::Warn, format!("judge      {revision} is dead{why}: nothing to compare with, and nothing to lose"));
        }
        Happened::SmokePassed { checks: 1 } => say(Mark::Good, "smoke      1 check passed".to_string()),
        Happened::SmokePassed { checks } => say(Mark::Good, format!("smoke      {checks} checks passed")),
        Happened::Verified => {
            say(Mark::Good, "verified   the new revision carries all traffic and stayed ready".to_string());
            if let Some(stable) = plan.stable.as_ref().filter(|_| plan.limits.warm_ms > 0) {
                let (project, port) = (&release.plan().project.name, release.plan().delivery.port);
                let until = event.at.plus_ms(plan.limits.warm_ms).clock(event.at);
                say(Mark::Going, format!("answers    http://{project}.localhost:{port}; {} is kept running until {until}", stable.id));
            }
        }
        Happened::RollbackStarted { reason } if plan.stable.is_none() => say(Mark::Bad, format!("giving up  {}", reason.sentence())),
        Happened::RollbackStarted { reason } => say(Mark::Bad, format!("going back {}", reason.sentence())),
        Happened::PromoteAsked { by, full } => say(Mark::Warn, format!("promoted   {}by {by}", if *full { "to all traffic " } else { "" })),
        Happened::PauseAsked { by } => say(Mark::Warn, format!("paused     by {by}")),
        Happened::ResumeAsked { by } => say(Mark::Going, format!("resumed    by {by}")),
        Happened::AbortAsked { by } => say(Mark::Warn, format!("aborted    by {by}")),
        Happened::Started { .. }
        | Happened::ServingDecided { .. }
        | Happened::StepStarted { .. }
        | Happened::RouteTaken { .. }
        | Happened::Baseline { .. }
        | Happened::Measured { .. }
        | Happened::SmokeAsked { .. }
        | Happened::StopDecided { .. }
        | Happened::Finished { .. } => {}
    }
}

/// `⠙ ██████░░░░░░ 50 %  being judged · users: errors 0/812 against 0/790`; which step it is, the reason to wait says below it.
pub fn rail(terminal: &Terminal, rollout: &Rollout, beat: usize) -> String {
    const WIDTH: u32 = 20;
    let weight = rollout.weight();
    let filled = (weight * WIDTH / 10_000) as usize;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(WIDTH as usize - filled));
    format!("{} {} {:>6}  {}", spinner(beat), terminal.paint(&bar, Tone::Good), percent(weight), standing(&rollout.status()))
}

/// Where it stands: the step and the counts so far.
pub fn line(status: &rollout::Status) -> String {
    let step = status.step.as_ref().filter(|_| !status.is_preview).map(|step| format!("step {} of {} · ", step.index + 1, step.count));
    format!("{}{}", step.unwrap_or_default(), standing(status))
}

/// The phase, and the counts of errors so far.
fn standing(status: &rollout::Status) -> String {
    let words = if status.is_preview { "beside the old version" } else { phase_words(status.phase) };
    let mut parts = vec![words.to_string()];
    if let Some(scale) = status.scale.filter(|_| !matches!(status.phase, rollout::Phase::Planned | rollout::Phase::Finished)) {
        parts.push(format!("{} new and {} old instances", scale.new, scale.old));
    }
    for evidence in status.evidence.iter().filter(|evidence| evidence.question.metric == rollout::judge::Metric::Errors) {
        let whose = if evidence.question.stream == Stream::Synthetic { "probes" } else { "users" };
        if evidence.canary.requests > 0 {
            let (canary, stable) = (evidence.canary, evidence.stable);
            parts.push(format!("{whose}: errors {}/{} against {}/{}", canary.bad, canary.requests, stable.bad, stable.requests));
        }
    }
    parts.join(" · ")
}

fn phase_words(phase: rollout::Phase) -> &'static str {
    match phase {
        rollout::Phase::Planned => "not begun",
        rollout::Phase::Starting => "instances start",
        rollout::Phase::Canary => "being judged",
        rollout::Phase::Rolling => "instances are replaced",
        rollout::Phase::Verifying => "being verified",
        rollout::Phase::Draining => "the old version finishes its requests",
        rollout::Phase::Retiring => "the old version stops",
        rollout::Phase::RollingBack => "traffic goes back",
        rollout::Phase::Removing => "the new version stops",
        rollout::Phase::Finished => "ended",
    }
}

/// The evidence, a sentence for each question that has any.
pub fn evidence_lines(status: &rollout::Status) -> Vec<String> {
    let skipped = status.stable.as_ref().filter(|_| status.skipped).map(|stable| {
        format!(
            "the steps were skipped: {stable} was dead before {} had any traffic, with nothing to compare with and nothing to lose",
            status.revision
        )
    });
    let by_readiness = status
        .scale
        .map(|_| "a rolling update asks for no verdict: readiness decides, and errors beyond the absolute bound take it back".to_string());
    let seen = status.evidence.iter().filter(|evidence| evidence.canary.requests > 0);
    let proved = seen.map(|evidence| match evidence.proof {
        Some(Proof::Ratio) => format!("{}; proved not worse, by the ratio of the rates", evidence.sentence()),
        Some(Proof::Difference) => format!("{}; proved not worse, by the difference of the rates", evidence.sentence()),
        None => evidence.sentence(),
    });
    skipped.into_iter().chain(by_readiness).chain(proved).collect()
}

/// The same without what leads to the answer; `release explain` has that.
fn short_evidence_lines(status: &rollout::Status) -> Vec<(Mark, String)> {
    let proved = |metric| status.evidence.iter().any(|it| it.question.metric == metric && it.proof.is_some());
    let seen = status.evidence.iter().filter(|evidence| evidence.canary.requests > 0);
    seen.map(|evidence| {
        let sentence = evidence.sentence();
        let numbers = sentence.split("; ").next().unwrap_or_default();
        let (mark, answer) = match evidence.proof {
            Some(_) => (Mark::Good, "proved not worse"),
            // What one kind of requests is too few for, the other has proved.
            None if proved(evidence.question.metric) && evidence.question.stream == Stream::Users => {
                (Mark::Skipped, "too few requests to decide by, the probes did")
            }
            None if proved(evidence.question.metric) => (Mark::Skipped, "not needed, users' requests decided"),
            None => (Mark::Warn, "not proved"),
        };
        (mark, format!("{numbers}; {answer}"))
    })
    .collect()
}

pub fn percent(weight: u32) -> String {
    let text = format!("{:.2}", f64::from(weight) / 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
