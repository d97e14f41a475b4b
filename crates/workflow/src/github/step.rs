use std::ops::Range;

use base::yaml::{Entry, Mapping, Node};
use base::{Diagnostic, Span};

use super::reader::Reader;
use super::retry;
use super::workflow::check_shell;
use crate::model::{RetryOn, Step, StepAction, Template};
use crate::schema::identifier::{self, Ids};
use crate::schema::places::{self, Place};
use crate::schema::uses;

/// What a step may use, which differs between a job's and a composite action's.
pub(super) struct Rules {
    condition: Place,
    name: Place,
    run: Place,
    directory: Place,
    env: Place,
    with: Place,
    continue_on_error: Place,
    /// A workflow's steps may have a timeout and run in the background, and a shell is optional.
    in_workflow: bool,
}

const IN_WORKFLOW: Rules = Rules {
    condition: places::STEP_IF,
    name: places::STEP_NAME,
    run: places::STEP_RUN,
    directory: places::STEP_DIRECTORY,
    env: places::STEP_ENV,
    with: places::STEP_WITH,
    continue_on_error: places::STEP_CONTINUE,
    in_workflow: true,
};

const IN_ACTION: Rules = Rules {
    condition: places::ACTION_STEP_IF,
    name: places::ACTION_STEP_VALUE,
    run: places::ACTION_STEP_VALUE,
    directory: places::ACTION_STEP_VALUE,
    env: places::ACTION_STEP_VALUE,
    with: places::ACTION_STEP_VALUE,
    continue_on_error: places::ACTION_STEP_VALUE,
    in_workflow: false,
};

const RUN_KEYS: &[&str] =
    &["name", "id", "if", "timeout-minutes", "run", "continue-on-error", "env", "working-directory", "shell", "background", "retry"];
const USES_KEYS: &[&str] = &["name", "id", "if", "continue-on-error", "timeout-minutes", "uses", "with", "env", "background", "retry"];
const ACTION_RUN_KEYS: &[&str] = &["name", "id", "if", "run", "continue-on-error", "env", "working-directory", "shell"];
const ACTION_USES_KEYS: &[&str] = &["name", "id", "if", "continue-on-error", "uses", "with", "env"];
/// Steps that only steer others; each also has a name, an id and `continue-on-error`.
const STEERING: [&str; 3] = ["wait", "wait-all", "cancel"];

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<Step> {
    all(reader, node, &IN_WORKFLOW)
}

pub(super) fn read_composite(reader: &mut Reader<'_>, node: &Node) -> Vec<Step> {
    all(reader, node, &IN_ACTION)
}

/// Steps that have no id are given one after all written ones are known.
fn all(reader: &mut Reader<'_>, node: &Node, rules: &Rules) -> Vec<Step> {
    let mut list = List { rules, ids: Ids::default(), steps: Vec::new(), groups: Vec::new(), targets: Vec::new() };
    list.read(reader, node);
    list.name();
    list.check_targets(reader);
    list.steps
}

/// A list of steps while it is read.
struct List<'a> {
    rules: &'a Rules,
    ids: Ids,
    steps: Vec<Step>,
    /// The members of each `parallel` group; the wait for them stands behind the last one.
    groups: Vec<Range<usize>>,
    /// What is waited for or cancelled: by which step, and where that stands.
    targets: Vec<(usize, String, Span)>,
}

