//! What a condition is made of.

use super::Value;
use super::pattern::Pattern;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The byte at which it, or its operator, stands.
    pub at: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Literal(Value),
    Name(String),
    /// `#`, `#acc`, `#index`: what a function over a list is at.
    Pointer(Pointer),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// `matches` with a text that is written in the condition.
    Matches(Box<Node>, Pattern),
    /// `1 < result < 3`: each with the one before it.
    Order(Box<Node>, Vec<(usize, Binary, Node)>),
    /// `of[key]` and `of.key`; with `?` nothing of nothing.
    Member {
        of: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    /// A chain with `?.` ends where there is nothing.
    Chain(Box<Node>),
    Call {
        name: String,
        args: Vec<Node>,
    },
    /// A function over a list, with what it asks of each item.
    Over {
        name: String,
        list: Box<Node>,
        each: Option<Box<Node>>,
        more: Vec<Node>,
    },
    /// Without the middle the condition itself is the answer.
    Conditional(Box<Node>, Option<Box<Node>>, Box<Node>),
    Let {
        name: String,
        value: Box<Node>,
        body: Box<Node>,
    },
    /// All but the last are for nothing.
    Sequence(Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    Item,
    Index,
    Accumulator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

impl Binary {
    /// The operator, how tightly it binds, and whether its right side does first.
    pub fn of(sign: &str) -> Option<(Binary, u32)> {
        Some(match sign {
            "||" | "or" => (Binary::Or, 10),
            "&&" | "and" => (Binary::And, 15),
            "==" => (Binary::Equal, 20),
            "!=" => (Binary::NotEqual, 20),
            "<" => (Binary::Less, 20),
            "<=" => (Binary::LessOrEqual, 20),
            ">" => (Binary::Greater, 20),
            ">=" => (Binary::GreaterOrEqual, 20),
            "in" => (Binary::In, 20),
            "matches" => (Binary::Matches, 20),
            "contains" => (Binary::Contains, 20),
            "startsWith" => (Binary::StartsWith, 20),
            "endsWith" => (Binary::EndsWith, 20),
            ".." => (Binary::Range, 25),
            "+" => (Binary::Add, 30),
            "-" => (Binary::Subtract, 30),
            "*" => (Binary::Multiply, 60),
            "/" => (Binary::Divide, 60),
            "%" => (Binary::Modulo, 60),
            "**" | "^" => (Binary::Power, 100),
            "??" => (Binary::Coalesce, 500),
            _ => return None,
        })
    }

    pub fn is_order(self) -> bool {
        matches!(self, Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual)
    }

    /// Those that `not` may stand before.
    pub fn can_be_negated(self) -> bool {
        matches!(self, Binary::In | Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith)
    }
}
