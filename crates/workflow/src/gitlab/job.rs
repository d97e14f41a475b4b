//! One job of a configuration.

use base::name::nearest;

use super::expression::{self, Expression};
use super::file::{
    AllowFailure, Artifacts, ArtifactsWhen, Cache, CacheKey, Combination, Environment, Job, Need, Parallel, Policy, Retry, Rule, Trigger,
    When,
};
use super::image;
use super::include::entries;
use super::read::variables;
use super::reader::Reader;
use super::tree::{Key, Place, Tree, Value};

const KEYS: &[&str] = &[
    "after_script",
    "allow_failure",
    "artifacts",
    "before_script",
    "cache",
    "coverage",
    "dast_configuration",
    "dependencies",
    "environment",
    "except",
    "extends",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "inherit",
    "interruptible",
    "manual_confirmation",
    "needs",
    "only",
    "pages",
    "parallel",
    "publish",
    "release",
    "resource_group",
    "retry",
    "rules",
    "run",
    "script",
    "secrets",
    "services",
    "stage",
    "start_in",
    "tags",
    "timeout",
    "trigger",
    "variables",
    "when",
];

const WHEN: &[&str] = &["on_success", "on_failure", "always", "manual", "delayed", "never"];

const REPORTS: &[&str] = &[
    "accessibility",
    "annotations",
    "api_fuzzing",
    "browser_performance",
    "codequality",
    "container_scanning",
    "coverage_fuzzing",
    "coverage_report",
    "cyclonedx",
    "dast",
    "dependency_scanning",
    "dotenv",
    "junit",
    "license_scanning",
    "load_performance",
    "lsif",
    "metrics",
    "performance",
    "repository_xray",
    "requirements",
    "requirements_v2",
    "sast",
    "secret_detection",
    "terraform",
];

const RETRY_WHEN: &[&str] = &[
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "runner_unsupported",
    "stale_schedule",
    "job_execution_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
];

