//! From the parser's events to a tree, without recursion.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

use super::lenient::Lenient;
use super::{Comment, Content, Entry, Key, Mapping, Node, Options, Value, scalar};
use crate::{Diagnostic, Span};

pub(super) fn build(text: &str, options: &Options) -> (Vec<Node>, Vec<Diagnostic>) {
    let mut lenient = Lenient::new(text);
    loop {
        match attempt(text, &lenient, options) {
            Ok(done) => return done,
            Err((error, diagnostics)) => {
                if !lenient.repair(&error) {
                    return (Vec::new(), diagnostics);
                }
            }
        }
    }
}

const TAB: &str = "indent with spaces: a tab isn't allowed here";

type Read = (Vec<Node>, Vec<Diagnostic>);

/// The documents, or the mistake that ended the reading with everything that was found up to it.
fn attempt(text: &str, lenient: &Lenient<'_>, options: &Options) -> Result<Read, (ScanError, Vec<Diagnostic>)> {
    let mut granit = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: options.depth_max,
        block_nesting_limit: options.depth_max,
    };
    granit.set_emit_comments(false);
    let mut builder = Builder { text, options, open: Vec::new(), anchors: BTreeMap::new(), documents: Vec::new(), diagnostics: Vec::new() };
    for event in Parser::new_from_str_with_options(lenient.text(), granit) {
        match event {
            Ok((event, span)) => {
                if let Err(last) = builder.take(event, place(text, &span, lenient)) {
                    builder.diagnostics.push(*last);
                    return Ok((Vec::new(), builder.diagnostics));
                }
            }
            Err(error) => {
                let last = builder.syntax(&error, lenient);
                builder.diagnostics.push(last);
                return Err((error, builder.diagnostics));
            }
        }
    }
    Ok((builder.documents, builder.diagnostics))
}

pub(super) fn comments(text: &str) -> Vec<Comment> {
    let mut lenient = Lenient::new(text);
    loop {
        // As many as there are may stand before a key.
        let granit = granit_parser::options! { max_buffered_comment_events: usize::MAX };
        let mut comments = Vec::new();
        let mut wrong = None;
        for event in Parser::new_from_str_with_options(lenient.text(), granit) {
            match event {
                Ok((Event::Comment(..), span)) => comments.push(place(text, &span, &lenient)),
                Ok(_) => {}
                Err(error) => {
                    wrong = Some(error);
                    break;
                }
            }
        }
        if !wrong.is_some_and(|error| lenient.repair(&error)) {
            return comments.into_iter().map(|span| Comment { text: text[span.start..span.end].to_owned(), span }).collect();
        }
    }
}

/// A mistake after which reading on makes no sense.
type Fatal = Box<Diagnostic>;

struct Builder<'a> {
    text: &'a str,
    options: &'a Options,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    documents: Vec<Node>,
    diagnostics: Vec<Diagnostic>,
}

/// A collection that hasn't ended yet.
struct Open {
    start: usize,
    anchor: usize,
    tag: Option<&'static str>,
    items: Items,
    /// So far, with the aliases counted as what they repeat.
    nodes: usize,
    height: usize,
    /// Where the last item ends.
    end: usize,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping { mapping: Mapping, seen: HashSet<String>, key: Option<PendingKey>, merged: Vec<Node> },
}

