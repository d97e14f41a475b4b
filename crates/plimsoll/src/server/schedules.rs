//! Starts workflows by the clock: each minute, the runs that came due since the last look.
//!
//! What came due is taken on record before it is started, so that nothing starts twice; a server that dies in between leaves it out.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::Timestamp;
use host::dirs::Dirs;
use host::schedules::{Kept, Schedules};

use crate::failure::{Doing, Result};
use crate::schedules::{Due, due};
use crate::world;

const MINUTE_MS: i64 = 60_000;

/// A machine that slept, or a clock that was set, is noticed by then.
const LOOK: Duration = Duration::from_secs(1);

/// A server that was away for longer leaves out what came due meanwhile, as GitHub does where it has too much to do.
const LATE_MAX_MS: u64 = 10 * 60_000;

/// Looks until the process ends.
pub fn start(dirs: Dirs) {
    tokio::spawn(async move {
        let mut looked = Timestamp::default();
        loop {
            let minute = minute(world::now());
            if minute != looked {
                looked = minute;
                let dirs = dirs.clone();
                let _ = tokio::task::spawn_blocking(move || look(&dirs, minute)).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// The last full one.
fn minute(now: Timestamp) -> Timestamp {
    Timestamp::from_ms(now.as_ms() / MINUTE_MS * MINUTE_MS)
}

fn look(dirs: &Dirs, minute: Timestamp) {
    let schedules = Schedules::new(dirs);
    let all = schedules.all().inspect_err(|error| tracing::error!(%error, "schedules can't be read")).unwrap_or_default();
    for kept in all {
        let name = kept.folder.display().to_string();
        match schedules.take(&kept.project, minute) {
            Ok(Some(since)) => {
                for due in fresh(due(&kept.folder, since, minute), minute, &name) {
                    if let Err(failure) = run(dirs, &kept, &due) {
                        tracing::error!(
                            folder = name,
                            file = due.file,
                            cron = due.cron,
                            "came due, and nothing started: {}",
                            failure.message
                        );
                    }
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(folder = name, %error, "whose schedules came due can't be written down, so nothing starts"),
        }
    }
}

/// Without those that came due too long ago.
fn fresh(all: Vec<Due>, minute: Timestamp, folder: &str) -> Vec<Due> {
    let (fresh, late): (Vec<Due>, Vec<Due>) = all.into_iter().partition(|due| minute.since_ms(due.at) <= LATE_MAX_MS);
    for due in late {
        tracing::warn!(folder, file = due.file, cron = due.cron, at = %due.at, "came due while no server ran, and is left out");
    }
    fresh
}

/// As a person would run it, with a process and a record of its own.
fn run(dirs: &Dirs, kept: &Kept, due: &Due) -> Result<()> {
    let mut child = spawn(dirs, kept, due).doing("start the run")?;
    tracing::info!(folder = %kept.folder.display(), file = due.file, cron = due.cron, pid = child.id(), "came due and is started");
    let event = serde_json::json!({ "schedule": due.cron }).to_string();
    let file = due.file.clone();
    std::thread::spawn(move || {
        // One that ends before it has read it says why by its exit code.
        child.stdin.take().map(|mut stdin| stdin.write_all(event.as_bytes()));
        match child.wait().map(|status| status.code()) {
            Ok(Some(0)) => {}
            ended => tracing::warn!(file, ?ended, "a run that a schedule started has failed"),
        }
    });
    Ok(())
}

fn spawn(dirs: &Dirs, kept: &Kept, due: &Due) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["--quiet", "run", &due.file, "--event", "schedule", "--event-file", "/dev/stdin"])
        .current_dir(&kept.folder)
        .env("PLIMSOLL_STATE_DIR", dirs.state())
        .env("PLIMSOLL_ACTOR", &kept.by)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
