//! `AnalysisTemplate`, `ClusterAnalysisTemplate` and `Experiment` of Argo Rollouts.

use base::time::format_duration_ms;
use base::yaml::Node;
use base::{Diagnostic, Span, counted};
use regex::{Regex, RegexBuilder};

use super::argument::Arguments;
use super::{MISSING, VALUE, at, duration, key_of, list, text, whole};
use crate::analysis::Metric;
use crate::condition;

/// A metric as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    pub name: String,
    /// Of its name.
    pub span: Span,
    /// Who is asked: `prometheus`.
    pub provider: String,
    /// Nothing where numbers are only known to whoever uses the template.
    pub metric: Option<Metric>,
    /// What is asked for, in short lines.
    pub lines: Vec<String>,
}

/// Patterns of names are short and few; one of a few bytes can otherwise become megabytes, and a file has room for thousands.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
const PATTERNS_MAX: usize = 256;

const COUNTS: &[&str] = &["count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit"];

pub(super) fn of_template(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Vec<Analysis> {
    let Some(spec) = at(node, "spec") else { return Vec::new() };
    Arguments::rules(spec, diagnostics);
    let metrics = list(spec, "metrics");
    if metrics.is_empty() && list(spec, "templates").is_empty() {
        let place = key_of(node, "spec").unwrap_or(node.span);
        diagnostics.push(Diagnostic::error(MISSING, place, "no metric is asked for").hint("`metrics`, or `templates` that have some"));
    }
    let names: Vec<(String, Span)> = metrics.iter().filter_map(|metric| at(metric, "name").map(|name| (text(name), name.span))).collect();
    for (index, (name, span)) in names.iter().enumerate() {
        if let Some((_, first)) = names[..index].iter().find(|(before, _)| before == name) {
            let diagnostic = Diagnostic::error(VALUE, *span, format!("the metric `{name}` is there twice"));
            diagnostics.push(diagnostic.label(*first, "the first"));
        }
    }
    // Metrics of templates that are named may be meant, too.
    let is_closed = list(spec, "templates").is_empty();
    let dry = matching(spec, "dryRun", &names, is_closed, diagnostics);
    let kept = matching(spec, "measurementRetention", &names, is_closed, diagnostics);
    let arguments = Arguments::of(spec);
    let mut analyses = Vec::new();
    for node in metrics {
        let mut analysis = metric(node, &arguments, diagnostics);
        if let Some(metric) = &mut analysis.metric {
            metric.dry_run = dry.iter().any(|(_, regex)| regex.is_match(&metric.name));
            // The last rule that fits, as in the controller.
            let limit = kept.iter().rev().find(|(_, regex)| regex.is_match(&metric.name)).and_then(|(rule, _)| whole(rule, "limit"));
            metric.retained = limit.filter(|limit| *limit > 0).map_or(metric.retained, |limit| limit as usize);
            if metric.dry_run {
                analysis.lines.push("only looked at: it decides nothing".to_string());
            }
        }
        analyses.push(analysis);
    }
    analyses
}

/// The rules of a list by the pattern of their `metricName`.
fn matching<'a>(
    spec: &'a Node,
    key: &str,
    names: &[(String, Span)],
    is_closed: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(&'a Node, Regex)> {
    let mut rules = Vec::new();
    for (index, rule) in list(spec, key).iter().enumerate() {
        if index == PATTERNS_MAX {
            let message = format!("`{key}` has {PATTERNS_MAX} rules at most, here are {}", list(spec, key).len());
            diagnostics.push(Diagnostic::error(VALUE, rule.span, message).hint("`.*` matches every metric"));
            break;
        }
        let Some(pattern) = at(rule, "metricName").filter(|pattern| pattern.as_str().is_some()) else { continue };
        match RegexBuilder::new(&text(pattern)).size_limit(PATTERN_BYTES_MAX).build() {
            Ok(regex) => {
                if is_closed && !names.iter().any(|(name, _)| regex.is_match(name)) {
                    let diagnostic = Diagnostic::error(VALUE, pattern.span, format!("no metric here matches `{}`", text(pattern)));
                    let near = base::name::nearest(&text(pattern), names.iter().map(|(name, _)| name.as_str())).map(str::to_string);
                    diagnostics.push(match near {
                        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                        None => diagnostic,
                    });
                }
                rules.push((rule, regex));
            }
            Err(regex::Error::CompiledTooBig(_)) => {
                let message = format!("`{}` is too large a regular expression", text(pattern));
                diagnostics
                    .push(Diagnostic::error(VALUE, pattern.span, message).hint("names of metrics are matched, and short patterns do"));
            }
            Err(_) => {
                diagnostics.push(Diagnostic::error(VALUE, pattern.span, format!("`{}` is no regular expression", text(pattern))));
            }
        }
    }
    rules
}

fn metric(node: &Node, arguments: &Arguments, diagnostics: &mut Vec<Diagnostic>) -> Analysis {
    let name = at(node, "name").map(text).unwrap_or_default();
    let provider = provider(node, diagnostics);
    let mut metric = Metric::new(&name);
    let mut is_known = true;
    for key in COUNTS {
        let Some(value) = at(node, key) else { continue };
        match count(value, arguments, diagnostics) {
            Some(number) => is_known &= set(&mut metric, key, number, value, diagnostics),
            None => is_known = false,
        }
    }
    for (key, field) in [("interval", 0), ("initialDelay", 1)] {
        let Some(value) = at(node, key).filter(|value| value.as_str().is_some_and(|text| !text.is_empty())) else { continue };
        let length = arguments.put_into(&text(value), value.span, diagnostics);
        match length.as_deref().map(duration::parse_ms) {
            Some(Some(ms)) if field == 0 => metric.interval_ms = Some(ms),
            Some(Some(ms)) => metric.initial_delay_ms = ms,
            // One without braces was refused where its type was looked at.
            Some(None) if !text(value).contains("{{") => is_known = false,
            Some(None) => {
                is_known = false;
                let message = format!("with the argument's own value this is `{}`, no length of time", length.unwrap_or_default());
                diagnostics.push(Diagnostic::error(VALUE, value.span, message));
            }
            None => is_known = false,
        }
    }
    for key in ["successCondition", "failureCondition"] {
        condition_rules(node, key, arguments, diagnostics);
    }
    if let Some(complaint) = metric.complaint().filter(|_| is_known) {
        let place = ["count", "interval", "failureLimit"].iter().find_map(|key| key_of(node, key));
        diagnostics.push(Diagnostic::error(VALUE, place.or(key_of(node, "name")).unwrap_or(node.span), complaint));
    }
    let lines = lines(node, &provider);
    Analysis { name, span: key_of(node, "name").unwrap_or(node.span), provider, metric: is_known.then_some(metric), lines }
}

fn provider(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> String {
    let Some(providers) = at(node, "provider").and_then(Node::as_mapping) else { return String::new() };
    let given: Vec<&str> = providers.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.text.as_str()).collect();
    let plugins = at(node, "provider.plugin").and_then(Node::as_mapping).map_or(1, |plugins| plugins.len());
    match given.as_slice() {
        ["plugin"] if plugins != 1 => {
            let place = key_of(node, "provider.plugin").unwrap_or(node.span);
            diagnostics.push(Diagnostic::error(VALUE, place, format!("exactly one plugin is asked, here are {plugins}")));
        }
        [_] => {}
        several => {
            let place = key_of(node, "provider").unwrap_or(node.span);
            let message = format!("exactly one provider is asked, here are {}", several.len());
            diagnostics.push(Diagnostic::error(VALUE, place, message).hint("make a metric of each"));
        }
    }
    given.first().map_or(String::new(), |first| first.to_string())
}

/// A whole number, also in quotes or as an argument.
fn count(value: &Node, arguments: &Arguments, diagnostics: &mut Vec<Diagnostic>) -> Option<i64> {
    if let Some(number) = value.as_number() {
        return (number.fract() == 0.0).then_some(number as i64);
    }
    let written = value.as_str()?;
    let number = arguments.put_into(written, value.span, diagnostics)?;
    match number.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => {
            let message = format!("`{number}` is no whole number");
            diagnostics.push(Diagnostic::error(VALUE, value.span, message).hint("`3`, or `\"{{args.NAME}}\"`"));
            None
        }
    }
}

