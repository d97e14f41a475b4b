//! What the expressions of a job see.

use std::collections::BTreeMap;

use super::contained::Started;
use super::facts::{FilePaths, Files, JobFacts};
use super::remote::Remote;
use super::spec::{Conclusion, Contexts};
use crate::expr::{Clause, Error, Object, Scope, Value, evaluate_source, evaluate_template, trace};
use crate::model::Template;
use crate::token;

/// The contexts that never change while a job runs, as values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fixed {
    github: Object,
    needs: Value,
    strategy: Value,
    matrix: Value,
    vars: Value,
    inputs: Value,
    secrets: Value,
    /// As actions of other repositories see them.
    secrets_of_others: Value,
    own_token: bool,
    runner: Value,
}

impl Fixed {
    pub(crate) fn new(contexts: &Contexts, facts: &JobFacts) -> Fixed {
        let mut github: Object = match Value::from_json(&contexts.github) {
            Value::Object(object) => object.iter().map(|(key, value)| (key, value.clone())).collect(),
            _ => Object::new(),
        };
        github.insert("workspace", Value::from(facts.workspace.as_str()));
        github.insert("event_path", Value::from(facts.event_path.as_str()));
        github.insert("token", Value::from(facts.secrets.get(token::NAME).cloned().unwrap_or_default()));
        // `vars`, `inputs` and the like read as empty objects, not as null, where nothing is given.
        let object = |json: &serde_json::Value| if json.is_null() { Value::object(Object::new()) } else { Value::from_json(json) };
        Fixed {
            github,
            needs: object(&contexts.needs),
            strategy: object(&contexts.strategy),
            matrix: Value::from_json(&contexts.matrix),
            vars: object(&contexts.vars),
            inputs: object(&contexts.inputs),
            secrets: strings(&facts.secrets),
            secrets_of_others: match facts.own_token {
                true => strings(
                    &facts
                        .secrets
                        .iter()
                        .filter(|(name, _)| *name != token::NAME)
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                ),
                false => strings(&facts.secrets),
            },
            own_token: facts.own_token,
            runner: runner(facts),
        }
    }

    /// The `GITHUB_*` variables that every process of the job gets.
    pub(crate) fn github_env(&self) -> BTreeMap<String, String> {
        const EXPOSED: [&str; 30] = [
            "actor",
            "actor_id",
            "api_url",
            "base_ref",
            "event_name",
            "event_path",
            "graphql_url",
            "head_ref",
            "job",
            "ref",
            "ref_name",
            "ref_protected",
            "ref_type",
            "repository",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
            "retention_days",
            "run_attempt",
            "run_id",
            "run_number",
            "secret_source",
            "server_url",
            "sha",
            "triggering_actor",
            "workflow",
            "workflow_ref",
            "workflow_sha",
            "workspace",
            "artifact_cache_size_limit",
        ];
        let given = |name: &&str| matches!(self.github.get(name), Some(value) if !matches!(value, Value::Null | Value::Object(_)));
        EXPOSED
            .iter()
            .filter(|name| given(name))
            .map(|name| (env_name(name), self.github.get(name).map(Value::text).unwrap_or_default()))
            .collect()
    }
}

/// Where in the job an expression stands.
#[derive(Clone)]
pub(crate) struct StepScope<'a> {
    pub(crate) fixed: &'a Fixed,
    pub(crate) files: &'a dyn Files,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) steps: Value,
    /// Inside a composite action: its inputs instead of the workflow's.
    pub(crate) inputs: Option<Value>,
    pub(crate) job_status: Conclusion,
    pub(crate) containers: Option<&'a Started>,
    /// What `success()` and `failure()` ask: the job's status, or the composite action's.
    pub(crate) own_status: Conclusion,
    pub(crate) action: Option<&'a str>,
    /// Inside a composite action: its directory.
    pub(crate) action_path: Option<&'a str>,
    pub(crate) paths: Option<&'a FilePaths>,
    /// The repository of the action that is executed, or of the composite action around.
    pub(crate) from: Option<Remote>,
}

