//! From what a package says to sentences. What can't be understood is a violation with its place, never nothing.

use regorus::Value;
use serde_json::Value as Json;

use super::load::Package;
use crate::EvidenceKind;
use crate::decision::unmet;

/// What all packages said together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    pub violations: Vec<Statement>,
    pub warnings: Vec<Statement>,
    /// What has to be there besides: kinds of evidence, or something this version can't provide.
    pub requires: Vec<Statement>,
    pub strategy: Option<String>,
}

/// One thing a policy says.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub id: String,
    pub message: String,
    /// Paths of reports, or words.
    pub evidence: Vec<String>,
    /// `file:line` of the rule that said it.
    pub rule: Option<String>,
    /// As the policy put it, to find the rule that said so.
    pub(crate) raw: Option<Json>,
}

impl Statement {
    pub(super) fn new(id: impl Into<String>, message: impl Into<String>) -> Statement {
        Statement { id: id.into(), message: message.into(), evidence: Vec::new(), rule: None, raw: None }
    }
}

impl Answer {
    /// With what the policies require and the document has no evidence of among what they deny, as the gate has it.
    #[must_use]
    pub fn held_to(mut self, document: &Json) -> Answer {
        let present = document["evidence"]["present"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_there = |kind: EvidenceKind| present.iter().any(|it| it == kind.as_str());
        self.violations.extend(self.requires.iter().cloned().filter_map(|required| unmet(required, is_there)));
        self
    }

    pub(super) fn sort(&mut self) {
        for statements in [&mut self.violations, &mut self.warnings, &mut self.requires] {
            statements.sort_by(|left, right| (&left.id, &left.message, &left.rule).cmp(&(&right.id, &right.message, &right.rule)));
            statements.dedup_by(|left, right| left.id == right.id && left.message == right.message);
        }
    }
}

pub(super) fn read(package: &Package, value: Option<&Value>, answer: &mut Answer) {
    let mut reader = Reader { package, answer, before: 0, denies: None };
    reader.before = reader.answer.violations.len();
    for (name, place) in &package.declared {
        let value = value.and_then(|value| value.as_object().ok()).and_then(|object| object.get(&Value::from(*name)));
        let value = value.filter(|value| **value != Value::Undefined).map(|value| serde_json::to_value(value).unwrap_or(Json::Null));
        reader.take(name, value.as_ref(), place);
    }
    reader.finish();
}

struct Reader<'a> {
    package: &'a Package,
    answer: &'a mut Answer,
    before: usize,
    /// The place of an `allow` that isn't true.
    denies: Option<String>,
}

/// How traffic can move, as the command line and `plimsoll.yaml` name it.
const STRATEGIES: [&str; 4] = ["canary", "blue-green", "rolling", "immediate"];

