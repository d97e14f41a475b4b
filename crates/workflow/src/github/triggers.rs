//! `on:`.

use base::yaml::{Entry, Key, Node, Value};
use base::{Diagnostic, Severity, Span};
use serde_json::{Map, Value as Json};

use super::reader::Reader;
use crate::expr;
use crate::model::{CallInput, CallSecret, InputKind, Interface, Template, Trigger};
use crate::schema::places::{CALL_INPUT_DEFAULT, CALL_OUTPUT_VALUE};
use crate::schema::{cron, events};
use crate::token;

/// The events, and what `workflow_call` declares where it is among them.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> (Vec<Trigger>, Option<Interface>) {
    let mut interface = None;
    let triggers: Vec<Trigger> = match node.value() {
        Value::Sequence(items) => items.iter().filter_map(|item| named(reader, item)).collect(),
        Value::Mapping(mapping) => mapping.entries.iter().filter_map(|entry| configured(reader, entry, &mut interface)).collect(),
        Value::String(_) => named(reader, node).into_iter().collect(),
        _ => {
            reader.wrong_type("on", node, "an event, a list of events, or a mapping of events");
            Vec::new()
        }
    };
    if interface.is_none() && triggers.iter().any(|trigger| trigger.event == "workflow_call") {
        interface = Some(Interface::default());
    }
    (triggers, interface)
}

fn named(reader: &mut Reader<'_>, node: &Node) -> Option<Trigger> {
    let event = reader.non_empty_literal("on", node)?;
    known(reader, &event, node.span).then(|| Trigger { event, config: Map::new(), span: node.span })
}

fn configured(reader: &mut Reader<'_>, entry: &Entry, interface: &mut Option<Interface>) -> Option<Trigger> {
    let Entry { key, value } = entry;
    let event = key.text.clone();
    if event.contains("${{") {
        reader.error("workflow/expression", key.span, "an event can't be an expression");
        return None;
    }
    if !known(reader, &event, key.span) {
        return None;
    }
    match event.as_str() {
        "schedule" => schedule(reader, value),
        _ if value.is_null() => {}
        "workflow_call" => *interface = Some(workflow_call(reader, value)),
        "workflow_dispatch" => workflow_dispatch(reader, value),
        _ => filters(reader, &event, value),
    }
    let config = match to_json(value) {
        Json::Object(config) => config,
        Json::Null => Map::new(),
        // `schedule` has a list below it; a mapping is what the model has.
        list => Map::from_iter([("items".to_owned(), list)]),
    };
    Some(Trigger { event, config, span: key.span })
}

fn known(reader: &mut Reader<'_>, event: &str, span: Span) -> bool {
    let known = events::names().any(|name| name == event);
    if !known {
        let diagnostic = Diagnostic::error("workflow/event", span, format!("there is no event `{event}`"));
        reader.report(match base::name::nearest(event, events::names()) {
            Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
            None => diagnostic,
        });
    }
    known
}

fn filters(reader: &mut Reader<'_>, name: &str, node: &Node) {
    let event = events::event(name).expect("the event was looked up before");
    if event.keys.is_empty() {
        reader.error("workflow/wrong-type", node.span, format!("nothing can stand below `{name}`"));
        return;
    }
    for Entry { key, value } in reader.closed(name, node, event.keys).unwrap_or_default() {
        let key_name = key.text.as_str();
        if key_name != "types" || event.types.is_empty() {
            reader.literals(key_name, value);
            continue;
        }
        let items = value.as_sequence().unwrap_or(std::slice::from_ref(value));
        for item in items {
            reader.choice("types", item, event.types);
        }
    }
    for filter in ["branches", "tags", "paths"] {
        let ignored = format!("{filter}-ignore");
        if let (Some(_), Some(second)) = (node.get(filter), node.as_mapping().and_then(|mapping| mapping.entry(&ignored))) {
            let message = format!("`{filter}` and `{ignored}` can't both be given");
            let hint = format!("exclude inside of `{filter}` with a pattern that starts with `!`");
            reader.report(Diagnostic::error("workflow/conflict", second.key.span, message).hint(hint));
        }
    }
}

fn schedule(reader: &mut Reader<'_>, node: &Node) {
    for item in reader.sequence("schedule", node).unwrap_or_default() {
        for Entry { key, value } in reader.closed("an entry of `schedule`", item, &["cron", "timezone"]).unwrap_or_default() {
            let Some(text) = reader.non_empty_literal(&key.text, value) else { continue };
            if key.text != "cron" {
                continue;
            }
            if let Some((at, message)) = cron::complaint(&text) {
                let written = reader.source.text.get(value.span.start..value.span.end);
                let start = written.and_then(|written| written.find(text.as_str())).map(|offset| value.span.start + offset);
                let span = start.map_or(value.span, |start| Span::new(start + at.start, start + at.end));
                reader.error("workflow/cron", span, message);
            }
        }
        if item.as_mapping().is_some() && item.get("cron").is_none() {
            reader.missing(item, "cron", "an entry of `schedule`");
        }
    }
}

