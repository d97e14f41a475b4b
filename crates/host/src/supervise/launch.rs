//! Starts supervisors that belong to nobody.
//!
//! ```text
//! server ── spawns ──▶ launcher: new session ── spawns ──▶ supervisor
//!    └── waits ◀─────────── ends at once           (init's child from then on)
//! ```
//!
//! Twice, because a direct child would have to be reaped by a server that may be gone or replaced by then.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// How our own binary is called to become a supervisor: `PROGRAM ARGUMENTS… KIND DIR`.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// The mark that all of a supervisor's processes carry in their environment unless they drop it.
const MARK: &str = "PLIMSOLL_SUPERVISED";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start `{}`", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("start a supervisor for `{}`: the launcher ended with {status}", dir.display())]
    Ended { dir: PathBuf, status: std::process::ExitStatus },
}

impl Launcher {
    /// This program, even after its file was replaced by a newer one.
    pub fn own(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Launcher {
        Launcher::new("/proc/self/exe", arguments)
    }

    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Launcher {
        Launcher { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Starts a supervisor for the directory and hands it `input` through a pipe, so that secrets never touch the disk.
    /// Blocks for some milliseconds.
    pub fn launch(&self, kind: &str, dir: &Path, input: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::Start { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.arg0("plimsoll").args(&self.arguments).arg(kind).arg(dir).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove(MARK);
        let mut child = command.spawn().map_err(failed)?;
        let written = child.stdin.take().expect("its standard input is a pipe").write_all(input);
        let status = child.wait().map_err(failed)?;
        match written {
            // One that finds the work taken ends without reading.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ if !status.success() => Err(Error::Ended { dir: dir.to_path_buf(), status }),
            _ => Ok(()),
        }
    }
}

/// The first half of becoming a supervisor: leaves the caller's session and starts the second half.
/// Returns what to exit with, or nothing in the second half itself.
pub fn detach(dir: &Path) -> Option<ExitCode> {
    if std::env::var_os(MARK).is_some_and(|mark| mark == dir.as_os_str()) {
        return None;
    }
    Some(match spawn_second_half(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, dir = %dir.display(), "no supervisor could be started");
            ExitCode::FAILURE
        }
    })
}

/// Starts a successor of this supervisor.
pub(crate) fn again(dir: &Path) -> io::Result<()> {
    spawn_marked(dir)
}

/// Name and value of the mark, for a supervisor that gives its processes an environment of their own.
pub(crate) fn marking(dir: &Path) -> (&'static str, &Path) {
    (MARK, dir)
}

/// The line in the environment of whatever the supervisor of this directory starts.
pub(crate) fn mark(dir: &Path) -> String {
    format!("{MARK}={}", dir.display())
}

fn spawn_second_half(dir: &Path) -> io::Result<()> {
    nix::unistd::setsid()?;
    spawn_marked(dir)
}

fn spawn_marked(dir: &Path) -> io::Result<()> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("supervisor.log"))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("plimsoll").args(std::env::args_os().skip(1)).env(MARK, dir);
    command.stdin(Stdio::inherit()).stdout(log.try_clone()?).stderr(log).spawn()?;
    Ok(())
}
