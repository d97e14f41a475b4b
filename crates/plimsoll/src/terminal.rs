//! The one place that prints: data to standard output, everything else to standard error.

mod fit;
pub mod harmless;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::{Mutex, OnceLock};

use crate::cli::{ColorChoice, Global};
use crate::failure::Failure;
use fit::{cut, fit, wrap};
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
        written(writeln!(out, "{}", self.shown(text, columns)).and_then(|()| out.flush()));
    }

    /// What a program has written, as it is; to a terminal what does no harm there.
    pub fn data_bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let harmless = self.harmless.as_ref().map(|it| it.lock().expect("no holder panics").pass(bytes));
        written(out.write_all(harmless.as_deref().unwrap_or(bytes)).and_then(|()| out.flush()));
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
            // On one line, also where a command answers line by line.
            self.json_line(&serde_json::json!({ "error": failure }));
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

    pub fn is_quiet(&self) -> bool {
        self.quiet
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
        let from = if self.live && *drawn == 0 { "\r".to_string() } else { wipe(*drawn) };
        let _ = writeln!(out, "{from}{}", self.shown(text, columns));
        let _ = out.flush();
        *drawn = 0;
    }
}

/// Why data could not be written.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Whether data was written. A reader that has gone away has enough; whatever else keeps it back is told at the end.
pub fn written(result: std::io::Result<()>) -> bool {
    if let Err(error) = &result
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first reason is the one.
        let _ = UNWRITTEN.set(error.to_string());
    }
    result.is_ok()
}

/// Why not all data was written that should have been.
pub fn unwritten() -> Option<Failure> {
    UNWRITTEN.get().map(|why| Failure::infrastructure(format!("standard output takes no more: {why}")))
}

/// From the first column on: a `^C` that the terminal shows when it is typed stands below the last line.
fn wipe(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\r\x1b[{lines}A\x1b[J") }
}

fn width() -> usize {
    columns(std::io::stderr()).unwrap_or(80).max(20)
}

/// Of a terminal that says it.
fn columns(of: impl std::os::fd::AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(of).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
