//! A script read as far as audits need it: which commands it calls with which words, and where it redirects to.
//!
//! Not a shell: what is beyond words, quotes, substitutions and redirections is passed over.

use base::Span;

/// Substitutions within substitutions that are looked into.
const DEPTH_MAX: usize = 16;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Command {
    /// The program first; assignments before it and words like `if` or `sudo` are left out.
    pub words: Vec<Word>,
    /// What follows `>` or `>>`.
    pub redirects: Vec<Word>,
    /// From the program to the last word.
    pub span: Span,
    /// Whether something is piped into it.
    pub piped: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Word {
    /// Without its quotes.
    pub text: String,
    pub span: Span,
    /// Whether the shell puts something in its place, or in a part of it.
    pub expands: bool,
}

impl Command {
    pub fn program(&self) -> &str {
        self.words.first().map(|word| word.text.as_str()).unwrap_or_default()
    }

    pub fn arguments(&self) -> impl Iterator<Item = &str> + Clone {
        self.words.iter().skip(1).map(|word| word.text.as_str())
    }
}

/// The commands of a script, those in substitutions too, in the order of their ends.
pub(crate) fn commands(script: &str) -> Vec<Command> {
    let mut found = Vec::new();
    collect(script, 0, 0, &mut found);
    found
}

/// How an offset of a script is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    None,
    Double,
    /// Nothing expands here: single quotes, a comment, a quoted here-document.
    Literal,
    /// Inside `$(…)`, backticks, arithmetic or a here-document, where more than quotes decides.
    Unclear,
}

/// What quotes mean for a place in the script.
pub(super) fn quoting(script: &str, at: usize) -> Quoting {
    let bytes = script.as_bytes();
    let mut state = Quoting::None;
    let mut offset = 0;
    while offset < at {
        let rest = &bytes[offset..];
        match (state, bytes[offset]) {
            (_, b'$') if rest.starts_with(b"${{") => offset += script[offset..].find("}}").map_or(rest.len(), |end| end + 1),
            (Quoting::None | Quoting::Double, b'\\') => offset += 1,
            (Quoting::None | Quoting::Double, b'`') => return Quoting::Unclear,
            (Quoting::None | Quoting::Double, b'$') if rest.starts_with(b"$(") || rest.starts_with(b"${") => return Quoting::Unclear,
            (Quoting::None, b'<') if rest.starts_with(b"<<") => return Quoting::Unclear,
            (Quoting::None, b'#') if offset == 0 || bytes[offset - 1].is_ascii_whitespace() => {
                let end = script[offset..].find('\n').map_or(script.len(), |end| offset + end);
                if at < end {
                    return Quoting::Literal;
                }
                offset = end;
            }
            (Quoting::None, b'"') => state = Quoting::Double,
            (Quoting::Double, b'"') | (Quoting::Literal, b'\'') => state = Quoting::None,
            (Quoting::None, b'\'') => state = Quoting::Literal,
            _ => {}
        }
        offset += 1;
    }
    state
}

fn collect(script: &str, base: usize, depth: usize, found: &mut Vec<Command>) {
    if depth > DEPTH_MAX {
        return;
    }
    let mut scanner =
        Scanner { script, offset: 0, base, depth, found, command: Command::default(), heredocs: Vec::new(), redirects_next: false };
    scanner.run();
}

