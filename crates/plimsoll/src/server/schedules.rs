//! Starts workflows by the clock: each minute, the runs that came due since the last look.
//!
//! What came due is taken on record before it is started, so that nothing starts twice; a server that dies in between leaves it out.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::Timestamp;
use host::dirs::Dirs;
use host::forge::App;
use host::schedules::{Kept, Schedules};
use host::secrets::SecretStore;

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
        let mut looked: Option<Timestamp> = None;
        loop {
            let minute = minute(world::now());
            if looked != Some(minute) {
                let before = looked.replace(minute).filter(|before| *before < minute);
                let dirs = dirs.clone();
                let _ = tokio::task::spawn_blocking(move || look(&dirs, before, minute)).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// The last full one.
fn minute(now: Timestamp) -> Timestamp {
    Timestamp::from_ms(now.as_ms() / MINUTE_MS * MINUTE_MS)
}

/// `before` is when this server has looked last: what a file says since then is not for earlier moments.
fn look(dirs: &Dirs, before: Option<Timestamp>, minute: Timestamp) {
    let schedules = Schedules::new(dirs);
    let all = schedules.all().inspect_err(|error| tracing::error!(%error, "schedules can't be read")).unwrap_or_default();
    for kept in all {
        let folder = kept.folder.display().to_string();
        if kept.looked_at.since_ms(minute) > LATE_MAX_MS {
            tracing::warn!(folder, at = %kept.looked_at, "a clock that was ahead has looked at its schedules; they are looked at from now on");
            let put_back = schedules.put_back(&kept.project, minute);
            put_back.unwrap_or_else(|error| tracing::error!(folder, %error, "that can't be written down"));
            continue;
        }
        let since = before.map_or(kept.looked_at, |before| before.max(kept.looked_at));
        let due = fresh(due(&kept.folder, since, minute), minute, &folder);
        if due.is_empty() {
            continue;
        }
        match schedules.take(&kept.project, minute) {
            Ok(true) => due.iter().for_each(|due| run(dirs, &kept, due)),
            Ok(false) => {}
            Err(error) => tracing::error!(folder, %error, "what came due can't be written down, so it is not started"),
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

/// As a person would run it, with a process and a record of its own, and with the project's secrets.
fn run(dirs: &Dirs, kept: &Kept, due: &Due) {
    let (folder, file) = (kept.folder.display().to_string(), due.file.clone());
    let mut child = match spawn(dirs, kept, due) {
        Ok(child) => child,
        Err(error) => return tracing::error!(folder, file, cron = due.cron, %error, "came due, and can't be started"),
    };
    tracing::info!(folder, file, cron = due.cron, pid = child.id(), "came due and is started");
    let event = serde_json::json!({ "schedule": due.cron }).to_string();
    std::thread::spawn(move || {
        // One that ends before it has read it says why by its exit code.
        child.stdin.take().map(|mut stdin| stdin.write_all(event.as_bytes()));
        match child.wait().map(|status| status.code()) {
            Ok(Some(0)) => {}
            ended => tracing::warn!(folder, file, ?ended, "a run that a schedule started has failed"),
        }
    });
}

fn spawn(dirs: &Dirs, kept: &Kept, due: &Due) -> std::io::Result<Child> {
    let secrets = SecretStore::new(dirs).list(&kept.project).map_err(std::io::Error::other)?;
    let mut names: Vec<&str> = secrets.iter().filter(|it| it.scope.environment.is_none()).map(|it| it.name.as_str()).collect();
    names.dedup();
    // This very program, also where another lies in its place since.
    Command::new("/proc/self/exe")
        .args(["--quiet", "run", &due.file, "--event", "schedule", "--event-file", "/dev/stdin"])
        .args(names.iter().flat_map(|name| ["--secret", name]))
        .args(App::of(dirs).map(|_| "--token"))
        .current_dir(&kept.folder)
        .env("PLIMSOLL_STATE_DIR", dirs.state())
        .env("PLIMSOLL_ACTOR", &kept.by)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // What it says of files and of what it leaves out goes to the server's log.
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_due_long_ago_is_left_out() {
        let due = |at| Due { file: "a.yml".into(), cron: "* * * * *".into(), at: Timestamp::from_ms(at) };
        let minute = Timestamp::from_ms(20 * MINUTE_MS);
        assert_eq!(fresh(vec![due(9 * MINUTE_MS), due(10 * MINUTE_MS), due(20 * MINUTE_MS)], minute, "/p").len(), 2);
    }

    #[test]
    fn nothing_starts_before_it_is_written_down_or_for_a_clock_that_was_ahead() {
        let state = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(state.path()).unwrap();
        let schedules = Schedules::new(&dirs);
        let ahead = Timestamp::from_ms(100 * MINUTE_MS);
        let kept = Kept { project: "p".into(), folder: "/nowhere".into(), by: "ana".into(), at: ahead, looked_at: ahead };
        schedules.keep(kept).unwrap();
        let now = Timestamp::from_ms(20 * MINUTE_MS);
        look(&dirs, None, now);
        assert_eq!(schedules.all().unwrap()[0].looked_at, now, "put back, or nothing would ever start");
        look(&dirs, Some(now), Timestamp::from_ms(21 * MINUTE_MS));
        assert_eq!(schedules.all().unwrap()[0].looked_at, now, "nothing came due, so nothing is written");
    }
}
