//! Jobs on this machine: processes, files, built-in actions; the edge of [`workflow::job`].
//!
//! No async and, but for one process a step, nothing that costs: a job is one thread that waits.

mod action;
mod cancel;
mod check;
mod clock;
mod container;
mod environment;
mod files;
mod hash;
mod node;
mod output;
mod pause;
mod process;
mod service;
mod sweep;
mod token;
mod walk;
mod watch;
mod workspace;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Timestamp;
use engine::world::JobStart;
use workflow::gitlab::Coverage;
use workflow::job::command::{Annotation, Level};
use workflow::job::{
    ActionCall, Command, Conclusion, ContainerCall, ContainerWork, Ended, Event, Exit, Job, JobOutcome, Mark, Next, On, StepSeen, Trail,
    Wrote,
};

pub(crate) use action::place::EVIDENCE;
pub use cancel::Cancel;
pub use check::{Checked, MISSING_TOOL, check, check_called};
pub use environment::{Home, inherited};
pub use pause::Paused;
pub use sweep::end_all_below;

pub(crate) use action::artifact as artifacts;
pub(crate) use hash::file as digest;

use crate::dirs::Dirs;
use crate::forge::{App, Token};
use crate::results::Results;
use crate::rooms;
use action::Actions;
use action::desk::Desk;
use clock::Clock;
use container::{Containers, Inside};
use files::Collected;
use output::{Around, Output, error_line};
use pause::Last;
use process::{Done, Processes};
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
    /// Hold the job where a step has failed: see [`JobSink::paused`].
    pub pause_on_failure: bool,
    /// Leave what lets somebody go on with a job that did not succeed: its temporary files, and [`JobSink::marks`].
    pub keep: bool,
    /// Leave the folder for temporary files of a job that did succeed for another job, emptied.
    pub room: bool,
    /// Go on from here, in a workspace that an earlier attempt has left.
    pub resume: Option<Mark>,
    pub grace: Grace,
    /// The state directory, whose issuer tells others who the job is; without it nobody does.
    pub state: Option<Dirs>,
    /// A GitHub App that gives the job its token.
    pub app: Option<App>,
    /// The container engine with its global arguments, instead of the one that is found: see [`crate::container::CHOICE`].
    pub engine: Option<String>,
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
    /// What the step wrote to its summary, in Markdown.
    fn summary(&mut self, _step: u32, _text: &str) {}
    /// A sentence about the job itself.
    fn warning(&mut self, _text: &str) {}
    /// A tool that the job was set up with.
    fn tool(&mut self, _name: &str, _version: &str) {}
    /// Where the job stood before each of its steps; told at the end of one that did not succeed, if that is wanted.
    fn marks(&mut self, _marks: &[Mark]) {}
    /// Good news about the job itself: where its environment is.
    fn notice(&mut self, _text: &str) {}
    /// A step has failed, and the job is held. It goes on when this says so, else as soon as there is the file that lets it.
    fn paused(&mut self, _paused: &Paused) -> bool {
        false
    }
}

/// Runs the job's steps to their end, here and now. Nothing it started is left running.
pub fn run(start: &JobStart, dirs: &JobDirs, options: &JobOptions, sink: &mut dyn JobSink, cancel: &Cancel) -> JobOutcome {
    let clock = Clock::new();
    let dirs = &service::confined(start, dirs);
    match Runner::new(start, dirs, options, cancel, clock) {
        Ok(mut runner) => runner.run(sink),
        Err(reason) => {
            // Its log would be empty.
            sink.warning(&reason);
            let (started, finished) = (clock.now(), clock.now());
            let (outputs, annotations) = (BTreeMap::new(), Vec::new());
            JobOutcome { conclusion: Conclusion::Failure, outputs, reason: Some(reason), started, finished, annotations }
        }
    }
}