impl Reader<'_> {
    fn take(&mut self, name: &str, value: Option<&Json>, place: &str) {
        match (name, value) {
            ("strategy", None | Some(Json::Null)) => {}
            ("strategy", Some(Json::String(strategy))) => self.strategy(strategy, place),
            ("allow", Some(Json::Bool(true))) => {}
            ("allow", None | Some(Json::Bool(false))) => self.denies = Some(place.to_string()),
            ("decision", Some(Json::Object(decision))) => self.decision(decision, place),
            ("deny" | "violations" | "warn" | "warnings" | "requires", Some(value)) => self.list(name, value, place),
            (_, None) => self.nonsense(format!("`{name}` has no value for this input"), place),
            (_, Some(value)) => self.nonsense(format!("`{name}` is {}", shown(value)), place),
        }
    }

    /// A decision in one object, as `{"allow": …, "violations": …}`; its keys mean what the rules of those names mean.
    fn decision(&mut self, decision: &serde_json::Map<String, Json>, place: &str) {
        let known = ["allow", "deny", "violations", "warn", "warnings", "requires", "strategy"];
        if !["allow", "deny", "violations"].iter().any(|name| decision.contains_key(*name)) {
            self.nonsense("`decision` has neither `allow` nor `violations`".to_string(), place);
        }
        for (name, value) in decision.iter().filter(|(name, _)| known.contains(&name.as_str())) {
            self.take(name, Some(value), place);
        }
    }

    fn strategy(&mut self, strategy: &str, place: &str) {
        match &self.answer.strategy {
            _ if !STRATEGIES.contains(&strategy) => {
                let known = STRATEGIES.map(|name| format!("`{name}`")).join(", ");
                self.nonsense(format!("asks for the strategy `{strategy}`; there are {known}"), place);
            }
            Some(other) if other != strategy => {
                let sentence = format!("asks for the strategy `{strategy}`, another package for `{other}`");
                self.nonsense(sentence, place);
            }
            _ => self.answer.strategy = Some(strategy.to_string()),
        }
    }

    fn list(&mut self, name: &str, value: &Json, place: &str) {
        let elements: Vec<&Json> = match value {
            Json::Array(elements) => elements.iter().collect(),
            // `deny[msg] if …` makes an object of messages in Rego v1.
            Json::Object(entries) if entries.values().all(Json::is_boolean) => {
                let said: Vec<Json> =
                    entries.iter().filter(|(_, holds)| **holds == Json::Bool(true)).map(|(key, _)| Json::String(key.clone())).collect();
                said.iter().for_each(|element| self.element(name, element, place));
                return;
            }
            other => return self.nonsense(format!("`{name}` is {}, where a set of messages is expected", shown(other)), place),
        };
        elements.into_iter().for_each(|element| self.element(name, element, place));
    }

    fn element(&mut self, name: &str, element: &Json, place: &str) {
        let Some(mut statement) = statement(&self.package.name, element) else {
            return self.nonsense(format!("`{name}` holds {}, where a message is expected", shown(element)), place);
        };
        statement.rule = Some(place.to_string());
        statement.raw = Some(element.clone());
        match name {
            "deny" | "violations" => self.answer.violations.push(statement),
            "requires" => self.answer.requires.push(statement),
            _ => self.answer.warnings.push(statement),
        }
    }

    fn nonsense(&mut self, sentence: String, place: &str) {
        let message = format!("the policy `{}` makes no sense: {sentence}", self.package.name);
        self.answer.violations.push(Statement { rule: Some(place.to_string()), ..Statement::new("policy/nonsense", message) });
    }

    /// An `allow` that isn't true denies, also when nothing else was said against it.
    fn finish(self) {
        if let Some(place) = self.denies
            && self.answer.violations.len() == self.before
        {
            let message = format!("the policy `{}` does not allow it, and gives no reason", self.package.name);
            self.answer.violations.push(Statement { rule: Some(place), ..Statement::new("policy/not-allowed", message) });
        }
    }
}

/// A message alone, or `{"message" or "msg": …, "id": …, "evidence": …}`.
fn statement(package: &str, element: &Json) -> Option<Statement> {
    match element {
        Json::String(message) if !message.trim().is_empty() => Some(Statement::new(package, message.trim())),
        Json::Object(object) => {
            let message = object.get("message").or_else(|| object.get("msg"))?.as_str()?.trim();
            if message.is_empty() {
                return None;
            }
            let id = object.get("id").map_or(Some(package), Json::as_str)?;
            let evidence = match object.get("evidence") {
                None | Some(Json::Null) => Vec::new(),
                Some(Json::Array(elements)) => elements.iter().map(origin).collect(),
                Some(one) => vec![origin(one)],
            };
            Some(Statement { evidence, ..Statement::new(id, message) })
        }
        _ => None,
    }
}

fn origin(value: &Json) -> String {
    let path = value.as_str().or_else(|| value.get("path").and_then(Json::as_str));
    path.map_or_else(|| shown(value), str::to_string)
}

fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
