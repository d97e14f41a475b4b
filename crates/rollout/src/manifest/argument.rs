//! `{{args.NAME}}` in an analysis: a value that whoever uses the analysis may give.

use std::collections::BTreeSet;

use base::yaml::Node;
use base::{Diagnostic, Span};

use super::{VALUE, at, list, text};
use crate::condition::BYTES_MAX;

/// Those of a template.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    known: Vec<(String, Option<String>)>,
}

impl Arguments {
    pub fn of(spec: &Node) -> Arguments {
        let known = list(spec, "args").iter().map(|arg| (at(arg, "name").map(text).unwrap_or_default(), at(arg, "value").map(text)));
        Arguments { known: known.collect() }
    }

    pub fn rules(spec: &Node, diagnostics: &mut Vec<Diagnostic>) {
        let args = list(spec, "args");
        for (index, arg) in args.iter().enumerate() {
            let Some(name) = at(arg, "name") else { continue };
            if args[..index].iter().any(|before| at(before, "name").and_then(Node::as_str) == name.as_str()) {
                let message = format!("the argument `{}` is given twice", text(name));
                diagnostics.push(Diagnostic::error(VALUE, name.span, message));
            }
            if at(arg, "value").is_some() && at(arg, "valueFrom").is_some() {
                let message = format!("the argument `{}` has a `value` and a `valueFrom`", text(name));
                diagnostics.push(Diagnostic::error(VALUE, name.span, message).hint("remove one of them"));
            }
        }
    }

    /// The text with the values put in; nothing where a value is only known to whoever uses it.
    pub fn put_into(&self, written: &str, place: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
        let mut whole = Some(String::new());
        let mut unknown = BTreeSet::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, after)) = after.split_once("}}") else { break };
            let value = match self.value(inside.trim(), place) {
                Ok(value) => value,
                Err(diagnostic) => {
                    // Once, however often it stands there.
                    if unknown.insert(inside.trim()) {
                        diagnostics.push(diagnostic);
                    }
                    None
                }
            };
            whole = whole.zip(value).map(|(whole, value)| whole + before + &value);
            // Small files can ask for a lot: one long value, put in again and again.
            if whole.as_ref().is_some_and(|whole| whole.len() > BYTES_MAX) {
                let message = format!("with the values of its arguments this has more than {BYTES_MAX} bytes");
                diagnostics.push(Diagnostic::error(VALUE, place, message).hint("a condition has that many at most"));
                return None;
            }
            rest = after;
        }
        whole.map(|whole| whole + rest)
    }

    fn value(&self, inside: &str, place: Span) -> Result<Option<String>, Diagnostic> {
        // What else stands in braces is put in by a controller while it works.
        let Some(name) = inside.strip_prefix("args.") else { return Ok(None) };
        match self.known.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => {
                let diagnostic = Diagnostic::error(VALUE, place, format!("there is no argument `{name}` in `args`"));
                let near = base::name::nearest(name, self.known.iter().map(|(known, _)| known.as_str()));
                Err(diagnostic.hint(near.map_or(format!("add `- name: {name}`"), |near| format!("did you mean `{near}`?"))))
            }
        }
    }
}