pub(super) fn read(reader: &mut Reader, key: &Key, tree: &Tree, stages: &[String]) -> Option<Job> {
    let mut job = Job {
        name: key.text.clone(),
        place: key.place,
        stage: "test".to_string(),
        before_sources: Vec::new(),
        before_script: Vec::new(),
        script: Vec::new(),
        after_script: Vec::new(),
        when: When::OnSuccess,
        start_in_ms: None,
        allow_failure: None,
        rules: None,
        only: None,
        except: None,
        needs: None,
        dependencies: None,
        variables: Vec::new(),
        inherited: None,
        artifacts: None,
        caches: Vec::new(),
        image: None,
        services: Vec::new(),
        parallel: Parallel::No,
        retry: None,
        timeout_ms: None,
        environment: None,
        id_tokens: Vec::new(),
        coverage: None,
        resource_group: None,
        trigger: None,
        unsupported: Vec::new(),
    };
    let mut stage = None;
    for (key, value) in reader.closed(&key.text, tree, KEYS) {
        let name = key.text.as_str();
        match name {
            "stage" => stage = reader.text(name, value).map(|stage| (stage, value.place)),
            "before_script" => job.before_script = reader.plain_texts(name, value),
            "script" => job.script = reader.plain_texts(name, value),
            "after_script" => job.after_script = reader.plain_texts(name, value),
            // `never` stands in rules alone.
            "when" => job.when = when(reader, value, &WHEN[..5]).unwrap_or_default(),
            "start_in" => job.start_in_ms = reader.duration_ms(name, value),
            "allow_failure" => job.allow_failure = allow_failure(reader, value),
            "rules" => job.rules = Some(rules(reader, value)),
            "only" => job.only = policy(reader, name, value),
            "except" => job.except = policy(reader, name, value),
            "needs" => job.needs = Some(needs(reader, value, &mut job.unsupported)),
            "dependencies" => job.dependencies = Some(reader.texts(name, value)),
            "variables" => job.variables = variables(reader, name, value, false),
            "inherit" => inherit(reader, value, &mut job),
            "artifacts" => job.artifacts = artifacts(reader, value),
            "cache" => job.caches = caches(reader, value),
            "image" => job.image = image::read(reader, name, value),
            "services" => job.services = entries(value).into_iter().filter_map(|item| image::read(reader, name, item)).collect(),
            "parallel" => job.parallel = parallel(reader, value),
            "retry" => job.retry = retry(reader, value),
            "timeout" => job.timeout_ms = reader.duration_ms(name, value),
            "environment" => job.environment = environment(reader, value),
            "coverage" => job.coverage = coverage(reader, value),
            "resource_group" => job.resource_group = reader.text(name, value),
            "interruptible" => drop(reader.flag(name, value)),
            "tags" => drop(reader.texts(name, value)),
            "trigger" => job.trigger = trigger(reader, key.place, value, &mut job.unsupported),
            "release" => job.unsupported.push((key.place, "`release`, which makes a release on the forge,".to_string())),
            "secrets" => job.unsupported.push((key.place, "`secrets`, which come from a vault,".to_string())),
            "id_tokens" => job.id_tokens = id_tokens(reader, value),
            "identity" => job.unsupported.push((key.place, "`identity`".to_string())),
            "run" => job.unsupported.push((key.place, "`run` with CI/CD steps".to_string())),
            "hooks" => {
                for (key, value) in reader.closed(name, value, &["pre_get_sources_script"]) {
                    job.before_sources = reader.plain_texts(&key.text, value);
                }
            }
            "dast_configuration" => job.unsupported.push((key.place, "`dast_configuration`".to_string())),
            _ => {}
        }
    }
    if let Some(trigger) = &job.trigger {
        // Those of `default`; a child has its own.
        (job.image, job.services) = (None, Vec::new());
        if job.environment.take().is_some() {
            // No job of the child would be what its protection and the release hold.
            job.unsupported.push((place_of(tree, "environment"), "`environment` of a job with `trigger`".to_string()));
        }
        if job.resource_group.is_some() && !trigger.depend {
            let message = "`resource_group` holds nobody up here: without `strategy: depend` the job is over once the child has begun";
            reader.warning("gitlab/trigger", place_of(tree, "resource_group"), message);
        }
    }
    let has = |key: &str| tree.get(key).is_some_and(|value| !value.is_null());
    if !has("script") && !has("trigger") && !has("run") {
        reader.error("gitlab/missing-key", key.place, format!("the job `{}` needs `script`, `run` or `trigger`", key.text));
    } else if let Some(script) = tree.get("script").filter(|script| matches!(&script.value, Value::List(items) if items.is_empty())) {
        reader.error("gitlab/value", script.place, "`script` is empty");
    }
    for other in ["script", "before_script", "after_script", "image", "services", "artifacts", "cache"] {
        // What `default` sets is nothing that the job says.
        let place = place_of(tree, other);
        let is_own = place.file == tree.place.file && (tree.place.span.start..tree.place.span.end).contains(&place.span.start);
        if has("trigger") && has(other) && is_own {
            reader.error("gitlab/trigger", place, format!("`{other}` can't stand beside `trigger`: the child's jobs have their own"));
        }
    }
    if has("rules") {
        for other in ["only", "except"] {
            if has(other) {
                reader.error("gitlab/rules", place_of(tree, other), format!("`{other}` can't stand beside `rules`"));
            }
        }
    }
    if job.when == When::Delayed && job.start_in_ms.is_none() {
        reader.error("gitlab/missing-key", place_of(tree, "when"), "`when: delayed` needs `start_in`");
    }
    if let Some((stage, place)) = stage {
        if !stages.contains(&stage) {
            let hint = match nearest(&stage, stages.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the stages are `{}`", stages.join("`, `")),
            };
            reader.hinted(
                "gitlab/stage",
                place,
                format!("the job `{}` is in the stage `{stage}`, and there is no such stage", key.text),
                hint,
            );
        }
        job.stage = stage;
    } else if !stages.iter().any(|stage| stage == "test") {
        let message = format!("the job `{}` says no `stage`, and there is no stage `test` that it could be in", key.text);
        reader.hinted("gitlab/stage", key.place, message, format!("the stages are `{}`", stages.join("`, `")));
    }
    Some(job)
}

