//! GitHub's expression language: what stands between `${{` and `}}`, and in `if:`.
//!
//! Exact to the official engine, down to how numbers are printed and which letters are the same letter, because a
//! condition that is read differently here than there ships something else. Evaluation is bounded in length, depth
//! and memory, so an expression from a stranger can't hold up a run.

mod eval;
mod functions;
mod json;
mod lexer;
mod number;
mod parser;
mod template;
mod text;
mod trace;
mod value;

use base::Span;

pub use eval::{Scope, evaluate, evaluate_source};
pub(crate) use functions::Function;
pub use functions::{Arity, arity, known_functions};
pub(crate) use lexer::Operator;
pub use parser::{Expr, parse};
pub(crate) use parser::{Node, NodeKind};
pub(crate) use template::{Piece, pieces};
pub use template::{evaluate_template, interpolate, template};
pub use text::{equals_ignore_case, fold};
pub use trace::{Clause, trace};
pub use value::{Object, Value};

/// Longest expression, in characters, that is read at all.
pub const LENGTH_MAX: usize = 21_000;
/// Deepest nesting of operators, indices and calls.
pub const DEPTH_MAX: usize = 50;
/// Bytes one evaluation may build up, counted as the official engine counts them.
pub const MEMORY_MAX: usize = 1024 * 1024;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// Byte offsets in the expression's own text.
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text isn't made of tokens.
    Lexing,
    /// The tokens aren't an expression, or name something that isn't there.
    Parsing,
    /// The expression is fine and its value can't be had.
    Evaluation,
}

impl Error {
    pub(crate) fn lexing(span: Span, message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Lexing, message: message.into(), span }
    }

    pub(crate) fn parsing(span: Span, message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Parsing, message: message.into(), span }
    }

    pub(crate) fn evaluation(span: Span, message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Evaluation, message: message.into(), span }
    }
}
