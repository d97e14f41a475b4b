//! Reads trees as what they should be and remembers everything that they aren't.

use base::Diagnostic;
use base::name::nearest;

use super::include::entries;
use super::tree::{Key, Place, Problem, Tree, Value, error};

#[derive(Debug, Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
}

/// As deep as GitLab lays lists of commands flat.
const LISTS_MAX: usize = 10;

impl Reader {
    pub fn error(&mut self, code: &'static str, place: Place, message: impl Into<String>) {
        self.problems.push(error(code, place, message));
    }

    pub fn hinted(&mut self, code: &'static str, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push((place.file, Diagnostic::error(code, place.span, message).hint(hint)));
    }

    pub fn warning(&mut self, code: &'static str, place: Place, message: impl Into<String>) {
        self.problems.push((place.file, Diagnostic::warning(code, place.span, message)));
    }

    pub fn wrong_type(&mut self, name: &str, tree: &Tree, expected: &str) {
        let message = if tree.is_null() { format!("`{name}` is empty") } else { format!("`{name}` can't be {}", tree.kind()) };
        self.hinted("gitlab/wrong-type", tree.place, message, format!("{expected} is expected here"));
    }

    pub fn unknown_key(&mut self, key: &Key, known: &[&str]) {
        let key_of_yaml = base::yaml::Key { text: key.text.clone(), span: key.place.span };
        self.problems.push((key.place.file, base::yaml::unknown_key("gitlab/unknown-key", &key_of_yaml, known)));
    }

    /// The entries of a mapping that has only these keys; what is set to nothing counts as not given.
    pub fn closed<'t>(&mut self, name: &str, tree: &'t Tree, known: &[&str]) -> Vec<(&'t Key, &'t Tree)> {
        let Some(map) = tree.map() else {
            self.wrong_type(name, tree, "a mapping");
            return Vec::new();
        };
        for (key, _) in map.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            self.unknown_key(key, known);
        }
        map.iter().filter(|(key, value)| known.contains(&key.text.as_str()) && !value.is_null()).map(|(key, value)| (key, value)).collect()
    }

    pub fn text(&mut self, name: &str, tree: &Tree) -> Option<String> {
        let text = tree.text();
        if text.is_none() {
            self.wrong_type(name, tree, "a text");
        }
        text
    }

    pub fn flag(&mut self, name: &str, tree: &Tree) -> Option<bool> {
        match tree.value {
            Value::Bool(bool) => Some(bool),
            _ => {
                self.wrong_type(name, tree, "`true` or `false`");
                None
            }
        }
    }

    pub fn number(&mut self, name: &str, tree: &Tree) -> Option<i64> {
        let number = match &tree.value {
            Value::Number(text) => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(name, tree, "a whole number");
        }
        number
    }

    pub fn numbers(&mut self, name: &str, tree: &Tree) -> Vec<i32> {
        let items = entries(tree);
        items.into_iter().filter_map(|item| self.number(name, item)).filter_map(|number| i32::try_from(number).ok()).collect()
    }

    /// One of a few words.
    pub fn choice(&mut self, name: &str, tree: &Tree, allowed: &[&str]) -> Option<String> {
        let text = self.text(name, tree)?;
        if allowed.contains(&text.as_str()) {
            return Some(text);
        }
        let hint = match nearest(&text, allowed.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of `{}`", allowed.join("`, `")),
        };
        self.hinted("gitlab/value", tree.place, format!("`{name}` can't be `{text}`"), hint);
        None
    }

    /// One text or a list of them, lists in it laid flat.
    pub fn texts(&mut self, name: &str, tree: &Tree) -> Vec<(String, Place)> {
        let mut found = Vec::new();
        self.gather(name, tree, 0, &mut found);
        found
    }

    pub fn plain_texts(&mut self, name: &str, tree: &Tree) -> Vec<String> {
        self.texts(name, tree).into_iter().map(|(text, _)| text).collect()
    }

    fn gather(&mut self, name: &str, tree: &Tree, depth: usize, found: &mut Vec<(String, Place)>) {
        match &tree.value {
            Value::List(_) if depth > LISTS_MAX => {
                self.error("gitlab/value", tree.place, format!("lists in `{name}` are nested deeper than {LISTS_MAX} levels"));
            }
            Value::List(items) => items.iter().for_each(|item| self.gather(name, item, depth + 1, found)),
            // A reference that wasn't found is reported already.
            Value::Null => {}
            _ => found.extend(self.text(name, tree).map(|text| (text, tree.place))),
        }
    }

    /// `1 hour 30 minutes`, `2d`, `90`; a number alone is seconds.
    pub fn duration_ms(&mut self, name: &str, tree: &Tree) -> Option<u64> {
        let text = self.text(name, tree)?;
        let ms = duration_ms(&text);
        if ms.is_none() {
            self.hinted(
                "gitlab/value",
                tree.place,
                format!("`{name}` can't be `{text}`"),
                "a duration such as `30 minutes` or `1h 30m` is expected",
            );
        }
        ms
    }
}

/// Ten years: nobody waits for more, and sums of such are numbers still.
const LONGEST_MS: f64 = 3.2e11;

/// As GitLab's `ChronicDuration` reads it.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    const SECOND: f64 = 1_000.0;
    let text = text.trim().to_lowercase().replace(" and ", " ").replace(',', " ");
    let mut total = 0.0;
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "wk" | "week" | "weeks" => 604_800.0,
            "mo" | "mos" | "month" | "months" => 2_592_000.0,
            "y" | "yr" | "yrs" | "year" | "years" => 31_557_600.0,
            _ => return None,
        };
        total += number * unit * SECOND;
        rest = rest[end..].trim_start();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are not negative, and this one is short")]
    (total <= LONGEST_MS).then(|| total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("90", Some(90_000)),
            ("30 minutes", Some(1_800_000)),
            ("1h 30m", Some(5_400_000)),
            ("3h30m", Some(12_600_000)),
            ("1 hour and 5 minutes", Some(3_900_000)),
            ("1 week", Some(604_800_000)),
            ("1.5 hours", Some(5_400_000)),
            ("never", None),
            ("", None),
            ("5 parsecs", None),
            ("9223372036854775808 seconds", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }
}
