//! Who can choose what a context says.
//!
//! From GitHub's list of untrusted input, its documentation of the events' payloads, and what zizmor and CodeQL take
//! for dangerous; names decide, because a payload has some four thousand places and a few dozen kinds of them.

use super::document::{Document, Step};
use super::fenced::{Context, Fenced, Segment, flowing};
use base::yaml::{Node, Value};

/// How much of a text somebody else can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    /// Nothing: a number, one of a few words, a hash.
    Fixed,
    /// Within narrow rules: an address, a login.
    Structured,
    Arbitrary,
}

/// What is known of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taint {
    pub choice: Choice,
    /// Whether it takes no rights in the repository to choose it.
    pub outsider: bool,
}

/// Events that somebody without any rights in a repository can cause.
const OUTSIDERS: &[&str] = &[
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "watch",
    "workflow_run",
];

/// Whether an outsider's event starts this: the run's own event, or else any that the file names.
pub(super) fn is_reached_by_outsiders(document: &Document<'_>) -> bool {
    match &document.options.event {
        _ if document.options.reached => true,
        Some(event) => OUTSIDERS.contains(&event.as_str()),
        None => document.triggers().iter().any(|trigger| OUTSIDERS.contains(&trigger.event)),
    }
}

/// Of `github` and `runner`; nothing of the others, which depend on the file.
pub(super) fn of_event(context: &Context<'_>) -> Option<Taint> {
    let known = |choice| Some(Taint { choice, outsider: false });
    match context.key(0)?.to_ascii_lowercase().as_str() {
        "runner" => known(Choice::Fixed),
        "github" if context.segments.len() == 1 => Some(Taint { choice: Choice::Arbitrary, outsider: true }),
        "github" => match context.key(1)?.to_ascii_lowercase().as_str() {
            "event" => Some(of_payload(context)),
            "head_ref" => Some(Taint { choice: Choice::Arbitrary, outsider: true }),
            "ref" | "ref_name" | "base_ref" => known(Choice::Arbitrary),
            "actor" => known(Choice::Structured),
            _ => known(Choice::Fixed),
        },
        _ => None,
    }
}

fn of_payload(context: &Context<'_>) -> Taint {
    let keys: Vec<String> = context.segments[2..]
        .iter()
        .filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    // What only people with rights in the repository choose, whoever causes the event.
    let own = matches!(
        keys.as_slice(),
        [
            "repository" | "organization" | "enterprise" | "inputs" | "client_payload" | "installation" | "label" | "milestone" | "release",
            ..
        ] | ["pull_request", "base", ..]
            | ["pull_request" | "issue", "milestone" | "labels" | "assignee" | "assignees", ..]
            | ["ref" | "before" | "after" | "action" | "schedule", ..]
            | ["workflow", ..]
    );
    let opaque = context.segments.contains(&Segment::Computed);
    let choice = match keys.as_slice() {
        [] | ["inputs" | "client_payload", ..] => Choice::Arbitrary,
        _ if opaque => Choice::Arbitrary,
        _ => of_leaf(context.leaf(), &keys),
    };
    Taint { choice, outsider: !own }
}

fn of_leaf(leaf: &str, keys: &[&str]) -> Choice {
    let leaf = leaf.to_ascii_lowercase();
    let leaf = leaf.as_str();
    const HASHES: &[&str] = &[
        "sha",
        "head_sha",
        "base_sha",
        "before",
        "after",
        "commit_id",
        "original_commit_id",
        "merge_commit_sha",
        "tree_id",
        "oid",
        "target_oid",
        "commit_oid",
    ];
    const WORDS: &[&str] = &[
        "action",
        "active_lock_reason",
        "additions",
        "author_association",
        "changed_files",
        "comments",
        "commits",
        "conclusion",
        "created",
        "deleted",
        "deletions",
        "distinct",
        "draft",
        "event_name",
        "forced",
        "id",
        "line",
        "locked",
        "maintainer_can_modify",
        "mergeable",
        "mergeable_state",
        "merged",
        "number",
        "position",
        "prerelease",
        "private",
        "public",
        "rebaseable",
        "ref_type",
        "run_attempt",
        "run_id",
        "run_number",
        "side",
        "site_admin",
        "size",
        "star_count",
        "state",
        "state_reason",
        "status",
        "type",
        "user_view_type",
        "verified",
        "visibility",
        "timestamp",
        "node_id",
        "immutable",
        "fork",
        "forks",
        "watchers",
        "stargazers",
        "archived",
        "disabled",
        "open_issues",
        "closed_issues",
        "review_comments",
        "original_line",
        "original_position",
        "start_line",
        "start_side",
        "subject_type",
        "published_via_actions",
        "is_template",
        "event",
    ];
    let counted = ["_count", "_at"].iter().any(|ending| leaf.ends_with(ending));
    let asked = ["is_", "has_", "allow_"].iter().any(|beginning| leaf.starts_with(beginning));
    let number = leaf.ends_with("_id") && !matches!(leaf, "external_id" | "client_id" | "spdx_id");
    // A push's last commit is an object; nothing of it is a word by itself.
    let whole = keys.len() == 1 && matches!(leaf, "comments" | "commits");
    if whole {
        Choice::Arbitrary
    } else if HASHES.contains(&leaf) || WORDS.contains(&leaf) || counted || asked || number {
        Choice::Fixed
    } else if leaf.ends_with("_url") || matches!(leaf, "url" | "href" | "login" | "full_name") {
        Choice::Structured
    } else {
        Choice::Arbitrary
    }
}

