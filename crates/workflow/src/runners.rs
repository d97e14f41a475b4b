//! Where the jobs of a label run, as a project's configuration says: labels are `runs-on`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::environment::matches;
use crate::expr::Value;
use crate::model::{Job, Template, Work};

/// Where a job runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runner {
    /// On the machine itself.
    #[default]
    Host,
    /// In a container of this image, where the job doesn't name one itself.
    Image(String),
    /// Nowhere here: the job is skipped, for this reason.
    Skip(String),
}

impl Runner {
    #[must_use]
    pub fn is_host(&self) -> bool {
        *self == Runner::Host
    }
}

/// What is done with the jobs of some labels. A label is matched without regard to case, `*` stands for any part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runners(BTreeMap<String, Rule>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    Host,
    Image(String),
    Skip,
}

impl Runners {
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, label: &str, rule: Rule) {
        self.0.insert(label.to_lowercase(), rule);
    }

    /// What a label's own rule says, else that of the first pattern which it fits.
    #[must_use]
    pub fn rule(&self, label: &str) -> Option<&Rule> {
        let label = label.to_lowercase();
        self.0.get(&label).or_else(|| self.0.iter().find(|(pattern, _)| matches(pattern, &label)).map(|(_, rule)| rule))
    }

    /// Where a job of these labels runs: the first that a rule is about decides.
    ///
    /// # Errors
    /// When one of them stands for a system that isn't here, as a sentence without a full stop.
    pub fn runner<'a>(&self, labels: impl IntoIterator<Item = &'a str> + Clone) -> Result<Runner, String> {
        match labels.clone().into_iter().find_map(|label| Some((label, self.rule(label)?))) {
            Some((_, Rule::Host)) => Ok(Runner::Host),
            Some((_, Rule::Image(image))) => Ok(Runner::Image(image.clone())),
            Some((label, Rule::Skip)) => Ok(Runner::Skip(format!("`workflows.runners` skips the jobs of `{label}`"))),
            None => match labels.into_iter().find_map(|label| Some((label, system(label)?))) {
                Some((label, system)) => Err(format!("it wants {system} (`{label}`), which isn't here; {}", advice(label))),
                None => Ok(Runner::Host),
            },
        }
    }

    /// Whether no leg of a job runs here, as far as its lines alone tell.
    #[must_use]
    pub fn skips(&self, job: &Job) -> bool {
        self.why_skipped(job).is_some()
    }

    /// Whether a job runs in the image of its label, as far as its lines alone tell.
    #[must_use]
    pub fn contains(&self, job: &Job) -> bool {
        let Work::Steps { runs_on, .. } = &job.work else { return false };
        written(runs_on).is_some_and(|labels| matches!(self.runner(labels), Ok(Runner::Image(_))))
    }

    /// The labels of a job that a rule is about, with that rule, as far as its lines and its matrix have them word for word.
    #[must_use]
    pub fn told(&self, job: &Job) -> BTreeMap<String, &Rule> {
        let Work::Steps { runs_on, .. } = &job.work else { return BTreeMap::new() };
        let mut keys = BTreeSet::new();
        matrix_keys(runs_on, &mut keys);
        let matrix = job.strategy.as_ref().and_then(|strategy| strategy.matrix.as_ref());
        let in_matrix = keys.iter().flat_map(|key| matrix.map(|matrix| values(matrix, key)).unwrap_or_default());
        let labels: BTreeSet<String> = written(runs_on).unwrap_or_default().into_iter().map(str::to_string).chain(in_matrix).collect();
        labels.into_iter().filter_map(|label| Some((label.clone(), self.rule(&label)?))).collect()
    }

    /// As [`Runners::skips`], as a reason.
    pub(crate) fn why_skipped(&self, job: &Job) -> Option<String> {
        let Work::Steps { runs_on, .. } = &job.work else { return None };
        match self.runner(written(runs_on)?) {
            Ok(Runner::Skip(reason)) => Some(reason),
            _ => None,
        }
    }
}

