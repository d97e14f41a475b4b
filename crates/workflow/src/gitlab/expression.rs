//! The small language of `rules:if`, `only:variables` and `workflow:rules`: comparisons of variables, texts and patterns.
//!
//! It keeps GitLab's own corners: `&&` and `||` hand on the operand that decided, and only at the very end is an empty text false,
//! so `$EMPTY && $SET` is true where `$UNSET && $SET` is not.

use std::collections::BTreeMap;

use regex::Regex;

/// Read and ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    Variable(String),
    Text(String),
    /// Between slashes, with its flags: `/^v\d/i`.
    Pattern(String),
    Null,
    Bool(bool),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    NotEquals,
    Matches,
    NotMatches,
    And,
    Or,
}

/// What is wrong, and where in the expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    pub offset: usize,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Bool(bool),
    Text(String),
    Pattern(String),
}

/// As many as GitLab takes.
const TOKENS_MAX: usize = 100;

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Expression, Error> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, next: 0, end: text.len() };
        let expression = parser.or()?;
        match parser.tokens.get(parser.next) {
            None => Ok(expression),
            Some((offset, _)) => Err(Error { offset: *offset, message: "an operator (`&&`, `||`, `==` …) is expected here".to_string() }),
        }
    }

    /// Whether it holds: neither null nor false nor blank.
    pub(crate) fn holds(&self, variables: &BTreeMap<String, String>) -> bool {
        match self.value(variables) {
            Value::Null => false,
            Value::Bool(bool) => bool,
            Value::Text(text) => !text.trim().is_empty(),
            Value::Pattern(_) => true,
        }
    }

    fn value(&self, variables: &BTreeMap<String, String>) -> Value {
        match self {
            Expression::Variable(name) => variables.get(name).map_or(Value::Null, |text| Value::Text(text.clone())),
            Expression::Text(text) => Value::Text(text.clone()),
            Expression::Pattern(pattern) => Value::Pattern(pattern.clone()),
            Expression::Null => Value::Null,
            Expression::Bool(bool) => Value::Bool(*bool),
            Expression::Not(inner) => Value::Bool(!inner.holds(variables)),
            Expression::Binary(operator, left, right) => {
                let left = left.value(variables);
                let truthy = !matches!(left, Value::Null | Value::Bool(false));
                match operator {
                    Operator::And if truthy => right.value(variables),
                    Operator::Or if !truthy => right.value(variables),
                    Operator::And | Operator::Or => left,
                    Operator::Equals => Value::Bool(left == right.value(variables)),
                    Operator::NotEquals => Value::Bool(left != right.value(variables)),
                    Operator::Matches => Value::Bool(matches(&left, &right.value(variables)).unwrap_or(false)),
                    Operator::NotMatches => Value::Bool(!matches(&left, &right.value(variables)).unwrap_or(false)),
                }
            }
        }
    }
}

/// Nothing when there is no pattern to match with. A variable may hold a pattern; any other text matches what is part of it.
fn matches(left: &Value, right: &Value) -> Option<bool> {
    let text = match left {
        Value::Text(text) | Value::Pattern(text) => text.as_str(),
        Value::Null => "",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
    };
    match right {
        Value::Null | Value::Bool(_) => None,
        Value::Pattern(pattern) => Some(regex(pattern).is_ok_and(|regex| regex.is_match(text))),
        Value::Text(other) => Some(match regex(other) {
            Ok(regex) => regex.is_match(text),
            Err(_) => other.contains(text),
        }),
    }
}