/// A key whose value hasn't come yet.
enum PendingKey {
    Text(Key),
    Merge,
    /// Reported already; its value is dropped.
    Wrong,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // What isn't there comes as `~`.
                let span = if text == "~" { after_colon(self.text, span) } else { span };
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let span = if block && tag.is_none() { with_indicator(self.text, span) } else { span };
                let value = self.scalar(&text, style, tag.as_deref(), span);
                // A key keeps what was written: `on`, `1.10`.
                let key = if matches!(value, Value::Null) { String::new() } else { text.into_owned() };
                self.finish(leaf(value, span), anchor, Some(key))
            }
            Event::SequenceStart(_, anchor, tag) => {
                let known = self.list_tag(tag.as_deref());
                if known.is_none() {
                    self.collection_tag(tag.as_deref(), "seq", span);
                }
                self.begin(span, anchor, known, Items::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", span);
                let items = Items::Mapping { mapping: Mapping::default(), seen: HashSet::new(), key: None, merged: Vec::new() };
                self.begin(span, anchor, None, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let node = match self.anchors.get(&anchor) {
                    Some(node) => Node { span, content: node.content.clone() },
                    None => {
                        self.report("yaml/recursive-alias", span, "this alias stands inside what it repeats");
                        leaf(Value::Null, span)
                    }
                };
                let key = node.as_str().map(str::to_owned);
                self.finish(node, 0, key)
            }
            Event::UnresolvedAlias(name) => {
                self.report("yaml/unknown-anchor", span, format!("there is no anchor `{name}` before this alias"));
                self.finish(leaf(Value::Null, span), 0, None)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, tag: Option<&'static str>, items: Items) -> Result<(), Fatal> {
        if self.open.len() >= self.options.depth_max {
            return Err(self.too_deep(span));
        }
        self.open.push(Open { start: span.start, anchor, tag, items, nodes: 1, height: 0, end: span.end });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Fatal> {
        let open = self.open.pop().expect("the parser ends only what it has begun");
        let end = if span.end > span.start { open.end.max(span.end) } else { open.end };
        let value = match open.items {
            Items::Sequence(items) => Value::Sequence(items),
            Items::Mapping { mapping, merged, .. } => Value::Mapping(self.merge(mapping, &merged)),
        };
        let span = Span::new(open.start, end);
        let content = Arc::new(Content { value, tag: open.tag, written: span, nodes: open.nodes, height: open.height });
        self.finish(Node { span, content }, open.anchor, None)
    }

    /// A node is complete: it goes into what is open, or is a document.
    fn finish(&mut self, node: Node, anchor: usize, key_text: Option<String>) -> Result<(), Fatal> {
        if anchor != 0 {
            if !self.options.anchors {
                self.report("yaml/anchor", node.span, "anchors (`&name`) aren't allowed here");
            }
            self.anchors.insert(anchor, node.clone());
        }
        let level = self.open.len();
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.nodes = open.nodes.saturating_add(node.content.nodes);
        open.height = open.height.max(node.content.height + 1);
        open.end = open.end.max(node.span.end);
        let (nodes, height) = (open.nodes, node.content.height);
        if nodes > self.options.nodes_max {
            let message = format!("the aliases make this file larger than {} values", self.options.nodes_max);
            return Err(Box::new(Diagnostic::error("yaml/too-many-nodes", node.span, message)));
        }
        if level + height > self.options.depth_max {
            return Err(self.too_deep(node.span));
        }
        let problem = open.put(node, key_text, self.options);
        self.diagnostics.extend(problem);
        Ok(())
    }

    /// What `<<` brings, after the mapping's own keys and never instead of them; the first to have a key wins.
    fn merge(&mut self, mut mapping: Mapping, merged: &[Node]) -> Mapping {
        let mut keys: HashSet<String> = mapping.entries.iter().map(|entry| entry.key.text.clone()).collect();
        for node in merged {
            let sources: Vec<&Node> = node.as_sequence().map_or_else(|| vec![node], |items| items.iter().collect());
            for source in sources {
                match source.as_mapping() {
                    Some(other) => {
                        mapping.entries.extend(other.entries.iter().filter(|entry| keys.insert(entry.key.text.clone())).cloned());
                    }
                    None => self.report("yaml/merge", source.span, "only mappings can be merged with `<<`"),
                }
            }
        }
        mapping
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        let string = || Value::String(text.to_owned());
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain { scalar::plain(text) } else { string() };
        };
        let plain = style == ScalarStyle::Plain;
        let value = match tag.core_suffix() {
            Some("str") => Some(string()),
            Some("null") if plain => scalar::null(text),
            Some("bool") if plain => scalar::bool(text),
            Some("int") if plain => scalar::integer(text).map(Value::Number),
            Some("float") if plain => scalar::number(text),
            Some("null" | "bool" | "int" | "float") => None,
            // `!` alone means a text.
            _ if tag.to_string() == "!" => Some(string()),
            _ => {
                self.unknown_tag(tag, span);
                return string();
            }
        };
        value.unwrap_or_else(|| {
            self.report("yaml/tag", span, format!("`{text}` isn't what the tag `{}` says", tag.original()));
            string()
        })
    }

    fn list_tag(&self, tag: Option<&Tag>) -> Option<&'static str> {
        let tag = tag?.original();
        self.options.list_tags.iter().find(|known| **known == tag).copied()
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, span: Span) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
        {
            self.unknown_tag(tag, span);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span) {
        self.report("yaml/tag", span, format!("the tag `{}` isn't known here", tag.original()));
    }

    fn too_deep(&self, span: Span) -> Fatal {
        let message = format!("values are nested more than {} levels deep here", self.options.depth_max);
        Box::new(Diagnostic::error("yaml/too-deep", span, message))
    }

    fn report(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    fn syntax(&self, error: &ScanError, lenient: &Lenient<'_>) -> Diagnostic {
        let at = error.marker().byte_offset().map_or(self.text.len(), |at| lenient.original(at)).min(self.text.len());
        let tab = tab_in_indentation(self.text, at, error.kind());
        let start = tab.unwrap_or(at);
        let end = self.text[start..].chars().next().map_or(start, |letter| start + letter.len_utf8());
        let span = Span::new(start, end);
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => *self.too_deep(span),
            _ if tab.is_some() => Diagnostic::error("yaml/syntax", span, TAB),
            kind => Diagnostic::error("yaml/syntax", span, explain(kind)),
        }
    }
}

