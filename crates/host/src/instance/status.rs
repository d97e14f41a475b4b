//! The two files through which an instance's supervisor and everybody else speak.

use std::io;
use std::path::{Path, PathBuf};

use base::Timestamp;
use rollout::{InstancePhase, InstancePlan};
use serde::{Deserialize, Serialize};

use crate::container::Engine;
use crate::supervise::durable;
use crate::supervise::process::Process;

/// What shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    pub wanted: bool,
    /// As others know it: `SCOPE/REVISION/INDEX`.
    pub name: String,
    pub plan: InstancePlan,
    /// Where the artifact lies.
    pub files: PathBuf,
    /// Where ports are handed out.
    pub ports: PathBuf,
    /// Who makes its container, where it runs in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
}

/// What is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub phase: InstancePhase,
    pub address: Option<String>,
    pub restarts: u32,
    pub message: Option<String>,
    pub since: Timestamp,
}

impl Wanted {
    pub fn read(dir: &Path) -> io::Result<Option<Wanted>> {
        read(&dir.join("wanted.json"))
    }

    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        durable::replace(&dir.join("wanted.json"), &serde_json::to_vec(self)?)
    }
}

impl Status {
    pub fn read(dir: &Path) -> io::Result<Option<Status>> {
        read(&dir.join("status.json"))
    }

    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        durable::replace_lazily(&dir.join("status.json"), &serde_json::to_vec(self)?)
    }
}

/// Who supervises the instance, or did last.
pub(crate) fn supervisor(dir: &Path) -> io::Result<Option<Process>> {
    read(&dir.join("claim.json"))
}

pub(super) fn claim(dir: &Path) -> io::Result<()> {
    durable::replace(&dir.join("claim.json"), &serde_json::to_vec(&Process::own()?)?)
}

/// From now on nobody supervises it; whoever wants it to run again has to start somebody.
pub(super) fn unclaim(dir: &Path) -> io::Result<()> {
    std::fs::remove_file(dir.join("claim.json"))
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    let Some(bytes) = durable::read(path)? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes)?))
}
