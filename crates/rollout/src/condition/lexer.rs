//! Words and signs of a condition.

use super::Wrong;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Int(i64),
    Float(f64),
    Text(String),
    Word(String),
    /// `#`, `#acc`, `#index`.
    Pointer(String),
    Sign(&'static str),
    End,
}

/// Longest first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "**", "??", "?.", "..", "+", "-", "*", "/", "%", "^", "<", ">", "!", "?", ":", ".", ",", ";", "|",
    "(", ")", "[", "]", "{", "}", "=",
];

pub(super) fn lex(text: &str) -> Result<Vec<(usize, Token)>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let begin = at;
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if let Some(after) = comment(rest, begin)? {
            at += after;
            continue;
        }
        let token = if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let (token, length) = number(rest, begin)?;
            at += length;
            token
        } else if first == '\'' || first == '"' || first == '`' {
            let (text, length) = quoted(rest, first, begin)?;
            at += length;
            Token::Text(text)
        } else if is_word(first) || first == '#' {
            let sharp = usize::from(first == '#');
            let length = rest[sharp..].find(|c: char| !is_word(c) && !c.is_ascii_digit()).map_or(rest.len(), |end| end + sharp);
            at += length;
            let word = rest[..length].to_string();
            if first == '#' { Token::Pointer(word) } else { Token::Word(word) }
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| Wrong::new(begin, format!("`{first}` can't stand here")))?;
            at += sign.len();
            Token::Sign(sign)
        };
        tokens.push((begin, token));
    }
    tokens.push((text.len(), Token::End));
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

/// How long a comment is.
fn comment(rest: &str, at: usize) -> Result<Option<usize>, Wrong> {
    if rest.starts_with("//") {
        return Ok(Some(rest.find('\n').unwrap_or(rest.len())));
    }
    if !rest.starts_with("/*") {
        return Ok(None);
    }
    let end = rest.find("*/").ok_or_else(|| Wrong::new(at, "the comment doesn't end"))?;
    Ok(Some(end + 2))
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), Wrong> {
    let lower = rest.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let length = digits.find(|c: char| !c.is_digit(radix) && c != '_').unwrap_or(digits.len());
            let value = i64::from_str_radix(&digits[..length].replace('_', ""), radix);
            let value = value.map_err(|_| Wrong::new(at, format!("`{}` is no number", &rest[..2 + length])))?;
            return Ok((Token::Int(value), 2 + length));
        }
    }
    let bytes = lower.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'_').count();
    let mut end = digits(0);
    let mut is_float = false;
    // `1..3` is a range.
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
        (end, is_float) = (digits(end + 1), true);
    }
    if bytes.get(end) == Some(&b'e') {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            (end, is_float) = (after, true);
        }
    }
    let written = lower[..end].replace('_', "");
    let wrong = || Wrong::new(at, format!("`{}` is no number that fits", &rest[..end]));
    let token = if is_float {
        Token::Float(written.trim_end_matches('.').parse().map_err(|_| wrong())?)
    } else {
        Token::Int(written.parse().map_err(|_| wrong())?)
    };
    if rest[end..].starts_with(is_word) {
        return Err(wrong());
    }
    Ok((token, end))
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(String, usize), Wrong> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((text, index + 1)),
            '\\' if quote != '`' => text.push(escape(&mut chars, at + index)?),
            '\n' if quote != '`' => break,
            c => text.push(c),
        }
    }
    Err(Wrong::new(at, format!("the text doesn't end with {quote}")))
}

fn escape(chars: &mut impl Iterator<Item = (usize, char)>, at: usize) -> Result<char, Wrong> {
    let wrong = || Wrong::new(at, "there is no such escape");
    let (_, c) = chars.next().ok_or_else(wrong)?;
    let mut code = |digits: usize, radix: u32, first: u32| {
        let code = (0..digits).try_fold(first, |code, _| Some(code * radix + chars.next()?.1.to_digit(radix)?));
        code.and_then(char::from_u32).ok_or_else(wrong)
    };
    Ok(match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '\\' | '\'' | '"' => c,
        'x' => code(2, 16, 0)?,
        'u' => code(4, 16, 0)?,
        'U' => code(8, 16, 0)?,
        '0'..='3' => code(2, 8, c.to_digit(8).unwrap_or(0))?,
        _ => return Err(wrong()),
    })
}
