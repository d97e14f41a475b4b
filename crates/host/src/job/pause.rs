//! A job that is held where a step has failed, so that somebody can look around.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cancel::Cancel;

/// How often we look whether somebody said that it goes on.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What a shell in a failed step's place needs.
#[derive(Debug, Clone)]
pub struct Paused {
    /// The number of the step as it is shown.
    pub step: u32,
    pub name: String,
    /// `exited with 1`; masked.
    pub reason: String,
    /// As the step had it, secrets included.
    pub env: BTreeMap<String, String>,
    pub directory: PathBuf,
    /// `sh FILE` opens `$SHELL` there; readable by the owner alone, and gone when the job goes on.
    pub script: PathBuf,
    /// The job goes on as soon as there is such a file.
    pub go_on: PathBuf,
}

/// Where the last process of a lane was.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) step: u32,
    pub(super) env: BTreeMap<String, String>,
    pub(super) directory: String,
}

impl Paused {
    pub(super) fn new(last: Last, name: String, reason: String, temp: &Path) -> io::Result<Paused> {
        let (script, go_on) = (temp.join("paused.sh"), temp.join("go-on"));
        let paused = Paused { step: last.step, name, reason, env: last.env, directory: last.directory.into(), script, go_on };
        fs::create_dir_all(temp)?;
        let _ = fs::remove_file(&paused.go_on);
        let _ = fs::remove_file(&paused.script);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&paused.script)?;
        file.write_all(paused.text().as_bytes())?;
        Ok(paused)
    }

    fn text(&self) -> String {
        let mut text = format!("cd {} || exit\nexec env -i", quoted(&self.directory.to_string_lossy()));
        for (name, value) in &self.env {
            text.push_str(&format!(" \\\n  {}", quoted(&format!("{name}={value}"))));
        }
        text.push_str(" \\\n  TERM=\"$TERM\" \"${SHELL:-/bin/sh}\"\n");
        text
    }

    /// Until somebody says that the job goes on, or cancels it.
    pub(super) fn wait(&self, cancel: &Cancel) {
        let known = cancel.requested();
        while !self.go_on.exists() && cancel.requested() == known {
            let mut fds: Vec<PollFd<'_>> =
                cancel.more_than(known).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).into_iter().collect();
            let timeout = Timespec::try_from(LOOK_AGAIN).ok();
            let _ = poll(&mut fds, timeout.as_ref());
        }
    }

    pub(super) fn end(&self) {
        let _ = fs::remove_file(&self.script);
        let _ = fs::remove_file(&self.go_on);
    }
}

/// How long something took besides its result.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let it = work();
    (it, began.elapsed())
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
