//! The configuration as a tree whose every value knows the file it comes from: what includes, `extends` and `!reference` are put together in.

use base::yaml::{self, Node};
use base::{Diagnostic, Source, Span};

/// Where something stands: the number of its file among those read, and the place there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub file: usize,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As Ruby prints it: `3.10` is `3.1`.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
    /// `!reference [job, key]`, until it is resolved.
    Reference(Vec<Tree>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub text: String,
    pub place: Place,
}

/// A mistake and the file it is in.
pub(super) type Problem = (usize, Diagnostic);

pub(super) fn error(code: &'static str, place: Place, message: impl Into<String>) -> Problem {
    (place.file, Diagnostic::error(code, place.span, message))
}

/// The documents of a file: a header with `spec:` may come before the configuration.
pub(super) fn documents(file: usize, source: &Source) -> (Vec<Tree>, Vec<Problem>) {
    let options = yaml::Options { merge_keys: true, list_tags: &["!reference"], ..yaml::Options::default() };
    let (nodes, wrong) = yaml::documents(source, &options);
    let trees = nodes.iter().map(|node| Tree::of(file, source, node)).collect();
    (trees, wrong.into_iter().map(|diagnostic| (file, diagnostic)).collect())
}

impl Tree {
    fn of(file: usize, source: &Source, node: &Node) -> Tree {
        let place = Place { file, span: node.span };
        let items = |items: &[Node]| items.iter().map(|item| Tree::of(file, source, item)).collect();
        let written = || source.text.get(node.span.start..node.span.end).unwrap_or_default();
        let value = match node.value() {
            yaml::Value::Null => Value::Null,
            yaml::Value::Bool(bool) => Value::Bool(*bool),
            yaml::Value::Number(number) => Value::Number(number_text(written(), *number)),
            // GitLab reads YAML 1.1, where these words without quotes are truth values.
            yaml::Value::String(text) => match text.as_str() {
                "yes" | "Yes" | "YES" | "on" | "On" | "ON" if written() == text => Value::Bool(true),
                "no" | "No" | "NO" | "off" | "Off" | "OFF" if written() == text => Value::Bool(false),
                _ => Value::Text(text.clone()),
            },
            yaml::Value::Sequence(list) if node.tag().is_some() => Value::Reference(items(list)),
            yaml::Value::Sequence(list) => Value::List(items(list)),
            yaml::Value::Mapping(mapping) => {
                let entry = |(key, value): (&yaml::Key, &Node)| {
                    (Key { text: key.text.clone(), place: Place { file, span: key.span } }, Tree::of(file, source, value))
                };
                Value::Map(mapping.iter().map(entry).collect())
            }
        };
        Tree { place, value }
    }

    /// Sets a key that isn't there; a text becomes a mapping that has it by the first name.
    pub fn give(&mut self, name: &str, key: &str, value: &Tree) {
        let place = self.place;
        let named = |text: &str| Key { text: text.to_string(), place };
        if let Value::Text(_) = self.value {
            let text = self.clone();
            self.value = Value::Map(vec![(named(name), text)]);
        }
        if let Value::Map(entries) = &mut self.value
            && !entries.iter().any(|(known, _)| known.text == key)
        {
            entries.push((named(key), value.clone()));
        }
    }

    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.map()?.iter().find(|(known, _)| known.text == key).map(|(_, value)| value)
    }

    pub fn map(&self) -> Option<&[(Key, Tree)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// A scalar as a text; nothing for null and for collections.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(bool) => Some(bool.to_string()),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// For a message: `a list`.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Reference(_) => "a reference",
        }
    }

    /// How many values it holds, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(items) | Value::Reference(items) => items.iter().map(Tree::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, value)| value.size()).sum(),
            _ => 0,
        }
    }

    /// Mappings become one, key by key; everything else is replaced.
    pub fn merge(&mut self, over: &Tree) {
        match (&mut self.value, &over.value) {
            (Value::Map(entries), Value::Map(more)) => {
                for (key, value) in more {
                    match entries.iter_mut().find(|(known, _)| known.text == key.text) {
                        Some((known, before)) => {
                            known.place = key.place;
                            before.merge(value);
                        }
                        None => entries.push((key.clone(), value.clone())),
                    }
                }
                self.place = over.place;
            }
            _ => *self = over.clone(),
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Tree> {
        let Value::Map(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|(known, _)| known.text == key)?;
        Some(entries.remove(at).1)
    }
}

/// A number as GitLab's YAML 1.1 reader has it: octal with a leading zero, floats without their last zeros.
fn number_text(written: &str, number: f64) -> String {
    let digits = written.strip_prefix(['+', '-']).unwrap_or(written);
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    if octal && let Ok(value) = i64::from_str_radix(digits, 8) {
        return if written.starts_with('-') { format!("-{value}") } else { value.to_string() };
    }
    if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return written.trim_start_matches('+').to_string();
    }
    let has_point = digits.contains('.');
    match number {
        _ if number.fract() != 0.0 => number.to_string(),
        _ if has_point => format!("{number:.1}"),
        _ if digits.starts_with("0x") || digits.starts_with("0o") || written.starts_with('*') => number.to_string(),
        _ => written.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_ruby_prints_them() {
        let cases = [("3.10", "3.1"), ("1.0", "1.0"), ("010", "8"), ("0755", "493"), ("08", "08"), ("+5", "5"), ("-3", "-3"), ("12", "12")];
        for (written, expected) in cases {
            assert_eq!(number_text(written, written.parse().unwrap()), expected, "{written}");
        }
    }
}
