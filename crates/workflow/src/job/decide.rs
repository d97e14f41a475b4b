//! What a job does next: which lane has its turn, and what becomes of what has ended.

use std::collections::BTreeMap;

use base::Timestamp;

use super::around::own_repository;
use super::builtin::Builtin;
use super::call::{Advance, Event, Foreseen, Next, Post, PostWork};
use super::command::{Annotation, Level};
use super::contained::{Asked, ContainerCall, ContainerWork, Mounts};
use super::facts::Files;
use super::lane::{Behind, Lane, Running};
use super::machine::{Job, Phase, worse};
use super::scope::StepScope;
use super::spec::{Conclusion, JobOutcome, StepState};
use super::step::{Ready, reference};
use crate::container;
use crate::expr::evaluate_template;
use crate::model::{Defaults, StepAction, Work};

/// Steps in the background that run at once, as at GitHub; the others wait for a place.
const BACKGROUND_MAX: usize = 10;

/// What one lane has to say when asked what is next.
enum Turn {
    Next(Box<Advance>),
    /// Nothing before something has ended, or before that time.
    Waits(Option<Timestamp>),
}

impl Job {
    /// What comes next. Before asking again: apply the event, do what is next, and apply the end of everything that has ended.
    pub fn advance(&self, files: &dyn Files, now: Timestamp) -> Advance {
        if self.phase == Phase::New {
            return note(self.begin(files, now));
        }
        let mut until = None;
        // What runs in the background comes first, so that a step that waits for it finds it ended.
        for lane in (1..self.lanes.len()).chain([0]) {
            match self.turn(lane, files, now) {
                Turn::Next(advance) => return *advance,
                Turn::Waits(wake) => until = [until, wake].into_iter().flatten().min(),
            }
        }
        Advance { event: None, next: Next::Wait { until } }
    }

    fn turn(&self, lane: usize, files: &dyn Files, now: Timestamp) -> Turn {
        if let Some(running) = &self.lanes[lane].running {
            return self.running(lane, running, files, now);
        }
        if self.lanes[lane].is_over() {
            return Turn::Waits(None);
        }
        match self.phase {
            Phase::New => unreachable!("a job that has not begun has one thing to do"),
            Phase::Spoiled if lane > 0 || self.lanes.iter().any(|lane| lane.running.is_some()) => Turn::Waits(None),
            Phase::Spoiled if self.seen.iter().any(|seen| seen.state == StepState::Running) => Turn::note(Event::Abandoned { at: now }),
            Phase::Spoiled => Turn::next(self.finish(files, now)),
            Phase::Cleaning => Turn::next(match self.posts.last() {
                Some(post) => self.post(post, files, now),
                None => self.finish(files, now),
            }),
            Phase::Preparing => Turn::next(self.prepare(now)),
            Phase::Early => match self.pres.last().filter(|_| lane == 0) {
                Some(pre) => Turn::next(self.post(pre, files, now)),
                None => Turn::Waits(None),
            },
            Phase::Main => self.main(lane, files, now),
        }
    }

    /// Something is under way in the lane, or waits there.
    fn running(&self, lane: usize, running: &Running, files: &dyn Files, now: Timestamp) -> Turn {
        if let Some(lanes) = running.waits.as_ref().filter(|_| running.left.is_none()) {
            let over = lanes.iter().all(|lane| self.lanes[*lane].is_over());
            return if over { Turn::note(self.waited(lanes, now)) } else { Turn::Waits(None) };
        }
        if !running.is_over() {
            return Turn::Waits(None);
        }
        let conclusion = self.conclusion(lane, running, files);
        let concluded = Turn::note(Event::Concluded { at: now, lane, conclusion });
        let frame = self.lanes[lane].frames.last().expect("a lane's own frame is never left");
        let retry = frame.steps.get(frame.next).filter(|_| !running.is_post).and_then(|step| step.retry.as_ref());
        let (outcome, reason) = running.outcome();
        let pause = retry.filter(|_| outcome == Conclusion::Failure).and_then(|retry| retry.after(frame.attempt, running.failure()));
        let (Some(retry), Some(pause)) = (retry, pause.filter(|_| !self.is_ended(lane))) else { return concluded };
        match running.again_at {
            Some(until) if until <= now => Turn::note(Event::Again { lane }),
            Some(until) => Turn::Waits(Some(until)),
            None => {
                let when = if pause == 0 { "now".to_string() } else { format!("in {}", base::time::format_duration_ms(pause)) };
                let (attempt, all) = (frame.attempt, retry.max + 1);
                let says = format!("attempt {attempt} of {all} {}; the next begins {when}", reason.as_deref().unwrap_or("failed"));
                Turn::note(Event::Retrying { at: now, lane, until: now.plus_ms(pause), says })
            }
        }
    }