fn id_tokens(reader: &mut Reader, tree: &Tree) -> Vec<(String, Vec<String>)> {
    let Some(map) = tree.map() else {
        reader.wrong_type("id_tokens", tree, "a mapping from names to `aud`");
        return Vec::new();
    };
    let mut tokens = Vec::new();
    for (key, value) in map {
        let audiences: Vec<String> =
            reader.closed(&key.text, value, &["aud"]).into_iter().flat_map(|(aud, value)| reader.plain_texts(&aud.text, value)).collect();
        if audiences.is_empty() && value.map().is_some() {
            reader.error("gitlab/missing-key", key.place, format!("the token `{}` needs `aud`: for whom it is", key.text));
        }
        tokens.push((key.text.clone(), audiences));
    }
    tokens
}

/// Another pipeline: one of this project becomes part of the same run.
fn trigger(reader: &mut Reader, place: Place, tree: &Tree, unsupported: &mut Vec<(Place, String)>) -> Option<Trigger> {
    let elsewhere = |project: &str| format!("a pipeline of another project (`{project}`), which only the server can start,");
    if let Some(project) = tree.as_text() {
        unsupported.push((tree.place, elsewhere(project)));
        return None;
    }
    let mut trigger = Trigger { place, include: Vec::new(), depend: false, forward: true, forward_given: false };
    let (mut inputs, mut is_elsewhere) = (None, false);
    for (key, value) in reader.closed("trigger", tree, &["include", "strategy", "forward", "inputs", "project", "branch"]) {
        let name = key.text.as_str();
        match name {
            "include" => trigger.include = entries(value).into_iter().cloned().collect(),
            "strategy" => trigger.depend = reader.choice(name, value, &["depend", "mirror"]).is_some(),
            "inputs" => inputs = Some(value.clone()),
            "forward" => {
                for (key, value) in reader.closed(name, value, &["yaml_variables", "pipeline_variables"]) {
                    let flag = reader.flag(&key.text, value);
                    match key.text.as_str() {
                        "yaml_variables" => trigger.forward = flag.unwrap_or(true),
                        _ => trigger.forward_given = flag.unwrap_or(false),
                    }
                }
            }
            "project" => {
                is_elsewhere = true;
                unsupported.push((value.place, elsewhere(&reader.text(name, value)?)));
            }
            _ => drop(reader.text(name, value)),
        }
    }
    if is_elsewhere {
        return None;
    }
    if trigger.include.is_empty() {
        reader.error("gitlab/missing-key", place, "`trigger` needs `include` or `project`");
        return None;
    }
    let made: Vec<Place> = trigger.include.iter().filter_map(|entry| entry.get("artifact")).map(|artifact| artifact.place).collect();
    if !made.is_empty() {
        let what = "a child pipeline whose file a job makes (`include:artifact`)";
        unsupported.extend(made.into_iter().map(|place| (place, what.to_string())));
        return None;
    }
    for entry in &mut trigger.include {
        // Those of the trigger are those of each file that says none.
        if let Some(inputs) = &inputs {
            entry.give("local", "inputs", inputs);
        }
    }
    Some(trigger)
}

fn place_of(tree: &Tree, key: &str) -> Place {
    let entry = tree.map().and_then(|map| map.iter().find(|(known, _)| known.text == key));
    entry.map_or(tree.place, |(key, _)| key.place)
}

fn when(reader: &mut Reader, tree: &Tree, allowed: &[&str]) -> Option<When> {
    Some(match reader.choice("when", tree, allowed)?.as_str() {
        "on_failure" => When::OnFailure,
        "always" => When::Always,
        "manual" => When::Manual,
        "delayed" => When::Delayed,
        "never" => When::Never,
        _ => When::OnSuccess,
    })
}

