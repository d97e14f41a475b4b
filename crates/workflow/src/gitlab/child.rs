//! Pipelines that jobs are: how many there may be in one, and what they get from it.

use std::collections::BTreeMap;

use super::compile::Entry;
use super::extend::VALUES_MAX;
use super::file::{File, Trigger};
use super::pipeline::Pipeline;
use super::variables::{Variable, keeping, keeping_empty};
use crate::plan::JOBS_MAX;

/// As GitLab has it: a child may have children.
pub(super) const DEPTH_MAX: usize = 2;

/// As many as GitLab starts below one pipeline, in any depth.
const CHILDREN_MAX: usize = 1_000;

/// All that is read for them; several for each, and few enough to be read at every look.
const FILES_MAX: usize = 2_000;

/// A pipeline with all its children, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Family {
    children: usize,
    files: usize,
    values: usize,
    jobs: usize,
    /// Too large; told once.
    full: bool,
    /// From the outermost on, the files that each pipeline around is made of.
    pub callers: Vec<Vec<String>>,
}

impl Family {
    pub fn new(first: Vec<String>) -> Family {
        Family { callers: vec![first], ..Family::default() }
    }

    pub fn is_full(&self) -> bool {
        self.full
    }

    pub fn read(&mut self, files: usize, values: usize) {
        self.files += files;
        self.values += values;
    }

    /// Counts a child; what is wrong with one more, as a sentence without a full stop.
    pub fn child(&mut self) -> Option<String> {
        self.children += 1;
        self.complaint()
    }

    /// Counts a job, in the pipeline or not; what is wrong with one more.
    pub fn job(&mut self) -> Option<String> {
        self.jobs += 1;
        self.complaint()
    }

    fn complaint(&mut self) -> Option<String> {
        let counts = [
            (self.children, CHILDREN_MAX, "child pipelines"),
            (self.files, FILES_MAX, "files of child pipelines"),
            (self.values, 2 * VALUES_MAX, "values in the files of child pipelines"),
            (self.jobs, JOBS_MAX, "jobs"),
        ];
        let (_, max, what) = counts.into_iter().find(|(count, max, _)| count > max)?;
        self.full = true;
        Some(format!("the pipeline and its children have more than {max} {what}, and this is one too many"))
    }

    /// Files that a job which is always there may not trigger: it would be in the child again.
    pub fn callers_of(&self, entry: &Entry<'_>) -> Vec<String> {
        let job = entry.job;
        let is_always = job.rules.is_none() && job.only.is_none() && job.except.is_none();
        if is_always { self.callers.concat() } else { Vec::new() }
    }
}

/// What a child finds set: what its parent was handed, where the job passes that on, over the variables of file, rules and job.
pub(super) fn forwarded(
    trigger: &Trigger,
    entry: &Entry<'_>,
    file: &File,
    of_workflow_rule: Vec<Variable>,
    pipeline: &Pipeline,
) -> Vec<Variable> {
    let mut found: BTreeMap<String, Variable> = BTreeMap::new();
    if trigger.forward {
        let expanded = entry.variables.expanded();
        let of_file = file.variables.iter().filter(|variable| entry.job.inherits(&variable.name)).cloned();
        let of_leg = entry.leg.iter().map(|(name, value)| Variable::new(name, value));
        let all = of_file.chain(of_workflow_rule).chain(entry.job.variables.clone()).chain(of_leg).chain(entry.added.variables.clone());
        for variable in all {
            // As it would be without what the parent was handed, which may set the same name.
            let is_own = entry.variables.iter().any(|known| *known == variable);
            let value = match &variable {
                Variable { raw: true, value, .. } => value.clone(),
                Variable { name, .. } if is_own => keeping_empty(&expanded[name]),
                Variable { value, .. } => keeping_empty(&keeping(value, &expanded)),
            };
            found.insert(variable.name.clone(), Variable { value, ..variable });
        }
    }
    if trigger.forward_given {
        found.extend(pipeline.forwarded.iter().map(|variable| (variable.name.clone(), variable.clone())));
    }
    found.into_values().collect()
}