impl List<'_> {
    fn read(&mut self, reader: &mut Reader<'_>, node: &Node) {
        for item in reader.sequence("steps", node).unwrap_or_default() {
            reader.step = Some(self.steps.len());
            let Some(mapping) = reader.mapping("a step", item) else { continue };
            let parallel = mapping.entry("parallel").filter(|_| self.rules.in_workflow);
            let steering = STEERING.into_iter().find_map(|key| mapping.entry(key)).filter(|_| self.rules.in_workflow);
            if let Some(entry) = parallel {
                reader.known(mapping, &["parallel"]);
                self.group(reader, entry);
            } else if let Some(entry) = steering {
                self.steering(reader, mapping, entry);
            } else {
                self.steps.extend(step(reader, item, mapping, self.rules, &mut self.ids));
            }
        }
        reader.step = None;
    }

    /// As the official server hands it on: steps in the background, and a wait for all of them.
    fn group(&mut self, reader: &mut Reader<'_>, entry: &Entry) {
        let first = self.steps.len();
        for item in reader.sequence("parallel", &entry.value).unwrap_or_default() {
            let Some(mapping) = reader.mapping("a step", item) else { continue };
            let foreign = ["parallel", "wait", "wait-all", "cancel"].into_iter().find_map(|key| mapping.entry(key));
            if let Some(foreign) = foreign {
                let message = format!("`{}` can't stand in a `parallel` group", foreign.key.text);
                reader.report(Diagnostic::error("workflow/parallel", foreign.key.span, message).hint("a group has `run` and `uses` steps"));
                continue;
            }
            if let Some(background) = mapping.entry("background") {
                let message = "`background` can't be given in a `parallel` group: its steps are in the background anyway";
                reader.error("workflow/parallel", background.key.span, message);
            }
            reader.step = Some(self.steps.len());
            let step = step(reader, item, mapping, self.rules, &mut self.ids);
            self.steps.extend(step.map(|step| Step { background: true, ..step }));
        }
        self.groups.push(first..self.steps.len());
        let wait = Step::new("", entry.key.span, StepAction::Wait { steps: Vec::new() });
        self.steps.push(Step { condition: "always()".to_owned(), ..wait });
    }

    fn steering(&mut self, reader: &mut Reader<'_>, mapping: &Mapping, entry: &Entry) {
        let kind = entry.key.text.as_str();
        let action = match kind {
            "wait" => StepAction::Wait { steps: Vec::new() },
            "cancel" => StepAction::Cancel { steps: Vec::new() },
            _ => StepAction::WaitAll,
        };
        let mut step = Step { condition: "always()".to_owned(), ..Step::new("", entry.key.span, action) };
        for Entry { key, value } in reader.known(mapping, &["name", "id", "continue-on-error", kind]) {
            match key.text.as_str() {
                "name" => step.name = reader.string("name", value, &places::STEP_NAME),
                "id" => step.id = id(reader, value, &mut self.ids).unwrap_or_default(),
                "continue-on-error" => step.continue_on_error = reader.boolean("continue-on-error", value, &places::STEP_CONTINUE),
                "wait-all" => {
                    if !value.is_null() && reader.flag("wait-all", value) == Some(false) {
                        reader.error("workflow/value", value.span, "`wait-all` is `true`, or has no value");
                    }
                }
                "cancel" => {
                    let target = reader.non_empty_literal("cancel", value);
                    self.targets.extend(target.map(|target| (self.steps.len(), target, value.span)));
                }
                name => {
                    let targets = reader.literals(name, value);
                    self.targets.extend(targets.into_iter().map(|(target, span)| (self.steps.len(), target, span)));
                }
            }
        }
        self.steps.push(step);
    }

    /// Ids for the steps that have none, and then the groups' waits know what they wait for.
    fn name(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.id.is_empty()) {
            let base = match &step.action {
                StepAction::Run { .. } => "run".to_owned(),
                StepAction::Uses { uses, .. } => {
                    uses::step_target(uses).filter(|target| !target.is_empty()).unwrap_or_else(|| "run".to_owned())
                }
                StepAction::Wait { .. } => "wait".to_owned(),
                StepAction::WaitAll => "wait-all".to_owned(),
                StepAction::Cancel { .. } => "cancel".to_owned(),
            };
            step.id = self.ids.generate(&base);
        }
        for members in &self.groups {
            let group = self.steps[members.end].id.clone();
            let ids: Vec<String> = self.steps[members.clone()].iter().map(|step| step.id.clone()).collect();
            self.steps[members.end].action = StepAction::Wait { steps: ids };
            self.steps[members.start..=members.end].iter_mut().for_each(|step| step.group = Some(group.clone()));
        }
    }

    /// Only steps that stand before can be waited for or cancelled.
    fn check_targets(&mut self, reader: &mut Reader<'_>) {
        for (at, target, span) in std::mem::take(&mut self.targets) {
            let same = |step: &Step| step.id.eq_ignore_ascii_case(&target);
            let problem = match self.steps[..at].iter().position(same) {
                _ if target.starts_with("__") => Err(format!("`{target}` can't be named: ids that start with `__` are generated")),
                _ if same(&self.steps[at]) => Err(format!("the step `{target}` can't wait for itself or cancel itself")),
                Some(found) => Ok(found),
                None if self.steps[at..].iter().any(same) => {
                    Err(format!("the step `{target}` comes later, and only what was started can be named"))
                }
                None => Err(format!("there is no step with the id `{target}`")),
            };
            match problem {
                Ok(found) => {
                    let step = &self.steps[found];
                    if !step.background {
                        let message = format!("the step `{}` isn't in the background, so it has ended already", step.id);
                        reader.warning("workflow/not-in-background", span, message);
                    }
                    let id = step.id.clone();
                    if let StepAction::Wait { steps } | StepAction::Cancel { steps } = &mut self.steps[at].action
                        && !steps.contains(&id)
                    {
                        steps.push(id);
                    }
                }
                Err(message) => {
                    let diagnostic = Diagnostic::error("workflow/unknown-step", span, message);
                    let known = self.steps[..at].iter().filter(|step| step.background).map(|step| step.id.as_str());
                    reader.report(match base::name::nearest(&target, known) {
                        Some(nearest) if nearest != target => diagnostic.hint(format!("did you mean `{nearest}`?")),
                        _ => diagnostic,
                    });
                }
            }
        }
    }
}

