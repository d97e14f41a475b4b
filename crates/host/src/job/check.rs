//! What can be known to be missing before anything runs: actions that would have to be fetched, a `node` that isn't there.

use std::collections::BTreeSet;

use base::{Diagnostic, Severity, Source, Span};
use workflow::job::Builtin;
use workflow::job::builtin::refusal;
use workflow::model::{ActionRuns, Step, StepAction, Template, Work, Workflow};

use super::action::refuse_foreign;
use super::process::find;

/// Everything in the workflow that a job would fail on for want of an action or of `node`. `read` gives a file of the sources by
/// its path below the project; `path` is the `PATH` that jobs get.
pub fn check(workflow: &Workflow, read: &dyn Fn(&str) -> Option<String>, path: &str) -> Vec<Diagnostic> {
    let mut check = Check { read, path, found: Vec::new(), around: Vec::new(), seen: BTreeSet::new() };
    for job in &workflow.jobs {
        if let Work::Steps { steps, .. } = &job.work {
            // Sources that lie elsewhere than in the workspace's root can't be looked into from here.
            let elsewhere = steps.iter().any(checks_out_elsewhere);
            for step in steps {
                check.step(step, step.span, elsewhere);
            }
        }
    }
    check.found
}

struct Check<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    path: &'a str,
    found: Vec<Diagnostic>,
    /// The composite actions we are in.
    around: Vec<String>,
    seen: BTreeSet<(Span, String)>,
}

impl Check<'_> {
    /// `span` is the step of the workflow that leads here, however many actions lie between.
    fn step(&mut self, step: &Step, span: Span, elsewhere: bool) {
        let StepAction::Uses { uses, with } = &step.action else { return };
        if let Some(local) = uses.strip_prefix("./") {
            self.local(local.trim_end_matches('/'), span, elsewhere);
        } else if uses.starts_with("docker://") {
            self.error(
                "workflow/docker-action",
                span,
                format!("{}`{uses}` needs a container; those come with the next release", self.inside()),
            );
        } else if let Some(builtin) = Builtin::of(uses) {
            let literal = literals(with.as_ref());
            if builtin == Builtin::Checkout
                && let Err(why) = refuse_foreign(&literal)
            {
                self.error("workflow/checkout", span, format!("{}{why}", self.inside()));
            }
        } else {
            self.error("workflow/remote-action", span, format!("{}{}", self.inside(), refusal(uses)));
        }
    }

    fn local(&mut self, folder: &str, span: Span, elsewhere: bool) {
        let folder = folder.trim_start_matches("./");
        if self.around.iter().any(|around| around == folder) {
            return self.error("workflow/action-cycle", span, format!("the action `./{folder}` uses itself"));
        }
        let read = |name: &str| {
            let path = if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") };
            (self.read)(&path).map(|text| (path, text))
        };
        let Some((path, text)) = read("action.yml").or_else(|| read("action.yaml")) else {
            if !elsewhere {
                let message = format!("{}there is no `action.yml` in `./{folder}` of the sources", self.inside());
                let diagnostic = Diagnostic::warning("workflow/no-action", span, message);
                self.found.push(diagnostic.hint("that is fine if an earlier step makes it"));
            }
            return;
        };
        let source = Source::new(path.as_str(), text);
        let (action, diagnostics) = workflow::github::parse_action(&source);
        for wrong in diagnostics.iter().filter(|wrong| wrong.severity == Severity::Error) {
            let (line, column) = source.line_column(wrong.span.start);
            self.error("workflow/bad-action", span, format!("{path}:{line}:{column}: {}", wrong.message));
        }
        match action.map(|action| action.runs) {
            None => {}
            Some(ActionRuns::Docker { .. }) => {
                self.error("workflow/docker-action", span, format!("`./{folder}` runs in a container; those come with the next release"));
            }
            Some(ActionRuns::Node { using, .. }) if find("node", self.path, "/").is_none() => {
                let message = format!("`./{folder}` is a JavaScript action ({using}), and there is no `node` on the PATH");
                self.error("workflow/no-node", span, message);
            }
            Some(ActionRuns::Node { .. }) => {}
            Some(ActionRuns::Composite { steps }) => {
                self.around.push(folder.to_string());
                steps.iter().for_each(|step| self.step(step, span, elsewhere));
                self.around.pop();
            }
        }
    }

    /// Once for each step and sentence: an action may be used by several paths.
    fn error(&mut self, code: &'static str, span: Span, message: String) {
        if self.seen.insert((span, message.clone())) {
            self.found.push(Diagnostic::error(code, span, message));
        }
    }

    fn inside(&self) -> String {
        self.around.last().map(|folder| format!("in `./{folder}`: ")).unwrap_or_default()
    }
}