impl Scope for StepScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        Some(match name.to_ascii_lowercase().as_str() {
            "github" => Value::object(self.github()),
            "env" => self.env_context(),
            "steps" => self.steps.clone(),
            "job" => self.job(),
            "runner" => self.fixed.runner.clone(),
            "secrets" if self.from.is_some() => self.fixed.secrets_of_others.clone(),
            "secrets" => self.fixed.secrets.clone(),
            "needs" => self.fixed.needs.clone(),
            "strategy" => self.fixed.strategy.clone(),
            "matrix" => self.fixed.matrix.clone(),
            "vars" => self.fixed.vars.clone(),
            "inputs" => self.inputs.clone().unwrap_or_else(|| self.fixed.inputs.clone()),
            _ => return None,
        })
    }

    fn call(&self, function: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let is = |status: Conclusion| Some(Ok(Value::Bool(self.own_status == status)));
        match function {
            "always" => Some(Ok(Value::Bool(true))),
            "cancelled" => Some(Ok(Value::Bool(self.job_status == Conclusion::Cancelled))),
            "success" => is(Conclusion::Success),
            "failure" => is(Conclusion::Failure),
            "hashFiles" => Some(self.hash_files(args)),
            _ => None,
        }
    }
}

impl StepScope<'_> {
    pub(crate) fn text(&self, template: &Template) -> Result<String, Error> {
        Ok(evaluate_template(template, self)?.text())
    }

    pub(crate) fn holds(&self, condition: &str) -> Result<bool, Error> {
        Ok(match condition {
            "success()" => self.own_status == Conclusion::Success,
            _ => evaluate_source(condition, self)?.truthy(),
        })
    }

    /// The condition part by part; nothing where it can't be read.
    pub(crate) fn trace(&self, condition: &str) -> Vec<Clause> {
        trace(condition, self).unwrap_or_default()
    }

    /// A mapping of texts in the order of the file, names as written (`env` and `with` may hold names that differ by case alone).
    pub(crate) fn pairs(&self, template: Option<&Template>) -> Result<Vec<(String, String)>, String> {
        match template {
            None => Ok(Vec::new()),
            Some(Template::Mapping(entries)) => {
                let mut pairs = Vec::new();
                for (key, value) in entries {
                    if matches!(key, Template::Expr { source, .. } if source == "insert") {
                        pairs.extend(object_pairs(evaluate_template(value, self).map_err(|error| error.to_string())?)?);
                    } else {
                        let name = self.text(key).map_err(|error| error.to_string())?;
                        let text = self.text(value).map_err(|error| format!("`{name}`: {error}"))?;
                        pairs.push((name, text));
                    }
                }
                Ok(pairs)
            }
            Some(other) => object_pairs(evaluate_template(other, self).map_err(|error| error.to_string())?),
        }
    }

    fn job(&self) -> Value {
        let status = ("status", Value::from(self.job_status.word()));
        Value::object(std::iter::once(status).chain(self.containers.into_iter().flat_map(Started::context)).collect())
    }

    fn github(&self) -> Object {
        let mut github = self.fixed.github.clone();
        if self.fixed.own_token && self.from.is_some() {
            github.insert("token", Value::from(""));
        }
        let mut put = |name: &str, text: Option<&str>| {
            if let Some(text) = text {
                github.insert(name, Value::from(text));
            }
        };
        put("action", self.action);
        put("action_path", self.action_path);
        put("action_status", self.action_path.map(|_| self.own_status.word()));
        put("action_repository", self.from.as_ref().map(Remote::slug).as_deref());
        put("action_ref", self.from.as_ref().map(|from| from.reference.as_str()));
        for (name, path) in self.paths.iter().flat_map(|paths| paths.named()) {
            put(name, Some(path));
        }
        github
    }

    fn env_context(&self) -> Value {
        let mut object = Object::case_sensitive();
        for (name, value) in self.env {
            object.insert(name.as_str(), Value::from(value.as_str()));
        }
        Value::object(object)
    }

    fn hash_files(&self, args: &[Value]) -> Result<Value, String> {
        let mut patterns: Vec<String> = args.iter().map(Value::text).collect();
        let follow_links = patterns.first().is_some_and(|first| first == "--follow-symbolic-links");
        if follow_links {
            patterns.remove(0);
        } else if let Some(option) = patterns.first().filter(|first| first.starts_with("--")) {
            return Err(format!("invalid glob option {option}, available option: '--follow-symbolic-links'"));
        }
        self.files.hash(&patterns, follow_links).map(Value::from)
    }
}

