//! Expressions where they stand in a file, and what can be read off them without running anything.

use base::Span;

use super::located::Located;
use crate::expr::{self, Expr, Function, Node, NodeKind, Operator, Scope, Value};

/// A `${{ … }}`, or a bare condition.
#[derive(Debug, Clone)]
pub(super) struct Fenced {
    /// With the braces.
    pub span: Span,
    pub expr: Expr,
    /// Where the expression's own first letter stands.
    at: usize,
}

impl Fenced {
    /// Of a node of the expression.
    pub fn place(&self, part: Span) -> Span {
        Span::new(self.at + part.start, self.at + part.end)
    }

    pub fn root(&self) -> &Node {
        &self.expr.root
    }
}

/// The expressions between two places of a file, as they are written there. Those that can't be read are left to the
/// reader of the file, which says so.
pub(super) fn fenced(source: &str, within: Span) -> Vec<Fenced> {
    let Some(text) = source.get(within.start..within.end) else { return Vec::new() };
    let mut found = Vec::new();
    let mut offset = 0;
    let mut unclosed = 0;
    while let Some(opening) = text[offset..].find("${{").map(|opening| offset + opening) {
        let inner = opening + 3;
        let Some(length) = length(&text[inner..]) else {
            unclosed += 1;
            if unclosed == UNCLOSED_MAX {
                break;
            }
            offset = inner;
            continue;
        };
        offset = inner + length + 2;
        let written = &text[inner..inner + length];
        let leading = written.len() - written.trim_start().len();
        if let Ok(expr) = expr::parse(written.trim()) {
            let span = Span::new(within.start + opening, within.start + offset);
            found.push(Fenced { span, expr, at: within.start + inner + leading });
        }
    }
    found
}

/// Openings without an end that are looked past; each costs a look through the rest.
const UNCLOSED_MAX: usize = 64;

fn length(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.bytes().zip(text.bytes().skip(1)).position(|(letter, next)| {
        quoted ^= letter == b'\'';
        !quoted && letter == b'}' && next == b'}'
    })
}

/// A condition: what is inside its braces, or else all of it.
pub(super) fn condition(source: &str, located: &Located, whole: Span) -> Option<Fenced> {
    if located.text.contains("${{") {
        return fenced(source, whole).into_iter().next();
    }
    let bare = located.text.trim();
    let leading = located.text.len() - located.text.trim_start().len();
    let place = located.place(Span::new(leading, leading + bare.len()));
    expr::parse(bare).ok().map(|expr| Fenced { span: place, expr, at: place.start })
}

/// A value named by its path: `github.event.issue.title`.
#[derive(Debug, Clone)]
pub(super) struct Context<'a> {
    pub segments: Vec<Segment<'a>>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Segment<'a> {
    Key(&'a str),
    Number(f64),
    Star,
    Computed,
}

impl<'a> Context<'a> {
    /// Nothing when the node isn't a path from a context.
    pub fn of(node: &'a Node) -> Option<Context<'a>> {
        let mut segments = Vec::new();
        let mut at = node;
        loop {
            match &at.kind {
                NodeKind::Named(name) => {
                    segments.push(Segment::Key(name));
                    segments.reverse();
                    return Some(Context { segments, span: node.span });
                }
                NodeKind::Index(pair) => {
                    segments.push(match &pair.1.kind {
                        NodeKind::Literal(Value::String(key)) => Segment::Key(key),
                        NodeKind::Literal(Value::Number(index)) => Segment::Number(*index),
                        NodeKind::Wildcard => Segment::Star,
                        _ => Segment::Computed,
                    });
                    at = &pair.0;
                }
                _ => return None,
            }
        }
    }

    pub fn is(&self, path: &str) -> bool {
        self.segments.len() == path.split('.').count() && self.starts(path)
    }

    /// Whether it is this or something below it; `*` stands for any one part.
    pub fn starts(&self, path: &str) -> bool {
        let mut parts = self.segments.iter();
        path.split('.').all(|wanted| {
            parts.next().is_some_and(|segment| match segment {
                Segment::Key(key) => wanted == "*" || key.eq_ignore_ascii_case(wanted),
                Segment::Number(_) | Segment::Star => wanted == "*",
                Segment::Computed => false,
            })
        })
    }

    pub fn below(&self, path: &str) -> bool {
        self.segments.len() > path.split('.').count() && self.starts(path)
    }

    pub fn key(&self, index: usize) -> Option<&'a str> {
        match self.segments.get(index) {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// The name of the last part that has one.
    pub fn leaf(&self) -> &'a str {
        let named = self.segments.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(*key),
            _ => None,
        });
        named.unwrap_or_default()
    }

    /// As it is usually written.
    pub fn text(&self) -> String {
        let parts: Vec<String> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Key(key) => (*key).to_owned(),
                Segment::Number(number) => number.to_string(),
                Segment::Star => "*".to_owned(),
                Segment::Computed => "[…]".to_owned(),
            })
            .collect();
        parts.join(".")
    }
}

