//! Variables: who wins, and how `$NAME`, `${NAME}` and `%NAME%` become values.

use std::collections::{BTreeMap, BTreeSet};

use base::Span;

use crate::model::Template;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub name: String,
    pub value: String,
    /// `expand: false`: what looks like a variable in it stays as it is.
    pub raw: bool,
}

impl Variable {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Variable {
        Variable { name: name.into(), value: value.into(), raw: false }
    }
}

/// In the order they came; of one name the last value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(Vec<Variable>);

impl Variables {
    pub(crate) fn put(&mut self, variable: Variable) {
        match self.0.iter_mut().find(|known| known.name == variable.name) {
            Some(known) => *known = variable,
            None => self.0.push(variable),
        }
    }

    pub(crate) fn extend(&mut self, variables: impl IntoIterator<Item = Variable>) {
        variables.into_iter().for_each(|variable| self.put(variable));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter()
    }

    /// All values with the variables in them expanded; names that nobody sets stay as they are written.
    /// What refers to itself is left alone.
    pub(crate) fn expanded(&self) -> BTreeMap<String, String> {
        let by_name: BTreeMap<&str, &Variable> = self.0.iter().map(|variable| (variable.name.as_str(), variable)).collect();
        let mut done = BTreeMap::new();
        for variable in &self.0 {
            expand_one(variable, &by_name, &mut done, &mut BTreeSet::new());
        }
        done
    }
}

/// Nothing when the variable is being expanded already.
fn expand_one(
    variable: &Variable,
    by_name: &BTreeMap<&str, &Variable>,
    done: &mut BTreeMap<String, String>,
    around: &mut BTreeSet<String>,
) -> Option<String> {
    if let Some(value) = done.get(&variable.name) {
        return Some(value.clone());
    }
    if !around.insert(variable.name.clone()) {
        return None;
    }
    let value = if variable.raw || !variable.value.contains(['$', '%']) {
        variable.value.clone()
    } else {
        replace(&variable.value, &mut |name| expand_one(by_name.get(name)?, by_name, done, around))
    };
    around.remove(&variable.name);
    // A value that grows without bound is a mistake or an attack; cut short, it is seen.
    const VALUE_MAX: usize = 64 * 1024;
    let value: String = if value.len() > VALUE_MAX { value.chars().take(VALUE_MAX).collect() } else { value };
    done.insert(variable.name.clone(), value.clone());
    Some(value)
}

/// The text with the variables that are known put in.
pub(crate) fn expand_known(text: &str, variables: &BTreeMap<String, String>) -> String {
    finish(&replace(text, &mut |name| variables.get(name).cloned()), &mut |_| None)
}

/// As [`expand_known`], with `$$` left for later.
pub(crate) fn keeping(text: &str, variables: &BTreeMap<String, String>) -> String {
    replace(text, &mut |name| variables.get(name).cloned())
}

/// The text with everything that still looks like a variable gone, and `$$` as `$`; as the runner does it last.
pub(crate) fn finish_empty(text: &str) -> String {
    finish(text, &mut |_| Some(String::new()))
}

/// As [`finish_empty`], with `$$` left for whoever expands it once more.
pub(crate) fn keeping_empty(text: &str) -> String {
    replace(text, &mut |_| Some(String::new()))
}

/// The names that a text refers to.
pub(crate) fn references(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    replace(text, &mut |name| {
        names.push(name.to_string());
        None
    });
    names
}

fn finish(text: &str, value: &mut dyn FnMut(&str) -> Option<String>) -> String {
    replace(text, value).replace("$$", "$")
}