    /// Whether the job or this lane was cancelled.
    fn is_ended(&self, lane: usize) -> bool {
        self.status == Conclusion::Cancelled || self.lanes[lane].behind.as_ref().is_some_and(|behind| behind.cancelled)
    }

    fn main(&self, lane: usize, files: &dyn Files, now: Timestamp) -> Turn {
        if self.behind(lane).is_some_and(|behind| !behind.begun) {
            if self.is_ended(lane) {
                let reason = "was cancelled before it began".to_string();
                return Turn::note(Event::Dropped { at: now, lane, reason });
            }
            let under_way = |lane: &Lane| lane.behind.as_ref().is_some_and(|behind| behind.begun && behind.verdict.is_none());
            if self.lanes.iter().filter(|lane| under_way(lane)).count() >= BACKGROUND_MAX {
                return Turn::Waits(None);
            }
        }
        let frame = self.lanes[lane].frames.last().expect("a lane's own frame is never left");
        let expired = frame.inside.as_ref().and_then(|inside| inside.deadline).is_some_and(|deadline| deadline <= now);
        match frame.steps.get(frame.next).filter(|_| !expired) {
            Some(step) => Turn::next(self.step(lane, step, files, now)),
            None if frame.inside.is_some() => Turn::note(self.leaving(lane, expired, files, now)),
            None if self.lanes.iter().skip(1).any(|lane| !lane.is_over()) => Turn::Waits(None),
            None if self.lanes.len() > 1 && !self.settled => Turn::note(Event::Settled { at: now }),
            None => Turn::note(Event::Cleaning),
        }
    }

    /// Asked when the job was cancelled while something runs in the lane: whether the step's condition, and that of every composite
    /// action around it, holds even so. What is in the background is ended whatever its condition, as at GitHub.
    pub fn still_wanted(&self, lane: usize, files: &dyn Files) -> bool {
        if lane > 0 {
            return false;
        }
        if self.phase == Phase::Preparing {
            return false;
        }
        if matches!(self.phase, Phase::Early | Phase::Cleaning) {
            let scope = |post| self.post_scope(post, files);
            let beside = if self.phase == Phase::Early { &self.pres } else { &self.posts };
            return beside.last().is_some_and(|post| scope(post).holds(&post.condition).unwrap_or(false));
        }
        let frames = &self.lanes[lane].frames;
        (0..frames.len()).all(|depth| {
            let frame = &frames[depth];
            let Some(step) = frame.steps.get(frame.next) else { return true };
            let env = self.env_around(lane, depth);
            let mut scope = self.scope(lane, depth, step, &env, files);
            // Inside composite actions the job's end counts as theirs.
            scope.own_status = Conclusion::Cancelled;
            scope.holds(&step.condition).unwrap_or(false)
        })
    }

