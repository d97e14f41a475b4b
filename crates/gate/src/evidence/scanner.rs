//! What scanners found, in the JSON that each writes by itself.
//!
//! Nothing that may hold a secret is looked at: neither lines of code, nor matches, nor requests and answers.

use std::io::BufRead;

use serde_json::Value;

use super::claim::{ClaimKind, Finding, Package, Parsed, Problem};
use super::finding::{Draft, FINDINGS_MAX, MESSAGE_MAX_CHARS, NAME_MAX_CHARS};
use super::json::text;
use super::severity::from_word;

mod bandit;
mod cargo_audit;
mod checkov;
mod gitlab;
mod gitleaks;
mod golangci;
mod grype;
mod hadolint;
mod npm;
mod pip_audit;
mod semgrep;
mod trivy;
mod trufflehog;
mod zap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanner {
    Bandit,
    CargoAudit,
    Checkov,
    Gitlab,
    Gitleaks,
    Golangci,
    Grype,
    Hadolint,
    Npm,
    PipAudit,
    Semgrep,
    Trivy,
    Trufflehog,
    Zap,
}

pub(crate) fn parse(scanner: Scanner, input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    match scanner {
        Scanner::Bandit => bandit::parse(input),
        Scanner::CargoAudit => cargo_audit::parse(input),
        Scanner::Checkov => checkov::parse(input),
        Scanner::Gitlab => gitlab::parse(input),
        Scanner::Gitleaks => gitleaks::parse(input),
        Scanner::Golangci => golangci::parse(input),
        Scanner::Grype => grype::parse(input),
        Scanner::Hadolint => hadolint::parse(input),
        Scanner::Npm => npm::parse(input),
        Scanner::PipAudit => pip_audit::parse(input),
        Scanner::Semgrep => semgrep::parse(input),
        Scanner::Trivy => trivy::parse(input),
        Scanner::Trufflehog => trufflehog::parse(input),
        Scanner::Zap => zap::parse(input),
    }
}

/// The findings of one report.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub findings: Vec<Finding>,
    pub version: Option<String>,
    /// The list of findings was there: without it nothing says that anything was scanned.
    pub done: bool,
}

impl Scan {
    pub fn add(&mut self, draft: Draft) -> Result<(), Problem> {
        if self.findings.len() == FINDINGS_MAX {
            return Err(Problem::new(format!("has more than {FINDINGS_MAX} findings")));
        }
        self.findings.push(draft.finish());
        Ok(())
    }

    pub fn finish(self, tool: &str, list: &str) -> Result<Vec<Parsed>, Problem> {
        if !self.done {
            return Err(Problem::new(format!("has no `{list}`: nothing was scanned")));
        }
        Ok(vec![Parsed { kind: ClaimKind::Findings(self.findings), tool: Some(tool.to_string()), tool_version: self.version, line: None }])
    }
}

fn failed(tool: &str, reason: &str) -> Problem {
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Problem::new(format!("holds a scan that failed, as {tool} says itself{reason}"))
}

/// The scanner could not read some files, so nobody knows what is in them.
fn left_out(tool: &str, files: &[String]) -> Problem {
    let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
    Problem::new(format!(
        "holds a scan that is not whole, as {tool} says itself: {}{more} can't be read",
        files.first().map_or("a file", String::as_str)
    ))
}

pub(super) fn told(value: &Value, pointer: &str) -> String {
    text(value, pointer, MESSAGE_MAX_CHARS).unwrap_or_default()
}

fn name(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer, NAME_MAX_CHARS)
}

/// A word nobody knows counts like none.
fn word(value: &Value, pointer: &str) -> Option<super::Severity> {
    from_word(value.pointer(pointer)?.as_str()?)
}

fn package(value: &Value, name_at: &str, version_at: &str) -> Option<Package> {
    Some(Package { name: name(value, name_at)?, version: name(value, version_at) })
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Texts of a list, or the text itself where a scanner writes a single one without.
fn texts(value: &Value, pointer: &str) -> Vec<String> {
    match value.pointer(pointer) {
        Some(Value::Array(_)) => list(value, pointer).filter_map(|text| name(text, "")).collect(),
        Some(Value::String(_)) => name(value, pointer).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `CWE-79: Cross-site scripting`, `cwe-79`, `79`.
fn cwe(texts: &[String]) -> Vec<u32> {
    let number = |text: &String| {
        let text = text.trim().to_ascii_uppercase();
        let digits: String = text.strip_prefix("CWE-").unwrap_or(&text).chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|number| *number > 0)
    };
    texts.iter().filter_map(number).collect()
}

/// `lodash 4.17.20: Prototype Pollution, fixed in 4.17.21`.
pub(super) fn about(package: Option<&Package>, title: &str, fixed: &[String]) -> String {
    let who = match package {
        Some(Package { name, version: Some(version) }) => format!("{name} {version}: "),
        Some(Package { name, version: None }) => format!("{name}: "),
        None => String::new(),
    };
    let title = if title.is_empty() { "a known weakness" } else { title };
    let fixed = if fixed.is_empty() { String::new() } else { format!(", fixed in {}", fixed.join(", ")) };
    // The remedy comes before what is cut off.
    let room = MESSAGE_MAX_CHARS.saturating_sub(who.chars().count() + fixed.chars().count() + 1);
    format!("{who}{}{fixed}", super::claim::shorten(title, room))
}
