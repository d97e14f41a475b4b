//! The top of a configuration: `stages`, `workflow`, `variables`, `default`, and which of its keys are jobs.

use base::Source;
use base::name::nearest;

use super::file::{File, Job};
use super::include::entries;
use super::job;
use super::order;
use super::reader::Reader;
use super::tree::{Key, Tree, Value};
use super::variables::Variable;

/// Keys that are no jobs.
const KEYS: &[&str] = &[
    "default",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "include",
    "spec",
    "types",
];

/// What `default` may set for jobs.
const DEFAULTS: &[&str] = &[
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];

/// The older way to say `default`.
const OLD_DEFAULTS: &[&str] = &["image", "services", "before_script", "after_script", "cache"];

const STAGES: [&str; 3] = ["build", "test", "deploy"];

pub(super) fn file(reader: &mut Reader, tree: &Tree, sources: Vec<Source>) -> File {
    let stages = stages(reader, tree);
    let mut file = File { sources, stages, name: None, rules: None, variables: Vec::new(), jobs: Vec::new() };
    if let Some(variables) = tree.get("variables").filter(|tree| !tree.is_null()) {
        file.variables = self::variables(reader, "variables", variables, true);
    }
    if let Some(workflow) = tree.get("workflow").filter(|tree| !tree.is_null()) {
        for (key, value) in reader.closed("workflow", workflow, &["name", "rules", "auto_cancel"]) {
            match key.text.as_str() {
                "name" => file.name = reader.text("name", value).map(|name| (name, value.place)),
                "rules" => file.rules = Some(job::rules(reader, value)),
                // Nothing cancels a pipeline here but people.
                _ => drop(reader.closed("auto_cancel", value, &["on_new_commit", "on_job_failure"])),
            }
        }
    }
    let defaults = defaults(reader, tree);
    let mut names = Vec::new();
    for (key, value) in tree.map().unwrap_or_default() {
        if KEYS.contains(&key.text.as_str()) || key.text.starts_with('.') {
            continue;
        }
        names.push(key.text.as_str());
        file.jobs.extend(visible(reader, key, value, &defaults, &file.stages));
    }
    order::check(reader, &file, &names);
    if file.jobs.is_empty() && reader.problems.is_empty() {
        reader.error("gitlab/no-jobs", tree.place, "there is no job in this file");
    }
    file
}

fn visible(reader: &mut Reader, key: &Key, value: &Tree, defaults: &[(Key, Tree)], stages: &[String]) -> Option<Job> {
    const NAME_MAX: usize = 255;
    let looks_like_a_job = value.map().is_some();
    if !looks_like_a_job {
        match nearest(&key.text, KEYS.iter().copied()) {
            Some(near) => {
                reader.hinted("gitlab/unknown-key", key.place, format!("unknown key `{}`", key.text), format!("did you mean `{near}`?"));
            }
            None => reader.hinted(
                "gitlab/unknown-key",
                key.place,
                format!("`{}` is neither a key that is known nor a job", key.text),
                "a job is a mapping with `script`; begin the name with a dot to hide anything else",
            ),
        }
        return None;
    }
    if key.text.is_empty() || key.text.chars().count() > NAME_MAX {
        reader.error("gitlab/value", key.place, format!("a job's name has 1 to {NAME_MAX} letters"));
        return None;
    }
    if let Some(near) = nearest(&key.text, KEYS.iter().copied()).filter(|_| value.get("script").is_none() && value.get("trigger").is_none())
    {
        reader.hinted(
            "gitlab/unknown-key",
            key.place,
            format!("`{}` is no job, for it has no `script`, and no key that is known", key.text),
            format!("did you mean `{near}`?"),
        );
        return None;
    }
    job::read(reader, key, &with_defaults(value, defaults), stages)
}

/// The job with the defaults it takes for what it doesn't say itself; they replace whole keys.
fn with_defaults(job: &Tree, defaults: &[(Key, Tree)]) -> Tree {
    let inherit = job.get("inherit").and_then(|inherit| inherit.get("default"));
    let takes = |name: &str| match inherit.map(|inherit| &inherit.value) {
        Some(Value::Bool(all)) => *all,
        Some(Value::List(_)) => inherit.into_iter().flat_map(entries).any(|item| item.as_text() == Some(name)),
        _ => true,
    };
    let own = |name: &str| job.get(name).is_some_and(|value| !value.is_null());
    let mut tree = job.clone();
    let Value::Map(keys) = &mut tree.value else { return tree };
    for (key, value) in defaults {
        if takes(&key.text) && !own(&key.text) {
            keys.retain(|(known, _)| known.text != key.text);
            keys.push((key.clone(), value.clone()));
        }
    }
    tree
}

fn defaults(reader: &mut Reader, tree: &Tree) -> Vec<(Key, Tree)> {
    let mut defaults: Vec<(Key, Tree)> = Vec::new();
    if let Some(default) = tree.get("default").filter(|tree| !tree.is_null()) {
        defaults.extend(reader.closed("default", default, DEFAULTS).into_iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    for (key, value) in tree.map().unwrap_or_default() {
        let given = defaults.iter().any(|(known, _)| known.text == key.text);
        if OLD_DEFAULTS.contains(&key.text.as_str()) && !given && !value.is_null() {
            defaults.push((key.clone(), value.clone()));
        }
    }
    defaults
}

/// `.pre` comes first and `.post` last, whether they are named or not.
fn stages(reader: &mut Reader, tree: &Tree) -> Vec<String> {
    let given = tree.get("stages").or(tree.get("types")).filter(|tree| !tree.is_null());
    let mut stages: Vec<String> = match given {
        Some(tree) if tree.map().is_some() || tree.text().is_some() => {
            reader.wrong_type("stages", tree, "a list of names");
            Vec::new()
        }
        Some(tree) => reader.plain_texts("stages", tree),
        None => STAGES.map(str::to_string).to_vec(),
    };
    stages.retain(|stage| stage != ".pre" && stage != ".post");
    let mut seen = std::collections::BTreeSet::new();
    stages.retain(|stage| seen.insert(stage.clone()));
    stages.insert(0, ".pre".to_string());
    stages.push(".post".to_string());
    stages
}

/// A mapping of names to values, or to mappings with `value`.
pub(super) fn variables(reader: &mut Reader, name: &str, tree: &Tree, global: bool) -> Vec<Variable> {
    let Some(map) = tree.map() else {
        reader.wrong_type(name, tree, "a mapping");
        return Vec::new();
    };
    let mut variables = Vec::new();
    for (key, value) in map {
        let mut variable = Variable::new(&key.text, "");
        if value.map().is_some() {
            let known: &[&str] = if global { &["value", "description", "options", "expand"] } else { &["value", "expand"] };
            let mut options = None;
            for (inner, value) in reader.closed(&key.text, value, known) {
                match inner.text.as_str() {
                    "value" => variable.value = reader.text("value", value).unwrap_or_default(),
                    "expand" => variable.raw = reader.flag("expand", value) == Some(false),
                    "options" => options = Some((reader.plain_texts("options", value), value.place)),
                    _ => drop(reader.text("description", value)),
                }
            }
            if let Some((options, place)) = options
                && !options.contains(&variable.value)
            {
                reader.error("gitlab/value", place, format!("the value `{}` of `{}` is not among its options", variable.value, key.text));
            }
        } else if !value.is_null() {
            match value.text() {
                Some(text) => variable.value = text,
                None => reader.wrong_type(&key.text, value, "a text"),
            }
        }
        variables.push(variable);
    }
    variables
}
