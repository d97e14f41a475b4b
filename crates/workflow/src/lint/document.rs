//! A file as the audits see it: jobs, steps, conditions, comments, each with its place.

use std::cell::Cell;
use std::collections::BTreeMap;

use base::yaml::{Comment, Entry, Key, Mapping, Node, Value};
use base::{Source, Span};

use super::fenced::{self, Fenced};
use super::located::Located;
use super::uses::Uses;
use super::{Finding, Options};

/// Which of the files that decide what runs this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Workflow,
    /// An `action.yml`.
    Action,
    Dependabot,
    /// A `.pre-commit-config.yaml`.
    PreCommit,
}

/// What a file is, by its path in the repository; nothing when no audit reads such a file.
pub fn kind(path: &str) -> Option<Kind> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml"))?;
    match stem {
        // Whatever its name, the folder says what it is.
        _ if path.strip_suffix(name).is_some_and(|folder| folder.ends_with(".github/workflows/")) => Some(Kind::Workflow),
        "action" => Some(Kind::Action),
        "dependabot" => Some(Kind::Dependabot),
        ".pre-commit-config" => Some(Kind::PreCommit),
        _ => Some(Kind::Workflow),
    }
}

pub(super) struct Document<'a> {
    pub source: &'a Source,
    pub kind: Kind,
    pub root: &'a Node,
    pub options: &'a Options,
    pub comments: Vec<Comment>,
    /// Where each line begins.
    lines: Vec<usize>,
    jobs: Vec<Job<'a>>,
    steps: Vec<Step<'a>>,
    /// For each audit that a comment names, the lines of such comments, and whether nothing else stands there.
    suppressed: BTreeMap<String, Vec<(usize, bool)>>,
    /// What may still be looked up, and changed: a file made to be expensive ends its own analysis.
    lookups: Cell<usize>,
    edits: Cell<usize>,
}

/// Far more values than a file names that somebody wrote.
const LOOKUPS_MAX: usize = 20_000;

/// More fixes than this wait for the next time.
const EDITS_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub key: &'a Key,
    pub node: &'a Node,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub node: &'a Node,
    /// Nothing in an action.
    pub job: Option<Job<'a>>,
}

/// An event that starts a workflow, and what stands below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trigger<'a> {
    pub event: &'a str,
    pub span: Span,
    pub config: Option<&'a Node>,
}

/// What `permissions:` says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Permissions<'a> {
    Default,
    ReadAll(Span),
    WriteAll(Span),
    Scopes(&'a Mapping),
}

impl<'a> Document<'a> {
    pub fn new(source: &'a Source, kind: Kind, root: &'a Node, options: &'a Options) -> Document<'a> {
        let lines: Vec<usize> = std::iter::once(0).chain(source.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let comments = base::yaml::comments(source);
        let jobs = if kind == Kind::Workflow { jobs_of(root) } else { Vec::new() };
        let steps = match kind {
            Kind::Workflow => jobs.iter().flat_map(Job::steps).collect(),
            Kind::Action => steps_of(root.get("runs").and_then(|runs| runs.get("steps")), None),
            Kind::Dependabot | Kind::PreCommit => Vec::new(),
        };
        let mut suppressed: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
        for comment in &comments {
            let line = lines.partition_point(|start| *start <= comment.span.start);
            let alone = source.text[lines[line - 1]..comment.span.start].trim().is_empty();
            for audit in ignored(&comment.text) {
                suppressed.entry(audit.to_owned()).or_default().push((line, alone));
            }
        }
        let (lookups, edits) = (Cell::new(LOOKUPS_MAX), Cell::new(EDITS_MAX));
        Document { source, kind, root, options, comments, lines, jobs, steps, suppressed, lookups, edits }
    }

    /// Whether another value may be looked up.
    pub fn may_look(&self) -> bool {
        take_one(&self.lookups)
    }

    /// Whether another fix may be worked out.
    pub fn may_edit(&self) -> bool {
        take_one(&self.edits)
    }

    pub fn is_workflow(&self) -> bool {
        self.kind == Kind::Workflow
    }

    /// Workflows and actions; nothing else has expressions.
    pub fn has_expressions(&self) -> bool {
        matches!(self.kind, Kind::Workflow | Kind::Action)
    }

    pub fn jobs(&self) -> Vec<Job<'a>> {
        self.jobs.clone()
    }

    pub fn job(&self, id: &str) -> Option<Job<'a>> {
        self.jobs.iter().find(|job| job.key.text == id).copied()
    }

