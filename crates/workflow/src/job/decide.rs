//! What a job does next.

use std::collections::BTreeMap;

use base::Timestamp;

use super::builtin::{Builtin, unforeseen};
use super::call::{ActionCall, Advance, Command, Entrance, Event, Foreseen, Next, Post, PostWork, Script, Stage};
use super::facts::{FilePaths, Files};
use super::machine::{Job, Phase};
use super::remote::Remote;
use super::scope::{StepScope, env_name};
use super::shell::Shell;
use super::spec::{Conclusion, JobOutcome};
use crate::expr::{Value, evaluate_template};
use crate::model::{Action, ActionRuns, Defaults, Step, StepAction, Template, Work};

/// Composite actions inside composite actions, as at GitHub.
const DEPTH_MAX: usize = 10;

impl Job {
    /// What comes next. Before asking again: apply the event, then what the outside answered.
    pub fn advance(&self, files: &dyn Files, now: Timestamp) -> Advance {
        if let Some(running) = &self.running {
            assert!(running.ended.is_some() || running.left.is_some(), "a step is under way: its end must be applied first");
            return note(Event::Concluded { at: now, conclusion: self.conclusion(files) });
        }
        match self.phase {
            Phase::New => note(self.begin(files, now)),
            Phase::Spoiled => self.finish(files, now),
            Phase::Cleaning => match self.posts.last() {
                Some(post) => self.post(post, files, now),
                None => self.finish(files, now),
            },
            Phase::Main => {
                let frame = self.frames.last().expect("the job's own frame is never left");
                let expired = frame.inside.as_ref().and_then(|inside| inside.deadline).is_some_and(|deadline| deadline <= now);
                match frame.steps.get(frame.next).filter(|_| !expired) {
                    Some(step) => self.step(step, files, now),
                    None if frame.inside.is_some() => note(self.leaving(expired, files, now)),
                    None => note(Event::Cleaning),
                }
            }
        }
    }