fn step(reader: &mut Reader<'_>, node: &Node, mapping: &Mapping, rules: &Rules, ids: &mut Ids) -> Option<Step> {
    let kind = Kind::of(reader, mapping);
    let known = match (kind, rules.in_workflow) {
        (Kind::Run, true) => RUN_KEYS,
        (Kind::Uses, true) => USES_KEYS,
        (Kind::Run, false) => ACTION_RUN_KEYS,
        (Kind::Uses, false) => ACTION_USES_KEYS,
    };
    let action = match kind {
        Kind::Run => run_action(reader, node, rules),
        Kind::Uses => uses_action(reader, node, rules),
    };
    let span = mapping.entry(kind.key()).map_or(node.span, |entry| entry.key.span);
    let mut step = Step::new("", span, action.unwrap_or(StepAction::Uses { uses: String::new(), with: None }));
    for Entry { key, value } in &mapping.entries {
        let name = key.text.as_str();
        match name {
            "name" => step.name = reader.string(name, value, &rules.name),
            "id" => step.id = id(reader, value, ids).unwrap_or_default(),
            "if" => step.condition = reader.condition(name, value, &rules.condition).unwrap_or_default(),
            "env" => step.env = reader.strings(name, value, &rules.env),
            "continue-on-error" => step.continue_on_error = reader.boolean(name, value, &rules.continue_on_error),
            "timeout-minutes" if rules.in_workflow => step.timeout_minutes = reader.step_minutes(name, value, &places::STEP_TIMEOUT),
            "background" if rules.in_workflow => step.background = reader.flag(name, value) == Some(true),
            "retry" if rules.in_workflow => {
                step.retry = retry::read(reader, key.span, value, &[RetryOn::Failure, RetryOn::Timeout]);
            }
            // What isn't this kind's own has been reported as a conflict.
            "run" | "uses" => {}
            _ if known.contains(&name) => {}
            _ => reader.unknown_key(key, known),
        }
    }
    Some(step)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Uses,
}

impl Kind {
    /// By the first key that only one of the two has.
    fn of(reader: &mut Reader<'_>, mapping: &Mapping) -> Kind {
        let place = |key: &str| mapping.entries.iter().position(|entry| entry.key.text == key);
        if let (Some(run), Some(uses)) = (place("run"), place("uses")) {
            let second = &mapping.entries[run.max(uses)].key;
            let message = format!("a step can't have `{}` too: it either runs a script with `run` or an action with `uses`", second.text);
            reader.error("workflow/conflict", second.span, message);
            return if run < uses { Kind::Run } else { Kind::Uses };
        }
        let decided = mapping.entries.iter().find_map(|entry| match entry.key.text.as_str() {
            "run" | "shell" | "working-directory" => Some(Kind::Run),
            "uses" | "with" => Some(Kind::Uses),
            _ => None,
        });
        decided.unwrap_or(Kind::Run)
    }

    fn key(self) -> &'static str {
        match self {
            Kind::Run => "run",
            Kind::Uses => "uses",
        }
    }
}

fn run_action(reader: &mut Reader<'_>, node: &Node, rules: &Rules) -> Option<StepAction> {
    let shell = node.get("shell").and_then(|value| {
        let shell = match rules.in_workflow {
            true => reader.non_empty_literal("shell", value).map(Template::String),
            false => reader.non_empty_string("shell", value, &rules.run),
        };
        check_shell(reader, shell.as_ref(), value.span);
        shell
    });
    let working_directory = node.get("working-directory").and_then(|value| reader.string("working-directory", value, &rules.directory));
    let Some(script) = node.get("run") else {
        let what = if node.get("shell").is_some() || node.get("working-directory").is_some() { "`run`" } else { "`run` or `uses`" };
        reader.missing_one(node, what, "a step");
        return None;
    };
    if !rules.in_workflow && node.get("shell").is_none() {
        reader.missing(node, "shell", "a step with `run` in an action");
    }
    let script = reader.string("run", script, &rules.run)?;
    Some(StepAction::Run { script, shell, working_directory })
}

fn uses_action(reader: &mut Reader<'_>, node: &Node, rules: &Rules) -> Option<StepAction> {
    let with = node.get("with").and_then(|value| reader.strings("with", value, &rules.with));
    let Some(value) = node.get("uses") else {
        reader.missing(node, "uses", "a step");
        return None;
    };
    let uses = reader.non_empty_literal("uses", value)?;
    if uses::step_target(&uses).is_none() {
        let message = format!("`{uses}` is no action");
        let with_ref = format!("{uses}@<ref>");
        let hint = match uses::step_target(&with_ref) {
            Some(_) if !uses.contains('@') => format!("name a version: `{with_ref}`"),
            _ => "it is `<owner>/<repository>[/<path>]@<ref>`, `./<path>` in this repository, or `docker://<image>`".to_owned(),
        };
        reader.report(Diagnostic::error("workflow/uses", value.span, message).hint(hint));
    }
    if uses.starts_with("docker://") {
        reader.needs_engine(value.span, "an action in a container");
    }
    Some(StepAction::Uses { uses, with })
}

fn id(reader: &mut Reader<'_>, node: &Node, ids: &mut Ids) -> Option<String> {
    let id = reader.non_empty_literal("id", node)?;
    if let Some(complaint) = identifier::complaint(&id) {
        reader.error("workflow/id", node.span, complaint);
    } else if !ids.take(&id) {
        reader.error("workflow/duplicate-id", node.span, format!("another step before has the id `{id}`"));
    }
    Some(id)
}
