//! Lines that fit into so many columns: broken at words, or cut. Escape sequences take none.

/// At spaces; a word longer than that is cut when it is drawn.
pub(super) fn wrap(sentence: &str, columns: usize) -> Vec<String> {
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
pub(super) fn fit(text: &str, columns: usize) -> String {
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

/// Cuts a line to so many columns, escape sequences not counted.
pub(super) fn cut(line: &str, width: usize) -> String {
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
