//! `plimsoll run rerun`: a further attempt, with what the jobs that needn't run again have left.

use std::collections::{BTreeMap, BTreeSet};

use base::name::nearest;
use host::runs::{Again, Attempt};
use host::supervise::{Limits, cgroup};
use workflow::job::{Conclusion, JobId, Mark};
use workflow::model::{Step, Template, Work, Workflow};
use workflow::plan::{Plan, called_key};
use workflow::run::{JobStatus, LegStatus, State};

use super::kept::{self, Read};
use super::stage::{Interrupts, Resumed, Reused, Stage, never_begun};
use super::{app, ended, secrets, tell_failed, unkept};
use crate::cli::Rerun;
use crate::commands::actor;
use crate::failure::{Failure, Result};
use crate::terminal::Terminal;
use crate::view;
use crate::world;

pub(super) fn rerun(args: &Rerun, terminal: &Terminal) -> Result<u8> {
    let runs = kept::runs_of(&args.one.of.dir)?;
    let kept = kept::find(&runs, args.one.run.as_deref())?;
    let read = kept::read(kept, None)?;
    let held = read.kept.clone().hold().map_err(|error| match error {
        host::runs::Error::UnderWay(number) => Failure::usage(format!("run-{number} is under way")),
        other => unkept(other),
    })?;
    let secrets = secrets(&args.secrets, &args.one.of.dir)?;
    check_given(&read, &secrets)?;
    let app = app(args.token)?;
    let (again, resumed) = what(args, &read)?;
    let reused = reused(&read, &again)?;
    held.begin_again().map_err(unkept)?;
    cgroup::bound_user(Limits::default());
    let interrupts = Interrupts::listen();
    let number = read.attempt.number + 1;
    let attempt = Attempt {
        number,
        by: actor(),
        at: world::now(),
        again,
        reused: reused.iter().filter_map(|(key, reused)| Some((key.clone(), reused.attempt?))).collect(),
    };
    terminal.say(&format!("run-{}, attempt {number}", read.number()));
    let stage = Stage {
        held: &held,
        asked: &read.asked,
        recorded: &read.asked,
        attempt,
        reused,
        resumed,
        secrets: &secrets,
        env: &read.asked.env,
        pause: args.pause_on_failure,
        identity: args.identity,
        app: app.as_ref(),
        interrupts: &interrupts,
    };
    let conclusion = stage.play(terminal)?;
    let number = held.kept.number;
    drop(held);
    runs.clear(number);
    if conclusion == Conclusion::Failure {
        tell_failed(number, &args.one.of.dir, terminal);
    }
    Ok(ended(&[conclusion], &[], &interrupts, terminal))
}

