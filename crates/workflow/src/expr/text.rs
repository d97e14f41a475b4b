//! When two texts are the same text: .NET's `OrdinalIgnoreCase`.

use std::cmp::Ordering;

/// The text with every letter in its simple upper case, as keys are compared.
pub fn fold(text: &str) -> String {
    text.chars().map(upper).collect()
}

pub fn equals_ignore_case(left: &str, right: &str) -> bool {
    left.chars().map(upper).eq(right.chars().map(upper))
}

/// By UTF-16 units of the upper-cased text, so that `'a' < '['`.
pub(crate) fn compare_ignore_case(left: &str, right: &str) -> Ordering {
    units(left).cmp(units(right))
}

pub(crate) fn contains_ignore_case(text: &str, part: &str) -> bool {
    fold(text).contains(&fold(part))
}

pub(crate) fn starts_with_ignore_case(text: &str, part: &str) -> bool {
    fold(text).starts_with(&fold(part))
}

pub(crate) fn ends_with_ignore_case(text: &str, part: &str) -> bool {
    fold(text).ends_with(&fold(part))
}

fn units(text: &str) -> impl Iterator<Item = u16> + '_ {
    text.chars().map(upper).flat_map(|letter| {
        let mut buffer = [0; 2];
        let length = letter.encode_utf16(&mut buffer).len();
        buffer.into_iter().take(length)
    })
}

/// One letter to one letter: what would become several stays as it is, and so do the two whose upper case would be ASCII.
fn upper(letter: char) -> char {
    match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        '\u{0}'..='\u{7f}' | 'ı' | 'ſ' => letter,
        // Greek with iota subscript has a simple mapping although the full one is two letters.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(letter, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(letter, 9),
        _ => {
            let mut upper = letter.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(only), None) => only,
                _ => letter,
            }
        }
    }
}

fn shifted(letter: char, by: u32) -> char {
    char::from_u32(u32::from(letter) + by).unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_compared_by_their_simple_upper_case() {
        assert!(equals_ignore_case("Straße", "STRAßE"));
        assert!(!equals_ignore_case("straße", "strasse"));
        assert!(equals_ignore_case("ς", "σ"));
        assert!(!equals_ignore_case("İ", "i"));
        assert!(!equals_ignore_case("ı", "I"));
        assert_eq!(compare_ignore_case("a", "["), Ordering::Less);
    }
}
