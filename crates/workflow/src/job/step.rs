//! How a step begins: its condition, its environment, and what its `run` or `uses` comes to.

use std::collections::BTreeMap;

use base::Timestamp;

use super::builtin::{Builtin, unforeseen};
use super::call::{ActionCall, Advance, Command, Entrance, Event, Next, Post, PostWork, Script, Stage};
use super::contained::{ContainerCall, ContainerWork};
use super::decide::note;
use super::docker::Docker;
use super::facts::{FilePaths, Files};
use super::inputs;
use super::machine::Job;
use super::remote::Remote;
use super::scope::StepScope;
use super::shell::Shell;
use super::spec::Conclusion;
use crate::container;
use crate::expr::evaluate_template;
use crate::model::{Action, ActionRuns, Step, StepAction, Template};

/// Composite actions inside composite actions, as at GitHub.
pub(super) const DEPTH_MAX: usize = 10;

/// A step whose condition holds, about to be started.
pub(super) struct Ready<'a> {
    pub(super) at: Timestamp,
    pub(super) lane: usize,
    pub(super) name: &'a str,
    /// The step's own `env`.
    own: Vec<(String, String)>,
    pub(super) scope: &'a StepScope<'a>,
    pub(super) paths: &'a FilePaths,
    pub(super) timeout_ms: Option<u64>,
}

impl Ready<'_> {
    pub(super) fn started(&self, post: Option<Post>) -> Event {
        Event::Started { at: self.at, lane: self.lane, name: self.name.to_string(), post: post.map(Box::new) }
    }
}

