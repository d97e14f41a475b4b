//! What a repository accepts of its scanners' findings, why, and until when: `policy/suppressions.yaml` of the commit that ships.

use base::{Diagnostic, Source, Timestamp, yaml};
use serde::{Deserialize, Serialize};

use super::finding::common_name;
use super::{BrokenFile, DistinctFinding, Evidence, Package};

/// Beside the policies, which people review together with it.
pub const SUPPRESSIONS_PATH: &str = "policy/suppressions.yaml";

const API_VERSION: &str = "plimsoll/v1alpha1";
const INVALID: &str = "suppressions/invalid";
const DAY_MS: u64 = 24 * 3_600_000;

/// One entry. Whether it still holds was decided when the evidence was read, and is kept with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// A rule or any public name of a weakness.
    pub rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// A file, or a folder with `/` at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    pub reason: String,
    /// The last day it holds, as written.
    pub expires: String,
    pub expired: bool,
}

impl Evidence {
    /// Takes in what the commit accepts; a file that is wrong accepts nothing, and every mistake in it is broken evidence.
    pub fn suppress(&mut self, text: &str, now: Timestamp) {
        let source = Source::new(SUPPRESSIONS_PATH, text);
        match parse(&source, now) {
            Ok(suppressions) => self.suppressions = suppressions,
            Err(diagnostics) => self.broken.extend(diagnostics.iter().map(|diagnostic| broken(&source, diagnostic))),
        }
    }
}

impl Suppression {
    fn is_about(&self, finding: &DistinctFinding) -> bool {
        let named = std::iter::once(&finding.rule).chain(&finding.aliases).any(|name| name.eq_ignore_ascii_case(&self.rule));
        let common = |name: &String| common_name(&Package { name: name.clone(), version: None });
        let package = self.package.as_ref().is_none_or(|asked| finding.package.as_ref().is_some_and(|it| common_name(it) == common(asked)));
        let file = self
            .file
            .as_ref()
            .is_none_or(|asked| finding.file.as_ref().is_some_and(|it| it == asked || (asked.ends_with('/') && it.starts_with(asked))));
        named && package && file
    }
}

/// Marks what is accepted, and says of what is not any more since when.
pub(super) fn apply(suppressions: &[Suppression], findings: &mut [DistinctFinding]) {
    if suppressions.is_empty() {
        return;
    }
    for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none()) {
        let mut about = suppressions.iter().filter(|suppression| suppression.is_about(finding));
        // Of several entries one that still holds is enough.
        match about.clone().find(|suppression| !suppression.expired).or_else(|| about.next()) {
            Some(Suppression { expired: false, reason, expires, .. }) => finding.suppressed = Some(format!("{reason} (until {expires})")),
            Some(Suppression { expires, .. }) => {
                let told = if finding.message.is_empty() { "" } else { "; " };
                finding.message = format!("{}{told}its suppression expired on {expires}", finding.message);
            }
            None => {}
        }
    }
}

fn parse(source: &Source, now: Timestamp) -> Result<Vec<Suppression>, Vec<Diagnostic>> {
    let (node, mut diagnostics) = yaml::parse(source);
    let Some(node) = node else { return if diagnostics.is_empty() { Ok(Vec::new()) } else { Err(diagnostics) } };
    let Some(root) = node.as_mapping() else {
        diagnostics.push(Diagnostic::error(INVALID, node.span, "is no mapping with `apiVersion` and `suppressions`"));
        return Err(diagnostics);
    };
    diagnostics.extend(root.unknown_keys(INVALID, &["apiVersion", "suppressions"]));
    if root.get("apiVersion").and_then(yaml::Node::as_str) != Some(API_VERSION) {
        let span = root.get("apiVersion").map_or(node.span, |version| version.span);
        diagnostics.push(Diagnostic::error(INVALID, span, format!("needs `apiVersion: {API_VERSION}`")));
    }
    let mut res = Vec::new();
    match root.get("suppressions") {
        Some(list) => match list.as_sequence() {
            Some(entries) => res.extend(entries.iter().filter_map(|entry| suppression(entry, now, &mut diagnostics))),
            None => diagnostics.push(Diagnostic::error(INVALID, list.span, "`suppressions` is no list")),
        },
        None => diagnostics.push(Diagnostic::error(INVALID, node.span, "has no `suppressions`")),
    }
    if diagnostics.is_empty() { Ok(res) } else { Err(diagnostics) }
}

fn suppression(node: &yaml::Node, now: Timestamp, diagnostics: &mut Vec<Diagnostic>) -> Option<Suppression> {
    let Some(entry) = node.as_mapping() else {
        diagnostics.push(Diagnostic::error(INVALID, node.span, "an entry is a mapping with `rule`, `reason` and `expires`"));
        return None;
    };
    diagnostics.extend(entry.unknown_keys(INVALID, &["rule", "package", "file", "reason", "expires"]));
    let mut text = |key: &str, required: bool| match entry.get(key) {
        Some(value) => match value.as_str().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_string()),
            None => {
                let diagnostic = Diagnostic::error(INVALID, value.span, format!("`{key}` is no text, or an empty one"));
                let is_number = value.as_number().is_some();
                diagnostics.push(if is_number { diagnostic.hint("put it in quotes") } else { diagnostic });
                None
            }
        },
        None => {
            if required {
                diagnostics.push(Diagnostic::error(INVALID, node.span, format!("an entry needs `{key}`")));
            }
            None
        }
    };
    let (rule, reason, expires) = (text("rule", true), text("reason", true), text("expires", true));
    let (package, file) = (text("package", false), text("file", false));
    let expires = expires?;
    let Ok(day) = format!("{expires}T00:00:00Z").parse::<Timestamp>() else {
        let span = entry.get("expires").map_or(node.span, |value| value.span);
        diagnostics.push(Diagnostic::error(INVALID, span, format!("`expires: {expires}` is no day like `2027-01-31`")));
        return None;
    };
    Some(Suppression { rule: rule?, package, file, reason: reason?, expires, expired: now >= day.plus_ms(DAY_MS) })
}

fn broken(source: &Source, diagnostic: &Diagnostic) -> BrokenFile {
    let (line, _) = source.line_column(diagnostic.span.start);
    let hint = diagnostic.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let reason = format!("is wrong: {}{hint}", diagnostic.message);
    BrokenFile { path: SUPPRESSIONS_PATH.to_string(), reason, line: Some(line as u64), digest: None }
}
