//! `retry:` of jobs and steps, which GitHub doesn't know.

use base::yaml::{Entry, Node, Value};
use base::{Diagnostic, Span, time::parse_duration_ms};

use super::reader::Reader;
use crate::model::{Retry, RetryOn};

/// More attempts than this hide what is wrong.
const MAX_MAX: u32 = 10;
/// What may be tried again without being named: after a loss nobody knows how far the first attempt came.
const ON_DEFAULT: [RetryOn; 2] = [RetryOn::Failure, RetryOn::Timeout];

/// A number alone is `max`; `known` is what may stand in `on`.
pub(super) fn read(reader: &mut Reader<'_>, key: Span, node: &Node, known: &[RetryOn]) -> Option<Retry> {
    let message = "`retry` is an extension of Plimsoll: GitHub refuses a file that has it";
    reader.warning("workflow/extension", key, message);
    let mut retry = Retry { max: 0, on: ON_DEFAULT.to_vec(), backoff_ms: 0 };
    if let Value::Number(_) = node.value() {
        retry.max = max(reader, node)?;
        return Some(retry);
    }
    for Entry { key, value } in reader.closed("retry", node, &["max", "on", "backoff"])? {
        match key.text.as_str() {
            "max" => retry.max = max(reader, value).unwrap_or_default(),
            "on" => retry.on = on(reader, value, known),
            _ => retry.backoff_ms = backoff(reader, value).unwrap_or_default(),
        }
    }
    if node.get("max").is_none() {
        reader.missing(node, "max", "`retry`");
    }
    Some(retry)
}

fn max(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let allowed = (1..=MAX_MAX).find(|max| node.as_number() == Some(f64::from(*max)));
    if allowed.is_none() {
        let diagnostic = Diagnostic::error("workflow/value", node.span, "this is no number of attempts");
        reader.report(diagnostic.hint(format!("how often again, from 1 to {MAX_MAX}")));
    }
    allowed
}

fn on(reader: &mut Reader<'_>, node: &Node, known: &[RetryOn]) -> Vec<RetryOn> {
    let words: Vec<&str> = known.iter().map(|on| word(*on)).collect();
    let mut found = Vec::new();
    for item in node.as_sequence().unwrap_or(std::slice::from_ref(node)) {
        let chosen = reader.choice("on", item, &words).and_then(|text| known.iter().find(|on| word(**on) == text));
        found.extend(chosen.filter(|on| !found.contains(*on)).copied().into_iter().collect::<Vec<_>>());
    }
    if node.as_sequence().is_some_and(<[Node]>::is_empty) {
        reader.error("workflow/value", node.span, "`on` is empty, and then nothing would ever be tried again");
    }
    found
}

fn word(on: RetryOn) -> &'static str {
    match on {
        RetryOn::Failure => "failure",
        RetryOn::Lost => "lost",
        RetryOn::Timeout => "timeout",
    }
}

fn backoff(reader: &mut Reader<'_>, node: &Node) -> Option<u64> {
    let text = reader.non_empty_literal("backoff", node)?;
    let length = parse_duration_ms(&text);
    if length.is_none() {
        let diagnostic = Diagnostic::error("workflow/value", node.span, format!("`{text}` is no length of time"));
        reader.report(diagnostic.hint("write it as `10s` or `1m30s`; it is the pause before the second attempt and doubles with each"));
    }
    length
}