/// `/…/flags` as a regular expression; GitLab's are RE2's, whose syntax is the same.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    let not_one = || format!("`{pattern}` isn't a pattern between slashes");
    let inner = pattern.strip_prefix('/').ok_or_else(not_one)?;
    let (inner, flags) = inner.rsplit_once('/').ok_or_else(not_one)?;
    if inner.is_empty() || !flags.chars().all(|flag| "ismU".contains(flag)) {
        return Err(not_one());
    }
    let inner = inner.replace("\\/", "/");
    // As in Ruby, `^` and `$` are those of lines.
    let source = format!("(?m{flags}){}", inner.replace("\\Z", "\\z"));
    Regex::new(&source).map_err(|error| error.to_string().lines().last().unwrap_or_default().to_string())
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Not,
    Operator(Operator),
    Value(Expression),
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Error> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        if rest.is_empty() {
            return Ok(tokens);
        }
        if tokens.len() == TOKENS_MAX {
            return Err(Error { offset: at, message: format!("an expression may have {TOKENS_MAX} parts at most") });
        }
        let (token, length) = token(rest).map_err(|message| Error { offset: at, message })?;
        tokens.push((at, token));
        at += length;
    }
}

fn token(rest: &str) -> Result<(Token, usize), String> {
    let operators = [
        ("==", Operator::Equals),
        ("!=", Operator::NotEquals),
        ("=~", Operator::Matches),
        ("!~", Operator::NotMatches),
        ("&&", Operator::And),
        ("||", Operator::Or),
    ];
    if let Some((text, operator)) = operators.iter().find(|(text, _)| rest.starts_with(text)) {
        return Ok((Token::Operator(*operator), text.len()));
    }
    let word = |from: usize| rest[from..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |end| from + end);
    let quoted =
        |quote: char| rest[1..].find(quote).map(|end| (&rest[1..=end], end + 2)).ok_or(format!("this text has no closing {quote}"));
    match rest.as_bytes()[0] {
        b'(' => Ok((Token::Open, 1)),
        b')' => Ok((Token::Close, 1)),
        b'!' => Ok((Token::Not, 1)),
        b'$' => match word(1) {
            1 => Err("a variable's name is expected behind `$`".to_string()),
            end => Ok((Token::Value(Expression::Variable(rest[1..end].to_string())), end)),
        },
        quote @ (b'"' | b'\'') => quoted(quote.into()).map(|(text, length)| (Token::Value(Expression::Text(text.to_string())), length)),
        b'/' => {
            let end = pattern_end(rest).ok_or("this pattern has no closing `/`")?;
            regex(&rest[..end])?;
            Ok((Token::Value(Expression::Pattern(rest[..end].to_string())), end))
        }
        _ => match &rest[..word(0)] {
            "null" => Ok((Token::Value(Expression::Null), 4)),
            "true" => Ok((Token::Value(Expression::Bool(true)), 4)),
            "false" => Ok((Token::Value(Expression::Bool(false)), 5)),
            "" => Err(format!("`{}` isn't part of an expression", rest.chars().next().unwrap_or_default())),
            name => Err(format!("`{name}` is neither a variable (`${name}`) nor a text (`\"{name}\"`)")),
        },
    }
}