    /// All steps of all jobs but for those that never run, or those of a composite action.
    pub fn steps(&self) -> Vec<Step<'a>> {
        self.steps.clone()
    }

    /// Every group of steps that share a machine.
    pub fn step_groups(&self) -> Vec<Vec<Step<'a>>> {
        match self.kind {
            Kind::Workflow => self.jobs().iter().map(Job::steps).collect(),
            _ => vec![self.steps()],
        }
    }

    pub fn triggers(&self) -> Vec<Trigger<'a>> {
        let Some(on) = self.root.get("on").filter(|_| self.is_workflow()) else { return Vec::new() };
        match on.value() {
            Value::String(event) => vec![Trigger { event, span: on.span, config: None }],
            Value::Sequence(events) => {
                let named = |node: &'a Node| node.as_str().map(|event| Trigger { event, span: node.span, config: None });
                events.iter().filter_map(named).collect()
            }
            Value::Mapping(events) => {
                let trigger = |entry: &'a Entry| Trigger {
                    event: &entry.key.text,
                    span: entry.key.span,
                    config: Some(&entry.value).filter(|value| !value.is_null()),
                };
                events.entries.iter().map(trigger).collect()
            }
            _ => Vec::new(),
        }
    }

    pub fn trigger(&self, event: &str) -> Option<Trigger<'a>> {
        self.triggers().into_iter().find(|trigger| trigger.event == event)
    }

    /// Whether nothing but other workflows starts it.
    pub fn is_only_called(&self) -> bool {
        matches!(self.triggers().as_slice(), [only] if only.event == "workflow_call")
    }

    /// The key `on` itself.
    pub fn on_span(&self) -> Span {
        let entry = self.root.as_mapping().and_then(|root| root.entry("on"));
        entry.map_or(self.head(), |entry| entry.key.span)
    }

    /// The file's first line that says something.
    pub fn head(&self) -> Span {
        let entry = self.root.as_mapping().and_then(|root| root.entries.first());
        entry.map_or(self.root.span, |entry| entry.key.span)
    }

    /// The whole file.
    pub fn whole(&self) -> Span {
        Span::new(0, self.source.text.len())
    }

    /// Each `if:` of a job or a step, with the place of what it decides about.
    pub fn conditions(&self) -> Vec<(&'a Node, Span)> {
        let of = |node: &'a Node| node.get("if").map(|condition| (condition, node.span));
        let jobs = self.jobs().into_iter().filter_map(|job| of(job.node));
        jobs.chain(self.steps().into_iter().filter_map(|step| of(step.node))).collect()
    }

    /// A condition's expression, bare or in braces.
    pub fn condition(&self, node: &Node) -> Option<Fenced> {
        fenced::condition(&self.source.text, &self.located(node)?, node.span)
    }

    pub fn located(&self, node: &Node) -> Option<Located> {
        Located::new(&self.source.text, node)
    }

    /// The expressions in braces within a place, but for those in comments.
    pub fn fenced(&self, within: Span) -> Vec<Fenced> {
        let mut found = fenced::fenced(&self.source.text, within);
        found.retain(|fenced| !self.in_comment(fenced.span.start));
        found
    }

    fn in_comment(&self, at: usize) -> bool {
        let index = self.comments.partition_point(|comment| comment.span.start <= at);
        index > 0 && at < self.comments[index - 1].span.end
    }

    /// Comments on the lines of a place.
    pub fn comments_on(&self, span: Span) -> &[Comment] {
        let (first, last) = self.line_range(span);
        let from = self.lines[first - 1];
        let to = self.lines.get(last).copied().unwrap_or(self.source.text.len());
        let begin = self.comments.partition_point(|comment| comment.span.start < from);
        let end = self.comments.partition_point(|comment| comment.span.start < to.max(from + 1));
        &self.comments[begin..end.max(begin)]
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    fn line_range(&self, span: Span) -> (usize, usize) {
        (self.line(span.start), self.line(span.end.saturating_sub(1).max(span.start)))
    }

    /// Where the line of a place begins, up to its first letter that isn't blank.
    pub fn indentation(&self, at: usize) -> &'a str {
        let start = self.lines[self.line(at) - 1];
        let rest = &self.source.text[start..];
        &rest[..rest.len() - rest.trim_start_matches(' ').len()]
    }

    /// Where the line of a place ends, before its newline.
    pub fn line_end(&self, at: usize) -> usize {
        self.source.text[at..].find('\n').map_or(self.source.text.len(), |end| at + end)
    }

    pub fn is_suppressed(&self, finding: &Finding) -> bool {
        let Some(lines) = self.suppressed.get(finding.audit) else { return false };
        let labels = finding.labels.iter().map(|label| &label.span);
        let within = finding.scopes.iter().chain([&finding.span]).chain(labels).any(|span| {
            let (first, last) = self.line_range(*span);
            let next = lines.partition_point(|(line, _)| *line < first);
            lines.get(next).is_some_and(|(line, _)| *line <= last)
        });
        let above = self.line(finding.span.start) - 1;
        let next = lines.partition_point(|(line, _)| *line < above);
        within || lines.get(next) == Some(&(above, true))
    }
}

