//! The life of an instance's supervisor: lock, claim, then start the application again and again while it is wanted.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::world::Stop;
use rollout::InstancePhase;
use tokio::sync::oneshot;

use super::app::{App, Ended};
use super::backoff::Backoff;
use super::container;
use super::log::{self, Log};
use super::port;
use super::status::{self, Status, Wanted};
use super::watch::{Seen, Watch};
use crate::container::restore;
use crate::supervise::job::now;
use crate::supervise::signals::{self, Cancel};
use crate::supervise::{launch, process};

/// A successor waits so long for a predecessor that is about to end.
const LOCK_MAX: Duration = Duration::from_secs(2);
/// How the kernel ends what uses too much.
const KILLED: &str = "was killed by signal 9";
/// Between two tries with an engine that fails or hangs.
const ENGINE_RETRY: Duration = Duration::from_secs(1);
/// How often processes that lost their parent are taken away.
const REAP: Duration = Duration::from_secs(10);

pub(super) fn supervise(dir: &Path) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    let cancel = signals::listen()?;
    let Some(lock) = lock(dir)? else { return Ok(()) };
    if let Some(before) = status::supervisor(dir)? {
        process::sweep_abandoned(&before, &launch::mark(dir));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut supervisor = Supervisor::new(dir, cancel);
    // Before the claim: together with it, the last words of a predecessor would pass for ours.
    supervisor.say(InstancePhase::Starting, None);
    status::claim(dir)?;
    runtime.block_on(supervisor.run())?;
    // Somebody may have wanted it again while it was stopping, and found us still alive; later ones find nobody.
    status::unclaim(dir)?;
    drop(lock);
    if supervisor.unwanted && Wanted::read(dir)?.is_some_and(|it| it.wanted) {
        launch::again(dir)?;
    }
    Ok(())
}

/// The kernel lets go of it when the process ends, however it ends.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("lock"))?;
    let until = Instant::now() + LOCK_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() > until => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

struct Supervisor {
    dir: PathBuf,
    cancel: Cancel,
    status: Status,
    written: Option<Status>,
    backoff: Backoff,
    /// Why the last start came to its end; told until the next one is ready.
    crash: Option<String>,
    /// Between two tries to have its image again.
    missing: Backoff,
    /// Why it was started again the last time, once it is ready again.
    restarted: Option<String>,
    unwanted: bool,
}

/// How one start of the application came to its end.
enum End {
    Stopped,
    Failed {
        why: String,
        ready: Duration,
    },
    /// The engine did not do what it was asked for, which is no crash of the application.
    Unstarted {
        why: String,
    },
}

impl Supervisor {
    fn new(dir: &Path, cancel: Cancel) -> Supervisor {
        // Restarts go on counting over a supervisor's death; a wish that was taken back and made again begins anew.
        let restarts = Status::read(dir).ok().flatten().filter(|it| it.phase != InstancePhase::Stopped).map_or(0, |it| it.restarts + 1);
        let status = Status { phase: InstancePhase::Starting, address: None, restarts, message: None, since: now() };
        Supervisor {
            dir: dir.to_path_buf(),
            cancel,
            status,
            written: None,
            backoff: Backoff::default(),
            crash: None,
            missing: Backoff::default(),
            restarted: None,
            unwanted: false,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            let wanted = Wanted::read(&self.dir)?.filter(|it| it.wanted);
            self.unwanted = wanted.is_none();
            let stopped = self.cancel.borrow().is_some();
            let Some(wanted) = wanted.filter(|_| !stopped) else {
                if let Err(error) = container::removed(&self.dir).await {
                    tracing::warn!(%error, "it is noted for whoever comes next");
                }
                self.say(InstancePhase::Stopped, self.crash.clone());
                return Ok(());
            };
            let end = match self.live(&wanted).await {
                Ok(end) => end,
                Err(error) => End::Failed { why: format!("could not be started: {error}"), ready: Duration::ZERO },
            };
            if let End::Unstarted { why } = &end {
                self.say(InstancePhase::Starting, Some(why.clone()));
                let pause = self.restore(&wanted).await;
                let _ = tokio::time::timeout(pause, self.cancel.wait_for(Option::is_some)).await;
            }
            if let End::Failed { why, ready } = end {
                self.crash = Some(why.clone());
                let pause = self.backoff.next(ready);
                self.say(InstancePhase::BackingOff, Some(why));
                let _ = tokio::time::timeout(pause, self.cancel.wait_for(Option::is_some)).await;
                if self.cancel.borrow().is_none() {
                    self.status.restarts += 1;
                }
            }
        }
    }

