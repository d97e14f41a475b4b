//! A `Rollout` of Argo Rollouts.

use base::Diagnostic;
use base::yaml::Node;

use super::check::Checker;
use super::intent::Intent;
use super::strategy;
use super::{MISSING, VALUE, at, flag, key_of, whole};

/// What no single field can be wrong about, as the controller's own validation has it.
pub(super) fn rules(node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(spec) = at(node, "spec").filter(|spec| spec.as_mapping().is_some()) else { return };
    let place = key_of(node, "spec").unwrap_or(node.span);
    match (key_of(spec, "template"), key_of(spec, "workloadRef")) {
        (None, None) => diagnostics.push(
            Diagnostic::error(MISSING, place, "nothing says what runs").hint("a `template` of pods, or a `workloadRef` to what has one"),
        ),
        (Some(_), Some(reference)) => diagnostics.push(
            Diagnostic::error(VALUE, reference, "with `workloadRef` there must be no `template`: both say what runs")
                .hint("remove one of them"),
        ),
        (Some(_), None) if key_of(spec, "selector").is_none() => {
            diagnostics.push(Diagnostic::error(MISSING, place, "`selector` is missing: with a `template` it must name the pods' labels"));
        }
        _ => {}
    }
    let deadline = whole(spec, "progressDeadlineSeconds").unwrap_or(600);
    if whole(spec, "minReadySeconds").is_some_and(|ready| ready >= deadline) {
        let at = key_of(spec, "progressDeadlineSeconds").or(key_of(spec, "minReadySeconds")).unwrap_or(place);
        let message = format!("`progressDeadlineSeconds` ({deadline}) must be more than `minReadySeconds`");
        diagnostics.push(Diagnostic::error(VALUE, at, message));
    }
    match at(spec, "strategy") {
        None => diagnostics.push(
            Diagnostic::error(MISSING, key_of(spec, "strategy").unwrap_or(place), "`strategy` is missing")
                .hint("`strategy: {canary: {steps: [{setWeight: 10}, {pause: {duration: 5m}}]}}`, or `blueGreen`"),
        ),
        Some(strategy) => strategy::rules(strategy, whole(spec, "revisionHistoryLimit").unwrap_or(10), diagnostics),
    }
}

pub(super) fn intent(node: &Node, checker: &mut Checker) -> Intent {
    let nothing = node.clone();
    let spec = at(node, "spec").unwrap_or(&nothing);
    let strategy = at(spec, "strategy").unwrap_or(&nothing);
    let mut intent = strategy::intent(strategy, checker);
    intent.replicas = replicas(spec, checker);
    intent.ready_ms = Some(whole(spec, "progressDeadlineSeconds").unwrap_or(600).unsigned_abs() * 1_000);
    if let (Some(span), Some(false)) = (key_of(spec, "progressDeadlineAbort"), flag(spec, "progressDeadlineAbort")) {
        checker.leave_out("spec.progressDeadlineAbort", span, "a version that isn't ready in time is taken back", false);
    }
    intent
}

fn replicas(spec: &Node, checker: &mut Checker) -> Option<u32> {
    let count = whole(spec, "replicas")?;
    let place = key_of(spec, "replicas").unwrap_or_default();
    match u32::try_from(count).ok().filter(|count| (1..=crate::defaults::REPLICAS_MAX).contains(count)) {
        Some(count) => Some(count),
        None => {
            let instead = format!("an environment has 1 to {} instances", crate::defaults::REPLICAS_MAX);
            checker.leave_out("spec.replicas", place, &instead, false);
            None
        }
    }
}