/// Whether the number fits.
fn set(metric: &mut Metric, key: &str, number: i64, value: &Node, diagnostics: &mut Vec<Diagnostic>) -> bool {
    if key == "failureLimit" && number == -1 {
        metric.failure_limit = None;
        return true;
    }
    let Some(number) = u32::try_from(number).ok().filter(|number| *number <= i32::MAX as u32) else {
        let least = if key == "failureLimit" { "0 or more, or -1 for no limit" } else { "0 or more" };
        diagnostics.push(Diagnostic::error(VALUE, value.span, format!("`{key}` must be {least}, this is {number}")));
        return false;
    };
    match key {
        "count" => metric.count = Some(number),
        "failureLimit" => metric.failure_limit = Some(number),
        "inconclusiveLimit" => metric.inconclusive_limit = number,
        "consecutiveErrorLimit" => metric.consecutive_error_limit = number,
        _ => metric.consecutive_success_limit = number,
    }
    true
}

fn condition_rules(node: &Node, key: &str, arguments: &Arguments, diagnostics: &mut Vec<Diagnostic>) {
    let Some(value) = at(node, key) else { return };
    let Some(whole) = value.as_str().and_then(|written| arguments.put_into(written, value.span, diagnostics)) else { return };
    if whole.is_empty() {
        return;
    }
    if let Err(wrong) = condition::Condition::parse(&whole) {
        let message = format!("the condition can't be evaluated: {}", wrong.at(&whole));
        let diagnostic = Diagnostic::error(VALUE, value.span, message);
        diagnostics.push(match wrong.hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }
}

fn lines(node: &Node, provider: &str) -> Vec<String> {
    let written = |key: &str| {
        let value = at(node, key)?;
        value.as_number().map(|number| number.to_string()).or_else(|| value.as_str().map(str::to_string)).filter(|text| !text.is_empty())
    };
    let times = match (written("interval"), written("count").filter(|count| count != "0")) {
        (Some(interval), Some(count)) => format!("every {interval}, {count} times"),
        (Some(interval), None) => format!("every {interval}, until it is stopped"),
        (None, Some(count)) if count != "1" => format!("{count} times"),
        (None, _) => "once".to_string(),
    };
    let delay = written("initialDelay").map_or(String::new(), |delay| format!(", {delay} after the start at first"));
    let mut lines = vec![format!("{provider}, {times}{delay}")];
    for (key, word) in [("successCondition", "good"), ("failureCondition", "bad")] {
        lines.extend(written(key).map(|condition| format!("{word} when `{condition}`")));
    }
    if written("successCondition").is_none() && written("failureCondition").is_none() {
        lines.push("good whenever there is an answer".to_string());
    }
    let or = |key: &str, default: &str| written(key).unwrap_or(default.to_string());
    let failures = match or("failureLimit", "0").as_str() {
        "-1" => "any number of".to_string(),
        limit => limit.to_string(),
    };
    lines.push(format!(
        "borne: {failures} failed, {} inconclusive, {} errors in a row",
        or("inconclusiveLimit", "0"),
        or("consecutiveErrorLimit", "4")
    ));
    lines.extend(written("consecutiveSuccessLimit").filter(|limit| limit != "0").map(|limit| format!("over after {limit} good in a row")));
    lines
}

/// What an experiment would do, in short lines.
pub(super) fn experiment_lines(node: &Node) -> Vec<String> {
    let names = |path: &str| list(node, path).iter().filter_map(|it| at(it, "name").map(text)).collect::<Vec<_>>().join(", ");
    let length = at(node, "spec.duration").and_then(Node::as_str).and_then(duration::parse_ms);
    let length = length.map_or("until its analyses are over".to_string(), |ms| format!("for {}", format_duration_ms(ms)));
    let count = list(node, "spec.templates").len();
    let mut lines = vec![format!("{} beside each other {length}: {}", counted(count, "version"), names("spec.templates"))];
    let analyses = names("spec.analyses");
    if !analyses.is_empty() {
        lines.push(format!("analyses: {analyses}"));
    }
    lines
}

pub(super) fn of_experiment(node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(spec) = at(node, "spec") else { return };
    let templates = list(spec, "templates");
    if templates.is_empty() && at(spec, "templates").is_some() {
        let place = key_of(spec, "templates").unwrap_or(node.span);
        diagnostics.push(Diagnostic::error(VALUE, place, "an experiment has one template at least"));
    }
    for key in ["templates", "analyses"] {
        let items = list(spec, key);
        for (index, item) in items.iter().enumerate() {
            let Some(name) = at(item, "name") else { continue };
            if items[..index].iter().any(|before| at(before, "name").and_then(Node::as_str) == name.as_str()) {
                diagnostics.push(Diagnostic::error(VALUE, name.span, format!("`{}` is there twice in `{key}`", text(name))));
            }
        }
    }
}