/// `$$` stays, so that it can be told from a variable until the end.
fn replace(text: &str, value: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("$$") {
            out.push_str("$$");
            rest = behind;
            continue;
        }
        match reference(rest) {
            Some((name, length)) => {
                match value(name) {
                    Some(value) => out.push_str(&value),
                    None => out.push_str(&rest[..length]),
                }
                rest = &rest[length..];
            }
            None => {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// A variable at the beginning of the text, and how long it is.
fn reference(text: &str) -> Option<(&str, usize)> {
    let name = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        (end > 0 && !text.as_bytes()[0].is_ascii_digit()).then_some(end)
    };
    if let Some(inner) = text.strip_prefix("${") {
        let end = name(inner)?;
        return inner[end..].starts_with('}').then_some((&inner[..end], end + 3));
    }
    if let Some(inner) = text.strip_prefix('$') {
        let end = name(inner)?;
        return Some((&inner[..end], end + 1));
    }
    let inner = text.strip_prefix('%')?;
    let end = name(inner)?;
    inner[end..].starts_with('%').then_some((&inner[..end], end + 2))
}

/// What is known only where and when a job runs: a letter stands for it in values, and an expression takes its place in the plan.
pub(crate) const WORKSPACE: char = '\u{E000}';
pub(crate) const NUMBER: char = '\u{E001}';
/// The first secret; the others come behind it.
const SECRETS: u32 = 0xE100;
const SECRETS_MAX: usize = 4096;

/// The letter that stands for a secret's value.
pub(crate) fn secret(index: usize) -> Option<char> {
    if index >= SECRETS_MAX {
        return None;
    }
    char::from_u32(SECRETS + u32::try_from(index).ok()?)
}

/// The text as a template: letters that stand for something become expressions.
pub(crate) fn template(text: &str, secrets: &[String]) -> Template {
    let expression = |letter: char| match letter {
        WORKSPACE => Some("github.workspace".to_string()),
        NUMBER => Some("github.run_number".to_string()),
        letter => {
            let index = u32::from(letter).checked_sub(SECRETS)? as usize;
            secrets.get(index).map(|name| format!("secrets['{}']", name.replace('\'', "''")))
        }
    };
    let expr = |source: String| Template::Expr { source, span: Span::default() };
    let mut arguments: Vec<String> = Vec::new();
    let mut format = String::new();
    for letter in text.chars() {
        match expression(letter) {
            Some(source) => {
                format.push_str(&format!("{{{}}}", arguments.len()));
                arguments.push(source);
            }
            None => match letter {
                '{' => format.push_str("{{"),
                '}' => format.push_str("}}"),
                '\'' => format.push_str("''"),
                letter => format.push(letter),
            },
        }
    }
    match arguments.as_slice() {
        [] => Template::String(text.to_string()),
        [only] if format == "{0}" => expr(only.clone()),
        _ => expr(format!("format('{format}', {})", arguments.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitLab, "Where variables can be used" and "Use variables in other variables".
    #[test]
    fn values_are_expanded_in_each_other() {
        let mut variables = Variables::default();
        for (name, value) in [
            ("LAST", "$FIRST-${SECOND}-%FIRST%"),
            ("FIRST", "a"),
            ("SECOND", "b$FIRST"),
            ("COST", "$$FIRST 5%"),
            ("ITSELF", "$ITSELF/x"),
            ("LEFT", "$RIGHT"),
            ("RIGHT", "$LEFT"),
            ("UNKNOWN", "[$NOBODY]"),
        ] {
            variables.put(Variable::new(name, value));
        }
        variables.put(Variable { raw: true, ..Variable::new("RAW", "$FIRST") });
        assert_eq!(variables.expanded().remove("RAW").as_deref(), Some("$FIRST"));
        variables.0.pop();
        let shown: Vec<String> = variables.expanded().iter().map(|(name, value)| format!("{name}={}", finish_empty(value))).collect();
        let expected = ["COST=$FIRST 5%", "FIRST=a", "ITSELF=/x", "LAST=a-ba-a", "LEFT=", "RIGHT=", "SECOND=ba", "UNKNOWN=[]"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_known_only_when_a_job_runs_becomes_an_expression() {
        let source = |text: &str| match template(text, &["TOKEN".to_string()]) {
            Template::Expr { source, .. } => source,
            other => format!("{other:?}"),
        };
        assert_eq!(source("plain"), "String(\"plain\")");
        assert_eq!(source(&format!("{WORKSPACE}")), "github.workspace");
        assert_eq!(source(&format!("{WORKSPACE}/it's {{x}}")), "format('{0}/it''s {{x}}', github.workspace)");
        let token = secret(0).unwrap();
        assert_eq!(source(&format!("{NUMBER}:{token}")), "format('{0}:{1}', github.run_number, secrets['TOKEN'])");
    }
}
