//! Whose schedules this machine starts, and up to when it has looked at each.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dirs::Dirs;
use crate::supervise::durable;

/// A project whose workflows start by the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub project: String,
    /// Where its workflows lie.
    pub folder: PathBuf,
    pub by: String,
    pub at: Timestamp,
    /// What came due until then was started, or came too late to be.
    pub looked_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
#[error("`{}` can't be {doing}", path.display())]
pub struct SchedulesError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// All that there are, in one state directory.
#[derive(Debug, Clone)]
pub struct Schedules {
    file: PathBuf,
    lock: PathBuf,
}

impl Schedules {
    pub fn new(dirs: &Dirs) -> Schedules {
        let at = |name: &str| dirs.state().join(name);
        Schedules { file: at("server.schedules"), lock: at("server.schedules.lock") }
    }

    /// By project. Blocks.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn all(&self) -> Result<Vec<Kept>, SchedulesError> {
        let failed = |source| SchedulesError { doing: "read", path: self.file.clone(), source };
        match durable::read(&self.file).map_err(failed)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into())),
            None => Ok(Vec::new()),
        }
    }

    /// One that is there stays as it was. Blocks.
    ///
    /// # Errors
    /// As [`Schedules::all`], and when they can't be written.
    pub fn keep(&self, kept: Kept) -> Result<(), SchedulesError> {
        self.change(|all| {
            if !all.iter().any(|it| it.project == kept.project && it.folder == kept.folder) {
                all.retain(|it| it.project != kept.project);
                all.push(kept);
            }
        })
    }

    /// Whether there was one. Blocks.
    ///
    /// # Errors
    /// As [`Schedules::keep`].
    pub fn remove(&self, project: &str) -> Result<bool, SchedulesError> {
        let mut found = false;
        self.change(|all| {
            let before = all.len();
            all.retain(|it| it.project != project);
            found = all.len() < before;
        })?;
        Ok(found)
    }

    /// What comes due until then is somebody's from now on; false where somebody was first. Before anything starts, so that nothing
    /// starts twice. Blocks.
    ///
    /// # Errors
    /// As [`Schedules::keep`].
    pub fn take(&self, project: &str, until: Timestamp) -> Result<bool, SchedulesError> {
        let mut is_ours = false;
        self.change(|all| {
            if let Some(kept) = all.iter_mut().find(|it| it.project == project && it.looked_at < until) {
                (kept.looked_at, is_ours) = (until, true);
            }
        })?;
        Ok(is_ours)
    }

    /// Of a clock that was ahead: what it looked at has not come yet. Nothing starts by this. Blocks.
    ///
    /// # Errors
    /// As [`Schedules::keep`].
    pub fn put_back(&self, project: &str, until: Timestamp) -> Result<(), SchedulesError> {
        self.change(|all| all.iter_mut().filter(|it| it.project == project).for_each(|kept| kept.looked_at = until))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Kept>)) -> Result<(), SchedulesError> {
        let failed = |doing| move |source| SchedulesError { doing, path: self.lock.clone(), source };
        let unwritten = |source| SchedulesError { doing: "written", path: self.file.clone(), source };
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.lock).map_err(failed("opened"))?;
        lock.lock().map_err(failed("locked"))?;
        let mut all = self.all()?;
        change(&mut all);
        all.sort_by(|left, right| left.project.cmp(&right.project));
        let text = serde_json::to_vec(&all).map_err(|error| unwritten(error.into()))?;
        durable::replace(&self.file, &text).map_err(unwritten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(project: &str, looked_at: i64) -> Kept {
        let at = Timestamp::from_ms(0);
        Kept { project: project.into(), folder: "/p".into(), by: "ana".into(), at, looked_at: Timestamp::from_ms(looked_at) }
    }

    #[test]
    fn a_moment_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(folder.path()).unwrap();
        let (one, other) = (Schedules::new(&dirs), Schedules::new(&dirs));
        one.keep(kept("a", 60)).unwrap();
        one.keep(kept("b", 60)).unwrap();
        let until = Timestamp::from_ms(120);
        assert!(one.take("a", until).unwrap());
        assert!(!other.take("a", until).unwrap(), "somebody was first");
        assert!(!other.take("a", Timestamp::from_ms(119)).unwrap(), "a clock that was put back");
        assert!(other.take("b", until).unwrap());
        one.keep(kept("b", 60)).unwrap();
        assert!(!one.take("b", until).unwrap(), "asking for it again starts nothing again");
        assert!(one.remove("a").unwrap() && !other.remove("a").unwrap());
        assert!(!one.take("a", Timestamp::from_ms(180)).unwrap(), "nobody asks for it any more");
        other.put_back("b", Timestamp::from_ms(90)).unwrap();
        assert_eq!(one.all().unwrap(), [kept("b", 90)]);
    }
}
