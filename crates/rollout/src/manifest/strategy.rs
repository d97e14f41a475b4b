//! The `strategy` of Argo Rollouts: `canary` or `blueGreen`.

use base::yaml::Node;
use base::{Diagnostic, Span};

use super::check::Checker;
use super::fields::{Mark, Table};
use super::intent::Intent;
use super::{LeftOut, MISSING, VALUE, at, duration, flag, key_of, list, text, whole};
use crate::plan::{Step, Strategy};
use crate::rolling::Amount;

const PATH: &str = "spec.strategy";
const STEPS: &[&str] = &["setWeight", "pause", "setCanaryScale", "analysis", "experiment", "setHeaderRoute", "setMirrorRoute", "plugin"];
/// Of these a step has one at most; the others may stand beside it, as the controller lets them.
const ALONE: &[&str] = &["setWeight", "pause", "analysis", "experiment"];
/// The routers that only know services.
const BY_SERVICE: &[&str] = &["smi", "apisix", "ambassador", "nginx", "appMesh", "traefik"];
/// The parts of all traffic, where nobody says another number.
const WEIGHT_MAX: i64 = 100;
/// So many seconds the old version is kept where nobody says it, if traffic is routed.
const SCALE_DOWN_DELAY: i64 = 30;
/// Ten times as many instances beside the old ones are more than anybody means.
const SURGE_PERCENT_MAX: u32 = 1_000;

/// What a `Rollout` is acted on for and no other file is.
const ELSEWHERE: &[(&str, &str)] = &[
    ("maxSurge", "both versions have all their instances while a canary has steps; `rollingUpdate` has `maxSurge`"),
    ("maxUnavailable", "both versions have all their instances while a canary has steps; `rollingUpdate` has `maxUnavailable`"),
    ("minPodsPerReplicaSet", "both versions have all their instances"),
    ("trafficRouting", "traffic moves by Plimsoll's own proxy"),
];

/// What the tables say of a key of Argo's `strategy` that another file has at `path`; nothing where Argo has none of this name.
pub fn of_argo(path: &[&str], key: &str, span: Span) -> Option<LeftOut> {
    let table = Table::get();
    let root = table.kind("Rollout");
    let inside = ["spec", "strategy"].iter().chain(path);
    let field = inside.chain([&key]).try_fold(root, |field, name| table.fields_of(field).iter().find(|field| field.name == *name))?;
    let (instead, of_a_cluster) = match &field.mark {
        Mark::ActedOn => (ELSEWHERE.iter().find(|(name, _)| *name == key).map(|(_, instead)| (*instead).to_string())?, false),
        Mark::NotSupported(instead) | Mark::EachNotSupported(instead) => (instead.clone(), false),
        Mark::OfACluster(instead) => (instead.clone(), true),
    };
    Some(LeftOut { what: key.to_string(), span, instead, of_a_cluster })
}

pub(super) fn rules(strategy: &Node, history: i64, diagnostics: &mut Vec<Diagnostic>) {
    let (canary, blue_green) = (at(strategy, "canary"), at(strategy, "blueGreen"));
    if let Some(canary) = canary {
        canary_rules(canary, diagnostics);
    }
    if let Some(blue_green) = blue_green {
        blue_green_rules(blue_green, history, diagnostics);
    }
    match (canary, blue_green) {
        (Some(_), None) | (None, Some(_)) => {}
        (Some(_), Some(_)) => {
            let place = key_of(strategy, "blueGreen").unwrap_or(strategy.span);
            diagnostics.push(Diagnostic::error(VALUE, place, "a strategy is either `canary` or `blueGreen`").hint("remove one of them"));
        }
        (None, None) => diagnostics.push(
            Diagnostic::error(MISSING, strategy.span, "neither `canary` nor `blueGreen` stands here")
                .hint("`canary: {steps: [{setWeight: 10}, {pause: {duration: 5m}}]}`"),
        ),
    }
}

fn wrong(node: &Node, path: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(VALUE, key_of(node, path).unwrap_or(node.span), message)
}

fn blue_green_rules(node: &Node, history: i64, diagnostics: &mut Vec<Diagnostic>) {
    let (active, preview) = (at(node, "activeService").map(text), at(node, "previewService").map(text));
    if active.is_some() && active == preview {
        diagnostics.push(wrong(node, "previewService", "`activeService` and `previewService` must be two services, this is one"));
    }
    if whole(node, "scaleDownDelayRevisionLimit").is_some_and(|limit| limit > history) {
        let message = format!("no more old versions can be kept running than there are in the history ({history})");
        diagnostics.push(wrong(node, "scaleDownDelayRevisionLimit", message).hint("`revisionHistoryLimit` says how many there are"));
    }
    amount_rule(node, "maxUnavailable", 100, diagnostics);
    affinity_rule(node, diagnostics);
}

