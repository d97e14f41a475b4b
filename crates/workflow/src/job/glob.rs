//! The patterns of `hashFiles`, `upload-artifact` and `cache`, which mean what `@actions/glob` makes of them.
//!
//! A pattern that names a directory means everything below it; later lines have the last word; `!` takes out.

/// A list of patterns, each made absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globs {
    patterns: Vec<Pattern>,
}

/// What a path is to the patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matched {
    No,
    /// As a directory only, because the pattern ends in a slash.
    Directory,
    Yes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    negated: bool,
    segments: Vec<Segment>,
    directory: bool,
    /// Made by us for what lies below a match.
    below: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    AnyDepth,
    Literal(String),
    Wild(Vec<Letter>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Letter {
    One(char),
    Any,
    AnyMany,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Globs {
    /// One pattern a line; blank lines and lines that begin with `#` say nothing. Relative ones start at `root`, `~` is `home`.
    pub fn parse(text: &str, root: &str, home: Option<&str>) -> Result<Globs, String> {
        let mut patterns = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let pattern = Pattern::parse(line, root, home)?;
            let below = (pattern.segments.last() != Some(&Segment::AnyDepth)).then(|| pattern.everything_below());
            patterns.push(pattern);
            patterns.extend(below);
        }
        Ok(Globs { patterns })
    }

    /// Where to look: the part of each pattern before its first wildcard, none inside another.
    pub fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = self.patterns.iter().filter(|pattern| !pattern.negated && !pattern.below).map(Pattern::root).collect();
        let inside = |path: &str, other: &str| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/') || other == "/");
        let all = roots.clone();
        roots.retain(|root| !all.iter().any(|other| inside(root, other)));
        let mut seen = std::collections::BTreeSet::new();
        roots.retain(|root| seen.insert(root.clone()));
        roots
    }

    pub fn matched(&self, path: &str) -> Matched {
        let path = split(path);
        self.patterns.iter().fold(Matched::No, |matched, pattern| match pattern.matched(&path) {
            Matched::No => matched,
            found if !pattern.negated => matched.max(found),
            Matched::Yes => Matched::No,
            _ if matched == Matched::Directory => Matched::No,
            _ => matched,
        })
    }

    /// Whether something below the path may match.
    pub fn may_match_below(&self, path: &str) -> bool {
        let path = split(path);
        self.patterns.iter().any(|pattern| !pattern.negated && pattern.may_match_below(&path))
    }
}

impl Pattern {
    fn parse(line: &str, root: &str, home: Option<&str>) -> Result<Pattern, String> {
        let text = line.trim_start_matches('!');
        let negated = (line.len() - text.len()) % 2 == 1;
        let text = text.trim();
        let absolute = match text {
            "" => return Err(format!("the pattern `{line}` is empty")),
            "~" => home.ok_or_else(|| format!("the pattern `{line}` needs HOME"))?.to_string(),
            _ if text.starts_with("~/") => format!("{}{}", home.ok_or_else(|| format!("the pattern `{line}` needs HOME"))?, &text[1..]),
            _ if text.starts_with('/') => text.to_string(),
            _ => format!("{}/{text}", literally(root)),
        };
        let mut segments: Vec<Segment> = Vec::new();
        for part in split(&absolute) {
            match part {
                "." => {}
                ".." => match segments.pop() {
                    Some(Segment::Literal(_)) => {}
                    _ => return Err(format!("the pattern `{line}` has `..` behind a wildcard or at the root")),
                },
                _ => segments.push(Segment::parse(part)),
            }
        }
        Ok(Pattern { negated, segments, directory: absolute.ends_with('/'), below: false })
    }

    fn everything_below(&self) -> Pattern {
        let mut segments = self.segments.clone();
        segments.extend([Segment::Wild(vec![Letter::AnyMany]), Segment::AnyDepth]);
        Pattern { negated: self.negated, segments, directory: false, below: true }
    }

    fn root(&self) -> String {
        let literal = self.segments.iter().map_while(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            _ => None,
        });
        format!("/{}", literal.collect::<Vec<_>>().join("/"))
    }

    fn matched(&self, path: &[&str]) -> Matched {
        match matches(&self.segments, path) {
            false => Matched::No,
            true if self.directory => Matched::Directory,
            true => Matched::Yes,
        }
    }

    fn may_match_below(&self, path: &[&str]) -> bool {
        let mut segments = self.segments.iter();
        for part in path {
            match segments.next() {
                None => return false,
                Some(Segment::AnyDepth) => return true,
                Some(segment) if !segment.matches(part) => return false,
                Some(_) => {}
            }
        }
        true
    }
}

impl Segment {
    fn parse(text: &str) -> Segment {
        if text == "**" {
            return Segment::AnyDepth;
        }
        let letters = letters(text);
        let literal = letters.iter().map(|letter| if let Letter::One(letter) = letter { Some(*letter) } else { None });
        literal.collect::<Option<String>>().map_or(Segment::Wild(letters), Segment::Literal)
    }

    fn matches(&self, part: &str) -> bool {
        match self {
            Segment::AnyDepth => true,
            Segment::Literal(text) => text == part,
            Segment::Wild(letters) => wild(letters, &part.chars().collect::<Vec<_>>()),
        }
    }
}

/// `**` may stand for nothing.
fn matches(segments: &[Segment], path: &[&str]) -> bool {
    greedy(segments, path, |segment| *segment == Segment::AnyDepth, |segment, part| segment.matches(part))
}