fn allow_failure(reader: &mut Reader, tree: &Tree) -> Option<AllowFailure> {
    if tree.map().is_none() {
        return reader.flag("allow_failure", tree).map(AllowFailure::Always);
    }
    let mut codes = Vec::new();
    for (key, value) in reader.closed("allow_failure", tree, &["exit_codes"]) {
        codes = reader.numbers(&key.text, value);
    }
    Some(AllowFailure::ExitCodes(codes))
}

pub(super) fn rules(reader: &mut Reader, tree: &Tree) -> Vec<Rule> {
    const RULE: &[&str] =
        &["if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible", "auto_cancel"];
    if tree.map().is_some() || tree.text().is_some() {
        reader.wrong_type("rules", tree, "a list of rules");
        return Vec::new();
    }
    let mut found = Vec::new();
    for item in entries(tree) {
        let mut rule = Rule::default();
        for (key, value) in reader.closed("a rule", item, RULE) {
            let name = key.text.as_str();
            match name {
                "if" => rule.condition = condition(reader, value),
                "changes" | "exists" => {
                    let patterns = patterns(reader, name, value);
                    if name == "changes" { rule.changes = Some(patterns) } else { rule.exists = Some(patterns) }
                }
                "when" => rule.when = when(reader, value, WHEN),
                "start_in" => rule.start_in_ms = reader.duration_ms(name, value),
                "allow_failure" => rule.allow_failure = allow_failure(reader, value),
                "variables" => rule.variables = variables(reader, name, value, false),
                "needs" => rule.needs = Some(needs(reader, value, &mut Vec::new())),
                _ => {}
            }
        }
        found.push(rule);
    }
    found
}

fn condition(reader: &mut Reader, tree: &Tree) -> Option<(Expression, String)> {
    let text = reader.text("if", tree)?;
    match Expression::parse(&text) {
        Ok(expression) => Some((expression, text)),
        Err(wrong) => {
            reader.error("gitlab/expression", within(tree, &text, wrong.offset), format!("`{text}`: {}", wrong.message));
            None
        }
    }
}

/// The place in a text, where it stands letter for letter in the file.
fn within(tree: &Tree, text: &str, offset: usize) -> Place {
    let span = tree.place.span;
    let quotes = match span.end.saturating_sub(span.start).checked_sub(text.len()) {
        Some(0) => 0,
        Some(2) => 1,
        _ => return tree.place,
    };
    let start = span.start + quotes + offset.min(text.len());
    Place { span: base::Span::new(start, (span.end - quotes).max(start)), ..tree.place }
}

/// Of `changes` and `exists`: a list, or a mapping with `paths`.
fn patterns(reader: &mut Reader, name: &str, tree: &Tree) -> Vec<String> {
    if tree.map().is_none() {
        return reader.plain_texts(name, tree);
    }
    let known: &[&str] = if name == "changes" { &["paths", "compare_to"] } else { &["paths", "project", "ref"] };
    let mut patterns = Vec::new();
    for (key, value) in reader.closed(name, tree, known) {
        match key.text.as_str() {
            "paths" => patterns = reader.plain_texts("paths", value),
            "compare_to" => {
                reader.warning("gitlab/compare-to", key.place, "`compare_to` isn't looked at: changes are those since the commit before");
            }
            other => reader.error(
                "gitlab/unsupported",
                key.place,
                format!("`{name}:{other}`, which asks another project, can't be run here yet"),
            ),
        }
    }
    patterns
}

fn policy(reader: &mut Reader, name: &str, tree: &Tree) -> Option<Policy> {
    let mut policy = Policy::default();
    if tree.map().is_none() {
        policy.refs = Some(refs(reader, name, tree));
        return Some(policy);
    }
    for (key, value) in reader.closed(name, tree, &["refs", "variables", "changes", "kubernetes"]) {
        match key.text.as_str() {
            "refs" => policy.refs = Some(refs(reader, "refs", value)),
            "variables" => {
                policy.variables = Some(entries(value).into_iter().filter_map(|item| condition(reader, item)).map(|(it, _)| it).collect());
            }
            "changes" => policy.changes = Some(reader.plain_texts("changes", value)),
            _ => policy.kubernetes = true,
        }
    }
    Some(policy)
}

