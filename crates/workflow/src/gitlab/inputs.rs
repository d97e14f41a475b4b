//! `spec:inputs` of a file, and `$[[ inputs.name ]]` in it.

use std::collections::BTreeMap;

use base::name::nearest;

use super::expression;
use super::tree::{Key, Place, Problem, Tree, Value, error};

impl Tree {
    /// A text that stands in no file.
    pub(super) fn plain(text: &str) -> Tree {
        Tree { place: Place::default(), value: Value::Text(text.to_string()) }
    }
}

/// Puts what is given, or else the defaults, into the content; whatever is missing or wrong is said where the file was included.
pub(super) fn interpolate(header: &Tree, content: &mut Tree, given: &BTreeMap<String, Tree>, from: Place, problems: &mut Vec<Problem>) {
    let declared = header.get("spec").and_then(|spec| spec.get("inputs")).and_then(Tree::map).unwrap_or_default();
    let mut values = BTreeMap::new();
    for name in given.keys().filter(|name| !declared.iter().any(|(key, _)| key.text == **name)) {
        let hint = nearest(name, declared.iter().map(|(key, _)| key.text.as_str())).map(|near| format!("did you mean `{near}`?"));
        let (file, problem) = error("gitlab/inputs", given[name].place.or(from), format!("the file has no input `{name}`"));
        problems.push((file, if let Some(hint) = hint { problem.hint(hint) } else { problem }));
    }
    for (key, spec) in declared {
        match value(key, spec, given.get(&key.text), from) {
            Ok(value) => drop(values.insert(key.text.clone(), value)),
            Err(problem) => problems.push(problem),
        }
    }
    visit(content, &values, problems);
}

fn value(key: &Key, spec: &Tree, given: Option<&Tree>, from: Place) -> Result<Tree, Problem> {
    let name = &key.text;
    let wrong = |place: Place, message: String| Err(error("gitlab/inputs", place, message));
    let Some(value) = given.or(spec.get("default")) else {
        return wrong(from, format!("the input `{name}` has to be given"));
    };
    let place = given.map_or(value.place, |given| given.place.or(from));
    let kind = spec.get("type").and_then(Tree::as_text).unwrap_or("string");
    let text = value.text();
    let fits = match (kind, &value.value) {
        ("string", Value::Text(_) | Value::Null)
        | ("number", Value::Number(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::List(_)) => true,
        // What is typed on the command line is a text whatever it means.
        ("number", Value::Text(text)) => given.is_some() && text.parse::<f64>().is_ok(),
        ("boolean", Value::Text(text)) => given.is_some() && matches!(text.as_str(), "true" | "false"),
        _ => false,
    };
    if !fits {
        return wrong(place, format!("the input `{name}` must be of type {kind}, not {}", value.kind()));
    }
    let options =
        spec.get("options").map(|options| super::include::entries(options).into_iter().filter_map(Tree::text).collect::<Vec<_>>());
    if let (Some(options), Some(text)) = (&options, &text)
        && !options.contains(text)
    {
        return wrong(place, format!("the input `{name}` can't be `{text}`: it is one of `{}`", options.join("`, `")));
    }
    if let (Some(pattern), Some(text)) = (spec.get("regex").and_then(Tree::text), &text) {
        let pattern = if pattern.starts_with('/') { pattern } else { format!("/{}/", pattern.replace('/', "\\/")) };
        if expression::regex(&pattern).is_ok_and(|regex| !regex.is_match(text)) {
            return wrong(place, format!("the input `{name}` can't be `{text}`: it doesn't match {pattern}"));
        }
    }
    Ok(value.clone())
}

impl Place {
    /// This place, or the other one when it is none.
    fn or(self, other: Place) -> Place {
        if self == Place::default() { other } else { self }
    }
}

fn visit(tree: &mut Tree, values: &BTreeMap<String, Tree>, problems: &mut Vec<Problem>) {
    match &mut tree.value {
        Value::List(items) | Value::Reference(items) => items.iter_mut().for_each(|item| visit(item, values, problems)),
        Value::Map(entries) => {
            for (key, value) in entries {
                if key.text.contains("$[[") {
                    match replace(&key.text, key.place, values) {
                        Ok(new) => key.text = new.text().unwrap_or_default(),
                        Err(problem) => problems.push(problem),
                    }
                }
                visit(value, values, problems);
            }
        }
        Value::Text(text) if text.contains("$[[") => match replace(text, tree.place, values) {
            Ok(new) => tree.value = new.value,
            Err(problem) => problems.push(problem),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

/// An input alone keeps its type; among other text it becomes text.
fn replace(text: &str, place: Place, values: &BTreeMap<String, Tree>) -> Result<Tree, Problem> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("$[[") {
        let Some((inner, after)) = behind.split_once("]]") else {
            return Err(error("gitlab/inputs", place, "this `$[[` isn't closed by `]]`"));
        };
        let value = one(inner, place, values)?;
        if before.is_empty() && after.is_empty() && out.is_empty() {
            return Ok(Tree { place, value: value.value });
        }
        let Some(shown) = value.text().or(value.is_null().then(String::new)) else {
            return Err(error("gitlab/inputs", place, format!("{} can't stand within a text", value.kind())));
        };
        out.push_str(before);
        out.push_str(&shown);
        rest = after;
    }
    out.push_str(rest);
    Ok(Tree { place, value: Value::Text(out) })
}

/// `inputs.name`, with functions behind `|`.
fn one(inner: &str, place: Place, values: &BTreeMap<String, Tree>) -> Result<Tree, Problem> {
    let mut parts = inner.split('|').map(str::trim);
    let access = parts.next().unwrap_or_default();
    let wrong = |message: String| error("gitlab/inputs", place, message);
    let name = access.strip_prefix("inputs.").ok_or_else(|| wrong(format!("`{access}` isn't known here: `inputs.NAME` is")))?;
    let mut value = values.get(name).cloned().ok_or_else(|| match nearest(name, values.keys().map(String::as_str)) {
        Some(near) => wrong(format!("there is no input `{name}`; did you mean `{near}`?")),
        None => wrong(format!("there is no input `{name}`")),
    })?;
    for function in parts {
        let arguments = function.strip_prefix("truncate(").and_then(|rest| rest.strip_suffix(')'));
        if let Some((from, length)) = arguments.and_then(|arguments| arguments.split_once(',')) {
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong(format!("`{}` isn't a number", text.trim())));
            let text = value.text().unwrap_or_default().chars().skip(number(from)?).take(number(length)?).collect();
            value = Tree { place, value: Value::Text(text) };
        } else if function == "posix_escape" {
            value = Tree { place, value: Value::Text(format!("'{}'", value.text().unwrap_or_default().replace('\'', "'\\''"))) };
        } else if function != "expand_vars" {
            // Variables in the value are expanded wherever it ends up, so `expand_vars` has nothing left to do.
            return Err(wrong(format!(
                "there is no function `{function}`; known are `expand_vars`, `truncate(FROM, LENGTH)` and `posix_escape`"
            )));
        }
    }
    Ok(value)
}
