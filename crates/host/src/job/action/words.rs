//! An input with a command line in it, taken apart as the originals do it: quotes hold words together, and nothing is expanded.

pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                let next = letters.next().unwrap_or('\\');
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, '"' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Entries of a list by commas.
pub(super) fn commas(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_hold_together_and_nothing_is_expanded() {
        let cases = [
            ("", vec![]),
            ("  --a  b ", vec!["--a", "b"]),
            ("--x='a b' \"c d\"e ''", vec!["--x=a b", "c de", ""]),
            (r#"a\ b "c\"d" 'e\f' "g\h""#, vec!["a b", "c\"d", r"e\f", r"g\h"]),
            ("$HOME `id` *", vec!["$HOME", "`id`", "*"]),
            ("'open", vec!["open"]),
        ];
        for (text, expected) in cases {
            assert_eq!(super::split(text), expected, "{text}");
        }
    }
}