struct Runner<'a> {
    dirs: &'a JobDirs,
    job: Job,
    workspace: Workspace,
    containers: Rc<RefCell<Containers>>,
    processes: Processes,
    actions: Actions<'a>,
    /// Ends with the job.
    service: Option<Results>,
    /// Ends with the job, too.
    token: Option<Token>,
    /// About what the job begins with, for its log.
    remarks: Vec<String>,
    guard: Guard<'a>,
    cancel: &'a Cancel,
    clock: Clock,
    around: Around,
    pause_on_failure: bool,
    /// See [`JobOptions::room`].
    room: bool,
    resume: Option<Mark>,
    /// Nothing where nobody will go on with the job.
    trail: Option<Trail>,
    /// By lane, where a step runs that may fail; kept only if the job would be held then.
    last: BTreeMap<usize, Last>,
    /// How many of the job's steps have ended as far as the sink knows, in a row from the first, and what it knows of the others.
    told: (usize, Vec<StepSeen>),
}

impl<'a> Runner<'a> {
    fn new(start: &'a JobStart, dirs: &'a JobDirs, options: &JobOptions, cancel: &'a Cancel, clock: Clock) -> Result<Runner<'a>, String> {
        let mut facts = environment::facts(start, dirs, options)?;
        let mut remarks = Vec::new();
        let token = token::of(start, options.app.as_ref(), &mut facts, &mut remarks)?;
        let service = service::start(start, dirs, options.state.as_ref(), &mut facts)?;
        let path = std::env::var("PATH").unwrap_or_default();
        let containers = Rc::new(RefCell::new(Containers::new(options.engine.clone(), &path, &dirs.temp)));
        let workspace = Workspace::new(start, dirs, &facts, Rc::clone(&containers))?;
        let owner = Owner::new(&facts.env[sweep::MARK], options.alone);
        let guard = Guard::new(cancel, start.spec.timeout_ms);
        let job = Job::new(start.spec.clone(), facts);
        let processes = Processes::new(owner, &dirs.temp, options.grace);
        let actions = Actions::new(start, dirs, token.as_ref().and_then(Token::way));
        let coverage = start.spec.job.coverage.as_ref().and_then(|pattern| Coverage::parse(pattern).ok());
        let around = Around { debug: options.debug, workspace: Arc::from(dirs.workspace.as_path()), matchers: Vec::new(), coverage };
        let (pause_on_failure, room, last, told) = (options.pause_on_failure, options.room, BTreeMap::new(), (0, Vec::new()));
        let (resume, trail) = (options.resume.clone(), options.keep.then(Trail::default));
        Ok(Runner {
            dirs,
            job,
            workspace,
            containers,
            processes,
            actions,
            service,
            token,
            remarks,
            guard,
            cancel,
            clock,
            around,
            pause_on_failure,
            room,
            resume,
            trail,
            last,
            told,
        })
    }

    fn run(&mut self, sink: &mut dyn JobSink) -> JobOutcome {
        self.remarks.drain(..).for_each(|remark| sink.warning(&remark));
        match self.actions.ready(&self.job, &self.workspace) {
            Ok(missing) => missing.iter().for_each(|why| sink.warning(why)),
            Err(reason) => self.job.apply(&Event::Spoiled { at: self.clock.now(), reason }),
        }
        let mut spoiled = false;
        let outcome = loop {
            self.guard.tell(&mut self.job, self.clock.now());
            if self.guard.is_over() && !spoiled {
                spoiled = true;
                self.job.apply(&Event::Spoiled { at: self.clock.now(), reason: self.guard.over().to_string() });
            }
            let advance = self.job.advance(&self.workspace, self.clock.now());
            if let Some(event) = &advance.event {
                self.hold(event, sink);
                self.job.apply(event);
                self.trail.iter_mut().for_each(|trail| trail.note(&self.job));
                if let Some(from) = self.resume.take_if(|_| self.job.is_before_steps()) {
                    self.job.apply(&Event::Resumed { from: Box::new(from) });
                    self.trail.iter_mut().for_each(|trail| trail.note(&self.job));
                }
                self.prepare(event, sink);
                self.tell(sink);
                self.explain(event, sink);
            }
            match advance.next {
                Next::Again => {}
                Next::Run(command) => self.start(&command, sink),
                Next::Action(call) => self.perform(&call, sink),
                Next::Containers(call) => self.contain(&call, sink),
                Next::Interrupt(lanes) => self.processes.interrupt(&lanes),
                Next::Wait { until } => {
                    assert!(until.is_some() || !self.processes.is_idle() || self.guard.is_over(), "a job waits for something");
                    let until = until.map(|until| self.clock.instant(until));
                    let files = &self.workspace;
                    let mut watch = StepWatch { guard: &mut self.guard, job: &mut self.job, files, clock: &self.clock };
                    for Done { lane, exit, output, inside } in self.processes.wait(until, &mut watch, sink) {
                        self.over(inside.as_ref(), &exit);
                        self.ended(lane, exit, Wrote::default(), output, sink);
                    }
                }
                Next::Finish { outcome, warnings } => {
                    warnings.iter().for_each(|warning| sink.warning(warning));
                    let notices = outcome.annotations.iter().filter(|remark| remark.level == Level::Notice);
                    notices.for_each(|notice| sink.notice(&notice.message));
                    break *outcome;
                }
            }
        };
        self.close(outcome, sink)
    }

    fn start(&mut self, command: &Command, sink: &mut dyn JobSink) {
        let mut output = Output::new(command.step, self.job.mask(), &self.around);
        command.warnings.iter().for_each(|warning| output.line(&format!("##[warning]{warning}"), sink));
        let mut wrapped = (command.clone(), None);
        if command.on != On::Machine {
            let files = &self.workspace;
            let mut watch = StepWatch { guard: &mut self.guard, job: &mut self.job, files, clock: &self.clock };
            let mut say = |line: &str| output.line(line, sink);
            let mut desk = Desk::new(&mut say, &mut watch, self.processes.grace(), command.timeout_ms);
            let containers = &self.containers;
            let ready = containers.borrow_mut().wrap(command, self.service.as_ref(), &mut desk);
            match ready {
                Ok(ready) => wrapped = ready,
                Err(undone) => return self.ended(command.lane, undone.exit(), Wrote::default(), output, sink),
            }
        }
        let (command, inside) = &wrapped;
        // A shell on the machine would not be where the step was.
        if inside.is_none() {
            self.keep(command.lane, command.step, &command.env, &command.directory);
        }
        if let Some(Done { lane, exit, output, inside }) = self.processes.start(command, inside.clone(), output) {
            self.over(inside.as_ref(), &exit);
            self.ended(lane, exit, Wrote::default(), output, sink);
        }
    }

    fn over(&mut self, inside: Option<&Inside>, exit: &Exit) {
        inside.into_iter().for_each(|inside| self.containers.borrow_mut().ended(inside, exit));
    }

    /// The job's containers come, or go.
    fn contain(&mut self, call: &ContainerCall, sink: &mut dyn JobSink) {
        let mut output = Output::new(call.step, self.job.mask(), &self.around);
        let exit = match &call.work {
            ContainerWork::Start(asked) => {
                let files = &self.workspace;
                let mut watch = StepWatch { guard: &mut self.guard, job: &mut self.job, files, clock: &self.clock };
                let mut say = |line: &str| output.line(line, sink);
                let mut desk = Desk::new(&mut say, &mut watch, self.processes.grace(), None);
                let containers = &self.containers;
                let started = containers.borrow_mut().start(asked, self.service.as_ref(), &mut desk);
                let (single, trees) = self.containers.borrow().kept();
                self.processes.owner.keep(single, trees);
                match started {
                    Ok(started) => {
                        self.job.apply(&Event::Contained { started });
                        Exit::Code(0)
                    }
                    Err(undone) => undone.exit(),
                }
            }
            ContainerWork::Stop => {
                self.containers.borrow_mut().stop(&mut |line| output.line(line, sink));
                Exit::Code(0)
            }
        };
        self.ended(0, exit, Wrote::default(), output, sink);
    }

    fn perform(&mut self, call: &ActionCall, sink: &mut dyn JobSink) {
        let mut output = Output::new(call.step, self.job.mask(), &self.around);
        call.warnings.iter().for_each(|warning| output.line(&format!("##[warning]{warning}"), sink));
        self.keep(call.lane, call.step, &call.env, &self.dirs.workspace.to_string_lossy());
        let mask = self.job.mask().clone();
        let files = &self.workspace;
        let mut watch = StepWatch { guard: &mut self.guard, job: &mut self.job, files, clock: &self.clock };
        let mut say = |line: &str| output.line(line, sink);
        let mut desk = Desk::new(&mut say, &mut watch, self.processes.grace(), call.timeout_ms);
        let (exit, wrote) = match self.actions.perform(call, &mask, &mut desk) {
            Ok(wrote) => (Exit::Code(0), self.job.known_inside(wrote)),
            Err(undone) => (undone.exit(), Wrote::default()),
        };
        let version = wrote.outputs.iter().find(|(name, _)| name == "version" || name.ends_with("-version"));
        if let (Some((_, tool)), Some((_, version))) = (call.builtin.name().split_once("/setup-"), version) {
            sink.tool(tool, version);
        }
        self.ended(call.lane, exit, wrote, output, sink);
    }

    fn ended(&mut self, lane: usize, exit: Exit, mut wrote: Wrote, mut output: Output, sink: &mut dyn JobSink) {
        let said = std::mem::take(&mut output.said);
        wrote.outputs.extend(said.outputs);
        wrote.state.extend(said.state);
        let mut refused = said.refused;
        let mut summary = String::new();
        match self.workspace.collect(lane) {
            Ok(None) => {}
            Ok(Some(Collected { files, mistakes, warnings })) => {
                warnings.iter().for_each(|warning| output.line(&format!("##[warning]{warning}"), sink));
                for mistake in mistakes.into_iter().chain(wrote.read(&files)) {
                    output.line(&error_line(&mistake.text), sink);
                    if mistake.fails {
                        refused.get_or_insert(mistake.text);
                    }
                }
                summary = self.job.mask().apply(&files.summary);
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
        if !summary.is_empty() {
            sink.summary(output.step, &summary);
        }
        self.around.change(said.matchers);
        if let Some(coverage) = output.coverage.take().filter(|coverage| coverage.found().is_some()) {
            self.around.coverage = Some(coverage);
        }
        self.processes.mask(&said.masks);
        let ended = Ended { exit, wrote, masks: said.masks, refused, annotations: said.annotations, summary };
        self.job.apply(&Event::Ended { at: self.clock.now(), lane, ended });
    }

    fn keep(&mut self, lane: usize, step: u32, env: &BTreeMap<String, String>, directory: &str) {
        if self.pause_on_failure {
            self.last.insert(lane, Last { step, env: env.clone(), directory: directory.to_string() });
        }
    }

    /// Holds the job before a failure is final, if that is wanted; nobody is asked after a cancellation.
    fn hold(&mut self, event: &Event, sink: &mut dyn JobSink) {
        let Event::Concluded { lane, conclusion, .. } = event else { return };
        let failed = *conclusion == Conclusion::Failure && self.cancel.requested().is_none();
        let Some(last) = self.last.remove(lane).filter(|_| failed) else { return };
        let seen = self.job.steps()[last.step as usize].masked(self.job.mask());
        let reason = self.job.mask().apply(&self.job.failure(*lane).unwrap_or_default());
        let paused = match Paused::new(last, seen.name.clone(), reason, &self.dirs.temp) {
            Ok(paused) => paused,
            Err(error) => return sink.warning(&format!("the job can't be held: {error}")),
        };
        sink.step(&StepSeen { paused: true, ..seen.clone() });
        let cancel = self.cancel;
        let ((), time) = pause::timed(|| {
            if !sink.paused(&paused) {
                paused.wait(cancel);
            }
        });
        paused.end();
        self.guard.held_for(time);
        sink.step(&seen);
    }

    /// What an event needs on this machine.
    fn prepare(&mut self, event: &Event, sink: &mut dyn JobSink) {
        if matches!(event, Event::Backgrounded { .. })
            && let Err(error) = self.workspace.open(self.job.lanes() - 1)
        {
            sink.warning(&format!("the environment files of a step in the background can't be made: {error}"));
        }
    }

    /// What happened without a process having said so is said in the step's log.
    fn explain(&self, event: &Event, sink: &mut dyn JobSink) {
        let (lane, text) = match event {
            Event::Broken { lane, reason, .. } | Event::Left { lane, reason: Some(reason), .. } => (*lane, error_line(reason)),
            Event::Dropped { lane, reason, .. } => (*lane, error_line(&format!("The step {reason}."))),
            Event::Waiting { says, .. } | Event::Waited { says, .. } => (0, says.trim_end().to_string()),
            Event::Entered { lane, into, .. } => {
                (*lane, into.warnings.iter().map(|warning| format!("##[warning]{warning}")).collect::<Vec<_>>().join("\n"))
            }
            Event::Retrying { lane, says, .. } => (*lane, format!("##[warning]{says}")),
            _ => return,
        };
        let mut output = Output::new(self.job.place_of(lane), self.job.mask(), &self.around);
        text.lines().for_each(|line| output.line(line, sink));
        output.finish(sink);
    }

    /// Shows the sink the steps that are new to it or have changed.
    fn tell(&mut self, sink: &mut dyn JobSink) {
        let (ended, known) = &mut self.told;
        for (index, step) in self.job.steps()[*ended..].iter().enumerate() {
            if known.get(index) == Some(step) {
                continue;
            }
            sink.step(&step.masked(self.job.mask()));
            if index < known.len() {
                known[index] = step.clone();
            } else {
                known.push(step.clone());
            }
        }
        let done = known.iter().take_while(|step| step.state != workflow::job::StepState::Running).count();
        known.drain(..done);
        *ended += done;
    }

    fn close(&mut self, mut outcome: JobOutcome, sink: &mut dyn JobSink) -> JobOutcome {
        // Where nothing has stopped them: the job was ended before its posts.
        self.containers.borrow_mut().stop(&mut |_| {});
        let gone = self.processes.end(sink);
        if !gone {
            sink.warning("some processes of the job can't be killed; they wait inside the kernel");
        }
        if let Some(Err(why)) = self.token.take().map(Token::end) {
            sink.warning(&format!(
                "the job's token can't be ended, and opens what it opened until it ends by itself, within an hour: {why}"
            ));
        }
        let trail = self.trail.take().filter(|_| outcome.conclusion != Conclusion::Success || self.guard.timed_out());
        if let Some(trail) = trail {
            sink.marks(&trail.marks(&self.job));
            // Scripts hold what was put into them, secrets too.
            remove_own_files(&self.dirs.temp);
        } else if self.room && gone && rooms::empty_temp(&self.dirs.temp) {
            // As another job would make it.
        } else if let Err(error) = std::fs::remove_dir_all(&self.dirs.temp)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            sink.warning(&format!("the job's temporary files can't be removed: {error}"));
        }
        if let Some(found) = self.around.coverage.as_ref().and_then(Coverage::found) {
            let text = format!("coverage {found} %, by the job's log");
            sink.notice(&text);
            outcome.annotations.push(Annotation::of_job(Level::Notice, &text));
        }
        if self.guard.timed_out() {
            // To the steps a job that ran out of time is cancelled; to the run it has failed.
            outcome.conclusion = Conclusion::Failure;
        }
        outcome.finished = self.clock.now();
        outcome
    }
}

/// What is ours in the folder for temporary files; what steps left there stays.
fn remove_own_files(temp: &Path) {
    let _ = std::fs::remove_dir_all(temp.join(files::FOLDER));
    for entry in std::fs::read_dir(temp).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_script = path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        let is_ours = ["event.json", "checkout.index", "paused.sh"].iter().any(|name| entry.file_name() == *name);
        if (is_script || is_ours) && path.is_file() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What the clock on the wall says; for files that outlive the job.
pub(crate) fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
