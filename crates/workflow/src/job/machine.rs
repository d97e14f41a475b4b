//! The life of a job: what has happened so far, and how each event changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use base::mask::Mask;

use super::call::{Ended, Entrance, Event, Exit, Post};
use super::facts::JobFacts;
use super::scope::Fixed;
use super::spec::{Conclusion, JobSpec, StepSeen, StepState};
use crate::expr::{Object, Value};
use crate::model::{ActionOutput, ActionRuns, Step, Template, Work};

/// One job while it runs. `apply` alone changes it, [`Job::advance`] alone decides.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) spec: Arc<JobSpec>,
    pub(super) facts: Arc<JobFacts>,
    pub(super) fixed: Arc<Fixed>,
    pub(super) github_env: Arc<BTreeMap<String, String>>,
    pub(super) phase: Phase,
    /// Of workflow and job, and what steps wrote to `GITHUB_ENV`.
    pub(super) env: BTreeMap<String, String>,
    pub(super) shell: Option<String>,
    pub(super) directory: Option<String>,
    /// What steps wrote to `GITHUB_PATH`, oldest first.
    pub(super) paths: Vec<String>,
    /// The job's own steps, and above them the composite actions we are in.
    pub(super) frames: Vec<Frame>,
    pub(super) posts: Vec<Post>,
    pub(super) status: Conclusion,
    /// The first thing that failed.
    pub(super) reason: Option<String>,
    pub(super) mask: Mask,
    pub(super) seen: Vec<StepSeen>,
    pub(super) running: Option<Running>,
    pub(super) begun: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    New,
    Main,
    /// Posts, last registered first.
    Cleaning,
    /// Nothing runs any more, whatever its condition says.
    Spoiled,
}

/// A list of steps being gone through.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) steps: Arc<[Step]>,
    pub(super) next: usize,
    /// The `steps` context; kept as a value, because every step sees it and few change it.
    pub(super) results: Value,
    pub(super) status: Conclusion,
    /// Nothing for the job's own steps.
    pub(super) inside: Option<Inside>,
}

/// What a composite action's steps have around them.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pub(super) inputs: Value,
    pub(super) env: BTreeMap<String, String>,
    pub(super) directory: String,
    pub(super) outputs: Arc<[(String, Template)]>,
    pub(super) deadline: Option<Timestamp>,
    /// Why the action fails, once one of its steps has.
    pub(super) reason: Option<String>,
}

/// The step that was started and isn't concluded.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) ended: Option<Ended>,
    pub(super) post: Option<usize>,
    pub(super) is_post: bool,
    /// What a composite action yields and why it failed; its steps are done.
    pub(super) left: Option<Left>,
}

#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) status: Conclusion,
    pub(super) reason: Option<String>,
}

impl Job {
    /// A job about to begin. The mask starts with the secrets of the facts.
    pub fn new(spec: JobSpec, facts: JobFacts) -> Job {
        let fixed = Fixed::new(&spec.contexts, &facts);
        let mut mask = Mask::new();
        for secret in facts.secrets.values().chain(&facts.masks) {
            mask.add(secret);
        }
        let steps: Arc<[Step]> = match &spec.job.work {
            Work::Steps { steps, .. } => steps.as_slice().into(),
            Work::Call { .. } => Arc::from([]),
        };
        Job {
            github_env: Arc::new(fixed.github_env()),
            fixed: Arc::new(fixed),
            spec: Arc::new(spec),
            facts: Arc::new(facts),
            phase: Phase::New,
            env: BTreeMap::new(),
            shell: None,
            directory: None,
            paths: Vec::new(),
            frames: vec![Frame { steps, next: 0, results: Value::object(Object::new()), status: Conclusion::Success, inside: None }],
            posts: Vec::new(),
            status: Conclusion::Success,
            reason: None,
            mask,
            seen: Vec::new(),
            running: None,
            begun: None,
        }
    }

    /// The steps so far, by number.
    pub fn steps(&self) -> &[StepSeen] {
        &self.seen
    }

    /// What must not be shown: the secrets, and what steps asked to hide.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Success until something fails or somebody cancels.
    pub fn status(&self) -> Conclusion {
        self.status
    }

