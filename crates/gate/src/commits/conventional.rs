//! Conventional Commits 1.0.0.
//!
//! ```text
//! type(scope)!: description
//!
//! body
//!
//! Token: value
//! BREAKING CHANGE: description
//! ```

/// A message that keeps the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// In lower case: only `BREAKING CHANGE` depends on it (rule 15).
    pub kind: String,
    pub scope: Option<String>,
    pub breaking: bool,
    pub description: String,
    pub body: String,
    /// Tokens and values, in order.
    pub footers: Vec<(String, String)>,
}

/// # Errors
/// All that is wrong with it, as fragments.
pub fn parse(message: &str) -> Result<Message, Vec<String>> {
    let lines: Vec<&str> = message.trim_end().lines().map(str::trim_end).collect();
    let (first, rest) = lines.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    // `git rebase --autosquash` was meant to take it away.
    if let Some(word) = ["fixup!", "squash!", "amend!"].into_iter().find(|word| first.starts_with(word)) {
        return Err(vec![format!("`{word}` is to become part of another commit before it ships")]);
    }
    let mut wrong = Vec::new();
    let head = head(first).map_err(|why| wrong.push(why)).ok();
    if rest.first().is_some_and(|line| !line.is_empty()) {
        wrong.push("a blank line is missing after the first line".to_string());
    }
    let mut breaking = false;
    for line in rest {
        match breaks(line) {
            Some(true) => breaking = true,
            Some(false) => wrong.push(format!("`{}` is no breaking change: that is `BREAKING CHANGE: ` and what breaks", quoted(line))),
            None => {}
        }
    }
    let (body, footers) = body(rest);
    match head.filter(|_| wrong.is_empty()) {
        Some(head) => Ok(Message { breaking: head.breaking || breaking, body, footers, ..head }),
        None => Err(wrong),
    }
}

/// `type(scope)!: description`, without what follows.
fn head(line: &str) -> Result<Message, String> {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let (kind, mut rest) = line.split_at(line.find(|letter| !is_of_word(letter)).unwrap_or(line.len()));
    if !kind.starts_with(char::is_alphabetic) || !rest.starts_with(['(', '!', ':']) {
        let has_a_space = kind.starts_with(char::is_alphabetic) && rest.trim_start().starts_with(':');
        let why = if has_a_space { "a space stands before its colon" } else { "it has no type and colon before it, as `fix: …` has" };
        return Err(why.to_string());
    }
    let mut scope = None;
    if let Some(after) = rest.strip_prefix('(') {
        let (name, after) = after.split_once(')').ok_or("the `(` of its scope is never closed")?;
        if name.is_empty() || name.trim() != name || name.contains('(') {
            return Err(format!("`({})` is no scope: that is a word in parentheses", quoted(name)));
        }
        (scope, rest) = (Some(name.to_string()), after);
    }
    let breaking = rest.starts_with('!');
    rest = rest.strip_prefix('!').unwrap_or(rest);
    let Some(description) = rest.strip_prefix(':') else {
        let why = if breaking {
            "its `!` stands elsewhere than right before the colon"
        } else {
            "a colon is missing right after its type and scope"
        };
        return Err(why.to_string());
    };
    match description.strip_prefix(' ') {
        _ if description.trim().is_empty() => Err("it has no description after its colon".to_string()),
        Some(description) if !description.starts_with(char::is_whitespace) => Ok(Message {
            kind: kind.to_lowercase(),
            scope,
            breaking,
            description: description.to_string(),
            body: String::new(),
            footers: Vec::new(),
        }),
        _ => Err("one space is to follow its colon, neither more nor less".to_string()),
    }
}

/// Whether a message says so that nobody wrote by the rules, of a merge or a revert: in its first line or in any other.
pub fn is_breaking(message: &str) -> bool {
    let mut lines = message.lines().map(str::trim_end);
    lines.next().is_some_and(|first| head(first).is_ok_and(|head| head.breaking)) || lines.any(|line| breaks(line).is_some())
}

/// The beginning of what somebody wrote, which may be a book.
fn quoted(text: &str) -> &str {
    const MAX_CHARS: usize = 100;
    text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// Whether a line that looks like a breaking change is one; nothing of any other. It is heard wherever it stands: whoever wrote it
/// meant it.
fn breaks(line: &str) -> Option<bool> {
    let meant = line.trim_start_matches(|letter: char| letter.is_whitespace() || "-*_`>#".contains(letter));
    let start = meant.get(..BREAKING[0].len()).filter(|start| start.replace(['-', '_'], " ").eq_ignore_ascii_case(BREAKING[0]))?;
    let rest = &meant[start.len()..];
    // In capitals nobody writes it by chance; else a colon stands near.
    let has_colon = rest.trim_start_matches(|letter: char| letter == 's' || letter == 'S' || letter != ':' && !letter.is_alphanumeric());
    let is_meant = !start.contains(char::is_lowercase) || has_colon.starts_with(':');
    let is_right =
        || meant.len() == line.len() && BREAKING.contains(&start) && rest.strip_prefix(": ").is_some_and(|it| !it.trim().is_empty());
    is_meant.then(is_right)
}

const BREAKING: [&str; 2] = ["BREAKING CHANGE", "BREAKING-CHANGE"];

/// The footers are the paragraphs at the end that begin with one.
fn body(rest: &[&str]) -> (String, Vec<(String, String)>) {
    let mut paragraphs: Vec<&[&str]> = rest.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).collect();
    let last = paragraphs.iter().rposition(|lines| lines.first().is_none_or(|line| footer(line).is_none()));
    let last = paragraphs.split_off(last.map_or(0, |at| at + 1));
    let mut footers: Vec<(String, String)> = Vec::new();
    for line in last.concat() {
        match (footer(line), footers.last_mut()) {
            (Some(footer), _) => footers.push(footer),
            (None, Some((_, value))) => *value = format!("{value}\n{line}"),
            (None, None) => {}
        }
    }
    (paragraphs.iter().map(|lines| lines.join("\n")).collect::<Vec<_>>().join("\n\n"), footers)
}

/// `Reviewed-by: Z`, `Refs #123`.
fn footer(line: &str) -> Option<(String, String)> {
    let is_of_token = |letter: char| letter.is_alphanumeric() || letter == '-';
    let token = match line.strip_prefix(BREAKING[0]) {
        Some(_) => BREAKING[0],
        None => &line[..line.find(|letter| !is_of_token(letter)).unwrap_or(line.len())],
    };
    let rest = &line[token.len()..];
    let value = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(' ').filter(|value| value.starts_with('#')))?;
    (!token.is_empty() && !value.trim().is_empty()).then(|| (token.to_string(), value.trim().to_string()))
}
