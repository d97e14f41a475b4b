//! `plimsoll logs`: what the application or a job wrote, masked when it was written.

use std::collections::BTreeMap;
use std::time::Duration;

use rollout::InstancePhase;

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
    let project = project_of(&args.of.dir)?;
    match &args.job {
        Some(job) => job_log(&client, args, &project.to_string(), job, terminal).await,
        None => instance_logs(&client, args, &project.to_string(), terminal).await,
    }
}

async fn job_log(client: &Client, args: &Logs, project: &str, job: &str, terminal: &Terminal) -> Result<u8> {
    let name = args.release.as_deref().unwrap_or("latest");
    let release = format!("/api/v1/releases/{name}?project={project}");
    let mut offset = 0;
    loop {
        let view: ReleaseView = client.get(&release).await?;
        // `deploy/build` may be a job of a called workflow as well as one of the file `deploy`.
        let parted = job.split_once('/').into_iter().map(|(file, key)| (Some(file), key));
        let readings = std::iter::once((None, job)).chain(parted);
        let jobs: Vec<String> = readings
            .flat_map(|(file, key)| {
                let runs = view.status.runs.iter().filter(move |run| file.is_none_or(|file| run.workflow.ends_with(file)));
                let legs = runs.flat_map(|run| &run.status.jobs).flat_map(|job| &job.legs);
                legs.filter_map(|leg| leg.id.clone()).filter(move |id| id.key == key)
            })
            .map(|id| id.to_string())
            .collect();
        let Some(id) = jobs.last() else {
            return Err(Failure::not_found(format!("release-{} has no job `{job}` that started", view.status.number))
                .hint("`plimsoll release view` lists its jobs"));
        };
        let (bytes, next) = client.log(&format!("job={id}"), offset).await?;
        terminal.data_bytes(&bytes);
        let grew = next > offset;
        offset = next;
        if grew {
            continue;
        }
        if !args.follow || view.status.outcome.is_some() {
            return Ok(exit::OK);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn instance_logs(client: &Client, args: &Logs, project: &str, terminal: &Terminal) -> Result<u8> {
    let mut offsets: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let views: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={project}")).await?;
        let mut found = false;
        // Where nothing runs, what ran last is what is asked for.
        let all = || views.iter().flat_map(|view| view.instances.iter().flatten());
        let runs = all().any(|it| it.phase != InstancePhase::Stopped);
        let last = all().max_by_key(|it| it.since).filter(|_| !runs).map(|it| it.revision.clone());
        for view in &views {
            let scope = release::plan::scope(view.project, &view.environment);
            for instance in view.instances.iter().flatten() {
                let revision = &instance.revision;
                let wanted = match &args.revision {
                    Some(wanted) => revision.0.starts_with(wanted.as_str()),
                    None => instance.phase != InstancePhase::Stopped || last.as_ref() == Some(revision),
                };
                if !wanted {
                    continue;
                }
                found = true;
                let name = format!("{scope}/{revision}/{}", instance.index);
                let offset = offsets.entry(name.clone()).or_default();
                let (bytes, next) = client.log(&format!("instance={name}"), *offset).await?;
                terminal.data_bytes(&bytes);
                *offset = next;
            }
        }
        if !found && !args.follow {
            return Err(match &args.revision {
                Some(revision) => Failure::not_found(format!("no instance of a revision `{revision}` is kept here"))
                    .hint("`plimsoll status` and `plimsoll release history` name revisions"),
                None => Failure::not_found("nothing has run here whose log could be shown").hint("`plimsoll up` starts something"),
            });
        }
        if !args.follow {
            return Ok(exit::OK);
        }
        tokio::time::sleep(LOOK).await;
    }
}
