//! Which versions a range means, as the `setup-*` actions read it.

/// Numbers of a version as far as they are given: `3.12` is two of them.
type Numbers = Vec<u64>;

/// Whether a version is in a range: `3.12`, `3.x`, `>=3.9 <3.13`, `^1.21`, `~1.2`, `18 || 20`, `lts/*`, `latest`.
pub(super) fn satisfies(version: &str, range: &str) -> bool {
    let Some(version) = numbers(version) else { return false };
    range.split("||").any(|range| {
        let range = joined(range);
        range.split_whitespace().all(|comparator| holds(&version, comparator)) || range.trim().is_empty()
    })
}

/// `3.12.4` of `Python 3.12.4`, `go version go1.22.1 linux/amd64`, `openjdk version "17.0.9"`, `v20.1.0`.
pub(super) fn found_in(text: &str) -> Option<String> {
    let words = text.split(|letter: char| letter.is_whitespace() || letter == '"' || letter == '(' || letter == ')');
    words.map(|word| word.trim_start_matches("go").trim_start_matches('v')).find_map(|word| {
        let end = word.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(word.len());
        let version = word[..end].trim_end_matches('.');
        (version.starts_with(|letter: char| letter.is_ascii_digit()) && version.contains('.')).then(|| version.to_string())
    })
}

/// Operators stand right before their versions, and `1.2 - 1.4` is two comparators.
fn joined(range: &str) -> String {
    let range = match range.split_once(" - ") {
        Some((from, to)) => format!(">={} <={}", from.trim(), to.trim()),
        None => range.replace(',', " "),
    };
    ["=", "<", ">", "^", "~"].iter().fold(range, |range, operator| range.replace(&format!("{operator} "), operator))
}

fn holds(version: &[u64], comparator: &str) -> bool {
    let operators = [">=", "<=", "==", ">", "<", "=", "^", "~"];
    let operator = operators.into_iter().find(|operator| comparator.starts_with(operator)).unwrap_or("");
    let text = comparator[operator.len()..].trim();
    let any = ["", "*", "x", "X", "latest", "stable", "oldstable", "node", "current"];
    if any.contains(&text) || text == "lts" || text.starts_with("lts/") {
        // Node's long-term versions are the even ones.
        return !text.starts_with("lts") || version.first().is_some_and(|major| major % 2 == 0);
    }
    let Some(wanted) = numbers(text) else { return false };
    let starts = version.starts_with(&wanted);
    let first_other = |count: usize| version.iter().take(count).eq(wanted.iter().take(count));
    match operator {
        ">=" => starts || version >= &wanted[..],
        "<=" => starts || version < &wanted[..],
        ">" => !starts && version > &wanted[..],
        "<" => !starts && version < &wanted[..],
        // What `^` holds fast is the first number that isn't zero.
        "^" => version >= &wanted[..] && first_other(wanted.iter().position(|number| *number > 0).unwrap_or(0) + 1),
        "~" => version >= &wanted[..] && first_other(wanted.len().min(2)),
        _ => starts,
    }
}

/// Nothing when it doesn't begin with a number. What follows a `-` or `+` is left out, and so is an `x` and all after it.
fn numbers(text: &str) -> Option<Numbers> {
    let text = text.trim().trim_start_matches('v').trim_start_matches("go");
    let plain = text.split(['-', '+', '_']).next().unwrap_or(text);
    let parts = plain.split('.').take_while(|part| !matches!(*part, "x" | "X" | "*"));
    let numbers: Option<Numbers> = parts.map(|part| part.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("3.12.4", "3.12", true),
            ("3.12.4", "3.1", false),
            ("3.12.4", "3.x", true),
            ("3.12.4", "3.12.4", true),
            ("3.12.4", "3.12.5", false),
            ("3.12.4", ">=3.9 <3.13", true),
            ("3.13.0", ">=3.9 <3.13", false),
            ("3.13.0", ">= 3.9, < 3.14", true),
            ("1.22.5", "^1.21", true),
            ("2.0.0", "^1.21", false),
            ("0.2.9", "^0.2.3", true),
            ("0.3.0", "^0.2.3", false),
            ("1.2.9", "~1.2.3", true),
            ("1.3.0", "~1.2.3", false),
            ("20.1.0", "18 || 20", true),
            ("20.1.0", "lts/*", true),
            ("21.1.0", "lts/iron", false),
            ("21.1.0", "latest", true),
            ("1.4.2", "1.2 - 1.4", true),
            ("1.5.0", "1.2 - 1.4", false),
            ("3.9.1", ">3.9", false),
            ("3.10.0", ">3.9", true),
            ("3.9.1", "<=3.9", true),
            ("20.1.0", "v20", true),
            ("1.0", "", true),
            ("1.0", "pypy3.9", false),
        ];
        for (version, range, expected) in cases {
            assert_eq!(satisfies(version, range), expected, "{version} in {range}");
        }
    }

    #[test]
    fn versions_are_found_in_what_programs_print() {
        let cases = [
            ("Python 3.12.4", "3.12.4"),
            ("v20.20.2", "20.20.2"),
            ("go version go1.22.1 linux/amd64", "1.22.1"),
            ("openjdk version \"17.0.9\" 2023-10-17", "17.0.9"),
            ("rustc 1.95.0 (abc 2026-01-01)", "1.95.0"),
            ("JAVA_VERSION=\"21.0.1\"", "21.0.1"),
        ];
        for (text, expected) in cases {
            assert_eq!(found_in(text).as_deref(), Some(expected), "{text}");
        }
    }
}
