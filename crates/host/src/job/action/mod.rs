//! Actions: those that lie in the workspace are read here, those built in are performed here.

use base::mask::Mask;
use base::{Severity, Source};
use engine::world::JobStart;
use workflow::job::{ActionCall, Builtin, Job, Wrote};
use workflow::model::Action;

use super::JobDirs;

/// Performs built-in actions for one job.
#[derive(Debug)]
pub(super) struct Actions<'a> {
    start: &'a JobStart,
    dirs: &'a JobDirs,
}

/// Writes a line to the step's log.
pub(super) type Say<'s> = &'s mut dyn FnMut(&str);

impl<'a> Actions<'a> {
    pub(super) fn new(start: &'a JobStart, dirs: &'a JobDirs) -> Actions<'a> {
        Actions { start, dirs }
    }

    /// Whether everything the job needs of this machine is there; a sentence when it isn't.
    pub(super) fn ready(&self, _job: &Job) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn perform(&self, call: &ActionCall, _mask: &Mask, _say: Say<'_>) -> Result<Wrote, String> {
        match call.builtin {
            Builtin::Checkout => Err(format!("{} {} {}", call.builtin.name(), self.start.source.sha, self.dirs.workspace.display())),
            other => Err(format!("`{}` is not built in yet", other.name())),
        }
    }
}

/// An `action.yml`; a sentence with the place of the first mistake when it can't be read.
pub(super) fn parse(path: &str, text: &str) -> Result<Action, String> {
    let source = Source::new(path, text);
    let (action, diagnostics) = workflow::github::parse_action(&source);
    action.ok_or_else(|| {
        let first = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        first.map_or_else(
            || format!("`{path}` can't be read"),
            |first| {
                let (line, column) = source.line_column(first.span.start);
                format!("{path}:{line}:{column}: {}", first.message)
            },
        )
    })
}
