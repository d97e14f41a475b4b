//! Fields of the input that no document has. To ask for one is "undefined", and a `deny` that asks for it never denies.
//!
//! `docs/schema/gate-input.json` says which there are. Only what is certain is said: a path that is written out, from `input` itself or
//! from a name that stands for one thing of it in the whole rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use base::{Diagnostic, Source};
use regorus::unstable::{AssignOp, Expr, Module, Ref, Rule, RuleHead, Span};
use serde_json::Value as Json;

use super::load::{PolicyDiagnostic, span_of};
use super::walk::{self, Part};

static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/gate-input.json"))).expect("a test reads it")
});

/// Of all files; each field once for each place.
pub(super) fn check(modules: &[Ref<Module>], loaded: &[(Source, bool)]) -> Vec<PolicyDiagnostic> {
    let mut all = Vec::new();
    for (module, (source, _)) in modules.iter().zip(loaded) {
        let mut said = BTreeSet::new();
        for rule in &module.policy {
            let names = names_of(rule);
            walk::rule(rule, &mut |part| {
                if let Part::Expr(expr) = part
                    && let Found::Nothing(field, among) = find(expr, &names)
                    && said.insert((field.line, field.col))
                {
                    all.push(PolicyDiagnostic { source: source.clone(), diagnostic: unseen(field, expr, among) });
                }
            });
        }
    }
    all
}

fn unseen(field: &Span, expr: &Expr, among: &Json) -> Diagnostic {
    let message = format!("no input has `{}`, so it is undefined, and a rule that needs it says nothing", expr.span().text());
    let diagnostic = Diagnostic::warning("policy/unseen", span_of(field), message);
    let known = among["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    match base::name::nearest(field.text(), known.clone()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint(format!("there are {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
    }
}

/// What a path leads to.
enum Found<'a> {
    /// Described by this part of the schema.
    Part(&'static Json),
    /// To nothing: its field is none of those of this part.
    Nothing(&'a Span, &'static Json),
    /// Nobody can say.
    Unknown,
}

/// What names stand for; nothing where it is several things, or something else.
type Names<'a> = BTreeMap<&'a str, Option<&'static Json>>;

fn names_of(rule: &Rule) -> Names<'_> {
    let mut names = Names::from([("input", Some(&*SCHEMA))]);
    if let Rule::Spec { head: RuleHead::Func { args, .. }, .. } = rule {
        names.extend(args.iter().map(|arg| (arg.span().text(), None)));
    }
    walk::rule(rule, &mut |part| {
        let (name, stands_for) = match part {
            Part::Each { name, collection } => (name, part_of(find(collection, &names)).and_then(element)),
            Part::Expr(Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. }) => match lhs.as_ref() {
                Expr::Var { span, .. } => (span.text(), part_of(find(rhs, &names))),
                _ => return,
            },
            Part::Expr(_) | Part::Replacement(_) => return,
        };
        names.entry(name).and_modify(|known| *known = known.filter(|known| Some(*known) == stands_for)).or_insert(stands_for);
    });
    names
}

fn part_of(found: Found<'_>) -> Option<&'static Json> {
    match found {
        Found::Part(part) => Some(part),
        Found::Nothing(..) | Found::Unknown => None,
    }
}

fn find<'a>(expr: &'a Expr, names: &Names<'_>) -> Found<'a> {
    match expr {
        Expr::Var { span, .. } => names.get(span.text()).copied().flatten().map_or(Found::Unknown, Found::Part),
        Expr::RefDot { refr, field, .. } => field_of(find(refr, names), &field.0, field.0.text()),
        Expr::RefBrack { refr, index, .. } => match (find(refr, names), index.as_ref()) {
            (found, Expr::String { span, .. }) => field_of(found, span, span.text().trim_matches('"')),
            (Found::Part(part), _) => element(part).map_or(Found::Unknown, Found::Part),
            _ => Found::Unknown,
        },
        _ => Found::Unknown,
    }
}

/// Only of what is said to have these fields and no others.
fn field_of<'a>(found: Found<'a>, span: &'a Span, name: &str) -> Found<'a> {
    let Found::Part(part) = found else { return Found::Unknown };
    match (part["properties"].get(name), &part["additionalProperties"]) {
        (Some(field), _) => Found::Part(resolved(field)),
        (None, Json::Bool(false)) => Found::Nothing(span, part),
        (None, _) => Found::Unknown,
    }
}

fn element(part: &'static Json) -> Option<&'static Json> {
    part.get("items").map(resolved)
}

/// A part may be described elsewhere, and be absent.
fn resolved(part: &'static Json) -> &'static Json {
    let named = part.get("$ref").or_else(|| part["oneOf"].as_array()?.iter().find_map(|one| one.get("$ref")));
    let pointer = named.and_then(Json::as_str).and_then(|name| name.strip_prefix('#'));
    pointer.and_then(|pointer| SCHEMA.pointer(pointer)).unwrap_or(part)
}