fn refs(reader: &mut Reader, name: &str, tree: &Tree) -> Vec<String> {
    let texts = reader.texts(name, tree);
    for (text, place) in &texts {
        if text.starts_with('/')
            && let Err(why) = expression::regex(text.split_once("/@").map_or(text, |(pattern, _)| &text[..=pattern.len()]))
        {
            reader.error("gitlab/value", *place, format!("the pattern `{text}` can't be read: {why}"));
        }
    }
    texts.into_iter().map(|(text, _)| text).collect()
}

fn needs(reader: &mut Reader, tree: &Tree, unsupported: &mut Vec<(Place, String)>) -> Vec<Need> {
    let mut needs = Vec::new();
    for item in entries(tree) {
        let mut need = Need { job: String::new(), place: item.place, optional: false, artifacts: true, matrix: None };
        if item.map().is_none() {
            if let Some(name) = reader.text("needs", item) {
                need.job = name;
                needs.push(need);
            }
            continue;
        }
        let mut elsewhere = None;
        for (key, value) in reader.closed("needs", item, &["job", "artifacts", "optional", "parallel", "pipeline", "project", "ref"]) {
            match key.text.as_str() {
                "job" => need.job = reader.text("job", value).unwrap_or_default(),
                "artifacts" => need.artifacts = reader.flag("artifacts", value).unwrap_or(true),
                "optional" => need.optional = reader.flag("optional", value).unwrap_or(false),
                "parallel" => need.matrix = value.get("matrix").map(|matrix| self::matrix(reader, matrix)),
                "ref" => {}
                other => elsewhere = Some((key.place, format!("`needs:{other}`, which takes artifacts from elsewhere,"))),
            }
        }
        match elsewhere {
            Some(elsewhere) => unsupported.push(elsewhere),
            None if need.job.is_empty() => reader.error("gitlab/missing-key", item.place, "an entry of `needs` needs `job`"),
            None => needs.push(need),
        }
    }
    needs
}

fn inherit(reader: &mut Reader, tree: &Tree, job: &mut Job) {
    for (key, value) in reader.closed("inherit", tree, &["default", "variables"]) {
        match (&value.value, key.text.as_str()) {
            (Value::Bool(false), "variables") => job.inherited = Some(Vec::new()),
            (Value::List(_), "variables") => job.inherited = Some(reader.plain_texts("variables", value)),
            (Value::Bool(_) | Value::List(_), _) => {}
            (_, name) => reader.wrong_type(name, value, "`true`, `false` or a list of names"),
        }
    }
}

fn artifacts(reader: &mut Reader, tree: &Tree) -> Option<Artifacts> {
    const ARTIFACTS: &[&str] = &["name", "untracked", "paths", "exclude", "expose_as", "when", "expire_in", "reports", "public", "access"];
    let mut artifacts = Artifacts::default();
    for (key, value) in reader.closed("artifacts", tree, ARTIFACTS) {
        let name = key.text.as_str();
        match name {
            "paths" => artifacts.paths = reader.plain_texts(name, value),
            "exclude" => artifacts.exclude = reader.plain_texts(name, value),
            "untracked" => artifacts.untracked = reader.flag(name, value).unwrap_or(false),
            "when" => artifacts.when = keep_when(reader, value),
            "reports" => artifacts.reports = reports(reader, value),
            "expire_in" if value.text().is_none_or(|text| text != "never") => drop(reader.duration_ms(name, value)),
            _ => {}
        }
    }
    Some(artifacts)
}

fn keep_when(reader: &mut Reader, tree: &Tree) -> ArtifactsWhen {
    match reader.choice("when", tree, &["on_success", "on_failure", "always"]).as_deref() {
        Some("on_failure") => ArtifactsWhen::OnFailure,
        Some("always") => ArtifactsWhen::Always,
        _ => ArtifactsWhen::OnSuccess,
    }
}

