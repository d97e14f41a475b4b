//! One attempt at a run, gone through here: jobs on threads, as the machine starts them.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base::mask::Mask;
use engine::world::{JobStart, Stop};
use host::forge::App;
use host::job::{Cancel, JobDirs, JobOptions};
use host::runs::{Asked, Attempt, Happened, Held, Summary};
use serde::Serialize;
use serde::de::DeserializeOwned;
use workflow::job::{Conclusion, JobId, JobOutcome, JobSeen, JobSpec, Mark, StepSeen};
use workflow::model::{Job, Work, Workflow};
use workflow::plan::Plan;
use workflow::run::{Action, Event, Observed, Run};

use super::printer::{Printer, Screen};
use super::turns::{MayRun, Turns};
use crate::commands::actor;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::{Terminal, Tone};
use crate::view;
use crate::world;

/// How long the machine is left alone when nothing is heard: its own timers are seconds.
const LOOK: Duration = Duration::from_millis(500);

/// What a thread with a job tells the loop.
pub(super) enum Heard {
    Step(JobId, StepSeen),
    Ended(JobId, JobOutcome),
    /// What a step summed up, in Markdown.
    Summary {
        job: String,
        step: String,
        text: String,
    },
    /// For the record alone.
    Note(Happened),
    Marks(JobId, Vec<Mark>),
    /// Whether a shell has the terminal: then an interrupt is the shell's.
    Shell {
        open: bool,
    },
    Interrupt,
}

/// What the loop keeps of what it heard, besides the machine's own view.
#[derive(Debug, Default)]
struct Kept {
    interrupts: u32,
    shell: bool,
    summaries: Vec<(String, String, String)>,
    happened: Vec<Happened>,
    marks: Vec<(JobId, Vec<Mark>)>,
    /// Where facts are told as they happen: what is hidden in them.
    told: Option<Mask>,
}

impl Kept {
    /// The end of a log isn't told: its lines were.
    fn happen(&mut self, happened: Happened, terminal: &Terminal) {
        match (&self.told, &happened) {
            (None, _) | (_, Happened::Log(_)) => {}
            (Some(mask), _) => terminal.data(&masked(happened.clone(), mask).line()),
        }
        self.happened.push(happened);
    }
}

/// A leg that isn't executed, because it is known how it ended.
#[derive(Debug, Clone)]
pub(super) struct Reused {
    /// In which attempt it ran; nothing when it never did and shall not.
    pub attempt: Option<u32>,
    pub outcome: JobOutcome,
    pub steps: Vec<StepSeen>,
}

/// A leg that goes on where an earlier attempt stood.
#[derive(Debug, Clone)]
pub(super) struct Resumed {
    pub key: String,
    /// In whose place.
    pub of: JobId,
    pub from: Mark,
}

/// What nobody misses where there is only one job: its own output tells it.
fn speaks_for_itself(event: &Event) -> bool {
    match event {
        Event::JobStarted { .. } | Event::StepFinished { .. } => true,
        Event::JobFinished { allowed_failure, .. } => !allowed_failure,
        _ => false,
    }
}

pub(super) struct Stage<'a> {
    pub held: &'a Held,
    pub asked: &'a Asked,
    /// The same as it is on record: without secrets.
    pub recorded: &'a Asked,
    pub attempt: Attempt,
    pub reused: BTreeMap<String, Reused>,
    pub resumed: Option<Resumed>,
    pub secrets: &'a BTreeMap<String, String>,
    pub env: &'a BTreeMap<String, String>,
    /// Hold a job where a step has failed.
    pub pause: bool,
    /// Whether jobs may show others who they are.
    pub identity: bool,
    /// What gives jobs their tokens.
    pub app: Option<&'a App>,
    pub interrupts: &'a Interrupts,
}

