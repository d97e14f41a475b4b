//! Conditions that trust whoever touched a pull request last to be a bot.
//!
//! `github.actor` is the one who caused the event, not the author of the change: somebody makes a bot push to their
//! own branch, and the condition lets their commits through. zizmor: bot-conditions.
//!
//! Bad: `if: github.actor == 'dependabot[bot]'`. Good: `if: github.event.pull_request.user.login == 'dependabot[bot]'`.

use super::*;
use crate::expr::{self, NodeKind, Value};

pub(super) const AUDIT: Audit = Audit { id: "bot-conditions", summary: "conditions on an actor that can be forged", run };

const NAMES: &[&str] = &["github.actor", "github.triggering_actor", "github.event.pull_request.sender.login"];
const IDS: &[&str] = &["github.actor_id", "github.event.pull_request.sender.id"];

/// Dependabot's application and account, its preview's, and Renovate's.
const BOTS: &[&str] = &["29110", "49699333", "27856297", "29139614"];

fn run(document: &Document, report: &mut Report) {
    if !document.is_workflow() {
        return;
    }
    for (node, scope) in document.conditions() {
        let Some(condition) = document.condition(node) else { continue };
        let (Some((context, equality)), decides) = look(condition.root(), true) else { continue };
        let confidence = if decides { Confidence::High } else { Confidence::Medium };
        let message = format!("`{}` is whoever caused the event, which somebody can make a bot do for their own change", context.text());
        let place = condition.place(context.span);
        let fix = author(document, &context)
            .map(|author| Fix { title: format!("compare `{author}`"), edits: vec![Edit { span: place, text: author.to_owned() }] });
        let literal = document.source.text.get(place.start..place.end).is_some_and(|written| written.replace(' ', "") == context.text());
        report.add(
            Finding::new(&AUDIT, Severity::High, confidence, condition.place(equality), message)
                .hint("compare the author of what the event is about, for instance `github.event.pull_request.user.login`")
                .scope(scope)
                .fix(fix.filter(|_| literal)),
        );
    }
}

/// The first such comparison, and whether it alone can make the whole true.
fn look(node: &expr::Node, decides: bool) -> (Option<(Context<'_>, base::Span)>, bool) {
    match &node.kind {
        NodeKind::Or(operands) => (any(operands.iter()), true),
        NodeKind::Compare(operator, pair) if fenced::is_equality(*operator) => {
            match spoofable(&pair.0, &pair.1).or_else(|| spoofable(&pair.1, &pair.0)) {
                Some(context) => (Some((context, node.span)), true),
                None => (any(node.children().into_iter()), true),
            }
        }
        NodeKind::Literal(_) | NodeKind::Named(_) | NodeKind::Wildcard => (None, decides),
        _ => (any(node.children().into_iter()), false),
    }
}

fn any<'a>(mut nodes: impl Iterator<Item = &'a expr::Node>) -> Option<(Context<'a>, base::Span)> {
    nodes.find_map(|node| look(node, false).0)
}

fn spoofable<'a>(left: &'a expr::Node, right: &'a expr::Node) -> Option<Context<'a>> {
    let NodeKind::Literal(literal) = &right.kind else { return None };
    let context = Context::of(left)?;
    let text = match literal {
        Value::String(_) | Value::Number(_) => literal.text(),
        _ => return None,
    };
    let by_name = NAMES.iter().any(|name| context.is(name)) && text.ends_with("[bot]");
    let by_id = IDS.iter().any(|id| context.is(id)) && BOTS.contains(&text.as_str());
    (by_name || by_id).then_some(context)
}

/// Who wrote what the event is about, where there is only one event.
fn author(document: &Document, context: &Context) -> Option<&'static str> {
    let triggers = document.triggers();
    let [only] = triggers.as_slice() else { return None };
    let (name, id) = match only.event {
        "issue_comment" | "discussion_comment" | "pull_request_review_comment" => {
            ("github.event.comment.user.login", "github.event.comment.user.id")
        }
        "pull_request_review" => ("github.event.review.user.login", "github.event.review.user.id"),
        "issues" => ("github.event.issue.user.login", "github.event.issue.user.id"),
        "discussion" => ("github.event.discussion.user.login", "github.event.discussion.user.id"),
        "pull_request" | "pull_request_target" => ("github.event.pull_request.user.login", "github.event.pull_request.user.id"),
        _ => return None,
    };
    Some(if NAMES.iter().any(|spoofable| context.is(spoofable)) { name } else { id })
}