fn checks_out_elsewhere(step: &Step) -> bool {
    match &step.action {
        StepAction::Uses { uses, with: Some(Template::Mapping(entries)) } if Builtin::of(uses) == Some(Builtin::Checkout) => {
            entries.iter().any(|(name, _)| matches!(name, Template::String(name) if name.eq_ignore_ascii_case("path")))
        }
        _ => false,
    }
}

/// The inputs that are plain text in the file.
fn literals(with: Option<&Template>) -> std::collections::BTreeMap<String, String> {
    let Some(Template::Mapping(entries)) = with else { return std::collections::BTreeMap::new() };
    let plain = |(name, value): &(Template, Template)| match (name, value) {
        (Template::String(name), Template::String(value)) => Some((name.to_lowercase(), value.clone())),
        (Template::String(name), Template::Bool(value)) => Some((name.to_lowercase(), value.to_string())),
        _ => None,
    };
    entries.iter().filter_map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOTE: &str = "remote actions come with the next release";

    /// Each file below the project as `(path, text)`; what is found, one line each.
    fn check_steps(steps: &str, files: &[(&str, &str)], path: &str) -> Vec<String> {
        let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}");
        let (workflow, wrong) = workflow::github::parse(&Source::new("ci.yml", text.clone()));
        let workflow = workflow.unwrap_or_else(|| panic!("{wrong:?}"));
        let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.to_string());
        check(&workflow, &read, path).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn remote_actions_are_refused_with_what_is_built_in() {
        let found = check_steps("      - uses: actions/checkout@v4\n      - uses: a/b@v1\n", &[], "");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("`a/b@v1`") && found[0].contains(REMOTE) && found[0].contains("actions/cache"), "{found:?}");
    }

    #[test]
    fn actions_are_looked_into() {
        let composite = "name: c\ndescription: c\nruns:\n  using: composite\n  steps:\n    - uses: ./b\n    - uses: x/y@v2\n";
        let node = "name: n\ndescription: n\nruns: { using: node20, main: i.js }\n";
        let files = [("a/action.yml", composite), ("b/action.yaml", node)];
        let found = check_steps("      - uses: ./a\n      - uses: ./missing\n", &files, "");
        assert!(found[0].contains("JavaScript action (node20)") && found[0].contains("no `node` on the PATH"), "{found:?}");
        assert!(found[1].starts_with("in `./a`: `x/y@v2`"), "{found:?}");
        assert!(found[2].contains("no `action.yml` in `./missing`"), "{found:?}");
        assert_eq!(check_steps("      - uses: ./b\n", &files, &std::env::var("PATH").unwrap()), [""; 0], "node is expected on the PATH");
    }

    #[test]
    fn an_action_that_uses_itself_is_refused() {
        let itself = "name: c\ndescription: c\nruns:\n  using: composite\n  steps:\n    - uses: ./a\n";
        assert_eq!(check_steps("      - uses: ./a\n", &[("a/action.yml", itself)], ""), ["the action `./a` uses itself"]);
    }

    #[test]
    fn a_checkout_that_needs_the_network_is_refused() {
        let found = check_steps("      - uses: actions/checkout@v4\n        with: { submodules: true }\n", &[], "");
        assert_eq!(found, ["`submodules: true` needs the network and comes with the next release"]);
    }
}
