//! The files of Argo Rollouts and Flagger, read as they are written: what they ask for, and what of it is done here.
//!
//! ```text
//! text ──▶ documents ──▶ every field by its name and type ──▶ what its kind forbids ──▶ a strategy, and what is left out
//! ```
//!
//! Nothing pretends: a field that is read and not acted on is in [`Document::left_out`], with what happens instead.

mod analysis;
mod argo;
mod argument;
mod check;
mod duration;
mod fields;
mod flagger;
mod intent;
mod strategy;

use base::yaml::{self, Node, Options};
use base::{Diagnostic, Source, Span};

use check::Checker;

pub use analysis::Analysis;
pub use intent::Intent;
pub use strategy::of_argo;

pub(crate) const UNKNOWN: &str = "release/unknown-key";
pub(crate) const TYPE: &str = "release/type";
pub(crate) const VALUE: &str = "release/value";
pub(crate) const MISSING: &str = "release/missing-key";

const ARGO: &str = "argoproj.io/v1alpha1";
const FLAGGER: &str = "flagger.app/v1beta1";

/// The kinds that are read, with their `apiVersion`, and whose fields they have.
const KINDS: &[(&str, &str, &str)] = &[
    ("Rollout", ARGO, "Rollout"),
    ("AnalysisTemplate", ARGO, "AnalysisTemplate"),
    ("ClusterAnalysisTemplate", ARGO, "AnalysisTemplate"),
    ("Experiment", ARGO, "Experiment"),
    ("Canary", FLAGGER, "Canary"),
    ("MetricTemplate", FLAGGER, "MetricTemplate"),
    ("AlertProvider", FLAGGER, "AlertProvider"),
];

/// Lists of lists of lists are no list of manifests any more.
const LISTS_MAX: usize = 8;

/// One document of a file, and what was understood of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// As written: `Rollout`, `Service`.
    pub kind: String,
    /// Empty where it has none.
    pub name: String,
    /// Of its `kind`.
    pub span: Span,
    /// Whether it is of Argo Rollouts or Flagger at all.
    pub is_read: bool,
    /// How traffic would move; only of a `Rollout` and a `Canary`.
    pub intent: Option<Intent>,
    pub analyses: Vec<Analysis>,
    /// What else it asks for, in short lines; only of an `Experiment`.
    pub asks: Vec<String>,
    /// In the order of the file.
    pub left_out: Vec<LeftOut>,
}

/// Something that is read and not acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The field: `spec.strategy.canary.steps[2].analysis`.
    pub what: String,
    pub span: Span,
    /// What happens instead.
    pub instead: String,
    /// It names things of a cluster and asks nothing of a rollout.
    pub of_a_cluster: bool,
}

/// All documents, and everything that is wrong in them at once.
pub fn read(source: &Source) -> (Vec<Document>, Vec<Diagnostic>) {
    let options = Options { merge_keys: true, ..Options::default() };
    let (nodes, mut diagnostics) = yaml::documents(source, &options);
    let mut documents = Vec::new();
    for node in &nodes {
        each(node, LISTS_MAX, &mut documents, &mut diagnostics);
    }
    (documents, diagnostics)
}

/// What `kubectl get -o yaml` prints is one `List` of many.
fn each(node: &Node, lists_left: usize, documents: &mut Vec<Document>, diagnostics: &mut Vec<Diagnostic>) {
    let is_list = node.get("kind").and_then(Node::as_str) == Some("List");
    match node.get("items").and_then(Node::as_sequence).filter(|_| is_list && lists_left > 0) {
        Some(items) => items.iter().for_each(|item| each(item, lists_left - 1, documents, diagnostics)),
        // A document of comments.
        None if node.is_null() => {}
        None => documents.extend(document(node, diagnostics)),
    }
}

