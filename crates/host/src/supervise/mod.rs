//! Small processes that outlive the server: one per job and per instance.
//!
//! The server is nobody's parent. When it dies, jobs and instances go on; when it comes back it finds them by claim, process and
//! start time. That is how "at most once" and "survives kill -9" are both true.

pub mod cgroup;
pub mod claim;
pub mod durable;
pub mod job;
pub mod launch;
pub mod process;
pub mod signals;
pub mod spool;

pub use cgroup::Limits;
pub use claim::{Claim, State};
pub use launch::Launcher;
pub use process::Process;

use engine::world::Stop;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Claim(#[from] claim::Error),
    #[error(transparent)]
    Launch(#[from] launch::Error),
    #[error("signal the supervisor of `{}`", dir.display())]
    Signal { dir: std::path::PathBuf, source: std::io::Error },
}

/// Makes the start durable, then starts a supervisor unless the thing was claimed already. Any number may do so at the same time.
pub fn start(launcher: &Launcher, kind: &str, claim: &Claim, spec: &[u8], input: &[u8]) -> Result<(), Error> {
    if !matches!(claim.state()?, State::Absent | State::Accepted) {
        return Ok(());
    }
    claim.accept(spec)?;
    Ok(launcher.launch(kind, claim.dir(), input)?)
}

/// Asks whoever runs it to stop; what nobody runs yet can't be started any more.
pub fn stop(claim: &Claim, how: Stop) -> Result<(), Error> {
    loop {
        match claim.state()? {
            State::Absent | State::Accepted => {
                if claim.forbid()? {
                    return Ok(());
                }
            }
            State::Running(process) => {
                let signalled = process.signal(signals::signal_for(how));
                return signalled.map(drop).map_err(|source| Error::Signal { dir: claim.dir().to_path_buf(), source });
            }
            State::Finished | State::Forbidden | State::Lost(_) => return Ok(()),
        }
    }
}
