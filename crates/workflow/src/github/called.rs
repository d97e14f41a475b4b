//! A workflow file together with all that it calls, and whether they fit each other.

use std::collections::{BTreeMap, BTreeSet};

use base::yaml::{Node, Value};
use base::{Diagnostic, Severity, Source, Span};

use super::{Options, read_workflow, unsupported};
use crate::job::Remote;
use crate::model::{CallInput, InputKind, Interface, StepAction, Work, Workflow};
use crate::permissions::{self, Granted};
use crate::plan::{CALLED_MAX, CALLS_DEPTH_MAX, JOBS_MAX, called_key};
use crate::runners::Runners;

/// The workflow with everything that it calls, and the files in which all of it stands.
#[derive(Debug)]
pub struct Loaded {
    /// Nothing when there is an error in any of the files.
    pub workflow: Option<Workflow>,
    /// The file itself, then those that it calls, each once.
    pub files: Vec<File>,
}

#[derive(Debug)]
pub struct File {
    pub source: Source,
    /// By which [it is called](called_key); nothing for the file itself.
    pub key: Option<String>,
    /// As far as it is right in itself.
    pub workflow: Option<Workflow>,
    /// Everything that is wrong in it, and with how it calls others.
    pub diagnostics: Vec<Diagnostic>,
    /// What is right in it and can't be run here yet: an error each.
    pub unsupported: Vec<Diagnostic>,
}

/// Gives a called file's text by the name that [`called_key`] gives it, or says in one sentence why it can't.
pub type ReadCalled<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

/// As [`super::parse`], with the files that jobs call.
pub fn load(source: &Source, read: &ReadCalled<'_>) -> Loaded {
    load_with(source, read, &Options::default())
}

pub fn load_with(source: &Source, read: &ReadCalled<'_>, options: &Options) -> Loaded {
    let mut loading = Loading { read, options, files: Vec::new(), known: BTreeMap::new() };
    loading.add(None, source.clone());
    let mut next = 0;
    while next < loading.files.len() {
        loading.follow(next);
        next += 1;
    }
    let ends = loading.check_depth();
    loading.check_calls();
    // These go along the calls, and add up what is in the files.
    if ends && !loading.has_errors() {
        loading.check_count();
        loading.check_size();
        let granted = options.policy.granted();
        loading.check_permissions(0, None, &granted, &mut BTreeSet::new());
    }
    loading.finish()
}

/// What a file calls, how it is called, and how large it is.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub sites: Vec<CallSite>,
    pub callable: Callable,
    pub size: usize,
}

/// What can be said of calling a file, whatever else is wrong in it.
#[derive(Debug, Clone, Default)]
pub(super) enum Callable {
    /// Its triggers are wrong or missing, and that is enough to say.
    #[default]
    Unknown,
    No,
    With(Interface),
}

/// A job that calls a workflow, with the places of what it passes.
#[derive(Debug, Clone)]
pub(super) struct CallSite {
    pub job: Span,
    pub uses: (String, Span),
    pub inputs: Vec<(String, Node)>,
    pub secrets: Secrets,
}

#[derive(Debug, Clone)]
pub(super) enum Secrets {
    Inherited,
    Given(Vec<(String, Span)>),
    /// By an expression that only the run can evaluate.
    Unknown,
}

struct Loading<'a> {
    read: &'a ReadCalled<'a>,
    options: &'a Options,
    files: Vec<Open>,
    /// Names of called files to places in `files`.
    known: BTreeMap<String, usize>,
}

struct Open {
    key: Option<String>,
    source: Source,
    workflow: Option<Workflow>,
    diagnostics: Vec<Diagnostic>,
    calls: Vec<CallSite>,
    callable: Callable,
    size: usize,
}

/// `$/path` is of the file's own repository, whoever calls it.
fn name_own_actions(workflow: &mut Workflow, remote: &Remote) {
    for job in &mut workflow.jobs {
        let Work::Steps { steps, .. } = &mut job.work else { continue };
        for step in steps {
            let StepAction::Uses { uses, .. } = &mut step.action else { continue };
            if let Some(path) = uses.strip_prefix("$/").filter(|path| !path.split('/').any(|segment| segment == "..")) {
                *uses = remote.beside(path).uses();
            }
        }
    }
}

/// What goes along the calls does so only then.
const ALL_READ: &str = "every file was read without an error";