struct Scanner<'a> {
    script: &'a str,
    offset: usize,
    base: usize,
    depth: usize,
    found: &'a mut Vec<Command>,
    command: Command,
    /// The ends of here-documents that begin with the next line.
    heredocs: Vec<String>,
    redirects_next: bool,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(letter) = self.peek() {
            match letter {
                '\n' => {
                    self.finish(false);
                    self.offset += 1;
                    self.skip_heredocs();
                }
                ' ' | '\t' | '\r' => self.offset += 1,
                '\\' if self.rest().starts_with("\\\n") => self.offset += 2,
                '#' => self.offset += self.rest().find('\n').unwrap_or(self.rest().len()),
                ';' | '(' | ')' => {
                    self.finish(false);
                    self.offset += 1;
                }
                '&' if self.rest().starts_with("&>") => self.redirect(if self.rest().starts_with("&>>") { 3 } else { 2 }),
                '&' => {
                    self.finish(false);
                    self.offset += if self.rest().starts_with("&&") { 2 } else { 1 };
                }
                '|' if self.rest().starts_with("||") => {
                    self.finish(false);
                    self.offset += 2;
                }
                '|' => {
                    self.finish(true);
                    self.offset += if self.rest().starts_with("|&") { 2 } else { 1 };
                }
                '<' if self.rest().starts_with("<<<") => self.offset += 3,
                '<' if self.rest().starts_with("<<") => self.heredoc(),
                '<' => self.offset += 1,
                // `2>&1` names a descriptor, no file.
                '>' if self.rest().starts_with(">&") => {
                    self.offset += 2;
                    self.offset += self.rest().bytes().take_while(|letter| letter.is_ascii_digit() || *letter == b'-').count();
                }
                '>' => self.redirect(if self.rest().starts_with(">>") || self.rest().starts_with(">|") { 2 } else { 1 }),
                _ => self.word(),
            }
        }
        self.finish(false);
    }

    fn rest(&self) -> &str {
        &self.script[self.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn redirect(&mut self, length: usize) {
        self.offset += length;
        self.redirects_next = true;
    }

    fn heredoc(&mut self) {
        self.offset += 2;
        if self.rest().starts_with('-') {
            self.offset += 1;
        }
        self.offset += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        let word = self.read_word();
        self.heredocs.push(word.text);
    }

    fn skip_heredocs(&mut self) {
        for end in std::mem::take(&mut self.heredocs) {
            while self.offset < self.script.len() {
                let line = self.rest().split('\n').next().unwrap_or_default();
                let ends = line.trim() == end;
                self.offset = (self.offset + line.len() + 1).min(self.script.len());
                if ends {
                    break;
                }
            }
        }
    }

    fn word(&mut self) {
        let start = self.offset;
        let word = self.read_word();
        if self.offset == start {
            // Nothing that is part of a word.
            self.offset += self.peek().map_or(1, char::len_utf8);
            return;
        }
        if std::mem::take(&mut self.redirects_next) {
            self.command.redirects.push(word);
            return;
        }
        let begins = self.command.words.is_empty();
        if begins && (is_passed_over(&word.text) || is_assignment(&word.text)) {
            return;
        }
        let descriptor = word.text.bytes().all(|digit| digit.is_ascii_digit()) && self.rest().starts_with(['>', '<']);
        if !descriptor {
            self.command.words.push(word);
        }
    }

    fn read_word(&mut self) -> Word {
        let start = self.offset;
        let mut word = Word::default();
        while let Some(letter) = self.peek() {
            match letter {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => {
                    self.offset += 1;
                    if let Some(escaped) = self.peek() {
                        self.offset += escaped.len_utf8();
                        if escaped != '\n' {
                            word.text.push(escaped);
                        }
                    }
                }
                '\'' => {
                    let inner = &self.script[self.offset + 1..];
                    let length = inner.find('\'').unwrap_or(inner.len());
                    word.text.push_str(&inner[..length]);
                    self.offset = (self.offset + length + 2).min(self.script.len());
                }
                '"' => {
                    self.offset += 1;
                    self.quoted(&mut word);
                }
                '$' | '`' => self.expansion(&mut word),
                letter => {
                    word.text.push(letter);
                    self.offset += letter.len_utf8();
                }
            }
        }
        word.span = Span::new(self.base + start, self.base + self.offset);
        word
    }

    fn quoted(&mut self, word: &mut Word) {
        while let Some(letter) = self.peek() {
            match letter {
                '"' => {
                    self.offset += 1;
                    return;
                }
                '\\' => {
                    self.offset += 1;
                    if let Some(escaped) = self.peek() {
                        word.text.push(escaped);
                        self.offset += escaped.len_utf8();
                    }
                }
                '$' | '`' => self.expansion(word),
                letter => {
                    word.text.push(letter);
                    self.offset += letter.len_utf8();
                }
            }
        }
    }

    /// `$x`, `${x}`, `$(x)`, `` `x` ``; kept as written. `${{ … }}` is gone before the shell looks, and counts as text.
    fn expansion(&mut self, word: &mut Word) {
        let rest = self.rest();
        let length = if rest.starts_with("${{") {
            rest.find("}}").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("${") {
            word.expands = true;
            rest.find('}').map_or(rest.len(), |end| end + 1)
        } else if let Some(inner) = rest.strip_prefix("$(") {
            word.expands = true;
            let length = closing(inner);
            let inner = inner[..length].to_owned();
            collect(&inner, self.base + self.offset + 2, self.depth + 1, self.found);
            (length + 3).min(self.rest().len())
        } else if let Some(inner) = rest.strip_prefix('`') {
            word.expands = true;
            let length = inner.find('`').unwrap_or(inner.len());
            let inner = inner[..length].to_owned();
            collect(&inner, self.base + self.offset + 1, self.depth + 1, self.found);
            (length + 2).min(self.rest().len())
        } else {
            let name = rest[1..].bytes().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == b'_' || *letter == b':').count();
            word.expands |= name > 0;
            1 + name
        };
        word.text.push_str(&self.script[self.offset..self.offset + length]);
        self.offset += length;
    }

    fn finish(&mut self, pipes: bool) {
        self.redirects_next = false;
        let mut command = std::mem::take(&mut self.command);
        self.command.piped = pipes;
        if command.words.is_empty() && command.redirects.is_empty() {
            return;
        }
        let words = || command.words.iter().chain(&command.redirects);
        let start = words().map(|word| word.span.start).min().unwrap_or_default();
        let end = words().map(|word| word.span.end).max().unwrap_or_default();
        command.span = Span::new(start, end);
        self.found.push(command);
    }
}

/// How long the inside of a `$(` is, up to its `)`.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Words after which a command begins.
fn is_passed_over(word: &str) -> bool {
    matches!(
        word,
        "if" | "then"
            | "elif"
            | "else"
            | "while"
            | "until"
            | "do"
            | "!"
            | "{"
            | "}"
            | "time"
            | "exec"
            | "command"
            | "sudo"
            | "env"
            | "nohup"
    )
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'+')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: &[&str]) {
        let shown: Vec<String> = commands(script)
            .iter()
            .map(|command| {
                let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
                let targets: String = command.redirects.iter().map(|word| format!(" > {}", word.text)).collect();
                format!("{}{}{targets}", if command.piped { "| " } else { "" }, words.join(" "))
            })
            .collect();
        assert_eq!(shown, expected, "{script}");
    }

    #[test]
    fn scripts_become_commands() {
        check("a b 'c d' \"e $f\"", &["a b c d e $f"]);
        check("a && b || c; d & e\nf", &["a", "b", "c", "d", "e", "f"]);
        check("a | tee \"$X\"", &["a", "| tee $X"]);
        check("x=1 y=2 a >> $OUT 2>&1", &["a > $OUT"]);
        check("if ! sudo gem install x; then\n  echo no # gem\nfi", &["gem install x", "echo no", "fi"]);
        check("a $(b \"$(c)\") `d`", &["c", "b $(c)", "d", "a $(b \"$(c)\") `d`"]);
        check("cat <<EOF > out\nnpm publish\nEOF\nb", &["cat > out", "b"]);
        check("a \\\n  b", &["a b"]);
        check("{ a; b; } >> x", &["a", "b", " > x"]);
        check("a ${{ b && c }} d", &["a ${{ b && c }} d"]);
        check("'", &[""]);
    }

    #[test]
    fn a_place_is_quoted_or_not() {
        let table = [
            ("echo @", Quoting::None),
            ("echo \"a @\"", Quoting::Double),
            ("echo 'a @'", Quoting::Literal),
            ("echo \"a\" '@'", Quoting::Literal),
            ("# @", Quoting::Literal),
            ("# a\n@", Quoting::None),
            ("a#@", Quoting::None),
            ("echo \"$(b @)\"", Quoting::Unclear),
            ("echo \\\"@", Quoting::None),
            ("cat <<'E'\n@", Quoting::Unclear),
            ("a '${{ x }}' @", Quoting::None),
            ("a ${{ x == 'y' }} @", Quoting::None),
        ];
        for (script, expected) in table {
            let at = script.find('@').expect("each has the place");
            assert_eq!(quoting(script, at), expected, "{script}");
        }
    }
}