fn canary_rules(node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let routing = at(node, "trafficRouting");
    let given = |path: &str| key_of(node, path).is_some();
    let service = |path: &str| at(node, path).map(text).filter(|name| !name.is_empty());
    let (canary, stable) = (service("canaryService"), service("stableService"));
    if canary.is_some() && canary == stable {
        diagnostics.push(wrong(node, "canaryService", "`canaryService` and `stableService` must be two services, this is one"));
    }
    if needs_services(node) && (canary.is_none() || stable.is_none()) {
        diagnostics.push(wrong(node, "trafficRouting", "with this router `canaryService` and `stableService` are needed"));
    }
    if routing.is_none() {
        for path in ["scaleDownDelaySeconds", "dynamicStableScale"] {
            if given(path) && flag(node, path) != Some(false) {
                diagnostics.push(wrong(node, path, format!("`{path}` needs `trafficRouting`")));
            }
        }
    } else if given("scaleDownDelaySeconds") && flag(node, "dynamicStableScale") == Some(true) {
        diagnostics.push(wrong(node, "dynamicStableScale", "`dynamicStableScale` and `scaleDownDelaySeconds` exclude each other"));
    }
    let plugins = |node: &Node| at(node, "plugins").and_then(Node::as_mapping).is_some_and(|plugins| !plugins.is_empty());
    let other_parts = routing.filter(|routing| key_of(routing, "maxTrafficWeight").is_some());
    if let Some(routing) = other_parts.filter(|routing| at(routing, "nginx").is_none() && !plugins(routing)) {
        diagnostics.push(wrong(routing, "maxTrafficWeight", "`maxTrafficWeight` is for `nginx` and `plugins` alone"));
    }
    let ping_pong = (at(node, "pingPong.pingService").map(text), at(node, "pingPong.pongService").map(text));
    if ping_pong.0.is_some() && ping_pong.0 == ping_pong.1 {
        diagnostics.push(wrong(node, "pingPong.pongService", "`pingService` and `pongService` must be two services, this is one"));
    }
    let amounts = [amount_rule(node, "maxSurge", SURGE_PERCENT_MAX, diagnostics), amount_rule(node, "maxUnavailable", 100, diagnostics)];
    if amounts.iter().all(|amount| amount.is_some_and(|amount| matches!(amount, Amount::Count(0) | Amount::Percent(0)))) {
        let message = "with `maxSurge` and `maxUnavailable` both 0 no instance could ever be replaced";
        diagnostics.push(wrong(node, "maxSurge", message));
    }
    let steps = list(node, "steps");
    if let Some(starting) = whole(node, "analysis.startingStep").filter(|starting| *starting > steps.len() as i64) {
        let message = format!("there is no step {starting}: there are {}, counted from 0", steps.len());
        diagnostics.push(wrong(node, "analysis.startingStep", message));
    }
    for step in steps {
        step_rules(step, routing, diagnostics);
    }
    affinity_rule(node, diagnostics);
}

fn needs_services(node: &Node) -> bool {
    let Some(routing) = at(node, "trafficRouting") else { return false };
    let is_plain = at(node, "pingPong").is_none();
    let by_istio = at(routing, "istio").is_some() && at(routing, "istio.destinationRule").is_none() && is_plain;
    (at(routing, "alb").is_some() && is_plain) || by_istio || BY_SERVICE.iter().any(|router| at(routing, router).is_some())
}

fn affinity_rule(node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(affinity) = at(node, "antiAffinity") else { return };
    let ways = ["preferredDuringSchedulingIgnoredDuringExecution", "requiredDuringSchedulingIgnoredDuringExecution"];
    if ways.iter().filter(|way| at(affinity, way).is_some()).count() != 1 {
        diagnostics.push(wrong(node, "antiAffinity", "exactly one of the two ways stands here").hint(format!("`{}`", ways.join("`, `"))));
    }
}