fn reports(reader: &mut Reader, tree: &Tree) -> Vec<(String, Vec<String>)> {
    let mut reports = Vec::new();
    for (key, value) in reader.closed("reports", tree, REPORTS) {
        let name = key.text.as_str();
        if name != "coverage_report" {
            reports.push((name.to_string(), reader.plain_texts(name, value)));
            continue;
        }
        for (key, value) in reader.closed(name, value, &["coverage_format", "path"]) {
            if key.text == "path" {
                reports.push((name.to_string(), reader.plain_texts("path", value)));
            } else {
                reader.choice("coverage_format", value, &["cobertura", "jacoco"]);
            }
        }
    }
    reports
}

fn caches(reader: &mut Reader, tree: &Tree) -> Vec<Cache> {
    const CACHES_MAX: usize = 4;
    let items = entries(tree);
    if let Some(more) = items.get(CACHES_MAX) {
        reader.error("gitlab/value", more.place, format!("a job may have {CACHES_MAX} caches at most"));
    }
    items.into_iter().map(|item| cache(reader, item)).collect()
}

fn cache(reader: &mut Reader, tree: &Tree) -> Cache {
    const CACHE: &[&str] = &["key", "paths", "untracked", "policy", "when", "fallback_keys", "unprotect"];
    let mut cache = Cache {
        key: CacheKey::Text("default".to_string()),
        paths: Vec::new(),
        pull: true,
        push: true,
        policy: None,
        when: ArtifactsWhen::OnSuccess,
        fallback_keys: Vec::new(),
    };
    for (key, value) in reader.closed("cache", tree, CACHE) {
        let name = key.text.as_str();
        match name {
            "key" if value.map().is_some() => cache.key = key_of_files(reader, value),
            "key" => cache.key = CacheKey::Text(reader.text(name, value).unwrap_or_default()),
            "paths" => cache.paths = reader.plain_texts(name, value),
            "untracked" if reader.flag(name, value) == Some(true) => {
                reader.error("gitlab/unsupported", key.place, "a cache of untracked files can't be kept here yet; `paths` can");
            }
            "when" => cache.when = keep_when(reader, value),
            "fallback_keys" => cache.fallback_keys = reader.plain_texts(name, value),
            "policy" => match value.as_text() {
                Some(text) if text.contains('$') => cache.policy = Some(text.to_string()),
                _ => cache.set_policy(reader.choice(name, value, &["pull-push", "pull", "push"]).as_deref().unwrap_or_default()),
            },
            _ => {}
        }
    }
    cache
}

impl Cache {
    pub(super) fn set_policy(&mut self, policy: &str) {
        self.pull = policy != "push";
        self.push = policy != "pull";
    }
}

fn key_of_files(reader: &mut Reader, tree: &Tree) -> CacheKey {
    let (mut files, mut prefix) = (Vec::new(), None);
    for (key, value) in reader.closed("key", tree, &["files", "files_commits", "prefix"]) {
        match key.text.as_str() {
            "prefix" => prefix = reader.text("prefix", value),
            name => files = reader.plain_texts(name, value),
        }
    }
    if files.is_empty() {
        reader.error("gitlab/missing-key", tree.place, "`cache:key` needs `files`, or has to be a text");
    }
    CacheKey::Files { files, prefix }
}

const PARALLEL_MAX: usize = 200;

