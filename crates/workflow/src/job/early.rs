//! What actions do before the job's first step: `pre` and `pre-entrypoint`, also of those inside of composite actions.

use std::collections::BTreeMap;

use super::around::own_repository;
use super::builtin::Builtin;
use super::call::{Post, PostWork};
use super::contained::Asked;
use super::docker::Docker;
use super::facts::Files;
use super::machine::Job;
use super::remote::Remote;
use super::scope::StepScope;
use super::step::{DEPTH_MAX, Origin, below, with_defaults};
use crate::container;
use crate::expr::Value;
use crate::model::{Action, ActionRuns, Step, StepAction};
use crate::schema::uses::is_local;

/// What an action does before the job's first step, with the variables that its file gives it.
pub(super) struct Early {
    pub(super) condition: String,
    pub(super) what: PostWork,
    pub(super) env: Vec<(String, String)>,
}

/// The composite action around a step.
struct Above<'a> {
    key: String,
    inputs: Value,
    origin: &'a Origin,
    /// What the steps around set for the steps inside.
    env: &'a BTreeMap<String, String>,
    depth: usize,
}

impl Job {
    /// Of all actions that need no checkout, the last first. What can't be found out here is said where the step itself runs.
    pub(super) fn pres(&self, env: &BTreeMap<String, String>, containers: Option<&Asked>, files: &dyn Files) -> Vec<Post> {
        let steps = self.lanes[0].frames[0].steps.iter();
        let mut pres: Vec<Post> = steps.flat_map(|step| self.pres_of(step, env, None, files).unwrap_or_default()).collect();
        pres.reverse();
        if let Some(asked) = containers.filter(|asked| asked.job.is_some()) {
            pres.iter_mut().for_each(|pre| pre.move_into(&asked.mounts));
        }
        pres
    }

    fn pres_of(
        &self,
        step: &Step,
        job_env: &BTreeMap<String, String>,
        above: Option<&Above<'_>>,
        files: &dyn Files,
    ) -> Result<Vec<Post>, String> {
        let StepAction::Uses { uses, with } = &step.action else { return Ok(Vec::new()) };
        let remote_above = above.and_then(|above| above.origin.remote.as_ref());
        let Some((origin, action)) = self.early_action(uses, remote_above, files)? else { return Ok(Vec::new()) };
        let mut set = above.map(|above| above.env.clone()).unwrap_or_default();
        let mut env: BTreeMap<String, String> = job_env.clone();
        env.extend(set.clone());
        let own = self.early_scope(step, &env, above, files).pairs(step.env.as_ref())?;
        set.extend(own.iter().cloned());
        env.extend(own);
        let scope = self.early_scope(step, &env, above, files);
        let given = scope.pairs(with.as_ref())?.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let inputs = with_defaults(&action, given, &scope)?;
        let key = above.map_or_else(|| step.id.clone(), |above| format!("{}/{}", above.key, step.id));
        if let ActionRuns::Composite { steps } = &action.runs {
            let depth = above.map_or(1, |above| above.depth + 1);
            let inputs = inputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
            let inside = Above { key, inputs: Value::object(inputs), origin: &origin, env: &set, depth };
            let steps = steps.iter().filter(|_| depth <= DEPTH_MAX);
            return Ok(steps.flat_map(|step| self.pres_of(step, job_env, Some(&inside), files).unwrap_or_default()).collect());
        }
        let Some(early) = self.early_work(&action, &origin, &inputs, &scope)? else { return Ok(Vec::new()) };
        let more = early.env.into_iter().filter(|(name, _)| !env.contains_key(name));
        Ok(vec![Post {
            name: format!("Pre {}", self.step_name(step, &scope)),
            id: step.id.clone(),
            key,
            from: scope.from.clone(),
            condition: early.condition,
            what: early.what,
            inputs: inputs.into_iter().collect(),
            env: set.into_iter().chain(more).collect(),
            action_path: Some(origin.directory),
            state: BTreeMap::new(),
        }])
    }

    /// Nothing of what lies in the workspace, has no file or is built in.
    fn early_action(&self, uses: &str, above: Option<&Remote>, files: &dyn Files) -> Result<Option<(Origin, Action)>, String> {
        match (uses.strip_prefix("$/"), above) {
            (Some(path), Some(above)) => self.remote(above.beside(path), uses, files).map(Some),
            (Some(path), None) => self.own(0, uses, path, files).map(Some),
            (None, _) if is_local(uses) || container::image_of(uses).is_some() || Builtin::of(uses).is_some() => Ok(None),
            (None, _) => self.remote(Remote::parse(uses)?, uses, files).map(Some),
        }
    }

    fn early_scope<'a>(
        &'a self,
        step: &'a Step,
        env: &'a BTreeMap<String, String>,
        above: Option<&'a Above<'a>>,
        files: &'a dyn Files,
    ) -> StepScope<'a> {
        StepScope {
            action: Some(&step.id),
            inputs: above.map(|above| above.inputs.clone()),
            action_path: above.map(|above| above.origin.directory.as_str()),
            from: own_repository(step, above.and_then(|above| above.origin.remote.as_ref())),
            ..self.bare_scope(env, files)
        }
    }

    fn early_work(
        &self,
        action: &Action,
        origin: &Origin,
        inputs: &[(String, String)],
        scope: &StepScope<'_>,
    ) -> Result<Option<Early>, String> {
        Ok(match &action.runs {
            ActionRuns::Node { using, pre: Some(file), pre_condition, .. } => {
                let what = PostWork::Node { file: below(&origin.directory, file), using: using.clone() };
                Some(Early { condition: pre_condition.clone(), what, env: Vec::new() })
            }
            ActionRuns::Docker { pre_entrypoint: Some(_), .. } => {
                Docker::of_action(action, &self.outside(&origin.directory), inputs, scope)?.early()
            }
            _ => None,
        })
    }
}
