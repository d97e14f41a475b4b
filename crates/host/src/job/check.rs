//! What can be known to be missing before anything runs: actions that can't be fetched, a `node` that isn't there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use base::{Diagnostic, Severity, Source, Span};
use workflow::job::{Builtin, Remote};
use workflow::model::{Action, ActionRuns, Pinned, Step, StepAction, Template, Work, Workflow};

use super::action::need::{missing, missing_in};
use super::action::{self, refuse_foreign};
use super::process::find;
use crate::actions::Resolver;
use crate::container::{CHOICE, Engine};

/// What a workflow uses, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    pub diagnostics: Vec<Diagnostic>,
    /// For [`Workflow::actions`]: every action and workflow of another repository, however deep.
    pub actions: BTreeMap<String, Pinned>,
    /// Who uses whom: the workflow itself (with its local actions) under an empty name, actions and workflows of other repositories
    /// under their keys. Those built in are here too.
    pub uses: BTreeMap<String, BTreeSet<Remote>>,
}

/// Everything in the workflow that a job would fail on for want of an action or of `node`. `read` gives a file of the sources by
/// its path below the project; `path` is the `PATH` that jobs get.
pub fn check(workflow: &Workflow, read: &dyn Fn(&str) -> Option<String>, path: &str, resolver: &mut Resolver<'_>) -> Checked {
    check_file(workflow, File { lock: &workflow.path, from: None }, read, path, resolver)
}

/// As [`check`], of a workflow that the one in the file `root` calls under this [key](workflow::plan::called_key): one of another repository is locked
/// with `root`, and what it uses is that repository's.
pub fn check_called(
    (key, called): (&str, &Workflow),
    root: &str,
    read: &dyn Fn(&str) -> Option<String>,
    path: &str,
    resolver: &mut Resolver<'_>,
) -> Checked {
    let from = if key.starts_with("./") { None } else { Remote::parse(key).ok().map(|remote| remote.key()) };
    let lock = if from.is_some() { root } else { &called.path };
    check_file(called, File { lock, from }, read, path, resolver)
}

fn check_file(
    workflow: &Workflow,
    file: File<'_>,
    read: &dyn Fn(&str) -> Option<String>,
    path: &str,
    resolver: &mut Resolver<'_>,
) -> Checked {
    let (around, seen) = (Vec::new(), BTreeSet::new());
    let mut check = Check { read, path, resolver, file, checked: Checked::default(), around, seen, engine: None, contained: false };
    for place in &workflow.contained {
        check.engine(place.span, &place.what);
    }
    for job in &workflow.jobs {
        match &job.work {
            Work::Steps { steps, container, .. } => {
                check.contained = container.is_some() || workflow.runners.contains(job);
                // Sources that lie elsewhere than in the workspace's root can't be looked into from here.
                let elsewhere = steps.iter().any(checks_out_elsewhere);
                for step in steps {
                    check.step(step, step.span, elsewhere);
                }
            }
            Work::Call { uses, .. } => check.call(uses, job.span),
        }
    }
    check.checked
}

/// Where what is checked stands.
struct File<'a> {
    /// The workflow file with which it is locked.
    lock: &'a str,
    /// The [key](Remote::key) of the other repository that it is from.
    from: Option<String>,
}

/// The code of the warnings about tools and what they are given, which are told even when nothing is wrong.
pub const MISSING_TOOL: &str = "workflow/missing-tool";

struct Check<'a, 'r> {
    read: &'a dyn Fn(&str) -> Option<String>,
    path: &'a str,
    resolver: &'a mut Resolver<'r>,
    file: File<'a>,
    checked: Checked,
    /// The composite actions we are in, as they are named by `uses`.
    around: Vec<Around>,
    seen: BTreeSet<(Span, String)>,
    /// Looked for once.
    engine: Option<Result<(), String>>,
    /// The job has a container, and the tools are its image's.
    contained: bool,
}

struct Around {
    uses: String,
    /// Of an action of another repository.
    remote: Option<Remote>,
}

