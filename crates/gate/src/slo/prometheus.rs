//! Queries in Prometheus's language, and what it answers.

use serde_json::Value;

use crate::evidence::shorten;

/// Of what it says when it refuses.
const SAID_MAX: usize = 200;

/// Stands in a query for the length of time to look back, as `5m` does; `{{.window}}` is Sloth's way of writing it.
const PLACEHOLDERS: [&str; 3] = ["$window", "{{.window}}", "{{ .window }}"];

/// # Errors
/// Why no number of events of a length of time can be asked with it.
pub fn check_query(query: &str) -> Result<(), String> {
    let has_place = PLACEHOLDERS.iter().any(|placeholder| query.contains(placeholder));
    if has_place || counter(query).is_some() {
        return Ok(());
    }
    Err("a query says over what it counts with `[$window]`, as `sum(rate(requests_total[$window]))`, or names a counter alone".to_string())
}

/// The query over a length of time, and what makes its answer a number of events.
pub(super) fn over(query: &str, window_ms: u64) -> (String, f64) {
    let seconds = window_ms / 1000;
    if let Some(selector) = counter(query) {
        return (format!("sum(increase({selector}[{seconds}s]))"), 1.0);
    }
    let text = PLACEHOLDERS.iter().fold(query.to_string(), |text, placeholder| text.replace(placeholder, &format!("{seconds}s")));
    let is_per_second = text.contains("rate(");
    (text, if is_per_second { seconds as f64 } else { 1.0 })
}

/// `requests_total{code="200"}`, alone or summed up. An increase over a sum would take one process that starts again for a flood.
fn counter(query: &str) -> Option<&str> {
    let query = query.trim();
    let inner = query.strip_prefix("sum").map(str::trim_start).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    let selector = inner.unwrap_or(query).trim();
    let name_end = selector.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(selector.len());
    let (name, labels) = (&selector[..name_end], selector[name_end..].trim());
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':');
    (is_name && (labels.is_empty() || is_braced(labels))).then_some(selector)
}

/// One pair of braces around everything, whatever is quoted in it.
fn is_braced(labels: &str) -> bool {
    let Some(inner) = labels.strip_prefix('{') else { return false };
    let mut quote: Option<char> = None;
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        match quote {
            _ if is_escaped => is_escaped = false,
            Some('"' | '\'') if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return at + 1 == inner.len(),
            None => {}
        }
    }
    false
}

/// The one number in an answer of `/api/v1/query`.
///
/// # Errors
/// Why there is none, as a part of a sentence.
pub fn answer(body: &[u8]) -> Result<f64, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "what answers is no Prometheus".to_string())?;
    match answer["status"].as_str() {
        Some("success") => {}
        Some(_) => return Err(format!("Prometheus refuses: {}", shorten(answer["error"].as_str().unwrap_or("without a word"), SAID_MAX))),
        None => return Err("what answers is no Prometheus".to_string()),
    }
    let data = &answer["data"];
    let value = match (data["resultType"].as_str(), data["result"].as_array().map(Vec::as_slice)) {
        (Some("scalar"), Some([_, value])) => value,
        (Some("vector"), Some([])) => return Err("no series answers the query".to_string()),
        (Some("vector"), Some([one])) => &one["value"][1],
        (Some("vector"), Some(several)) => {
            return Err(format!("{} series answer where one is expected; `sum(…)` makes one", several.len()));
        }
        (kind, _) => return Err(format!("a {} answers where a number is expected", kind.unwrap_or("riddle"))),
    };
    let number: f64 = value.as_str().and_then(|text| text.parse().ok()).ok_or("the answer is no number")?;
    match number {
        number if number.is_nan() => Err("the answer is NaN: nothing was counted".to_string()),
        number if number.is_infinite() || number < 0.0 => Err(format!("the answer is {number}, which is no number of events")),
        number => Ok(number),
    }
}
