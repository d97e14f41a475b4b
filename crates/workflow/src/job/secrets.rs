//! Which secrets a job sees. Their values never touch the record, so that what a call passes on is worked out where they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::spec::Contexts;
use crate::expr::{Object, Scope, Value, evaluate_template};
use crate::model::Template;
use crate::token;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretScope {
    /// Those of the project.
    #[default]
    All,
    /// What calls it passes none.
    None,
    /// What calls it passes these, out of those that it sees itself.
    Given { template: Template, contexts: Box<Contexts>, from: Box<SecretScope> },
}

impl SecretScope {
    pub fn is_all(&self) -> bool {
        *self == SecretScope::All
    }

    /// Those of `all` that are seen, under the names that the job knows.
    ///
    /// # Errors
    /// When what is passed has no value.
    pub fn visible(&self, all: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
        let mut visible = match self {
            SecretScope::All => return Ok(all.clone()),
            SecretScope::None => BTreeMap::new(),
            SecretScope::Given { template, contexts, from } => {
                let scope = CallerScope { contexts, secrets: from.visible(all)? };
                let given = evaluate_template(template, &scope)
                    .map_err(|error| format!("the `secrets` that are passed to this workflow have no value: {error}"))?;
                let Value::Object(given) = given else {
                    return Err("the `secrets` that are passed to this workflow are no mapping".to_owned());
                };
                given.iter().map(|(name, value)| (name.to_owned(), value.text())).filter(|(_, value)| !value.is_empty()).collect()
            }
        };
        // Every job has it, whatever is passed.
        let token = all.iter().find(|(name, _)| name.eq_ignore_ascii_case(token::NAME));
        visible.extend(token.map(|(name, value)| (name.clone(), value.clone())));
        Ok(visible)
    }
}

struct CallerScope<'a> {
    contexts: &'a Contexts,
    secrets: BTreeMap<String, String>,
}

impl Scope for CallerScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        let json = match name.to_ascii_lowercase().as_str() {
            "secrets" => {
                let secrets: Object = self.secrets.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
                return Some(Value::object(secrets));
            }
            "github" => &self.contexts.github,
            "needs" => &self.contexts.needs,
            "strategy" => &self.contexts.strategy,
            "matrix" => &self.contexts.matrix,
            "vars" => &self.contexts.vars,
            "inputs" => &self.contexts.inputs,
            _ => return None,
        };
        Some(Value::from_json(json))
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use base::Span;

    use super::*;

    #[test]
    fn what_is_passed_is_what_is_seen() {
        let all: BTreeMap<String, String> =
            [("A", "one"), ("B", "two"), ("GITHUB_TOKEN", "t")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let given = |name: &str, source: &str, from| SecretScope::Given {
            template: Template::Mapping(vec![(
                Template::String(name.to_owned()),
                Template::Expr { source: source.to_owned(), span: Span::default() },
            )]),
            contexts: Box::default(),
            from: Box::new(from),
        };
        let names = |scope: &SecretScope| format!("{:?}", scope.visible(&all));
        assert_eq!(names(&SecretScope::All), r#"Ok({"A": "one", "B": "two", "GITHUB_TOKEN": "t"})"#);
        assert_eq!(names(&SecretScope::None), r#"Ok({"GITHUB_TOKEN": "t"})"#);
        assert_eq!(names(&given("X", "secrets.a", SecretScope::All)), r#"Ok({"GITHUB_TOKEN": "t", "X": "one"})"#);
        // A level deeper only what was passed is there to be passed on.
        let deeper = given("Y", "format('{0}{1}', secrets.X, secrets.B)", given("X", "secrets.A", SecretScope::All));
        assert_eq!(names(&deeper), r#"Ok({"GITHUB_TOKEN": "t", "Y": "one"})"#);
        assert_eq!(names(&given("Z", "secrets.B", SecretScope::None)), r#"Ok({"GITHUB_TOKEN": "t"})"#);
    }
}