/// The system other than this one that a label of GitHub's stands for.
pub(crate) fn system(label: &str) -> Option<&'static str> {
    let label = label.to_lowercase();
    let systems = [("windows", "Windows"), ("macos", "macOS")];
    let is_of = |system: &str| label.strip_prefix(system).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    systems.into_iter().find(|(system, _)| is_of(system)).map(|(_, name)| name)
}

/// What makes a file run that has such jobs.
pub(crate) fn advice(label: &str) -> String {
    format!("`workflows: {{runners: {{{label}: skip}}}}` in plimsoll.yaml leaves such jobs out")
}

/// The labels that a `runs-on` comes to.
pub(crate) fn labels(runs_on: &Value) -> Vec<String> {
    match runs_on {
        Value::Array(items) => items.iter().map(Value::text).collect(),
        Value::Object(group) => group.get("labels").map(labels).unwrap_or_default(),
        Value::Null => Vec::new(),
        label => vec![label.text()],
    }
}

/// The labels that stand there word for word; nothing where an expression is among them.
fn written(runs_on: &Template) -> Option<Vec<&str>> {
    match runs_on {
        Template::String(label) => Some(vec![label]),
        Template::Sequence(items) => items.iter().map(|item| written(item)?.pop()).collect(),
        Template::Mapping(entries) => {
            entries.iter().find(|(key, _)| matches!(key, Template::String(key) if key == "labels")).and_then(|(_, labels)| written(labels))
        }
        _ => None,
    }
}

/// The keys of the matrix that a template asks for.
pub(crate) fn matrix_keys(template: &Template, keys: &mut BTreeSet<String>) {
    match template {
        Template::Expr { source, .. } => {
            let paths = crate::expr::parse(source).map(|expr| expr.paths()).unwrap_or_default();
            for (path, _) in paths {
                if let [context, key] = path.as_slice()
                    && context.eq_ignore_ascii_case("matrix")
                {
                    keys.insert(key.clone());
                }
            }
        }
        Template::Sequence(items) => items.iter().for_each(|item| matrix_keys(item, keys)),
        Template::Mapping(entries) => entries.iter().for_each(|(_, value)| matrix_keys(value, keys)),
        _ => {}
    }
}

/// What a key of a matrix can be, in its vector and in `include`.
fn values(matrix: &Template, key: &str) -> Vec<String> {
    let Template::Mapping(entries) = matrix else { return Vec::new() };
    let entry = |entries: &[(Template, Template)], wanted: &str| {
        let is_it = |key: &Template| matches!(key, Template::String(key) if key.eq_ignore_ascii_case(wanted));
        entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.clone())
    };
    let items = |value: Option<Template>| if let Some(Template::Sequence(items)) = value { items } else { Vec::new() };
    let included = items(entry(entries, "include")).into_iter().filter_map(|item| match item {
        Template::Mapping(entries) => entry(&entries, key),
        _ => None,
    });
    let all = items(entry(entries, key)).into_iter().chain(included);
    all.filter_map(|item| if let Template::String(text) = item { Some(text) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_with_a_rule_decides_and_its_own_goes_before_a_pattern() {
        let mut runners = Runners::default();
        for (label, rule) in [("macOS-*", Rule::Skip), ("macos-14", Rule::Host), ("*-ARM", Rule::Image("arm".into()))] {
            runners.add(label, rule);
        }
        for (labels, expected) in [
            (vec!["ubuntu-latest"], Ok(Runner::Host)),
            (vec!["MacOS-14"], Ok(Runner::Host)),
            (vec!["macos-latest"], Ok(Runner::Skip("`workflows.runners` skips the jobs of `macos-latest`".into()))),
            (vec!["self-hosted", "linux-arm", "macos-13"], Ok(Runner::Image("arm".into()))),
            (vec!["windows-2025"], Err("it wants Windows (`windows-2025`), which isn't here; `workflows: {runners: {windows-2025: skip}}` in plimsoll.yaml leaves such jobs out".into())),
            (vec!["windowsill"], Ok(Runner::Host)),
            (vec![], Ok(Runner::Host)),
        ] {
            assert_eq!(runners.runner(labels.iter().copied()), expected, "{labels:?}");
        }
    }
}