fn wild(letters: &[Letter], text: &[char]) -> bool {
    greedy(letters, text, |letter| *letter == Letter::AnyMany, |letter, one| letter.is(*one))
}

/// Only the last wildcard of any length ever has to take more: what stood before it fits already. So time is the product of the lengths,
/// whoever wrote the pattern.
fn greedy<P, T>(pattern: &[P], text: &[T], is_any: impl Fn(&P) -> bool, fits: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut last_any: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some(piece) if is_any(piece) => {
                last_any = Some((at, here));
                at += 1;
            }
            Some(piece) if fits(piece, &text[here]) => {
                at += 1;
                here += 1;
            }
            _ => match &mut last_any {
                Some((any, taken)) => {
                    *taken += 1;
                    at = *any + 1;
                    here = *taken;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(is_any)
}

impl Letter {
    fn is(&self, letter: char) -> bool {
        match self {
            Letter::One(one) => *one == letter,
            Letter::Any | Letter::AnyMany => true,
            Letter::Class { negated, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated,
        }
    }
}

fn letters(text: &str) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::new();
    let mut rest = text.chars().collect::<std::collections::VecDeque<char>>();
    while let Some(letter) = rest.pop_front() {
        letters.push(match letter {
            '*' if letters.last() == Some(&Letter::AnyMany) => continue,
            '*' => Letter::AnyMany,
            '?' => Letter::Any,
            '\\' => Letter::One(rest.pop_front().unwrap_or('\\')),
            '[' => class(&mut rest).unwrap_or(Letter::One('[')),
            letter => Letter::One(letter),
        });
    }
    letters
}

/// What follows a `[`; nothing, and nothing taken, when it never closes.
fn class(rest: &mut std::collections::VecDeque<char>) -> Option<Letter> {
    let inside: Vec<char> = rest.iter().copied().collect();
    let negated = matches!(inside.first(), Some('!' | '^'));
    let first = usize::from(negated);
    let close = (first + 1..inside.len()).find(|at| inside[*at] == ']')?;
    let mut ranges = Vec::new();
    let mut at = first;
    while at < close {
        if at + 2 < close && inside[at + 1] == '-' {
            ranges.push((inside[at], inside[at + 2]));
            at += 3;
        } else {
            ranges.push((inside[at], inside[at]));
            at += 1;
        }
    }
    rest.drain(..=close);
    Some(Letter::Class { negated, ranges })
}

/// A directory's name with its wildcards disarmed.
fn literally(path: &str) -> String {
    path.chars().flat_map(|letter| if "*?[\\".contains(letter) { vec!['\\', letter] } else { vec![letter] }).collect()
}

fn split(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_paths() {
        use Matched::{Directory, No, Yes};
        let cases = [
            ("**/*.lock", "/w/a/b.lock", Yes),
            ("**/*.lock", "/w/b.lock", Yes),
            ("**/*.lock", "/w/b.lock/inside", Yes),
            ("*.lock", "/w/a/b.lock", No),
            ("dist", "/w/dist/a/b", Yes),
            ("dist/", "/w/dist", Directory),
            ("dist/", "/w/dist/a", Yes),
            ("dist/**", "/w/dist", Yes),
            ("dist\n!dist/**/*.tmp", "/w/dist/a/x.tmp", No),
            ("dist\n!dist/**/*.tmp", "/w/dist/a/x.txt", Yes),
            ("!dist/x\ndist", "/w/dist/x", Yes),
            ("dist\n!dist/private", "/w/dist/private/key", No),
            (".*/f?.[ch]", "/w/.h/f1.c", Yes),
            ("f[!a-c].x", "/w/fb.x", No),
            ("/etc/*.conf", "/etc/a.conf", Yes),
            ("~/x", "/home/u/x", Yes),
            ("./a/../b", "/w/b", Yes),
            ("# note\n\n a.txt ", "/w/a.txt", Yes),
            ("a{b,c}", "/w/ab", No),
            ("**", "/w/.hidden/x", Yes),
            ("a**b*/c", "/w/axbyb/c", Yes),
            ("**/a/**/b", "/w/a/a/x/b/b", Yes),
            // A pattern that tried every way would not end in a lifetime.
            (&format!("{}b", "*a".repeat(40)), &format!("/w/{}", "a".repeat(200)), No),
            (&format!("{}b", "**/a/".repeat(40)), &format!("/w/{}", "a/".repeat(200)), No),
        ];
        for (patterns, path, expected) in cases {
            let globs = Globs::parse(patterns, "/w", Some("/home/u")).unwrap();
            assert_eq!(globs.matched(path), expected, "{patterns:?} {path}");
        }
        assert!(Globs::parse("*/../x", "/w", None).is_err());
    }

    #[test]
    fn the_search_starts_where_the_wildcards_do() {
        let roots = |text: &str| Globs::parse(text, "/w[1]", None).unwrap().roots();
        assert_eq!(roots("a/b/*.c\na/b/d\n!x\n/etc/**"), ["/w[1]/a/b", "/etc"]);
        assert_eq!(roots("**/x"), ["/w[1]"]);
        let globs = Globs::parse("a/*/c", "/w", None).unwrap();
        assert!(globs.may_match_below("/w/a") && globs.may_match_below("/w/a/b") && !globs.may_match_below("/w/b"));
    }
}
