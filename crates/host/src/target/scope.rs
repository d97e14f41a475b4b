//! The folder of a scope: revisions, instances, and the last generation that was accepted.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use engine::world::Stop;
use rollout::{InstancePhase, RevisionId};

use crate::dirs::file_name;
use crate::instance::{Status, Wanted, container, supervisor};
use crate::supervise::job::now;
use crate::supervise::process::sweep_abandoned;
use crate::supervise::signals::signal_for;
use crate::supervise::{durable, launch};

#[derive(Debug)]
pub(super) struct Scope {
    pub(super) dir: PathBuf,
}

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) dir: PathBuf,
    pub(super) index: u32,
}

impl Scope {
    pub(super) fn names(instances: &Path) -> io::Result<Vec<String>> {
        let name = |dir: &PathBuf| dir.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(folders(instances)?.iter().filter_map(name).collect())
    }

    /// Lets one hand at a time change the scope; it lets go when dropped, or when its process dies.
    pub(super) fn lock(&self) -> io::Result<File> {
        durable::create_dir(&self.dir)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// Takes the lock for an order of this generation; nothing when a newer one was accepted before.
    pub(super) fn accept(&self, generation: u64) -> io::Result<Option<File>> {
        let lock = self.lock()?;
        let last = self.accepted()?;
        if generation < last {
            return Ok(None);
        }
        if generation > last {
            durable::replace(&self.generation(), &serde_json::to_vec(&generation)?)?;
        }
        Ok(Some(lock))
    }

    /// The generation of the last order that was accepted; 0 before the first.
    pub(super) fn accepted(&self) -> io::Result<u64> {
        match durable::read(&self.generation())? {
            Some(bytes) => Ok(serde_json::from_slice(&bytes)?),
            None => Ok(0),
        }
    }

    fn generation(&self) -> PathBuf {
        self.dir.join("generation.json")
    }

    pub(super) fn files(&self, revision: &RevisionId) -> PathBuf {
        self.revision(revision).join("files")
    }

    pub(super) fn instance(&self, revision: &RevisionId, index: u32) -> Instance {
        Instance { dir: self.revision(revision).join(index.to_string()), index }
    }

    /// Every instance there ever was, in order.
    pub(super) fn instances(&self) -> io::Result<Vec<Instance>> {
        let mut all = Vec::new();
        for revision in folders(&self.dir)? {
            all.extend(instances_in(&revision)?);
        }
        Ok(all)
    }

    pub(super) fn instances_of(&self, revision: &RevisionId) -> io::Result<Vec<Instance>> {
        instances_in(&self.revision(revision))
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn revision(&self, revision: &RevisionId) -> PathBuf {
        self.dir.join(file_name(&revision.0))
    }
}

impl Instance {
    /// Writes down what shall be, unless it says so already.
    pub(super) fn want(&self, wanted: &Wanted) -> io::Result<()> {
        durable::create_dir(&self.dir)?;
        if Wanted::read(&self.dir)?.as_ref() == Some(wanted) {
            return Ok(());
        }
        wanted.write(&self.dir)
    }

    /// Writes down that it shall not run, and tells whoever runs it.
    pub(super) fn end(&self) -> io::Result<()> {
        let Some(wanted) = Wanted::read(&self.dir)? else { return Ok(()) };
        if wanted.wanted {
            Wanted { wanted: false, ..wanted }.write(&self.dir)?;
        }
        // A supervisor claims first and reads what is wanted after, so one that isn't seen here will see it itself.
        let claimed = supervisor(&self.dir)?;
        if let Some(claimed) = &claimed
            && claimed.signal(signal_for(Stop::Gracefully))?
        {
            return Ok(());
        }
        let status = Status::read(&self.dir)?.filter(|status| status.phase != InstancePhase::Stopped);
        // It died without stopping what it ran: first who might still be making a container, then the container.
        if let (Some(claimed), Some(_)) = (&claimed, &status) {
            sweep_abandoned(claimed, &launch::mark(&self.dir));
        }
        // Also of one that ended well, and whose engine did not.
        container::remove(&self.dir)?;
        match (claimed, status) {
            (Some(_), Some(status)) => Status { phase: InstancePhase::Stopped, since: now(), ..status }.write(&self.dir),
            _ => Ok(()),
        }
    }
}

fn instances_in(revision: &Path) -> io::Result<Vec<Instance>> {
    let index = |dir: &PathBuf| dir.file_name()?.to_str()?.parse::<u32>().ok();
    let mut instances: Vec<Instance> =
        folders(revision)?.into_iter().filter_map(|dir| Some(Instance { index: index(&dir)?, dir })).collect();
    instances.sort_by_key(|instance| instance.index);
    Ok(instances)
}

/// Folders below a folder, by name; none when it isn't there.
fn folders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}
