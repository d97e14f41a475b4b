//! Regular expressions of conditions: made once, and never large.

use regex::{Regex, RegexBuilder};

use super::Wrong;

/// A pattern of a few bytes can otherwise become megabytes, and each text is held against all of it.
const BYTES_MAX: usize = 256 * 1024;

/// Two are the same when they are written alike.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub fn new(text: &str, at: usize) -> Result<Pattern, Wrong> {
        let shown: String = text.chars().take(100).collect();
        match RegexBuilder::new(text).size_limit(BYTES_MAX).build() {
            Ok(regex) => Ok(Pattern(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err(Wrong::new(at, format!("`{shown}` is too large a regular expression"))),
            Err(_) => Err(Wrong::new(at, format!("`{shown}` is no regular expression"))),
        }
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