impl Loading<'_> {
    fn add(&mut self, key: Option<String>, source: Source) {
        let (mut workflow, diagnostics, calls) = read_workflow(&source, self.options);
        let elsewhere = key.as_deref().filter(|key| !key.starts_with("./")).and_then(|key| Remote::parse(key).ok());
        if let (Some(workflow), Some(remote)) = (&mut workflow, elsewhere) {
            name_own_actions(workflow, &remote);
        }
        if let Some(key) = &key {
            self.known.insert(key.clone(), self.files.len());
        }
        let Calls { sites, callable, size } = calls;
        self.files.push(Open { key, source, workflow, diagnostics, calls: sites, callable, size });
    }

    /// Reads what the file's jobs call, if nobody has before.
    fn follow(&mut self, file: usize) {
        for call in self.files[file].calls.clone() {
            let (uses, span) = &call.uses;
            let key = called_key(self.files[file].key.as_deref(), uses);
            if self.known.contains_key(&key) {
                continue;
            }
            if self.known.len() >= CALLED_MAX {
                let message = format!("more than {CALLED_MAX} different workflows are called, and this is one too many");
                self.error(file, "workflow/calls", *span, message);
                continue;
            }
            match (self.read)(&key) {
                Ok(text) => self.add(Some(key.clone()), Source::new(key.strip_prefix("./").unwrap_or(&key), text)),
                Err(why) => self.error(file, "workflow/called-file", *span, why),
            }
        }
    }

    fn error(&mut self, file: usize, code: &'static str, span: Span, message: impl Into<String>) {
        self.files[file].diagnostics.push(Diagnostic::error(code, span, message));
    }

    fn has_errors(&self) -> bool {
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        self.files.iter().any(|file| file.workflow.is_none() || file.diagnostics.iter().any(is_error))
    }

    /// Nothing where it couldn't be read, which is said where it is called.
    fn callee(&self, file: usize, call: &CallSite) -> Option<usize> {
        self.known.get(&called_key(self.files[file].key.as_deref(), &call.uses.0)).copied()
    }

    /// No call leads back to where it came from, and none too deep; whether that is so.
    fn check_depth(&mut self) -> bool {
        let mut heights: Vec<Option<usize>> = vec![None; self.files.len()];
        let mut circles = 0;
        let height = self.height(0, &mut Vec::new(), &mut heights, &mut circles);
        let max = self.options.calls_depth_max;
        if circles == 0 && height > max {
            let deepest = self.files[0].calls.iter().max_by_key(|call| self.callee(0, call).and_then(|callee| heights[callee])).cloned();
            let span = deepest.map_or(Span::default(), |call| call.uses.1);
            self.error(0, "workflow/calls", span, format!("this calls workflows {height} levels deep, and at most {max} are followed"));
        }
        circles == 0 && height <= max
    }

    /// Levels of calls below the file.
    fn height(&mut self, file: usize, path: &mut Vec<usize>, heights: &mut Vec<Option<usize>>, circles: &mut usize) -> usize {
        if let Some(height) = heights[file] {
            return height;
        }
        path.push(file);
        let mut height = 0;
        for call in self.files[file].calls.clone() {
            let Some(callee) = self.callee(file, &call) else { continue };
            if path.contains(&callee) {
                *circles += 1;
                let message = format!("calling `{}` from here never ends: it calls this file", call.uses.0);
                self.error(file, "workflow/calls", call.uses.1, message);
                continue;
            }
            height = height.max(1 + self.height(callee, path, heights, circles));
        }
        path.pop();
        heights[file] = Some(height);
        height
    }

    /// Inputs and secrets are those that the called file declares.
    fn check_calls(&mut self) {
        for file in 0..self.files.len() {
            for call in self.files[file].calls.clone() {
                let Some(callee) = self.callee(file, &call) else { continue };
                match self.files[callee].callable.clone() {
                    Callable::Unknown => {}
                    Callable::No => {
                        let message = format!("`{}` isn't made to be called: it has no `workflow_call` below `on`", call.uses.0);
                        self.error(file, "workflow/call", call.uses.1, message);
                    }
                    Callable::With(interface) => {
                        let mut found = check_inputs(&interface, &call);
                        found.extend(check_secrets(&interface, &call));
                        self.files[file].diagnostics.extend(found);
                    }
                }
            }
        }
    }

    fn check_count(&mut self) {
        let mut counts: Vec<Option<usize>> = vec![None; self.files.len()];
        let count = self.count(0, &mut counts);
        let max = self.options.jobs_max;
        if count > max {
            let message = format!("the workflow has {count} jobs with those of the workflows it calls, and at most {max} are run");
            let span = self.files[0].calls.first().map_or(Span::default(), |call| call.job);
            self.error(0, "workflow/calls", span, message);
        }
    }

    /// Everything together, a file as often as it is called. It stops where there is too much, so that it can't take long.
    fn check_size(&mut self) {
        let max = self.options.result_max;
        let name = |file: &Open| STRING_SIZE + 2 * file.source.name.encode_utf16().count();
        let mut size = self.files[0].size + name(&self.files[0]);
        let message = format!("the workflow takes more than {max} bytes with everything that it calls");
        if size > max {
            return self.error(0, "workflow/too-large", Span::default(), message);
        }
        let mut seen = BTreeSet::from([0]);
        let mut open: Vec<(usize, CallSite)> = self.files[0].calls.iter().rev().map(|call| (0, call.clone())).collect();
        while let Some((file, call)) = open.pop() {
            let callee = self.callee(file, &call).expect(ALL_READ);
            size += self.files[callee].size;
            if seen.insert(callee) {
                size += name(&self.files[callee]);
            }
            if size > max {
                return self.error(file, "workflow/too-large", call.uses.1, message);
            }
            open.extend(self.files[callee].calls.iter().rev().map(|call| (callee, call.clone())));
        }
    }

    /// As the official parser counts: a job that calls is one too.
    fn count(&self, file: usize, counts: &mut Vec<Option<usize>>) -> usize {
        if let Some(count) = counts[file] {
            return count;
        }
        let mut count = self.files[file].workflow.as_ref().map_or(0, |workflow| workflow.jobs.len());
        for call in &self.files[file].calls {
            count = count.saturating_add(self.count(self.callee(file, call).expect(ALL_READ), counts));
        }
        counts[file] = Some(count);
        count
    }

    /// What a called file asks for is what its caller has, or less. `caller` is nothing as long as no file has said anything.
    fn check_permissions(&mut self, file: usize, caller: Option<&Granted>, policy: &Granted, done: &mut BTreeSet<(usize, Granted)>) {
        let Some(workflow) = self.files[file].workflow.clone() else { return };
        for call in self.files[file].calls.clone() {
            let Some(job) = workflow.jobs.iter().find(|job| job.span == call.job) else { continue };
            let own = permissions::effective(job.permissions.as_ref(), workflow.permissions.as_ref(), caller);
            let most = own.clone().unwrap_or_else(|| policy.clone());
            let callee = self.callee(file, &call).expect(ALL_READ);
            if !done.insert((callee, most.clone())) {
                continue;
            }
            let called = self.files[callee].workflow.clone().expect(ALL_READ);
            if let Some(whole) = &called.permissions {
                self.check_granted(file, &call, "the workflow", &permissions::beyond(&permissions::asked(whole), &most), &most);
            }
            for nested in &called.jobs {
                let Some(asked) = &nested.permissions else { continue };
                let beyond = permissions::beyond(&permissions::asked(asked), &most);
                self.check_granted(file, &call, &format!("its job `{}`", nested.id), &beyond, &most);
            }
            let said = own.is_some() || called.permissions.is_some();
            let below = permissions::effective(None, called.permissions.as_ref(), own.as_ref());
            self.check_permissions(callee, below.as_ref().filter(|_| said), policy, done);
        }
    }

    fn check_granted(&mut self, file: usize, call: &CallSite, who: &str, beyond: &Granted, most: &Granted) {
        const NAMED: usize = 4;
        if beyond.is_empty() {
            return;
        }
        let shown = |levels: &mut dyn Iterator<Item = (&String, &str)>| {
            let words: Vec<String> = levels.take(NAMED).map(|(scope, level)| format!("`{scope}: {level}`")).collect();
            words.join(", ")
        };
        let asked = shown(&mut beyond.iter().map(|(scope, level)| (scope, level.word())));
        let has = shown(&mut beyond.keys().map(|scope| (scope, permissions::of(most, scope).word())));
        let more = if beyond.len() > NAMED { format!(" and {} more", beyond.len() - NAMED) } else { String::new() };
        let message = format!("calling `{}` isn't allowed: {who} asks for {asked}{more}, and the caller has {has}", call.uses.0);
        let diagnostic = Diagnostic::error("workflow/call-permissions", call.job, message);
        self.files[file].diagnostics.push(diagnostic.hint("give this job those `permissions`, or let what it calls ask for less"));
    }

    fn finish(mut self) -> Loaded {
        let failed = self.has_errors();
        let mut root = self.files[0].workflow.clone().filter(|_| !failed);
        if let Some(root) = &mut root {
            let called = self.files.iter().skip(1).filter_map(|file| Some((file.key.clone()?, file.workflow.clone()?)));
            root.called = called.collect();
        }
        let files = self.files.drain(..).map(|mut file| {
            file.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
            let unsupported = file.workflow.iter().flat_map(unsupported).collect();
            File { source: file.source, key: file.key, workflow: file.workflow, diagnostics: file.diagnostics, unsupported }
        });
        Loaded { files: files.collect(), workflow: root }
    }
}

