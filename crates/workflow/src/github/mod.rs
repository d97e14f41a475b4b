//! GitHub's workflow and action files, read into the [model](crate::model) with everything that is wrong in them.

mod action;
mod called;
mod expression;
mod job;
mod needs;
mod reader;
mod references;
mod retry;
mod step;
mod triggers;
mod workflow;

use base::{Diagnostic, Severity, Source, yaml};

use crate::model::{Action, Unsupported, Workflow};
use crate::permissions::Policy;
use crate::runners::Runners;
use called::Calls;
use reader::Reader;

pub use called::{File, Loaded, ReadCalled, load, load_with};

/// What a file may be; the defaults are GitHub's.
#[derive(Debug, Clone)]
pub struct Options {
    pub anchors: bool,
    /// Levels of values in each other.
    pub depth_max: usize,
    pub bytes_max: usize,
    /// Levels of workflows below the file itself that call each other.
    pub calls_depth_max: usize,
    pub jobs_max: usize,
    /// Whether a job without steps is an error: to the official server it is, to its parser not yet.
    pub steps_required: bool,
    /// Bytes that everything read takes, as the official parser counts them: a called file as often as it is called.
    pub result_max: usize,
    /// What a token may do where no file says anything.
    pub policy: Policy,
    /// Where the jobs of which labels run.
    pub runners: Runners,
}

/// The workflow, or nothing when there is any error; the diagnostics are all there are, warnings among them. What its jobs call
/// isn't read: see [`load`].
pub fn parse(source: &Source) -> (Option<Workflow>, Vec<Diagnostic>) {
    let (workflow, diagnostics, _) = read_workflow(source, &Options::default());
    (workflow, diagnostics)
}

/// An `action.yml`, as [`parse`] a workflow.
pub fn parse_action(source: &Source) -> (Option<Action>, Vec<Diagnostic>) {
    let (action, diagnostics, _) = read(source, &Options::default(), action::read);
    (action, diagnostics)
}

fn read_workflow(source: &Source, options: &Options) -> (Option<Workflow>, Vec<Diagnostic>, Calls) {
    read(source, options, workflow::read)
}

/// An error for everything in the workflow that is right and can't be run here yet: such a file is refused, never half run.
pub fn unsupported(workflow: &Workflow) -> Vec<Diagnostic> {
    let message = |what: &str| format!("{what} can't be run here yet");
    let error = |place: &Unsupported| {
        let error = Diagnostic::error("workflow/unsupported", place.span, message(&place.what));
        place.hint.iter().fold(error, |error, hint| error.hint(hint))
    };
    workflow.unsupported.iter().map(error).collect()
}

/// As deep as GitHub reads.
const DEPTH_MAX: usize = 50;

fn read<T>(
    source: &Source,
    options: &Options,
    model: fn(&mut Reader<'_>, &yaml::Node) -> Option<T>,
) -> (Option<T>, Vec<Diagnostic>, Calls) {
    let yaml = yaml::Options {
        depth_max: options.depth_max,
        bytes_max: options.bytes_max,
        anchors: options.anchors,
        ignore_key_case: true,
        ..yaml::Options::default()
    };
    let (node, mut diagnostics) = yaml::parse_with(source, &yaml);
    let Some(node) = node else {
        if diagnostics.is_empty() {
            diagnostics.push(Diagnostic::error("workflow/empty", base::Span::default(), "the file is empty"));
        }
        return (None, diagnostics, Calls::default());
    };
    let mut reader = Reader::new(source);
    reader.runners = options.runners.clone();
    reader.size = called::size(&node);
    reader.steps_required = options.steps_required;
    let model = model(&mut reader, &node);
    diagnostics.append(&mut reader.diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (model.filter(|_| !failed), at_most(diagnostics), Calls { sites: reader.calls, callable: reader.callable, size: reader.size })
}

/// More than this nobody reads, and a file can have a hundred thousand.
const DIAGNOSTICS_MAX: usize = 100;

/// The errors before the warnings where there are too many.
fn at_most(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let more = diagnostics.len().saturating_sub(DIAGNOSTICS_MAX);
    if more > 0 {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span));
        let span = diagnostics[DIAGNOSTICS_MAX].span;
        diagnostics.truncate(DIAGNOSTICS_MAX);
        diagnostics.push(Diagnostic::error("workflow/too-many", span, format!("here and elsewhere {more} more things are wrong")));
    }
    diagnostics
}
