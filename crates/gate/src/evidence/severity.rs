//! The one scale. Every scanner's words and numbers end up as critical, high, medium or low.
//!
//! | critical | high | medium | low |
//! |---|---|---|---|
//! | score ≥ 9.0 | ≥ 7.0 | ≥ 4.0 | < 4.0 |
//! | `critical` | `high`, `error` | `medium`, `moderate`, `warning` | `low`, `note`, `info`, … |
//!
//! The first of these that is there decides: the result's score, its word, the rule's score, its word, a tag of the rule, the level.

use serde_json::Value;

use super::claim::Severity;

/// A CVSS-like score from 0 to 10, as a number or as text; what is neither says nothing.
pub(crate) fn from_score(score: Option<&Value>) -> Option<Severity> {
    let score = match score? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => match text.trim().parse() {
            Ok(score) => score,
            Err(_) => return from_word(text),
        },
        _ => return None,
    };
    if score.is_nan() || score < 0.0 {
        return None;
    }
    Some(match score {
        _ if score >= 9.0 => Severity::Critical,
        _ if score >= 7.0 => Severity::High,
        _ if score >= 4.0 => Severity::Medium,
        _ => Severity::Low,
    })
}

pub(crate) fn from_word(word: &str) -> Option<Severity> {
    match word.trim().to_ascii_lowercase().as_str() {
        "critical" | "blocker" => Some(Severity::Critical),
        "high" | "error" | "major" => Some(Severity::High),
        "medium" | "moderate" | "warning" => Some(Severity::Medium),
        "low" | "minor" | "note" | "none" | "info" | "informational" | "recommendation" | "negligible" | "unknown" => Some(Severity::Low),
        _ => None,
    }
}

/// A level nobody knows counts as a warning, which is what SARIF says of one that isn't there.
pub(crate) fn from_level(level: Option<&str>) -> Severity {
    level.and_then(from_word).unwrap_or(Severity::Medium)
}
