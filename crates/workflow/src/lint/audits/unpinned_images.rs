//! Container images that can change under their name.
//!
//! A tag is whatever was pushed to it last; `latest`, or none, is meant to change. zizmor: unpinned-images.
//!
//! Bad: `container: node`. Good: `container: node:22@sha256:…`.

use super::*;
use crate::expr::{self, NodeKind, Value};
use crate::lint::document::{Job, is_expression};

pub(super) const AUDIT: Audit = Audit { id: "unpinned-images", summary: "container images that can change", run };

fn run(document: &Document, report: &mut Report) {
    for job in document.jobs() {
        let container = job.get("container").map(|container| container.get("image").unwrap_or(container));
        let services = job.get("services").and_then(Node::as_mapping);
        let services = services.into_iter().flat_map(base::yaml::Mapping::iter).filter_map(|(_, service)| service.get("image"));
        for node in container.into_iter().chain(services) {
            image_node(document, &job, node, report);
        }
        for step in job.steps() {
            if let Some((Uses::Image(image), node)) = step.uses() {
                let found = of_image(&image, node.span);
                found.into_iter().for_each(|finding| report.add(finding.scope(step.span())));
            }
        }
    }
    let image = document.root.get("runs").and_then(|runs| runs.get("image")).filter(|_| document.kind == crate::lint::Kind::Action);
    if let Some(node) = image
        && let Some(Uses::Image(image)) = node.as_str().and_then(Uses::parse)
    {
        of_image(&image, node.span).into_iter().for_each(|finding| report.add(finding));
    }
}

fn image_node(document: &Document, job: &Job, node: &Node, report: &mut Report) {
    let Some(text) = node.as_str().map(str::trim) else { return };
    if !is_expression(text) {
        let image = text.strip_prefix("docker://").unwrap_or(text);
        let found = Some(image).filter(|image| !image.is_empty()).and_then(|image| of_image(&Image::parse(image), node.span));
        found.into_iter().for_each(|finding| report.add(finding.scope(node.span)));
        return;
    }
    for found in document.fenced(node.span) {
        for leaf in leaves(found.root()) {
            of_leaf(document, job, &found, leaf).into_iter().for_each(|finding| report.add(finding.scope(node.span)));
        }
    }
}

fn of_image(image: &Image, span: base::Span) -> Option<Finding> {
    let (message, persona) = match (image.tag, image.digest) {
        (_, Some(_)) => return None,
        (Some("latest"), None) => (format!("`{}:latest` is another image whenever somebody pushes one", image.name), Persona::Regular),
        (Some(tag), None) => (format!("`{}:{tag}` can become another image: a tag can be moved", image.name), Persona::Pedantic),
        (None, None) => (format!("`{}` without a tag is another image whenever somebody pushes one", image.name), Persona::Regular),
    };
    let hint = "pin what was tested: `name:tag@sha256:…`";
    Some(Finding::new(&AUDIT, Severity::High, Confidence::High, span, message).persona(persona).hint(hint))
}

/// What the expression can yield.
fn leaves(node: &expr::Node) -> Vec<&expr::Node> {
    match &node.kind {
        NodeKind::And(operands) => operands.last().map(leaves).unwrap_or_default(),
        NodeKind::Or(operands) => operands.iter().flat_map(leaves).collect(),
        _ => vec![node],
    }
}

fn of_leaf(document: &Document, job: &Job, found: &fenced::Fenced, leaf: &expr::Node) -> Vec<Finding> {
    let place = found.place(leaf.span);
    let unclear = |label: Option<&Node>| {
        let finding =
            Finding::new(&AUDIT, Severity::High, Confidence::Low, place, "which image this is can't be told, nor whether it can change");
        label.into_iter().fold(finding, |finding, node| finding.label(node.span, "it comes from here"))
    };
    match (&leaf.kind, Context::of(leaf)) {
        (NodeKind::Literal(Value::String(text)), _) if text.is_empty() => Vec::new(),
        (NodeKind::Literal(Value::String(text)), _) => of_image(&Image::parse(text), place).into_iter().collect(),
        (_, Some(context)) if context.below("matrix") => {
            let values = job.matrix().map(|matrix| taint::matrix_values(matrix, &context)).unwrap_or_default();
            let findings = values.into_iter().filter_map(|node| match node.as_str() {
                Some(text) if !document.fenced(node.span).is_empty() => (!text.is_empty()).then(|| unclear(Some(node))),
                Some("") | None => None,
                Some(text) => of_image(&Image::parse(text), place).map(|finding| finding.label(node.span, "for this value")),
            });
            findings.collect()
        }
        _ => vec![unclear(None)],
    }
}
