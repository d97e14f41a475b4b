//! `plimsoll schedule …`: whether this machine's server starts the project's workflows by the clock.

use std::path::{Path, PathBuf};

use base::Timestamp;
use host::schedules::{Kept, Schedules, SchedulesError};
use serde::Serialize;

use super::{actor, dirs, dirs_to_read, or_above, project_of};
use crate::cli::{OfDir, Schedule};
use crate::client::Client;
use crate::compose::{git_failure, project_above};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::schedules::{Found, Scheduled, of_folder};
use crate::terminal::Terminal;
use crate::world;

/// Of a project.
#[derive(Debug, Serialize)]
struct Told {
    /// Whether the server of this machine starts them.
    starts: bool,
    schedules: Vec<Next>,
    /// Files with mistakes in them, of which nothing starts.
    unreadable: Vec<String>,
}

/// With when it comes due next.
#[derive(Debug, Serialize)]
struct Next {
    #[serde(flatten)]
    scheduled: Scheduled,
    next: Vec<Timestamp>,
}

impl Told {
    fn new(starts: bool, found: Found) -> Told {
        let now = world::now();
        let schedules = found.schedules.into_iter().map(|scheduled| Next { next: scheduled.next(now), scheduled });
        Told { starts, schedules: schedules.collect(), unreadable: found.unreadable }
    }
}

pub async fn schedule(command: Schedule, terminal: &Terminal) -> Result<u8> {
    match command {
        Schedule::On(of) => on(&of, terminal).await,
        Schedule::Off(of) => off(&of, terminal),
        Schedule::List(of) => list(&of, terminal),
    }
}

async fn on(of: &OfDir, terminal: &Terminal) -> Result<u8> {
    let project = project_of(&of.dir)?.to_string();
    let folder = folder(of)?;
    let found = of_folder(&folder);
    if found.schedules.is_empty() {
        let failure = Failure::not_found(format!("no workflow in `{}` has an `on: schedule` that can be read", folder.display()));
        let hint = "`plimsoll lint` says what is wrong with a file";
        return Err(if project_above(&of.dir).is_some() { failure } else { failure.hint(hint) });
    }
    let dirs = dirs()?;
    Client::connect(&dirs).await?;
    let now = world::now();
    Schedules::new(&dirs).keep(Kept { project, folder, by: actor(), at: now, looked_at: now }).map_err(|error| failed(&error))?;
    tell(&Told::new(true, found), &of.dir, terminal);
    Ok(exit::OK)
}

fn off(of: &OfDir, terminal: &Terminal) -> Result<u8> {
    let project = project_of(&of.dir)?.to_string();
    if !Schedules::new(&dirs_to_read()?).remove(&project).map_err(|error| failed(&error))? {
        return Err(Failure::not_found("nothing of this project starts by the clock"));
    }
    match terminal.json {
        true => terminal.json(&Told::new(false, of_folder(&folder(of)?))),
        false => terminal.say("nothing of this project starts by the clock any more"),
    }
    Ok(exit::OK)
}

fn list(of: &OfDir, terminal: &Terminal) -> Result<u8> {
    let starts = starts(&project_of(&of.dir)?.to_string())?;
    let found = of_folder(&folder(of)?);
    tell(&Told::new(starts, found), &of.dir, terminal);
    Ok(exit::OK)
}

/// Whether the server of this machine starts what is scheduled in a project.
pub(super) fn starts(project: &str) -> Result<bool> {
    let all = Schedules::new(&dirs_to_read()?).all().map_err(|error| failed(&error))?;
    Ok(all.iter().any(|kept| kept.project == project))
}

fn folder(of: &OfDir) -> Result<PathBuf> {
    let place = host::git::place(&of.dir).map_err(git_failure)?;
    Ok(if place.subtree.is_empty() { place.root } else { place.root.join(place.subtree) })
}

fn tell(told: &Told, folder: &Path, terminal: &Terminal) {
    if terminal.json {
        terminal.json(told);
        return;
    }
    let now = world::now();
    told.schedules.iter().for_each(|it| terminal.data(&it.scheduled.line(now)));
    for file in &told.unreadable {
        terminal.warn(&format!("nothing of `{file}` starts, it has mistakes: `plimsoll lint` shows them"));
    }
    terminal.say(&match (told.schedules.is_empty(), told.starts) {
        (true, _) => or_above(folder, "schedule list", "no workflow of this project has a schedule"),
        (false, true) => {
            "they start while the server of this machine runs, of the files as they lie here, with the project's secrets and without jobs that have an `environment:`; `plimsoll run list` shows their runs"
                .to_string()
        }
        (false, false) => "nothing of it starts by the clock; `plimsoll schedule on` lets the server of this machine start it".to_string(),
    });
}

fn failed(error: &SchedulesError) -> Failure {
    Failure::from_error("look at what starts by the clock", error)
}