    /// What every process of the job inherits.
    pub fn inherited(&self) -> &BTreeMap<String, String> {
        &self.facts.env
    }

    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Begun { at, env, shell, directory } => {
                assert!(self.phase == Phase::New, "a job begins once");
                self.begun = Some(*at);
                self.phase = Phase::Main;
                self.env.extend(env.iter().cloned());
                self.shell.clone_from(shell);
                self.directory.clone_from(directory);
            }
            Event::Spoiled { at, reason } => {
                self.begun.get_or_insert(*at);
                self.phase = Phase::Spoiled;
                self.fail(Conclusion::Failure, reason);
            }
            Event::Skipped { at, name, reason } => {
                if self.is_shown() {
                    self.show(*at, name);
                }
                self.conclude(*at, Conclusion::Skipped, Conclusion::Skipped, Some(reason));
            }
            Event::Broken { at, name, reason } => {
                if self.is_shown() {
                    self.show(*at, name);
                }
                self.running = Some(Running::new(self.phase == Phase::Cleaning, None));
                self.set_ended(Ended { exit: Exit::Failed(reason.clone()), ..Ended::nothing() });
            }
            Event::Started { at, name, post } => {
                if self.is_shown() {
                    self.show(*at, name);
                }
                self.posts.extend(post.iter().map(|post| (**post).clone()));
                let is_post = self.phase == Phase::Cleaning;
                self.running = Some(Running::new(is_post, post.is_some().then(|| self.posts.len() - 1)));
            }
            Event::Entered { at, name, into } => {
                if self.is_shown() {
                    self.show(*at, name);
                }
                self.enter(into);
            }
            Event::Ended { ended, .. } => self.set_ended(ended.clone()),
            Event::Left { outputs, reason, .. } => self.leave(outputs, reason.as_ref()),
            Event::Concluded { at, conclusion } => {
                let running = self.running.take().expect("only what was started can be concluded");
                let (outcome, reason) = running.outcome();
                self.conclude(*at, outcome, *conclusion, reason.as_ref());
            }
            Event::Cleaning => self.phase = Phase::Cleaning,
            Event::Cancelled { reason, .. } => {
                self.status = Conclusion::Cancelled;
                if let Some(reason) = reason {
                    self.reason = Some(reason.clone());
                }
            }
        }
    }

    fn enter(&mut self, into: &Entrance) {
        let ActionRuns::Composite { steps } = &into.action.runs else { unreachable!("only composite actions are entered") };
        let value = |output: &ActionOutput| output.value.clone().map(|value| (output.name.clone(), value));
        let outputs: Arc<[(String, Template)]> = into.action.outputs.iter().filter_map(value).collect();
        self.frames.push(Frame {
            steps: steps.as_slice().into(),
            next: 0,
            results: Value::object(Object::new()),
            status: Conclusion::Success,
            inside: Some(Inside {
                inputs: Value::object(into.inputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect()),
                env: into.env.clone(),
                directory: into.directory.clone(),
                outputs,
                deadline: into.deadline,
                reason: None,
            }),
        });
    }

    fn leave(&mut self, outputs: &[(String, String)], reason: Option<&String>) {
        let frame = self.frames.pop().expect("a composite action that is left was entered");
        let inside = frame.inside.expect("the job's own steps are never left");
        let status = if reason.is_some() { Conclusion::Failure } else { frame.status };
        let mut running = Running::new(false, None);
        running.left = Some(Left { status, reason: reason.cloned().or(inside.reason) });
        self.running = Some(running);
        self.set_outputs(outputs);
    }

    /// Takes over what the step left; its verdict follows.
    fn set_ended(&mut self, ended: Ended) {
        self.env.extend(ended.wrote.env.iter().cloned());
        for path in &ended.wrote.paths {
            self.paths.retain(|known| known != path);
            self.paths.push(path.clone());
        }
        for mask in &ended.masks {
            self.mask.add(mask);
        }
        let running = self.running.as_mut().expect("only what was started can end");
        if let Some(post) = running.post {
            self.posts[post].state = ended.wrote.state.iter().cloned().collect();
        }
        let is_post = running.is_post;
        let outputs = ended.wrote.outputs.clone();
        running.ended = Some(ended);
        if !is_post {
            self.set_outputs(&outputs);
        }
    }

    /// Writes `steps.<id>.outputs` of the step at hand.
    fn set_outputs(&mut self, outputs: &[(String, String)]) {
        let Some(id) = self.current_id() else { return };
        let frame = self.frames.last_mut().expect("the job's own frame is never left");
        let mut kept: Object = match frame.results.get(&id).get("outputs") {
            Value::Object(object) => (*object).clone(),
            _ => Object::new(),
        };
        for (name, value) in outputs {
            kept.insert(name.as_str(), Value::from(value.as_str()));
        }
        frame.set_result(&id, [("outputs", Value::object(kept))]);
    }

    fn conclude(&mut self, at: Timestamp, outcome: Conclusion, conclusion: Conclusion, reason: Option<&String>) {
        let shown = self.is_shown();
        if self.phase == Phase::Main {
            let id = self.current_id();
            let frame = self.frames.last_mut().expect("the job's own frame is never left");
            if let Some(id) = id {
                if matches!(frame.results.get(&id), Value::Null) {
                    frame.set_result(&id, [("outputs", Value::object(Object::new()))]);
                }
                frame.set_result(&id, [("outcome", Value::from(outcome.word())), ("conclusion", Value::from(conclusion.word()))]);
            }
            frame.next += 1;
        } else {
            self.posts.pop();
        }
        let name = if shown { self.finish_shown(at, outcome, conclusion, reason) } else { String::new() };
        if matches!(conclusion, Conclusion::Failure | Conclusion::Cancelled) {
            match self.frames.last_mut().and_then(|frame| frame.inside.as_mut().map(|inside| (&mut frame.status, inside))) {
                Some((status, inside)) => {
                    *status = worse(*status, conclusion);
                    if inside.reason.is_none() {
                        inside.reason = reason.cloned();
                    }
                }
                None => {
                    let why = reason.map_or("failed", String::as_str);
                    self.fail(conclusion, &format!("step \"{name}\" {why}"));
                }
            }
        }
    }

    fn fail(&mut self, conclusion: Conclusion, reason: &str) {
        self.status = worse(self.status, conclusion);
        self.reason.get_or_insert_with(|| reason.to_string());
    }

    fn show(&mut self, at: Timestamp, name: &str) {
        let number = u32::try_from(self.seen.len()).expect("a job has fewer steps than numbers");
        let (started, finished) = (Some(at), None);
        self.seen.push(StepSeen { number, name: name.to_string(), state: StepState::Running, started, finished, reason: None });
    }

    fn finish_shown(&mut self, at: Timestamp, outcome: Conclusion, conclusion: Conclusion, reason: Option<&String>) -> String {
        let seen = self.seen.last_mut().expect("what is concluded was shown");
        seen.state = StepState::Finished { outcome, conclusion };
        seen.finished = Some(at);
        if outcome == Conclusion::Skipped {
            (seen.started, seen.finished) = (None, None);
        }
        seen.reason = reason.cloned();
        seen.name.clone()
    }

    /// Whether the step at hand has a line of its own: the job's steps and posts do, a composite action's don't.
    fn is_shown(&self) -> bool {
        self.frames.len() == 1
    }

    /// The id under which the step at hand appears in `steps`; generated ones don't.
    fn current_id(&self) -> Option<String> {
        let frame = self.frames.last().filter(|_| self.phase == Phase::Main)?;
        let step = frame.steps.get(frame.next)?;
        (!step.id.is_empty() && !step.id.starts_with("__")).then(|| step.id.clone())
    }
}

