//! GitHub's filter patterns, for branches, tags and paths.
//!
//! They look like shell globs and are not: `?` and `+` belong to the character before them, as in regular expressions.

use std::fmt;

use regex::Regex;

/// A list of patterns in the order of the file: a later one has the last word.
#[derive(Debug, Clone)]
pub struct Filter {
    patterns: Vec<Pattern>,
}

/// One pattern: `release/**`, `!docs/*.md`, `v[12].[0-9]+`.
#[derive(Debug, Clone)]
pub struct Pattern {
    negated: bool,
    regex: Regex,
}

/// The pattern can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPattern {
    pub pattern: String,
    pub why: &'static str,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern `{}` can't be read: {}", self.pattern, self.why)
    }
}

impl std::error::Error for InvalidPattern {}

impl Filter {
    /// # Errors
    /// The first pattern that can't be read.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Filter, InvalidPattern> {
        Ok(Filter { patterns: patterns.into_iter().map(Pattern::parse).collect::<Result<_, _>>()? })
    }

    /// Whether the name is in after all patterns had their say: `!` takes out what an earlier one let in, and the other way round.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.iter().fold(false, |inside, pattern| if pattern.regex.is_match(name) { !pattern.negated } else { inside })
    }
}

impl Pattern {
    /// # Errors
    /// When a bracket isn't closed or empty, or nothing stands before `?` or `+`, or after `\`.
    pub fn parse(text: &str) -> Result<Pattern, InvalidPattern> {
        let invalid = |why| InvalidPattern { pattern: text.to_string(), why };
        let (negated, body) = text.strip_prefix('!').map_or((false, text), |body| (true, body));
        if body.is_empty() {
            return Err(invalid("there is nothing in it"));
        }
        let source = regex_source(body).map_err(invalid)?;
        let regex = Regex::new(&source).map_err(|_| invalid("it is too large"))?;
        Ok(Pattern { negated, regex })
    }
}

/// The pattern as an anchored regular expression.
fn regex_source(pattern: &str) -> Result<String, &'static str> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut source = String::from("(?s)^");
    let mut repeatable = false;
    let mut at = 0;
    while at < chars.len() {
        let starts_segment = at == 0 || chars[at - 1] == '/';
        let (piece, length) = match chars[at] {
            // Any number of directories, none included: `**/README.md` is also the one at the root.
            '*' if starts_segment && chars[at..].starts_with(&['*', '*', '/']) => ("(?:.*/)?".to_string(), 3),
            '*' if chars.get(at + 1) == Some(&'*') => ("(?:.*)".to_string(), 2),
            '*' => ("(?:[^/]*)".to_string(), 1),
            '?' | '+' if !repeatable => return Err("`?` and `+` need a character before them"),
            repeat @ ('?' | '+') => (repeat.to_string(), 1),
            '[' => class(&chars[at..])?,
            '\\' => (literal(*chars.get(at + 1).ok_or("there is nothing after the last `\\`")?), 2),
            char => (literal(char), 1),
        };
        repeatable = !matches!(chars[at], '?' | '+') && !piece.ends_with("/)?");
        source.push_str(&piece);
        at += length;
    }
    source.push('$');
    Ok(source)
}

fn literal(char: char) -> String {
    regex::escape(&char.to_string())
}

/// `[a-z0-9]` and how many characters of the pattern it takes.
fn class(chars: &[char]) -> Result<(String, usize), &'static str> {
    let close = chars.iter().position(|char| *char == ']').ok_or("a `[` is not closed")?;
    let inside = &chars[1..close];
    if inside.is_empty() {
        return Err("there is nothing in `[]`");
    }
    let mut source = String::from("[");
    let mut at = 0;
    while at < inside.len() {
        match inside[at..] {
            [from, '-', to, ..] if from <= to => {
                source.push_str(&format!("{}-{}", in_class(from), in_class(to)));
                at += 3;
            }
            [_, '-', _, ..] => return Err("a range in `[]` runs backwards"),
            _ => {
                source.push_str(&in_class(inside[at]));
                at += 1;
            }
        }
    }
    source.push(']');
    Ok((source, close + 1))
}