    /// Asked when the job was cancelled while a step runs: whether the step's condition, and that of every composite
    /// action around it, holds even so.
    pub fn still_wanted(&self, files: &dyn Files) -> bool {
        if self.phase == Phase::Cleaning {
            let scope = |post| self.post_scope(post, files);
            return self.posts.last().is_some_and(|post| scope(post).holds(&post.condition).unwrap_or(false));
        }
        (0..self.frames.len()).all(|depth| {
            let frame = &self.frames[depth];
            let Some(step) = frame.steps.get(frame.next) else { return true };
            let env = self.env_around(depth);
            let mut scope = self.scope(depth, step, &env, files);
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
        for step in self.frames[0].steps.iter() {
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
        let pick = |of: fn(&Defaults) -> Option<&Template>| {
            let job = match &self.spec.job.work {
                Work::Steps { defaults, .. } => of(defaults),
                Work::Call { .. } => None,
            };
            job.or(of(&self.spec.workflow_defaults)).map(|template| scope.text(template)).transpose()
        };
        match (pick(|defaults| defaults.shell.as_ref()), pick(|defaults| defaults.working_directory.as_ref())) {
            (Ok(shell), Ok(directory)) => Event::Begun { at, env, shell, directory },
            (Err(error), _) | (_, Err(error)) => spoiled(format!("`defaults.run` has no value: {error}")),
        }
    }

    fn step(&self, step: &Step, files: &dyn Files, at: Timestamp) -> Advance {
        let depth = self.frames.len() - 1;
        let around = self.env_around(depth);
        let own = self.scope(depth, step, &around, files).pairs(step.env.as_ref());
        let mut env = around;
        if let Ok(own) = &own {
            env.extend(own.iter().cloned());
        }
        let paths = files.paths();
        let mut scope = self.scope(depth, step, &env, files);
        scope.paths = Some(&paths);
        let name = step_name(step, &scope);
        let broken = |reason: String| note(Event::Broken { at, name: name.clone(), reason });
        let own = match own {
            Ok(own) => own,
            Err(error) => return broken(format!("`env` has no value: {error}")),
        };
        match scope.holds(&step.condition) {
            Ok(true) => {}
            Ok(false) => {
                let reason = skip_reason(&step.condition, scope.own_status);
                return note(Event::Skipped { at, name, reason });
            }
            Err(error) => return broken(format!("its condition has no value: {error}")),
        }
        let minutes = step.timeout_minutes.as_ref().map(|template| minutes_ms(template, &scope)).transpose();
        let timeout_ms = match minutes {
            Ok(own) => [own.flatten(), self.time_left_ms(at)].into_iter().flatten().min(),
            Err(error) => return broken(format!("`timeout-minutes` has no value: {error}")),
        };
        let ready = Ready { at, name: &name, own, scope: &scope, paths: &paths, timeout_ms };
        let advance = match &step.action {
            StepAction::Run { script, shell, working_directory } => self.run(&ready, script, shell.as_ref(), working_directory.as_ref()),
            StepAction::Uses { uses, with } => self.uses(step, &ready, uses, with.as_ref(), files),
            StepAction::Wait { .. } | StepAction::WaitAll | StepAction::Cancel { .. } => {
                Err("steps in the background can't be run here yet".to_owned())
            }
        };
        advance.unwrap_or_else(broken)
    }

    fn run(&self, ready: &Ready<'_>, script: &Template, shell: Option<&Template>, directory: Option<&Template>) -> Result<Advance, String> {
        let value = |key: &str, template: &Template| ready.scope.text(template).map_err(|error| format!("`{key}` has no value: {error}"));
        let top = self.frames.len() == 1;
        let text = value("run", script)?;
        let shell = shell.map(|template| value("shell", template)).transpose()?.filter(|shell| !shell.is_empty());
        let shell = shell.or_else(|| self.shell.clone().filter(|_| top));
        let directory = directory.map(|template| value("working-directory", template)).transpose()?;
        let directory = directory.or_else(|| self.directory.clone().filter(|_| top));
        let shell = Shell::parse(shell.as_deref()).map_err(|error| error.to_string())?;
        let command = Command {
            step: self.place(),
            script: Some(Script { text: shell.script(&text), extension: shell.extension }),
            programs: shell.programs,
            arguments: shell.arguments,
            env: self.process_env(ready.scope, ready.paths),
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
            return self.local(step, ready, directory, action, given);
        }
        let Some(builtin) = Builtin::of(uses) else {
            let (directory, action) = self.remote(uses, files)?;
            return self.local(step, ready, directory, action, given);
        };
        let inputs = given.into_iter().collect();
        let post = builtin.post_condition().map(|condition| self.leave_post(step, ready, condition, PostWork::Builtin(builtin), &inputs));
        let call = ActionCall {
            step: self.place(),
            builtin,
            reference: reference(uses).to_string(),
            stage: Stage::Main,
            inputs,
            env: self.process_env(ready.scope, ready.paths),
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
    ) -> Result<Advance, String> {
        let inputs = with_defaults(&action, given, ready.scope)?;
        match &action.runs {
            ActionRuns::Docker { .. } => Err("actions that run in a container come with the next release".to_string()),
            ActionRuns::Composite { .. } if self.frames.len() > DEPTH_MAX => {
                Err(format!("composite actions are nested deeper than {DEPTH_MAX}"))
            }
            ActionRuns::Composite { .. } => {
                let inside = self.frames.last().and_then(|frame| frame.inside.as_ref());
                let mut env = inside.map(|inside| inside.env.clone()).unwrap_or_default();
                env.extend(ready.own.iter().cloned());
                let deadline = ready.timeout_ms.map(|timeout| ready.at.plus_ms(timeout));
                let into = Box::new(Entrance { action, directory, inputs, env, deadline });
                Ok(note(Event::Entered { at: ready.at, name: ready.name.to_string(), into }))
            }
            ActionRuns::Node { main, pre, post, post_condition, .. } => {
                let inputs: BTreeMap<String, String> = inputs.into_iter().collect();
                let mut env = self.process_env(ready.scope, ready.paths);
                env.extend(inputs.iter().map(|(name, value)| (input_name(name), value.clone())));
                env.insert("GITHUB_ACTION_PATH".to_string(), directory.clone());
                let post = post.as_ref().map(|post| {
                    let mut post = self.leave_post(step, ready, post_condition, PostWork::Node(below(&directory, post)), &inputs);
                    post.action_path = Some(directory.clone());
                    post
                });
                let mut command = self.node(below(&directory, main), env, ready.timeout_ms);
                command.warnings.extend(pre.as_ref().map(|_| {
                    "`pre` of an action in the workspace is not run, as at GitHub: the job's first step comes before it".to_string()
                }));
                Ok(Advance { event: Some(ready.started(post)), next: Next::Run(Box::new(command)) })
            }
        }
    }

    fn node(&self, file: String, mut env: BTreeMap<String, String>, timeout_ms: Option<u64>) -> Command {
        env.extend(self.facts.action_env.clone());
        let (programs, directory) = (vec!["node".to_string()], self.facts.workspace.clone());
        let (arguments, warnings) = (vec![file], Vec::new());
        Command { step: self.place(), programs, arguments, script: None, env, directory, timeout_ms, warnings }
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
        let mut env = self.env.clone();
        env.extend(post.env.clone());
        let paths = files.paths();
        let mut scope = self.post_scope(post, files);
        (scope.env, scope.paths) = (&env, Some(&paths));
        let name = post.name.clone();
        match scope.holds(&post.condition) {
            Ok(true) => {}
            Ok(false) => return note(Event::Skipped { at, name, reason: skip_reason(&post.condition, self.status) }),
            Err(error) => return note(Event::Broken { at, name, reason: format!("its condition has no value: {error}") }),
        }
        let mut env = self.process_env(&scope, &paths);
        let next = match &post.what {
            PostWork::Builtin(builtin) => Next::Action(Box::new(ActionCall {
                step: self.place(),
                builtin: *builtin,
                reference: String::new(),
                stage: Stage::Post,
                inputs: post.inputs.clone(),
                env,
                state: post.state.clone(),
                timeout_ms: None,
            })),
            PostWork::Node(file) => {
                env.extend(post.inputs.iter().map(|(name, value)| (input_name(name), value.clone())));
                env.extend(post.state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
                env.extend(post.action_path.clone().map(|path| ("GITHUB_ACTION_PATH".to_string(), path)));
                Next::Run(Box::new(self.node(file.clone(), env, None)))
            }
        };
        Advance { event: Some(Event::Started { at, name, post: None }), next }
    }

    fn leaving(&self, expired: bool, files: &dyn Files, at: Timestamp) -> Event {
        if expired {
            return Event::Left { at, outputs: Vec::new(), reason: Some("took longer than its `timeout-minutes`".to_string()) };
        }
        let depth = self.frames.len() - 1;
        let inside = self.frames[depth].inside.as_ref().expect("only a composite action is left");
        let env = self.env_around(depth);
        let scope = StepScope { action: None, ..self.scope_of_frame(depth, &env, files) };
        let mut outputs = Vec::new();
        for (name, template) in inside.outputs.iter() {
            match scope.text(template) {
                Ok(value) => outputs.push((name.clone(), value)),
                Err(error) => return Event::Left { at, outputs, reason: Some(format!("failed: output `{name}` has no value: {error}")) },
            }
        }
        Event::Left { at, outputs, reason: None }
    }

    /// After `continue-on-error`.
    fn conclusion(&self, files: &dyn Files) -> Conclusion {
        let running = self.running.as_ref().expect("only what was started is judged");
        let (outcome, _) = running.outcome();
        let frame = self.frames.last().expect("the job's own frame is never left");
        let template = frame.steps.get(frame.next).filter(|_| !running.is_post).and_then(|step| step.continue_on_error.as_ref());
        let (Conclusion::Failure, Some(template)) = (outcome, template) else { return outcome };
        let depth = self.frames.len() - 1;
        let env = self.env_around(depth);
        match evaluate_template(template, &self.scope_of_frame(depth, &env, files)) {
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
        let outcome = JobOutcome { conclusion, outputs, reason, started: self.begun.unwrap_or(now), finished: now };
        Advance { event: None, next: Next::Finish { outcome: Box::new(outcome), warnings } }
    }

    /// The environment of a process, apart from `INPUT_` and `STATE_`: what is inherited, then `env`, then what a step can't change.
    fn process_env(&self, scope: &StepScope<'_>, paths: &FilePaths) -> BTreeMap<String, String> {
        let mut env = self.facts.env.clone();
        env.extend(scope.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !self.paths.is_empty() {
            let first: Vec<&str> = self.paths.iter().rev().map(String::as_str).collect();
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
    fn place(&self) -> u32 {
        let place = if self.frames.len() == 1 { self.seen.len() } else { self.seen.len() - 1 };
        u32::try_from(place).expect("a job has fewer steps than numbers")
    }

    fn time_left_ms(&self, now: Timestamp) -> Option<u64> {
        let deadlines = self.frames.iter().filter_map(|frame| frame.inside.as_ref()?.deadline);
        deadlines.min().map(|deadline| deadline.since_ms(now))
    }

    /// `env` as a step at that depth finds it, before its own.
    fn env_around(&self, depth: usize) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        if let Some(inside) = &self.frames[depth].inside {
            env.extend(inside.env.clone());
        }
        env
    }

    fn scope<'a>(&'a self, depth: usize, step: &'a Step, env: &'a BTreeMap<String, String>, files: &'a dyn Files) -> StepScope<'a> {
        StepScope { action: Some(&step.id), ..self.scope_of_frame(depth, env, files) }
    }

    fn scope_of_frame<'a>(&'a self, depth: usize, env: &'a BTreeMap<String, String>, files: &'a dyn Files) -> StepScope<'a> {
        let frame = &self.frames[depth];
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
            steps: self.frames[0].results.clone(),
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
    name: &'a str,
    /// The step's own `env`.
    own: Vec<(String, String)>,
    scope: &'a StepScope<'a>,
    paths: &'a FilePaths,
    timeout_ms: Option<u64>,
}

impl Ready<'_> {
    fn started(&self, post: Option<Post>) -> Event {
        Event::Started { at: self.at, name: self.name.to_string(), post: post.map(Box::new) }
    }
}

fn reference(uses: &str) -> &str {
    uses.split_once('@').map_or("", |(_, reference)| reference)
}

fn note(event: Event) -> Advance {
    Advance { event: Some(event), next: Next::Again }
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

fn step_name(step: &Step, scope: &StepScope<'_>) -> String {
    if let Some(template) = &step.name {
        let name = scope.text(template).unwrap_or_else(|_| as_written(template));
        if !name.trim().is_empty() {
            return name.trim().to_string();
        }
    }
    match &step.action {
        StepAction::Uses { uses, .. } => format!("Run {uses}"),
        StepAction::Run { script, .. } => {
            let text = scope.text(script).unwrap_or_else(|_| as_written(script));
            format!("Run {}", text.trim_start().lines().next().unwrap_or_default().trim_end())
        }
        StepAction::Wait { .. } if step.group.is_some() => "Parallel group".to_string(),
        StepAction::Wait { .. } => "Wait".to_string(),
        StepAction::WaitAll => "Wait for all".to_string(),
        StepAction::Cancel { .. } => "Cancel".to_string(),
    }
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
