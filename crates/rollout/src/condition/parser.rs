//! Signs bind as in Expr; a condition that is nested too deep is refused before it is followed.

use super::lexer::{Token, lex};
use super::pattern::Pattern;
use super::syntax::{Binary, Kind, Node, Pointer, Unary};
use super::{Value, Wrong, builtin};

/// Nobody reads a condition as deep as this.
const DEPTH_MAX: usize = 64;
/// What follows each other makes a tree as tall as what is nested, and everybody who walks it stands as deep.
const HEIGHT_MAX: usize = 256;
/// Each takes time to be made, and a condition has room for thousands.
const PATTERNS_MAX: usize = 64;
const NOT: u32 = 50;
const SIGN: u32 = 90;

pub(super) fn parse(text: &str) -> Result<Node, Wrong> {
    let mut parser = Parser { tokens: lex(text)?, next: 0, depth: 0, height: 0, over: 0, patterns: 0 };
    let root = parser.sequence()?;
    match parser.peek() {
        Token::End => Ok(root),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    /// Of the tallest that was made at this depth.
    height: usize,
    /// Functions over lists around this.
    over: usize,
    patterns: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(it) if *it == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(it) if it == word)
    }

    fn take_if(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.take_if(sign) { Ok(()) } else { Err(Wrong::new(self.at(), format!("`{sign}` is expected, {} is here", self.what()))) }
    }

    fn what(&self) -> String {
        match self.peek() {
            Token::End => "the end".to_string(),
            Token::Int(int) => format!("`{int}`"),
            Token::Float(float) => format!("`{float}`"),
            Token::Text(text) => format!("the text `{text}`"),
            Token::Word(word) | Token::Pointer(word) => format!("`{word}`"),
            Token::Sign(sign) => format!("`{sign}`"),
        }
    }

    fn unexpected(&self) -> Wrong {
        Wrong::new(self.at(), format!("{} is not expected", self.what()))
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T, Wrong>) -> Result<T, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::new(self.at(), format!("a condition is nested {DEPTH_MAX} deep at most")));
        }
        let beside = std::mem::take(&mut self.height);
        let parsed = parse(self);
        self.depth -= 1;
        self.height = beside.max(self.height + 1);
        parsed
    }

    /// Before something is put around all that was made at this depth.
    fn taller(&mut self, at: usize) -> Result<(), Wrong> {
        self.height += 1;
        if self.height > HEIGHT_MAX {
            return Err(Wrong::new(at, format!("a condition has {HEIGHT_MAX} operators and names in a row at most")));
        }
        Ok(())
    }

    fn sequence(&mut self) -> Result<Node, Wrong> {
        let at = self.at();
        let mut nodes = vec![self.expression(0)?];
        while self.take_if(";") {
            if matches!(self.peek(), Token::End) || self.is(")") || self.is("}") {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node { at, kind: Kind::Sequence(nodes) } })
    }

    fn expression(&mut self, least: u32) -> Result<Node, Wrong> {
        self.deeper(|parser| parser.expression_here(least))
    }

    fn expression_here(&mut self, least: u32) -> Result<Node, Wrong> {
        if least == 0 && self.is_word("let") {
            return self.variable();
        }
        if least == 0 && self.is_word("if") {
            return self.if_else();
        }
        let mut left = self.primary()?;
        let mut coalesces = false;
        loop {
            let at = self.at();
            if least == 0 && self.is("|") {
                self.take();
                let Token::Word(name) = self.take() else { return Err(Wrong::new(at, "a function is expected behind `|`")) };
                self.taller(at)?;
                left = self.call(name, at, Some(left))?;
                left = self.postfix(left)?;
                continue;
            }
            let negated = self.is_word("not");
            let sign = match &self.tokens[(self.next + usize::from(negated)).min(self.tokens.len() - 1)].1 {
                Token::Sign(sign) => (*sign).to_string(),
                Token::Word(word) => word.clone(),
                _ if negated => return Err(self.unexpected()),
                _ => break,
            };
            let Some((operator, binds)) = Binary::of(&sign) else {
                if negated {
                    return Err(self.unexpected());
                }
                break;
            };
            if negated && !operator.can_be_negated() {
                return Err(self.unexpected());
            }
            if binds < least {
                break;
            }
            if coalesces && operator != Binary::Coalesce {
                return Err(Wrong::new(at, format!("`??` and `{sign}` need parentheses around one of them")));
            }
            coalesces = operator == Binary::Coalesce;
            self.next += 1 + usize::from(negated);
            self.taller(at)?;
            left = if operator.is_order() { self.order(left, operator, at)? } else { self.binary(left, operator, binds, at)? };
            if negated {
                self.taller(at)?;
                left = Node { at, kind: Kind::Unary(Unary::Not, Box::new(left)) };
            }
        }
        if least == 0 { self.conditional(left) } else { Ok(left) }
    }

    fn binary(&mut self, left: Node, operator: Binary, binds: u32, at: usize) -> Result<Node, Wrong> {
        let right = self.expression(if operator == Binary::Power { binds } else { binds + 1 })?;
        if let (Binary::Matches, Kind::Literal(Value::Text(text))) = (operator, &right.kind) {
            self.patterns += 1;
            if self.patterns > PATTERNS_MAX {
                return Err(Wrong::new(at, format!("a condition has {PATTERNS_MAX} regular expressions at most")));
            }
            return Ok(Node { at, kind: Kind::Matches(Box::new(left), Pattern::new(text, at)?) });
        }
        Ok(Node { at, kind: Kind::Binary(operator, Box::new(left), Box::new(right)) })
    }

    /// `1 < result < 3` is both of them.
    fn order(&mut self, first: Node, operator: Binary, at: usize) -> Result<Node, Wrong> {
        let place = at;
        let mut others = vec![(at, operator, self.expression(21)?)];
        loop {
            let at = self.at();
            let next = match self.peek() {
                Token::Sign(sign) => Binary::of(sign).map(|(operator, _)| operator).filter(|operator| operator.is_order()),
                _ => None,
            };
            let Some(operator) = next else { return Ok(Node { at: place, kind: Kind::Order(Box::new(first), others) }) };
            self.take();
            others.push((at, operator, self.expression(21)?));
        }
    }

    fn conditional(&mut self, condition: Node) -> Result<Node, Wrong> {
        let at = self.at();
        if !self.take_if("?") {
            return Ok(condition);
        }
        if self.take_if(":") {
            let otherwise = self.expression(0)?;
            return Ok(Node { at, kind: Kind::Conditional(Box::new(condition), None, Box::new(otherwise)) });
        }
        let then = self.expression(0)?;
        self.expect(":")?;
        let otherwise = self.expression(0)?;
        Ok(Node { at, kind: Kind::Conditional(Box::new(condition), Some(Box::new(then)), Box::new(otherwise)) })
    }

    fn variable(&mut self) -> Result<Node, Wrong> {
        let at = self.at();
        self.take();
        let Token::Word(name) = self.take() else { return Err(Wrong::new(at, "a name is expected behind `let`")) };
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(";")?;
        let body = self.sequence()?;
        Ok(Node { at, kind: Kind::Let { name, value: Box::new(value), body: Box::new(body) } })
    }

    fn if_else(&mut self) -> Result<Node, Wrong> {
        let at = self.at();
        self.take();
        let condition = self.expression(0)?;
        let then = self.block()?;
        if !self.is_word("else") {
            return Err(Wrong::new(self.at(), "`else` is expected: a condition has an answer in either case"));
        }
        self.take();
        let otherwise = if self.is_word("if") { self.deeper(Parser::if_else)? } else { self.block()? };
        Ok(Node { at, kind: Kind::Conditional(Box::new(condition), Some(Box::new(then)), Box::new(otherwise)) })
    }

    fn block(&mut self) -> Result<Node, Wrong> {
        self.expect("{")?;
        let body = self.sequence()?;
        self.expect("}")?;
        Ok(body)
    }

    fn primary(&mut self) -> Result<Node, Wrong> {
        let at = self.at();
        let unary = match self.peek() {
            Token::Sign("!") => Some((Unary::Not, NOT)),
            Token::Sign("-") => Some((Unary::Minus, SIGN)),
            Token::Sign("+") => Some((Unary::Plus, SIGN)),
            Token::Word(word) if word == "not" => Some((Unary::Not, NOT)),
            _ => None,
        };
        if let Some((operator, binds)) = unary {
            self.take();
            let of = self.expression(binds)?;
            return self.postfix(Node { at, kind: Kind::Unary(operator, Box::new(of)) });
        }
        if self.take_if("(") {
            let inside = self.sequence()?;
            self.expect(")")?;
            return self.postfix(inside);
        }
        if self.over > 0 {
            if let Token::Pointer(word) = self.peek().clone() {
                self.take();
                return self.pointer(&word, at);
            }
            if self.is(".") {
                return self.postfix(Node { at, kind: Kind::Pointer(Pointer::Item) });
            }
        }
        let node = match self.take() {
            Token::Int(int) => Node { at, kind: Kind::Literal(Value::Int(int)) },
            Token::Float(float) => Node { at, kind: Kind::Literal(Value::Float(float)) },
            Token::Text(text) => Node { at, kind: Kind::Literal(Value::Text(text)) },
            Token::Sign("[") => self.list(at)?,
            Token::Sign("{") => self.map(at)?,
            Token::Word(word) => self.word(word, at)?,
            _ => {
                self.next = self.tokens.iter().position(|(place, _)| *place == at).unwrap_or(self.next);
                return Err(self.unexpected());
            }
        };
        self.postfix(node)
    }

    fn pointer(&mut self, word: &str, at: usize) -> Result<Node, Wrong> {
        let pointer = match word {
            "#" => Pointer::Item,
            "#index" => Pointer::Index,
            "#acc" => Pointer::Accumulator,
            _ => {
                return Err(Wrong::new(at, format!("there is no `{word}`: `#` is the item, `#index` its place, `#acc` what `reduce` has")));
            }
        };
        self.postfix(Node { at, kind: Kind::Pointer(pointer) })
    }

    fn word(&mut self, word: String, at: usize) -> Result<Node, Wrong> {
        let literal = match word.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "nil" => Value::Nil,
            _ if self.is("(") => return self.call(word, at, None),
            _ if Binary::of(&word).is_some() => {
                self.next -= 1;
                return Err(self.unexpected());
            }
            _ => return Ok(Node { at, kind: Kind::Name(word) }),
        };
        Ok(Node { at, kind: Kind::Literal(literal) })
    }

    fn list(&mut self, at: usize) -> Result<Node, Wrong> {
        let mut items = Vec::new();
        while !self.take_if("]") {
            items.push(self.expression(0)?);
            if !self.is("]") {
                self.expect(",")?;
            }
        }
        Ok(Node { at, kind: Kind::List(items) })
    }

    fn map(&mut self, at: usize) -> Result<Node, Wrong> {
        let mut entries = Vec::new();
        while !self.take_if("}") {
            let at = self.at();
            let key = match self.take() {
                Token::Text(text) | Token::Word(text) => Node { at, kind: Kind::Literal(Value::Text(text)) },
                Token::Int(int) => Node { at, kind: Kind::Literal(Value::Text(int.to_string())) },
                Token::Sign("(") => {
                    let key = self.expression(0)?;
                    self.expect(")")?;
                    key
                }
                _ => return Err(Wrong::new(at, "a key is expected here")),
            };
            self.expect(":")?;
            entries.push((key, self.expression(0)?));
            if !self.is("}") {
                self.expect(",")?;
            }
        }
        Ok(Node { at, kind: Kind::Map(entries) })
    }

    fn call(&mut self, name: String, at: usize, piped: Option<Node>) -> Result<Node, Wrong> {
        self.expect("(")?;
        if builtin::is_over(&name) {
            return self.over(name, at, piped);
        }
        let mut args: Vec<Node> = piped.into_iter().collect();
        while !self.take_if(")") {
            args.push(self.expression(0)?);
            if !self.is(")") {
                self.expect(",")?;
            }
        }
        Ok(Node { at, kind: Kind::Call { name, args } })
    }

    fn over(&mut self, name: String, at: usize, piped: Option<Node>) -> Result<Node, Wrong> {
        let needs_more = |parser: &mut Parser| {
            if parser.is(")") { Ok(false) } else { parser.expect(",").map(|()| true) }
        };
        let (list, mut goes_on) = match piped {
            Some(piped) => (piped, !self.is(")")),
            None => {
                let list = self.expression(0)?;
                (list, needs_more(self)?)
            }
        };
        let mut each = None;
        let mut more = Vec::new();
        if goes_on && !self.is(")") {
            self.over += 1;
            each = Some(Box::new(if self.is("{") { self.deeper(Parser::block)? } else { self.expression(0)? }));
            self.over -= 1;
            goes_on = needs_more(self)?;
        }
        while goes_on && !self.is(")") {
            more.push(self.expression(0)?);
            goes_on = needs_more(self)?;
        }
        self.expect(")")?;
        if each.is_none() && !matches!(name.as_str(), "count" | "sum") {
            return Err(Wrong::new(at, format!("`{name}` also takes what it asks of each item: `{name}(result, # > 0)`")));
        }
        Ok(Node { at, kind: Kind::Over { name, list: Box::new(list), each, more } })
    }

    fn postfix(&mut self, mut node: Node) -> Result<Node, Wrong> {
        let mut is_chain = false;
        loop {
            let at = self.at();
            if self.is(".") || self.is("?.") || self.is("[") {
                self.taller(at)?;
            }
            if self.is(".") || self.is("?.") {
                let optional = self.is("?.");
                is_chain |= optional;
                self.take();
                if optional && self.is("[") {
                    node = self.index(node, at, true)?;
                    continue;
                }
                let place = self.at();
                let name = match self.take() {
                    Token::Word(name) | Token::Text(name) => name,
                    _ => return Err(Wrong::new(place, "a name is expected behind the dot")),
                };
                if self.is("(") {
                    return Err(Wrong::new(place, format!("there is no function `{name}` of a value")));
                }
                let key = Node { at: place, kind: Kind::Literal(Value::Text(name)) };
                node = Node { at: place, kind: Kind::Member { of: Box::new(node), key: Box::new(key), optional } };
            } else if self.is("[") {
                node = self.index(node, at, false)?;
            } else {
                break;
            }
        }
        Ok(if is_chain { Node { at: node.at, kind: Kind::Chain(Box::new(node)) } } else { node })
    }

    fn index(&mut self, of: Node, at: usize, optional: bool) -> Result<Node, Wrong> {
        self.expect("[")?;
        let of = Box::new(of);
        if self.take_if(":") {
            let to = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect("]")?;
            return Ok(Node { at, kind: Kind::Slice { of, from: None, to } });
        }
        let key = self.expression(0)?;
        if self.take_if(":") {
            let to = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect("]")?;
            return Ok(Node { at, kind: Kind::Slice { of, from: Some(Box::new(key)), to } });
        }
        self.expect("]")?;
        Ok(Node { at, kind: Kind::Member { of, key: Box::new(key), optional } })
    }
}