impl Check<'_, '_> {
    /// `span` is the step of the workflow that leads here, however many actions lie between.
    fn step(&mut self, step: &Step, span: Span, elsewhere: bool) {
        let (uses, with) = match &step.action {
            StepAction::Uses { uses, with } => (uses, with),
            StepAction::Run { script, shell, .. } => return self.script(script, shell.as_ref(), span),
            _ => return,
        };
        if let Some(local) = uses.strip_prefix("./") {
            return self.local(local.trim_end_matches('/'), span, elsewhere);
        }
        if let Some(path) = uses.strip_prefix("$/") {
            let around = self.around.iter().rev().find_map(|around| around.remote.clone());
            return match around {
                Some(around) => self.remote(around.beside(path), span, elsewhere),
                // Nothing has to be checked out for it, and no step makes it.
                None => self.local(path.trim_matches('/'), span, elsewhere),
            };
        }
        if uses.starts_with("docker://") {
            // Those of the workflow itself are among its own places.
            if !self.around.is_empty() {
                self.engine(span, &format!("{}`{uses}`", self.inside()));
            }
            return;
        }
        match (Builtin::of(uses), Remote::parse(uses)) {
            (Some(builtin), remote) => {
                let literal = literals(with.as_ref());
                if builtin == Builtin::Checkout
                    && let Err(why) = refuse_foreign(&literal)
                {
                    self.error("workflow/checkout", span, format!("{}{why}", self.inside()));
                }
                for unheeded in action::heed::unheeded(builtin, with.as_ref(), step.env.as_ref()) {
                    let message = format!("{}`{uses}` {}", self.inside(), unheeded.says);
                    match unheeded.is_wrong {
                        true => self.error("workflow/input", span, message),
                        false => self.warn(span, message),
                    }
                }
                if let Some(names) = action::tools(builtin).filter(|names| !names.iter().any(|name| find(name, self.path, "/").is_some())) {
                    let message = format!("{}`{uses}` will fail: {}", self.inside(), missing(names));
                    self.warn(span, message);
                }
                if let Ok(remote) = remote {
                    self.note(remote);
                }
            }
            (None, Ok(remote)) => self.remote(remote, span, elsewhere),
            (None, Err(why)) => self.error("workflow/remote-action", span, format!("{}{why}", self.inside())),
        }
    }

    /// What a script calls and isn't here. Only a warning: a step before may bring it.
    fn script(&mut self, script: &Template, shell: Option<&Template>, span: Span) {
        let foreign = matches!(shell, Some(Template::String(shell)) if !shell.contains("sh") || shell.contains("pwsh"));
        let text = match script {
            Template::String(text) => text,
            Template::Expr { source, .. } => source,
            _ => return,
        };
        for why in if foreign || self.contained { BTreeSet::new() } else { missing_in(text, self.path) } {
            self.warn(span, format!("{}a script calls what is missing unless a step before brings it: {why}", self.inside()));
        }
    }

    /// Once for each sentence, where it comes first.
    fn warn(&mut self, span: Span, message: String) {
        if self.seen.insert((Span::default(), message.clone())) {
            self.checked.diagnostics.push(Diagnostic::warning(MISSING_TOOL, span, message));
        }
    }

    fn local(&mut self, folder: &str, span: Span, elsewhere: bool) {
        let folder = folder.trim_start_matches("./");
        let uses = format!("./{folder}");
        let read = |name: &str| {
            let path = if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") };
            (self.read)(&path).map(|text| (path, text))
        };
        let Some((path, text)) = read("action.yml").or_else(|| read("action.yaml")) else {
            if !elsewhere {
                let message = format!("{}there is no `action.yml` in `{uses}` of the sources", self.inside());
                let diagnostic = Diagnostic::warning("workflow/no-action", span, message);
                self.checked.diagnostics.push(diagnostic.hint("that is fine if an earlier step makes it"));
            }
            return;
        };
        if let Some(action) = self.parse(&path, text, span) {
            self.look_into(&uses, None, action, span, elsewhere);
        }
    }

    fn remote(&mut self, remote: Remote, span: Span, elsewhere: bool) {
        let (key, uses) = (remote.key(), remote.to_string());
        self.note(remote.clone());
        let fetched = match self.resolver.find(&remote, self.file.lock) {
            Ok(fetched) => fetched,
            Err(why) => return self.error("workflow/remote-action", span, format!("{}{why}", self.inside())),
        };
        self.checked.actions.insert(key.clone(), fetched.pinned());
        let read = |name: &str| {
            let path = fetched.folder.join(&remote.path).join(name);
            fs::read_to_string(path).ok().map(|text| (format!("{uses}: {name}"), text))
        };
        let Some((path, text)) = read("action.yml").or_else(|| read("action.yaml")) else {
            let message = format!("{}there is no `action.yml` in `{uses}` (commit {})", self.inside(), fetched.commit);
            return self.error("workflow/no-action", span, message);
        };
        if let Some(action) = self.parse(&path, text, span) {
            self.look_into(&uses, Some(remote), action, span, elsewhere);
        }
    }

    /// A workflow of another repository; one of the same comes with what calls it.
    fn call(&mut self, uses: &str, span: Span) {
        let Some(remote) = Remote::parse(uses).ok().filter(|_| !uses.starts_with(['.', '$'])) else { return };
        self.note(remote.clone());
        match self.resolver.find(&remote, self.file.lock) {
            Ok(fetched) => drop(self.checked.actions.insert(remote.key(), fetched.pinned())),
            Err(why) => self.error("workflow/remote-action", span, why),
        }
    }

