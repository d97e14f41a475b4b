//! Jobs on this machine: processes, files, built-in actions; the edge of [`workflow::job`].
//!
//! No async and, but for one process a step, nothing that costs: a job is one thread that waits.

mod action;
mod cancel;
mod check;
mod environment;
mod files;
mod hash;
mod output;
mod process;
mod service;
mod sweep;
mod walk;
mod watch;
mod workspace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Timestamp;
use engine::world::JobStart;
use workflow::job::command::Annotation;
use workflow::job::{Conclusion, Ended, Event, Exit, Job, JobOutcome, Next, StepSeen, Wrote, files as env_files};

pub(crate) use action::place::EVIDENCE;
pub use cancel::Cancel;
pub use check::{Checked, MISSING_TOOL, check};
pub use environment::{Home, inherited};

pub(crate) use action::artifact as artifacts;
pub(crate) use hash::file as digest;

use crate::results::Results;
use action::Actions;
use action::desk::{Desk, Undone};
use output::{Output, error_line};
use process::Processes;
use sweep::Owner;
use watch::{Guard, StepWatch};
use workspace::Workspace;

/// Where a job works. All but `artifacts` and `cache` are the job's own; they are made if they aren't there.
#[derive(Debug, Clone)]
pub struct JobDirs {
    pub workspace: PathBuf,
    /// `RUNNER_TEMP`; removed when the job ends.
    pub temp: PathBuf,
    pub tool_cache: PathBuf,
    /// What the jobs of one release leave for each other.
    pub artifacts: PathBuf,
    /// Of the project; lives on from run to run.
    pub cache: PathBuf,
    /// Actions of other repositories, fetched before the run: [`crate::actions::Store`].
    pub actions: PathBuf,
    /// The tar of the working tree, when that is the source instead of a commit.
    pub snapshot: Option<PathBuf>,
}

/// How a job is run.
#[derive(Debug, Clone, Default)]
pub struct JobOptions {
    pub secrets: BTreeMap<String, String>,
    /// What every process inherits; see [`inherited`].
    pub env: BTreeMap<String, String>,
    /// Show `::debug::` lines.
    pub debug: bool,
    /// Whether all processes below this one are the job's: so in its own supervisor, not where several jobs run in one process.
    pub alone: bool,
    pub grace: Grace,
}

/// How long a step that shall end is given before it is asked more firmly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// From SIGINT to SIGTERM.
    pub after_int: Duration,
    /// From SIGTERM to SIGKILL, for everything the step has started.
    pub after_term: Duration,
}

/// As GitHub's runner has it.
impl Default for Grace {
    fn default() -> Grace {
        Grace { after_int: Duration::from_millis(7_500), after_term: Duration::from_millis(2_500) }
    }
}

/// Hears what happens in a job, in order. Everything is masked already.
pub trait JobSink {
    /// A step began or ended; told again with the same number when it changes.
    fn step(&mut self, step: &StepSeen);
    /// The next bytes of a step's log, stdout and stderr as they came.
    fn log(&mut self, step: u32, bytes: &[u8]);
    /// An error, a warning or a notice about the code; at most ten of a kind for a step.
    fn annotation(&mut self, _step: u32, _annotation: &Annotation) {}
    /// What the step wrote to its summary, in Markdown.
    fn summary(&mut self, _step: u32, _text: &str) {}
    /// A sentence about the job itself.
    fn warning(&mut self, _text: &str) {}
}

/// Runs the job's steps to their end, here and now. Nothing it started is left running.
pub fn run(start: &JobStart, dirs: &JobDirs, options: &JobOptions, sink: &mut dyn JobSink, cancel: &Cancel) -> JobOutcome {
    let started = now();
    let dirs = &service::confined(start, dirs);
    match Runner::new(start, dirs, options, cancel) {
        Ok(mut runner) => runner.run(sink),
        Err(reason) => {
            let reason = Some(reason);
            JobOutcome { conclusion: Conclusion::Failure, outputs: BTreeMap::new(), reason, started, finished: now() }
        }
    }
}

