//! Patterns of `changes` and `exists`, as Ruby's `File.fnmatch` reads them: `*` stays in its folder, `**/` is any number of folders,
//! hidden files count, braces are alternatives.

use regex::Regex;

#[derive(Debug, Clone)]
pub(crate) struct Pattern(Option<Regex>);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Pattern {
        Pattern(Regex::new(&source(pattern.trim_start_matches("./").trim_start_matches('/'))).ok())
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(path))
    }

    /// Whether one of the patterns matches one of the paths.
    pub(crate) fn any(patterns: &[String], paths: &[String]) -> bool {
        patterns.iter().map(|pattern| Pattern::new(pattern)).any(|pattern| paths.iter().any(|path| pattern.matches(path)))
    }
}

fn source(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut source = String::from("(?s)^");
    let mut braces = 0;
    let mut at = 0;
    while at < chars.len() {
        let starts = at == 0 || chars[at - 1] == '/';
        match chars[at] {
            '*' if starts && chars[at..].starts_with(&['*', '*', '/']) => {
                source.push_str("(?:[^/]+/)*");
                at += 2;
            }
            '*' => source.push_str("[^/]*"),
            '?' => source.push_str("[^/]"),
            '{' => {
                braces += 1;
                source.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                source.push(')');
            }
            ',' if braces > 0 => source.push('|'),
            '[' => match chars[at..].iter().position(|c| *c == ']').filter(|end| *end > 1) {
                Some(end) => {
                    let class: String = chars[at + 1..at + end].iter().collect();
                    let (negated, class) = class.strip_prefix(['!', '^']).map_or(("", class.as_str()), |class| ("^", class));
                    source.push_str(&format!("[{negated}{}]", class.replace('\\', "\\\\").replace('[', "\\[")));
                    at += end;
                }
                None => source.push_str("\\["),
            },
            '\\' if at + 1 < chars.len() => {
                at += 1;
                source.push_str(&regex::escape(&chars[at].to_string()));
            }
            other => source.push_str(&regex::escape(&other.to_string())),
        }
        at += 1;
    }
    source.push_str(&")".repeat(braces));
    source.push('$');
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_ruby() {
        let cases = [
            ("Dockerfile", "Dockerfile", true),
            ("Dockerfile", "a/Dockerfile", false),
            ("*.rb", "a.rb", true),
            ("*.rb", "a/b.rb", false),
            ("**/*.rb", "a.rb", true),
            ("**/*.rb", "a/b/c.rb", true),
            ("docs/**/*", "docs/a", true),
            ("docs/**/*", "docs/a/b", true),
            ("docs/**", "docs/a", true),
            ("docs/**", "docs/a/b", false),
            ("docs/*", "docs/.hidden", true),
            ("*.{js,ts}", "a.ts", true),
            ("more_scripts/*.{rb,py,sh}", "more_scripts/a.py", true),
            ("[ab].c", "b.c", true),
            ("[!ab].c", "b.c", false),
            ("a?c", "abc", true),
            ("a+b", "a+b", true),
            ("./src/*", "src/x", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(path), expected, "{pattern} {path}");
        }
    }
}
