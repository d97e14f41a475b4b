//! Conditions of an analysis (`result[0] >= 0.95`), in the language of [Expr](https://expr-lang.org), as Argo Rollouts evaluates them.
//!
//! A condition has a `result`, and the functions `asInt`, `asFloat`, `isNaN`, `isInf`, `isNil` and `default`.
//! Types are looked at before anything is evaluated, as there: `result == '1'` of a number is a mistake, not a "no".
//! What has no place in a pure answer, the clock above all, is refused by name. How long it may take, and what it makes meanwhile, is counted in steps.

mod builtin;
mod eval;
mod lexer;
mod parser;
mod pattern;
mod syntax;
mod types;
mod value;

use std::fmt;

use crate::analysis::Phase;

pub use value::Value;

/// Longer ones are no conditions any more.
pub(crate) const BYTES_MAX: usize = 16 * 1024;

/// Of a condition that something is wrong with, in characters.
const SHOWN_MAX: usize = 400;

/// Something is wrong with a condition, or with what it makes of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The byte of the condition.
    pub at: usize,
    pub message: String,
    pub hint: Option<String>,
}

impl Wrong {
    fn new(at: usize, message: impl Into<String>) -> Wrong {
        Wrong { at, message: message.into(), hint: None }
    }

    /// With the place in the condition.
    pub fn at(&self, condition: &str) -> String {
        let before = condition.get(..self.at).unwrap_or(condition);
        // Nobody reads all of a long one, and a file may have thousands.
        let shown: String = condition.chars().take(SHOWN_MAX).collect();
        let more = if shown.len() < condition.len() { "…" } else { "" };
        format!("{}, at character {} of `{shown}{more}`", self.message, before.chars().count() + 1)
    }
}

/// A condition that can be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    root: syntax::Node,
}

impl Condition {
    pub fn parse(text: &str) -> Result<Condition, Wrong> {
        if text.len() > BYTES_MAX {
            return Err(Wrong::new(0, format!("a condition has {BYTES_MAX} bytes at most, this has {}", text.len())));
        }
        let root = parser::parse(text)?;
        types::check(&root, &types::Type::Any)?;
        Ok(Condition { text: text.to_string(), root })
    }

    /// Yes or no; anything else is a mistake.
    pub fn holds(&self, result: &Value) -> Result<bool, Wrong> {
        types::check(&self.root, &types::Type::of(result))?;
        match eval::eval(&self.root, result)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(Wrong::new(0, format!("the condition must be true or false, and it is {}", other.kind()))),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How a measurement ended, and why where it is an error. Without a condition any answer is good.
pub fn measured(success: Option<&Condition>, failure: Option<&Condition>, result: &Value) -> (Phase, Option<String>) {
    let holds =
        |condition: Option<&Condition>| condition.map(|condition| condition.holds(result).map_err(|wrong| wrong.at(&condition.text)));
    let (success, failure) = match (holds(success).transpose(), holds(failure).transpose()) {
        (Err(wrong), _) | (_, Err(wrong)) => return (Phase::Error, Some(wrong)),
        (Ok(success), Ok(failure)) => (success, failure),
    };
    let phase = match (success, failure) {
        (_, Some(true)) => Phase::Failed,
        (Some(false), None) => Phase::Failed,
        (Some(false), Some(false)) => Phase::Inconclusive,
        (Some(true), _) | (None, _) => Phase::Successful,
    };
    (phase, None)
}
