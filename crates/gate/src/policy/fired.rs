//! Which rule said it. Rego joins all definitions of a set into one; here each gets a copy under a name of its own,
//! in an engine that is only asked for places: nothing that happens here can change an answer.

use std::collections::BTreeMap;

use base::Source;
use regorus::{Engine, Value};

use super::answer::Answer;
use super::load::{Definition, Package, add, new_engine};
use super::{Policies, ask};

const COPY_PREFIX: &str = "plimsoll_fired_";

pub(super) fn locate(package: &Package, policies: &Policies, input: &Value, answer: &mut Answer) {
    let statements = || answer.violations.iter().chain(&answer.warnings).chain(&answer.requires);
    // Statements of packages asked earlier are found among theirs.
    let said = |name: &str| package.declared.get(name).is_some_and(|place| statements().any(|it| it.rule.as_ref() == Some(place)));
    let mut several: BTreeMap<&str, Vec<&Definition>> = BTreeMap::new();
    for rule in package.files.iter().flat_map(|file| &file.rules).filter(|rule| rule.is_partial && said(rule.name)) {
        several.entry(rule.name).or_default().push(rule);
    }
    several.retain(|_, definitions| definitions.len() > 1);
    if several.is_empty() {
        return;
    }
    let Some(copies) = package.copies.get_or_init(|| Copies::new(package, policies)) else { return };
    let Some(places) = copies.places(|name| several.contains_key(name), &package.path, policies, input) else { return };
    for statement in answer.violations.iter_mut().chain(&mut answer.warnings).chain(&mut answer.requires) {
        let mine = statement.rule.as_ref().is_some_and(|rule| package.declared.values().any(|place| place == rule));
        if mine
            && let Some(raw) = &statement.raw
            && let Some(place) = places.get(&raw.to_string())
        {
            statement.rule = Some(place.clone());
        }
    }
}

/// Every rule of a package that adds to a set, under names of their own. Made when it is asked for the first time.
#[derive(Clone)]
pub(super) struct Copies {
    engine: Engine,
    rules: Vec<Definition>,
}

impl Copies {
    fn new(package: &Package, policies: &Policies) -> Option<Copies> {
        let mut engine = new_engine();
        let mut rules = Vec::new();
        for file in &package.files {
            let mut text = file.source.text.to_string();
            for rule in file.rules.iter().filter(|rule| rule.is_partial) {
                let body = file.source.text.get(rule.head.end..rule.whole.end)?;
                text.push_str(&format!("\n{COPY_PREFIX}{}{body}\n", rules.len()));
                rules.push(rule.clone());
            }
            add_as(&mut engine, &Source::new(file.source.name.clone(), text), file.v0)?;
        }
        let mine: Vec<&str> = package.files.iter().map(|file| &*file.source.name).collect();
        for other in policies.engine.get_policies().ok()?.iter().filter(|other| !mine.contains(&other.get_path().as_str())) {
            add(&mut engine, &Source::new(other.get_path().as_str(), other.get_contents().as_str())).ok()?;
        }
        // The rules are put in order once, not again in every clone.
        engine.eval_query("1".to_string(), false).ok()?;
        Some(Copies { engine, rules })
    }

    /// From what is said to the first rule that says it. Only rules of wanted names are asked, one by one: to ask for the whole package
    /// is to ask everything twice.
    fn places(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        package: &str,
        policies: &Policies,
        input: &Value,
    ) -> Option<BTreeMap<String, String>> {
        let mut engine = self.engine.clone();
        let mut res = BTreeMap::new();
        for (number, rule) in self.rules.iter().enumerate().filter(|(_, rule)| is_wanted(rule.name)) {
            let path = format!("{package}.{COPY_PREFIX}{number}");
            let said = ask::value_of(&mut engine, policies.limit_ms, &path, input).ok()?.map(serde_json::to_value);
            let elements = match said {
                Some(Ok(serde_json::Value::Array(elements))) => elements,
                Some(Ok(serde_json::Value::Object(entries))) => {
                    entries.into_iter().map(|(key, _)| serde_json::Value::String(key)).collect()
                }
                _ => continue,
            };
            for element in elements {
                res.entry(element.to_string()).or_insert_with(|| rule.place.clone());
            }
        }
        Some(res)
    }
}

fn add_as(engine: &mut Engine, source: &Source, v0: bool) -> Option<()> {
    engine.set_rego_v0(v0);
    engine.add_policy(source.name.to_string(), source.text.to_string()).ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_rule_is_told_of_every_document_anew() {
        let text =
            "package plimsoll.team\n\ndeny contains \"a\" if input.a\ndeny contains \"b\" if input.b\ndeny contains \"a\" if input.c\n";
        let policies = Policies::compile(vec![Source::new("policy/team.rego", text)]).expect("the policy is in order");
        let rules = |document: serde_json::Value| -> Vec<(String, String)> {
            let said = policies.evaluate(&document).violations.into_iter().filter(|it| it.id == "plimsoll.team");
            said.map(|it| (it.message, it.rule.unwrap_or_default())).collect()
        };
        let said = |message: &str, line: u32| (message.to_string(), format!("policy/team.rego:{line}"));
        assert_eq!(rules(json!({"b": true})), [said("b", 4)]);
        assert_eq!(rules(json!({"c": true})), [said("a", 5)]);
        assert_eq!(rules(json!({"a": true, "b": true, "c": true})), [said("a", 3), said("b", 4)]);
        assert_eq!(rules(json!({})), []);
    }
}
