//! Actions that run in a container of their own: what `runs.using: docker` and `uses: docker://image` come to.

use std::collections::BTreeMap;

use super::call::{Advance, Command, Next, Post, PostWork};
use super::contained::{ACTION_WORKSPACE, Image, ImageRun, Mounts, On};
use super::early::Early;
use super::machine::Job;
use super::scope::StepScope;
use super::shell::words;
use super::step::{Ready, below, input_name};
use crate::container;
use crate::expr::{Object, Value};
use crate::model::{Action, ActionRuns, Step};

/// An action in a container, with the values that its file gives it.
#[derive(Debug, Default)]
pub(super) struct Docker {
    image: Option<Image>,
    entrypoint: Option<String>,
    /// Nothing where the step's own `args` count.
    arguments: Option<Vec<String>>,
    env: Vec<(String, String)>,
    /// Entrypoint and condition.
    pre: Option<(String, String)>,
    post: Option<(String, String)>,
}

impl Docker {
    /// `uses: docker://image`, which has no file.
    pub(super) fn of_image(image: &str) -> Docker {
        Docker { image: Some(Image::Named(image.to_string())), ..Docker::default() }
    }

    /// What the action's file says; `directory` is where it lies on the machine.
    pub(super) fn of_action(
        action: &Action,
        directory: &str,
        inputs: &[(String, String)],
        scope: &StepScope<'_>,
    ) -> Result<Docker, String> {
        let ActionRuns::Docker { image, entrypoint, args, env, pre_entrypoint, pre_condition, post_entrypoint, post_condition } =
            &action.runs
        else {
            unreachable!("only actions in containers are asked")
        };
        let known: Object = inputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
        let scope = StepScope { inputs: Some(Value::object(known)), ..scope.clone() };
        let mut arguments = Vec::new();
        for argument in args {
            arguments.push(scope.text(argument).map_err(|error| format!("`args` of the action have no value: {error}"))?);
        }
        let env = scope.pairs(env.as_ref()).map_err(|error| format!("`env` of the action has no value: {error}"))?;
        let image = match container::image_of(image) {
            Some(name) => Image::Named(name.to_string()),
            None => {
                let file = below(directory, image);
                let context = file.rsplit_once('/').map_or(directory, |(folder, _)| folder).to_string();
                Image::Built { file, context }
            }
        };
        Ok(Docker {
            image: Some(image),
            entrypoint: entrypoint.clone(),
            arguments: (!args.is_empty()).then_some(arguments),
            env,
            pre: pre_entrypoint.clone().map(|entrypoint| (entrypoint, pre_condition.clone())),
            post: post_entrypoint.clone().map(|entrypoint| (entrypoint, post_condition.clone())),
        })
    }

    /// What it does before the job's first step.
    pub(super) fn early(self) -> Option<Early> {
        let (entrypoint, condition) = self.pre?;
        let what = PostWork::Image { image: self.image?, entrypoint, arguments: self.arguments.unwrap_or_default() };
        Some(Early { condition, what, env: self.env })
    }
}

impl Job {
    /// Starts it; its inputs are known by lower-case name.
    pub(super) fn image(&self, step: &Step, ready: &Ready<'_>, docker: &Docker, inputs: Vec<(String, String)>) -> Advance {
        let inputs: BTreeMap<String, String> = inputs.into_iter().collect();
        let given = |name: &str| inputs.get(name).filter(|value| !value.is_empty());
        let image = docker.image.clone().expect("an action in a container has an image");
        let own = docker.env.iter().filter(|(name, _)| !ready.scope.env.contains_key(name)).cloned().collect::<Vec<_>>();
        let added = inputs.iter().map(|(name, value)| (input_name(name), value.clone()));
        let saved = self.saved.get(&self.key(ready.lane, step)).into_iter().flatten();
        let saved = saved.map(|(name, value)| (format!("STATE_{name}"), value.clone()));
        let env = self.image_env(ready.lane, ready.scope, ready.paths, own.iter().cloned().chain(added).chain(saved));
        let entrypoint = docker.entrypoint.clone().or_else(|| given("entrypoint").cloned());
        let arguments = docker.arguments.clone().unwrap_or_else(|| given("args").map(|args| words(args)).unwrap_or_default());
        let post = docker.post.as_ref().map(|(entrypoint, condition)| -> Post {
            let work = PostWork::Image { image: image.clone(), entrypoint: entrypoint.clone(), arguments: arguments.clone() };
            let mut post = self.leave_post(step, ready, condition, work, &inputs);
            post.env.extend(own.iter().cloned());
            post
        });
        let mut command = self.image_command(ready.lane, &image, entrypoint, &arguments, env);
        command.timeout_ms = ready.timeout_ms;
        command.warnings.extend(docker.pre.as_ref().and_then(|_| self.late_pre("pre-entrypoint", ready.lane, step)));
        Advance { event: Some(ready.started(post)), next: Next::Run(Box::new(command)) }
    }

    pub(super) fn image_command(
        &self,
        lane: usize,
        image: &Image,
        entrypoint: Option<String>,
        arguments: &[String],
        env: BTreeMap<String, String>,
    ) -> Command {
        let (image, arguments) = (image.clone(), arguments.to_vec());
        let run = ImageRun { image, entrypoint, arguments, mounts: Mounts::of_action(&self.machine) };
        Command {
            lane,
            step: self.place(lane),
            on: On::Image(Box::new(run)),
            programs: Vec::new(),
            arguments: Vec::new(),
            script: None,
            env,
            directory: ACTION_WORKSPACE.to_string(),
            timeout_ms: None,
            warnings: Vec::new(),
        }
    }
}