    /// Has the image again that somebody took away while nothing ran on it, as before a reboot; how long to wait before the next start.
    async fn restore(&mut self, wanted: &Wanted) -> Duration {
        let (Some(container), Some(engine)) = (wanted.plan.container.clone(), wanted.engine.clone()) else { return ENGINE_RETRY };
        let (tell, told) = oneshot::channel();
        // A thread of its own, which nobody waits for who is told to stop.
        let asked = std::thread::Builder::new().name("image".into()).spawn(move || tell.send(restore(&engine, &container)));
        if asked.is_err() {
            return ENGINE_RETRY;
        }
        let restored = tokio::select! {
            restored = told => restored,
            _ = self.cancel.wait_for(Option::is_some) => return Duration::ZERO,
        };
        match restored {
            Ok(Err(why)) => {
                self.say(InstancePhase::Starting, Some(why));
                self.missing.next(Duration::ZERO)
            }
            Ok(Ok(was_missing)) => {
                self.missing = Backoff::default();
                if was_missing { Duration::ZERO } else { ENGINE_RETRY }
            }
            Err(_) => ENGINE_RETRY,
        }
    }

    /// Starts the application once and stays with it to its end.
    async fn live(&mut self, wanted: &Wanted) -> io::Result<End> {
        let plan = &wanted.plan;
        // Of an earlier start, or of a supervisor that was killed: there is never a second one.
        if container::is_noted(&self.dir)
            && let Err(error) = container::removed(&self.dir).await
        {
            return Ok(End::Unstarted { why: error.to_string() });
        }
        let port = match plan.fixed_port {
            Some(port) => port,
            None => port::choose(&wanted.ports, &self.dir)?,
        };
        let log = Log::open(&self.dir, plan.log_max_bytes)?;
        let said_before = log.end();
        let log = Arc::new(Mutex::new(log));
        let inside = plan.container.as_ref().map(|container| container.port.unwrap_or(port));
        let taken = inside.is_none() && tokio::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await.is_ok();
        let mut watch = match inside {
            Some(inside) => Watch::of_container(plan.probes.clone(), port, inside),
            None => Watch::new(plan.probes.clone(), port, plan.fixed_port.is_some(), taken),
        };
        let mut app = App::start(wanted, &self.dir, port, &log)?;
        self.status.address = Some(watch.address().to_string());
        self.say(InstancePhase::Starting, self.crash.clone());
        let grace = Duration::from_millis(plan.grace_ms);
        let mut ready: Option<Instant> = None;
        let mut reaped = Instant::now();
        loop {
            let seen = tokio::select! {
                ended = app.ended() => {
                    app.kill().await;
                    let said = log::last_line(&self.dir, said_before);
                    let how = match ended {
                        Ended::Engine { always } if always || said.as_ref().is_some_and(|line| line.starts_with("docker:")) => {
                            return Ok(End::Unstarted { why: unstarted(said) });
                        }
                        Ended::Engine { .. } => "exited with 125".to_string(),
                        Ended::App(how) => how,
                    };
                    let is_limited = plan.container.as_ref().is_some_and(|container| container.memory_bytes.is_some());
                    let how = if is_limited && how == KILLED { format!("{KILLED}, as one is that uses more than its `memory`") } else { how };
                    let why = said
                        .map_or_else(|| format!("{how} without a word of why"), |line| format!("{how}: {}", explained(&line, plan.fixed_port)));
                    return Ok(End::Failed { why, ready: ready.map_or(Duration::ZERO, |since| since.elapsed()) });
                }
                how = asked(&mut self.cancel) => {
                    self.say(InstancePhase::NotReady, Some("stopping".into()));
                    self.stop(&mut app, how, grace).await;
                    return Ok(End::Stopped);
                }
                seen = watch.next() => seen,
            };
            self.status.address = Some(watch.address().to_string());
            if let Some(inside) = app.inside().filter(|_| ready.is_none())
                && !inside.is_started()
            {
                watch.begin_anew();
                let slow = inside.slow();
                if inside.hangs() {
                    app.kill().await;
                    return Ok(End::Unstarted { why: slow.unwrap_or_default() });
                }
                self.say(InstancePhase::Starting, self.crash.clone().or(slow));
                continue;
            }
            match seen {
                Seen::Unchanged => {}
                Seen::Starting(why) => self.say(InstancePhase::Starting, self.crash.clone().or(Some(why))),
                Seen::Ready(note) => {
                    ready.get_or_insert_with(Instant::now);
                    self.restarted = self.crash.take().or(self.restarted.take());
                    let restarted = self.restarted.as_ref().map(|why| format!("last restart: {why}"));
                    let told: Vec<String> = restarted.into_iter().chain(note).collect();
                    self.say(InstancePhase::Ready, (!told.is_empty()).then(|| told.join("; ")));
                }
                Seen::NotReady(why) => self.say(InstancePhase::NotReady, Some(why)),
                // What its engine is about to tell of the end is the reason, and not that nobody answers since.
                Seen::Unhealthy(_) if app.inside().is_some_and(|inside| inside.is_ending()) => {}
                Seen::Unhealthy(why) => {
                    self.say(InstancePhase::NotReady, Some(why.clone()));
                    app.stop(grace).await;
                    return Ok(End::Failed { why, ready: ready.map_or(Duration::ZERO, |since| since.elapsed()) });
                }
            }
            if reaped.elapsed() > REAP {
                app.reap_adopted();
                reaped = Instant::now();
            }
        }
    }

