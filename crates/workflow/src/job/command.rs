//! Workflow commands in a log: `::error file=a.py,line=3::broken` and the older `##[error]broken`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The commands of GitHub's runner; anything else that looks like one is plain text.
const KNOWN: [&str; 15] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// What a line of a log asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogCommand {
    /// Hide this text from now on.
    Mask(String),
    Annotation(Annotation),
    Debug(String),
    Group(String),
    EndGroup,
    /// The deprecated `::set-output name=x::value`; still honoured.
    Output {
        name: String,
        value: String,
    },
    /// The deprecated `::save-state name=x::value`; still honoured.
    State {
        name: String,
        value: String,
    },
    /// No commands until this token.
    Stop {
        token: String,
    },
    /// The token came; commands count again.
    Resume,
    /// Whether commands are shown as they were written, besides doing what they do.
    Echo(bool),
    /// From now on lines are read by the matchers in this file.
    AddMatchers(String),
    RemoveMatcher {
        owner: String,
    },
    /// Those that stand in this file.
    RemoveMatchersOf(String),
    /// Shown, changes nothing.
    Nothing {
        warning: Option<&'static str>,
    },
    /// Not carried out; the step fails with these two sentences.
    Refused {
        line: String,
        why: String,
    },
}

/// A remark of a step about the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    pub level: Level,
    pub message: String,
    pub title: Option<String>,
    /// Of a problem matcher: `TS2304`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub end_line: Option<u32>,
    pub column: Option<u32>,
    pub end_column: Option<u32>,
}

impl Annotation {
    /// One that is about no place in the code.
    pub fn of_job(level: Level, message: &str) -> Annotation {
        let message = message.to_string();
        let (title, code, file, line, end_line, column, end_column) = Default::default();
        Annotation { level, message, title, code, file, line, end_line, column, end_column }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Error,
    Warning,
    Notice,
}

impl LogCommand {
    /// Whether `::echo::on` leaves it out: what it says is shown anyway, or must not be.
    pub fn omits_echo(&self) -> bool {
        use LogCommand::{Annotation, Debug, Mask, Resume, Stop};
        matches!(self, Mask(_) | Annotation(_) | Debug(_) | Stop { .. } | Resume)
    }
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        }
    }
}

/// Which commands count at the moment; one per step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    stopped: Option<String>,
}

impl Commands {
    /// The command in a line (without its newline), if it is one that counts now.
    pub fn read(&mut self, line: &str) -> Option<LogCommand> {
        let written = Written::parse_v2(line, self).or_else(|| Written::parse_v1(line, self))?;
        if let Some(token) = &self.stopped {
            if !written.name.eq_ignore_ascii_case(token) {
                return None;
            }
            self.stopped = None;
            return Some(LogCommand::Resume);
        }
        let command = written.understand(line);
        if let LogCommand::Stop { token } = &command {
            self.stopped = Some(token.clone());
        }
        Some(command)
    }

    fn knows(&self, name: &str) -> bool {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        KNOWN.iter().any(|known| is(known)) || self.stopped.as_deref().is_some_and(is)
    }
}

/// A command as written, properties by lower-case name.
struct Written {
    name: String,
    properties: BTreeMap<String, String>,
    data: String,
}

