//! The application: started as a group of processes or in a container, heard, and ended to the last process of it.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;

use super::container::Inside;
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
    /// Then the process is the engine's, which ends with the container.
    inside: Option<Inside>,
}

/// Who came to an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In words.
    App(String),
    /// The engine, without having started anything. Docker doesn't tell that from an application which ends with the same number: then what
    /// was said last has to be the engine's own.
    Engine { always: bool },
}

/// What of our own environment an application gets to see; the rest is its plan's, so that every start is the same.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

impl App {
    pub(super) fn start(wanted: &Wanted, dir: &Path, port: u16, log: &Arc<Mutex<Log>>) -> io::Result<App> {
        let (output, input) = io::pipe()?;
        let (errors, errors_input) = io::pipe()?;
        let (inside, mut command) = match &wanted.plan.container {
            None => (None, process(wanted, dir, port)),
            Some(container) => {
                let (inside, command) = Inside::new(wanted, container, dir, port)?;
                (Some(inside), command)
            }
        };
        command.process_group(0).stdin(Stdio::null()).stdout(input).stderr(errors_input);
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
        Ok(App { pid, heard: Some(heard), ended, inside })
    }

    /// How it ended, in words: `exited with 1`, `was killed by signal 9`.
    pub(super) async fn ended(&mut self) -> Ended {
        let ended = (&mut self.ended).await;
        let is_contained = self.inside.is_some();
        let has_failed = matches!(&ended, Ok(Ok(status)) if status.code() == Some(ENGINE_FAILED));
        if let Some(inside) = self.inside.as_ref().filter(|_| has_failed)
            && !inside.was_begun()
        {
            return Ended::Engine { always: inside.tells_process() };
        }
        Ended::App(match ended {
            Ok(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) if is_contained && code > SIGNALLED => format!("was killed by signal {}", code - SIGNALLED),
                (Some(code), _) => format!("exited with {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "ended".to_string(),
            },
            _ => "ended".to_string(),
        })
    }

    /// The application's processes, also those that left its group.
    pub(super) fn processes() -> Vec<i32> {
        let all = all();
        let below = descendants(std::process::id().cast_signed(), &all);
        below.into_iter().filter(|pid| all.get(pid).is_some_and(crate::supervise::process::Stat::lives)).collect()
    }

    /// The container, where it is in one.
    pub(super) fn inside(&mut self) -> Option<&mut Inside> {
        self.inside.as_mut()
    }

    /// SIGTERM, the grace period, SIGKILL; none of its processes is left when this returns.
    pub(super) async fn stop(&mut self, grace: Duration) {
        if self.inside.is_some() {
            self.leave(grace).await;
            return self.kill().await;
        }
        if let Some(group) = Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process_group(group, Signal::TERM);
        }
        let until = Instant::now() + grace;
        while !App::processes().is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill().await;
    }

    /// The polite part of it for a container. One that is just being started is waited for first: it would come up behind our back.
    async fn leave(&mut self, grace: Duration) {
        let Some(inside) = &mut self.inside else { return };
        let until = Instant::now() + grace.max(ENGINE_GRACE);
        while !inside.is_started() && !is_over(&mut self.ended) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        let until = Instant::now() + grace;
        inside.ask_to_end().await;
        while !is_over(&mut self.ended) && !inside.is_deaf() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills what is left of it and waits until its last word is in the log.
    pub(super) async fn kill(&mut self) {
        match &self.inside {
            None => sweep_descendants(),
            Some(inside) => {
                inside.kill();
                let until = Instant::now() + ENGINE_GRACE;
                while !is_over(&mut self.ended) && Instant::now() < until {
                    tokio::time::sleep(LOOK).await;
                }
                // Else it may be about to make what is removed here.
                if let (false, Some(group)) = (is_over(&mut self.ended), Pid::from_raw(self.pid)) {
                    let _ = rustix::process::kill_process_group(group, Signal::KILL);
                }
                if let Err(error) = inside.remove().await {
                    tracing::warn!(%error, "it is noted for whoever comes next");
                }
            }
        }
        if let Some(heard) = self.heard.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), heard).await;
        }
    }

    /// Takes away ended processes that lost their parent; the application's own end is waited for elsewhere.
    pub(super) fn reap_adopted(&self) {
        reap_children_except(self.pid);
    }
}

/// Between two looks at what is about to end.
const LOOK: Duration = Duration::from_millis(10);
/// What an engine gets to see to what it was asked for.
const ENGINE_GRACE: Duration = Duration::from_secs(10);
/// With which both engines end when it is they who failed.
const ENGINE_FAILED: i32 = 125;
/// They tell of a signal as a shell does.
const SIGNALLED: i32 = 128;

fn process(wanted: &Wanted, dir: &Path, port: u16) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(&wanted.plan.command).current_dir(&wanted.files);
    command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("PORT", port.to_string()).env("HOST", "127.0.0.1");
    command.env("PLIMSOLL_REVISION", &wanted.plan.revision.0).env("PLIMSOLL_INSTANCE", &wanted.name);
    command.envs(&wanted.plan.env);
    let (name, value) = launch::marking(dir);
    command.env(name, value);
    command
}

fn is_over(ended: &mut oneshot::Receiver<io::Result<ExitStatus>>) -> bool {
    !matches!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty))
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