impl Job {
    pub(super) fn step(&self, lane: usize, step: &Step, files: &dyn Files, at: Timestamp) -> Advance {
        let depth = self.lanes[lane].frames.len() - 1;
        let around = self.env_around(lane, depth);
        let own = self.scope(lane, depth, step, &around, files).pairs(step.env.as_ref());
        let mut env = around;
        if let Ok(own) = &own {
            env.extend(own.iter().cloned());
        }
        let paths = self.paths(lane, files);
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
                let clauses = if step.condition == "success()" { Vec::new() } else { scope.trace(&step.condition) };
                return note(Event::Skipped { at, lane, name, reason, clauses });
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

    pub(super) fn step_name(&self, step: &Step, scope: &StepScope<'_>) -> String {
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
        // Nobody knows before which shells an image has, so that GitHub takes `sh` there.
        let shell = shell.or_else(|| self.mounts().map(|_| "sh".to_string()));
        let shell = Shell::parse(shell.as_deref()).map_err(|error| error.to_string())?;
        let command = Command {
            lane: ready.lane,
            step: self.place(ready.lane),
            on: self.on(),
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
            let action = files.action(&self.outside(&directory))?;
            return self.local(step, ready, Origin { directory, remote: None }, action, given, files);
        }
        if let Some(path) = uses.strip_prefix("$/") {
            let (origin, action) = self.own(ready.lane, uses, path, files)?;
            return self.local(step, ready, origin, action, given, files);
        }
        if let Some(image) = container::image_of(uses) {
            return Ok(self.image(step, ready, &Docker::of_image(image), given));
        }
        let Some(builtin) = Builtin::of(uses) else {
            let (origin, action) = self.remote(Remote::parse(uses)?, uses, files)?;
            return self.local(step, ready, origin, action, given, files);
        };
        if self.mounts().is_some() && builtin.brings_tools() {
            return Err(format!(
                "`{}` sets tools of this machine up, and a job in a container sees none of them; use an image that has them",
                builtin.name()
            ));
        }
        let names = given.iter().map(|(name, _)| name.as_str());
        let odd = inputs::known(builtin).and_then(|known| inputs::unexpected(names, known));
        let outside = |value: String| self.mounts().map_or_else(|| value.clone(), |mounts| mounts.lines_outside(&value));
        let inputs = given.into_iter().map(|(name, value)| (name, outside(value))).collect();
        let post = builtin.post_condition().map(|condition| self.leave_post(step, ready, condition, PostWork::Builtin(builtin), &inputs));
        let call = ActionCall {
            lane: ready.lane,
            step: self.place(ready.lane),
            builtin,
            reference: reference(uses).to_string(),
            stage: Stage::Main,
            inputs,
            env: self.machine_env(ready.lane, ready.scope, ready.paths),
            state: BTreeMap::new(),
            timeout_ms: ready.timeout_ms,
            warnings: odd.into_iter().collect(),
        };
        Ok(Advance { event: Some(ready.started(post)), next: Next::Action(Box::new(call)) })
    }

    /// `$/path`: of the repository that the file is from, which is the workflow's, or the action's around the step. Neither needs a
    /// checkout.
    pub(super) fn own(&self, lane: usize, uses: &str, path: &str, files: &dyn Files) -> Result<(Origin, Action), String> {
        if path.split('/').any(|segment| segment == "..") {
            return Err(format!("`{uses}` leads out of the repository"));
        }
        let around = self.lanes[lane].frames.iter().rev().find_map(|frame| frame.inside.as_ref()?.remote.as_ref());
        if let Some(around) = around {
            return self.remote(around.beside(path), uses, files);
        }
        let directory = below(&files.own()?, path.trim_matches('/'));
        let action = files.action(&directory)?;
        Ok((Origin { directory: self.inside(&directory), remote: None }, action))
    }

    /// Where an action of another repository lies, and what it is.
    pub(super) fn remote(&self, remote: Remote, uses: &str, files: &dyn Files) -> Result<(Origin, Action), String> {
        let key = remote.key();
        let pinned = self.spec.actions.get(&key).ok_or_else(|| unforeseen(uses))?;
        let directory = below(&files.fetched(&key, pinned)?, &remote.path);
        let action = files.action(&directory)?;
        Ok((Origin { directory: self.inside(&directory), remote: Some(remote) }, action))
    }

    fn local(
        &self,
        step: &Step,
        ready: &Ready<'_>,
        origin: Origin,
        action: Action,
        given: Vec<(String, String)>,
        files: &dyn Files,
    ) -> Result<Advance, String> {
        let odd = odd_inputs(&action, &given);
        let inputs = with_defaults(&action, given, ready.scope)?;
        let Origin { directory, remote } = origin;
        match &action.runs {
            ActionRuns::Docker { .. } => {
                let docker = Docker::of_action(&action, &self.outside(&directory), &inputs, ready.scope)?;
                let mut advance = self.image(step, ready, &docker, inputs);
                if let Next::Run(command) = &mut advance.next {
                    command.warnings.extend(odd);
                }
                Ok(advance)
            }
            ActionRuns::Composite { .. } if self.lanes[ready.lane].frames.len() > DEPTH_MAX => {
                Err(format!("composite actions are nested deeper than {DEPTH_MAX}"))
            }
            ActionRuns::Composite { .. } => {
                let inside = self.lanes[ready.lane].frames.last().and_then(|frame| frame.inside.as_ref());
                let mut env = inside.map(|inside| inside.env.clone()).unwrap_or_default();
                env.extend(ready.own.iter().cloned());
                let deadline = ready.timeout_ms.map(|timeout| ready.at.plus_ms(timeout));
                let into = Box::new(Entrance { action, directory, remote, inputs, env, deadline, warnings: odd });
                Ok(note(Event::Entered { at: ready.at, lane: ready.lane, name: ready.name.to_string(), into }))
            }
            ActionRuns::Node { using, main, pre, post, post_condition, .. } => {
                let inputs: BTreeMap<String, String> = inputs.into_iter().collect();
                let mut env = self.process_env(ready.lane, ready.scope, ready.paths);
                env.extend(inputs.iter().map(|(name, value)| (input_name(name), value.clone())));
                env.insert("GITHUB_ACTION_PATH".to_string(), directory.clone());
                let saved = self.saved.get(&self.key(ready.lane, step)).into_iter().flatten();
                env.extend(saved.map(|(name, value)| (format!("STATE_{name}"), value.clone())));
                let post = post.as_ref().map(|post| {
                    let work = PostWork::Node { file: below(&directory, post), using: using.clone() };
                    let mut post = self.leave_post(step, ready, post_condition, work, &inputs);
                    post.action_path = Some(directory.clone());
                    post
                });
                let mut command = self.node(ready.lane, using, below(&directory, main), env, files)?;
                command.timeout_ms = ready.timeout_ms;
                command.warnings.extend(odd);
                command.warnings.extend(pre.as_ref().and_then(|_| self.late_pre("pre", ready.lane, step)));
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
        if self.reaches_services() {
            env.extend(self.facts.action_env.clone());
        }
        let node = if self.mounts().is_some() {
            files.node_inside(using)?
        } else {
            files.node(using, env.get("PATH").map_or("", String::as_str))?
        };
        Ok(Command {
            lane,
            step: self.place(lane),
            on: self.on(),
            programs: vec![node.program],
            arguments: vec![file],
            script: None,
            env,
            directory: self.facts.workspace.clone(),
            timeout_ms: None,
            warnings: node.warning.into_iter().collect(),
        })
    }

    /// The ids of the steps that lead here, from the job's own on.
    pub(super) fn key(&self, lane: usize, step: &Step) -> String {
        let frames = &self.lanes[lane].frames;
        let around = frames[..frames.len() - 1].iter().filter_map(|frame| frame.steps.get(frame.next));
        around.map(|step| step.id.as_str()).chain([step.id.as_str()]).collect::<Vec<_>>().join("/")
    }

    /// Why what an action does first wasn't done.
    pub(super) fn late_pre(&self, what: &str, lane: usize, step: &Step) -> Option<String> {
        let done = self.saved.contains_key(&self.key(lane, step));
        let why = "of an action in the workspace is not run, as at GitHub: the job's first step comes before it";
        (!done).then(|| format!("`{what}` {why}"))
    }

    pub(super) fn leave_post(
        &self,
        step: &Step,
        ready: &Ready<'_>,
        condition: &str,
        what: PostWork,
        inputs: &BTreeMap<String, String>,
    ) -> Post {
        Post {
            name: format!("Post {}", ready.name),
            id: step.id.clone(),
            key: self.key(ready.lane, step),
            from: ready.scope.from.clone(),
            condition: condition.to_string(),
            what,
            inputs: inputs.clone(),
            env: ready.own.iter().cloned().collect(),
            action_path: None,
            state: self.saved.get(&self.key(ready.lane, step)).cloned().unwrap_or_default(),
        }
    }

    pub(super) fn post(&self, post: &Post, files: &dyn Files, at: Timestamp) -> Advance {
        let lane = 0;
        let mut env = self.env.clone();
        env.extend(post.env.clone());
        let paths = self.paths(lane, files);
        let mut scope = self.post_scope(post, files);
        (scope.env, scope.paths) = (&env, Some(&paths));
        let name = post.name.clone();
        match scope.holds(&post.condition) {
            Ok(true) => {}
            Ok(false) => {
                return note(Event::Skipped { at, lane, name, reason: skip_reason(&post.condition, self.status), clauses: Vec::new() });
            }
            Err(error) => return note(Event::Broken { at, lane, name, reason: format!("its condition has no value: {error}") }),
        }
        let mut env = match &post.what {
            PostWork::Builtin(_) => self.machine_env(lane, &scope, &paths),
            _ => self.process_env(lane, &scope, &paths),
        };
        let next = match &post.what {
            PostWork::Containers => Next::Containers(Box::new(ContainerCall { step: self.place(lane), work: ContainerWork::Stop })),
            PostWork::Image { image, entrypoint, arguments } => {
                let inputs = post.inputs.iter().map(|(name, value)| (input_name(name), value.clone()));
                let state = post.state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone()));
                let env = self.image_env(lane, &scope, &paths, inputs.chain(state));
                Next::Run(Box::new(self.image_command(lane, image, Some(entrypoint.clone()), arguments, env)))
            }
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
                warnings: Vec::new(),
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
}

/// Where an action lies, and the repository it was fetched from.
pub(super) struct Origin {
    pub(super) directory: String,
    pub(super) remote: Option<Remote>,
}

pub(super) fn reference(uses: &str) -> &str {
    uses.split_once('@').map_or("", |(_, reference)| reference)
}

/// What is given and, where nothing is, the action's defaults; an action's author counts on every declared input being there.
pub(super) fn with_defaults(action: &Action, given: Vec<(String, String)>, scope: &StepScope<'_>) -> Result<Vec<(String, String)>, String> {
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

/// Given inputs that the action doesn't know, or would rather not be given any more.
fn odd_inputs(action: &Action, given: &[(String, String)]) -> Vec<String> {
    // The toolkit takes these of any container action.
    let is_own = |name: &str| matches!(action.runs, ActionRuns::Docker { .. }) && matches!(name, "entrypoint" | "args");
    let known: Vec<&str> = action.inputs.iter().map(|input| input.name.as_str()).collect();
    let names = given.iter().map(|(name, _)| name.as_str()).filter(|name| !is_own(name));
    let mut odd: Vec<String> = inputs::unexpected(names, &known).into_iter().collect();
    odd.extend(given.iter().filter_map(|(name, _)| {
        let input = action.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(name))?;
        let why = input.deprecation.as_deref()?;
        Some(format!("Input '{}' has been deprecated with message: {why}", input.name))
    }));
    odd
}

/// `INPUT_MY_NAME` of `my name`; hyphens stay, as the toolkit expects.
pub(super) fn input_name(name: &str) -> String {
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
pub(super) fn below(directory: &str, path: &str) -> String {
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
