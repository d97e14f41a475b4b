//! What a job does next.

use std::collections::BTreeMap;

use base::Timestamp;

use super::builtin::{Builtin, unforeseen};
use super::call::{ActionCall, Advance, Command, Entrance, Event, Foreseen, Next, Post, PostWork, Script, Stage};
use super::command::{Annotation, Level};
use super::facts::{FilePaths, Files};
use super::machine::{Behind, Job, Lane, Phase, Running, worse};
use super::remote::Remote;
use super::scope::{StepScope, env_name};
use super::shell::Shell;
use super::spec::{Conclusion, JobOutcome, StepState};
use crate::expr::{Value, evaluate_template};
use crate::model::{Action, ActionRuns, Defaults, Step, StepAction, Template, Work};

/// Composite actions inside composite actions, as at GitHub.
const DEPTH_MAX: usize = 10;
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
        if self.phase == Phase::Cleaning {
            let scope = |post| self.post_scope(post, files);
            return self.posts.last().is_some_and(|post| scope(post).holds(&post.condition).unwrap_or(false));
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
            let scope = StepScope { action: Some(&step.id), ..self.bare_scope(&env, files) };
            let Some(builtin) = Builtin::of(uses).filter(|_| scope.holds(&step.condition).unwrap_or(false)) else { continue };
            let Ok(given) = scope.pairs(with.as_ref()) else { continue };
            let inputs = given.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
            foreseen.push(Foreseen { builtin, reference: reference(uses).to_string(), inputs, step: step.clone() });
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
        match (pick("shell"), pick("working-directory")) {
            (Ok(shell), Ok(directory)) => Event::Begun { at, env, shell, directory },
            (Err(error), _) | (_, Err(error)) => spoiled(format!("`defaults.run` has no value: {error}")),
        }
    }

    fn step(&self, lane: usize, step: &Step, files: &dyn Files, at: Timestamp) -> Advance {
        let depth = self.lanes[lane].frames.len() - 1;
        let around = self.env_around(lane, depth);
        let own = self.scope(lane, depth, step, &around, files).pairs(step.env.as_ref());
        let mut env = around;
        if let Ok(own) = &own {
            env.extend(own.iter().cloned());
        }
        let paths = files.paths(lane);
        let mut scope = self.scope(lane, depth, step, &env, files);
        scope.paths = Some(&paths);
        let name = self.step_name(step, &scope);
        let broken = |reason: String| note(Event::Broken { at, lane, name: name.clone(), reason });
        let own = match own {
            Ok(own) => own,
            Err(error) => return broken(format!("`env` has no value: {error}")),
        };
        // Asked once: not again where the step has moved to a lane of its own, or is tried again.
        let asked = (lane > 0 && depth == 0) || self.lanes[lane].frames[depth].attempt > 1;
        match if asked { Ok(true) } else { scope.holds(&step.condition) } {
            Ok(true) => {}
            Ok(false) => {
                let reason = skip_reason(&step.condition, scope.own_status);
                return note(Event::Skipped { at, lane, name, reason });
            }
            Err(error) => return broken(format!("its condition has no value: {error}")),
        }
        if step.background && lane == 0 && depth == 0 {
            return note(Event::Backgrounded { at, name });
        }
        let minutes = step.timeout_minutes.as_ref().map(|template| minutes_ms(template, &scope)).transpose();
        let timeout_ms = match minutes {
            Ok(own) => [own.flatten(), self.time_left_ms(lane, at)].into_iter().flatten().min(),
            Err(error) => return broken(format!("`timeout-minutes` has no value: {error}")),
        };
        let ready = Ready { at, lane, name: &name, own, scope: &scope, paths: &paths, timeout_ms };
        let advance = match &step.action {
            StepAction::Run { script, shell, working_directory } => self.run(&ready, script, shell.as_ref(), working_directory.as_ref()),
            StepAction::Uses { uses, with } => self.uses(step, &ready, uses, with.as_ref(), files),
            StepAction::Wait { steps } => Ok(self.wait(&ready, self.behind_by(steps), false)),
            StepAction::WaitAll => Ok(self.wait(&ready, self.unsettled(), false)),
            StepAction::Cancel { steps } => Ok(self.wait(&ready, self.behind_by(steps), true)),
        };
        advance.unwrap_or_else(broken)
    }

    fn wait(&self, ready: &Ready<'_>, lanes: Vec<usize>, cancels: bool) -> Advance {
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

    fn behind(&self, lane: usize) -> Option<&Behind> {
        self.lanes.get(lane)?.behind.as_ref()
    }

    /// Ids of steps that were skipped, or come later, name no lane.
    fn behind_by(&self, ids: &[String]) -> Vec<usize> {
        let named = |lane: &usize| self.behind(*lane).is_some_and(|behind| ids.iter().any(|id| id.eq_ignore_ascii_case(&behind.id)));
        (1..self.lanes.len()).filter(named).collect()
    }

    fn unsettled(&self) -> Vec<usize> {
        (1..self.lanes.len()).filter(|lane| self.behind(*lane).is_some_and(|behind| !behind.settled)).collect()
    }

    fn step_name(&self, step: &Step, scope: &StepScope<'_>) -> String {
        if let Some(template) = &step.name {
            let name = scope.text(template).unwrap_or_else(|_| as_written(template));
            if !name.trim().is_empty() {
                return name.trim().to_string();
            }
        }
        let names = |ids: &[String]| {
            let known = |id: &String| self.behind_by(std::slice::from_ref(id)).first().and_then(|lane| self.behind(*lane));
            let names: Vec<String> = ids.iter().map(|id| known(id).map_or_else(|| id.clone(), |behind| behind.name.clone())).collect();
            names.join(", ")
        };
        match &step.action {
            StepAction::Uses { uses, .. } => format!("Run {uses}"),
            StepAction::Run { script, .. } => {
                let text = scope.text(script).unwrap_or_else(|_| as_written(script));
                format!("Run {}", text.trim_start().lines().next().unwrap_or_default().trim_end())
            }
            StepAction::Wait { .. } if step.group.is_some() => "Parallel group".to_string(),
            StepAction::Wait { steps } => format!("Wait for {}", names(steps)),
            StepAction::WaitAll => "Wait for all".to_string(),
            StepAction::Cancel { steps } => format!("Cancel {}", names(steps)),
        }
    }

    fn run(&self, ready: &Ready<'_>, script: &Template, shell: Option<&Template>, directory: Option<&Template>) -> Result<Advance, String> {
        let value = |key: &str, template: &Template| ready.scope.text(template).map_err(|error| format!("`{key}` has no value: {error}"));
        let top = self.lanes[ready.lane].frames.len() == 1;
        let text = value("run", script)?;
        let shell = shell.map(|template| value("shell", template)).transpose()?.filter(|shell| !shell.is_empty());
        let shell = shell.or_else(|| self.shell.clone().filter(|_| top));
        let directory = directory.map(|template| value("working-directory", template)).transpose()?;
        let directory = directory.or_else(|| self.directory.clone().filter(|_| top));
        let shell = Shell::parse(shell.as_deref()).map_err(|error| error.to_string())?;
        let command = Command {
            lane: ready.lane,
            step: self.place(ready.lane),
            script: Some(Script { text: shell.script(&text), extension: shell.extension }),
            programs: shell.programs,
            arguments: shell.arguments,
            env: self.process_env(ready.lane, ready.scope, ready.paths),
            directory: below(&self.facts.workspace, directory.as_deref().unwrap_or_default()),
            timeout_ms: ready.timeout_ms,
            warnings: Vec::new(),
        };
        Ok(Advance { event: Some(ready.started(None)), next: Next::Run(Box::new(command)) })
    }

    fn uses(&self, step: &Step, ready: &Ready<'_>, uses: &str, with: Option<&Template>, files: &dyn Files) -> Result<Advance, String> {
        let given = ready.scope.pairs(with).map_err(|error| format!("`with` has no value: {error}"))?;
        let given: Vec<(String, String)> = given.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        if let Some(local) = uses.strip_prefix("./") {
            let directory = below(&self.facts.workspace, local.trim_end_matches('/'));
            let action = files.action(&directory)?;
            return self.local(step, ready, directory, action, given, files);
        }
        let Some(builtin) = Builtin::of(uses) else {
            let (directory, action) = self.remote(uses, files)?;
            return self.local(step, ready, directory, action, given, files);
        };
        let inputs = given.into_iter().collect();
        let post = builtin.post_condition().map(|condition| self.leave_post(step, ready, condition, PostWork::Builtin(builtin), &inputs));
        let call = ActionCall {
            lane: ready.lane,
            step: self.place(ready.lane),
            builtin,
            reference: reference(uses).to_string(),
            stage: Stage::Main,
            inputs,
            env: self.process_env(ready.lane, ready.scope, ready.paths),
            state: BTreeMap::new(),
            timeout_ms: ready.timeout_ms,
        };
        Ok(Advance { event: Some(ready.started(post)), next: Next::Action(Box::new(call)) })
    }

    /// Where an action of another repository lies, and what it is.
    fn remote(&self, uses: &str, files: &dyn Files) -> Result<(String, Action), String> {
        let remote = Remote::parse(uses)?;
        let key = remote.key();
        let pinned = self.spec.actions.get(&key).ok_or_else(|| unforeseen(uses))?;
        let directory = below(&files.fetched(&key, pinned)?, &remote.path);
        let action = files.action(&directory)?;
        Ok((directory, action))
    }

    fn local(
        &self,
        step: &Step,
        ready: &Ready<'_>,
        directory: String,
        action: Action,
        given: Vec<(String, String)>,
        files: &dyn Files,
    ) -> Result<Advance, String> {
        let inputs = with_defaults(&action, given, ready.scope)?;
        match &action.runs {
            ActionRuns::Docker { .. } => Err("actions that run in a container come with the next release".to_string()),
            ActionRuns::Composite { .. } if self.lanes[ready.lane].frames.len() > DEPTH_MAX => {
                Err(format!("composite actions are nested deeper than {DEPTH_MAX}"))
            }
            ActionRuns::Composite { .. } => {
                let inside = self.lanes[ready.lane].frames.last().and_then(|frame| frame.inside.as_ref());
                let mut env = inside.map(|inside| inside.env.clone()).unwrap_or_default();
                env.extend(ready.own.iter().cloned());
                let deadline = ready.timeout_ms.map(|timeout| ready.at.plus_ms(timeout));
                let into = Box::new(Entrance { action, directory, inputs, env, deadline });
                Ok(note(Event::Entered { at: ready.at, lane: ready.lane, name: ready.name.to_string(), into }))
            }
            ActionRuns::Node { using, main, pre, post, post_condition, .. } => {
                let inputs: BTreeMap<String, String> = inputs.into_iter().collect();
                let mut env = self.process_env(ready.lane, ready.scope, ready.paths);
                env.extend(inputs.iter().map(|(name, value)| (input_name(name), value.clone())));
                env.insert("GITHUB_ACTION_PATH".to_string(), directory.clone());
                let post = post.as_ref().map(|post| {
                    let work = PostWork::Node { file: below(&directory, post), using: using.clone() };
                    let mut post = self.leave_post(step, ready, post_condition, work, &inputs);
                    post.action_path = Some(directory.clone());
                    post
                });
                let mut command = self.node(ready.lane, using, below(&directory, main), env, files)?;
                command.timeout_ms = ready.timeout_ms;
                command.warnings.extend(pre.as_ref().map(|_| {
                    "`pre` of an action in the workspace is not run, as at GitHub: the job's first step comes before it".to_string()
                }));
                Ok(Advance { event: Some(ready.started(post)), next: Next::Run(Box::new(command)) })
            }
        }
    }

    fn node(
        &self,
        lane: usize,
        using: &str,
        file: String,
        mut env: BTreeMap<String, String>,
        files: &dyn Files,
    ) -> Result<Command, String> {
        env.extend(self.facts.action_env.clone());
        let node = files.node(using, env.get("PATH").map_or("", String::as_str))?;
        Ok(Command {
            lane,
            step: self.place(lane),
            programs: vec![node.program],
            arguments: vec![file],
            script: None,
            env,
            directory: self.facts.workspace.clone(),
            timeout_ms: None,
            warnings: node.warning.into_iter().collect(),
        })
    }

    fn leave_post(&self, step: &Step, ready: &Ready<'_>, condition: &str, what: PostWork, inputs: &BTreeMap<String, String>) -> Post {
        Post {
            name: format!("Post {}", ready.name),
            id: step.id.clone(),
            condition: condition.to_string(),
            what,
            inputs: inputs.clone(),
            env: ready.own.iter().cloned().collect(),
            action_path: None,
            state: BTreeMap::new(),
        }
    }

    fn post(&self, post: &Post, files: &dyn Files, at: Timestamp) -> Advance {
        let lane = 0;
        let mut env = self.env.clone();
        env.extend(post.env.clone());
        let paths = files.paths(lane);
        let mut scope = self.post_scope(post, files);
        (scope.env, scope.paths) = (&env, Some(&paths));
        let name = post.name.clone();
        match scope.holds(&post.condition) {
            Ok(true) => {}
            Ok(false) => return note(Event::Skipped { at, lane, name, reason: skip_reason(&post.condition, self.status) }),
            Err(error) => return note(Event::Broken { at, lane, name, reason: format!("its condition has no value: {error}") }),
        }
        let mut env = self.process_env(lane, &scope, &paths);
        let next = match &post.what {
            PostWork::Builtin(builtin) => Next::Action(Box::new(ActionCall {
                lane,
                step: self.place(lane),
                builtin: *builtin,
                reference: String::new(),
                stage: Stage::Post,
                inputs: post.inputs.clone(),
                env,
                state: post.state.clone(),
                timeout_ms: None,
            })),
            PostWork::Node { file, using } => {
                env.extend(post.inputs.iter().map(|(name, value)| (input_name(name), value.clone())));
                env.extend(post.state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
                env.extend(post.action_path.clone().map(|path| ("GITHUB_ACTION_PATH".to_string(), path)));
                match self.node(lane, using, file.clone(), env, files) {
                    Ok(command) => Next::Run(Box::new(command)),
                    Err(reason) => return note(Event::Broken { at, lane, name, reason }),
                }
            }
        };
        Advance { event: Some(Event::Started { at, lane, name, post: None }), next }
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
        let reason = reason.filter(|_| conclusion != Conclusion::Success).map(|reason| self.mask.apply(&reason));
        let annotations = warnings.iter().map(|warning| Annotation::of_job(Level::Warning, warning)).collect();
        let outcome = JobOutcome { conclusion, outputs, reason, started: self.begun.unwrap_or(now), finished: now, annotations };
        Advance { event: None, next: Next::Finish { outcome: Box::new(outcome), warnings } }
    }

    /// The environment of a process, apart from `INPUT_` and `STATE_`: what is inherited, then `env`, then what a step can't change.
    fn process_env(&self, lane: usize, scope: &StepScope<'_>, paths: &FilePaths) -> BTreeMap<String, String> {
        let mut env = self.facts.env.clone();
        env.extend(scope.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let own = self.behind(lane).map_or(&[][..], |behind| &behind.wrote.paths);
        let first: Vec<&str> = own.iter().rev().chain(self.paths.iter().rev()).map(String::as_str).collect();
        if !first.is_empty() {
            let rest = env.get("PATH").filter(|path| !path.is_empty());
            let path = rest.map_or_else(|| first.join(":"), |rest| format!("{}:{rest}", first.join(":")));
            env.insert("PATH".to_string(), path);
        }
        env.extend(self.github_env.iter().map(|(name, value)| (name.clone(), value.clone())));
        env.extend(paths.named().map(|(name, path)| (env_name(name), path.to_string())));
        let mut put = |name: &str, value: &str| env.insert(name.to_string(), value.to_string());
        put("CI", "true");
        put("GITHUB_ACTIONS", "true");
        put("GITHUB_ACTION", scope.action.unwrap_or_default());
        put("GITHUB_WORKSPACE", &self.facts.workspace);
        put("RUNNER_OS", &self.facts.os);
        put("RUNNER_ARCH", &self.facts.arch);
        put("RUNNER_NAME", &self.facts.runner_name);
        put("RUNNER_TEMP", &self.facts.temp);
        put("RUNNER_TOOL_CACHE", &self.facts.tool_cache);
        put("RUNNER_ENVIRONMENT", "self-hosted");
        if self.facts.debug {
            put("RUNNER_DEBUG", "1");
        }
        if let Some(path) = scope.action_path {
            put("GITHUB_ACTION_PATH", path);
        }
        env
    }

    /// Where the step to come writes its log: its own place, or its composite action's.
    fn place(&self, lane: usize) -> u32 {
        let frames = &self.lanes[lane].frames;
        let shown = frames.len() > 1 || (frames[0].attempt > 1 && self.phase != Phase::Cleaning);
        let new = || u32::try_from(self.seen.len()).expect("a job has fewer steps than numbers");
        if shown { self.lanes[lane].place } else { new() }
    }

    fn time_left_ms(&self, lane: usize, now: Timestamp) -> Option<u64> {
        let deadlines = self.lanes[lane].frames.iter().filter_map(|frame| frame.inside.as_ref()?.deadline);
        deadlines.min().map(|deadline| deadline.since_ms(now))
    }

    /// `env` as a step at that depth finds it, before its own.
    fn env_around(&self, lane: usize, depth: usize) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        if let Some(behind) = self.behind(lane) {
            env.extend(behind.wrote.env.iter().cloned());
        }
        if let Some(inside) = &self.lanes[lane].frames[depth].inside {
            env.extend(inside.env.clone());
        }
        env
    }

    fn scope<'a>(
        &'a self,
        lane: usize,
        depth: usize,
        step: &'a Step,
        env: &'a BTreeMap<String, String>,
        files: &'a dyn Files,
    ) -> StepScope<'a> {
        StepScope { action: Some(&step.id), ..self.scope_of_frame(lane, depth, env, files) }
    }

    fn scope_of_frame<'a>(&'a self, lane: usize, depth: usize, env: &'a BTreeMap<String, String>, files: &'a dyn Files) -> StepScope<'a> {
        let frame = &self.lanes[lane].frames[depth];
        let inside = frame.inside.as_ref();
        StepScope {
            steps: frame.results.clone(),
            inputs: inside.map(|inside| inside.inputs.clone()),
            own_status: inside.map_or(self.status, |_| frame.status),
            action_path: inside.map(|inside| inside.directory.as_str()),
            ..self.bare_scope(env, files)
        }
    }

    fn post_scope<'a>(&'a self, post: &'a Post, files: &'a dyn Files) -> StepScope<'a> {
        let inputs = post.inputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
        let inputs = Some(Value::object(inputs));
        StepScope { action: Some(&post.id), inputs, action_path: post.action_path.as_deref(), ..self.bare_scope(&self.env, files) }
    }

    fn bare_scope<'a>(&'a self, env: &'a BTreeMap<String, String>, files: &'a dyn Files) -> StepScope<'a> {
        StepScope {
            fixed: &self.fixed,
            files,
            env,
            steps: self.lanes[0].frames[0].results.clone(),
            inputs: None,
            job_status: self.status,
            own_status: self.status,
            action: None,
            action_path: None,
            paths: None,
        }
    }
}

