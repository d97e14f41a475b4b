//! Patterns as .NET reads them with `RegexOptions.ECMAScript`, written for the engine we have.

/// The same pattern in the other syntax: `\d`, `\w` and `\s` are ASCII, braces and brackets that mean nothing are literal, and
/// escapes that mean something else here are spelled out.
pub(super) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = match letter {
            '\\' => escape(after, in_class, &mut out),
            '[' if in_class => literal("\\[", after, &mut out),
            '[' => {
                in_class = true;
                let (open, after) = if let Some(after) = after.strip_prefix('^') { ("[^", after) } else { ("[", after) };
                out.push_str(open);
                // A bracket that closes at once is one of the letters.
                match after.strip_prefix(']') {
                    Some(after) => literal("\\]", after, &mut out),
                    None => after,
                }
            }
            ']' if in_class => {
                in_class = false;
                literal("]", after, &mut out)
            }
            ']' => literal("\\]", after, &mut out),
            '&' | '~' if in_class => literal(if letter == '&' { "\\&" } else { "\\~" }, after, &mut out),
            '{' if !in_class && !counts(after) => literal("\\{", after, &mut out),
            letter => {
                out.push(letter);
                after
            }
        };
    }
    out
}

fn literal<'p>(text: &str, after: &'p str, out: &mut String) -> &'p str {
    out.push_str(text);
    after
}

/// What stands behind a backslash.
fn escape<'p>(after: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(letter) = after.chars().next() else { return literal("\\\\", after, out) };
    let rest = &after[letter.len_utf8()..];
    let class = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "a-zA-Z0-9_",
        's' => " \\f\\n\\r\\t\\v",
        _ => "",
    };
    if !class.is_empty() {
        match (letter.is_ascii_uppercase(), in_class) {
            (false, true) => out.push_str(class),
            (false, false) => out.push_str(&format!("[{class}]")),
            (true, _) => out.push_str(&format!("[^{class}]")),
        }
        return rest;
    }
    let hex = |digits: usize| rest.get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if let Some(code) = match letter {
        'x' => hex(2),
        'u' => hex(4),
        _ => None,
    } {
        out.push_str(&format!("\\x{{{code}}}"));
        return &rest[code.len()..];
    }
    match letter {
        '0' => out.push_str("\\x00"),
        'e' => out.push_str("\\x1b"),
        'b' if in_class => out.push_str("\\x08"),
        // Word boundaries in one dialect, plain signs in the other.
        '<' | '>' => out.push(letter),
        'n' | 'r' | 't' | 'f' | 'v' | 'b' | 'B' | 'k' | '1'..='9' => out.extend(['\\', letter]),
        letter if letter.is_ascii_punctuation() => out.extend(['\\', letter]),
        letter => out.push(letter),
    }
    rest
}

/// Whether a brace opens a count: `{2}`, `{2,}`, `{2,3}`.
fn counts(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_differs_is_spelled_out_and_the_rest_stays() {
        let cases = [
            (r"^(.+)$", r"^(.+)$"),
            (r"\d\W[\w.]", r"[0-9][^a-zA-Z0-9_][a-zA-Z0-9_.]"),
            (r"[^\s]", r"[^ \f\n\r\t\v]"),
            (r"[\S]", r"[[^ \f\n\r\t\v]]"),
            (r"\d+\>", r"[0-9]+>"),
            (r"a{2,3}{b} {", r"a{2,3}\{b} \{"),
            (r"[[]&&]", r"[\[]&&\]"),
            (r"[]a]", r"[\]a]"),
            (r"[a&&b]", r"[a\&\&b]"),
            (r"\u00e9\x1b\/\-", r"\x{00e9}\x{1b}\/\-"),
            (r"(?!x)(a)\1", r"(?!x)(a)\1"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(translate(pattern), expected, "{pattern}");
            assert!(fancy_regex::Regex::new(&translate(pattern)).is_ok(), "{pattern}");
        }
    }
}