fn parallel(reader: &mut Reader, tree: &Tree) -> Parallel {
    if tree.map().is_none() {
        return match reader.number("parallel", tree).map(usize::try_from) {
            Some(Ok(times)) if (1..=PARALLEL_MAX).contains(&times) => Parallel::Times(times),
            Some(_) => {
                reader.error("gitlab/value", tree.place, format!("`parallel` must be from 1 to {PARALLEL_MAX}"));
                Parallel::No
            }
            None => Parallel::No,
        };
    }
    let mut legs = Vec::new();
    for (_, value) in reader.closed("parallel", tree, &["matrix"]) {
        for combination in matrix(reader, value) {
            let mut partial: Vec<Vec<(String, String)>> = vec![Vec::new()];
            for (name, values) in &combination {
                partial = partial
                    .iter()
                    .flat_map(|before| {
                        values.iter().map(move |value| {
                            let mut leg = before.clone();
                            leg.push((name.clone(), value.clone()));
                            leg
                        })
                    })
                    .take(PARALLEL_MAX + 1)
                    .collect();
            }
            legs.extend(partial);
        }
    }
    if legs.len() > PARALLEL_MAX {
        reader.error("gitlab/value", tree.place, format!("this matrix makes more than {PARALLEL_MAX} jobs"));
        legs.clear();
    }
    if legs.is_empty() { Parallel::No } else { Parallel::Matrix(legs) }
}

/// A list of mappings from variables to a value or several.
fn matrix(reader: &mut Reader, tree: &Tree) -> Vec<Combination> {
    let mut combinations = Vec::new();
    for item in entries(tree) {
        let Some(map) = item.map() else {
            reader.wrong_type("matrix", item, "a list of mappings");
            continue;
        };
        combinations.push(map.iter().map(|(key, value)| (key.text.clone(), reader.plain_texts(&key.text, value))).collect());
    }
    combinations
}

fn retry(reader: &mut Reader, tree: &Tree) -> Option<Retry> {
    let mut retry = Retry::default();
    if tree.map().is_none() {
        retry.max = at_most_two(reader, tree)?;
        return Some(retry);
    }
    for (key, value) in reader.closed("retry", tree, &["max", "when", "exit_codes"]) {
        match key.text.as_str() {
            "max" => retry.max = at_most_two(reader, value)?,
            "exit_codes" => reader.error("gitlab/unsupported", key.place, "`retry:exit_codes` can't be looked at here yet; `when` can"),
            _ => retry.when = entries(value).into_iter().filter_map(|item| reader.choice("when", item, RETRY_WHEN)).collect(),
        }
    }
    Some(retry)
}

fn at_most_two(reader: &mut Reader, tree: &Tree) -> Option<u32> {
    let number = reader.number("retry", tree)?;
    let fits = u32::try_from(number).ok().filter(|number| *number <= 2);
    if fits.is_none() {
        reader.error("gitlab/value", tree.place, "`retry` must be 0, 1 or 2");
    }
    fits
}

fn environment(reader: &mut Reader, tree: &Tree) -> Option<Environment> {
    const ENVIRONMENT: &[&str] = &["name", "url", "on_stop", "action", "auto_stop_in", "kubernetes", "deployment_tier"];
    let mut environment = Environment { name: String::new(), url: None, action: "start".to_string(), tier: None };
    if tree.map().is_none() {
        environment.name = reader.text("environment", tree)?;
        return Some(environment);
    }
    for (key, value) in reader.closed("environment", tree, ENVIRONMENT) {
        let name = key.text.as_str();
        match name {
            "name" => environment.name = reader.text(name, value).unwrap_or_default(),
            "url" => environment.url = reader.text(name, value),
            "action" => environment.action = reader.choice(name, value, &["start", "prepare", "stop", "verify", "access"])?,
            "deployment_tier" => {
                environment.tier = reader.choice(name, value, &["production", "staging", "testing", "development", "other"]);
            }
            _ => {}
        }
    }
    if environment.name.is_empty() {
        reader.error("gitlab/missing-key", tree.place, "`environment` needs `name`");
        return None;
    }
    Some(environment)
}

fn coverage(reader: &mut Reader, tree: &Tree) -> Option<(String, Place)> {
    let text = reader.text("coverage", tree)?;
    match expression::regex(&text) {
        Ok(_) => Some((text, tree.place)),
        Err(why) => {
            reader.error("gitlab/value", tree.place, format!("`coverage` can't be `{text}`: {why}"));
            None
        }
    }
}