/// Every context an expression names, at full length.
pub(super) fn contexts(node: &Node) -> Vec<Context<'_>> {
    if let Some(context) = Context::of(node) {
        // An index may itself name contexts.
        let mut found = vec![context];
        let mut at = node;
        while let NodeKind::Index(pair) = &at.kind {
            found.extend(contexts(&pair.1));
            at = &pair.0;
        }
        return found;
    }
    node.children().into_iter().flat_map(contexts).collect()
}

/// The contexts whose text can come out of the expression: not those that are only compared or asked about.
pub(super) fn flowing(node: &Node) -> Vec<Context<'_>> {
    match &node.kind {
        NodeKind::Named(_) | NodeKind::Index(_) => match Context::of(node) {
            Some(context) => vec![context],
            None => head(node).map(flowing_call).unwrap_or_default(),
        },
        NodeKind::Call(..) => flowing_call(node),
        NodeKind::And(operands) => operands.last().map(flowing).unwrap_or_default(),
        NodeKind::Or(operands) => operands.iter().flat_map(flowing).collect(),
        NodeKind::Literal(_) | NodeKind::Wildcard | NodeKind::Not(_) | NodeKind::Compare(..) => Vec::new(),
    }
}

/// What `fromJSON(x).y` begins with.
fn head(node: &Node) -> Option<&Node> {
    match &node.kind {
        NodeKind::Index(pair) => head(&pair.0),
        _ => Some(node),
    }
}

fn flowing_call(node: &Node) -> Vec<Context<'_>> {
    let NodeKind::Call(function, arguments) = &node.kind else { return Vec::new() };
    match function {
        Function::ToJson | Function::FromJson | Function::Format | Function::Join => arguments.iter().flat_map(flowing).collect(),
        // Every second argument is a condition, the last is the default.
        Function::Case => arguments
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 2 == 1 || at + 1 == arguments.len())
            .flat_map(|(_, node)| flowing(node))
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether it is the same whatever happens.
pub(super) fn is_constant(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Literal(_) => true,
        NodeKind::Not(_) | NodeKind::Compare(..) | NodeKind::And(_) | NodeKind::Or(_) => node.children().into_iter().all(is_constant),
        NodeKind::Call(function, arguments) => {
            let pure = matches!(
                function,
                Function::Contains | Function::StartsWith | Function::EndsWith | Function::Format | Function::ToJson | Function::Join
            );
            pure && arguments.iter().all(is_constant)
        }
        NodeKind::Named(_) | NodeKind::Wildcard | NodeKind::Index(_) => false,
    }
}

/// The largest parts that are the same whatever happens, and more than a literal.
pub(super) fn constant_parts(node: &Node) -> Vec<&Node> {
    if is_constant(node) && !matches!(node.kind, NodeKind::Literal(_)) {
        return vec![node];
    }
    node.children().into_iter().flat_map(constant_parts).collect()
}

/// The value of a constant part.
pub(super) fn constant_value(expr: &Expr, node: &Node) -> Option<Value> {
    if !is_constant(node) {
        return None;
    }
    let source = expr.source().get(node.span.start..node.span.end)?;
    expr::evaluate_source(source, &Nothing).ok()
}

struct Nothing;

impl Scope for Nothing {
    fn context(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, _function: &str, _args: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// Both sides of an equality in it, wherever it stands.
pub(super) fn is_equality(operator: Operator) -> bool {
    operator == Operator::Equal
}