fn step_rules(step: &Node, routing: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(mapping) = step.as_mapping() else { return };
    // `pause:` with nothing behind it is a pause in a workflow of ours and no step at all in a cluster.
    let kinds: Vec<&str> = STEPS.iter().copied().filter(|kind| key_of(step, kind).is_some()).collect();
    let place = mapping.entries.first().map_or(step.span, |entry| entry.key.span);
    let alone: Vec<&str> = kinds.iter().copied().filter(|kind| ALONE.contains(kind)).collect();
    if let [first, second, ..] = alone.as_slice() {
        let message = format!("a step is one thing, this is `{first}` and `{second}`");
        diagnostics.push(Diagnostic::error(VALUE, key_of(step, second).unwrap_or(place), message).hint("make two steps of it"));
    }
    match kinds.as_slice() {
        [_, ..] => {}
        // A slip of the pen was told already.
        [] if mapping.iter().any(|(key, _)| !STEPS.contains(&key.text.as_str())) => {}
        [] => {
            let diagnostic = Diagnostic::error(VALUE, place, format!("a step is one of `{}`, this is none", STEPS.join("`, `")));
            let waits = mapping.entry("pause").is_some();
            diagnostics.push(if waits { diagnostic.hint("`pause: {}` waits for somebody") } else { diagnostic });
        }
    }
    let max = weight_max(routing);
    for path in ["setWeight", "setCanaryScale.weight"] {
        if let Some(weight) = whole(step, path).filter(|weight| *weight > max) {
            diagnostics.push(wrong(step, path, format!("a weight is a whole number from 0 to {max}, this is {weight}")));
        }
    }
    if let Some(length) = at(step, "pause.duration").filter(|length| pause_ms(length).is_none()) {
        let diagnostic = Diagnostic::error(VALUE, length.span, "this is no length of a pause");
        diagnostics.push(diagnostic.hint("whole seconds, or a text such as `5m`"));
    }
    if let Some(length) = at(step, "experiment.duration").filter(|it| it.as_str().is_some_and(|it| duration::parse_ms(it).is_none())) {
        diagnostics.push(Diagnostic::error(VALUE, length.span, "this is no length of time").hint("`30s`, `5m`, `1h30m`"));
    }
    if at(step, "setCanaryScale").is_some() && routing.is_none() {
        diagnostics.push(wrong(step, "setCanaryScale", "`setCanaryScale` needs `trafficRouting`: without it the number is the weight"));
    }
    for kind in ["setHeaderRoute", "setMirrorRoute"] {
        if let Some(route) = at(step, kind) {
            route_rules(step, kind, route, routing, diagnostics);
        }
    }
}

fn route_rules(step: &Node, kind: &str, route: &Node, routing: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(routing) = routing else {
        diagnostics.push(wrong(step, kind, format!("`{kind}` needs `trafficRouting`")));
        return;
    };
    let managed = list(routing, "managedRoutes");
    let name = at(route, "name").map(text).unwrap_or_default();
    if !managed.iter().any(|managed| at(managed, "name").and_then(Node::as_str) == Some(&name)) {
        let message = format!("no route `{name}` is in `trafficRouting.managedRoutes`");
        let place = at(route, "name").map_or_else(|| key_of(step, kind).unwrap_or(step.span), |name| name.span);
        let near = base::name::nearest(&name, managed.iter().filter_map(|managed| at(managed, "name")?.as_str()));
        let hint = near.map_or(format!("add `- name: {name}` there"), |near| format!("did you mean `{near}`?"));
        diagnostics.push(Diagnostic::error(VALUE, place, message).hint(hint));
    }
    for one in list(route, "match") {
        let values = ["headerValue", "method", "path"].iter().filter_map(|key| at(one, key));
        let headers = at(one, "headers").and_then(Node::as_mapping).into_iter().flat_map(|headers| headers.iter().map(|(_, value)| value));
        for value in values.chain(headers) {
            if ["exact", "prefix", "regex"].iter().filter(|way| at(value, way).is_some()).count() != 1 {
                diagnostics.push(Diagnostic::error(VALUE, value.span, "exactly one of `exact`, `prefix` and `regex` stands here"));
            }
        }
    }
}

fn weight_max(routing: Option<&Node>) -> i64 {
    routing.and_then(|routing| whole(routing, "maxTrafficWeight")).unwrap_or(WEIGHT_MAX)
}

/// Whole seconds, as a number or a text, or a length of time.
fn pause_ms(length: &Node) -> Option<u64> {
    if let Some(seconds) = length.as_number() {
        return (seconds >= 0.0).then_some(seconds as u64 * 1_000);
    }
    let text = length.as_str()?;
    match text.parse::<i32>() {
        Ok(seconds) => u64::try_from(seconds).ok().map(|seconds| seconds * 1_000),
        // The controller counts whole seconds.
        Err(_) => duration::parse_ms(text).map(|ms| ms / 1_000 * 1_000),
    }
}

