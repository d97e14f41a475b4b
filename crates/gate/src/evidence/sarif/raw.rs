//! The parts of a SARIF log that are looked at, as they are written; everything else is skipped unread.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Tool {
    pub driver: Component,
    pub extensions: Vec<Component>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Component {
    pub name: Option<String>,
    pub version: Option<String>,
    pub semantic_version: Option<String>,
    pub rules: Option<Vec<Rule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Rule {
    pub id: Option<String>,
    pub name: Option<String>,
    pub short_description: Option<Message>,
    pub full_description: Option<Message>,
    pub default_configuration: Option<Configuration>,
    pub properties: Option<Properties>,
}

impl Rule {
    pub fn description(&self) -> Option<String> {
        let text = |message: &Option<Message>| message.as_ref().and_then(|message| message.text.clone());
        text(&self.short_description).or_else(|| text(&self.full_description)).or_else(|| self.name.clone())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    pub level: Option<String>,
}

/// A bag in which every tool keeps its own words; nothing about their types is promised.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Properties {
    #[serde(rename = "security-severity")]
    pub security_severity: Option<Value>,
    pub severity: Option<Value>,
    pub issue_severity: Option<Value>,
    #[serde(rename = "problem.severity")]
    pub problem_severity: Option<Value>,
    pub tags: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawResult {
    pub rule_id: Option<String>,
    pub rule_index: Option<i64>,
    pub rule: Option<RuleReference>,
    pub level: Option<String>,
    pub kind: Option<String>,
    pub message: Option<Message>,
    pub locations: Option<Vec<Location>>,
    pub properties: Option<Properties>,
    pub suppressions: Option<Vec<Suppression>>,
    pub baseline_state: Option<String>,
}

impl RawResult {
    /// Several suppressions hold together: one that is still under review or was rejected keeps the finding alive.
    pub fn suppression(&self) -> Option<String> {
        let suppressions = self.suppressions.as_deref().unwrap_or_default();
        let accepted = |suppression: &Suppression| matches!(suppression.status.as_deref(), None | Some("accepted"));
        if suppressions.is_empty() || !suppressions.iter().all(accepted) {
            return None;
        }
        Some(suppressions.iter().find_map(|suppression| suppression.justification.clone()).unwrap_or_default())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RuleReference {
    pub id: Option<String>,
    pub index: Option<i64>,
    pub tool_component: Option<ComponentReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ComponentReference {
    pub index: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub text: Option<String>,
    pub markdown: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Location {
    pub physical_location: Option<PhysicalLocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PhysicalLocation {
    pub artifact_location: Option<ArtifactLocation>,
    pub region: Option<Region>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ArtifactLocation {
    pub uri: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Region {
    pub start_line: Option<u64>,
    pub start_column: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Suppression {
    pub status: Option<String>,
    pub justification: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Invocation {
    pub execution_successful: Option<bool>,
}
