//! `{{args.NAME}}` in an analysis: a value that whoever uses the analysis may give.

use base::yaml::Node;
use base::{Diagnostic, Span};

use super::{VALUE, at, list, text};

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
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, after)) = after.split_once("}}") else { break };
            let value = self.value(inside.trim(), place, diagnostics);
            whole = whole.zip(value).map(|(whole, value)| whole + before + &value);
            rest = after;
        }
        whole.map(|whole| whole + rest)
    }

    fn value(&self, inside: &str, place: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
        // What else stands in braces is put in by a controller while it works.
        let name = inside.strip_prefix("args.")?;
        match self.known.iter().find(|(known, _)| known == name) {
            Some((_, value)) => value.clone(),
            None => {
                let diagnostic = Diagnostic::error(VALUE, place, format!("there is no argument `{name}` in `args`"));
                let near = base::name::nearest(name, self.known.iter().map(|(known, _)| known.as_str()));
                diagnostics.push(diagnostic.hint(near.map_or(format!("add `- name: {name}`"), |near| format!("did you mean `{near}`?"))));
                None
            }
        }
    }
}
