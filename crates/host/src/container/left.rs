//! Containers and networks of processes that are gone.
//!
//! Their names say who made them: a process, since when, and where: an engine may serve several machines, of whose processes nothing is
//! known here, so that only what was made right here is ever taken away.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base::Digest;
use serde::{Deserialize, Serialize};

use super::{Engine, Kind};
use crate::supervise::process::{Process, boot};

const PREFIX: &str = "plimsoll-";

/// Beside a job's temporary files, so that whoever finds the job lost knows whom to ask for its containers.
const NOTE: &str = "containers.json";

/// What was found and taken away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub containers: usize,
    pub networks: usize,
}

/// Who makes containers: this process, or one that is gone.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    prefix: String,
}

impl Holder {
    pub(crate) fn own() -> io::Result<Holder> {
        let place = place().ok_or_else(|| io::Error::other("/proc tells neither the machine's start nor the namespace of processes"))?;
        Ok(Holder::of(&Process::own()?, place))
    }

    fn of(process: &Process, place: &str) -> Holder {
        Holder { prefix: format!("{PREFIX}{place}-{}-{}-", process.pid, process.started) }
    }

    /// A name that nothing of this process has had.
    pub(crate) fn name(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("{}{}", self.prefix, NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Takes away the containers and networks of processes of ours that are gone.
///
/// # Errors
/// The engine's own words.
pub fn remove_left(engine: &Engine) -> Result<Left, String> {
    let left = remove(engine, PREFIX, &|name| !lives(name))?;
    Ok(Left { containers: left.containers + remove_orphans(engine)?, ..left })
}

/// What an instance's container carries: its folder, the state directory around it, and the [name](Holder::name) of who looks after it.
pub(crate) const INSTANCE: &str = "plimsoll.instance";
pub(crate) const STATE: &str = "plimsoll.state";
pub(crate) const SUPERVISOR: &str = "plimsoll.supervisor";

/// Instances whose supervisors and folders are both gone; with its folder one is found by whoever wants it to run, or to end.
fn remove_orphans(engine: &Engine) -> Result<usize, String> {
    let label = |name: &str| match engine.kind {
        Kind::Podman => format!("{{{{index .Labels \"{name}\"}}}}"),
        Kind::Docker => format!("{{{{.Label \"{name}\"}}}}"),
    };
    // No path has two slashes in a row, so that the first ones are where the state directory ends.
    let format = format!("{{{{.ID}}}} {} {}/{}", label(SUPERVISOR), label(STATE), label(INSTANCE));
    let listed = engine.ask(["ps", "--all", "--filter", &format!("label={INSTANCE}"), "--format", &format])?;
    let mut removed = 0;
    for line in listed.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(id), Some(supervisor), Some(paths)) = (words.next(), words.next(), words.next()) else { continue };
        let Some(border) = paths.find("//") else { continue };
        if is_gone(Path::new(&paths[..border]), Path::new(&paths[border + 1..])) && !lives(supervisor) {
            // By its identity: another may have its name by now.
            engine.ask(["rm", "--force", "--volumes", id])?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a folder was removed from a state directory that is here; one that can't be looked into tells nothing.
fn is_gone(state: &Path, folder: &Path) -> bool {
    let is_there = |path: &Path| path.try_exists().ok();
    state.is_absolute() && folder.starts_with(state) && is_there(state) == Some(true) && is_there(folder) == Some(false)
}

/// Beside a job: which engine was asked, and by what its containers are known.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    engine: Engine,
    prefix: String,
}

/// What a job's supervisor has made that is gone.
pub(crate) fn remove_of_lost(temp: &Path) {
    let note = fs::read(temp.join(NOTE)).ok().and_then(|note| serde_json::from_slice::<Note>(&note).ok());
    let Some(note) = note.filter(|note| note.prefix.starts_with(PREFIX)) else { return };
    if let Err(why) = remove(&note.engine, &note.prefix, &|_| true) {
        tracing::warn!(%why, temp = %temp.display(), "the containers of a lost job can't be removed");
    }
}

/// Before the first container.
pub(crate) fn note(temp: &Path, engine: &Engine) -> io::Result<()> {
    let note = Note { engine: engine.clone(), prefix: Holder::own()?.prefix };
    fs::write(temp.join(NOTE), serde_json::to_vec(&note)?)
}

fn remove(engine: &Engine, prefix: &str, which: &dyn Fn(&str) -> bool) -> Result<Left, String> {
    let filter = format!("name={prefix}");
    let names = |listed: String| -> Vec<String> {
        listed.lines().map(str::trim).filter(|name| name.starts_with(prefix) && which(name)).map(str::to_string).collect()
    };
    let containers = names(engine.ask(["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?);
    for name in &containers {
        engine.ask(["rm", "--force", "--volumes", name])?;
    }
    let networks = names(engine.ask(["network", "ls", "--filter", &filter, "--format", "{{.Name}}"])?);
    for name in &networks {
        engine.ask(["network", "rm", name])?;
    }
    Ok(Left { containers: containers.len(), networks: networks.len() })
}

/// Whether the process that a name tells of may still run; so does whatever isn't known to have run right here.
fn lives(name: &str) -> bool {
    let Some(name) = name.strip_prefix(PREFIX) else { return true };
    let mut parts = name.split('-');
    let (Some(since), Some(pid), Some(started)) = (parts.next(), parts.next(), parts.next()) else { return true };
    let (Ok(pid), Ok(started)) = (pid.parse::<i32>(), started.parse()) else { return true };
    if place() != Some(since) {
        return true;
    }
    match fs::metadata(format!("/proc/{pid}")) {
        Ok(_) => Process { pid, started, boot: boot().to_string(), session: 0 }.lives(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Where numbers of processes mean what they mean here: this start of this machine, this namespace, and this user, who may not see others'.
fn place() -> Option<&'static str> {
    static PLACE: OnceLock<Option<String>> = OnceLock::new();
    let here = || {
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let user = rustix::process::geteuid().as_raw();
        let told = format!("{}\n{}\n{}\n{user}", boot(), machine.trim(), namespace.display());
        (!boot().is_empty()).then(|| Digest::of(told.as_bytes()).hex()[..16].to_string())
    };
    PLACE.get_or_init(here).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lives_as_long_as_who_made_it() {
        let (own, place) = (Process::own().unwrap(), place().unwrap());
        assert!(lives(&Holder::of(&own, place).name()));
        assert!(lives(&format!("{}-db", Holder::of(&own, place).name())));
        let gone = Process { started: own.started + 1, ..own };
        assert!(!lives(&Holder::of(&gone, place).name()));
        // An engine that others use too has theirs, and whether they live isn't seen from here.
        assert!(lives(&Holder::of(&gone, "0123456789abcdef").name()), "of another machine, start, namespace or user");
        assert!(lives("plimsoll-shop"), "whatever else is called so");
    }

    #[test]
    fn a_folder_is_gone_only_where_its_state_directory_is_seen() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("instances/shop/0");
        assert!(is_gone(state.path(), &folder));
        assert!(!is_gone(&state.path().join("of-another-machine"), &state.path().join("of-another-machine/instances/shop/0")));
        assert!(!is_gone(state.path(), Path::new("/somewhere/else")));
        assert!(!is_gone(Path::new(""), &folder), "one that an earlier version made");
        // What is below a file can't be looked into by anybody.
        fs::write(state.path().join("instances"), "").unwrap();
        assert!(!is_gone(state.path(), &folder));
        fs::remove_file(state.path().join("instances")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_gone(state.path(), &folder));
    }
}
