//! Where the steps of a job stand: lanes, the lists of steps in them, and what runs or has ended there.
//!
//! A job is gone through in lanes: the first is its own list of steps, every step in the background has one more.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;

use super::call::{Ended, Entrance, Exit, Wrote};
use super::remote::Remote;
use super::spec::Conclusion;
use crate::expr::{Object, Value};
use crate::model::{ActionOutput, ActionRuns, RetryOn, Step, Template};

/// Steps gone through one after another.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// The lane's own steps, and above them the composite actions it is in.
    pub(super) frames: Vec<Frame>,
    pub(super) running: Option<Running>,
    /// The number of the step that is shown, once one is.
    pub(super) place: u32,
    /// Nothing for the job's own.
    pub(super) behind: Option<Behind>,
}

/// A step in the background.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    pub(super) id: String,
    /// As shown.
    pub(super) name: String,
    /// Whether it has got one of the places for steps in the background.
    pub(super) begun: bool,
    /// A step of the job has ended it.
    pub(super) cancelled: bool,
    /// What it set, kept from the others until it has been waited for.
    pub(super) wrote: Wrote,
    pub(super) verdict: Option<Verdict>,
    pub(super) settled: bool,
}

/// How a step in the background ended.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) outcome: Conclusion,
    pub(super) conclusion: Conclusion,
    pub(super) reason: Option<String>,
}

/// A list of steps being gone through.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) steps: Arc<[Step]>,
    pub(super) next: usize,
    /// Which attempt at the next step this is, from 1.
    pub(super) attempt: u32,
    /// What an earlier attempt at it left for the end of the job.
    pub(super) post: Option<usize>,
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
    /// The repository it came from, where that is another one; `$/` leads there.
    pub(super) remote: Option<Remote>,
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
    /// What a composite action yields and why it failed; its steps are done. Or what a wait came to.
    pub(super) left: Option<Left>,
    /// The lanes a `wait` or a `cancel` waits for.
    pub(super) waits: Option<Vec<usize>>,
    /// It failed, and is tried again at that time.
    pub(super) again_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) status: Conclusion,
    pub(super) reason: Option<String>,
    pub(super) timed_out: bool,
}

impl Lane {
    pub(super) fn enter(&mut self, into: &Entrance) {
        let ActionRuns::Composite { steps } = &into.action.runs else { unreachable!("only composite actions are entered") };
        let value = |output: &ActionOutput| output.value.clone().map(|value| (output.name.clone(), value));
        let outputs: Arc<[(String, Template)]> = into.action.outputs.iter().filter_map(value).collect();
        let inside = Inside {
            inputs: Value::object(into.inputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect()),
            env: into.env.clone(),
            directory: into.directory.clone(),
            remote: into.remote.clone(),
            outputs,
            deadline: into.deadline,
            reason: None,
        };
        self.frames.push(Frame { inside: Some(inside), ..Frame::new(steps.as_slice().into()) });
    }

    pub(super) fn leave(&mut self, reason: Option<&String>, timed_out: bool) {
        let frame = self.frames.pop().expect("a composite action that is left was entered");
        let inside = frame.inside.expect("a lane's own steps are never left");
        let status = if reason.is_some() { Conclusion::Failure } else { frame.status };
        let left = Left { status, reason: reason.cloned().or(inside.reason), timed_out };
        self.running = Some(Running { left: Some(left), ..Running::new(false, None) });
    }

    /// Whether nothing more is to be done here; the job's own lane never says so.
    pub(super) fn is_over(&self) -> bool {
        self.behind.as_ref().is_some_and(|behind| behind.verdict.is_some())
    }

    /// The step at hand.
    pub(super) fn step(&self) -> Option<&Step> {
        let frame = self.frames.last()?;
        frame.steps.get(frame.next)
    }
}

impl Frame {
    pub(super) fn new(steps: Arc<[Step]>) -> Frame {
        let results = Value::object(Object::new());
        Frame { steps, next: 0, attempt: 1, post: None, results, status: Conclusion::Success, inside: None }
    }

    pub(super) fn add_outputs(&mut self, id: &str, outputs: &[(String, String)]) {
        let mut kept: Object = match self.results.get(id).get("outputs") {
            Value::Object(object) => (*object).clone(),
            _ => Object::new(),
        };
        for (name, value) in outputs {
            kept.insert(name.as_str(), Value::from(value.as_str()));
        }
        self.set_result(id, [("outputs", Value::object(kept))]);
    }

    pub(super) fn set_verdict(&mut self, id: &str, verdict: &Verdict) {
        if matches!(self.results.get(id), Value::Null) {
            self.set_result(id, [("outputs", Value::object(Object::new()))]);
        }
        let (outcome, conclusion) = (Value::from(verdict.outcome.word()), Value::from(verdict.conclusion.word()));
        self.set_result(id, [("outcome", outcome), ("conclusion", conclusion)]);
    }

    pub(super) fn set_result<const N: usize>(&mut self, id: &str, parts: [(&str, Value); N]) {
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
    pub(super) fn new(is_post: bool, post: Option<usize>) -> Running {
        Running { ended: None, post, is_post, left: None, waits: None, again_at: None }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() || self.left.is_some()
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

    /// What kind of failure it was, as `retry` tells them apart.
    pub(super) fn failure(&self) -> RetryOn {
        let ended = self.ended.as_ref().map(|ended| &ended.exit);
        let timed_out = matches!(ended, Some(Exit::TimedOut { .. })) || self.left.as_ref().is_some_and(|left| left.timed_out);
        if timed_out { RetryOn::Timeout } else { RetryOn::Failure }
    }
}

impl Verdict {
    pub(super) fn new(conclusion: Conclusion, reason: Option<String>) -> Verdict {
        Verdict { outcome: conclusion, conclusion, reason }
    }
}