/// Values that name values that name values; more of them than this say nothing.
const DEPTH_MAX: usize = 8;

/// What a value of the file brings with it: the worst of the contexts whose text comes out of its expressions.
pub(super) fn of_value(document: &Document<'_>, node: &Node, step: Option<&Step<'_>>) -> Option<Taint> {
    of_value_within(document, node, step, 0)
}

fn of_value_within(document: &Document<'_>, node: &Node, step: Option<&Step<'_>>, depth: usize) -> Option<Taint> {
    let found = document.fenced(node.written());
    let taints = found.iter().flat_map(|fenced| of_expression(document, fenced, step, depth + 1));
    taints.reduce(worse)
}

fn of_expression(document: &Document<'_>, fenced: &Fenced, step: Option<&Step<'_>>, depth: usize) -> Vec<Taint> {
    flowing(fenced.root()).iter().filter_map(|context| of_context_within(document, context, step, depth)).collect()
}

/// What is known of a context as a step sees it, through `env`, `matrix` and `needs`.
pub(super) fn of_context(document: &Document<'_>, context: &Context<'_>, step: Option<&Step<'_>>) -> Option<Taint> {
    of_context_within(document, context, step, 0)
}

fn of_context_within(document: &Document<'_>, context: &Context<'_>, step: Option<&Step<'_>>, depth: usize) -> Option<Taint> {
    if depth > DEPTH_MAX || !document.may_look() {
        return None;
    }
    if let Some(taint) = of_event(context) {
        return Some(taint);
    }
    match context.key(0)?.to_ascii_lowercase().as_str() {
        "inputs" => {
            let given = document.options.tainted.contains(&context.key(1)?.to_lowercase());
            given.then_some(Taint { choice: Choice::Arbitrary, outsider: true })
        }
        "env" => of_value_within(document, variable(document, step, context.key(1)?)?, step, depth),
        "matrix" => {
            let matrix = step?.job?.matrix()?;
            let values = matrix_values(matrix, context);
            values.into_iter().filter_map(|node| of_value_within(document, node, None, depth)).reduce(worse)
        }
        "needs" if context.starts("needs.*.outputs") => {
            let job = document.job(context.key(1)?)?;
            let output = job.get("outputs")?.get(context.key(3)?)?;
            let step = job.steps().into_iter().last();
            of_value_within(document, output, step.as_ref(), depth)
        }
        "steps" if context.starts("steps.*.outputs") => of_output(document, context, step?, depth),
        _ => None,
    }
}

/// What a step gives out of what was put into it: only where its script writes the file for outputs.
fn of_output(document: &Document<'_>, context: &Context<'_>, step: &Step<'_>, depth: usize) -> Option<Taint> {
    let from = step.job?.steps().into_iter().find(|step| step.get("id").and_then(Node::as_str) == context.key(1))?;
    let run = from.run()?;
    if !run.as_str()?.contains("GITHUB_OUTPUT") {
        return None;
    }
    let put_in = [Some(run), from.get("env")].into_iter().flatten();
    put_in.filter_map(|node| of_value_within(document, node, Some(&from), depth)).reduce(worse)
}

fn worse(left: Taint, right: Taint) -> Taint {
    Taint {
        choice: left.choice.max(right.choice),
        outsider: (left.outsider && left.choice >= right.choice) || (right.outsider && right.choice >= left.choice),
    }
}

/// The nearest that sets a variable: the step, its job, the workflow.
pub(super) fn variable<'a>(document: &Document<'a>, step: Option<&Step<'a>>, name: &str) -> Option<&'a Node> {
    let job = step.and_then(|step| step.job).map(|job| job.node);
    let places = [step.map(|step| step.node), job, Some(document.root)];
    places.into_iter().flatten().find_map(|place| place.get("env")?.get(name))
}

/// What a name of the matrix can stand for, from its vectors and from `include`; nothing for what an expression makes.
pub(super) fn matrix_values<'a>(matrix: &'a Node, context: &Context<'_>) -> Vec<&'a Node> {
    let Some(mapping) = matrix.as_mapping() else { return Vec::new() };
    let names: Vec<&str> = (1..context.segments.len()).filter_map(|at| context.key(at)).collect();
    let Some((first, below)) = names.split_first() else { return Vec::new() };
    let rows = mapping.get("include").and_then(Node::as_sequence).unwrap_or_default();
    let own =
        mapping.get(first).into_iter().flat_map(|vector| vector.as_sequence().map_or_else(|| vec![vector], |items| items.iter().collect()));
    let all = own.chain(rows.iter().filter_map(|row| row.get(first)));
    all.flat_map(|node| descend(node, below)).collect()
}

fn descend<'a>(node: &'a Node, names: &[&str]) -> Vec<&'a Node> {
    match (node.value(), names.split_first()) {
        (Value::Sequence(items), _) => items.iter().flat_map(|item| descend(item, names)).collect(),
        (Value::Mapping(_), Some((name, below))) => node.get(name).into_iter().flat_map(|node| descend(node, below)).collect(),
        _ => vec![node],
    }
}
