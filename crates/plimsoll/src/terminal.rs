//! The one place that prints: data to standard output, everything else to standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;

use crate::cli::{ColorChoice, Global};
use crate::failure::Failure;

#[derive(Debug)]
pub struct Terminal {
    pub json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Lines of the live part at the bottom, drawn last; they are wiped before anything else is printed.
    drawn: Mutex<usize>,
    live: bool,
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
        }
    }

    /// Data: what a script reads.
    pub fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    pub fn data_bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes);
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
            text.push_str(&cut(line, width));
            text.push('\n');
        }
        *drawn = lines.len();
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    fn write(&self, text: &str) {
        let mut drawn = self.drawn.lock().expect("no holder panics");
        let mut out = std::io::stderr().lock();
        let _ = writeln!(out, "{}{text}", wipe(*drawn));
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
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| usize::from(size.ws_col).max(20))
}

/// Cuts a line to so many columns, escape sequences not counted.
fn cut(line: &str, width: usize) -> String {
    let mut cut = String::new();
    let mut columns = 0;
    let mut in_escape = false;
    for c in line.chars() {
        if in_escape {
            in_escape = !c.is_ascii_alphabetic();
        } else if c == '\x1b' {
            in_escape = true;
        } else if columns + 1 == width {
            cut.push_str("…\x1b[0m");
            return cut;
        } else {
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
    fn lines_are_cut_to_the_width_without_counting_colour() {
        assert_eq!(cut("abc", 10), "abc");
        assert_eq!(cut("\x1b[32mabc\x1b[0m", 10), "\x1b[32mabc\x1b[0m");
        assert_eq!(cut("abcdefgh", 5), "abcd…\x1b[0m");
    }

    #[test]
    fn sentences_are_wrapped_at_words() {
        assert_eq!(wrap("step 1 of 2: needs proof", 12), ["step 1 of 2:", "needs proof"]);
        assert_eq!(wrap("a verylongword b", 5), ["a", "verylongword", "b"]);
        assert_eq!(wrap("short", 80), ["short"]);
    }
}