    /// The built-in actions that will run as far as can be seen before the first step, with their inputs: so that what the machine
    /// lacks is found out before anything runs. Steps inside actions and steps whose condition can't hold yet are left out.
    pub fn foresee(&self, files: &dyn Files) -> Vec<Foreseen> {
        let Event::Begun { env, .. } = self.begin(files, Timestamp::default()) else { return Vec::new() };
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let mut foreseen = Vec::new();
        for step in self.lanes[0].frames[0].steps.iter() {
            let StepAction::Uses { uses, with } = &step.action else { continue };
            let scope = StepScope { action: Some(&step.id), from: own_repository(step, None), ..self.bare_scope(&env, files) };
            let Some(builtin) = Builtin::of(uses).filter(|_| scope.holds(&step.condition).unwrap_or(false)) else { continue };
            let Ok(given) = scope.pairs(with.as_ref()) else { continue };
            let inputs = given.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
            let allowed = step
                .continue_on_error
                .as_ref()
                .is_some_and(|template| evaluate_template(template, &scope).is_ok_and(|value| value.truthy()));
            foreseen.push(Foreseen { builtin, reference: reference(uses).to_string(), inputs, step: step.clone(), allowed });
        }
        foreseen
    }

    fn begin(&self, files: &dyn Files, at: Timestamp) -> Event {
        let spoiled = |reason: String| Event::Spoiled { at, reason };
        if let Some(why) = &self.unseen {
            return spoiled(why.clone());
        }
        let mut env: Vec<(String, String)> = Vec::new();
        let none = BTreeMap::new();
        let scope = self.bare_scope(&none, files);
        for (owner, template) in [("the workflow's", &self.spec.workflow_env), ("the job's", &self.spec.job.env)] {
            match scope.pairs(template.as_ref()) {
                Ok(pairs) => env.extend(pairs),
                Err(error) => return spoiled(format!("{owner} `env` has no value: {error}")),
            }
        }
        let known: BTreeMap<String, String> = env.iter().cloned().collect();
        let scope = self.bare_scope(&known, files);
        let own = match &self.spec.job.work {
            Work::Steps { defaults, .. } => Some(defaults),
            Work::Call { .. } => None,
        };
        let pick = |key: &str| {
            let given = own.map(|own| default_of(own, key, &scope)).transpose()?.flatten();
            given.map_or_else(|| default_of(&self.spec.workflow_defaults, key, &scope), |given| Ok(Some(given)))
        };
        let containers = match self.wanted(&scope) {
            Ok(asked) => asked.map(Box::new),
            Err(why) => return spoiled(why),
        };
        // The official runner leaves them as the machine has them.
        if let Some(asked) = containers.as_deref().filter(|asked| asked.job.as_ref().is_some_and(|job| job.gitlab.is_some())) {
            env.iter_mut().for_each(|(_, value)| *value = asked.mounts.within(value));
        }
        match (pick("shell"), pick("working-directory")) {
            (Ok(shell), Ok(directory)) => {
                let pres = self.pres(&known, containers.as_deref(), files);
                Event::Begun { at, env, shell, directory, containers, pres }
            }
            (Err(error), _) | (_, Err(error)) => spoiled(format!("`defaults.run` has no value: {error}")),
        }
    }

    /// The containers that the job's file asks for, with their values.
    fn wanted(&self, scope: &StepScope<'_>) -> Result<Option<Asked>, String> {
        let Work::Steps { container, services, .. } = &self.spec.job.work else { return Ok(None) };
        let job = container.as_ref().map(|template| container::job(template, scope)).transpose()?.flatten();
        let mut services = services.as_ref().map(|template| container::services(template, scope)).transpose()?.unwrap_or_default();
        if job.is_none() && services.is_empty() {
            return Ok(None);
        }
        let repository = self.spec.contexts.github["repository"].as_str().unwrap_or_default();
        let name = repository.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("workspace");
        let mounts = Mounts::of_job(&self.machine, name);
        let of_gitlab = services.iter_mut().filter(|(_, service)| service.gitlab.is_some());
        of_gitlab.flat_map(|(_, service)| service.env.values_mut()).for_each(|value| *value = mounts.within(value));
        let directory = mounts.inside(&self.machine.workspace);
        Ok(Some(Asked { job, services, mounts, directory }))
    }