impl Frame {
    fn set_result<const N: usize>(&mut self, id: &str, parts: [(&str, Value); N]) {
        let mut results: Object = match std::mem::take(&mut self.results) {
            Value::Object(object) => Arc::unwrap_or_clone(object),
            _ => Object::new(),
        };
        let mut result: Object = match results.get(id) {
            Some(Value::Object(object)) => (**object).clone(),
            _ => Object::new(),
        };
        for (name, value) in parts {
            result.insert(name, value);
        }
        results.insert(id, Value::object(result));
        self.results = Value::object(results);
    }
}

impl Running {
    fn new(is_post: bool, post: Option<usize>) -> Running {
        Running { ended: None, post, is_post, left: None }
    }

    /// Before `continue-on-error`, and why.
    pub(super) fn outcome(&self) -> (Conclusion, Option<String>) {
        if let Some(left) = &self.left {
            return (left.status, left.reason.clone().filter(|_| left.status != Conclusion::Success));
        }
        let ended = self.ended.as_ref().expect("what is judged has ended");
        let failed = |why: String| (Conclusion::Failure, Some(why));
        match &ended.exit {
            Exit::Cancelled => (Conclusion::Cancelled, Some("was cancelled".to_string())),
            Exit::Failed(why) => failed(format!("failed: {why}")),
            Exit::TimedOut { after_ms } => failed(format!("took longer than {}", base::time::format_duration_ms(*after_ms))),
            Exit::Signal(signal) => failed(format!("was ended by signal {signal}")),
            Exit::Code(0) => match &ended.refused {
                Some(why) => failed(format!("failed: {why}")),
                None => (Conclusion::Success, None),
            },
            Exit::Code(code) => failed(format!("exited with {code}")),
        }
    }
}

impl Ended {
    fn nothing() -> Ended {
        Ended { exit: Exit::Code(0), wrote: super::Wrote::default(), masks: Vec::new(), refused: None }
    }
}

/// Cancelled outweighs failed, failed outweighs all else.
fn worse(left: Conclusion, right: Conclusion) -> Conclusion {
    [Conclusion::Cancelled, Conclusion::Failure].into_iter().find(|bad| left == *bad || right == *bad).unwrap_or(left)
}