/// `GITHUB_REF_NAME` of `ref_name`.
pub(crate) fn env_name(name: &str) -> String {
    format!("GITHUB_{}", name.to_ascii_uppercase())
}

fn object_pairs(value: Value) -> Result<Vec<(String, String)>, String> {
    match value {
        Value::Object(object) => Ok(object.iter().map(|(name, value)| (name.to_string(), value.text())).collect()),
        Value::Null => Ok(Vec::new()),
        _ => Err("a mapping is expected here".to_string()),
    }
}

fn strings(map: &BTreeMap<String, String>) -> Value {
    Value::object(map.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect())
}

fn runner(facts: &JobFacts) -> Value {
    let mut runner: Object = [
        ("name", facts.runner_name.as_str()),
        ("os", &facts.os),
        ("arch", &facts.arch),
        ("temp", &facts.temp),
        ("tool_cache", &facts.tool_cache),
        ("environment", "self-hosted"),
    ]
    .into_iter()
    .map(|(name, text)| (name, Value::from(text)))
    .collect();
    if facts.debug {
        runner.insert("debug", Value::from("1"));
    }
    Value::object(runner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::evaluate_source;
    use crate::job::Node;
    use crate::model::{Action, Pinned};

    /// Nothing here looks into files.
    struct NoFiles;

    impl Files for NoFiles {
        fn hash(&self, _: &[String], _: bool) -> Result<String, String> {
            Err("none".to_owned())
        }
        fn action(&self, _: &str) -> Result<Action, String> {
            Err("none".to_owned())
        }
        fn fetched(&self, _: &str, _: &Pinned) -> Result<String, String> {
            Err("none".to_owned())
        }
        fn own(&self) -> Result<String, String> {
            Err("none".to_owned())
        }
        fn paths(&self, _: usize) -> FilePaths {
            FilePaths::default()
        }
        fn node(&self, _: &str, _: &str) -> Result<Node, String> {
            Err("none".to_owned())
        }
        fn node_inside(&self, _: &str) -> Result<Node, String> {
            Err("none".to_owned())
        }
    }

    #[test]
    fn actions_of_others_see_no_token_that_this_machine_alone_takes() {
        let secrets = [(token::NAME, "t"), ("OTHER", "o")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (own_token, of_others, expected) in [(true, true, "||o"), (true, false, "t|t|o"), (false, true, "t|t|o")] {
            let facts = JobFacts { secrets: secrets.clone().into(), own_token, ..JobFacts::default() };
            let fixed = Fixed::new(&Contexts::default(), &facts);
            let scope = StepScope {
                fixed: &fixed,
                files: &NoFiles,
                env: &BTreeMap::new(),
                steps: Value::Null,
                inputs: None,
                job_status: Conclusion::Success,
                containers: None,
                own_status: Conclusion::Success,
                action: None,
                action_path: None,
                paths: None,
                from: of_others.then(|| Remote::parse("owner/action@v1").expect("it names one")),
            };
            let seen = evaluate_source("format('{0}|{1}|{2}', github.token, secrets.GITHUB_TOKEN, secrets.OTHER)", &scope);
            assert_eq!(seen.expect("it has a value").text(), expected, "{own_token} {of_others}");
        }
    }
}
