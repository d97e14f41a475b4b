//! YAML 1.2 as a tree in which everything knows its place.
//!
//! What an alias repeats is shared and not copied, and what it would add up to is counted, so a file can't be made to
//! grow in memory. Scalars follow the core schema: `on`, `yes` and `no` are texts.

mod build;
mod lenient;
mod scalar;

use std::sync::Arc;

use crate::name::nearest;
use crate::{Diagnostic, Source, Span};

/// A value and where it stands. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// For an alias the place of the alias; what is below it has the places of the anchor.
    pub span: Span,
    content: Arc<Content>,
}

#[derive(Debug, PartialEq)]
struct Content {
    value: Value,
    tag: Option<&'static str>,
    /// Where it was written.
    written: Span,
    /// Nodes in this tree, counted as if aliases were copies.
    nodes: usize,
    /// Levels below this one.
    height: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// In the order of the file; every key once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mapping {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: Key,
    pub value: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// As written, without quotes; nothing for `null`.
    pub text: String,
    pub span: Span,
}

/// What a dialect of YAML allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub bytes_max: usize,
    /// Levels of sequences and mappings in each other, aliases included.
    pub depth_max: usize,
    /// Values in the file, those that aliases repeat counted each time.
    pub nodes_max: usize,
    /// Whether `<<` puts other mappings into this one. GitLab says yes, GitHub no.
    pub merge_keys: bool,
    /// Whether a value may be named (`&name`) and repeated (`*name`).
    pub anchors: bool,
    /// Whether `Key` and `key` are the same key.
    pub ignore_key_case: bool,
    /// Tags that a list may have and keep, with their `!`. GitLab knows `!reference`.
    pub list_tags: &'static [&'static str],
}

impl Default for Options {
    fn default() -> Options {
        Options {
            bytes_max: 1024 * 1024,
            depth_max: 100,
            // A workflow of a megabyte has some forty thousand.
            nodes_max: 200_000,
            merge_keys: false,
            anchors: true,
            ignore_key_case: false,
            list_tags: &[],
        }
    }
}

/// The file's one document; nothing if it is empty or can't be read. Everything that is wrong is reported at once.
pub fn parse(source: &Source) -> (Option<Node>, Vec<Diagnostic>) {
    parse_with(source, &Options::default())
}

/// A comment, from its `#` to the end of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub text: String,
    pub span: Span,
}

/// The file's comments in their order; in a file that isn't YAML those before the mistake.
pub fn comments(source: &Source) -> Vec<Comment> {
    build::comments(&source.text)
}

pub fn parse_with(source: &Source, options: &Options) -> (Option<Node>, Vec<Diagnostic>) {
    let (documents, mut diagnostics) = documents(source, options);
    if let Some(second) = documents.get(1) {
        diagnostics.push(Diagnostic::error(
            "yaml/second-document",
            second.span,
            "only one document is expected, and here a second one begins",
        ));
    }
    (documents.into_iter().next(), diagnostics)
}

/// All documents of the file. After a mistake in the YAML itself there are none.
pub fn documents(source: &Source, options: &Options) -> (Vec<Node>, Vec<Diagnostic>) {
    if source.text.len() > options.bytes_max {
        let message = format!("the file has {} bytes, at most {} are read", source.text.len(), options.bytes_max);
        return (Vec::new(), vec![Diagnostic::error("yaml/too-large", Span::default(), message)]);
    }
    build::build(&source.text, options)
}

impl Node {
    /// Where it was written: for an alias the place of what it repeats.
    pub fn written(&self) -> Span {
        self.content.written
    }

    pub fn value(&self) -> &Value {
        &self.content.value
    }