    /// The containers come before all steps, and go after all else.
    fn prepare(&self, at: Timestamp) -> Advance {
        let asked = self.asked.as_deref().expect("a job is prepared for its containers");
        let stop = Post {
            name: "Stop containers".to_string(),
            id: String::new(),
            key: String::new(),
            from: None,
            condition: "always()".to_string(),
            what: PostWork::Containers,
            inputs: BTreeMap::new(),
            env: BTreeMap::new(),
            action_path: None,
            state: BTreeMap::new(),
        };
        let name = "Initialize containers".to_string();
        let call = ContainerCall { step: self.place(0), work: ContainerWork::Start(Box::new(asked.clone())) };
        let event = Event::Started { at, lane: 0, name, post: Some(Box::new(stop)) };
        Advance { event: Some(event), next: Next::Containers(Box::new(call)) }
    }

    pub(super) fn wait(&self, ready: &Ready<'_>, lanes: Vec<usize>, cancels: bool) -> Advance {
        let names: Vec<&str> = lanes.iter().filter_map(|lane| self.behind(*lane)).map(|behind| behind.name.as_str()).collect();
        let says = match (names.is_empty(), cancels) {
            (true, _) => "nothing in the background is left to wait for".to_string(),
            (false, true) => format!("ending {}", names.join(", ")),
            (false, false) => format!("waiting for {}", names.join(", ")),
        };
        let next = if cancels && !lanes.is_empty() { Next::Interrupt(lanes.clone()) } else { Next::Again };
        let event = Event::Waiting { at: ready.at, name: ready.name.to_string(), lanes, cancels, says };
        Advance { event: Some(event), next }
    }

    fn waited(&self, lanes: &[usize], at: Timestamp) -> Event {
        let mut says = String::new();
        let (mut status, mut reason) = (Conclusion::Success, None);
        for behind in lanes.iter().filter_map(|lane| self.behind(*lane)) {
            let Some(verdict) = &behind.verdict else { continue };
            let why = verdict.reason.as_deref().unwrap_or_else(|| verdict.conclusion.word());
            says.push_str(&format!("{}: {why}\n", behind.name));
            let expected = behind.cancelled && verdict.conclusion == Conclusion::Cancelled;
            if matches!(verdict.conclusion, Conclusion::Failure | Conclusion::Cancelled) && !expected {
                status = worse(status, verdict.conclusion);
                reason.get_or_insert_with(|| format!("failed: step \"{}\" {why}", behind.name));
            }
        }
        if self.lanes[0].step().is_some_and(|step| matches!(step.action, StepAction::Cancel { .. })) {
            (status, reason) = (Conclusion::Success, None);
        }
        Event::Waited { at, lanes: lanes.to_vec(), status, reason, says }
    }

    pub(super) fn behind(&self, lane: usize) -> Option<&Behind> {
        self.lanes.get(lane)?.behind.as_ref()
    }

    /// Ids of steps that were skipped, or come later, name no lane.
    pub(super) fn behind_by(&self, ids: &[String]) -> Vec<usize> {
        let named = |lane: &usize| self.behind(*lane).is_some_and(|behind| ids.iter().any(|id| id.eq_ignore_ascii_case(&behind.id)));
        (1..self.lanes.len()).filter(named).collect()
    }

    pub(super) fn unsettled(&self) -> Vec<usize> {
        (1..self.lanes.len()).filter(|lane| self.behind(*lane).is_some_and(|behind| !behind.settled)).collect()
    }

    fn leaving(&self, lane: usize, expired: bool, files: &dyn Files, at: Timestamp) -> Event {
        let left = |outputs, reason| Event::Left { at, lane, outputs, reason, timed_out: expired };
        if expired {
            return left(Vec::new(), Some("took longer than its `timeout-minutes`".to_string()));
        }
        let depth = self.lanes[lane].frames.len() - 1;
        let inside = self.lanes[lane].frames[depth].inside.as_ref().expect("only a composite action is left");
        let env = self.env_around(lane, depth);
        let scope = StepScope { action: None, ..self.scope_of_frame(lane, depth, &env, files) };
        let mut outputs = Vec::new();
        for (name, template) in inside.outputs.iter() {
            match scope.text(template) {
                Ok(value) => outputs.push((name.clone(), value)),
                Err(error) => return left(outputs, Some(format!("failed: output `{name}` has no value: {error}"))),
            }
        }
        left(outputs, None)
    }

