//! What a file hands to the workflows and actions of its own repository, and what of it outsiders chose.

use std::collections::{BTreeMap, BTreeSet};

use base::Source;
use base::yaml::Node;

use super::document::Document;
use super::uses::Uses;
use super::{Finding, Kind, Options, lint, taint};

/// Calls within calls that are followed; GitHub takes ten.
const DEPTH_MAX: usize = 10;

/// A file's findings and those of the files it calls, each with what outsiders put into its inputs.
///
/// `read` gives a file of the repository by its path. A file that several call is told of once for each way it is called.
pub fn lint_with_calls(
    source: &Source,
    kind: Kind,
    options: &Options,
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<(Source, Vec<Finding>)> {
    let mut seen = BTreeSet::new();
    let mut open = vec![(source.clone(), kind, options.clone(), 0)];
    let mut found = Vec::new();
    while let Some((source, kind, options, depth)) = open.pop() {
        found.push((source.clone(), lint(&source, kind, &options)));
        if depth == DEPTH_MAX {
            continue;
        }
        let (reached, calls) = calls(&source, kind, &options);
        for (called, tainted) in calls {
            let file = called.candidates().into_iter().find_map(|path| Some((read(&path)?, path)));
            let Some((text, path)) = file.filter(|(_, path)| seen.insert((path.clone(), tainted.clone()))) else { continue };
            let options = Options { tainted, reached, ..options.clone() };
            open.push((Source::new(path, text), called.kind(), options, depth + 1));
        }
    }
    found
}

/// A workflow or an action of the same repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Called {
    /// Relative to the repository.
    path: String,
    is_workflow: bool,
}

impl Called {
    fn kind(&self) -> Kind {
        if self.is_workflow { Kind::Workflow } else { Kind::Action }
    }

    fn candidates(&self) -> Vec<String> {
        let folder = self.path.trim_end_matches('/');
        let in_folder = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        if self.is_workflow { vec![self.path.clone()] } else { vec![in_folder("action.yml"), in_folder("action.yaml")] }
    }
}

/// Whether outsiders start this; each file that is called, and the inputs that get what an outsider chose, in lower case.
fn calls(source: &Source, kind: Kind, options: &Options) -> (bool, BTreeMap<Called, BTreeSet<String>>) {
    let Some(root) = base::yaml::parse(source).0 else { return (false, BTreeMap::new()) };
    let document = Document::new(source, kind, &root, options);
    let reached = taint::is_reached_by_outsiders(&document);
    let jobs = document.jobs().into_iter().filter_map(|job| Some((job.uses()?.0, job.node, None, true)));
    let steps = document.steps().into_iter().filter_map(|step| Some((step.uses()?.0, step.node, Some(step), false)));
    let mut calls: BTreeMap<Called, BTreeSet<String>> = BTreeMap::new();
    for (uses, node, step, is_workflow) in jobs.chain(steps) {
        let Uses::Local(path) = uses else { continue };
        let Some(path) = path.strip_prefix("./").or_else(|| path.strip_prefix("$/")) else { continue };
        let inputs = node.get("with").and_then(Node::as_mapping).into_iter().flat_map(base::yaml::Mapping::iter);
        let tainted = inputs.filter(|(_, value)| {
            let taint = taint::of_value(&document, value, step.as_ref());
            taint.is_some_and(|taint| taint.choice == taint::Choice::Arbitrary && taint.outsider && reached)
        });
        let called = Called { path: path.to_owned(), is_workflow };
        calls.entry(called).or_default().extend(tainted.map(|(key, _)| key.text.to_lowercase()));
    }
    (reached, calls)
}