impl Stage<'_> {
    /// Look, ask the machine, remember, act; until the run has ended. Then all of it is put on record.
    pub fn play(self, terminal: &Terminal) -> Result<Conclusion> {
        self.sum_up(None)?;
        let mut kept = Kept { told: terminal.json.then(|| mask(self.secrets)), ..Kept::default() };
        kept.happen(Happened::Begun(self.attempt.clone()), terminal);
        let run = self.go_through(&mut kept, terminal)?;
        summarize(&kept.summaries, has_many(&run.plan().workflow), terminal);
        let conclusion = run.conclusion().expect("it was gone through to its end");
        let hidden = mask(self.secrets);
        let happened: Vec<Happened> = kept.happened.into_iter().map(|happened| masked(happened, &hidden)).collect();
        self.held.write_attempt(self.attempt.number, &happened).doing("keep the run's record")?;
        for (id, marks) in kept.marks {
            let marks = self.with_earlier(&id, marks).doing("keep where a job stood")?;
            self.held.write_marks(self.place_of(&id), &marks).doing("keep where a job stood")?;
        }
        self.tidy(&run);
        self.sum_up(Some(conclusion))?;
        Ok(conclusion)
    }

    fn go_through(&self, kept: &mut Kept, terminal: &Terminal) -> Result<Run> {
        let (sender, receiver) = channel();
        let interrupted = Mutex::new(sender.clone());
        self.interrupts.tell(move || {
            let sender = interrupted.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = sender.send(Heard::Interrupt);
        });
        let mut run = Run::new(self.plan());
        let mut seen = Observed::default();
        let mut cancels: BTreeMap<JobId, Cancel> = BTreeMap::new();
        let screen = Arc::new(Mutex::new(Screen::new(terminal.json, terminal.is_quiet())));
        let many = has_many(&run.plan().workflow);
        let mut turns = Turns::new(self.held.kept.groups());
        std::thread::scope(|scope| {
            loop {
                let interrupted = kept.interrupts > 0;
                let (may_go_on, mut given) =
                    if interrupted { (true, Vec::new()) } else { turns.of_run(&run, terminal).map_err(out_of_line)? };
                given.extend(turns.of_legs(&run, terminal).map_err(out_of_line)?);
                for event in given {
                    run.apply(&event);
                    if many || terminal.is_live() || !speaks_for_itself(&event) {
                        self.tell(&run, &event, terminal);
                    }
                    kept.happen(Happened::Run(event), terminal);
                }
                if !may_go_on {
                    self.hear(&receiver, &mut run, &mut seen, kept, terminal);
                    continue;
                }
                let advance = run.advance(&seen, world::now());
                for event in &advance.events {
                    run.apply(event);
                    if many || terminal.is_live() || !speaks_for_itself(event) {
                        self.tell(&run, event, terminal);
                    }
                    kept.happen(Happened::Run(event.clone()), terminal);
                }
                for action in advance.actions {
                    match action {
                        Action::Start { id, .. } if self.reused.contains_key(&id.key) => {
                            let Reused { outcome, steps, .. } = self.reused[&id.key].clone();
                            seen.jobs.entry(id).or_insert(JobSeen::Finished { outcome, steps });
                        }
                        Action::Start { id, spec } if !cancels.contains_key(&id) => {
                            match turns.may_run(&run, &id, terminal).map_err(out_of_line)? {
                                MayRun::Now => {}
                                MayRun::Later => continue,
                                MayRun::Never { reason } => {
                                    let outcome = never_begun(Some(reason));
                                    seen.jobs.insert(id, JobSeen::Finished { outcome, steps: Vec::new() });
                                    continue;
                                }
                            }
                            let Ok(cancel) = Cancel::new() else {
                                return Err(Failure::infrastructure("no more pipes: too many files are open"));
                            };
                            cancels.insert(id.clone(), cancel.clone());
                            seen.jobs.insert(id.clone(), JobSeen::Running { steps: Vec::new() });
                            let sender = sender.clone();
                            let screen = screen.clone();
                            scope.spawn(move || self.execute(id, spec, &cancel, &sender, &screen, many));
                        }
                        Action::Start { .. } => {}
                        Action::Stop { id, at_once } => stop(&cancels, &mut seen, &id, at_once),
                    }
                }
                if run.conclusion().is_some() {
                    // What a job said of itself behind its end.
                    receiver.try_iter().for_each(|heard| self.take_note(heard, kept, terminal));
                    return Ok(run);
                }
                if advance.events.is_empty() {
                    self.hear(&receiver, &mut run, &mut seen, kept, terminal);
                }
            }
        })
    }

    /// With the attempt's number, as at GitHub.
    fn plan(&self) -> Plan {
        let mut plan = self.asked.plan.clone();
        if self.attempt.number > 1 {
            plan.github["run_attempt"] = self.attempt.number.to_string().into();
            plan.github["triggering_actor"] = self.attempt.by.clone().into();
        }
        plan
    }

    /// What is reused is one line.
    fn tell(&self, run: &Run, event: &Event, terminal: &Terminal) {
        let id = match event {
            Event::JobStarted { id, .. } | Event::JobAccepted { id, .. } | Event::JobFinished { id, .. } => Some(id),
            Event::StepStarted { id, .. } | Event::StepFinished { id, .. } => Some(id),
            _ => None,
        };
        let Some(reused) = id.and_then(|id| self.reused.get(&id.key)) else { return view::run_event(terminal, run, event) };
        if let (Event::JobFinished { id, outcome, .. }, Some(attempt)) = (event, reused.attempt) {
            let text = format!("{} is taken from attempt {attempt}: {}", view::name_of(run, &id.key), outcome.conclusion.word());
            terminal.say(&terminal.paint(&text, Tone::Faint));
        }
    }

    fn take_note(&self, heard: Heard, kept: &mut Kept, terminal: &Terminal) {
        match heard {
            Heard::Note(note) => kept.happen(note, terminal),
            Heard::Marks(id, marks) => kept.marks.push((id, marks)),
            Heard::Summary { job, step, text } => kept.summaries.push((job, step, text)),
            Heard::Step(..) | Heard::Ended(..) | Heard::Shell { .. } | Heard::Interrupt => {}
        }
    }

    fn hear(&self, receiver: &Receiver<Heard>, run: &mut Run, seen: &mut Observed, kept: &mut Kept, terminal: &Terminal) {
        match receiver.recv_timeout(LOOK) {
            Ok(Heard::Step(id, step)) => {
                if let Some(JobSeen::Running { steps }) = seen.jobs.get_mut(&id) {
                    steps.retain(|known| known.number != step.number);
                    steps.push(step);
                }
            }
            Ok(Heard::Ended(id, outcome)) => {
                let steps = match seen.jobs.remove(&id) {
                    Some(JobSeen::Running { steps }) => steps,
                    _ => Vec::new(),
                };
                seen.jobs.insert(id, JobSeen::Finished { outcome, steps });
            }
            Ok(Heard::Shell { open }) => kept.shell = open,
            Ok(Heard::Interrupt) if kept.shell => {}
            Ok(Heard::Interrupt) => {
                kept.interrupts += 1;
                let force = kept.interrupts > 1;
                terminal.say(if force {
                    "interrupted again: steps are ended at once"
                } else {
                    "interrupted: running steps are told to stop and get 10 s; once more ends them at once"
                });
                if let Ok(events) = run.command(workflow::run::Command::Cancel { force }, &actor(), world::now()) {
                    for event in events {
                        run.apply(&event);
                        kept.happen(Happened::Run(event), terminal);
                    }
                }
            }
            Ok(other) => self.take_note(other, kept, terminal),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Whose place a job works in: its own, or that of the attempt that it goes on from.
    fn place_of<'b>(&'b self, id: &'b JobId) -> &'b JobId {
        self.resumed_as(id).map_or(id, |resumed| &resumed.of)
    }

    /// A job that went on from a step can go on from those before it as well, as before.
    fn with_earlier(&self, id: &JobId, marks: Vec<Mark>) -> std::result::Result<Vec<Mark>, host::runs::Error> {
        let Some(resumed) = self.resumed_as(id) else { return Ok(marks) };
        let from = resumed.from.next;
        let mut all = self.held.kept.marks(&resumed.of)?.unwrap_or_default();
        all.retain(|mark| mark.next < from);
        all.extend(marks.into_iter().filter(|mark| mark.next >= from));
        Ok(all)
    }

    fn resumed_as(&self, id: &JobId) -> Option<&Resumed> {
        self.resumed.as_ref().filter(|resumed| resumed.key == id.key && id.attempt == 1)
    }

    fn execute(&self, id: JobId, spec: JobSpec, cancel: &Cancel, sender: &Sender<Heard>, screen: &Mutex<Screen>, many: bool) {
        let resumed = self.resumed_as(&id);
        if resumed.is_none() && self.attempt.number > 1 && id.attempt == 1 {
            self.held.remove_leg(&id);
        }
        let kept = &self.held.kept;
        let place = self.place_of(&id);
        if resumed.is_none() {
            self.held.make_room(place);
        }
        let dirs = JobDirs {
            workspace: kept.workspace(place),
            temp: kept.temp(place),
            tool_cache: kept.tools(),
            artifacts: kept.artifacts(),
            cache: kept.cache(),
            actions: host::dirs::Dirs::named().map(|dirs| dirs.actions()).unwrap_or_default(),
            snapshot: self.asked.source.snapshot.as_ref().map(|_| kept.snapshot()),
        };
        let mut env = host::job::inherited(std::env::vars(), host::job::Home::Users);
        env.extend(self.env.clone());
        let options = JobOptions {
            secrets: self.secrets.clone(),
            env,
            pause_on_failure: self.pause,
            keep: true,
            room: true,
            resume: resumed.map(|resumed| resumed.from.clone()),
            engine: std::env::var(host::container::CHOICE).ok(),
            app: self.app.cloned(),
            state: if self.identity { host::dirs::Dirs::named().ok() } else { None },
            ..JobOptions::default()
        };
        let name = spec.name.clone();
        let start = JobStart { spec, source: self.asked.source.clone(), artifacts: id.run.to_string(), project: "local".to_string() };
        let mut sink = Printer::new(id.clone(), name, sender.clone(), screen, many);
        let outcome = host::job::run(&start, &dirs, &options, &mut sink, cancel);
        sink.flush();
        let _ = sender.send(Heard::Ended(id, outcome));
    }

    /// Nobody goes on with a job that succeeded.
    fn tidy(&self, run: &Run) {
        let status = run.status();
        let good = |id: &JobId| {
            let legs = status.jobs.iter().flat_map(|job| &job.legs);
            legs.filter(|leg| leg.key == id.key).all(|leg| leg.state == workflow::run::State::Finished(Conclusion::Success))
        };
        for id in run.jobs().iter().filter(|id| !self.reused.contains_key(&id.key) && good(id)) {
            self.held.remove_job(self.place_of(id));
        }
        let _ = std::fs::remove_dir(self.held.kept.cache());
    }

    fn sum_up(&self, conclusion: Option<Conclusion>) -> Result<()> {
        let plan = &self.recorded.plan;
        let summary = Summary {
            number: self.held.kept.number,
            run: plan.run,
            workflow: plan.workflow.path.clone(),
            name: plan.workflow.name.as_ref().unwrap_or(&plan.workflow.path).clone(),
            title: plan.title.clone(),
            event: plan.event.name.clone(),
            git_ref: plan.event.git_ref.clone(),
            sha: plan.event.sha.clone(),
            dirty: self.asked.source.snapshot.is_some(),
            attempts: self.attempt.number,
            conclusion,
            started: self.attempt.at,
            finished: conclusion.map(|_| world::now()),
        };
        self.held.write_summary(&summary).doing("keep the run's record")
    }
}

/// What is kept must not hold a secret: texts that do are cut, and that it was done is noted.
pub(super) fn without_secrets(asked: &Asked, secrets: &BTreeMap<String, String>) -> Asked {
    let mask = mask(secrets);
    match without(asked, &mask) {
        None => asked.clone(),
        Some(Ok(cut)) => Asked { withheld: true, ..cut },
        // A secret like `push` stands in words that mean something; the rest of them may be kept.
        Some(Err(_)) => Asked { withheld: true, env: BTreeMap::new(), ..asked.clone() },
    }
}

/// Events are masked where they come from; what a plan brings into them isn't.
fn masked(happened: Happened, mask: &Mask) -> Happened {
    match happened {
        Happened::Run(event) => Happened::Run(without(&event, mask).and_then(std::result::Result::ok).unwrap_or(event)),
        other => other,
    }
}

fn mask(secrets: &BTreeMap<String, String>) -> Mask {
    let mut mask = Mask::new();
    secrets.values().for_each(|secret| mask.add(secret));
    mask
}

/// Nothing where there is nothing to cut.
fn without<T: Serialize + DeserializeOwned>(value: &T, mask: &Mask) -> Option<serde_json::Result<T>> {
    if mask.is_empty() {
        return None;
    }
    let before = serde_json::to_value(value).expect("records have string keys and finite numbers");
    let mut after = before.clone();
    cut(&mut after, mask);
    (before != after).then(|| serde_json::from_value(after))
}

fn cut(json: &mut serde_json::Value, mask: &Mask) {
    match json {
        serde_json::Value::String(text) if mask.contains(text.as_bytes()) => *text = mask.apply(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| cut(item, mask)),
        serde_json::Value::Object(entries) => entries.values_mut().for_each(|value| cut(value, mask)),
        _ => {}
    }
}

fn out_of_line(error: host::concurrency::Error) -> Failure {
    Failure::from_error("wait in line", &error)
}

fn stop(cancels: &BTreeMap<JobId, Cancel>, seen: &mut Observed, id: &JobId, at_once: bool) {
    match cancels.get(id) {
        Some(cancel) => cancel.request(if at_once { Stop::AtOnce } else { Stop::Gracefully }),
        None => {
            let outcome = never_begun(None);
            seen.jobs.insert(id.clone(), JobSeen::Finished { outcome, steps: Vec::new() });
        }
    }
}

/// Of a job that was not started and shall not be.
pub(super) fn never_begun(reason: Option<String>) -> JobOutcome {
    let now = world::now();
    let (outputs, annotations) = (BTreeMap::new(), Vec::new());
    JobOutcome { conclusion: Conclusion::Cancelled, outputs, reason, started: now, finished: now, annotations }
}

type Listener = Box<dyn Fn() + Send>;

/// Ctrl-C, the first time and every other, told to whoever listens last.
pub(super) struct Interrupts {
    listener: Arc<Mutex<Listener>>,
    /// It was SIGTERM that came first.
    terminated: Arc<OnceLock<bool>>,
}

impl Interrupts {
    /// By handlers, which a step's program begins without; a blocked signal it would never hear.
    pub fn listen() -> Interrupts {
        let interrupts = Interrupts { listener: Arc::new(Mutex::new(Box::new(|| {}))), terminated: Arc::default() };
        if let Ok((runtime, interrupt, terminate)) = heard() {
            let (listener, terminated) = (interrupts.listener.clone(), interrupts.terminated.clone());
            std::thread::spawn(move || runtime.block_on(told(interrupt, terminate, &listener, &terminated)));
        }
        interrupts
    }

    /// Of a run that was ended so.
    pub fn exit_code(&self) -> u8 {
        if self.terminated.get() == Some(&true) { exit::TERMINATED } else { exit::INTERRUPTED }
    }

    pub fn tell(&self, listener: impl Fn() + Send + 'static) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(listener);
    }
}

type Hears = Option<tokio::signal::unix::Signal>;

/// From now on both are heard; one that whoever started us ignores stays ignored.
fn heard() -> std::io::Result<(tokio::runtime::Runtime, Hears, Hears)> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let ignored = ignored();
    let hear = |kind: SignalKind| (ignored & (1 << (kind.as_raw_value() - 1)) == 0).then(|| signal(kind)).transpose();
    let (interrupt, terminate) = {
        let _inside = runtime.enter();
        (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?)
    };
    Ok((runtime, interrupt, terminate))
}

