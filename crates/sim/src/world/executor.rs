use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use engine::world::{Executor, JobStart, Stop, WorldError};
use workflow::job::{Conclusion, JobId, JobOutcome, JobSeen, StepSeen, StepState};

use super::Border;
use crate::faults::Fault;
use crate::scheduler::{Sim, timestamp};

/// Jobs by their id; what was claimed once stays claimed.
#[derive(Debug, Default)]
pub(crate) struct ExecutorTruth {
    jobs: BTreeMap<JobId, Job>,
}

#[derive(Debug)]
struct Job {
    /// Nothing when it was stopped before it could start.
    started: Option<i64>,
    end: Option<(End, i64)>,
    /// Only force ends it.
    hangs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ended(Conclusion),
    Lost,
}

/// What a job may take at most, by the executor's own watch.
const JOB_MAX_MS: i64 = 60_000;

pub(crate) struct SimExecutor {
    pub border: Border,
}

#[async_trait]
impl Executor for SimExecutor {
    async fn start(&self, id: &JobId, _: &JobStart) -> Result<(), WorldError> {
        let (job, server) = (id.clone(), self.border.server);
        let started = self.border.request(move |sim| start(sim, server, &job)).await;
        started.ok_or_else(|| WorldError::new(format!("start {id}"), "no answer"))
    }

    async fn observe(&self, id: &JobId) -> JobSeen {
        if self.border.sim.strikes(Fault::ExecutorUnknown, 8) {
            return self.border.look(|_| JobSeen::Unknown).await;
        }
        self.border.look(|sim| observe(sim, id)).await
    }

    async fn stop(&self, id: &JobId, how: Stop) -> Result<(), WorldError> {
        let job = id.clone();
        let stopped = self.border.request(move |sim| stop(sim, &job, how)).await;
        stopped.ok_or_else(|| WorldError::new(format!("stop {id}"), "no answer"))
    }
}

fn start(sim: &Arc<Sim>, server: usize, id: &JobId) {
    let mut truth = sim.truth();
    truth.oracle.job_asked_for(sim, id);
    if truth.executor.jobs.contains_key(id) {
        return;
    }
    truth.oracle.job_executed(sim, id);
    let hangs = sim.strikes(Fault::JobHangs, 12);
    let lost = sim.strikes(Fault::JobLost, 12);
    let fails = sim.range(0..25) == 0;
    let takes = if hangs { JOB_MAX_MS * 20 } else { sim.range(200..8_000) };
    let end = match (lost, fails) {
        (true, _) => End::Lost,
        (_, true) => End::Ended(Conclusion::Failure),
        (false, false) => End::Ended(Conclusion::Success),
    };
    sim.trace(format_args!("executor by {server}: {id} runs for {takes} ms"));
    truth.executor.jobs.insert(id.clone(), Job { started: Some(sim.now()), end: None, hangs });
    let id = id.clone();
    sim.after(takes, move |sim| finish(sim, &id, end));
}

fn finish(sim: &Arc<Sim>, id: &JobId, end: End) {
    let now = sim.now();
    let mut truth = sim.truth();
    let job = truth.executor.jobs.get_mut(id).expect("what ends was started");
    if job.end.is_none() {
        job.end = Some((end, now));
        sim.trace(format_args!("executor: {id} is {end:?}"));
    }
}

fn stop(sim: &Arc<Sim>, id: &JobId, how: Stop) {
    let now = sim.now();
    let mut truth = sim.truth();
    let cancelled = End::Ended(Conclusion::Cancelled);
    let never = Job { started: None, end: Some((cancelled, now)), hangs: false };
    let job = truth.executor.jobs.entry(id.clone()).or_insert(never);
    if job.end.is_some() || (job.hangs && how == Stop::Gracefully) {
        return;
    }
    let id = id.clone();
    sim.after(if how == Stop::AtOnce { 50 } else { 1_000 }, move |sim| finish(sim, &id, cancelled));
}

fn observe(sim: &Arc<Sim>, id: &JobId) -> JobSeen {
    let truth = sim.truth();
    let Some(job) = truth.executor.jobs.get(id) else { return JobSeen::Absent };
    let started = timestamp(job.started.unwrap_or_default());
    let step = |state| StepSeen { state, started: Some(started), ..StepSeen::new(0, "Run make") };
    let steps = |state| if job.started.is_some() { vec![step(state)] } else { Vec::new() };
    match job.end {
        None => JobSeen::Running { steps: steps(StepState::Running) },
        Some((End::Lost, _)) => JobSeen::Lost { steps: steps(StepState::Running), reason: "its supervisor is gone".to_string() },
        Some((End::Ended(conclusion), at)) => JobSeen::Finished {
            outcome: JobOutcome {
                conclusion,
                outputs: BTreeMap::new(),
                reason: None,
                started,
                finished: timestamp(at),
                annotations: Vec::new(),
            },
            steps: steps(StepState::Finished { outcome: conclusion, conclusion }),
        },
    }
}
