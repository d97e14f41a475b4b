//! Names of branches and tags as GitHub's environments match them: Ruby's `File.fnmatch` with `FNM_PATHNAME`.
//!
//! This is none of the dialects of `on.push.branches`: there `*` stays within a part too, but `**` need not be one of its own.

/// Whether a name fits. What has a `[` that nothing closes fits nothing.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<Vec<char>> = pattern.split('/').map(|part| part.chars().collect()).collect();
    let name: Vec<Vec<char>> = name.split('/').map(|part| part.chars().collect()).collect();
    parts(&pattern, &name)
}

/// Whether every `[` has its `]`.
pub fn is_closed(pattern: &str) -> bool {
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        at += match chars[at] {
            '\\' => 2,
            '[' => match set(&chars[at..], ' ') {
                Some((_, length)) => length,
                None => return false,
            },
            _ => 1,
        };
    }
    true
}

fn parts(pattern: &[Vec<char>], name: &[Vec<char>]) -> bool {
    match (pattern, name) {
        ([], rest) => rest.is_empty(),
        // Any number of parts, none that is hidden; at the end it is a `*` like any other.
        ([any, rest @ ..], _) if any[..] == ['*', '*'] && !rest.is_empty() => {
            parts(rest, name) || name.split_first().is_some_and(|(first, name)| first.first() != Some(&'.') && parts(pattern, name))
        }
        (_, []) => false,
        ([first, pattern @ ..], [part, name @ ..]) => one(first, part) && parts(pattern, name),
    }
}

/// One part, between two slashes. Of several `*` only the last one is gone back to: what the others took is enough.
fn one(pattern: &[char], part: &[char]) -> bool {
    if part.first() == Some(&'.') && matches!(pattern.first(), Some('*' | '?' | '[')) {
        return false;
    }
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < part.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, read));
            at += 1;
        } else if let Some(length) = single(&pattern[at..], part[read]) {
            (at, read) = (at + length, read + 1);
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            (at, read) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// How much of the pattern stands for this one character; nothing where it doesn't.
fn single(pattern: &[char], char: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', ..] => set(pattern, char).filter(|(holds, _)| *holds).map(|(_, length)| length),
        ['\\', escaped, ..] => (*escaped == char).then_some(2),
        [literal, ..] => (*literal == char).then_some(1),
        [] => None,
    }
}

/// Whether a set like `[a-z]` or `[^a]` has the character, and how long it is; nothing where it isn't closed.
fn set(pattern: &[char], char: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let mut at = if negated { 2 } else { 1 };
    let mut found = false;
    let literal = |at: usize| match pattern.get(at)? {
        '\\' => Some((*pattern.get(at + 1)?, at + 2)),
        char => Some((*char, at + 1)),
    };
    while *pattern.get(at)? != ']' {
        let (low, next) = literal(at)?;
        let is_range = pattern.get(next) == Some(&'-') && pattern.get(next + 1).is_some_and(|end| *end != ']');
        let (high, next) = if is_range { literal(next + 1)? } else { (low, next) };
        found |= (low..=high).contains(&char);
        at = next;
    }
    Some((found != negated, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `File.fnmatch(pattern, name, File::FNM_PATHNAME)` answers.
    #[test]
    fn as_ruby_has_it() {
        let table = [
            ("main", "main", true),
            ("main", "Main", false),
            ("main", "maintenance", false),
            ("*", "main", true),
            ("*", "feature/a", false),
            ("release/*", "release/1.2", true),
            ("release/*", "release", false),
            ("release/*", "release/1/2", false),
            ("release/*/*", "release/1/2", true),
            ("release*", "release/1", false),
            ("**/fix", "fix", true),
            ("**/fix", "a/b/fix", true),
            ("a/**/fix", "a/fix", true),
            ("a/**/fix", "a/b/c/fix", true),
            ("a/**", "a/b", true),
            ("a/**", "a/b/c", false),
            ("**", "a/b", false),
            ("v?", "v1", true),
            ("v?", "v12", false),
            ("v[0-9]", "v7", true),
            ("v[0-9]", "va", false),
            ("v[^0-9]*", "va1", true),
            ("v[!0-9]*", "v1", false),
            ("v[0-9]*.[0-9]", "v10.4.2", true),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyybzz", false),
            ("\\*", "*", true),
            ("\\*", "main", false),
            ("[a", "a", false),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("", "", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "`{pattern}` on `{name}`");
        }
        assert!(is_closed("v[0-9]") && is_closed("\\[") && !is_closed("v[0-9") && !is_closed("a[\\]"));
    }
}