impl Written {
    fn parse_v2(line: &str, commands: &Commands) -> Option<Written> {
        let (info, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
        let escapes = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
        commands.knows(name).then(|| Written {
            name: name.to_ascii_lowercase(),
            properties: read_properties(properties.trim(), ',', &escapes),
            data: unescape(data, &[("%0D", "\r"), ("%0A", "\n"), ("%25", "%")]),
        })
    }

    fn parse_v1(line: &str, commands: &Commands) -> Option<Written> {
        let (info, data) = line.split_once("##[")?.1.split_once(']')?;
        let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
        let escapes = [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%")];
        commands.knows(name).then(|| Written {
            name: name.to_ascii_lowercase(),
            properties: read_properties(properties, ';', &escapes),
            data: unescape(data, &escapes),
        })
    }

    fn understand(self, line: &str) -> LogCommand {
        let refused = |why: String| LogCommand::Refused { line: line.trim_start().to_string(), why };
        match self.name.as_str() {
            "add-mask" if self.data.trim().is_empty() => {
                LogCommand::Nothing { warning: Some("Can't add secret mask for empty string in ##[add-mask] command.") }
            }
            "add-mask" => LogCommand::Mask(self.data),
            "error" => LogCommand::Annotation(self.annotation(Level::Error)),
            "warning" => LogCommand::Annotation(self.annotation(Level::Warning)),
            "notice" => LogCommand::Annotation(self.annotation(Level::Notice)),
            "debug" => LogCommand::Debug(self.data),
            "group" => LogCommand::Group(self.data),
            "endgroup" => LogCommand::EndGroup,
            "set-output" | "save-state" => match self.properties.get("name").filter(|name| !name.is_empty()) {
                None => refused(format!("Required field 'name' is missing in ##[{}] command.", self.name)),
                Some(name) if self.name == "set-output" => LogCommand::Output { name: name.clone(), value: self.data },
                Some(name) => LogCommand::State { name: name.clone(), value: self.data },
            },
            "set-env" | "add-path" => refused(format!(
                "The `{}` command is disabled, because any text a step prints could use it. Write to the file ${} instead.",
                self.name,
                if self.name == "set-env" { "GITHUB_ENV" } else { "GITHUB_PATH" },
            )),
            "stop-commands" => match self.data {
                token if fresh(&token) => LogCommand::Stop { token },
                _ => refused("The token that ends `stop-commands` can't be empty, `pause-logging` or the name of a command.".to_string()),
            },
            "echo" => match self.data.trim().to_ascii_lowercase().as_str() {
                "on" => LogCommand::Echo(true),
                "off" => LogCommand::Echo(false),
                _ => refused(format!("`echo` is either `on` or `off`, not `{}`.", self.data)),
            },
            "add-matcher" if self.data.is_empty() => {
                LogCommand::Nothing { warning: Some("`add-matcher` needs the path of a file: `::add-matcher::FILE`.") }
            }
            "add-matcher" => LogCommand::AddMatchers(self.data),
            "remove-matcher" => self.remove_matcher(),
            _ => LogCommand::Nothing { warning: None },
        }
    }

    fn remove_matcher(mut self) -> LogCommand {
        let owner = self.properties.remove("owner").unwrap_or_default();
        match (owner.is_empty(), self.data.is_empty()) {
            (false, true) => LogCommand::RemoveMatcher { owner },
            (true, false) => LogCommand::RemoveMatchersOf(self.data),
            _ => LogCommand::Nothing { warning: Some("`remove-matcher` needs either `owner=…` or the path of a file, not both.") },
        }
    }

    fn annotation(self, level: Level) -> Annotation {
        let text = |name: &str| self.properties.get(name).filter(|text| !text.is_empty()).cloned();
        let number = |name: &str| text(name).and_then(|text| text.trim().parse().ok());
        let (mut end_line, mut end_column) = (number("endline"), number("endcolumn"));
        let (mut line, mut column) = (number("line").or(end_line), number("col").or(end_column));
        // A column says nothing without a line, nor when the remark spans several.
        if line.is_none() || end_line.is_some_and(|end| Some(end) != line) {
            (column, end_column) = (None, None);
        }
        if end_line.is_some_and(|end| Some(end) < line) {
            (line, end_line) = (None, None);
        }
        if end_column.is_some_and(|end| Some(end) < column) {
            (column, end_column) = (None, None);
        }
        Annotation {
            level,
            title: text("title"),
            code: text("code"),
            file: text("file"),
            line,
            end_line,
            column,
            end_column,
            message: self.data,
        }
    }
}

fn fresh(token: &str) -> bool {
    !token.is_empty() && !token.eq_ignore_ascii_case("pause-logging") && !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(token))
}

fn read_properties(text: &str, separator: char, escapes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = text.split(separator).filter_map(|property| property.split_once('='));
    let written = pairs.filter(|(name, value)| !name.is_empty() && !value.is_empty());
    written.map(|(name, value)| (name.to_ascii_lowercase(), unescape(value, escapes))).collect()
}

/// One escape after the other, `%25` last, as the runner does.
fn unescape(text: &str, escapes: &[(&str, &str)]) -> String {
    if !text.contains('%') {
        return text.to_string();
    }
    escapes.iter().fold(text.to_string(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<LogCommand> {
        Commands::default().read(line)
    }

    fn annotation(line: &str) -> Annotation {
        match read(line) {
            Some(LogCommand::Annotation(annotation)) => annotation,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn lines_that_are_commands_and_lines_that_are_not() {
        let mask = |text: &str| Some(LogCommand::Mask(text.to_string()));
        let output = |value: &str| Some(LogCommand::Output { name: "x".to_string(), value: value.to_string() });
        let cases = [
            ("::add-mask::s3cret", mask("s3cret")),
            ("  \t::add-mask::s3cret", mask("s3cret")),
            ("##[add-mask]s3cret", mask("s3cret")),
            ("text before ##[add-mask]s3cret", mask("s3cret")),
            ("::ADD-MASK::a%0Ab%25c", mask("a\nb%c")),
            ("text ::add-mask::s3cret", None),
            ("::unknown::x", None),
            ("::add-mask", None),
            (":: add-mask::x", None),
            ("##[add-mask", None),
            ("std::vec::Vec", None),
            ("::set-output name=x::a::b", output("a::b")),
            ("::set-output name=x::%3A", output("%3A")),
            ("::set-output  name=x,other= ::v", output("v")),
            ("##[set-output name=x;]v%5D", output("v]")),
            ("::group::Build", Some(LogCommand::Group("Build".to_string()))),
            ("::endgroup::", Some(LogCommand::EndGroup)),
            ("::debug::d", Some(LogCommand::Debug("d".to_string()))),
            ("::echo::on", Some(LogCommand::Echo(true))),
            ("::echo:: OFF ", Some(LogCommand::Echo(false))),
            ("::add-matcher::.github/tsc.json", Some(LogCommand::AddMatchers(".github/tsc.json".to_string()))),
            ("::remove-matcher owner=tsc::", Some(LogCommand::RemoveMatcher { owner: "tsc".to_string() })),
            ("::remove-matcher::tsc.json", Some(LogCommand::RemoveMatchersOf("tsc.json".to_string()))),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn commands_that_are_refused_say_why() {
        let refused =
            ["::set-env name=A::b", "::add-path::/x", "::set-output::v", "::stop-commands::", "::stop-commands::error", "::echo::x"];
        for line in refused {
            assert!(matches!(read(line), Some(LogCommand::Refused { .. })), "{line}");
        }
        for line in ["::add-matcher::", "::remove-matcher::", "::remove-matcher owner=a::b", "::add-mask:: "] {
            assert!(matches!(read(line), Some(LogCommand::Nothing { warning: Some(_) })), "{line}");
        }
    }

    #[test]
    fn annotations_point_into_files() {
        let full = annotation("::error file=a%2Cb.py,line=3,endLine=3,col=5,endColumn=9,title=T%3A::broken%0Atwice");
        assert_eq!((full.level, full.file.as_deref(), full.title.as_deref()), (Level::Error, Some("a,b.py"), Some("T:")));
        assert_eq!((full.line, full.end_line, full.column, full.end_column), (Some(3), Some(3), Some(5), Some(9)));
        assert_eq!(full.message, "broken\ntwice");
        let spanning = annotation("::warning line=3,endLine=5,col=2::x");
        assert_eq!((spanning.line, spanning.end_line, spanning.column), (Some(3), Some(5), None));
        assert_eq!(annotation("::notice col=4::x").column, None);
        let places = |line: &str| {
            let Annotation { line, end_line, column, end_column, .. } = annotation(line);
            [line, end_line, column, end_column]
        };
        // `ValidateLinesAndColumns` of `ActionCommandManagerL0.cs`.
        assert_eq!(places("::notice line=5,endLine=3::x"), [None; 4]);
        assert_eq!(places("::notice endLine=3::x"), [Some(3), Some(3), None, None]);
        assert_eq!(places("::notice line=1,endColumn=3::x"), [Some(1), None, Some(3), Some(3)]);
        assert_eq!(places("::notice line=1,col=4,endColumn=3::x"), [Some(1), None, None, None]);
        assert_eq!(annotation("##[warning]plain").message, "plain");
    }

    #[test]
    fn stopped_commands_are_text_until_the_token() {
        let mut commands = Commands::default();
        assert_eq!(commands.read("::stop-commands::tok"), Some(LogCommand::Stop { token: "tok".to_string() }));
        assert_eq!(commands.read("::add-mask::x"), None);
        assert_eq!(commands.read("::other::"), None);
        assert_eq!(commands.read("::TOK::"), Some(LogCommand::Resume));
        assert_eq!(commands.read("::tok::"), None);
        assert_eq!(commands.read("::add-mask::x"), Some(LogCommand::Mask("x".to_string())));
    }
}
