//! `plimsoll logs`: what the application or a job wrote, masked when it was written.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;
use host::instance::lines::{Line, Lines, Stream};
use rollout::InstancePhase;
use serde::Serialize;
use workflow::job::Conclusion;
use workflow::run::{JobStatus, LegStatus, State};

use super::env::meant;
use super::{project_of, running};
use crate::cli::Logs;
use crate::client::Client;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::server::{EnvironmentView, ReleaseView};
use crate::terminal::Terminal;

/// Between two looks for more.
const LOOK: Duration = Duration::from_millis(200);

pub async fn logs(args: &Logs, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let project = project_of(&args.at.of.dir)?;
    match &args.job {
        Some(_) if args.at.environment.is_some() => {
            Err(Failure::usage("a job is one of a release, and not of an environment").hint("`--release` says of which"))
        }
        Some(job) => job_log(&client, args, &project.to_string(), job, terminal).await,
        None => instance_logs(&client, args, &project.to_string(), terminal).await,
    }
}

/// A line of a job's log; when each was said is not kept.
#[derive(Debug, Serialize)]
struct JobLine<'a> {
    release: u64,
    job: &'a str,
    text: &'a str,
}

/// A line of an instance's log, as `--json` has it.
#[derive(Debug, Serialize)]
struct InstanceLine<'a> {
    time: Option<Timestamp>,
    /// `REVISION/INDEX`, as `plimsoll status` names it.
    instance: &'a str,
    stream: Option<Stream>,
    text: &'a str,
}

async fn job_log(client: &Client, args: &Logs, project: &str, job: &str, terminal: &Terminal) -> Result<u8> {
    let name = args.release.as_deref().unwrap_or("latest");
    let release = format!("/api/v1/releases/{name}?project={project}");
    let mut offset = 0;
    let mut unfinished = Vec::new();
    loop {
        let view: ReleaseView = client.get(&release).await?;
        let id = started_job(&view, job)?;
        let (bytes, next) = client.log(&format!("job={id}"), offset).await?;
        let grew = next > offset;
        let ended = !grew && (!args.follow || view.status.outcome.is_some());
        if terminal.json {
            unfinished.extend_from_slice(&bytes);
            print_lines(&mut unfinished, ended, |text| terminal.json_line(&JobLine { release: view.status.number, job, text }));
        } else {
            terminal.data_bytes(&bytes);
        }
        offset = next;
        if ended {
            return Ok(exit::OK);
        }
        if grew {
            continue;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Every leg of every job, with its job; of the files that end so.
fn legs<'a>(view: &'a ReleaseView, file: Option<&'a str>) -> impl Iterator<Item = (&'a JobStatus, &'a LegStatus)> {
    let runs = view.status.runs.iter().filter(move |run| file.is_none_or(|file| run.workflow.ends_with(file)));
    runs.flat_map(|run| &run.status.jobs).flat_map(|job| job.legs.iter().map(move |leg| (job, leg)))
}

/// The job of that id or name; of a matrix also by the job's own, where only one of its legs has started.
fn started_job<'a>(view: &'a ReleaseView, asked: &'a str) -> Result<String> {
    let number = view.status.number;
    // `deploy/build` may be a job of a called workflow as well as one of the file `deploy`.
    let parted = asked.split_once('/').map(|(file, key)| (Some(file), key));
    let readings: Vec<(Option<&str>, &str)> = std::iter::once((None, asked)).chain(parted).collect();
    for exactly in [true, false] {
        let named = readings.iter().flat_map(|(file, key)| {
            legs(view, *file).filter(move |(job, leg)| match exactly {
                true => leg.key == *key || leg.name == *key,
                false => job.key == *key || job.name == *key,
            })
        });
        let named: Vec<&LegStatus> = named.map(|(_, leg)| leg).collect();
        let started: Vec<(&LegStatus, String)> = named.iter().filter_map(|leg| Some((*leg, leg.id.as_ref()?.to_string()))).collect();
        match started.as_slice() {
            [(_, id)] => return Ok(id.clone()),
            [] if named.is_empty() => {}
            [] => return Err(silent(asked, number, named[0].state, named[0].reason.as_deref())),
            [.., (_, id)] if exactly => return Ok(id.clone()),
            several => {
                let names: Vec<String> = several.iter().map(|(leg, _)| format!("`{}`", leg.name)).collect();
                return Err(Failure::usage(format!("`{asked}` is several jobs of release-{number}: {}", names.join(", "))));
            }
        }
    }
    let jobs = || view.status.runs.iter().flat_map(|run| &run.status.jobs);
    // One that was skipped has no legs.
    let is_it = |job: &&JobStatus| readings.iter().any(|(_, key)| job.key == *key || job.name == *key);
    if let Some(job) = jobs().find(is_it) {
        return Err(silent(asked, number, job.state, job.reason.as_deref()));
    }
    let names: Vec<String> = legs(view, None).map(|(_, leg)| format!("`{}`", leg.name)).collect();
    let failure = Failure::not_found(format!("release-{number} has no job `{asked}`"));
    Err(if names.is_empty() { failure.hint("none of its jobs has begun") } else { failure.hint(format!("it has {}", names.join(", "))) })
}

/// A job that has written nothing, and why if that is known.
fn silent(asked: &str, release: u64, state: State, reason: Option<&str>) -> Failure {
    let why = match (state, reason) {
        (State::Finished(Conclusion::Skipped), Some(reason)) => format!("it was skipped, {reason}"),
        (State::Finished(_), Some(reason)) => reason.to_string(),
        (State::Finished(conclusion), None) => format!("it ended with {}", conclusion.word()),
        _ => "it has not started".to_string(),
    };
    Failure::not_found(format!("job `{asked}` of release-{release} has written nothing: {why}"))
}

/// Prints the lines that are whole and takes them off; all of it at the end.
fn print_lines(bytes: &mut Vec<u8>, all: bool, print: impl Fn(&str)) {
    let end = if all { bytes.len() } else { bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1) };
    let whole: Vec<u8> = bytes.drain(..end).collect();
    String::from_utf8_lossy(&whole).lines().for_each(print);
}