fn workflow_call(reader: &mut Reader<'_>, node: &Node) -> Interface {
    let mut interface = Interface::default();
    for Entry { key, value } in reader.closed("workflow_call", node, &["inputs", "outputs", "secrets"]).unwrap_or_default() {
        if value.is_null() {
            continue;
        }
        let Some(definitions) = reader.mapping(&key.text, value) else { continue };
        for Entry { key: id, value: definition } in &definitions.entries {
            if id.text.is_empty() {
                reader.error("workflow/value", id.span, "a key is empty");
            }
            match key.text.as_str() {
                "inputs" => interface.inputs.extend(call_input(reader, id, definition)),
                "outputs" => interface.outputs.extend(call_output(reader, &id.text, definition)),
                _ => interface.secrets.push(call_secret(reader, id, definition)),
            }
        }
    }
    interface
}

fn call_input(reader: &mut Reader<'_>, id: &Key, node: &Node) -> Option<CallInput> {
    const TYPES: &[&str] = &["boolean", "number", "string"];
    let mut input = CallInput { name: id.text.clone(), kind: InputKind::String, required: false, default: None, span: id.span };
    for Entry { key, value } in reader.closed(&id.text, node, &["description", "required", "type", "default"])? {
        match key.text.as_str() {
            "type" => {
                input.kind = match reader.choice("type", value, TYPES).as_deref() {
                    Some("boolean") => InputKind::Boolean,
                    Some("number") => InputKind::Number,
                    _ => InputKind::String,
                }
            }
            "required" => input.required = reader.flag("required", value).unwrap_or_default(),
            "default" => {
                // A literal keeps its type, so that `default: true` is no text.
                reader.text("default", value);
                input.default = reader.any("default", value, &CALL_INPUT_DEFAULT);
            }
            _ => drop(reader.literal(&key.text, value)),
        }
    }
    if node.get("type").is_none() {
        reader.missing(node, "type", &format!("the input `{}`", id.text));
    }
    Some(input)
}

fn call_output(reader: &mut Reader<'_>, id: &str, node: &Node) -> Option<(String, Template)> {
    let mut output = None;
    for Entry { key, value } in reader.closed(id, node, &["description", "value"])? {
        match key.text.as_str() {
            "value" => output = reader.string("value", value, &CALL_OUTPUT_VALUE),
            _ => drop(reader.literal(&key.text, value)),
        }
    }
    if node.get("value").is_none() {
        reader.missing(node, "value", &format!("the output `{id}`"));
    }
    Some((id.to_owned(), output?))
}

fn call_secret(reader: &mut Reader<'_>, id: &Key, node: &Node) -> CallSecret {
    let mut secret = CallSecret { name: id.text.clone(), required: false, span: id.span };
    if id.text.eq_ignore_ascii_case(token::NAME) {
        let message = format!("`{}` can't be declared: every job has its own token under that name, and no caller passes it", id.text);
        reader.error("workflow/call-secret", id.span, message);
    }
    if node.is_null() {
        return secret;
    }
    for Entry { key, value } in reader.closed(&id.text, node, &["description", "required"]).unwrap_or_default() {
        match key.text.as_str() {
            "required" => secret.required = reader.flag("required", value).unwrap_or_default(),
            _ => drop(reader.literal(&key.text, value)),
        }
    }
    secret
}

fn workflow_dispatch(reader: &mut Reader<'_>, node: &Node) {
    let Some(mapping) = reader.mapping("workflow_dispatch", node) else { return };
    for Entry { key, value } in &mapping.entries {
        if key.text != "inputs" {
            // GitHub lets it through, so it is no error.
            let unknown = base::yaml::unknown_key("workflow/unknown-key", key, &["inputs"]);
            reader.report(Diagnostic { severity: Severity::Warning, ..unknown });
            continue;
        }
        if value.is_null() {
            continue;
        }
        let Some(inputs) = reader.mapping("inputs", value) else { continue };
        for Entry { key, value } in &inputs.entries {
            if !value.is_null() {
                dispatch_input(reader, &key.text, value);
            }
        }
    }
}

fn dispatch_input(reader: &mut Reader<'_>, id: &str, node: &Node) {
    const TYPES: &[&str] = &["string", "boolean", "choice", "environment", "number"];
    const KEYS: &[&str] = &["description", "required", "type", "default", "options", "deprecationMessage"];
    for Entry { key, value } in reader.closed(id, node, KEYS).unwrap_or_default() {
        match key.text.as_str() {
            "type" => drop(reader.choice("type", value, TYPES)),
            "required" => drop(reader.flag("required", value)),
            "options" => {
                for item in reader.sequence("options", value).unwrap_or_default() {
                    reader.literal("options", item);
                }
            }
            _ => drop(reader.literal(&key.text, value)),
        }
    }
    let is_choice = node.get("type").and_then(Node::as_str) == Some("choice");
    if is_choice && node.get("options").is_none() {
        reader.missing(node, "options", &format!("the input `{id}`, a choice,"));
    }
}

/// What was written, as plain data: whole numbers are integers.
fn to_json(node: &Node) -> Json {
    match node.value() {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Number(number) => expr::Value::Number(*number).to_json(),
        Value::String(text) => Json::String(text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Mapping(mapping) => {
            Json::Object(mapping.entries.iter().map(|entry| (entry.key.text.clone(), to_json(&entry.value))).collect())
        }
    }
}
