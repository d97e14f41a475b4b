//! The supervisor of one job: claims it, runs its body, kills what the body left, leaves the outcome.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Timestamp;
use engine::world::{JobStart, Stop};
use workflow::job::{Conclusion, JobOutcome};

use super::cgroup::{self, Group, Limits};
use super::claim::Claim;
use super::process::sweep_descendants;
use super::signals::{self, Cancel};
use super::spool::Spool;
use super::{launch, process};

/// Names to values; handed over through a pipe, never stored.
pub type Secrets = BTreeMap<String, String>;

/// What a job does once it is its turn.
pub trait Body {
    fn run(&mut self, work: Work<'_>) -> JobOutcome;
}

#[derive(Debug)]
pub struct Work<'a> {
    pub start: &'a JobStart,
    /// The job's own directory.
    pub dir: &'a Path,
    pub secrets: &'a Secrets,
    pub spool: &'a mut Spool,
    pub cancel: Cancel,
}

/// A body that was told to end at once and doesn't is ended from outside after this time.
const AT_ONCE_MAX: Duration = Duration::from_secs(10);
/// How long an outcome that can't be written (a full disk) is tried again before it is given up and the job is lost.
const FINISH_MAX: Duration = Duration::from_secs(300);

/// Becomes the supervisor of the job in `dir`: `plimsoll supervise job DIR`.
pub fn main(dir: &Path, body: &mut dyn Body, limits: Limits) -> ExitCode {
    if let Some(code) = launch::detach(dir) {
        return code;
    }
    match supervise(dir, body, limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, dir = %dir.display(), "the job's supervisor can't go on");
            ExitCode::FAILURE
        }
    }
}

fn supervise(dir: &Path, body: &mut dyn Body, limits: Limits) -> io::Result<()> {
    let claim = Claim::at(dir);
    let started = now();
    let start: JobStart = serde_json::from_slice(&claim.spec().map_err(io::Error::other)?)?;
    // A starter that died half-way hands over half a document: then nobody claims, and a repeated start starts us again.
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let secrets: Secrets = serde_json::from_slice(&input)?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let cancel = signals::listen()?;
    let mut spool = Spool::open(dir)?;
    if !claim.take().map_err(io::Error::other)? {
        return Ok(());
    }
    let group = Group::enter(&cgroup::name(dir), limits);
    if let Err(error) = group.note(dir) {
        tracing::warn!(%error, "the job's control group can't be noted");
    }
    let ending = Ending { claim: claim.clone(), started, done: Arc::default(), group: Arc::new(Mutex::new(group)) };
    let watchdog = ending.clone();
    let watched = cancel.clone();
    std::thread::Builder::new().name("watchdog".into()).spawn(move || end_by_force(watched, &watchdog))?;
    let work = Work { start: &start, dir, secrets: &secrets, spool: &mut spool, cancel };
    let outcome = catch_unwind(AssertUnwindSafe(|| body.run(work)))
        .unwrap_or_else(|_| ending.outcome(Conclusion::Failure, "the job's executor broke; this is a mistake in Plimsoll"));
    if let Err(error) = spool.sync() {
        tracing::warn!(%error, "the job's logs may not be complete on disk");
    }
    ending.end(&outcome)
}

/// The end of a job, come to once: by its body, or by force.
#[derive(Debug, Clone)]
struct Ending {
    claim: Claim,
    started: Timestamp,
    done: Arc<Mutex<bool>>,
    group: Arc<Mutex<Group>>,
}

impl Ending {
    /// Kills what is left, so that "finished" means that nothing of the job runs; then leaves the outcome.
    fn end(&self, outcome: &JobOutcome) -> io::Result<()> {
        let mut done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *done {
            return Ok(());
        }
        *done = true;
        self.group.lock().unwrap_or_else(std::sync::PoisonError::into_inner).end();
        sweep_descendants();
        let bytes = serde_json::to_vec(outcome)?;
        let until = Instant::now() + FINISH_MAX;
        loop {
            match self.claim.finish(&bytes) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(io::Error::other(error)),
                Err(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    fn outcome(&self, conclusion: Conclusion, reason: &str) -> JobOutcome {
        JobOutcome {
            conclusion,
            outputs: BTreeMap::new(),
            reason: Some(reason.to_string()),
            started: self.started,
            finished: now(),
            annotations: Vec::new(),
        }
    }
}

/// Ends the process when the body was told to end at once and does not.
fn end_by_force(mut cancel: Cancel, ending: &Ending) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    if runtime.block_on(cancel.wait_for(|asked| *asked == Some(Stop::AtOnce))).is_err() {
        return;
    }
    std::thread::sleep(AT_ONCE_MAX);
    let outcome = ending.outcome(Conclusion::Cancelled, "ended by force after it was told to stop at once");
    let _ = ending.end(&outcome);
    std::process::exit(0);
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Kills what a dead supervisor of the job left running.
pub fn sweep_lost(dir: &Path, supervisor: &process::Process) {
    cgroup::end_abandoned(dir);
    process::sweep_abandoned(supervisor, &launch::mark(dir));
    crate::container::remove_of_lost(&dir.join("temp"));
}