struct Runner<'a> {
    dirs: &'a JobDirs,
    job: Job,
    workspace: Workspace,
    processes: Processes,
    actions: Actions<'a>,
    /// Ends with the job.
    _service: Option<Results>,
    guard: Guard<'a>,
    debug: bool,
    /// How many of the job's steps the sink has heard of, and whether the last of them was still running then.
    told: (usize, bool),
}

impl<'a> Runner<'a> {
    fn new(start: &'a JobStart, dirs: &'a JobDirs, options: &JobOptions, cancel: &'a Cancel) -> Result<Runner<'a>, String> {
        let mut facts = environment::facts(start, dirs, options)?;
        let service = service::start(start, dirs, &mut facts)?;
        let workspace = Workspace::new(dirs, &facts)?;
        let owner = Owner::new(&facts.env[sweep::MARK], options.alone);
        let guard = Guard::new(cancel, start.spec.timeout_ms);
        let job = Job::new(start.spec.clone(), facts);
        let processes = Processes::new(owner, &dirs.temp, options.grace);
        let actions = Actions::new(start, dirs);
        Ok(Runner { dirs, job, workspace, processes, actions, _service: service, guard, debug: options.debug, told: (0, false) })
    }

    fn run(&mut self, sink: &mut dyn JobSink) -> JobOutcome {
        if let Err(reason) = self.actions.ready(&self.job, &self.workspace) {
            self.job.apply(&Event::Spoiled { at: now(), reason });
        }
        let mut spoiled = false;
        let outcome = loop {
            self.guard.tell(&mut self.job, now());
            if self.guard.is_over() && !spoiled {
                spoiled = true;
                self.job.apply(&Event::Spoiled { at: now(), reason: self.guard.over().to_string() });
            }
            let advance = self.job.advance(&self.workspace, now());
            if let Some(event) = &advance.event {
                self.job.apply(event);
                self.tell(sink);
                self.explain(event, sink);
            }
            match advance.next {
                Next::Again => {}
                Next::Run(command) => {
                    let mut output = Output::new(command.step, self.job.mask(), self.debug);
                    command.warnings.iter().for_each(|warning| output.line(&format!("##[warning]{warning}"), sink));
                    let files = &self.workspace;
                    let mut watch = StepWatch { guard: &mut self.guard, job: &mut self.job, files, now };
                    let (exit, output) = self.processes.run(&command, output, &mut watch, sink);
                    self.ended(exit, Wrote::default(), output, sink);
                }
                Next::Action(call) => {
                    let mut output = Output::new(call.step, self.job.mask(), self.debug);
                    let mask = self.job.mask().clone();
                    let files = &self.workspace;
                    let mut watch = StepWatch { guard: &mut self.guard, job: &mut self.job, files, now };
                    let mut say = |line: &str| output.line(line, sink);
                    let mut desk = Desk::new(&mut say, &mut watch, self.processes.grace(), call.timeout_ms);
                    let (exit, wrote) = match self.actions.perform(&call, &mask, &mut desk) {
                        Ok(wrote) => (Exit::Code(0), wrote),
                        Err(Undone::Failed(why)) => (Exit::Failed(why), Wrote::default()),
                        Err(Undone::Ended(exit)) => (exit, Wrote::default()),
                    };
                    self.ended(exit, wrote, output, sink);
                }
                Next::Finish { outcome, warnings } => {
                    warnings.iter().for_each(|warning| sink.warning(warning));
                    break *outcome;
                }
            }
        };
        self.close(outcome, sink)
    }

    fn ended(&mut self, exit: Exit, mut wrote: Wrote, mut output: Output, sink: &mut dyn JobSink) {
        let said = std::mem::take(&mut output.said);
        wrote.outputs.extend(said.outputs);
        wrote.state.extend(said.state);
        let mut refused = said.refused;
        match self.workspace.collect() {
            Ok(None) => {}
            Ok(Some(files)) => {
                for mistake in wrote.read(&files) {
                    output.line(&error_line(&mistake.text), sink);
                    if mistake.fails {
                        refused.get_or_insert(mistake.text);
                    }
                }
                summarize(&files.summary, &mut output, self.job.mask(), sink);
            }
            Err(error) => {
                refused.get_or_insert(format!("the step's environment files can't be made anew: {error}"));
            }
        }
        match &exit {
            Exit::Code(0) => {}
            Exit::Code(code) => output.line(&error_line(&format!("Process completed with exit code {code}.")), sink),
            Exit::Signal(signal) => output.line(&error_line(&format!("Process was ended by signal {signal}.")), sink),
            Exit::TimedOut { after_ms } => {
                let text = format!("The step took longer than {} and was ended.", base::time::format_duration_ms(*after_ms));
                output.line(&error_line(&text), sink);
            }
            Exit::Cancelled => output.line(&error_line("The operation was canceled."), sink),
            Exit::Failed(why) => output.line(&error_line(why), sink),
        }
        output.finish(sink);
        for straggler in &mut self.processes.stragglers {
            said.masks.iter().for_each(|mask| straggler.output.mask(mask));
        }
        self.job.apply(&Event::Ended { at: now(), ended: Ended { exit, wrote, masks: said.masks, refused } });
    }

    /// What failed without a process having said so is said in the step's log.
    fn explain(&self, event: &Event, sink: &mut dyn JobSink) {
        let (Event::Broken { reason, .. } | Event::Left { reason: Some(reason), .. }) = event else { return };
        let step = self.job.steps().last().expect("a step that broke is shown, or the one around it").number;
        let mut output = Output::new(step, self.job.mask(), self.debug);
        output.line(&error_line(reason), sink);
        output.finish(sink);
    }

    /// Shows the sink the steps that are new to it or have changed.
    fn tell(&mut self, sink: &mut dyn JobSink) {
        let steps = self.job.steps();
        let (count, open) = self.told;
        let first = if open { count - 1 } else { count };
        for step in &steps[first.min(steps.len())..] {
            sink.step(&masked(step, self.job.mask()));
        }
        let open = steps.last().is_some_and(|step| step.finished.is_none() && step.started.is_some());
        self.told = (steps.len(), open);
    }

    fn close(&mut self, mut outcome: JobOutcome, sink: &mut dyn JobSink) -> JobOutcome {
        if !self.processes.end(sink) {
            sink.warning("some processes of the job can't be killed; they wait inside the kernel");
        }
        if let Err(error) = std::fs::remove_dir_all(&self.dirs.temp) {
            sink.warning(&format!("the job's temporary files can't be removed: {error}"));
        }
        if self.guard.timed_out() {
            // To the steps a job that ran out of time is cancelled; to the run it has failed.
            outcome.conclusion = Conclusion::Failure;
        }
        outcome.finished = now();
        outcome
    }
}

fn summarize(text: &str, output: &mut Output, mask: &base::mask::Mask, sink: &mut dyn JobSink) {
    if text.len() > env_files::SUMMARY_BYTES_MAX {
        let (limit, size) = (env_files::SUMMARY_BYTES_MAX / 1024, text.len() / 1024);
        let text = format!("$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of {limit}k, got {size}k.");
        output.line(&error_line(&text), sink);
    } else if !text.is_empty() {
        sink.summary(output.step, &mask.apply(text));
    }
}

fn masked(step: &StepSeen, mask: &base::mask::Mask) -> StepSeen {
    StepSeen { name: mask.apply(&step.name), reason: step.reason.as_ref().map(|reason| mask.apply(reason)), ..step.clone() }
}

pub(crate) fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
