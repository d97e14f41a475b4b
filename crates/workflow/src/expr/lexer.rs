use base::Span;

use super::{Error, number};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    StartGroup,
    StartIndex,
    StartParameters,
    EndGroup,
    EndIndex,
    EndParameters,
    Separator,
    Dereference,
    Wildcard,
    Operator(Operator),
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Property(String),
    Function(String),
    Named(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Not,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// The tokens of an expression. Whether each may stand where it stands is checked here too, from the one before it,
/// as the official engine does: so the first mistake from the left is the one that is named.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer { source, offset: 0, tokens: Vec::new(), open: Vec::new() };
    while lexer.next()? {}
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    offset: usize,
    tokens: Vec<Token>,
    /// The opening tokens that aren't closed yet.
    open: Vec<TokenKind>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<bool, Error> {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start().len();
        let Some(first) = self.rest().chars().next() else { return Ok(false) };
        let start = self.offset;
        let kind = match first {
            '(' if matches!(self.last(), Some(TokenKind::Function(_))) => self.one(TokenKind::StartParameters),
            '(' => self.one(TokenKind::StartGroup),
            '[' => self.one(TokenKind::StartIndex),
            ')' if self.open.last() == Some(&TokenKind::StartParameters) => self.one(TokenKind::EndParameters),
            ')' => self.one(TokenKind::EndGroup),
            ']' => self.one(TokenKind::EndIndex),
            ',' => self.one(TokenKind::Separator),
            '*' => self.one(TokenKind::Wildcard),
            '\'' => self.string()?,
            '!' | '>' | '<' | '=' | '&' | '|' => self.operator()?,
            '.' if self.expects_operand() => self.number()?,
            '.' => self.one(TokenKind::Dereference),
            '-' | '+' | '0'..='9' => self.number()?,
            _ => self.word()?,
        };
        self.push(kind, Span::new(start, self.offset))?;
        Ok(true)
    }

    fn push(&mut self, kind: TokenKind, span: Span) -> Result<(), Error> {
        let closes = match kind {
            TokenKind::EndGroup => Some(TokenKind::StartGroup),
            TokenKind::EndIndex => Some(TokenKind::StartIndex),
            TokenKind::EndParameters | TokenKind::Separator => Some(TokenKind::StartParameters),
            _ => None,
        };
        if !self.may_follow(&kind) || closes.is_some_and(|opening| self.open.last() != Some(&opening)) {
            return Err(Error::parsing(span, format!("unexpected `{}`", &self.source[span.start..span.end])));
        }
        match kind {
            TokenKind::StartGroup | TokenKind::StartIndex | TokenKind::StartParameters => self.open.push(kind.clone()),
            TokenKind::EndGroup | TokenKind::EndIndex | TokenKind::EndParameters => drop(self.open.pop()),
            _ => {}
        }
        self.tokens.push(Token { kind, span });
        Ok(())
    }

    fn may_follow(&self, kind: &TokenKind) -> bool {
        use TokenKind as T;
        match kind {
            T::StartGroup | T::Null | T::Bool(_) | T::Number(_) | T::String(_) | T::Function(_) | T::Named(_) => self.expects_operand(),
            T::Operator(Operator::Not) => self.expects_operand(),
            T::StartParameters => matches!(self.last(), Some(T::Function(_))),
            T::StartIndex | T::Dereference => self.after_collection(),
            T::Wildcard => matches!(self.last(), Some(T::StartIndex | T::Dereference)),
            T::Property(_) => self.last() == Some(&T::Dereference),
            T::EndParameters => self.after_operand() || self.last() == Some(&T::StartParameters),
            T::EndGroup | T::EndIndex | T::Separator | T::Operator(_) => self.after_operand(),
        }
    }

    fn expects_operand(&self) -> bool {
        use TokenKind as T;
        matches!(self.last(), None | Some(T::Separator | T::StartGroup | T::StartParameters | T::StartIndex | T::Operator(_)))
    }

    fn after_collection(&self) -> bool {
        use TokenKind as T;
        matches!(self.last(), Some(T::EndGroup | T::EndParameters | T::EndIndex | T::Wildcard | T::Property(_) | T::Named(_)))
    }

    fn after_operand(&self) -> bool {
        use TokenKind as T;
        self.after_collection() || matches!(self.last(), Some(T::Null | T::Bool(_) | T::Number(_) | T::String(_)))
    }

    fn string(&mut self) -> Result<TokenKind, Error> {
        let start = self.offset;
        let mut value = String::new();
        let mut rest = self.rest()[1..].char_indices().peekable();
        while let Some((at, letter)) = rest.next() {
            if letter == '\'' && rest.next_if(|(_, next)| *next == '\'').is_none() {
                self.offset = start + 1 + at + 1;
                return Ok(TokenKind::String(value));
            }
            value.push(letter);
        }
        Err(Error::lexing(Span::new(start, self.source.len()), "the text that starts here with `'` never ends"))
    }

    fn operator(&mut self) -> Result<TokenKind, Error> {
        const OPERATORS: [(&str, Operator); 9] = [
            ("!=", Operator::NotEqual),
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("==", Operator::Equal),
            ("&&", Operator::And),
            ("||", Operator::Or),
            ("!", Operator::Not),
            (">", Operator::Greater),
            ("<", Operator::Less),
        ];
        match OPERATORS.into_iter().find(|(written, _)| self.rest().starts_with(written)) {
            Some((written, operator)) => {
                self.offset += written.len();
                Ok(TokenKind::Operator(operator))
            }
            None => {
                let span = self.take_word(false);
                Err(self.unexpected(span))
            }
        }
    }

    fn number(&mut self) -> Result<TokenKind, Error> {
        let span = self.take_word(true);
        let value = number::parse(&self.source[span.start..span.end]);
        if value.is_nan() { Err(self.unexpected(span)) } else { Ok(TokenKind::Number(value)) }
    }

    fn word(&mut self) -> Result<TokenKind, Error> {
        let span = self.take_word(false);
        let word = &self.source[span.start..span.end];
        if !is_keyword(word) {
            return Err(self.unexpected(span));
        }
        Ok(match word {
            _ if self.last() == Some(&TokenKind::Dereference) => TokenKind::Property(word.to_owned()),
            "null" => TokenKind::Null,
            "true" => TokenKind::Bool(true),
            "false" => TokenKind::Bool(false),
            "NaN" => TokenKind::Number(f64::NAN),
            "Infinity" => TokenKind::Number(f64::INFINITY),
            _ if self.rest().trim_start().starts_with('(') => TokenKind::Function(word.to_owned()),
            _ => TokenKind::Named(word.to_owned()),
        })
    }

    fn one(&mut self, kind: TokenKind) -> TokenKind {
        self.offset += 1;
        kind
    }

    /// The first character, whatever it is, and on to the next boundary.
    fn take_word(&mut self, dots: bool) -> Span {
        let start = self.offset;
        let length = self.rest().char_indices().skip(1).find(|(_, letter)| is_boundary(*letter) && !(dots && *letter == '.'));
        self.offset = length.map_or(self.source.len(), |(length, _)| start + length);
        Span::new(start, self.offset)
    }

    fn unexpected(&self, span: Span) -> Error {
        Error::lexing(span, format!("unexpected `{}`", &self.source[span.start..span.end]))
    }

    fn rest(&self) -> &str {
        &self.source[self.offset..]
    }

    fn last(&self) -> Option<&TokenKind> {
        self.tokens.last().map(|token| &token.kind)
    }
}

fn is_boundary(letter: char) -> bool {
    matches!(letter, '(' | '[' | ')' | ']' | ',' | '.' | '!' | '>' | '<' | '=' | '&' | '|') || letter.is_whitespace()
}

fn is_keyword(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
}