    /// After `continue-on-error`.
    fn conclusion(&self, lane: usize, running: &Running, files: &dyn Files) -> Conclusion {
        let (outcome, _) = running.outcome();
        let frames = &self.lanes[lane].frames;
        let frame = frames.last().expect("a lane's own frame is never left");
        let template = frame.steps.get(frame.next).filter(|_| !running.is_post).and_then(|step| step.continue_on_error.as_ref());
        let (Conclusion::Failure, Some(template)) = (outcome, template) else { return outcome };
        let depth = frames.len() - 1;
        let env = self.env_around(lane, depth);
        match evaluate_template(template, &self.scope_of_frame(lane, depth, &env, files)) {
            Ok(value) if value.truthy() && value.text() != "false" => Conclusion::Success,
            _ => outcome,
        }
    }

    fn finish(&self, files: &dyn Files, now: Timestamp) -> Advance {
        let scope = self.bare_scope(&self.env, files);
        let mut outputs = BTreeMap::new();
        let mut warnings = Vec::new();
        let mut reason = self.reason.clone();
        let mut conclusion = self.status;
        for (name, template) in &self.spec.job.outputs {
            match scope.text(template) {
                Ok(value) if value.is_empty() => {}
                Ok(value) if self.mask.contains(value.as_bytes()) => {
                    warnings.push(format!("Skip output '{name}' since it may contain secret."));
                }
                Ok(value) => {
                    outputs.insert(name.clone(), value);
                }
                Err(_) if self.phase == Phase::Spoiled => {}
                Err(error) => {
                    conclusion = if conclusion == Conclusion::Cancelled { conclusion } else { Conclusion::Failure };
                    reason.get_or_insert_with(|| format!("output `{name}` has no value: {error}"));
                }
            }
        }
        let mut address = None;
        if let Some(url) = self.spec.job.environment.as_ref().and_then(|environment| environment.url.as_ref())
            && self.phase != Phase::Spoiled
        {
            match scope.text(url) {
                Ok(url) if url.is_empty() => {}
                Ok(url) if self.mask.contains(url.as_bytes()) => {
                    warnings.push("Skip setting the environment's url since it may contain secret.".to_string());
                }
                Ok(url) => address = Some(format!("{} is at {url}", self.spec.environment.as_deref().unwrap_or("the environment"))),
                Err(error) => {
                    conclusion = if conclusion == Conclusion::Cancelled { conclusion } else { Conclusion::Failure };
                    reason.get_or_insert_with(|| format!("`environment.url` has no value: {error}"));
                }
            }
        }
        let reason = reason.filter(|_| conclusion != Conclusion::Success).map(|reason| self.mask.apply(&reason));
        let remarks = warnings.iter().map(|warning| Annotation::of_job(Level::Warning, warning));
        let annotations = remarks.chain(address.iter().map(|address| Annotation::of_job(Level::Notice, address))).collect();
        let outcome = JobOutcome { conclusion, outputs, reason, started: self.begun.unwrap_or(now), finished: now, annotations };
        Advance { event: None, next: Next::Finish { outcome: Box::new(outcome), warnings } }
    }
}

impl Turn {
    fn next(advance: Advance) -> Turn {
        Turn::Next(Box::new(advance))
    }

    fn note(event: Event) -> Turn {
        Turn::next(note(event))
    }
}

pub(super) fn note(event: Event) -> Advance {
    Advance { event: Some(event), next: Next::Again }
}

/// What `defaults.run` says of one of its keys.
fn default_of(defaults: &Defaults, key: &str, scope: &StepScope<'_>) -> Result<Option<String>, String> {
    let text = |error: crate::expr::Error| error.to_string();
    if let Some(whole) = &defaults.run {
        let value = evaluate_template(whole, scope).map_err(text)?.get(key);
        return Ok(Some(value.text()).filter(|text| !text.is_empty()));
    }
    let template = if key == "shell" { &defaults.shell } else { &defaults.working_directory };
    template.as_ref().map(|template| scope.text(template).map_err(text)).transpose()
}