async fn instance_logs(client: &Client, args: &Logs, project: &str, terminal: &Terminal) -> Result<u8> {
    let of_release = match &args.release {
        Some(release) => Some(brought(client, release, project, args.revision.is_none()).await?),
        None => None,
    };
    let asked = args.revision.as_ref().or(of_release.as_ref().and_then(|brought| brought.revision.as_ref()));
    let mut environment = of_release.as_ref().map(|brought| brought.environment.clone());
    let mut empty = true;
    let mut offsets: BTreeMap<String, u64> = BTreeMap::new();
    let mut told = false;
    loop {
        let mut views: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={project}")).await?;
        // What a revision wrote is asked for wherever it runs.
        if environment.is_none() && (args.at.environment.is_some() || asked.is_none()) {
            environment = Some(meant(&args.at, &views)?);
        }
        views.retain(|view| environment.as_ref().is_none_or(|environment| view.environment == *environment));
        let mut found = false;
        // Where nothing runs, what ran last is what is asked for.
        let all = || views.iter().flat_map(|view| view.instances.iter().flatten());
        let runs = all().any(|it| it.phase != InstancePhase::Stopped);
        let last = all().max_by_key(|it| it.since).filter(|_| !runs).map(|it| it.revision.clone());
        for view in &views {
            let scope = release::plan::scope(view.project, &view.environment);
            for instance in view.instances.iter().flatten() {
                let revision = &instance.revision;
                let wanted = match asked {
                    Some(wanted) => revision.0.starts_with(wanted.as_str()),
                    None => instance.phase != InstancePhase::Stopped || last.as_ref() == Some(revision),
                };
                if !wanted {
                    continue;
                }
                found = true;
                let name = format!("{scope}/{revision}/{}", instance.index);
                let offset = offsets.entry(name.clone()).or_default();
                // The server answers in pieces.
                loop {
                    let next = if terminal.json {
                        instance_lines(client, &name, *offset, !args.follow, terminal).await?
                    } else {
                        let (bytes, next) = client.log(&format!("instance={name}"), *offset).await?;
                        terminal.data_bytes(&bytes);
                        next
                    };
                    empty &= next == 0;
                    if std::mem::replace(offset, next) == next {
                        break;
                    }
                }
            }
        }
        if !found && args.follow && !std::mem::replace(&mut told, true) {
            terminal.say("nothing runs here that is asked for; waiting for what will be written");
        }
        if !found && !args.follow {
            return Err(match asked {
                Some(revision) => Failure::not_found(format!("no instance of a revision `{revision}` is kept here"))
                    .hint("`plimsoll status` and `plimsoll release history` name revisions"),
                None => Failure::not_found("no version of this project has run here, so none has written anything")
                    .hint("what a job wrote: `plimsoll logs --job JOB`"),
            });
        }
        if !args.follow {
            if empty {
                terminal.say("it has written nothing so far");
            }
            return Ok(exit::OK);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a release brought, or tried to bring, and where.
struct Brought {
    revision: Option<String>,
    environment: String,
}

async fn brought(client: &Client, release: &str, project: &str, needs_one: bool) -> Result<Brought> {
    let view: ReleaseView = client.get(&format!("/api/v1/releases/{release}?project={project}")).await?;
    let revision = view.status.revision.map(|revision| revision.0);
    if revision.is_none() && needs_one {
        return Err(Failure::not_found(format!("release-{} started no instance whose log could be shown", view.status.number)));
    }
    Ok(Brought { revision, environment: view.status.environment })
}

/// The lines from an offset on, one in JSON each, and the offset of the next.
async fn instance_lines(client: &Client, name: &str, offset: u64, unfinished: bool, terminal: &Terminal) -> Result<u64> {
    let path = format!("/api/v1/logs/lines?instance={name}&offset={offset}&unfinished={unfinished}");
    let Lines { lines, next } = client.get(&path).await?;
    let instance = name.split_once('/').map_or(name, |(_, instance)| instance);
    for Line { time, stream, text } in &lines {
        terminal.json_line(&InstanceLine { time: *time, instance, stream: *stream, text });
    }
    Ok(next)
}
