//! What the supervisor of a job does once the job is its: runs the steps and spools what they say.

use std::path::Path;
use std::process::ExitCode;

use base::Timestamp;
use engine::world::JobStart;
use workflow::job::{Conclusion, JobOutcome, StepSeen};

use crate::blobs::FileBlobs;
use crate::dirs::Dirs;
use crate::forge::App;
use crate::job::{self, Home, JobDirs, JobOptions, JobSink};
use crate::supervise::job::{Body, Work, now};
use crate::supervise::signals;
use crate::supervise::spool::Spool;
use crate::supervise::{Limits, launch};

/// Becomes the supervisor of the job in `dir`: `plimsoll supervise job DIR`.
pub fn supervise(dir: &Path, limits: Limits) -> u8 {
    u8::from(crate::supervise::job::main(dir, &mut Steps, limits) != ExitCode::SUCCESS)
}

struct Steps;

impl Body for Steps {
    fn run(&mut self, work: Work<'_>) -> JobOutcome {
        let started = now();
        match prepare(&work) {
            Ok((dirs, options, cancel)) => job::run(work.start, &dirs, &options, &mut Sink { spool: work.spool, lost: 0 }, &cancel),
            Err(reason) => failed(started, reason),
        }
    }
}

fn prepare(work: &Work<'_>) -> Result<(JobDirs, JobOptions, job::Cancel), String> {
    let dirs = Dirs::around_job(work.dir).ok_or("the job's directory does not lie in a state directory")?;
    let JobStart { source, artifacts, project, .. } = work.start;
    let job_dirs = JobDirs {
        workspace: work.dir.join("workspace"),
        temp: work.dir.join("temp"),
        tool_cache: dirs.tools(),
        artifacts: dirs.uploads(artifacts),
        cache: dirs.caches(project),
        actions: dirs.actions(),
        snapshot: source.snapshot.as_ref().map(|digest| FileBlobs::new(&dirs).path(digest)),
    };
    let home = work.dir.join("home");
    let ours = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut env = job::inherited(ours, Home::Fresh(&home));
    let (name, value) = launch::marking(work.dir);
    env.insert(name.to_string(), value.to_string_lossy().into_owned());
    let cancel = job::Cancel::new().map_err(|error| format!("the job can't be made to listen: {error}"))?;
    let forward = cancel.clone();
    signals::forward_to(work.cancel.clone(), move |how| forward.request(how))
        .map_err(|error| format!("the job can't be made to listen: {error}"))?;
    let options = JobOptions {
        secrets: work.secrets.clone(),
        env,
        debug: false,
        alone: true,
        engine: std::env::var(crate::container::CHOICE).ok(),
        app: App::of(&dirs),
        state: Some(dirs),
        ..JobOptions::default()
    };
    Ok((job_dirs, options, cancel))
}

/// Into the spool. What can't be written (a full disk) is counted and told in the log once it can.
struct Sink<'a> {
    spool: &'a mut Spool,
    lost: u64,
}

impl Sink<'_> {
    fn write(&mut self, step: Option<u32>, bytes: &[u8]) {
        if self.lost > 0 {
            let note = format!("[plimsoll: {} bytes of the log could not be written]\n", self.lost);
            if self.spool.log(step, note.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if self.spool.log(step, bytes).is_err() {
            self.lost += bytes.len() as u64;
        }
    }
}

impl JobSink for Sink<'_> {
    fn step(&mut self, step: &StepSeen) {
        if let Err(error) = self.spool.step(step) {
            tracing::warn!(%error, step = step.number, "a step's state can't be written");
        }
    }

    fn log(&mut self, step: u32, bytes: &[u8]) {
        self.write(Some(step), bytes);
    }

    fn summary(&mut self, step: u32, text: &str) {
        if let Err(error) = self.spool.summary(step, text) {
            tracing::warn!(%error, step, "a summary can't be written");
        }
    }

    fn notice(&mut self, text: &str) {
        self.write(None, format!("{text}\n").as_bytes());
    }

    fn warning(&mut self, text: &str) {
        self.write(None, format!("warning: {text}\n").as_bytes());
    }
}

fn failed(started: Timestamp, reason: String) -> JobOutcome {
    JobOutcome {
        conclusion: Conclusion::Failure,
        outputs: Default::default(),
        reason: Some(reason),
        started,
        finished: now(),
        annotations: Vec::new(),
    }
}
