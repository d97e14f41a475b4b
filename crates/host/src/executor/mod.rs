//! Jobs on this machine: a directory and a supervisor each.

mod body;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::world::{Executor, JobStart, Stop, WorldError};
use workflow::job::{Conclusion, JobId, JobOutcome, JobSeen};

pub use body::supervise;

use crate::blocking::blocking;
use crate::dirs::Dirs;
use crate::secrets::SecretsError;
use crate::supervise::job::{Secrets, now, sweep_lost};
use crate::supervise::process::boot;
use crate::supervise::spool::{self, Tail};
use crate::supervise::{Claim, Launcher, State, start, stop};

/// Where a job's secrets come from, or why they can't be had; asked once per launch, the answer goes through a pipe.
pub type SecretsOf = dyn Fn(&JobId, &JobStart) -> Result<Secrets, SecretsError> + Send + Sync;

/// Starts a supervisor per job and reads what it leaves. Any number of them may share a state directory.
#[derive(Clone)]
pub struct HostExecutor {
    dirs: Dirs,
    launcher: Launcher,
    secrets: Arc<SecretsOf>,
    known: Arc<Mutex<BTreeMap<JobId, Known>>>,
}

impl std::fmt::Debug for HostExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostExecutor").field("dirs", &self.dirs).field("launcher", &self.launcher).finish_non_exhaustive()
    }
}

/// What was read of a job so far, so that looking again is cheap.
#[derive(Debug, Default)]
struct Known {
    tail: Tail,
    launched: Option<Instant>,
    /// Finished is finished, lost is lost.
    end: Option<JobSeen>,
}

/// A supervisor that was launched claims within this time, or another one is launched by a repeated start.
const CLAIM_MAX: Duration = Duration::from_secs(10);

impl HostExecutor {
    pub fn new(dirs: Dirs) -> HostExecutor {
        HostExecutor { dirs, launcher: Launcher::own(["supervise"]), secrets: Arc::new(|_, _| Ok(Secrets::new())), known: Arc::default() }
    }

    /// Starts supervisors by another program than this one.
    #[must_use]
    pub fn with_launcher(self, launcher: Launcher) -> HostExecutor {
        HostExecutor { launcher, ..self }
    }

    #[must_use]
    pub fn with_secrets(self, secrets: Arc<SecretsOf>) -> HostExecutor {
        HostExecutor { secrets, ..self }
    }

    /// Everything a step said from an offset on, or without a step everything the job said. Empty at the end; to follow, ask again.
    pub fn log(&self, id: &JobId, step: Option<u32>, offset: u64) -> io::Result<Vec<u8>> {
        let dir = self.dirs.job(id);
        if !dir.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such job on this machine"));
        }
        match step {
            Some(_) => spool::log(&dir, step, offset, LOG_READ_MAX),
            None => spool::whole_log(&dir, offset, LOG_READ_MAX),
        }
    }

    fn start_now(&self, id: &JobId, job: &JobStart) -> Result<(), WorldError> {
        let failed = |error: &dyn std::error::Error| WorldError::new(format!("start job {id}"), chain(error));
        self.dirs.note_job(&job.artifacts, id).map_err(|error| failed(&error))?;
        let spec = serde_json::to_vec(job).map_err(|error| failed(&error))?;
        let secrets = (self.secrets)(id, job);
        let secrets =
            secrets.map_err(|error| WorldError::new(format!("start job {id}"), format!("{}; {}", chain(&error), error.hint())))?;
        let secrets = serde_json::to_vec(&secrets).map_err(|error| failed(&error))?;
        start(&self.launcher, "job", &self.claim(id), &spec, &secrets).map_err(|error| failed(&error))?;
        self.known.lock().expect("no holder panics").entry(id.clone()).or_default().launched = Some(Instant::now());
        Ok(())
    }

    fn observe_now(&self, id: &JobId) -> JobSeen {
        if let Some(end) = self.known.lock().expect("no holder panics").get(id).and_then(|known| known.end.clone()) {
            return end;
        }
        let claim = self.claim(id);
        let Ok(state) = claim.state() else { return JobSeen::Unknown };
        if let State::Lost(supervisor) = &state {
            // Lost means that nothing of it runs on.
            sweep_lost(claim.dir(), supervisor);
        }
        // Only now: what is said of the end must include the last steps.
        let mut all = self.known.lock().expect("no holder panics");
        let known = all.entry(id.clone()).or_default();
        if known.tail.read_on(claim.dir()).is_err() {
            return JobSeen::Unknown;
        }
        let steps = known.tail.steps();
        let seen = match state {
            State::Absent => JobSeen::Absent,
            // Whoever launched it may be gone: then it is as good as absent, and starting it again is safe.
            State::Accepted if known.launched.is_none_or(|launched| launched.elapsed() > CLAIM_MAX) => JobSeen::Absent,
            State::Accepted | State::Running(_) => JobSeen::Running { steps },
            State::Finished => match claim.exit().ok().flatten().and_then(|exit| serde_json::from_slice::<JobOutcome>(&exit).ok()) {
                Some(outcome) => JobSeen::Finished { outcome, steps },
                None => return JobSeen::Unknown,
            },
            State::Forbidden => JobSeen::Finished { outcome: never_begun(), steps },
            State::Lost(supervisor) => {
                let why = if supervisor.boot == boot() { "its supervisor was killed" } else { "the machine was restarted" };
                JobSeen::Lost { steps, reason: format!("{why} while it ran") }
            }
        };
        if matches!(seen, JobSeen::Finished { .. } | JobSeen::Lost { .. }) {
            known.end = Some(seen.clone());
        }
        seen
    }

    fn claim(&self, id: &JobId) -> Claim {
        Claim::at(self.dirs.job(id))
    }
}

/// What one look at a log returns at most.
const LOG_READ_MAX: u64 = 4 << 20;

#[async_trait]
impl Executor for HostExecutor {
    async fn start(&self, id: &JobId, job: &JobStart) -> Result<(), WorldError> {
        let (executor, id, job) = (self.clone(), id.clone(), job.clone());
        blocking("start a job", move || executor.start_now(&id, &job)).await
    }

    async fn observe(&self, id: &JobId) -> JobSeen {
        let (executor, id) = (self.clone(), id.clone());
        blocking("observe a job", move || Ok(executor.observe_now(&id))).await.unwrap_or(JobSeen::Unknown)
    }

    async fn stop(&self, id: &JobId, how: Stop) -> Result<(), WorldError> {
        let (claim, id) = (self.claim(id), id.clone());
        let stop_it = move || stop(&claim, how).map_err(|error| WorldError::new(format!("stop job {id}"), chain(&error)));
        blocking("stop a job", stop_it).await
    }
}

fn never_begun() -> JobOutcome {
    let now = now();
    JobOutcome {
        conclusion: Conclusion::Cancelled,
        outputs: BTreeMap::new(),
        reason: Some("stopped before it began".into()),
        started: now,
        finished: now,
        annotations: Vec::new(),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