/// A step whose condition holds, about to be started.
struct Ready<'a> {
    at: Timestamp,
    lane: usize,
    name: &'a str,
    /// The step's own `env`.
    own: Vec<(String, String)>,
    scope: &'a StepScope<'a>,
    paths: &'a FilePaths,
    timeout_ms: Option<u64>,
}

impl Ready<'_> {
    fn started(&self, post: Option<Post>) -> Event {
        Event::Started { at: self.at, lane: self.lane, name: self.name.to_string(), post: post.map(Box::new) }
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

fn reference(uses: &str) -> &str {
    uses.split_once('@').map_or("", |(_, reference)| reference)
}

fn note(event: Event) -> Advance {
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

/// What is given and, where nothing is, the action's defaults; an action's author counts on every declared input being there.
fn with_defaults(action: &Action, given: Vec<(String, String)>, scope: &StepScope<'_>) -> Result<Vec<(String, String)>, String> {
    let mut inputs = Vec::new();
    for input in &action.inputs {
        let name = input.name.to_lowercase();
        if given.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let default = input.default.as_ref().map(|template| scope.text(template)).transpose();
        let default = default.map_err(|error| format!("the default of input `{}` has no value: {error}", input.name))?;
        inputs.push((name, default.unwrap_or_default()));
    }
    inputs.extend(given);
    Ok(inputs)
}

/// `INPUT_MY_NAME` of `my name`; hyphens stay, as the toolkit expects.
pub(crate) fn input_name(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

fn as_written(template: &Template) -> String {
    match template {
        Template::String(text) => text.clone(),
        Template::Expr { source, .. } => format!("${{{{ {source} }}}}"),
        _ => String::new(),
    }
}

fn skip_reason(condition: &str, status: Conclusion) -> String {
    // What the reader put around a condition without a status function is not the user's to read.
    let inner = condition.strip_prefix("success() && (").and_then(|rest| rest.strip_suffix(')'));
    match (inner, status) {
        (None, _) if condition != "success()" => format!("`{condition}` is false"),
        (Some(inner), Conclusion::Success) => format!("`{inner}` is false"),
        (_, Conclusion::Cancelled) => "the job was cancelled".to_string(),
        _ => "an earlier step failed".to_string(),
    }
}

/// Fractions of a minute count; zero is no limit.
fn minutes_ms(template: &Template, scope: &StepScope<'_>) -> Result<Option<u64>, String> {
    let value = evaluate_template(template, scope).map_err(|error| error.to_string())?;
    let minutes = value.number();
    if minutes.is_nan() || minutes < 0.0 {
        return Err(format!("`{}` is not a number of minutes", value.text()));
    }
    // Casting saturates, and that many milliseconds are for ever.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let ms = (minutes * 60_000.0) as u64;
    Ok((ms > 0).then_some(ms))
}

/// The path, from a directory if it is relative.
fn below(directory: &str, path: &str) -> String {
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    match path {
        "" | "." => directory.to_string(),
        path if path.starts_with('/') => path.to_string(),
        path => format!("{}/{path}", directory.trim_end_matches('/')),
    }
}