impl Loaded {
    pub fn has_errors(&self) -> bool {
        self.workflow.is_none()
    }
}

fn check_inputs(interface: &Interface, call: &CallSite) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for input in &interface.inputs {
        let given = call.inputs.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
        match given {
            Some((_, value)) => found.extend(wrong_type(input, value)),
            None if input.required => {
                let message = format!("the input `{}` of `{}` is required, and isn't given", input.name, call.uses.0);
                found.push(Diagnostic::error("workflow/call-input", call.uses.1, message));
            }
            None => {}
        }
    }
    for (name, value) in &call.inputs {
        if !interface.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) && !name.contains("${{") {
            let known = interface.inputs.iter().map(|input| input.name.as_str());
            found.push(unknown("workflow/call-input", "input", name, &call.uses.0, value.span, known));
        }
    }
    found
}

/// Only what stands there literally can be told before the run.
fn wrong_type(input: &CallInput, value: &Node) -> Option<Diagnostic> {
    let expected = match (input.kind, value.value()) {
        (_, Value::String(text)) if text.contains("${{") => return None,
        (InputKind::Boolean, Value::Bool(_)) | (InputKind::Number, Value::Number(_)) | (InputKind::String, _) => return None,
        (InputKind::Boolean, _) => "`true` or `false`",
        (InputKind::Number, _) => "a number",
    };
    let message = format!("the input `{}` is {expected}, and this is {}", input.name, value.kind());
    Some(Diagnostic::error("workflow/call-input", value.span, message))
}

