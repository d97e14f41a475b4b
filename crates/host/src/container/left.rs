//! Containers and networks of processes that are gone.
//!
//! Their names say who made them: a process, since when, and since which start of the machine.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

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
        Ok(Holder::of(&Process::own()?))
    }

    fn of(process: &Process) -> Holder {
        let boot: String = process.boot.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        Holder { prefix: format!("{PREFIX}{boot}-{}-{}-", process.pid, process.started) }
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

/// What an instance's container carries: its folder, and the [name](Holder::name) of who looks after it.
pub(crate) const INSTANCE: &str = "plimsoll.instance";
pub(crate) const SUPERVISOR: &str = "plimsoll.supervisor";

/// Instances whose supervisors and folders are both gone; with its folder one is found by whoever wants it to run, or to end.
fn remove_orphans(engine: &Engine) -> Result<usize, String> {
    let label = |name: &str| match engine.kind {
        Kind::Podman => format!("{{{{index .Labels \"{name}\"}}}}"),
        Kind::Docker => format!("{{{{.Label \"{name}\"}}}}"),
    };
    let format = format!("{{{{.ID}}}} {} {}", label(SUPERVISOR), label(INSTANCE));
    let listed = engine.ask(["ps", "--all", "--filter", &format!("label={INSTANCE}"), "--format", &format])?;
    let mut removed = 0;
    for line in listed.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(id), Some(supervisor), Some(folder)) = (words.next(), words.next(), words.next()) else { continue };
        // By its identity: another may have its name by now.
        if folder.starts_with('/') && !Path::new(folder).exists() && !lives(supervisor) {
            engine.ask(["rm", "--force", "--volumes", id])?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// What a job's supervisor has made that is gone.
pub(crate) fn remove_of_lost(temp: &Path, supervisor: &Process) {
    let note = fs::read(temp.join(NOTE)).ok().and_then(|note| serde_json::from_slice::<Engine>(&note).ok());
    let Some(engine) = note else { return };
    if let Err(why) = remove(&engine, &Holder::of(supervisor).prefix, &|_| true) {
        tracing::warn!(%why, temp = %temp.display(), "the containers of a lost job can't be removed");
    }
}

/// Before the first container.
pub(crate) fn note(temp: &Path, engine: &Engine) -> io::Result<()> {
    let note = serde_json::to_vec(engine)?;
    fs::write(temp.join(NOTE), note)
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

/// Whether the process that a name tells of still runs.
fn lives(name: &str) -> bool {
    let mut parts = name.trim_start_matches(PREFIX).split('-');
    let (Some(since), Some(pid), Some(started)) = (parts.next(), parts.next(), parts.next()) else { return true };
    let (Ok(pid), Ok(started)) = (pid.parse(), started.parse()) else { return true };
    let this: String = boot().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    since == this && Process { pid, started, boot: boot().to_string(), session: 0 }.lives()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lives_as_long_as_who_made_it() {
        let own = Process::own().unwrap();
        assert!(lives(&Holder::of(&own).name()));
        assert!(lives(&format!("{}-db", Holder::of(&own).name())));
        assert!(!lives(&Holder::of(&Process { started: own.started + 1, ..own.clone() }).name()));
        assert!(!lives(&Holder::of(&Process { boot: "another-boot".into(), ..own }).name()));
        // Whatever else is called so isn't ours to take away.
        assert!(lives("plimsoll-shop"));
    }
}