fn take_one(left: &Cell<usize>) -> bool {
    let some = left.get() > 0;
    left.set(left.get().saturating_sub(1));
    some
}

fn jobs_of(root: &Node) -> Vec<Job<'_>> {
    let jobs = root.get("jobs").and_then(Node::as_mapping);
    let all = jobs.into_iter().flat_map(Mapping::iter).map(|(key, node)| Job { key, node });
    all.filter(|job| !is_never_run(job.node)).collect()
}

/// The audits of `# zizmor: ignore[a,b]` or `# plimsoll: ignore[a] reason`.
fn ignored(comment: &str) -> impl Iterator<Item = &str> {
    let text = comment.trim_start_matches('#').trim_start();
    let rest = text.strip_prefix("zizmor:").or_else(|| text.strip_prefix("plimsoll:"));
    let list = rest.and_then(|rest| rest.trim_start().strip_prefix("ignore[")).and_then(|rest| rest.split_once(']'));
    list.into_iter().flat_map(|(list, _)| list.split(',')).map(str::trim)
}

impl<'a> Job<'a> {
    pub fn steps(&self) -> Vec<Step<'a>> {
        steps_of(self.node.get("steps"), Some(*self))
    }

    /// For a job that calls a workflow.
    pub fn uses(&self) -> Option<(Uses<'a>, &'a Node)> {
        uses_of(self.node)
    }

    pub fn permissions(&self) -> Permissions<'a> {
        permissions(self.node)
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key)
    }

    pub fn matrix(&self) -> Option<&'a Node> {
        self.get("strategy").and_then(|strategy| strategy.get("matrix"))
    }

    /// The labels of `runs-on`, whichever way they are written.
    pub fn labels(&self) -> Vec<&'a Node> {
        let Some(runs_on) = self.get("runs-on") else { return Vec::new() };
        let labels = runs_on.get("labels").unwrap_or(runs_on);
        labels.as_sequence().map_or_else(|| vec![labels], |labels| labels.iter().collect())
    }
}

fn steps_of<'a>(steps: Option<&'a Node>, job: Option<Job<'a>>) -> Vec<Step<'a>> {
    let steps = steps.and_then(Node::as_sequence).unwrap_or_default();
    steps
        .iter()
        .filter(|node| !is_never_run(node))
        .flat_map(|node| match node.get("parallel") {
            Some(parallel) => steps_of(Some(parallel), job),
            None => vec![Step { node, job }],
        })
        .collect()
}

/// `if: false`: what is kept in the file and does nothing.
fn is_never_run(node: &Node) -> bool {
    let Some(condition) = node.get("if") else { return false };
    let text = condition.as_str().unwrap_or_default();
    // With anything around the braces, a line's end too, it is always true.
    let braced = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).map(str::trim);
    condition.as_bool() == Some(false) || text.trim() == "false" || braced == Some("false")
}