    fn parse(&mut self, path: &str, text: String, span: Span) -> Option<Action> {
        let source = Source::new(path, text);
        let (action, diagnostics) = workflow::github::parse_action(&source);
        for wrong in diagnostics.iter().filter(|wrong| wrong.severity == Severity::Error) {
            let (line, column) = source.line_column(wrong.span.start);
            self.error("workflow/bad-action", span, format!("{path}:{line}:{column}: {}", wrong.message));
        }
        action
    }

    fn look_into(&mut self, uses: &str, remote: Option<Remote>, action: Action, span: Span, elsewhere: bool) {
        if self.around.iter().any(|around| around.uses == uses) {
            return self.error("workflow/action-cycle", span, format!("the action `{uses}` uses itself"));
        }
        match action.runs {
            ActionRuns::Docker { .. } => {
                self.engine(span, &format!("`{uses}`, an action in a container,"));
            }
            ActionRuns::Node { using, .. } if !self.contained && find("node", self.path, "/").is_none() => {
                let message = format!("`{uses}` is a JavaScript action ({using}), and there is no `node` on the PATH");
                self.error("workflow/no-node", span, message);
            }
            ActionRuns::Node { .. } => {}
            ActionRuns::Composite { steps } => {
                self.around.push(Around { uses: uses.to_string(), remote });
                steps.iter().for_each(|step| self.step(step, span, elsewhere));
                self.around.pop();
            }
        }
    }

    /// Something there runs in a container.
    fn engine(&mut self, span: Span, what: &str) {
        let chosen = std::env::var(CHOICE).ok();
        let engine = self.engine.get_or_insert_with(|| Engine::find(chosen.as_deref(), self.path).map(drop));
        if let Err(why) = engine {
            let message = format!("{what} needs a container engine: {why}");
            self.error("workflow/no-engine", span, message);
        }
    }

    /// A local action's uses are the workflow's own, or those of the repository it was reached through.
    fn note(&mut self, remote: Remote) {
        let through = self.around.iter().rev().find_map(|around| around.remote.as_ref().map(Remote::key));
        let user = through.or_else(|| self.file.from.clone()).unwrap_or_default();
        self.checked.uses.entry(user).or_default().insert(remote);
    }

    /// Once for each step and sentence: an action may be used by several paths.
    fn error(&mut self, code: &'static str, span: Span, message: String) {
        if self.seen.insert((span, message.clone())) {
            self.checked.diagnostics.push(Diagnostic::error(code, span, message));
        }
    }

    fn inside(&self) -> String {
        self.around.last().map(|around| format!("in `{}`: ", around.uses)).unwrap_or_default()
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
fn literals(with: Option<&Template>) -> BTreeMap<String, String> {
    let Some(Template::Mapping(entries)) = with else { return BTreeMap::new() };
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

    /// Each file below the project as `(path, text)`; what is found, one line each.
    fn check_steps(steps: &str, files: &[(&str, &str)], path: &str) -> Vec<String> {
        let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}");
        let (workflow, wrong) = workflow::github::parse(&Source::new("ci.yml", text.clone()));
        let workflow = workflow.unwrap_or_else(|| panic!("{wrong:?}"));
        let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.to_string());
        check(&workflow, &read, path, &mut Resolver::offline()).diagnostics.into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn every_action_that_can_t_be_had_is_named_at_once() {
        let found = check_steps("      - uses: actions/checkout@v4\n      - uses: a/b@v1\n      - uses: a/../c@v1\n", &[], "");
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "nothing is fetched here");
        assert!(found[1].contains("`..` is neither"), "{found:?}");
    }

    #[test]
    fn actions_are_looked_into() {
        let composite = "name: c\ndescription: c\nruns:\n  using: composite\n  steps:\n    - uses: ./b\n    - uses: x/y@v2\n";
        let node = "name: n\ndescription: n\nruns: { using: node20, main: i.js }\n";
        let files = [("a/action.yml", composite), ("b/action.yaml", node)];
        let found = check_steps("      - uses: ./a\n      - uses: ./missing\n", &files, "");
        assert!(found[0].contains("JavaScript action (node20)") && found[0].contains("no `node` on the PATH"), "{found:?}");
        assert!(found[1].starts_with("in `./a`: nothing is fetched"), "{found:?}");
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
        assert_eq!(found, ["`submodules: true` needs the network, and is not there yet"]);
    }

    #[test]
    fn what_an_action_is_given_and_doesn_t_do_is_said_beforehand() {
        let step = "      - uses: slackapi/slack-github-action@v2\n        with: { payload-templated: true, chanel-id: x }\n";
        let found = check_steps(step, &[], &std::env::var("PATH").unwrap());
        assert!(found.iter().any(|it| it.starts_with("`slackapi/slack-github-action@v2` can't do `payload-templated`: ")), "{found:?}");
        let unknown = "`slackapi/slack-github-action@v2` has no input `chanel-id`; did you mean `channel-id`?".to_string();
        assert!(found.contains(&unknown), "{found:?}");
    }
}
