//! What a step wrote into its environment files: `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_STATE`, `GITHUB_PATH`, `GITHUB_STEP_SUMMARY`.

/// The names a step can't set through `GITHUB_ENV`, because they would run code in every later JavaScript action.
const BLOCKED: [&str; 1] = ["NODE_OPTIONS"];

/// What GitHub keeps of one step's summary.
pub const SUMMARY_BYTES_MAX: usize = 1024 * 1024;

/// The texts of the five files after a step; empty where the step wrote nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFiles {
    pub env: String,
    pub output: String,
    pub state: String,
    pub path: String,
    pub summary: String,
}

/// Names and values in the order they were written; what stood before a mistake counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    pub pairs: Vec<(String, String)>,
    /// The first mistake; nothing after it is read, and the step fails.
    pub error: Option<FileError>,
}

/// A file command isn't `NAME=VALUE` nor a whole `NAME<<DELIMITER` block; worded as GitHub's runner words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("Invalid format '{0}'")]
    Format(String),
    #[error("Invalid format '{0}'. Name must not be empty and delimiter must not be empty")]
    EmptyHeredoc(String),
    #[error("Invalid value. Matching delimiter not found '{0}'")]
    NoDelimiter(String),
    #[error("Invalid value. EOF marker missing new line.")]
    NoNewline,
}

/// Reads `NAME=VALUE` lines and `NAME<<EOF` blocks; whichever of `=` and `<<` comes first on a line decides.
pub fn pairs(text: &str) -> Pairs {
    let mut found = Pairs::default();
    let mut lines = Lines { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0 };
    while let Some((line, _)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match pair(line, &mut lines) {
            Ok(pair) => found.pairs.push(pair),
            Err(error) => {
                found.error = Some(error);
                break;
            }
        }
    }
    found
}

/// Directories for the front of `PATH`, one a line, in the order written.
pub fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().filter(|line| !line.is_empty())
}

/// Whether `GITHUB_ENV` may not set this name.
pub fn blocked(name: &str) -> bool {
    BLOCKED.iter().any(|blocked| blocked.eq_ignore_ascii_case(name))
}

fn pair(line: &str, lines: &mut Lines<'_>) -> Result<(String, String), FileError> {
    match (line.find('='), line.find("<<")) {
        (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
            Ok((line[..equals].to_string(), line[equals + 1..].to_string()))
        }
        (_, Some(heredoc)) => {
            let (name, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
            if name.is_empty() || delimiter.is_empty() {
                return Err(FileError::EmptyHeredoc(line.to_string()));
            }
            Ok((name.to_string(), block(delimiter, lines)?))
        }
        _ => Err(FileError::Format(line.to_string())),
    }
}

/// The lines up to the delimiter, without the last newline.
fn block(delimiter: &str, lines: &mut Lines<'_>) -> Result<String, FileError> {
    let start = lines.at;
    let mut end = start;
    loop {
        let (line, ended) = lines.next().ok_or_else(|| FileError::NoDelimiter(delimiter.to_string()))?;
        if line == delimiter {
            return Ok(lines.text[start..end].to_string());
        }
        if !ended {
            return Err(FileError::NoNewline);
        }
        end = lines.at - 1;
    }
}

struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its newline, and whether it had one.
    fn next(&mut self) -> Option<(&'a str, bool)> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let newline = rest.find('\n');
        let line = &rest[..newline.unwrap_or(rest.len())];
        self.at += newline.map_or(rest.len(), |newline| newline + 1);
        Some((line, newline.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_and_every_mistake() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let cases: [Case; 17] = [
            ("", &[], ""),
            ("A=1\nB=2\n", &[("A", "1"), ("B", "2")], ""),
            ("A=1", &[("A", "1")], ""),
            ("\u{feff}A=1\n\n\nB=\n", &[("A", "1"), ("B", "")], ""),
            ("A=b=c<<d\n", &[("A", "b=c<<d")], ""),
            ("A<<EOF\none\ntwo\nEOF\n", &[("A", "one\ntwo")], ""),
            ("A<<EOF\nEOF\n", &[("A", "")], ""),
            ("A<<EOF\n\nEOF", &[("A", "")], ""),
            ("A<<E=F\nx\nE=F\nB=1\n", &[("A", "x"), ("B", "1")], ""),
            ("A<<EOF\n  EOF\nEOF\n", &[("A", "  EOF")], ""),
            ("A=1\r\n", &[("A", "1\r")], ""),
            ("=x\n", &[("", "x")], ""),
            ("A=1\nplain\nB=2\n", &[("A", "1")], "Invalid format 'plain'"),
            ("<<EOF\nEOF\n", &[], "Invalid format '<<EOF'. Name must not be empty and delimiter must not be empty"),
            ("A<<\nx\n", &[], "Invalid format 'A<<'. Name must not be empty and delimiter must not be empty"),
            ("A<<EOF\nx\n", &[], "Invalid value. Matching delimiter not found 'EOF'"),
            ("A<<EOF\nx", &[], "Invalid value. EOF marker missing new line."),
        ];
        for (text, expected, error) in cases {
            let found = pairs(text);
            let seen: Vec<(&str, &str)> = found.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(seen, expected, "{text:?}");
            assert_eq!(found.error.map(|error| error.to_string()).unwrap_or_default(), error, "{text:?}");
        }
    }

    #[test]
    fn paths_are_lines_and_node_options_is_blocked_in_any_case() {
        assert_eq!(paths("/a\r\n\n/b c\n").collect::<Vec<_>>(), ["/a", "/b c"]);
        assert!(blocked("node_options") && !blocked("NODE_ENV"));
    }
}