async fn told(mut interrupt: Hears, mut terminate: Hears, listener: &Mutex<Listener>, terminated: &OnceLock<bool>) {
    async fn next(signal: &mut Hears) {
        let heard = match signal {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending::<()>().await;
        }
    }
    loop {
        let is_terminate = tokio::select! {
            () = next(&mut interrupt) => false,
            () = next(&mut terminate) => true,
        };
        terminated.get_or_init(|| is_terminate);
        listener.lock().unwrap_or_else(PoisonError::into_inner)();
    }
}

/// The signals that are ignored, a bit each; none where nobody tells.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

/// Whether more than one job may speak.
fn has_many(workflow: &Workflow) -> bool {
    let is_one = |job: &Job| job.strategy.is_none() && matches!(job.work, Work::Steps { .. });
    !matches!(workflow.jobs.as_slice(), [job] if is_one(job))
}

/// The summaries of all steps, after everything else.
fn summarize(summaries: &[(String, String, String)], many: bool, terminal: &Terminal) {
    for (job, step, text) in summaries.iter().filter(|_| !terminal.json && !terminal.is_quiet()) {
        let of = if many { format!("{job}, {step}") } else { step.clone() };
        terminal.data(&terminal.paint(&format!("summary of {of}"), Tone::Faint));
        terminal.data(text.trim_end());
    }
}
