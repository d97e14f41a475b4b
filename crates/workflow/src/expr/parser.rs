use std::collections::BTreeSet;

use base::Span;

use super::functions::Function;
use super::lexer::{Operator, Token, TokenKind, tokens};
use super::{DEPTH_MAX, Error, LENGTH_MAX, Value};

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub(super) source: String,
    pub(crate) root: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub kind: NodeKind,
    pub span: Span,
    /// Of the tree below, itself included.
    depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeKind {
    Literal(Value),
    /// A context by its name as written.
    Named(String),
    Wildcard,
    /// The collection and the index.
    Index(Box<(Node, Node)>),
    Not(Box<Node>),
    Compare(Operator, Box<(Node, Node)>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Call(Function, Vec<Node>),
}

/// Operators and operands on two stacks, without recursion: ten thousand parentheses are legal.
pub fn parse(source: &str) -> Result<Expr, Error> {
    if source.encode_utf16().count() > LENGTH_MAX {
        return Err(Error::parsing(Span::new(0, source.len()), format!("an expression has at most {LENGTH_MAX} characters")));
    }
    let tokens = tokens(source)?;
    let Some(last) = tokens.last().cloned() else {
        // Nothing is null; where an expression is required, whoever requires it says so.
        let root = Node { kind: NodeKind::Literal(Value::Null), span: Span::new(0, source.len()), depth: 1 };
        return Ok(Expr { source: source.to_owned(), root });
    };
    let mut parser = Parser { source, operators: Vec::new(), operands: Vec::new() };
    let mut before = None;
    for token in tokens {
        parser.take(token.clone(), before)?;
        before = Some(token.kind);
    }
    parser.finish(&last)
}

impl Expr {
    /// The contexts it names, in lower case.
    pub fn contexts(&self) -> BTreeSet<String> {
        let mut contexts = BTreeSet::new();
        self.root.walk(&mut |node| {
            if let NodeKind::Named(name) = &node.kind {
                contexts.insert(name.to_ascii_lowercase());
            }
        });
        contexts
    }

    /// The functions it calls, as they are documented: `fromJSON`, `hashFiles`.
    pub fn functions(&self) -> BTreeSet<String> {
        let mut functions = BTreeSet::new();
        self.root.walk(&mut |node| {
            if let NodeKind::Call(function, _) = &node.kind {
                functions.insert(function.name().to_owned());
            }
        });
        functions
    }

    /// Whether `success`, `failure`, `always` or `cancelled` is called anywhere in it.
    pub fn uses_status_function(&self) -> bool {
        self.functions().iter().any(|function| matches!(function.as_str(), "success" | "failure" | "always" | "cancelled"))
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Each context with the place where it is named.
    pub fn named(&self) -> Vec<(String, Span)> {
        let mut named = Vec::new();
        self.root.walk(&mut |node| {
            if let NodeKind::Named(name) = &node.kind {
                named.push((name.clone(), node.span));
            }
        });
        named
    }

    /// Each call: the function's documented name, how many arguments it was given, and its place.
    pub fn calls(&self) -> Vec<(&'static str, usize, Span)> {
        let mut calls = Vec::new();
        self.root.walk(&mut |node| {
            if let NodeKind::Call(function, arguments) = &node.kind {
                calls.push((function.name(), arguments.len(), node.span));
            }
        });
        calls
    }

    /// The paths that are written out: `steps.build.outputs.tag` is `["steps", "build", "outputs", "tag"]`, with its place.
    pub fn paths(&self) -> Vec<(Vec<String>, Span)> {
        let mut paths = Vec::new();
        self.root.collect_paths(&mut paths);
        paths
    }

    /// The value, if it is nothing but a literal.
    pub fn literal(&self) -> Option<&Value> {
        match &self.root.kind {
            NodeKind::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Node {
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Node)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            NodeKind::Literal(_) | NodeKind::Named(_) | NodeKind::Wildcard => Vec::new(),
            NodeKind::Not(operand) => vec![operand],
            NodeKind::Index(pair) | NodeKind::Compare(_, pair) => vec![&pair.0, &pair.1],
            NodeKind::And(operands) | NodeKind::Or(operands) | NodeKind::Call(_, operands) => operands.iter().collect(),
        }
    }

    fn collect_paths(&self, paths: &mut Vec<(Vec<String>, Span)>) {
        if let Some(path) = self.path() {
            paths.push((path, self.span));
            return;
        }
        for child in self.children() {
            child.collect_paths(paths);
        }
    }

    fn path(&self) -> Option<Vec<String>> {
        match &self.kind {
            NodeKind::Named(name) => Some(vec![name.clone()]),
            NodeKind::Index(pair) => match &pair.1.kind {
                NodeKind::Literal(Value::String(key)) => {
                    let mut path = pair.0.path()?;
                    path.push(key.to_string());
                    Some(path)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

struct Parser<'a> {
    source: &'a str,
    operators: Vec<Token>,
    operands: Vec<Node>,
}

impl Parser<'_> {
    fn take(&mut self, token: Token, before: Option<TokenKind>) -> Result<(), Error> {
        let literal = |value| NodeKind::Literal(value);
        let kind = match token.kind {
            TokenKind::Null => literal(Value::Null),
            TokenKind::Bool(bool) => literal(Value::Bool(bool)),
            TokenKind::Number(number) => literal(Value::Number(number)),
            TokenKind::String(text) | TokenKind::Property(text) => literal(Value::from(text)),
            TokenKind::Wildcard => NodeKind::Wildcard,
            TokenKind::Named(name) => NodeKind::Named(name),
            TokenKind::Function(name) => match Function::named(&name) {
                Some(function) => NodeKind::Call(function, Vec::new()),
                None => return Err(unknown_function(&name, token.span)),
            },
            _ => return self.take_operator(token, before),
        };
        self.operands.push(Node { kind, span: token.span, depth: 1 });
        Ok(())
    }

    fn take_operator(&mut self, token: Token, before: Option<TokenKind>) -> Result<(), Error> {
        if token.kind != TokenKind::Operator(Operator::Not) {
            while self.operators.last().is_some_and(|top| binds(&top.kind) >= binds(&token.kind) && !is_fence(&top.kind)) {
                self.reduce()?;
            }
        }
        match token.kind {
            TokenKind::EndGroup => drop(self.operators.pop()),
            TokenKind::EndIndex => {
                self.operators.pop();
                self.reduce_index(token.span.end)?;
            }
            TokenKind::EndParameters => self.reduce_call(&token, before)?,
            _ => self.operators.push(token),
        }
        Ok(())
    }

    fn finish(mut self, last: &Token) -> Result<Expr, Error> {
        let unfinished = matches!(
            last.kind,
            TokenKind::Operator(_)
                | TokenKind::Dereference
                | TokenKind::Separator
                | TokenKind::Function(_)
                | TokenKind::StartGroup
                | TokenKind::StartIndex
                | TokenKind::StartParameters
        );
        if unfinished || self.operators.iter().any(|operator| is_fence(&operator.kind)) {
            let written = &self.source[last.span.start..last.span.end];
            return Err(Error::parsing(last.span, format!("the expression ends too early, after `{written}`")));
        }
        while !self.operators.is_empty() {
            self.reduce()?;
        }
        let root = self.operand();
        assert!(self.operands.is_empty(), "a legal sequence of tokens leaves one operand");
        Ok(Expr { source: self.source.to_owned(), root })
    }

    fn reduce(&mut self) -> Result<(), Error> {
        let token = self.operators.pop().expect("an operator was seen on the stack");
        match token.kind {
            TokenKind::Dereference => {
                let end = self.operands.last().map_or(token.span.end, |index| index.span.end);
                self.reduce_index(end)
            }
            TokenKind::Operator(Operator::Not) => {
                let operand = self.operand();
                let span = Span::new(token.span.start, operand.span.end);
                self.push(NodeKind::Not(Box::new(operand)), span)
            }
            TokenKind::Operator(operator) => {
                let right = self.operand();
                let left = self.operand();
                let span = Span::new(left.span.start, right.span.end);
                let kind = match operator {
                    Operator::And => NodeKind::And(flat(left, right, |kind| match kind {
                        NodeKind::And(operands) => Ok(operands),
                        other => Err(other),
                    })),
                    Operator::Or => NodeKind::Or(flat(left, right, |kind| match kind {
                        NodeKind::Or(operands) => Ok(operands),
                        other => Err(other),
                    })),
                    _ => NodeKind::Compare(operator, Box::new((left, right))),
                };
                self.push(kind, span)
            }
            other => unreachable!("`{other:?}` is taken off the stack where it is closed"),
        }
    }

    fn reduce_index(&mut self, end: usize) -> Result<(), Error> {
        let index = self.operand();
        let collection = self.operand();
        let span = Span::new(collection.span.start, end);
        self.push(NodeKind::Index(Box::new((collection, index))), span)
    }

    fn reduce_call(&mut self, end: &Token, before: Option<TokenKind>) -> Result<(), Error> {
        let mut count = usize::from(before != Some(TokenKind::StartParameters));
        while self.operators.last().is_some_and(|top| top.kind == TokenKind::Separator) {
            self.operators.pop();
            count += 1;
        }
        self.operators.pop();
        let arguments = self.operands.split_off(self.operands.len() - count);
        let call = self.operand();
        let NodeKind::Call(function, _) = call.kind else { unreachable!("`(` of parameters follows a function's name") };
        let span = Span::new(call.span.start, end.span.end);
        if let Some(complaint) = function.arity().complaint(function.name(), count) {
            return Err(Error::parsing(span, complaint));
        }
        self.push(NodeKind::Call(function, arguments), span)
    }

    fn push(&mut self, kind: NodeKind, span: Span) -> Result<(), Error> {
        let mut node = Node { kind, span, depth: 1 };
        node.depth += node.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if node.depth > DEPTH_MAX {
            return Err(Error::parsing(span, format!("an expression is at most {DEPTH_MAX} levels deep")));
        }
        self.operands.push(node);
        Ok(())
    }

    fn operand(&mut self) -> Node {
        self.operands.pop().expect("the order of the tokens was checked, so every operator has its operands")
    }
}

/// `a && b && c` is one node with three operands, as in the official engine; the depth limit counts it so.
fn flat(left: Node, right: Node, same: impl Fn(NodeKind) -> Result<Vec<Node>, NodeKind>) -> Vec<Node> {
    let mut operands = Vec::new();
    for node in [left, right] {
        match same(node.kind) {
            Ok(nested) => operands.extend(nested),
            Err(kind) => operands.push(Node { kind, ..node }),
        }
    }
    operands
}

fn binds(kind: &TokenKind) -> u8 {
    match kind {
        TokenKind::StartGroup => 20,
        TokenKind::StartIndex | TokenKind::StartParameters | TokenKind::Dereference => 19,
        TokenKind::Operator(Operator::Not) => 16,
        TokenKind::Operator(Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual) => 11,
        TokenKind::Operator(Operator::Equal | Operator::NotEqual) => 10,
        TokenKind::Operator(Operator::And) => 6,
        TokenKind::Operator(Operator::Or) => 5,
        _ => 1,
    }
}

/// What holds back everything below it on the stack until it is closed.
fn is_fence(kind: &TokenKind) -> bool {
    matches!(kind, TokenKind::StartGroup | TokenKind::StartIndex | TokenKind::StartParameters | TokenKind::Separator)
}

fn unknown_function(name: &str, span: Span) -> Error {
    let nearest = base::name::nearest(name, super::known_functions());
    let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"));
    Error::parsing(span, format!("there is no function `{name}`{hint}"))
}
