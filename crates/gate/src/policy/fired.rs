//! Which rule said it. Rego joins all definitions of a set into one; here each gets a copy under a name of its own,
//! in an engine that is only asked for places: nothing that happens here can change an answer.

use std::collections::BTreeMap;

use base::Source;
use regorus::Value;

use super::answer::Answer;
use super::load::{Definition, Package, add, new_engine};
use super::{Policies, ask};

const COPY_PREFIX: &str = "plimsoll_fired_";

pub(super) fn locate(package: &Package, policies: &Policies, input: &Value, answer: &mut Answer) {
    let definitions: Vec<&Definition> = package.files.iter().flat_map(|file| &file.rules).filter(|rule| rule.is_partial).collect();
    let mut several: BTreeMap<&str, usize> = BTreeMap::new();
    definitions.iter().for_each(|definition| *several.entry(definition.name).or_default() += 1);
    if several.values().all(|count| *count < 2) {
        return;
    }
    let Some(places) = places(package, &definitions, policies, input) else { return };
    for statement in answer.violations.iter_mut().chain(&mut answer.warnings).chain(&mut answer.requires) {
        // Statements of packages asked earlier are found among theirs.
        let mine = statement.rule.as_ref().is_some_and(|rule| package.declared.values().any(|place| place == rule));
        if mine
            && let Some(raw) = &statement.raw
            && let Some(place) = places.get(&raw.to_string())
        {
            statement.rule = Some(place.clone());
        }
    }
}

/// From what is said to the first rule that says it.
fn places(package: &Package, definitions: &[&Definition], policies: &Policies, input: &Value) -> Option<BTreeMap<String, String>> {
    let mut engine = new_engine();
    let mut number = 0;
    for file in &package.files {
        let mut text = file.source.text.to_string();
        for rule in file.rules.iter().filter(|rule| rule.is_partial) {
            let body = file.source.text.get(rule.head.end..rule.whole.end)?;
            text.push_str(&format!("\n{COPY_PREFIX}{number}{body}\n"));
            number += 1;
        }
        add_as(&mut engine, &Source::new(file.source.name.clone(), text), file.v0)?;
    }
    let mine: Vec<&str> = package.files.iter().map(|file| &*file.source.name).collect();
    for other in policies.engine.get_policies().ok()?.iter().filter(|other| !mine.contains(&other.get_path().as_str())) {
        add(&mut engine, &Source::new(other.get_path().as_str(), other.get_contents().as_str())).ok()?;
    }
    let value = ask::value_of(engine, policies.limit_ms, &package.path, input).ok()??;
    let object = value.as_object().ok()?;
    let mut res = BTreeMap::new();
    for (number, definition) in definitions.iter().enumerate() {
        let said = object.get(&Value::from(format!("{COPY_PREFIX}{number}"))).map(serde_json::to_value);
        let elements = match said {
            Some(Ok(serde_json::Value::Array(elements))) => elements,
            Some(Ok(serde_json::Value::Object(entries))) => entries.into_iter().map(|(key, _)| serde_json::Value::String(key)).collect(),
            _ => continue,
        };
        for element in elements {
            res.entry(element.to_string()).or_insert_with(|| definition.place.clone());
        }
    }
    Some(res)
}

fn add_as(engine: &mut regorus::Engine, source: &Source, v0: bool) -> Option<()> {
    engine.set_rego_v0(v0);
    engine.add_policy(source.name.to_string(), source.text.to_string()).ok().map(|_| ())
}