    /// Politely, unless it is told to hurry before the grace period is over.
    async fn stop(&mut self, app: &mut App, how: Stop, grace: Duration) {
        if how == Stop::AtOnce {
            return app.kill().await;
        }
        let hurried = tokio::select! {
            () = app.stop(grace) => false,
            _ = self.cancel.wait_for(|asked| *asked == Some(Stop::AtOnce)) => true,
        };
        if hurried {
            app.kill().await;
        }
    }

    fn say(&mut self, phase: InstancePhase, message: Option<String>) {
        if self.status.phase != phase {
            self.status.since = now();
        }
        (self.status.phase, self.status.message) = (phase, message);
        if self.written.as_ref() == Some(&self.status) {
            return;
        }
        self.written = Some(self.status.clone());
        if let Err(error) = self.status.write(&self.dir) {
            tracing::warn!(%error, "the instance's status can't be written");
        }
    }
}

fn unstarted(said: Option<String>) -> String {
    said.map_or_else(
        || "could not be started, and its engine says nothing of why".to_string(),
        |line| format!("could not be started: {line}"),
    )
}

/// The last words of an application, with what a person can do where they are known.
fn explained(line: &str, fixed_port: Option<u16>) -> String {
    let lower = line.to_lowercase();
    if ["address already in use", "eaddrinuse", "is in use by another program"].iter().any(|words| lower.contains(words)) {
        return match fixed_port {
            Some(port) => format!("{line}; somebody else has port {port}: `ss -ltnp 'sport = :{port}'` names it"),
            None => format!(
                "{line}; somebody else has that port, perhaps the version before: let it listen on $PORT, or name it by `port:` in plimsoll.yaml, and one version is replaced by the other in its place"
            ),
        };
    }
    if lower.starts_with("modulenotfounderror") {
        return format!(
            "{line}; Python's packages are those of this machine, and submodules are not fetched: install what it needs, or let a workflow leave a folder that has it"
        );
    }
    line.to_string()
}

async fn asked(cancel: &mut Cancel) -> Stop {
    match cancel.wait_for(Option::is_some).await {
        Ok(asked) => asked.expect("it was waited for"),
        // The listening thread never ends; if it did, nobody could ask any more.
        Err(_) => std::future::pending().await,
    }
}
