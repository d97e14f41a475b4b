//! A `Canary` of Flagger.

use base::Diagnostic;
use base::yaml::Node;

use super::analysis::Analysis;
use super::check::Checker;
use super::intent::Intent;
use super::{MISSING, VALUE, at, duration, flag, key_of, list, text, whole};
use crate::flagger::{self, Way};
use crate::plan::{Step, Strategy};

/// With the provider `kubernetes` no traffic is split, and an analysis without iterations gets so many.
const ITERATIONS: u32 = 10;
/// The checks Flagger makes itself, and in what they are measured.
const BUILTIN: &[(&str, &str)] = &[("request-success-rate", "%"), ("request-duration", "ms")];

pub(super) fn rules(node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(spec) = at(node, "spec") else {
        diagnostics.push(Diagnostic::error(MISSING, key_of(node, "spec").unwrap_or(node.span), "`spec` is missing"));
        return;
    };
    let Some(analysis) = at(spec, "analysis").filter(|analysis| analysis.as_mapping().is_some()) else { return };
    let place = key_of(spec, "analysis").unwrap_or(node.span);
    for key in ["interval", "threshold"] {
        if key_of(analysis, key).is_none() {
            diagnostics.push(Diagnostic::error(MISSING, place, format!("`analysis.{key}` is missing")));
        }
    }
    let ways: Vec<&str> =
        ["iterations", "stepWeight", "stepWeights"].iter().copied().filter(|key| key_of(analysis, key).is_some()).collect();
    match ways.as_slice() {
        [_] => {}
        [] => diagnostics.push(
            Diagnostic::error(MISSING, place, "nothing says how traffic moves")
                .hint("`stepWeight` with `maxWeight`, `stepWeights`, or `iterations` without traffic"),
        ),
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` exclude each other");
            diagnostics.push(Diagnostic::error(VALUE, key_of(analysis, second).unwrap_or(place), message).hint("remove one of them"));
        }
    }
    let weights = list(analysis, "stepWeights");
    for (before, weight) in weights.iter().zip(weights.iter().skip(1)) {
        if before.as_number() >= weight.as_number() && before.as_number().is_some() {
            diagnostics.push(Diagnostic::error(
                VALUE,
                weight.span,
                "the weights rise from step to step, this one doesn't: Flagger would stop here for ever",
            ));
        }
    }
    for (key, way) in [("stepWeight", at(analysis, "stepWeight")), ("stepWeights", weights.first())] {
        if let Some(weight) = way.filter(|weight| weight.as_number() == Some(0.0)) {
            let message = format!("with a `{key}` of 0 no traffic would ever move");
            diagnostics.push(Diagnostic::error(VALUE, weight.span, message));
        }
    }
    for metric in list(analysis, "metrics") {
        metric_rules(metric, diagnostics);
    }
    for check in list(analysis, "webhooks") {
        let Some(url) = at(check, "url").filter(|url| url.as_str().is_some()) else { continue };
        if !["http://", "https://"].iter().any(|scheme| text(url).starts_with(scheme)) {
            diagnostics.push(Diagnostic::error(VALUE, url.span, format!("`{}` is no address of the web", text(url))));
        }
    }
}

fn metric_rules(metric: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(name) = at(metric, "name") else { return };
    let is_builtin = BUILTIN.iter().any(|(builtin, _)| *builtin == text(name));
    if !is_builtin && at(metric, "templateRef").is_none() && at(metric, "query").is_none() {
        let diagnostic = Diagnostic::error(VALUE, name.span, format!("nothing says how `{}` is measured", text(name)));
        let near = base::name::nearest(&text(name), BUILTIN.iter().map(|(builtin, _)| *builtin));
        diagnostics.push(diagnostic.hint(match near {
            Some(near) => format!("did you mean `{near}`, which Flagger measures itself?"),
            None => "a `templateRef` or a `query`".to_string(),
        }));
    }
    let (min, max) = (at(metric, "thresholdRange.min"), at(metric, "thresholdRange.max"));
    if let (Some(min), Some(max)) = (min.and_then(Node::as_number), max.and_then(Node::as_number))
        && min > max
    {
        let place = key_of(metric, "thresholdRange").unwrap_or(name.span);
        diagnostics.push(Diagnostic::error(VALUE, place, format!("no value is at least {min} and at most {max}")));
    }
}

/// Flagger's own reading of a plan that has no mistake in it.
pub(super) fn plan(node: &Node) -> Option<flagger::Plan> {
    let spec = at(node, "spec")?;
    let analysis = at(spec, "analysis")?;
    let number = |key: &str| whole(analysis, key).and_then(|number| u32::try_from(number).ok());
    let splits_no_traffic = at(spec, "provider").and_then(Node::as_str) == Some("kubernetes");
    let iterations = number("iterations").filter(|count| *count > 0);
    let way = match (iterations, splits_no_traffic) {
        (None, true) => Way::BlueGreen { iterations: ITERATIONS },
        (Some(iterations), false) if !list(analysis, "match").is_empty() => Way::ByHeader { iterations },
        (Some(iterations), _) => Way::BlueGreen { iterations },
        (None, false) => Way::Weights {
            step_weight: number("stepWeight").unwrap_or(0),
            step_weights: list(analysis, "stepWeights").iter().filter_map(Node::as_number).map(|weight| weight as u32).collect(),
            max_weight: number("maxWeight").unwrap_or(0),
        },
    };
    Some(flagger::Plan {
        way,
        interval_ms: flagger::interval_ms(at(analysis, "interval").and_then(Node::as_str).and_then(duration::parse_ms)),
        threshold: number("threshold").unwrap_or(0),
        mirror: flag(analysis, "mirror").unwrap_or(false) && !splits_no_traffic,
        step_weight_promotion: number("stepWeightPromotion").unwrap_or(0),
        skip_analysis: flag(spec, "skipAnalysis").unwrap_or(false),
        splits_traffic: !splits_no_traffic,
    })
}

pub(super) fn intent(node: &Node, checker: &mut Checker) -> Intent {
    let Some(plan) = plan(node) else { return Intent::of(Strategy::default_canary()) };
    let mut intent = match &plan.way {
        _ if plan.skip_analysis => Intent::of(Strategy::Immediate),
        Way::Weights { .. } => {
            let steps = plan.weights().into_iter().map(|weight| Step::SetWeight(weight * 100)).collect();
            Intent { step_min_ms: Some(plan.interval_ms), ..Intent::of(Strategy::Canary { steps }) }
        }
        Way::BlueGreen { iterations } | Way::ByHeader { iterations } => {
            let after = plan.interval_ms.saturating_mul(u64::from(*iterations));
            Intent::of(Strategy::BlueGreen { auto_promotion_ms: Some(after) })
        }
    };
    intent.ready_ms = Some(whole(node, "spec.progressDeadlineSeconds").unwrap_or(600).unsigned_abs() * 1_000);
    let written = at(node, "spec.analysis.interval").and_then(Node::as_str).and_then(duration::parse_ms);
    if written.is_some_and(|ms| ms < plan.interval_ms) {
        let place = key_of(node, "spec.analysis.interval").unwrap_or_default();
        checker.leave_out("spec.analysis.interval", place, "10 seconds, the least that Flagger takes", false);
    }
    intent
}

/// What Flagger would measure.
pub(super) fn analyses(node: &Node) -> Vec<Analysis> {
    list(node, "spec.analysis.metrics").iter().map(analysis).collect()
}

fn analysis(metric: &Node) -> Analysis {
    let name = at(metric, "name").map(text).unwrap_or_default();
    let unit = BUILTIN.iter().find(|(builtin, _)| *builtin == name).map_or("", |(_, unit)| unit);
    let number = |path: &str| at(metric, path).and_then(Node::as_number);
    let template = at(metric, "templateRef.name").map(text);
    let provider = match (&template, at(metric, "query")) {
        (Some(template), _) => format!("the MetricTemplate {template}"),
        (None, Some(_)) => "a query of Prometheus".to_string(),
        (None, None) => "the requests of the mesh".to_string(),
    };
    let interval = at(metric, "interval").map_or("1m".to_string(), text);
    // Nothing said is 0, which only a rate of success is never below.
    let threshold = Some(number("threshold").unwrap_or(0.0)).filter(|_| at(metric, "thresholdRange").is_none());
    let (min, max) = match threshold {
        Some(threshold) if name == BUILTIN[0].0 => (Some(threshold), None),
        Some(threshold) => (None, Some(threshold)),
        None => (number("thresholdRange.min"), number("thresholdRange.max")),
    };
    let bound = |word: &str, value: Option<f64>| value.map(|value| format!("{word} {value}{unit}"));
    let bounds: Vec<String> = [bound("at least", min), bound("at most", max)].into_iter().flatten().collect();
    let good =
        if bounds.is_empty() { "good whenever there is an answer".to_string() } else { format!("good when {}", bounds.join(" and ")) };
    let lines = vec![format!("{provider}, over the last {interval}"), good];
    Analysis { name, span: key_of(metric, "name").unwrap_or(metric.span), provider, metric: None, lines }
}
