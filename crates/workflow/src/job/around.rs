//! What a step has around it: its environment, and what its expressions see.

use std::collections::BTreeMap;

use base::Timestamp;

use super::call::Post;
use super::contained::{HOME, Mounts, On};
use super::facts::{FilePaths, Files};
use super::machine::Job;
use super::remote::Remote;
use super::scope::{StepScope, env_name};
use crate::container;
use crate::expr::Value;
use crate::model::{Step, StepAction};
use crate::schema::uses::is_local;

impl Job {
    /// The environment of a step on the machine itself, whatever the job's other steps run in.
    pub(super) fn machine_env(&self, lane: usize, scope: &StepScope<'_>, paths: &FilePaths) -> BTreeMap<String, String> {
        let env = self.process_env(lane, scope, paths);
        let Some(mounts) = self.mounts() else { return env };
        let mut outside = self.machine.env.clone();
        outside.extend(self.facts.step_env.clone());
        let own = env.into_iter().filter(|(name, _)| name != "PATH").map(|(name, value)| (name, mounts.outside(&value)));
        outside.extend(own);
        outside.insert("HOME".to_string(), mounts.outside(HOME));
        outside
    }

    /// The environment of a step in a container of its own, from which the machine's services are reached, with what is added to it: what it sees of the machine has other names there.
    pub(super) fn image_env(
        &self,
        lane: usize,
        scope: &StepScope<'_>,
        paths: &FilePaths,
        added: impl IntoIterator<Item = (String, String)>,
    ) -> BTreeMap<String, String> {
        let mounts = Mounts::of_action(&self.machine);
        let services =
            self.facts.step_env.iter().chain(&self.facts.action_env).map(|(name, value)| (name.clone(), value.clone())).collect();
        let env = self.env_over(services, lane, scope, paths).into_iter().filter(|(name, _)| name != "PATH");
        let inside = |(name, value): (String, String)| (name, mounts.inside(&self.outside(&value)));
        let mut env: BTreeMap<String, String> = env.chain(added).map(inside).collect();
        env.insert("HOME".to_string(), HOME.to_string());
        env
    }

    /// Where a command of the job's own steps runs.
    pub(super) fn on(&self) -> On {
        if self.mounts().is_some() { On::JobContainer } else { On::Machine }
    }

    /// The environment files of the step to come, as it knows them.
    pub(super) fn paths(&self, lane: usize, files: &dyn Files) -> FilePaths {
        let paths = files.paths(lane);
        self.mounts().map_or_else(|| paths.clone(), |mounts| mounts.files(&paths))
    }

    /// The environment of a process, apart from `INPUT_` and `STATE_`: what is inherited, then `env`, then what a step can't change.
    pub(super) fn process_env(&self, lane: usize, scope: &StepScope<'_>, paths: &FilePaths) -> BTreeMap<String, String> {
        let mut inherited = if self.mounts().is_some() { BTreeMap::new() } else { self.facts.env.clone() };
        if self.reaches_services() {
            inherited.extend(self.facts.step_env.clone());
        }
        self.env_over(inherited, lane, scope, paths)
    }

    fn env_over(
        &self,
        mut env: BTreeMap<String, String>,
        lane: usize,
        scope: &StepScope<'_>,
        paths: &FilePaths,
    ) -> BTreeMap<String, String> {
        env.extend(scope.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let own = self.behind(lane).map_or(&[][..], |behind| &behind.wrote.paths);
        let first: Vec<&str> = own.iter().rev().chain(self.paths.iter().rev()).map(String::as_str).collect();
        if !first.is_empty() {
            let image = self.started.as_ref().and_then(|started| started.job.as_ref()).map(|job| &job.path);
            let rest = env.get("PATH").or(image).filter(|path| !path.is_empty());
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
        put("GITHUB_ACTION_REPOSITORY", &scope.from.as_ref().map(Remote::slug).unwrap_or_default());
        put("GITHUB_ACTION_REF", scope.from.as_ref().map_or("", |from| from.reference.as_str()));
        env
    }

    /// Where the step to come writes its log: its own place, or its composite action's.
    pub(super) fn place(&self, lane: usize) -> u32 {
        let frames = &self.lanes[lane].frames;
        let shown = frames.len() > 1 || (frames[0].attempt > 1 && !self.is_beside());
        let new = || u32::try_from(self.seen.len()).expect("a job has fewer steps than numbers");
        if shown { self.lanes[lane].place } else { new() }
    }

    pub(super) fn time_left_ms(&self, lane: usize, now: Timestamp) -> Option<u64> {
        let deadlines = self.lanes[lane].frames.iter().filter_map(|frame| frame.inside.as_ref()?.deadline);
        deadlines.min().map(|deadline| deadline.since_ms(now))
    }

    /// `env` as a step at that depth finds it, before its own.
    pub(super) fn env_around(&self, lane: usize, depth: usize) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        if let Some(behind) = self.behind(lane) {
            env.extend(behind.wrote.env.iter().cloned());
        }
        if let Some(inside) = &self.lanes[lane].frames[depth].inside {
            env.extend(inside.env.clone());
        }
        env
    }

    pub(super) fn scope<'a>(
        &'a self,
        lane: usize,
        depth: usize,
        step: &'a Step,
        env: &'a BTreeMap<String, String>,
        files: &'a dyn Files,
    ) -> StepScope<'a> {
        let around = self.scope_of_frame(lane, depth, env, files);
        let from = own_repository(step, around.from.as_ref());
        StepScope { action: Some(&step.id), from, ..around }
    }

    pub(super) fn scope_of_frame<'a>(
        &'a self,
        lane: usize,
        depth: usize,
        env: &'a BTreeMap<String, String>,
        files: &'a dyn Files,
    ) -> StepScope<'a> {
        let frame = &self.lanes[lane].frames[depth];
        let inside = frame.inside.as_ref();
        StepScope {
            steps: frame.results.clone(),
            inputs: inside.map(|inside| inside.inputs.clone()),
            own_status: inside.map_or(self.status, |_| frame.status),
            action_path: inside.map(|inside| inside.directory.as_str()),
            from: inside.and_then(|inside| inside.remote.clone()),
            ..self.bare_scope(env, files)
        }
    }

    pub(super) fn post_scope<'a>(&'a self, post: &'a Post, files: &'a dyn Files) -> StepScope<'a> {
        let inputs = post.inputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
        let inputs = Some(Value::object(inputs));
        StepScope {
            action: Some(&post.id),
            inputs,
            action_path: post.action_path.as_deref(),
            from: post.from.clone(),
            ..self.bare_scope(&self.env, files)
        }
    }

    pub(super) fn bare_scope<'a>(&'a self, env: &'a BTreeMap<String, String>, files: &'a dyn Files) -> StepScope<'a> {
        StepScope {
            fixed: &self.fixed,
            files,
            env,
            steps: self.lanes[0].frames[0].results.clone(),
            inputs: None,
            job_status: self.status,
            containers: self.started.as_ref(),
            own_status: self.status,
            action: None,
            action_path: None,
            paths: None,
            from: None,
        }
    }
}

/// Of the action that a step uses; scripts inside of an action belong to it.
pub(super) fn own_repository(step: &Step, around: Option<&Remote>) -> Option<Remote> {
    match &step.action {
        StepAction::Uses { uses, .. } => match uses.strip_prefix("$/") {
            Some(path) => around.map(|around| around.beside(path)),
            None => Remote::parse(uses).ok().filter(|_| !is_local(uses) && container::image_of(uses).is_none()),
        },
        _ => around.cloned(),
    }
}
