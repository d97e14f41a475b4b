//! GitLab's pipeline files: read with everything they include, then compiled for one pipeline into the [model](crate::model) that
//! GitHub's files become too. Same plan, same run, same evidence.
//!
//! ```text
//! text ── include ── extends ── !reference ── File        everything wrong in it, at once and with its place
//! File + Pipeline ── rules ── parallel ── needs ── Workflow   as GitLab creates a pipeline
//! ```

mod child;
mod compile;
mod coverage;
mod expression;
mod extend;
mod file;
mod glob;
mod image;
mod include;
mod inputs;
mod job;
mod needs;
mod order;
mod pipeline;
mod read;
mod reader;
mod rules;
mod script;
mod steps;
mod template;
mod tree;
mod variables;

use base::{Diagnostic, Severity, Source};

pub use compile::{Compiled, NotAdded, Refused, Tool, compile};
pub use coverage::Coverage;
pub use file::File;
pub use include::{Include, Includes, NoIncludes};
pub use pipeline::{Commit, Images, Pipeline};
pub use template::names as template_names;

use include::Loader;
use reader::Reader;
use tree::Problem;

/// What is to be said about one of the files that were read, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub source: Source,
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// What a job triggers, and the files that it names itself.
struct Triggered {
    file: Option<File>,
    reports: Vec<Report>,
    roots: Vec<String>,
    /// How much was read for it: files, and values in them, everything put together.
    files: usize,
    values: usize,
}

/// As [`parse`] reads a file: it includes what the job names, which stands in one of `sources` and is none of `callers`.
fn parse_child(trigger: &file::Trigger, sources: &[Source], callers: Vec<String>, pipeline: &Pipeline, from: &dyn Includes) -> Triggered {
    let mut loader = Loader { callers, ..Loader::new(pipeline, from) };
    let tree = loader.load_entries(&trigger.include, trigger.place, sources);
    let is_complete = loader.problems.is_empty();
    let files = loader.sources.len() - sources.len();
    let mut tree = Some(tree).filter(|_| is_complete);
    let (file, reports) = read_tree(loader.sources, loader.problems, &mut tree);
    let values = tree.map_or(0, |tree| tree.size()).max(loader.values);
    Triggered { file, reports, roots: loader.roots, files, values }
}

/// The file, or nothing when there is any error in it or in what it includes; the reports hold all there are, warnings among them.
pub fn parse(source: &Source, pipeline: &Pipeline, includes: &dyn Includes) -> (Option<File>, Vec<Report>) {
    let mut loader = Loader::new(pipeline, includes);
    let mut tree = loader.load(source);
    read_tree(loader.sources, loader.problems, &mut tree)
}

fn read_tree(sources: Vec<Source>, mut problems: Vec<Problem>, tree: &mut Option<tree::Tree>) -> (Option<File>, Vec<Report>) {
    let mut file = None;
    if let Some(tree) = tree {
        extend::extend(tree, &mut problems);
        extend::resolve(tree, &mut problems);
        let mut reader = Reader { problems };
        file = Some(read::file(&mut reader, tree, sources.clone()));
        problems = reader.problems;
    }
    let reports = reports(&sources, problems);
    let failed = reports.iter().any(Report::has_errors);
    (file.filter(|_| !failed), reports)
}

/// Whether a pattern of `include:local` names the path: `*` stays in its folder, `**` doesn't.
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.replace("**/", "\u{1}").replace("**", "\u{1}*").replace('\u{1}', "**/");
    glob::Pattern::new(&pattern).matches(path)
}

/// A value in which variables were left open, once they are known; what still isn't is nothing, as the runner has it.
pub fn expand(value: &str, variables: &std::collections::BTreeMap<String, String>) -> String {
    variables::finish_empty(&variables::keeping(value, variables))
}

/// More than this nobody reads, and a file can have a hundred thousand.
const DIAGNOSTICS_MAX: usize = 100;

fn reports(sources: &[Source], mut problems: Vec<Problem>) -> Vec<Report> {
    problems.sort_by(|(left_file, left), (right_file, right)| {
        (left_file, left.span, left.severity, &left.message).cmp(&(right_file, right.span, right.severity, &right.message))
    });
    // What is wrong in a job that others extend is found in each of them.
    problems.dedup_by(|(left_file, left), (right_file, right)| left_file == right_file && left == right);
    problems.truncate(DIAGNOSTICS_MAX);
    let mut reports: Vec<Report> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let diagnostics: Vec<Diagnostic> =
            problems.iter().filter(|(file, _)| *file == index).map(|(_, diagnostic)| diagnostic.clone()).collect();
        if !diagnostics.is_empty() {
            reports.push(Report { source: source.clone(), diagnostics });
        }
    }
    reports
}