fn uses_of(node: &Node) -> Option<(Uses<'_>, &Node)> {
    let node = node.get("uses")?;
    Some((Uses::parse(node.as_str()?.trim())?, node))
}

pub(super) fn permissions(node: &Node) -> Permissions<'_> {
    let Some(permissions) = node.get("permissions") else { return Permissions::Default };
    match permissions.value() {
        Value::Mapping(scopes) => Permissions::Scopes(scopes),
        Value::String(text) if text == "read-all" => Permissions::ReadAll(permissions.span),
        Value::String(text) if text == "write-all" => Permissions::WriteAll(permissions.span),
        _ => Permissions::Default,
    }
}

impl<'a> Step<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key)
    }

    pub fn uses(&self) -> Option<(Uses<'a>, &'a Node)> {
        uses_of(self.node)
    }

    pub fn action(&self) -> Option<(super::uses::Action<'a>, &'a Node)> {
        match self.uses()? {
            (Uses::Action(action), node) => Some((action, node)),
            _ => None,
        }
    }

    pub fn run(&self) -> Option<&'a Node> {
        self.get("run")
    }

    pub fn with(&self) -> Option<&'a Mapping> {
        self.get("with").and_then(Node::as_mapping)
    }

    pub fn input(&self, name: &str) -> Option<&'a Node> {
        self.with()?.entries.iter().find(|entry| entry.key.text.eq_ignore_ascii_case(name)).map(|entry| &entry.value)
    }

    /// Whether `with:` as a whole is an expression, so that nothing can be said of an input.
    pub fn has_opaque_inputs(&self) -> bool {
        self.get("with").is_some_and(|with| with.as_str().is_some())
    }

    pub fn span(&self) -> Span {
        self.node.span
    }

    /// The shell that reads `run:` and where that is said; nothing where only the run will tell.
    pub fn shell(&self, document: &Document<'a>) -> Option<(String, Span)> {
        let default = |node: &'a Node| node.get("defaults").and_then(|defaults| defaults.get("run")).and_then(|run| run.get("shell"));
        let said = self.get("shell").or_else(|| default(self.job?.node)).or_else(|| default(document.root).filter(|_| self.job.is_some()));
        match said {
            Some(node) => {
                let text = node.as_str()?;
                (!text.contains("${{")).then(|| (shell_name(text).to_owned(), node.span))
            }
            None => self.runner_shell(),
        }
    }

    fn runner_shell(&self) -> Option<(String, Span)> {
        self.job?.labels().into_iter().find_map(|node| {
            let label = node.as_str().filter(|label| !label.contains("${{"))?.to_lowercase();
            let shell = match label.as_str() {
                "linux" | "macos" => "bash",
                "windows" => "pwsh",
                label if label.contains("ubuntu-") || label.contains("macos") => "bash",
                label if label.contains("windows-") => "pwsh",
                _ => return None,
            };
            Some((shell.to_owned(), node.span))
        })
    }

    /// Whether the shell is one of Bourne's; where it isn't known it is taken for one, as on every Linux machine.
    pub fn is_shell_script(&self, document: &Document<'a>) -> bool {
        self.shell(document).is_none_or(|(shell, _)| matches!(shell.as_str(), "bash" | "sh" | "zsh"))
    }

    pub fn is_powershell(&self, document: &Document<'a>) -> bool {
        self.shell(document).is_some_and(|(shell, _)| matches!(shell.as_str(), "pwsh" | "powershell"))
    }
}

/// `/usr/bin/bash -e {0}` is `bash`.
fn shell_name(text: &str) -> &str {
    let program = text.split_whitespace().next().unwrap_or_default();
    program.rsplit(['/', '\\']).next().unwrap_or(program)
}

/// A scalar as an action or a process gets it; nothing for lists and mappings.
pub(super) fn text(node: &Node) -> Option<String> {
    match node.value() {
        Value::String(text) => Some(text.clone()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        Value::Sequence(_) | Value::Mapping(_) => None,
    }
}

/// Whether a text is one expression and nothing else.
pub(super) fn is_expression(text: &str) -> bool {
    text.starts_with("${{") && text.ends_with("}}")
}