/// The tab that indents the line of a mistake; a plain text runs on over its end, so there it is of a line below.
fn tab_in_indentation(text: &str, at: usize, kind: &ErrorKind) -> Option<usize> {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let lines_looked_at = if matches!(kind, ErrorKind::TabInPlainScalar) { usize::MAX } else { 1 };
    let starts = std::iter::once(line).chain(text[line..].match_indices('\n').map(|(newline, _)| line + newline + 1));
    starts.take(lines_looked_at).find_map(|start| {
        let indentation = text[start..].len() - text[start..].trim_start_matches([' ', '\t']).len();
        text[start..start + indentation].find('\t').map(|tab| start + tab)
    })
}

impl Open {
    fn put(&mut self, node: Node, key_text: Option<String>, options: &Options) -> Option<Diagnostic> {
        let (mapping, seen, key, merged) = match &mut self.items {
            Items::Sequence(items) => {
                items.push(node);
                return None;
            }
            Items::Mapping { mapping, seen, key, merged } => (mapping, seen, key, merged),
        };
        match key.take() {
            Some(PendingKey::Text(key)) => mapping.entries.push(Entry { key, value: node }),
            Some(PendingKey::Merge) => merged.push(node),
            Some(PendingKey::Wrong) => {}
            None => {
                let (pending, problem) = pending_key(&node, key_text, seen, options);
                *key = Some(pending);
                return problem;
            }
        }
        None
    }
}

fn pending_key(node: &Node, text: Option<String>, seen: &mut HashSet<String>, options: &Options) -> (PendingKey, Option<Diagnostic>) {
    let wrong = |code, message: String| (PendingKey::Wrong, Some(Diagnostic::error(code, node.span, message)));
    let Some(text) = text else { return wrong("yaml/key", "a key must be a text".to_owned()) };
    if text == "<<" {
        if options.merge_keys {
            return (PendingKey::Merge, None);
        }
        let diagnostic = Diagnostic::error("yaml/merge", node.span, "merge keys (`<<`) aren't allowed here");
        let hint = "write the keys out, or let an alias (`*name`) stand for a whole value";
        return (PendingKey::Wrong, Some(diagnostic.hint(hint)));
    }
    let identity = if options.ignore_key_case { text.to_uppercase() } else { text.clone() };
    if !seen.insert(identity) {
        return wrong("yaml/duplicate-key", format!("the key `{text}` is given twice"));
    }
    (PendingKey::Text(Key { text, span: node.span }), None)
}

fn leaf(value: Value, span: Span) -> Node {
    Node { span, content: Arc::new(Content { value, tag: None, written: span, nodes: 1, height: 0 }) }
}

fn place(text: &str, span: &granit_parser::Span, lenient: &Lenient<'_>) -> Span {
    let start = span.tag_start.as_ref().unwrap_or(&span.start).byte_offset().map_or(0, |at| lenient.original(at)).min(text.len());
    let end = span.end.byte_offset().map_or(start, |at| lenient.original(at)).clamp(start, text.len());
    // A block ends where the next thing begins; its place ends with its last letter.
    let trimmed = text[start..end].trim_end().len();
    Span::new(start, start + trimmed)
}

/// The place of a value that isn't there: behind the `:` and not on it.
fn after_colon(text: &str, span: Span) -> Span {
    if text[span.start..].starts_with(':') { Span::new(span.start + 1, span.start + 1) } else { span }
}

/// The place of a block scalar with its `|` or `>`, which the parser leaves out.
fn with_indicator(text: &str, span: Span) -> Span {
    let before = text[..span.start].trim_end();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = &before[line_start..];
    let is_header = |at: &usize| {
        let rest = line[*at + 1..].trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '+' || letter == '-');
        rest.is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
    };
    let indicator = line.match_indices(['|', '>']).map(|(at, _)| at).find(is_header);
    indicator.map_or(span, |at| Span::new(line_start + at, span.end))
}

fn explain(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::ExpectedFlowSequenceSeparator | ErrorKind::UnexpectedEofFlowSequence => {
            "a `,` or `]` was expected in this list".to_owned()
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::UnexpectedEofFlowMapping => {
            "a `,` or `}` was expected in this mapping".to_owned()
        }
        ErrorKind::ExpectedBlockMappingKey => "a key was expected here: is the line above or this one indented rightly?".to_owned(),
        ErrorKind::ExpectedBlockSequenceEntry => "a `-` was expected here: is the line above or this one indented rightly?".to_owned(),
        ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => TAB.to_owned(),
        ErrorKind::InvalidIndentation => "this line is indented in a way that fits nothing above it".to_owned(),
        other => format!("this isn't YAML: {other}"),
    }
}
