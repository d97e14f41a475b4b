//! One instance of a revision: its application is started, probed, restarted and stopped by a supervisor that outlives the server.
//!
//! ```text
//! instances/SCOPE/REV/files/            the artifact, unpacked once
//! instances/SCOPE/REV/0/wanted.json     what shall be; written by whoever drives, read by the supervisor
//!                      /status.json     what is; the other way round
//!                      /lock            held by the supervisor as long as it lives
//!                      /claim.json      who that is
//!                      /port.json       its port, kept from start to start
//!                      /log.OFFSET      the newest two pieces of what it says
//!                      /marks.OFFSET    when it said what is in them, and where
//!                      /container.json  and what else its container needs, where it runs in one
//! ```

mod app;
mod backoff;
pub(crate) mod container;
pub mod lines;
mod listening;
pub mod log;
mod port;
pub(crate) mod probe;
mod status;
mod supervising;
mod watch;

use std::path::Path;
use std::process::ExitCode;

pub(crate) use status::supervisor;
pub use status::{Status, Wanted};

use crate::supervise::launch;

/// Becomes the supervisor of the instance in `dir`: `plimsoll supervise instance DIR`.
pub fn main(dir: &Path) -> ExitCode {
    if let Some(code) = launch::detach(dir) {
        return code;
    }
    match supervising::supervise(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, dir = %dir.display(), "the instance's supervisor can't go on");
            ExitCode::FAILURE
        }
    }
}

/// The same as a number, for a caller that ends with one.
pub fn supervise(dir: &Path) -> u8 {
    u8::from(main(dir) != ExitCode::SUCCESS)
}
