//! The places of releases in the concurrency groups of their projects, in the line where those of `plimsoll run` stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::world::{Turns, WorldError};
use workflow::concurrency::{Seat, Standing};
use workflow::job::JobId;

use crate::blocking::blocking;
use crate::dirs::Dirs;
use crate::executor::chain;
use crate::runs::Runs;

#[derive(Debug, Clone)]
pub struct HostTurns {
    dirs: Dirs,
    /// Who may have places by now: nobody else is looked for where somebody wants none.
    known: Arc<Mutex<BTreeSet<String>>>,
}

impl HostTurns {
    pub fn new(dirs: &Dirs) -> HostTurns {
        HostTurns { dirs: dirs.clone(), known: Arc::default() }
    }
}

#[async_trait]
impl Turns for HostTurns {
    async fn stand(&self, project: &str, holder: &str, seats: &[Seat], jobs: &[JobId]) -> Result<BTreeMap<String, Standing>, WorldError> {
        let has_none = |known: &BTreeSet<String>| seats.is_empty() && !known.contains(holder);
        if has_none(&self.known.lock().expect("no holder panics")) {
            return Ok(BTreeMap::new());
        }
        let runs = Runs::of(&self.dirs, project);
        let (holder, seats, known) = (holder.to_string(), seats.to_vec(), self.known.clone());
        let jobs: Vec<PathBuf> = jobs.iter().map(|job| self.dirs.job(job)).collect();
        blocking("stand in line", move || {
            let failed = |error: &dyn std::error::Error| WorldError::new("stand in line", chain(error));
            let folder = runs.folder();
            fs::create_dir_all(folder).map_err(|error| failed(&error))?;
            known.lock().expect("no holder panics").insert(holder.clone());
            let stand = runs.groups().hold(&holder, &seats, &jobs).map_err(|error| failed(&error))?;
            if seats.is_empty() {
                known.lock().expect("no holder panics").remove(&holder);
            }
            Ok(stand)
        })
        .await
    }
}