fn check_secrets(interface: &Interface, call: &CallSite) -> Vec<Diagnostic> {
    let Secrets::Given(given) = &call.secrets else { return Vec::new() };
    let mut found = Vec::new();
    for secret in interface.secrets.iter().filter(|secret| secret.required) {
        if !given.iter().any(|(name, _)| name.eq_ignore_ascii_case(&secret.name)) {
            let message = format!("the secret `{}` of `{}` is required, and isn't passed", secret.name, call.uses.0);
            found.push(Diagnostic::error("workflow/call-secret", call.uses.1, message));
        }
    }
    for (name, span) in given {
        if !interface.secrets.iter().any(|secret| secret.name.eq_ignore_ascii_case(name)) {
            let known = interface.secrets.iter().map(|secret| secret.name.as_str());
            found.push(unknown("workflow/call-secret", "secret", name, &call.uses.0, *span, known));
        }
    }
    found
}

fn unknown<'a>(code: &'static str, what: &str, name: &str, uses: &str, span: Span, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    let diagnostic = Diagnostic::error(code, span, format!("`{uses}` has no {what} `{name}`"));
    match base::name::nearest(name, known) {
        Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
        None => diagnostic,
    }
}

const OBJECT_SIZE: usize = 24;
const STRING_SIZE: usize = 26;

/// As the official parser estimates it.
pub(super) fn size(node: &Node) -> usize {
    let text = |text: &str| OBJECT_SIZE + STRING_SIZE + 2 * text.encode_utf16().count();
    match node.value() {
        Value::Null | Value::Bool(_) | Value::Number(_) => OBJECT_SIZE,
        Value::String(value) => text(value),
        Value::Sequence(items) => OBJECT_SIZE + items.iter().map(size).sum::<usize>(),
        Value::Mapping(mapping) => OBJECT_SIZE + mapping.iter().map(|(key, value)| text(&key.text) + size(value)).sum::<usize>(),
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            anchors: true,
            depth_max: super::DEPTH_MAX,
            bytes_max: 1024 * 1024,
            calls_depth_max: CALLS_DEPTH_MAX - 1,
            jobs_max: JOBS_MAX,
            steps_required: true,
            result_max: 10 * 1024 * 1024,
            policy: permissions::Policy::default(),
            runners: Runners::default(),
        }
    }
}
