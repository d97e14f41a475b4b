//! Values that stand twice in one list of a matrix.
//!
//! Each makes a job of its own, so the same work is done again. actionlint: matrix.
//!
//! Bad: `node: [20, 22, 20]`. Good: `node: [20, 22]`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "duplicate-matrix-values", summary: "values that stand twice in a matrix", run };

/// Whatever their places.
fn is_same(left: &Node, right: &Node) -> bool {
    use base::yaml::Value::{Mapping, Sequence};
    match (left.value(), right.value()) {
        (Sequence(left), Sequence(right)) => left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right)),
        (Mapping(left), Mapping(right)) => {
            left.len() == right.len() && left.iter().all(|(key, left)| right.get(&key.text).is_some_and(|right| is_same(left, right)))
        }
        (left, right) => left == right,
    }
}

fn run(document: &Document, report: &mut Report) {
    for job in document.jobs() {
        let vectors = job.matrix().and_then(Node::as_mapping);
        for (key, vector) in vectors.into_iter().flat_map(base::yaml::Mapping::iter) {
            // A matrix has at most 256 jobs; more values than that are refused elsewhere.
            let items = vector.as_sequence().filter(|items| items.len() <= 256).unwrap_or_default();
            for (at, item) in items.iter().enumerate() {
                let Some(first) = items[..at].iter().find(|first| is_same(first, item)) else { continue };
                let message = format!("this value stands twice in `{}`, so its jobs run twice", key.text);
                report.add(
                    Finding::new(&AUDIT, Severity::Low, Confidence::High, item.span, message)
                        .label(first.span, "it stands here too")
                        .scope(vector.span),
                );
            }
        }
    }
}