/// Behind the closing slash and the flags; a slash after a backslash belongs to the pattern.
fn pattern_end(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let close = (1..bytes.len()).find(|at| bytes[*at] == b'/' && bytes[at - 1] != b'\\')?;
    let flags = bytes[close + 1..].iter().take_while(|byte| b"ismU".contains(byte)).count();
    Some(close + 1 + flags)
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    end: usize,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Expression, Error> {
        let mut left = self.and()?;
        while let Some(operator) = self.operator(&[Operator::Or]) {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, Error> {
        let mut left = self.comparison()?;
        while let Some(operator) = self.operator(&[Operator::And]) {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, Error> {
        let mut left = self.operand()?;
        let comparisons = [Operator::Equals, Operator::NotEquals, Operator::Matches, Operator::NotMatches];
        while let Some(operator) = self.operator(&comparisons) {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.operand()?));
        }
        Ok(left)
    }

    fn operator(&mut self, wanted: &[Operator]) -> Option<Operator> {
        match self.tokens.get(self.next) {
            Some((_, Token::Operator(operator))) if wanted.contains(operator) => {
                self.next += 1;
                Some(*operator)
            }
            _ => None,
        }
    }

    fn operand(&mut self) -> Result<Expression, Error> {
        let (offset, token) = self.tokens.get(self.next).map_or((self.end, None), |(offset, token)| (*offset, Some(token)));
        self.next += 1;
        match token {
            Some(Token::Value(value)) => Ok(value.clone()),
            Some(Token::Not) => Ok(Expression::Not(Box::new(self.operand()?))),
            Some(Token::Open) => {
                let inner = self.or()?;
                match self.tokens.get(self.next) {
                    Some((_, Token::Close)) => {
                        self.next += 1;
                        Ok(inner)
                    }
                    _ => Err(Error { offset, message: "this parenthesis isn't closed".to_string() }),
                }
            }
            _ => Err(Error { offset, message: "a variable, a text, a pattern or `null` is expected here".to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let variables =
            [("A", "a"), ("EMPTY", ""), ("BLANK", "  "), ("MAIN", "main"), ("RE", "/^ma/"), ("LIST", "x main y"), ("TAG", "v1.2")];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string())).into_iter().collect();
        Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).holds(&variables)
    }

    /// GitLab, "Job rules": `rules:if` with comparisons, null, empty, patterns, `&&` before `||`, parentheses.
    #[test]
    fn conditions_hold_as_in_gitlab() {
        let cases = [
            ("$A", true),
            ("$EMPTY", false),
            ("$BLANK", false),
            ("$UNSET", false),
            ("\"text\"", true),
            ("$A == \"a\"", true),
            ("$A == 'b'", false),
            ("$A != \"b\"", true),
            ("$UNSET == null", true),
            ("$EMPTY == null", false),
            ("$EMPTY == \"\"", true),
            ("$UNSET == \"\"", false),
            ("$UNSET != null", false),
            ("$MAIN =~ /^ma/", true),
            ("$MAIN =~ /^MA/", false),
            ("$MAIN =~ /^MA/i", true),
            ("$MAIN !~ /^ma/", false),
            ("$UNSET =~ /x/", false),
            ("$UNSET !~ /x/", true),
            ("$MAIN =~ $RE", true),
            ("$MAIN =~ $LIST", true),
            ("$A =~ $MAIN", true),
            ("$MAIN =~ $UNSET", false),
            ("$MAIN !~ $UNSET", true),
            ("$TAG =~ /^v\\d+\\.\\d+$/", true),
            ("$A == \"a\" && $MAIN == \"main\"", true),
            ("$A == \"b\" && $MAIN == \"main\" || $TAG", true),
            ("$A == \"b\" && ($MAIN == \"main\" || $TAG)", false),
            ("$TAG || $A == \"b\" && $UNSET", true),
            ("$A == $A", true),
            ("$EMPTY && $A", true),
            ("$UNSET && $A", false),
            ("$EMPTY || $A", false),
            ("$UNSET || $A", true),
            ("!$UNSET", true),
            ("!($A == \"a\")", false),
            ("true", true),
            ("\"/a\\/b/\" == \"/a\\/b/\"", true),
        ];
        for (text, expected) in cases {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            ("", "0: a variable, a text, a pattern or `null` is expected here"),
            ("$A ==", "5: a variable, a text, a pattern or `null` is expected here"),
            ("$A = \"a\"", "3: `=` isn't part of an expression"),
            ("$A == main", "6: `main` is neither a variable (`$main`) nor a text (`\"main\"`)"),
            ("($A", "0: this parenthesis isn't closed"),
            ("$A $B", "3: an operator (`&&`, `||`, `==` …) is expected here"),
            ("$A == \"a", "6: this text has no closing \""),
            ("$A =~ /a", "6: this pattern has no closing `/`"),
            ("$A =~ /(/", "6: error: unclosed group"),
            ("$ == 1", "0: a variable's name is expected behind `$`"),
        ];
        for (text, expected) in cases {
            let error = Expression::parse(text).unwrap_err();
            assert_eq!(format!("{}: {}", error.offset, error.message), expected, "{text}");
        }
    }
}
