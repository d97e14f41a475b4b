//! How the text of a `run:` step becomes a process.

/// A shell as asked for: the program, its arguments with `{0}` for the script's file, and what surrounds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// Looked for on the step's `PATH`, the first that exists.
    pub programs: Vec<String>,
    /// Never without a `{0}`.
    pub arguments: Vec<String>,
    /// Of the script's file, with its dot.
    pub extension: &'static str,
    prologue: &'static str,
    epilogue: &'static str,
}

/// The `shell:` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShell {
    #[error("`shell: {0}` is neither built in (bash, sh, python, pwsh, powershell) nor a command with `{{0}}` in it")]
    Unknown(String),
    #[error("`shell: cmd` is the command line of Windows, which isn't here; use `bash`, `sh` or `pwsh`")]
    Windows,
}

impl Shell {
    /// Nothing given: `bash -e {0}`, or `sh -e {0}` where there is no bash.
    pub fn parse(given: Option<&str>) -> Result<Shell, InvalidShell> {
        let Some(text) = given.filter(|text| !text.is_empty()) else {
            return Ok(Shell { programs: vec!["bash".to_string(), "sh".to_string()], ..Shell::plain("sh", "-e {0}", ".sh") });
        };
        let (program, arguments) = text.split_once(' ').unwrap_or((text, ""));
        let invalid = || InvalidShell::Unknown(text.to_string());
        if program.eq_ignore_ascii_case("cmd") && !arguments.contains("{0}") {
            return Err(InvalidShell::Windows);
        }
        let built_in = Shell::built_in(program);
        if arguments.trim().is_empty() {
            return built_in.ok_or_else(invalid);
        }
        if !arguments.contains("{0}") {
            return Err(invalid());
        }
        let custom = Shell::plain(program, "", "");
        let arguments = split(arguments).ok_or_else(invalid)?;
        Ok(Shell { arguments, ..built_in.unwrap_or(custom) })
    }

    /// The arguments with the script's file put in.
    pub fn arguments_for(&self, file: &str) -> Vec<String> {
        self.arguments.iter().map(|argument| argument.replace("{0}", file)).collect()
    }

    /// What the script's file holds.
    pub fn script(&self, text: &str) -> String {
        if self.prologue.is_empty() { text.to_string() } else { format!("{}\n{text}\n{}", self.prologue, self.epilogue) }
    }

    fn built_in(name: &str) -> Option<Shell> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bash" => Shell::plain(name, "--noprofile --norc -e -o pipefail {0}", ".sh"),
            "sh" => Shell::plain(name, "-e {0}", ".sh"),
            "python" => Shell { programs: vec![name.to_string(), "python3".to_string()], ..Shell::plain(name, "{0}", ".py") },
            "pwsh" | "powershell" => Shell {
                arguments: vec!["-command".to_string(), ". '{0}'".to_string()],
                prologue: "$ErrorActionPreference = 'stop'",
                epilogue: "if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }",
                ..Shell::plain(name, "", ".ps1")
            },
            _ => return None,
        })
    }

    fn plain(program: &str, arguments: &str, extension: &'static str) -> Shell {
        let arguments = arguments.split_whitespace().map(str::to_string).collect();
        Shell { programs: vec![program.to_string()], arguments, extension, prologue: "", epilogue: "" }
    }
}

/// The words of a command line, as GitHub's runner hands them to its container engine.
pub fn words(text: &str) -> Vec<String> {
    split(text).or_else(|| split(&format!("{text}\""))).unwrap_or_default()
}

/// Words as a command line has them: blanks separate, double quotes hold together, a backslash protects a quote; nothing when a quote stays open.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'"') => word.get_or_insert_default().extend(letters.next()),
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' | '\n' | '\r' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_become_command_lines() {
        let cases = [
            ("", "bash|sh -e F"),
            ("bash", "bash --noprofile --norc -e -o pipefail F"),
            ("sh", "sh -e F"),
            ("python", "python|python3 F"),
            ("pwsh", "pwsh -command . 'F'"),
            ("bash -x {0}", "bash -x F"),
            ("bash --login {0} \"a b\"", "bash --login F a b"),
            ("perl {0}", "perl F"),
            ("env -i sh -c \". {0}\"", "env -i sh -c . F"),
        ];
        for (given, expected) in cases {
            let shell = Shell::parse(Some(given)).unwrap();
            assert_eq!(format!("{} {}", shell.programs.join("|"), shell.arguments_for("F").join(" ")), expected, "{given}");
        }
    }

    #[test]
    fn what_has_no_place_for_the_script_is_refused() {
        for given in ["perl", "perl -e", "bash -x", "sh \"{0}"] {
            assert_eq!(Shell::parse(Some(given)), Err(InvalidShell::Unknown(given.to_string())));
        }
        assert_eq!(Shell::parse(Some("cmd")), Err(InvalidShell::Windows));
    }

    #[test]
    fn powershell_stops_at_errors_and_passes_the_exit_code_on() {
        let script = Shell::parse(Some("pwsh")).unwrap().script("ls");
        assert!(script.starts_with("$ErrorActionPreference = 'stop'\nls\n") && script.ends_with("exit $LASTEXITCODE }"));
    }
}