/// Secrets are never kept, so they have to be given again; so has what held one.
fn check_given(read: &Read, given: &BTreeMap<String, String>) -> Result<()> {
    if read.asked.withheld {
        let text = "what it was given (a variable, an input or the event) held a secret, which isn't kept, so it can't be run again";
        return Err(Failure::usage(text).hint("`plimsoll run` with the same options begins a run of its own"));
    }
    let missing: Vec<&str> = read.asked.secrets.iter().map(String::as_str).filter(|name| !given.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let options: Vec<String> = missing.iter().map(|name| format!("--secret {name}")).collect();
    let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    Err(Failure::usage(format!("run-{} was given {}, and secrets are never kept", read.number(), names.join(", ")))
        .hint(format!("give it again: `{}`, with the value in the environment or behind a `=`", options.join(" "))))
}

/// What is asked for, and where a job goes on.
fn what(args: &Rerun, read: &Read) -> Result<(Again, Option<Resumed>)> {
    if let Some(step) = &args.from_step {
        let leg = the_leg(read, args.job.as_deref())?;
        let resumed = resume(read, &leg, step)?;
        return Ok((Again::Step { job: leg.key.clone(), step: step.clone() }, Some(resumed)));
    }
    if let Some(job) = &args.job {
        return Ok((Again::Job { job: the_job(read, job)? }, None));
    }
    if !args.failed {
        return Ok((Again::All, None));
    }
    if read.conclusion() == Some(Conclusion::Success) && !legs(read).iter().any(has_failed) {
        return Err(Failure::not_found(format!("nothing failed in run-{}", read.number()))
            .hint("`plimsoll run rerun` without options runs all of it again"));
    }
    Ok((Again::Failed, None))
}

/// The key of a job or of one of its legs, named by its key, its id or its name.
fn the_job(read: &Read, named: &str) -> Result<String> {
    let status = read.run.status();
    let is = |text: &str| text.eq_ignore_ascii_case(named);
    let jobs = status.jobs.iter().filter(|job| is(&job.key) || is(&job.name)).map(|job| job.key.clone());
    let legs = status.jobs.iter().flat_map(|job| &job.legs).filter(|leg| is(&leg.key) || is(&leg.name)).map(|leg| leg.key.clone());
    if let Some(key) = jobs.chain(legs).next() {
        return Ok(key);
    }
    let suggestion = nearest(named, status.jobs.iter().map(|job| job.key.as_str())).map(|near| format!("; did you mean `{near}`?"));
    Err(Failure::not_found(format!("run-{} has no job `{named}`{}", read.number(), suggestion.unwrap_or_default())))
}

fn legs(read: &Read) -> Vec<LegStatus> {
    read.run.status().jobs.into_iter().flat_map(|job| job.legs).collect()
}

fn has_failed(leg: &LegStatus) -> bool {
    matches!(leg.state, State::Finished(Conclusion::Failure | Conclusion::Cancelled))
}

/// The leg in which a step is meant: the one named, else the only one that failed, else the only one.
fn the_leg(read: &Read, named: Option<&str>) -> Result<LegStatus> {
    let mut legs = legs(read);
    if let Some(named) = named {
        let key = the_job(read, named)?;
        legs.retain(|leg| leg.key == key || leg.key.strip_prefix(&key).is_some_and(|rest| rest.starts_with('.')));
    }
    if legs.len() > 1 && legs.iter().any(has_failed) {
        legs.retain(has_failed);
    }
    let names: Vec<String> = legs.iter().map(|leg| format!("`--job {}`", view::typed(&leg.name))).collect();
    match (legs.pop(), legs.is_empty()) {
        (Some(leg), true) => Ok(leg),
        (Some(_), false) => Err(Failure::usage(format!("which job is meant? {}", names.join(", ")))),
        (None, _) => Err(Failure::not_found("the job was never started, so it has no step to go on from")),
    }
}

fn resume(read: &Read, leg: &LegStatus, step: &str) -> Result<Resumed> {
    let number = read.number();
    let key = &leg.key;
    let Some(id) = &leg.id else {
        return Err(Failure::not_found(format!("`{key}` was never started, so it has no step to go on from")));
    };
    let id = workspace_of(read, id);
    let Some(marks) = read.kept.marks(&id).map_err(unkept)? else {
        let why = if leg.state == State::Finished(Conclusion::Success) {
            "a job that succeeded doesn't keep its workspace".to_string()
        } else if read.kept.is_cleared() {
            format!("only the last {} runs keep their files", host::runs::FILES_KEPT)
        } else {
            "nothing of it is left".to_string()
        };
        return Err(Failure::not_found(format!("the workspace of `{key}` in run-{number} is gone: {why}"))
            .hint(format!("`plimsoll run rerun {number} --job {key}` runs the whole job again")));
    };
    let steps = steps_of(&read.asked.plan, key).unwrap_or_default();
    let from = marks.iter().find(|mark| is_named(mark, leg, steps.get(mark.next), step));
    let Some(from) = from.filter(|mark| mark.next < steps.len()) else {
        let begun: Vec<String> = marks.iter().filter_map(|mark| Some(format!("`{}`", shown(mark, leg, steps.get(mark.next)?)))).collect();
        return Err(Failure::not_found(format!("`{key}` got to no step `{step}`; it stood before {}", begun.join(", "))));
    };
    if let Some(obstacle) = &from.obstacle {
        return Err(Failure::usage(format!("`{key}` can't go on from `{step}`: {obstacle}"))
            .hint(format!("`--from-step` of an earlier step, or `plimsoll run rerun {number} --job {key}`")));
    }
    Ok(Resumed { key: key.clone(), of: id, from: from.clone() })
}

/// The last try that has left something.
fn workspace_of(read: &Read, id: &JobId) -> JobId {
    JobId { attempt: read.kept.tries(&id.key).pop().unwrap_or(id.attempt), ..id.clone() }
}

/// By its number as shown, its id, its name as written or as shown.
fn is_named(mark: &Mark, leg: &LegStatus, step: Option<&Step>, named: &str) -> bool {
    let Some(step) = step else { return false };
    let shown = shown(mark, leg, step);
    let written = match &step.name {
        Some(Template::String(name)) => name.as_str(),
        _ => "",
    };
    let texts = [step.id.as_str(), shown.as_str(), shown.strip_prefix("Run ").unwrap_or_default(), written];
    named.parse() == Ok(mark.steps.len() + 1) || texts.iter().any(|text| !text.is_empty() && text.eq_ignore_ascii_case(named))
}

/// As it was shown, else by its id.
fn shown(mark: &Mark, leg: &LegStatus, step: &Step) -> String {
    let seen = leg.steps.iter().find(|seen| seen.number as usize == mark.steps.len());
    seen.map_or_else(|| step.id.clone(), |seen| seen.name.clone())
}

/// The steps of a job by its key.
fn steps_of(plan: &Plan, key: &str) -> Option<Vec<Step>> {
    let mut steps = None;
    walk(plan, key, &mut |job, _| {
        if let Work::Steps { steps: own, .. } = &job.work {
            steps = Some(own.clone());
        }
    });
    steps
}

/// From the file itself down through the calls to the job with a key: `deploy.0/build.1`.
fn walk<'p>(plan: &'p Plan, key: &str, visit: &mut dyn FnMut(&'p workflow::model::Job, &str)) {
    let (mut workflow, mut called, mut prefix): (Option<&Workflow>, Option<String>, String) = (Some(&plan.workflow), None, String::new());
    for part in key.split('/') {
        let id = part.split('.').next().unwrap_or(part);
        let Some(job) = workflow.and_then(|workflow| workflow.jobs.iter().find(|job| job.id == id)) else { return };
        visit(job, &prefix);
        prefix.push_str(&format!("{part}/"));
        if let Work::Call { uses, .. } = &job.work {
            let callee = called_key(called.as_deref(), uses);
            workflow = plan.workflow.called.get(&callee);
            called = Some(callee);
        }
    }
}

/// All that a job waits for: its own needs, and those of whatever calls it.
fn needs_of(plan: &Plan, key: &str) -> Vec<String> {
    let mut needs = Vec::new();
    walk(plan, key, &mut |job, prefix| needs.extend(job.needs.iter().map(|need| format!("{prefix}{need}"))));
    needs
}

/// Whether a job is another, one of its legs, or one that it calls.
fn belongs(key: &str, to: &str) -> bool {
    key.get(..to.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(to))
        && matches!(key.as_bytes().get(to.len()), None | Some(b'/' | b'.'))
}

/// The legs that aren't run again, with how each ended.
fn reused(read: &Read, again: &Again) -> Result<BTreeMap<String, Reused>> {
    let plan = &read.asked.plan;
    let status = read.run.status();
    let anew = match again {
        Again::All => return Ok(BTreeMap::new()),
        Again::Failed => failed(&status.jobs),
        Again::Job { job } | Again::Step { job, .. } => one(plan, &status.jobs, job),
    };
    let anew = with_dependents(plan, &status.jobs, anew);
    let mut reused = BTreeMap::new();
    for job in status.jobs.iter().filter(|job| !anew.jobs.contains(&job.key)) {
        for leg in job.legs.iter().filter(|leg| !anew.legs.contains(&leg.key)) {
            let known = read.outcome(&leg.key).map(|outcome| Reused {
                attempt: Some(read.attempt.reused.get(&leg.key).copied().unwrap_or(read.attempt.number)),
                outcome: outcome.clone(),
                steps: leg.steps.clone(),
            });
            reused.insert(leg.key.clone(), known.unwrap_or_else(left_out));
        }
        if job.legs.is_empty() && job.state != State::Finished(Conclusion::Skipped) {
            reused.insert(job.key.clone(), left_out());
        }
    }
    Ok(reused)
}

fn left_out() -> Reused {
    Reused { attempt: None, outcome: never_begun(Some("it was not asked for in this attempt".to_string())), steps: Vec::new() }
}

/// What runs again: whole jobs, and single legs of others.
#[derive(Default)]
struct Anew {
    jobs: BTreeSet<String>,
    legs: BTreeSet<String>,
}

fn failed(jobs: &[JobStatus]) -> Anew {
    let mut anew = Anew::default();
    for job in jobs {
        anew.legs.extend(job.legs.iter().filter(|leg| has_failed(leg)).map(|leg| leg.key.clone()));
        if job.legs.is_empty() && matches!(job.state, State::Finished(Conclusion::Failure | Conclusion::Cancelled)) {
            anew.jobs.insert(job.key.clone());
        }
    }
    anew
}

/// A job, and of what it needs that which didn't succeed.
fn one(plan: &Plan, jobs: &[JobStatus], key: &str) -> Anew {
    let mut anew = Anew::default();
    let is_job = jobs.iter().any(|job| job.key == key);
    if is_job {
        anew.jobs.insert(key.to_string())
    } else {
        anew.legs.insert(key.to_string())
    };
    let mut open = needs_of(plan, key);
    while let Some(need) = open.pop() {
        for job in jobs.iter().filter(|job| belongs(&job.key, &need)) {
            if job.state != State::Finished(Conclusion::Success) && anew.jobs.insert(job.key.clone()) {
                open.extend(needs_of(plan, &job.key));
            }
        }
    }
    anew
}

/// And all that need any of them, directly or not.
fn with_dependents(plan: &Plan, jobs: &[JobStatus], mut anew: Anew) -> Anew {
    loop {
        let touched = |need: &String| anew.jobs.iter().chain(&anew.legs).any(|key| belongs(key, need));
        let next = jobs.iter().find(|job| !anew.jobs.contains(&job.key) && needs_of(plan, &job.key).iter().any(touched));
        let Some(next) = next.map(|job| job.key.clone()) else { return anew };
        anew.jobs.insert(next);
    }
}
