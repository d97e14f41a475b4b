//! JSON as `fromJSON` reads it, which is more than JSON, and as `toJSON` writes it.

use super::{Object, Value, number};

/// Deeper than this nothing is read, so that reading can be recursive.
const DEPTH_MAX: usize = 64;

/// Comments, single quotes, names without quotes, commas too many, `NaN`, `Infinity`, `undefined`, hexadecimal and octal
/// numbers and anything after the first value are let through, because the official engine's reader lets them through.
pub(super) fn read(text: &str) -> Result<Value, String> {
    Reader { text, offset: 0, depth: 0 }.value()
}

/// Two spaces a level, in the order of insertion; every piece goes through `out`, which may refuse to take more.
pub(super) fn write(value: &Value, out: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    write_at(value, 0, out)
}

fn write_at(value: &Value, level: usize, out: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    let line = |level: usize| format!("\n{}", "  ".repeat(level));
    match value {
        Value::Null => out("null"),
        Value::Bool(_) => out(&value.text()),
        Value::Number(number) => out(&number::format(*number)),
        Value::String(text) => out(&quoted(text)),
        Value::Array(items) if items.is_empty() => out("[]"),
        Value::Object(object) if object.is_empty() => out("{}"),
        Value::Array(items) => {
            out("[")?;
            for (index, item) in items.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                out(&format!("{comma}{}", line(level + 1)))?;
                write_at(item, level + 1, out)?;
            }
            out(&format!("{}]", line(level)))
        }
        Value::Object(object) => {
            out("{")?;
            for (index, (key, value)) in object.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                out(&format!("{comma}{}{}: ", line(level + 1), quoted(key)))?;
                write_at(value, level + 1, out)?;
            }
            out(&format!("{}}}", line(level)))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{0}'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
    depth: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value, String> {
        self.skip_blank()?;
        match self.peek() {
            None => Err("it is empty, or ends where a value was expected".to_owned()),
            Some('[') => self.nested(Reader::array),
            Some('{') => self.nested(Reader::object),
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::from),
            // A value that was left out; the comma is for whoever reads the items.
            Some(',') => Ok(Value::from("")),
            Some('-') if self.text[self.offset..].starts_with("-I") => self.word(),
            Some('-' | '.' | '0'..='9') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, String>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("it is more than {DEPTH_MAX} levels deep"));
        }
        self.offset += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            if self.take(']') {
                return Ok(Value::array(items));
            }
            items.push(self.value()?);
            self.skip_blank()?;
            if !self.take(',') && self.peek() != Some(']') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        // The reader tells `a` from `A`; only what is made of its mapping doesn't.
        let mut object = Object::case_sensitive();
        loop {
            self.skip_blank()?;
            if self.take('}') {
                return Ok(Value::object(object.iter().map(|(key, value)| (key, value.clone())).collect()));
            }
            let key = match self.peek() {
                Some(quote @ ('"' | '\'')) => self.string(quote)?,
                _ => self.name()?,
            };
            self.skip_blank()?;
            if !self.take(':') {
                return Err(self.unexpected("`:`"));
            }
            object.insert(key, self.value()?);
            self.skip_blank()?;
            if !self.take(',') && self.peek() != Some('}') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn string(&mut self, quote: char) -> Result<String, String> {
        self.offset += 1;
        let mut value = String::new();
        while let Some(letter) = self.bump() {
            match letter {
                _ if letter == quote => return Ok(value),
                '\\' => value.push(self.escape()?),
                _ => value.push(letter),
            }
        }
        Err("a text in it never ends".to_owned())
    }

    fn escape(&mut self) -> Result<char, String> {
        Ok(match self.bump() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => return self.unicode(),
            Some(same @ ('"' | '\'' | '\\' | '/')) => same,
            _ => return Err(format!("there is a `\\` that escapes nothing at offset {}", self.offset)),
        })
    }

    /// A pair of surrogates is one letter; half a pair becomes the replacement character.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex_unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after_first = self.offset;
        if self.text[self.offset..].starts_with("\\u") {
            self.offset += 2;
            let second = self.hex_unit()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.offset = after_first;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex_unit(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.offset..self.offset + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(digits) = digits else { return Err(format!("`\\u` needs four hexadecimal digits at offset {}", self.offset)) };
        self.offset += 4;
        u32::from_str_radix(digits, 16).map_err(|error| error.to_string())
    }

    fn word(&mut self) -> Result<Value, String> {
        let word = self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        let value = match word {
            "null" => Value::Null,
            // Nothing that is known here, and what isn't known becomes a text.
            "undefined" => Value::from(""),
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "NaN" => Value::Number(f64::NAN),
            "Infinity" => Value::Number(f64::INFINITY),
            "-Infinity" => Value::Number(f64::NEG_INFINITY),
            "" => return Err(self.unexpected("a value")),
            _ => return Err(format!("`{word}` is no value")),
        };
        let rest = &self.text[self.offset..];
        let ends = self.ends_value(&[',', '}', ']']) || rest.starts_with("//") || rest.starts_with("/*");
        if ends { Ok(value) } else { Err(self.unexpected("`,` or the end")) }
    }

    fn number(&mut self) -> Result<Value, String> {
        let word = self.take_while(|letter| letter.is_ascii_hexdigit() || matches!(letter, '+' | '-' | '.' | 'x' | 'X')).to_owned();
        if !self.ends_value(&[',', '}', ']', ')', '/']) {
            return Err(self.unexpected("the end of a number"));
        }
        number::parse_json(&word).map(Value::Number).ok_or_else(|| format!("`{word}` is no value"))
    }

    fn ends_value(&self, separators: &[char]) -> bool {
        self.peek().is_none_or(|letter| letter.is_whitespace() || separators.contains(&letter))
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.take_while(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$')).to_owned();
        if name.is_empty() { Err(self.unexpected("a name")) } else { Ok(name) }
    }

    fn skip_blank(&mut self) -> Result<(), String> {
        loop {
            self.take_while(char::is_whitespace);
            let rest = &self.text[self.offset..];
            if rest.starts_with("//") {
                self.take_while(|letter| letter != '\n');
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else { return Err("a comment in it never ends".to_owned()) };
                self.offset += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn take_while(&mut self, test: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.offset..];
        let length = rest.find(|letter| !test(letter)).unwrap_or(rest.len());
        self.offset += length;
        &rest[..length]
    }

    fn take(&mut self, letter: char) -> bool {
        let there = self.peek() == Some(letter);
        if there {
            self.offset += letter.len_utf8();
        }
        there
    }

    fn bump(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.offset += letter.len_utf8();
        Some(letter)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    fn unexpected(&self, expected: &str) -> String {
        match self.peek() {
            Some(letter) => format!("expected {expected} at offset {}, found `{letter}`", self.offset),
            None => format!("expected {expected}, found the end"),
        }
    }
}