    /// Of a list, one of [`Options::list_tags`].
    pub fn tag(&self) -> Option<&'static str> {
        self.content.tag
    }

    /// Only of a text; a number or a truth value isn't one.
    pub fn as_str(&self) -> Option<&str> {
        match self.value() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.value() {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self.value() {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_sequence(&self) -> Option<&[Node]> {
        match self.value() {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_mapping(&self) -> Option<&Mapping> {
        match self.value() {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        *self.value() == Value::Null
    }

    /// The value of a key; nothing when this is no mapping or lacks it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// What this is, for a message: `a list`.
    pub fn kind(&self) -> &'static str {
        match self.value() {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

impl Mapping {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Node)> {
        self.entries.iter().map(|entry| (&entry.key, &entry.value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A diagnostic for every key that isn't among the `known`, with the nearest that is.
    pub fn unknown_keys(&self, code: &'static str, known: &[&str]) -> Vec<Diagnostic> {
        let unknown = self.entries.iter().filter(|entry| !known.contains(&entry.key.text.as_str()));
        unknown.map(|entry| unknown_key(code, &entry.key, known)).collect()
    }
}

/// "unknown key `jbos`", and the nearest known one or else all of them.
pub fn unknown_key(code: &'static str, key: &Key, known: &[&str]) -> Diagnostic {
    let diagnostic = Diagnostic::error(code, key.span, format!("unknown key `{}`", key.text));
    match nearest(&key.text, known.iter().copied()) {
        Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
        None => diagnostic.hint(format!("known here: {}", quoted(known))),
    }
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, options: &Options, expected: &[&str]) -> Option<Node> {
        let source = Source::new("x.yml", text);
        let (node, diagnostics) = parse_with(&source, options);
        let found: Vec<String> = diagnostics
            .iter()
            .map(|diagnostic| {
                let (line, column) = source.line_column(diagnostic.span.start);
                format!("{line}:{column} {}", diagnostic.message)
            })
            .collect();
        assert_eq!(found, expected, "{text}");
        node
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let text = "[on, yes, ~, null, true, False, 1, 010, 0o14, 0x1F, 1_000, 1e3, .5, -.INF, '1', \"true\", !!str 1, 1.2.3, 2024-01-01]";
        let node = check(text, &Options::default(), &[]).expect("it is a document");
        let found: Vec<String> = node.as_sequence().expect("it is a list").iter().map(|node| format!("{:?}", node.value())).collect();
        let expected = [
            "String(\"on\")",
            "String(\"yes\")",
            "Null",
            "Null",
            "Bool(true)",
            "Bool(false)",
            "Number(1.0)",
            "Number(10.0)",
            "Number(12.0)",
            "Number(31.0)",
            "String(\"1_000\")",
            "Number(1000.0)",
            "Number(0.5)",
            "Number(-inf)",
            "String(\"1\")",
            "String(\"true\")",
            "String(\"1\")",
            "String(\"1.2.3\")",
            "String(\"2024-01-01\")",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_node_and_key_knows_its_place() {
        let text = "ä: 1\nlist:\n  - 'two'\n  - {k: v}\nblock: |\n  one\n  two\nlast: end\n";
        let node = check(text, &Options::default(), &[]).expect("it is a document");
        let slice = |span: Span| &text[span.start..span.end];
        let mapping = node.as_mapping().expect("it is a mapping");
        let keys: Vec<&str> = mapping.iter().map(|(key, _)| slice(key.span)).collect();
        assert_eq!(keys, ["ä", "list", "block", "last"]);
        let list = node.get("list").and_then(Node::as_sequence).expect("it is a list");
        assert_eq!(slice(list[0].span), "'two'");
        assert_eq!(slice(list[1].span), "{k: v}");
        assert!(slice(node.get("block").expect("it is there").span).starts_with("|\n  one"));
        assert_eq!(slice(node.get("last").expect("it is there").span), "end");
        assert!(slice(node.span).starts_with("ä: 1") && slice(node.span).ends_with("end"));
    }

    #[test]
    fn an_alias_knows_where_its_text_was_written() {
        let text = "a: &x hello\nb: *x\n";
        let node = check(text, &Options::default(), &[]).expect("it is a document");
        let alias = node.get("b").expect("it is there");
        assert_eq!((&text[alias.span.start..alias.span.end], &text[alias.written().start..alias.written().end]), ("*x", "hello"));
    }

    #[test]
    fn comments_know_their_places_and_what_only_looks_like_one_is_none() {
        let text = "a: 1 # one\n# ä two\nb: 'x # no'\nc: | # three\n  # no\nd: [1, # four\n  2]\n";
        let comments = comments(&Source::new("x.yml", text));
        let found: Vec<&str> = comments.iter().map(|comment| &text[comment.span.start..comment.span.end]).collect();
        assert_eq!(found, ["# one", "# ä two", "# three", "# four"]);
        assert!(comments.iter().zip(found).all(|(comment, found)| comment.text == found));
    }

    #[test]
    fn mistakes_are_reported_together() {
        let text = "a: 1\na: 2\nb: *nowhere\nc: &c [*c]\n<<: {x: 1}\n? [1]\n: 2\nd: !secret x\ne: !!int x\n";
        check(
            text,
            &Options::default(),
            &[
                "2:1 the key `a` is given twice",
                "3:4 there is no anchor `nowhere` before this alias",
                "4:8 this alias stands inside what it repeats",
                "5:1 merge keys (`<<`) aren't allowed here",
                "6:3 a key must be a text",
                "8:4 the tag `!secret` isn't known here",
                "9:4 `x` isn't what the tag `!!int` says",
            ],
        );
        check("a: {b: 1\n", &Options::default(), &["1:4 this isn't YAML: unclosed bracket '{'"]);
        check("a:\n  - b\n c: d\n", &Options::default(), &["3:2 a key was expected here: is the line above or this one indented rightly?"]);
        // A parser tells of a tab where the line before it ends, if at all.
        let tab = "indent with spaces: a tab isn't allowed here";
        check("a: b\n\tc: d\n", &Options::default(), &[&format!("2:1 {tab}")]);
        check("a:\n  b: c\n \td: e\n", &Options::default(), &[&format!("3:2 {tab}")]);
        check("a:\n\tb: c\n", &Options::default(), &[&format!("2:1 {tab}")]);
        check("a: b: c\n", &Options::default(), &["1:5 this isn't YAML: mapping values are not allowed in this context"]);
        check("a: 1\nA: 2\n", &Options { ignore_key_case: true, ..Options::default() }, &["2:1 the key `A` is given twice"]);
        check("a: 1\n---\nb: 2\n", &Options::default(), &["3:1 only one document is expected, and here a second one begins"]);
    }

    #[test]
    fn merge_keys_merge_where_they_are_allowed() {
        let options = Options { merge_keys: true, ..Options::default() };
        let text = "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nall: {b: 0, <<: [*one, *two]}\n";
        let node = check(text, &options, &[]).expect("it is a document");
        let all = node.get("all").and_then(Node::as_mapping).expect("it is a mapping");
        let found: Vec<(&str, Option<f64>)> = all.iter().map(|(key, value)| (key.text.as_str(), value.as_number())).collect();
        assert_eq!(found, [("b", Some(0.0)), ("a", Some(1.0)), ("c", Some(2.0))]);
    }

    #[test]
    fn lists_keep_the_tags_that_are_allowed() {
        let options = Options { list_tags: &["!reference"], ..Options::default() };
        let node = check("a: !reference [.b, script]\nc: [d]\n", &options, &[]).expect("it is a document");
        assert_eq!(node.get("a").and_then(Node::tag), Some("!reference"));
        assert_eq!(node.get("c").and_then(Node::tag), None);
        check("a: !reference {b: c}\n", &options, &["1:4 the tag `!reference` isn't known here"]);
        check("a: !reference [b]\n", &Options::default(), &["1:4 the tag `!reference` isn't known here"]);
    }

    #[test]
    fn what_other_parsers_let_pass_is_read_with_its_places() {
        let text = "ä: [one]#ö, two]\nb: \"x\"# y\nlist:\n  - \"hello\n  world\n\n  again\"\n  - 'last\n  ß'\nc: {d: e}\n";
        let node = check(text, &Options::default(), &[]).expect("it is a document");
        let slice = |span: Span| &text[span.start..span.end];
        let list = node.get("list").and_then(Node::as_sequence).expect("it is a list");
        assert_eq!((list[0].as_str(), slice(list[0].span)), (Some("hello world\nagain"), "\"hello\n  world\n\n  again\""));
        assert_eq!((list[1].as_str(), slice(list[1].span)), (Some("last ß"), "'last\n  ß'"));
        assert_eq!(node.get("b").and_then(Node::as_str), Some("x"));
        assert_eq!(slice(node.get("c").expect("it is there").span), "{d: e}");
        let comments = comments(&Source::new("x.yml", text));
        assert_eq!(comments.iter().map(|comment| slice(comment.span)).collect::<Vec<_>>(), ["#ö, two]", "# y"]);
        // A mistake behind what was let pass is where it is.
        check(
            "a: [one]#x\nb: 'y\nz'\nc: d: e\n",
            &Options::default(),
            &["4:5 this isn't YAML: mapping values are not allowed in this context"],
        );
    }

    #[test]
    fn a_bomb_is_one_diagnostic() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let message = "the aliases make this file larger than 200000 values";
        assert!(check(&text, &Options::default(), &[&format!("6:25 {message}")]).is_none());
        let deep = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
        assert!(check(&deep, &Options::default(), &["1:101 values are nested more than 100 levels deep here"]).is_none());
    }
}
