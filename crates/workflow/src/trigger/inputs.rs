//! The inputs of `workflow_dispatch`: typed, with defaults, and refused with a sentence each.

use base::name::nearest;
use serde_json::{Map, Value as Json};

use crate::model::Workflow;

/// The `inputs` context for what was given: booleans and numbers are such, the rest is text.
///
/// # Errors
/// One sentence for every input that is missing, unknown or not of its type.
pub fn dispatch_inputs(workflow: &Workflow, given: &Map<String, Json>) -> Result<Json, Vec<String>> {
    let empty = Map::new();
    let declared = workflow.on.iter().find(|trigger| trigger.event == "workflow_dispatch");
    let declared = declared.and_then(|trigger| trigger.config.get("inputs")).and_then(Json::as_object).unwrap_or(&empty);
    let mut inputs = Map::new();
    let mut wrong = Vec::new();
    for key in given.keys().filter(|key| declared_key(declared, key).is_none()) {
        let suggestion = nearest(key, declared.keys().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
        let known = || match declared.is_empty() {
            true => "; it has none".to_string(),
            false => format!("; there are {}", declared.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        wrong.push(format!("`{}` has no input `{key}`{}", workflow.path, suggestion.unwrap_or_else(known)));
    }
    for (name, config) in declared {
        let value = given.iter().find(|(key, _)| declared_key(declared, key) == Some(name)).map(|(_, value)| value);
        match input(name, config, value) {
            Ok(value) => drop(inputs.insert(name.clone(), value)),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(Json::Object(inputs)) } else { Err(wrong) }
}

/// `github.event.inputs` for the same inputs: there all of them are texts.
pub fn dispatch_inputs_as_text(inputs: &Json) -> Json {
    let empty = Map::new();
    let inputs = inputs.as_object().unwrap_or(&empty);
    inputs.iter().map(|(name, value)| (name.clone(), Json::String(text(value)))).collect::<Map<_, _>>().into()
}

/// Names of inputs are the same in whatever case they are written.
fn declared_key<'a>(declared: &'a Map<String, Json>, key: &str) -> Option<&'a String> {
    declared.keys().find(|name| name.eq_ignore_ascii_case(key))
}

fn input(name: &str, config: &Json, given: Option<&Json>) -> Result<Json, String> {
    let kind = config.get("type").and_then(Json::as_str).unwrap_or("string");
    let required = config.get("required") == Some(&Json::Bool(true));
    let default = config.get("default").filter(|default| !default.is_null());
    let options: Vec<String> = config.get("options").and_then(Json::as_array).into_iter().flatten().map(text).collect();
    let given = given.filter(|value| !text(value).is_empty());
    let Some(value) = given.or(default).map(text) else {
        return match kind {
            _ if required => Err(format!("the input `{name}` is required: `--input {name}=VALUE` gives it")),
            "boolean" => Ok(Json::Bool(false)),
            "number" => Ok(Json::from(0)),
            // A list that people pick from starts with its first entry.
            "choice" => Ok(options.first().cloned().unwrap_or_default().into()),
            _ => Ok(Json::String(String::new())),
        };
    };
    match kind {
        "boolean" => match value.as_str() {
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            _ => Err(format!("the input `{name}` is `true` or `false`, not `{value}`")),
        },
        "number" => {
            let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            number
                .map(|number| crate::expr::Value::Number(number).to_json())
                .ok_or_else(|| format!("the input `{name}` is a number, not `{value}`"))
        }
        "choice" if !options.contains(&value) => Err(format!("the input `{name}` is one of {}, not `{value}`", listed(&options))),
        _ => Ok(Json::String(value)),
    }
}

fn listed(options: &[String]) -> String {
    options.iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", ")
}

fn text(value: &Json) -> String {
    crate::expr::Value::from_json(value).text()
}