fn document(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Document> {
    let (kind, version) = (word(node, "kind", diagnostics)?, word(node, "apiVersion", diagnostics)?);
    let mut document = Document {
        kind: text(kind),
        name: at(node, "metadata.name").map(text).unwrap_or_default(),
        span: kind.span,
        is_read: false,
        intent: None,
        analyses: Vec::new(),
        asks: Vec::new(),
        left_out: Vec::new(),
    };
    let Some((_, wanted, fields)) = KINDS.iter().find(|(name, ..)| *name == document.kind) else {
        foreign(&mut document, kind, version, diagnostics);
        return Some(document);
    };
    if version.as_str() != Some(wanted) {
        if !is_ours(version) {
            // `Canary` and `Experiment` are words of others, too.
            foreign(&mut document, kind, version, diagnostics);
            return Some(document);
        }
        let message = format!("a `{}` of `{}` isn't known", document.kind, text(version));
        diagnostics.push(Diagnostic::error(VALUE, version.span, message).hint(format!("`apiVersion: {wanted}`")));
    }
    let mut checker = Checker::default();
    checker.document(node, fields);
    let is_whole = checker.diagnostics.is_empty();
    document.is_read = true;
    match document.kind.as_str() {
        "Rollout" => {
            argo::rules(node, &mut checker.diagnostics);
            document.intent = is_whole.then(|| argo::intent(node, &mut checker));
        }
        "AnalysisTemplate" | "ClusterAnalysisTemplate" => {
            document.analyses = analysis::of_template(node, &mut checker.diagnostics);
        }
        "Experiment" => {
            analysis::of_experiment(node, &mut checker.diagnostics);
            document.asks = analysis::experiment_lines(node);
        }
        "Canary" => {
            flagger::rules(node, &mut checker.diagnostics);
            document.intent = is_whole.then(|| flagger::intent(node, &mut checker));
            document.analyses = flagger::analyses(node);
        }
        _ => {}
    }
    checker.left_out.sort_by_key(|left_out| left_out.span);
    document.left_out = checker.left_out;
    diagnostics.append(&mut checker.diagnostics);
    Some(document)
}

/// A text that every document has.
fn word<'a>(node: &'a Node, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a Node> {
    let found = at(node, key).filter(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    if found.is_none() {
        let (place, message) = match node.as_mapping().map(|mapping| (mapping, mapping.entry(key))) {
            Some((_, Some(entry))) => (entry.value.span, format!("`{key}` must be a text")),
            Some((mapping, None)) => {
                (mapping.entries.first().map_or(node.span, |entry| entry.key.span), format!("`{key}` is missing in this document"))
            }
            None => (node.span, format!("a document with `apiVersion` and `kind` is expected here, this is {}", node.kind())),
        };
        let hint = format!("such as `apiVersion: {ARGO}` with `kind: Rollout`");
        diagnostics.push(Diagnostic::error(MISSING, place, message).hint(hint));
    }
    found
}

fn is_ours(version: &Node) -> bool {
    version.as_str().is_some_and(|version| ["argoproj.io/", "flagger.app/"].iter().any(|group| version.starts_with(group)))
}

/// Not of the kinds that are read: a slip of the pen, or somebody else's.
fn foreign(document: &mut Document, kind: &Node, version: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let near = base::name::nearest(&document.kind, KINDS.iter().map(|(name, ..)| *name));
    if let Some(near) = near.filter(|near| is_ours(version) && *near != document.kind && document.kind != "AnalysisRun") {
        let message = format!("there is no kind `{}`", document.kind);
        diagnostics.push(Diagnostic::error(VALUE, kind.span, message).hint(format!("did you mean `{near}`?")));
        return;
    }
    let instead = match document.kind.as_str() {
        "AnalysisRun" => "a controller writes it while it works; nothing in it is looked at",
        _ => "nothing in it is looked at: what runs is said by `plimsoll.yaml`",
    };
    let what = format!("the {} {}", document.kind, document.name);
    document.left_out.push(LeftOut {
        what: what.trim_end().to_string(),
        span: kind.span,
        instead: instead.to_string(),
        of_a_cluster: true,
    });
}

/// What stands below a path of keys; `null` is nothing.
fn at<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('.').try_fold(node, |node, key| node.get(key)).filter(|node| !node.is_null())
}

/// Where a field is named.
fn key_of(node: &Node, path: &str) -> Option<Span> {
    let (parent, key) = path.rsplit_once('.').map_or((Some(node), path), |(parent, key)| (at(node, parent), key));
    Some(parent?.as_mapping()?.entry(key).filter(|entry| !entry.value.is_null())?.key.span)
}

fn whole(node: &Node, path: &str) -> Option<i64> {
    let number = at(node, path)?.as_number()?;
    (number.fract() == 0.0).then_some(number as i64)
}

fn flag(node: &Node, path: &str) -> Option<bool> {
    at(node, path)?.as_bool()
}

fn list<'a>(node: &'a Node, path: &str) -> &'a [Node] {
    at(node, path).and_then(Node::as_sequence).unwrap_or_default()
}

fn text(node: &Node) -> String {
    node.as_str().unwrap_or_default().to_string()
}