/// Everything that could mean something within a class is escaped, so that it means itself.
fn in_class(char: char) -> String {
    if char.is_alphanumeric() { char.to_string() } else { format!("\\x{{{:x}}}", u32::from(char)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns separated by blanks, then names; `+` before those that are in, `-` before those that are out.
    const TABLE: &str = "
        feature/*               | +feature/my-branch +feature/your-branch -feature/a/b -feature -xfeature/a
        feature/**              | +feature/beta-a/my-branch +feature/your-branch +feature/mona/the/octocat -feature
        main                    | +main -Main -main2 -xmain
        releases/mona-the-cat   | +releases/mona-the-cat
        *                       | +main +releases -all/the/branches
        **                      | +all/the/branches +every/tag
        *feature                | +mona-feature +feature +ver-10-feature -feature-2
        v2*                     | +v2 +v2.0 +v2.9 -v1
        v[12].[0-9]+.[0-9]+     | +v1.10.1 +v2.0.0 -v3.0.0 -v1.a.0 -v1.10
        *.jsx?                  | +page.js +page.jsx -page.jsxx -dir/page.js
        *.js                    | +app.js +index.js -js/index.js
        **.js                   | +index.js +js/index.js +src/js/app.js
        docs/*                  | +docs/README.md +docs/file.txt -docs/a/b.md -README.md
        docs/**                 | +docs/README.md +docs/mona/octocat.txt -docs
        docs/**/*.md            | +docs/README.md +docs/mona/hello-world.md +docs/a/markdown/file.md -docs.md
        **/docs/**              | +docs/hello.md +dir/docs/my-file.txt +space/docs/plan/space.doc -mydocs/a
        **/README.md            | +README.md +js/README.md -README.md.txt -xREADME.md
        **/*src/**              | +a/src/app.js +my-src/code/js/app.js -src2/app.js
        **/*-post.md            | +my-post.md +path/their-post.md
        **/migrate-*.sql        | +migrate-10909.sql +db/migrate-v1.0.sql +db/sept/migrate-v1.sql
        *.md !README.md         | +hello.md -README.md -docs/hello.md
        *.md !README.md README* | +hello.md +README.md +README.doc
        !README.md *.md         | +README.md
        releases/** !releases/**-alpha | +releases/10 +releases/beta/mona -releases/10-alpha -releases/beta/3-alpha
        !main                   | -main -dev
        a.b                     | +a.b -axb
        \\*\\[x\\]?             | +*[x] +*[x -*[y]
        [CB]at[^]               | +Cat^ -Cat -Dat^
        [a-c-]x                 | +ax +-x -dx
        v1.0+                   | +v1.0 +v1.000 -v1.
        a**/b                   | +a/b +axx/y/b -b
        (a|b){2}                | +(a|b){2} -aa
    ";

    #[test]
    fn patterns_mean_what_githubs_documentation_says() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (patterns, names) = line.split_once(" | ").expect("patterns | names");
            let filter = Filter::parse(patterns.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
            for name in names.split_whitespace() {
                let (inside, name) = (name.starts_with('+'), &name[1..]);
                assert_eq!(filter.matches(name), inside, "`{name}` in {patterns}");
            }
        }
    }

    #[test]
    fn a_pattern_that_cant_be_read_says_why() {
        let cases = [
            ("", "the pattern `` can't be read: there is nothing in it"),
            ("!", "the pattern `!` can't be read: there is nothing in it"),
            ("v[12", "the pattern `v[12` can't be read: a `[` is not closed"),
            ("v[]", "the pattern `v[]` can't be read: there is nothing in `[]`"),
            ("[9-0]", "the pattern `[9-0]` can't be read: a range in `[]` runs backwards"),
            ("?x", "the pattern `?x` can't be read: `?` and `+` need a character before them"),
            ("a+?", "the pattern `a+?` can't be read: `?` and `+` need a character before them"),
            ("**/?", "the pattern `**/?` can't be read: `?` and `+` need a character before them"),
            ("a\\", "the pattern `a\\` can't be read: there is nothing after the last `\\`"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(Pattern::parse(pattern).expect_err(pattern).to_string(), expected);
        }
    }
}
