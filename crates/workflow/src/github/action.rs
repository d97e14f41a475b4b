//! `action.yml`.

use base::yaml::{Entry, Node};

use super::reader::Reader;
use super::{references, step};
use crate::model::{Action, ActionInput, ActionOutput, ActionRuns, Template};
use crate::schema::places;

const KEYS: &[&str] = &["name", "description", "author", "inputs", "outputs", "runs", "branding"];
const COMPOSITE: &[&str] = &["using", "steps"];
const NODE: &[&str] = &["using", "main", "pre", "pre-if", "post", "post-if"];
const DOCKER: &[&str] = &["using", "image", "entrypoint", "args", "env", "pre-entrypoint", "pre-if", "post-entrypoint", "post-if"];
const NODES: [&str; 4] = ["node12", "node16", "node20", "node24"];

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Action> {
    let mapping = reader.mapping("an action", root)?;
    let mut action = Action {
        path: reader.source.name.to_string(),
        name: None,
        description: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        runs: ActionRuns::Composite { steps: Vec::new() },
    };
    let mut runs = None;
    for Entry { key, value } in &mapping.entries {
        match key.text.as_str() {
            "name" => action.name = reader.literal("name", value),
            "description" => action.description = reader.literal("description", value),
            "inputs" => action.inputs = inputs(reader, value),
            "outputs" => action.outputs = outputs(reader, value),
            "runs" => runs = self::runs(reader, value),
            "author" | "branding" => {}
            // The runner lets unknown keys through here, and marketplaces add some.
            _ => {
                let unknown = base::yaml::unknown_key("action/unknown-key", key, KEYS);
                reader.report(base::Diagnostic { severity: base::Severity::Warning, ..unknown });
            }
        }
    }
    if root.get("runs").is_none() {
        reader.missing(root, "runs", "an action");
    }
    action.runs = runs?;
    let unknown = references::of_action(&action, &reader.references);
    reader.diagnostics.extend(unknown);
    Some(action)
}

fn inputs(reader: &mut Reader<'_>, node: &Node) -> Vec<ActionInput> {
    if node.is_null() {
        return Vec::new();
    }
    let Some(mapping) = reader.mapping("inputs", node) else { return Vec::new() };
    let mut inputs = Vec::new();
    for Entry { key, value } in &mapping.entries {
        let mut input = ActionInput { name: key.text.clone(), description: None, required: false, default: None, deprecation: None };
        if !value.is_null()
            && let Some(fields) = reader.mapping(&key.text, value)
        {
            for Entry { key, value } in &fields.entries {
                match key.text.as_str() {
                    "description" => input.description = reader.literal("description", value),
                    "deprecationMessage" => input.deprecation = reader.literal("deprecationMessage", value),
                    // Often written as a text, and nobody minds.
                    "required" => input.required = reader.literal("required", value).is_some_and(|text| text.eq_ignore_ascii_case("true")),
                    "default" => input.default = reader.string("default", value, &places::ACTION_INPUT_DEFAULT),
                    _ => {}
                }
            }
        }
        inputs.push(input);
    }
    inputs
}

fn outputs(reader: &mut Reader<'_>, node: &Node) -> Vec<ActionOutput> {
    if node.is_null() {
        return Vec::new();
    }
    let Some(mapping) = reader.mapping("outputs", node) else { return Vec::new() };
    let mut outputs = Vec::new();
    for Entry { key, value } in &mapping.entries {
        let mut output = ActionOutput { name: key.text.clone(), description: None, value: None };
        if !value.is_null() {
            for Entry { key, value } in reader.closed(&key.text, value, &["description", "value"]).unwrap_or_default() {
                match key.text.as_str() {
                    "value" => output.value = reader.string("value", value, &places::ACTION_OUTPUT_VALUE),
                    _ => output.description = reader.literal("description", value),
                }
            }
        }
        outputs.push(output);
    }
    outputs
}

fn runs(reader: &mut Reader<'_>, node: &Node) -> Option<ActionRuns> {
    reader.mapping("runs", node)?;
    let Some(using) = node.get("using") else {
        reader.missing(node, "using", "`runs`");
        return None;
    };
    let using_text = reader.non_empty_literal("using", using)?.to_lowercase();
    match using_text.as_str() {
        "composite" => composite(reader, node),
        "docker" => docker(reader, node),
        _ if using_text.strip_prefix("node").is_some_and(|version| version.parse::<u32>().is_ok()) => javascript(reader, node, using_text),
        _ => {
            let known: Vec<&str> = ["composite", "docker"].into_iter().chain(NODES).collect();
            reader.choice("using", using, &known);
            None
        }
    }
}

fn composite(reader: &mut Reader<'_>, node: &Node) -> Option<ActionRuns> {
    reader.closed("runs", node, COMPOSITE);
    let Some(steps) = node.get("steps") else {
        reader.missing(node, "steps", "a composite action");
        return None;
    };
    Some(ActionRuns::Composite { steps: step::read_composite(reader, steps) })
}

fn javascript(reader: &mut Reader<'_>, node: &Node, using: String) -> Option<ActionRuns> {
    reader.closed("runs", node, NODE);
    let main = required(reader, node, "main", "a JavaScript action");
    Some(ActionRuns::Node {
        using,
        pre: optional(reader, node, "pre"),
        pre_condition: condition(reader, node, "pre-if"),
        post: optional(reader, node, "post"),
        post_condition: condition(reader, node, "post-if"),
        main: main?,
    })
}

fn docker(reader: &mut Reader<'_>, node: &Node) -> Option<ActionRuns> {
    reader.closed("runs", node, DOCKER);
    let image = required(reader, node, "image", "an action in a container");
    let place = &places::ACTION_RUNS_DOCKER;
    let args = node.get("args").and_then(|args| reader.sequence("args", args)).unwrap_or_default();
    let args: Vec<Template> = args.iter().filter_map(|item| reader.string("args", item, place)).collect();
    Some(ActionRuns::Docker {
        entrypoint: optional(reader, node, "entrypoint"),
        args,
        env: node.get("env").and_then(|env| reader.strings("env", env, place)),
        pre_entrypoint: optional(reader, node, "pre-entrypoint"),
        pre_condition: condition(reader, node, "pre-if"),
        post_entrypoint: optional(reader, node, "post-entrypoint"),
        post_condition: condition(reader, node, "post-if"),
        image: image?,
    })
}

fn required(reader: &mut Reader<'_>, node: &Node, key: &str, what: &str) -> Option<String> {
    if node.get(key).is_none() {
        reader.missing(node, key, what);
    }
    optional(reader, node, key)
}

fn optional(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(|value| reader.non_empty_literal(key, value))
}

/// As written, unlike a step's; without one, what comes before and after always runs.
fn condition(reader: &mut Reader<'_>, node: &Node, key: &str) -> String {
    match node.get(key) {
        Some(value) => reader.bare_condition(key, value, &places::ACTION_RUNS_IF).unwrap_or_default(),
        None => "always()".to_owned(),
    }
}
