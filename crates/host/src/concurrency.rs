//! The concurrency groups of a project, between all processes of this machine.
//!
//! One file with everybody in it, changed under a lock that is held for a moment. Who is in it names the process that it lives by:
//! when that is gone, killed or not, its place is free at the next look of anybody.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use workflow::concurrency::Line;
pub use workflow::concurrency::{Seat, Standing};

use crate::supervise::process::Process;
use crate::supervise::{Claim, State, durable};

#[derive(Debug, Clone)]
pub struct Groups {
    file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("the concurrency groups in `{}` can't be {doing}", path.display())]
pub struct Error {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    line: Line,
    owners: BTreeMap<String, Process>,
    /// Beside the process: who runs on when that is gone, by the folders of their claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    jobs: BTreeMap<String, Vec<PathBuf>>,
    /// Of those that have several places under one name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holders: BTreeMap<String, String>,
}

impl Groups {
    /// In a file of their own; beside it lies its lock.
    pub fn at(file: &Path) -> Groups {
        Groups { file: file.to_path_buf() }
    }

    /// Takes a place in line for this process where it has none yet, and tells how it stands.
    ///
    /// # Errors
    /// When the file can't be locked, read or written.
    pub fn stand(&self, seat: &Seat) -> Result<Standing, Error> {
        let own = Process::own().map_err(|source| self.error("entered", source))?;
        self.change(|kept| {
            if kept.line.get(&seat.id).is_none() {
                kept.owners.insert(seat.id.clone(), own);
                kept.line.arrive(&seat.id, &seat.name, &seat.groups);
            }
            kept.line.standing(&seat.id).expect("it has just arrived")
        })
    }

    /// The holder has these places and no others, for this process and as long as any of these jobs goes on; how each stands.
    ///
    /// # Errors
    /// As [`stand`](Groups::stand).
    pub fn hold(&self, holder: &str, seats: &[Seat], jobs: &[PathBuf]) -> Result<BTreeMap<String, Standing>, Error> {
        let own = Process::own().map_err(|source| self.error("entered", source))?;
        self.change(|kept| {
            let Kept { line, holders, .. } = kept;
            line.retain(|member| holders.get(&member.id).is_none_or(|it| it != holder) || seats.iter().any(|seat| seat.id == member.id));
            for seat in seats {
                kept.line.arrive(&seat.id, &seat.name, &seat.groups);
                kept.owners.insert(seat.id.clone(), own.clone());
                kept.holders.insert(seat.id.clone(), holder.to_string());
                kept.jobs.insert(seat.id.clone(), jobs.to_vec());
            }
            seats.iter().filter_map(|seat| Some((seat.id.clone(), kept.line.standing(&seat.id)?))).collect()
        })
    }

    /// Gives places back.
    ///
    /// # Errors
    /// As [`stand`](Groups::stand).
    pub fn leave(&self, ids: &[String]) -> Result<(), Error> {
        self.change(|kept| ids.iter().for_each(|id| kept.line.leave(id)))
    }

    /// Everybody whose process lives, as `change` leaves them.
    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> Result<T, Error> {
        let _lock = self.lock()?;
        let bytes = durable::read(&self.file).map_err(|source| self.error("read", source))?;
        let before = bytes.unwrap_or_default();
        let mut kept: Kept = if before.is_empty() {
            Kept::default()
        } else {
            serde_json::from_slice(&before).map_err(|error| self.error("understood", error.into()))?
        };
        let Kept { line, owners, jobs, .. } = &mut kept;
        let goes_on = |job: &PathBuf| matches!(Claim::at(job).state(), Ok(State::Running(_)));
        let lives = |id: &String| owners.get(id).is_some_and(Process::lives) || jobs.get(id).is_some_and(|jobs| jobs.iter().any(goes_on));
        line.retain(|member| lives(&member.id));
        let result = change(&mut kept);
        let Kept { line, owners, jobs, holders } = &mut kept;
        owners.retain(|id, _| line.get(id).is_some());
        jobs.retain(|id, jobs| line.get(id).is_some() && !jobs.is_empty());
        holders.retain(|id, _| line.get(id).is_some());
        let after = serde_json::to_vec(&kept).map_err(|error| self.error("written", error.into()))?;
        if before != after {
            durable::replace_lazily(&self.file, &after).map_err(|source| self.error("written", source))?;
        }
        Ok(result)
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.file.with_extension("lock");
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let file = open().map_err(|source| self.error("opened", source))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive))
            .map_err(|error| self.error("locked", error.into()))?;
        Ok(file)
    }

    fn error(&self, doing: &'static str, source: io::Error) -> Error {
        Error { doing, path: self.file.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use workflow::run::Group;

    use super::*;

    fn seat(id: &str) -> Seat {
        let group = Group { name: "g".into(), cancel_in_progress: false, queue_max: true };
        Seat { id: id.into(), name: id.into(), groups: vec![group] }
    }

    #[test]
    fn a_place_goes_to_the_next_when_it_is_given_back_and_when_its_process_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("concurrency.json");
        let groups = Groups::at(&file);
        assert_eq!(groups.stand(&seat("a")).unwrap(), Standing::Runs);
        assert!(matches!(groups.stand(&seat("b")).unwrap(), Standing::Waits(_)));
        assert!(matches!(groups.stand(&seat("c")).unwrap(), Standing::Waits(_)));
        groups.leave(&["a".into()]).unwrap();
        assert_eq!(groups.stand(&seat("b")).unwrap(), Standing::Runs);
        // As if another process had been `b`, and was killed.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let mut process = Process::own().unwrap();
        process.pid = gone.id().cast_signed();
        gone.wait().unwrap();
        let mut kept: Kept = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        kept.owners.insert("b".into(), process);
        std::fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(groups.stand(&seat("c")).unwrap(), Standing::Runs);
    }

    #[test]
    fn a_holder_gives_back_what_it_does_not_name_and_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let groups = Groups::at(&folder.path().join("concurrency.json"));
        let hold = |holder: &str, names: &[&str]| {
            let seats: Vec<Seat> = names.iter().map(|name| seat(name)).collect();
            groups.hold(holder, &seats, &[]).unwrap()
        };
        assert_eq!(hold("one", &["a"])["a"], Standing::Runs);
        assert!(matches!(hold("two", &["b", "c"])["b"], Standing::Waits(_)));
        assert_eq!(hold("one", &["a"])["a"], Standing::Runs, "it has not come again");
        assert_eq!(groups.stand(&seat("b")).unwrap(), hold("two", &["b", "c"])["b"]);
        assert!(hold("one", &[]).is_empty());
        assert_eq!(hold("two", &["c"])["c"], Standing::Runs, "of two that waited the other is given back");
    }

    #[test]
    fn a_file_that_is_no_line_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("concurrency.json");
        std::fs::write(&file, "{").unwrap();
        let error = Groups::at(&file).stand(&seat("a")).unwrap_err();
        assert_eq!(error.to_string(), format!("the concurrency groups in `{}` can't be understood", file.display()));
    }
}
