//! The application's processes: started in a group of their own, heard, and ended to the last one.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;

use super::lines::Stream;
use super::log::Log;
use super::status::Wanted;
use crate::supervise::job::now;
use crate::supervise::launch;
use crate::supervise::process::{all, descendants, reap_children_except, sweep_descendants};

/// A running application. This process is a subreaper, so whatever the application starts stays below it.
#[derive(Debug)]
pub(super) struct App {
    pid: i32,
    /// Comes when nobody can write to the log any more.
    heard: Option<oneshot::Receiver<()>>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

/// What of our own environment an application gets to see; the rest is its plan's, so that every start is the same.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

impl App {
    pub(super) fn start(wanted: &Wanted, dir: &Path, port: u16, log: &Arc<Mutex<Log>>) -> io::Result<App> {
        let (output, input) = io::pipe()?;
        let (errors, errors_input) = io::pipe()?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(&wanted.plan.command).current_dir(&wanted.files).process_group(0);
        command.stdin(Stdio::null()).stdout(input).stderr(errors_input);
        command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("PORT", port.to_string()).env("HOST", "127.0.0.1");
        command.env("PLIMSOLL_REVISION", &wanted.plan.revision.0).env("PLIMSOLL_INSTANCE", &wanted.name);
        command.envs(&wanted.plan.env);
        let (name, value) = launch::marking(dir);
        command.env(name, value);
        let mut child = command.spawn()?;
        // Ours are closed, so that the log ends with the application.
        drop(command);
        let log = Arc::clone(log);
        let (tell, heard) = oneshot::channel();
        std::thread::Builder::new().name("log".into()).spawn(move || {
            keep([(Stream::Stdout, output), (Stream::Stderr, errors)], &log);
            tell.send(())
        })?;
        let pid = child.id().cast_signed();
        let (tell, ended) = oneshot::channel();
        std::thread::Builder::new().name("wait".into()).spawn(move || tell.send(child.wait()))?;
        Ok(App { pid, heard: Some(heard), ended })
    }

    /// How it ended, in words: `exited with 1`, `was killed by signal 9`.
    pub(super) async fn ended(&mut self) -> String {
        match (&mut self.ended).await {
            Ok(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "ended".to_string(),
            },
            _ => "ended".to_string(),
        }
    }

    /// The application's processes, also those that left its group.
    pub(super) fn processes() -> Vec<i32> {
        let all = all();
        let below = descendants(std::process::id().cast_signed(), &all);
        below.into_iter().filter(|pid| all.get(pid).is_some_and(crate::supervise::process::Stat::lives)).collect()
    }

    /// SIGTERM, the grace period, SIGKILL; none of its processes is left when this returns.
    pub(super) async fn stop(&mut self, grace: Duration) {
        if let Some(group) = Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process_group(group, Signal::TERM);
        }
        let until = Instant::now() + grace;
        while !App::processes().is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill().await;
    }

    /// Kills what is left of it and waits until its last word is in the log.
    pub(super) async fn kill(&mut self) {
        sweep_descendants();
        if let Some(heard) = self.heard.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), heard).await;
        }
    }

    /// Takes away ended processes that lost their parent; the application's own end is waited for elsewhere.
    pub(super) fn reap_adopted(&self) {
        reap_children_except(self.pid);
    }
}

/// Both at a time by one reader: what is said one after the other is kept in that order, a burst of both apart.
fn keep(streams: [(Stream, io::PipeReader); 2], log: &Mutex<Log>) {
    let mut open = Vec::from(streams);
    let mut chunk = vec![0; 65_536];
    while !open.is_empty() {
        let mut waiting: Vec<PollFd<'_>> = open.iter().map(|(_, output)| PollFd::new(output, PollFlags::IN)).collect();
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        let ready: Vec<bool> = waiting.iter().map(|it| !it.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain_mut(|(stream, output)| {
            if ready.next() != Some(true) {
                return true;
            }
            match output.read(&mut chunk) {
                Ok(0) => false,
                Ok(count) => {
                    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write(*stream, &chunk[..count], now());
                    true
                }
                Err(error) => error.kind() == io::ErrorKind::Interrupted,
            }
        });
    }
}