/// A number of instances or a part of all of them; `"25"` is a part, as `25%` is.
fn amount(node: &Node) -> Option<Amount> {
    if let Some(count) = node.as_number() {
        return (count >= 0.0 && count <= f64::from(u32::MAX)).then_some(Amount::Count(count as u32));
    }
    let digits = node.as_str()?;
    let digits = digits.strip_suffix('%').unwrap_or(digits);
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit())).map(Amount::Percent)
}

fn amount_rule(node: &Node, path: &str, percent_max: u32, diagnostics: &mut Vec<Diagnostic>) -> Option<Amount> {
    let value = at(node, path)?;
    let found = amount(value).filter(|found| !matches!(found, Amount::Percent(percent) if *percent > percent_max));
    if found.is_none() {
        let message = format!("this is neither a number of instances nor a whole percentage up to {percent_max}%");
        diagnostics.push(Diagnostic::error(VALUE, value.span, message).hint("`1`, `25%`"));
    }
    found
}

/// Of a strategy without a mistake in it.
pub(super) fn intent(strategy: &Node, checker: &mut Checker) -> Intent {
    match (at(strategy, "canary"), at(strategy, "blueGreen")) {
        (_, Some(blue_green)) => {
            let after = whole(blue_green, "autoPromotionSeconds").unwrap_or(0).unsigned_abs() * 1_000;
            let by_itself = flag(blue_green, "autoPromotionEnabled").unwrap_or(true);
            let mut intent = Intent::of(Strategy::BlueGreen { auto_promotion_ms: by_itself.then_some(after) });
            intent.warm_ms = Some(warm_ms(blue_green));
            intent
        }
        (Some(canary), None) => canary_intent(canary, checker),
        (None, None) => Intent::of(Strategy::default_canary()),
    }
}

fn warm_ms(node: &Node) -> u64 {
    whole(node, "scaleDownDelaySeconds").unwrap_or(SCALE_DOWN_DELAY).unsigned_abs() * 1_000
}

fn canary_intent(node: &Node, checker: &mut Checker) -> Intent {
    let routing = at(node, "trafficRouting");
    let amount_of = |path: &str| at(node, path).and_then(amount).unwrap_or(Amount::DEFAULT);
    let (max_surge, max_unavailable) = (amount_of("maxSurge"), amount_of("maxUnavailable"));
    let steps = list(node, "steps");
    // What Argo does with a canary of no steps: a rolling update, or all at once where a router has the traffic.
    match (steps.is_empty(), routing) {
        (true, None) => return Intent::of(Strategy::RollingUpdate { max_surge, max_unavailable }),
        (true, Some(_)) => {
            amounts_left_out(node, checker);
            return Intent { warm_ms: Some(warm_ms(node)), ..Intent::of(Strategy::Immediate) };
        }
        (false, _) => amounts_left_out(node, checker),
    }
    let max = weight_max(routing);
    let mut taken = Vec::new();
    let mut reached = 0;
    for (index, step) in steps.iter().enumerate() {
        if at(step, "pause").is_some() {
            taken.push(Step::Pause { duration_ms: at(step, "pause.duration").and_then(pause_ms) });
        } else if let Some(weight) = whole(step, "setWeight") {
            let what = format!("{PATH}.canary.steps[{index}].setWeight");
            let place = key_of(step, "setWeight").unwrap_or(step.span);
            let parts = u32::try_from(weight * 10_000 / max).unwrap_or(10_000);
            if weight * 10_000 % max != 0 {
                checker.leave_out(&what, place, &format!("the weight is {} %", f64::from(parts) / 100.0), false);
            }
            if parts == 0 {
                checker.leave_out(&what, place, "it is left out: traffic begins with the first weight above 0", false);
            } else if parts < reached {
                checker.leave_out(&what, place, "it is left out: the weights of a canary don't go back", false);
            } else {
                reached = parts;
                taken.push(Step::SetWeight(parts));
            }
        }
    }
    let warm_ms = routing.map(|_| warm_ms(node));
    Intent { warm_ms, ..Intent::of(Strategy::Canary { steps: taken }) }
}

fn amounts_left_out(node: &Node, checker: &mut Checker) {
    for key in ["maxSurge", "maxUnavailable"] {
        if let Some(place) = key_of(node, key) {
            let instead = "both versions have all their instances while a canary has steps";
            checker.leave_out(&format!("{PATH}.canary.{key}"), place, instead, false);
        }
    }
}
