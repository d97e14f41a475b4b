//! The one place that prints: data to standard output, everything else to standard error.

pub mod harmless;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;

use crate::cli::{ColorChoice, Global};
use crate::failure::Failure;
use harmless::Harmless;

#[derive(Debug)]
pub struct Terminal {
    pub json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Lines of the live part at the bottom, drawn last; they are wiped before anything else is printed.
    drawn: Mutex<usize>,
    live: bool,
    /// Whose lines are broken at words, since a person reads them on a terminal.
    wraps_data: bool,
    wraps_rest: bool,
    /// Between a program's output and a terminal.
    harmless: Option<Mutex<Harmless>>,
}

/// What a piece of text means; colour says it again for those who see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
    Faint,
    Strong,
}

impl Terminal {
    pub fn new(global: &Global) -> Terminal {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let wanted = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                std::env::var_os("CLICOLOR_FORCE").is_some_and(|force| force != "0")
                    || (is_terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()))
            }
        };
        Terminal {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color: wanted,
            drawn: Mutex::new(0),
            live: is_terminal && !global.quiet,
            wraps_data: std::io::stdout().is_terminal() && !global.json,
            wraps_rest: std::io::stderr().is_terminal(),
            harmless: std::io::stdout().is_terminal().then(Mutex::default),
        }
    }

    /// Data: what a script reads.
    pub fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let columns = self.wraps_data.then(|| columns(std::io::stdout())).flatten();
        let _ = writeln!(out, "{}", self.shown(text, columns));
        let _ = out.flush();
    }

    /// What a program has written, as it is; to a terminal what does no harm there.
    pub fn data_bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let harmless = self.harmless.as_ref().map(|it| it.lock().expect("no holder panics").pass(bytes));
        let _ = out.write_all(harmless.as_deref().unwrap_or(bytes));
        let _ = out.flush();
    }

    pub fn json<T: serde::Serialize>(&self, value: &T) {
        let text = serde_json::to_string_pretty(value).expect("views have string keys and finite numbers");
        self.data(&text);
    }

    /// One value a line, for what comes bit by bit.
    pub fn json_line<T: serde::Serialize>(&self, value: &T) {
        let text = serde_json::to_string(value).expect("views have string keys and finite numbers");
        self.data(&text);
    }

    /// A line for people.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.write(text);
        }
    }

    pub fn warn(&self, text: &str) {
        self.write(&format!("{} {text}", self.paint("warning:", Tone::Warn)));
    }

    pub fn failure(&self, failure: &Failure) {
        if self.json {
            self.json(&serde_json::json!({ "error": failure }));
        }
        self.write(&format!("{} {}", self.paint("error:", Tone::Bad), failure.message));
        for hint in &failure.hints {
            self.write(&format!("{} {hint}", self.paint("hint:", Tone::Strong)));
        }
    }

    pub fn paint(&self, text: &str, tone: Tone) -> String {
        if !self.color {
            return text.to_string();
        }
        let code = match tone {
            Tone::Plain => return text.to_string(),
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    pub fn is_coloured(&self) -> bool {
        self.color
    }

    /// Whether a live part may be drawn: a person watches.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A sentence in lines that fit into the live part, two columns in from the left.
    pub fn wrapped(&self, sentence: &str) -> Vec<String> {
        wrap(sentence, width().saturating_sub(3))
    }

    /// Replaces the live part at the bottom; each line is cut to the terminal's width.
    pub fn draw(&self, lines: &[String]) {
        if !self.live {
            return;
        }
        let mut drawn = self.drawn.lock().expect("no holder panics");
        let width = width();
        let mut text = wipe(*drawn);
        for line in lines {
            text.push_str(&cut(&harmless::text(line, self.color), width));
            text.push('\n');
        }
        *drawn = lines.len();
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// Broken at words where it is wider than the terminal, and whatever others wrote into it does nothing there.
    fn shown(&self, text: &str, columns: Option<usize>) -> String {
        let text = harmless::text(text, self.color);
        columns.map_or_else(|| text.clone(), |columns| fit(&text, columns))
    }

    fn write(&self, text: &str) {
        let mut drawn = self.drawn.lock().expect("no holder panics");
        let mut out = std::io::stderr().lock();
        let columns = self.wraps_rest.then(|| columns(std::io::stderr())).flatten();
        let _ = writeln!(out, "{}{}", wipe(*drawn), self.shown(text, columns));
        let _ = out.flush();
        *drawn = 0;
    }
}

fn wipe(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") }
}

/// At spaces; a word longer than that is cut when it is drawn.
fn wrap(sentence: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(sentence) {
        match lines.last_mut() {
            Some(line) if columns_of(line) + 1 + columns_of(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// Split at spaces, but for those in a command between backticks, which is copied as a whole, and before a percent sign.
fn words(sentence: &str) -> impl Iterator<Item = &str> {
    let mut in_command = false;
    let mut rest = Some(sentence);
    std::iter::from_fn(move || {
        let text = rest?;
        // A number keeps its unit.
        let end = text.char_indices().find(|(at, c)| {
            in_command ^= *c == '`';
            *c == ' ' && !in_command && !text[at + 1..].starts_with('%')
        });
        match end {
            Some((at, _)) => {
                rest = Some(&text[at + 1..]);
                Some(&text[..at])
            }
            None => rest.take(),
        }
    })
}

/// A text of lines broken at words where they are longer than a terminal is wide; what follows stands below where the text began.
fn fit(text: &str, columns: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| fit_line(line, columns)).collect();
    lines.join("\n")
}

/// Below so many columns a text would be a staircase.
const TEXT_MIN: usize = 24;

fn fit_line(line: &str, columns: usize) -> String {
    if columns_of(line) <= columns || is_excerpt(line) {
        return line.to_string();
    }
    let indent = indent(line);
    let indent = if indent + TEXT_MIN > columns { 0 } else { indent };
    // What stands before the text keeps its spaces.
    let (before, rest) = line.split_at(byte_at(line, indent));
    let broken = wrap(rest, columns - indent);
    format!("{before}{}", broken.join(&format!("\n{}", " ".repeat(indent))))
}

/// Of source code or of a log: it means what it means as it stands there.
fn is_excerpt(line: &str) -> bool {
    let plain: String = visible(line).collect();
    let rest = plain.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    rest.starts_with(['|', '│']) || rest.starts_with("-->")
}

/// Where the text begins: behind a word of its own and two spaces or more, else behind a mark, else as far in as the line.
fn indent(line: &str) -> usize {
    const WORD_MAX: usize = 16;
    let plain: Vec<char> = visible(line).collect();
    let spaces = plain.iter().take_while(|c| **c == ' ').count();
    let gap = (spaces + 1..plain.len().min(spaces + WORD_MAX))
        .rev()
        .find(|at| plain[*at] != ' ' && plain[at - 1] == ' ' && plain[..*at - 1].ends_with(&[' ']));
    let marked = plain.get(spaces + 1) == Some(&' ') && plain.get(spaces).is_some_and(|mark| !mark.is_ascii_alphanumeric());
    gap.unwrap_or(if marked { spaces + 2 } else { spaces })
}

/// The place in bytes of a column, escape sequences passed over.
fn byte_at(line: &str, column: usize) -> usize {
    let mut passed = 0;
    let mut in_escape = false;
    for (at, c) in line.char_indices() {
        let counts = is_visible(c, &mut in_escape);
        if counts && passed == column {
            return at;
        }
        passed += usize::from(counts);
    }
    line.len()
}

fn columns_of(text: &str) -> usize {
    visible(text).count()
}

/// Without escape sequences.
fn visible(text: &str) -> impl Iterator<Item = char> {
    let mut in_escape = false;
    text.chars().filter(move |c| is_visible(*c, &mut in_escape))
}

fn is_visible(c: char, in_escape: &mut bool) -> bool {
    if *in_escape {
        *in_escape = !c.is_ascii_alphabetic();
        return false;
    }
    *in_escape = c == '\x1b';
    !*in_escape
}

fn width() -> usize {
    columns(std::io::stderr()).unwrap_or(80).max(20)
}

/// Of a terminal that says it.
fn columns(of: impl std::os::fd::AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(of).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Cuts a line to so many columns, escape sequences not counted.
fn cut(line: &str, width: usize) -> String {
    let mut cut = String::new();
    let mut columns = 0;
    let mut in_escape = false;
    for c in line.chars() {
        if is_visible(c, &mut in_escape) {
            if columns + 1 == width {
                cut.push_str("…\x1b[0m");
                return cut;
            }
            columns += 1;
        }
        cut.push(c);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_broken_at_words_below_where_it_began() {
        let red = |text: &str| format!("\x1b[31m{text}\x1b[0m");
        for (line, columns, fitting) in [
            ("short".to_string(), 30, "short".to_string()),
            ("one two three four five six seven eight".to_string(), 30, "one two three four five six\nseven eight".to_string()),
            (
                "  gate       allowed for local, and more is said".to_string(),
                40,
                "  gate       allowed for local, and more\n             is said".to_string(),
            ),
            (
                format!("{} gate       denied for local, and why it is", red("✖")),
                40,
                format!("{} gate       denied for local, and why\n             it is", red("✖")),
            ),
            (
                format!("{} {}", red("✔"), "word ".repeat(9).trim_end()),
                30,
                format!("{} word word word word word\n  word word word word", red("✔")),
            ),
            ("it takes ten or twenty or so, 50 % of it".to_string(), 32, "it takes ten or twenty or so,\n50 % of it".to_string()),
            (
                "look at `plimsoll release view 3 -C shop` and at what it says there".to_string(),
                34,
                "look at\n`plimsoll release view 3 -C shop`\nand at what it says there".to_string(),
            ),
            (
                "  12 |       - run: a line of a file that is longer than the terminal".to_string(),
                30,
                "  12 |       - run: a line of a file that is longer than the terminal".to_string(),
            ),
            (
                "http://one-word-that-is-longer-than-the-whole-terminal.localhost:8080".to_string(),
                30,
                "http://one-word-that-is-longer-than-the-whole-terminal.localhost:8080".to_string(),
            ),
        ] {
            assert_eq!(fit(&line, columns), fitting, "{line:?}");
        }
    }
}
