use base::yaml::{Entry, Key, Mapping, Node, Value, unknown_key};
use base::{Diagnostic, Source, Span};

use super::called::{CallSite, Callable};
use super::references::Reference;
use crate::expr;
use crate::model::{Template, Unsupported};
use crate::runners::Runners;
use crate::schema::places::Place;

/// Reads nodes as what they should be and remembers everything that they aren't.
pub(super) struct Reader<'a> {
    pub source: &'a Source,
    pub diagnostics: Vec<Diagnostic>,
    pub unsupported: Vec<Unsupported>,
    pub contained: Vec<Unsupported>,
    /// The jobs that call a workflow, in the order of the file.
    pub calls: Vec<CallSite>,
    pub callable: Callable,
    /// What the expressions so far name of what the file itself declares.
    pub references: Vec<Reference>,
    /// The job and the step that are being read.
    pub job: Option<Span>,
    pub step: Option<usize>,
    /// As [`Options::steps_required`](super::Options::steps_required).
    pub steps_required: bool,
    /// Of the whole file, as the official parser counts.
    pub size: usize,
    pub runners: Runners,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source) -> Reader<'a> {
        Reader {
            source,
            diagnostics: Vec::new(),
            unsupported: Vec::new(),
            contained: Vec::new(),
            calls: Vec::new(),
            callable: Callable::Unknown,
            references: Vec::new(),
            job: None,
            step: None,
            steps_required: true,
            size: 0,
            runners: Runners::default(),
        }
    }

    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    pub fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(code, span, message));
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Right, and not run here yet.
    pub fn unsupported(&mut self, span: Span, what: impl Into<String>) {
        self.unsupported.push(Unsupported { span, what: what.into(), hint: None });
    }

    pub fn needs_engine(&mut self, span: Span, what: impl Into<String>) {
        self.contained.push(Unsupported { span, what: what.into(), hint: None });
    }

    pub fn unknown_key(&mut self, key: &Key, known: &[&str]) {
        self.report(unknown_key("workflow/unknown-key", key, known));
    }

    pub fn wrong_type(&mut self, name: &str, node: &Node, expected: &str) {
        let name = quoted(name);
        let message = if node.is_null() { format!("{name} is empty") } else { format!("{name} can't be {}", node.kind()) };
        self.report(Diagnostic::error("workflow/wrong-type", node.span, message).hint(format!("{expected} is expected here")));
    }

    pub fn missing(&mut self, node: &Node, key: &str, what: &str) {
        self.missing_one(node, &format!("`{key}`"), what);
    }

    /// `keys` with their quotes: "`run` or `uses`".
    pub fn missing_one(&mut self, node: &Node, keys: &str, what: &str) {
        let first = node.as_mapping().and_then(|mapping| mapping.entries.first());
        // The first key alone is marked: the whole mapping would be a page.
        let span = first.map_or(node.span, |entry| Span::new(node.span.start, entry.key.span.end.max(node.span.start)));
        self.error("workflow/missing-key", span, format!("{what} needs {keys}"));
    }

    pub fn mapping<'n>(&mut self, name: &str, node: &'n Node) -> Option<&'n Mapping> {
        let mapping = node.as_mapping();
        if mapping.is_none() {
            self.wrong_type(name, node, "a mapping");
        }
        mapping
    }

    pub fn sequence<'n>(&mut self, name: &str, node: &'n Node) -> Option<&'n [Node]> {
        let sequence = node.as_sequence();
        if sequence.is_none() {
            self.wrong_type(name, node, "a list");
        }
        sequence
    }

    /// A mapping with only these keys; the entries that have one of them.
    pub fn closed<'n>(&mut self, name: &str, node: &'n Node, known: &[&str]) -> Option<Vec<&'n Entry>> {
        let mapping = self.mapping(name, node)?;
        Some(self.known(mapping, known))
    }

    pub fn known<'n>(&mut self, mapping: &'n Mapping, known: &[&str]) -> Vec<&'n Entry> {
        let mut entries = Vec::new();
        for entry in &mapping.entries {
            if known.contains(&entry.key.text.as_str()) {
                entries.push(entry);
            } else {
                self.unknown_key(&entry.key, known);
            }
        }
        entries
    }

    /// A text, or a scalar taken as one.
    pub fn text(&mut self, name: &str, node: &Node) -> Option<String> {
        let text = scalar_text(node);
        if text.is_none() {
            self.wrong_type(name, node, "a text");
        }
        text
    }

    /// A text in which no expression may stand.
    pub fn literal(&mut self, name: &str, node: &Node) -> Option<String> {
        let text = self.text(name, node)?;
        if text.contains("${{") {
            self.error("workflow/expression", node.span, format!("`{name}` can't contain an expression"));
            return None;
        }
        Some(text)
    }

    pub fn non_empty_literal(&mut self, name: &str, node: &Node) -> Option<String> {
        let text = self.literal(name, node)?;
        if text.is_empty() {
            self.error("workflow/value", node.span, format!("`{name}` is empty"));
            return None;
        }
        Some(text)
    }

    /// One of a few words.
    pub fn choice(&mut self, name: &str, node: &Node, allowed: &[&str]) -> Option<String> {
        let text = self.literal(name, node)?;
        if allowed.contains(&text.as_str()) {
            return Some(text);
        }
        let diagnostic = Diagnostic::error("workflow/value", node.span, format!("`{name}` can't be `{text}`"));
        let nearest = base::name::nearest(&text, allowed.iter().copied());
        let quoted: Vec<String> = allowed.iter().map(|allowed| format!("`{allowed}`")).collect();
        self.report(match nearest {
            Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
            None => diagnostic.hint(format!("it is one of {}", quoted.join(", "))),
        });
        None
    }

    pub fn flag(&mut self, name: &str, node: &Node) -> Option<bool> {
        let flag = node.as_bool();
        if flag.is_none() {
            self.wrong_type(name, node, "`true` or `false`");
        }
        flag
    }

    /// One text or a list of them.
    pub fn literals(&mut self, name: &str, node: &Node) -> Vec<(String, Span)> {
        match node.value() {
            Value::Sequence(items) => items.iter().filter_map(|item| Some((self.non_empty_literal(name, item)?, item.span))).collect(),
            _ => self.non_empty_literal(name, node).map(|text| (text, node.span)).into_iter().collect(),
        }
    }

    pub fn string(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        let text = self.text(name, node)?;
        self.leaf(name, &text, node.span, place)
    }

    pub fn non_empty_string(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        let text = self.text(name, node)?;
        if text.is_empty() {
            self.error("workflow/value", node.span, format!("`{name}` is empty"));
            return None;
        }
        self.leaf(name, &text, node.span, place)
    }

    pub fn boolean(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        match node.value() {
            Value::Bool(bool) => Some(Template::Bool(*bool)),
            Value::String(text) if text.contains("${{") => self.leaf(name, text, node.span, place),
            _ => {
                self.wrong_type(name, node, "`true` or `false`");
                None
            }
        }
    }

    /// How long a job may take; what an expression yields is looked at when it is known.
    pub fn minutes(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        let number = self.number(name, node, place);
        if number.as_ref().is_some_and(is_no_time) {
            let diagnostic = Diagnostic::error("workflow/value", node.span, format!("`{name}` must be more than 0"));
            self.report(diagnostic.hint("without it GitHub's own limit holds"));
        }
        number
    }

    /// As [`minutes`](Reader::minutes) of a step, for which the official runner takes 0 for no limit.
    pub fn step_minutes(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        let number = self.number(name, node, place);
        match &number {
            Some(Template::Number(0.0)) => self.warning("workflow/value", node.span, format!("`{name}: 0` is no limit at all")),
            Some(number) if is_no_time(number) => self.error("workflow/value", node.span, format!("`{name}` must be more than 0")),
            _ => {}
        }
        number
    }

    pub fn number(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        match node.value() {
            Value::Number(number) => Some(Template::Number(*number)),
            Value::String(text) if text.contains("${{") => self.leaf(name, text, node.span, place),
            _ => {
                self.wrong_type(name, node, "a number");
                None
            }
        }
    }

    /// Whatever it is, with its expressions.
    pub fn any(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        Some(match node.value() {
            Value::Null => Template::Null,
            Value::Bool(bool) => Template::Bool(*bool),
            Value::Number(number) => Template::Number(*number),
            Value::String(text) => return self.leaf(name, text, node.span, place),
            Value::Sequence(items) => Template::Sequence(items.iter().filter_map(|item| self.any(name, item, place)).collect()),
            Value::Mapping(mapping) => Template::Mapping(
                mapping
                    .entries
                    .iter()
                    .filter_map(|entry| Some((self.key(&entry.key, place)?, self.any(&entry.key.text, &entry.value, place)?)))
                    .collect(),
            ),
        })
    }

    /// A mapping of texts, or an expression that yields one.
    pub fn strings(&mut self, name: &str, node: &Node, place: &Place) -> Option<Template> {
        if let Some(expression) = self.whole_expression(name, node, place) {
            return expression;
        }
        let mapping = self.mapping(name, node)?;
        let mut entries = Vec::new();
        for entry in &mapping.entries {
            let Some(key) = self.key(&entry.key, place) else { continue };
            let inserted = matches!(&key, Template::Expr { source, .. } if source == "insert");
            let value = match inserted {
                true => self.any(name, &entry.value, place),
                false => self.string(&entry.key.text, &entry.value, place),
            };
            entries.extend(value.map(|value| (key, value)));
        }
        Some(Template::Mapping(entries))
    }

    /// The expression in the place of a collection; `None` outside if it is none.
    #[expect(clippy::option_option, reason = "not an expression, and a wrong one, are two things")]
    pub fn whole_expression(&mut self, name: &str, node: &Node, place: &Place) -> Option<Option<Template>> {
        let text = node.as_str().filter(|text| place.allows_expressions() && text.contains("${{"))?;
        Some(self.leaf(name, text, node.span, place))
    }

    pub fn key(&mut self, key: &Key, place: &Place) -> Option<Template> {
        if key.text.is_empty() {
            self.error("workflow/value", key.span, "a key is empty");
            return None;
        }
        let inner = key.text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
        if inner.is_some_and(|inner| inner.trim() == "insert") && place.allows_expressions() {
            return Some(Template::Expr { source: "insert".to_owned(), span: key.span });
        }
        self.leaf(&key.text, &key.text, key.span, place)
    }
}

/// The official parser takes what is beyond every number, `-Infinity` too.
fn is_no_time(minutes: &Template) -> bool {
    matches!(minutes, Template::Number(number) if *number <= 0.0 && number.is_finite())
}

/// A key stands in backticks, `a step` doesn't.
fn quoted(name: &str) -> String {
    if name.contains(' ') { name.to_owned() } else { format!("`{name}`") }
}

/// A scalar as GitHub takes it where a text belongs; nothing for a collection.
pub(super) fn scalar_text(node: &Node) -> Option<String> {
    match node.value() {
        Value::Null => Some(String::new()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Number(number) => Some(expr::Value::Number(*number).text()),
        Value::String(text) => Some(text.clone()),
        Value::Sequence(_) | Value::Mapping(_) => None,
    }
}
