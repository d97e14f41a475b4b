//! A value's text and where each part of it stands in the file.

use base::Span;
use base::yaml::Node;

/// The text of a scalar as YAML means it, letter by letter tied to the file it was written in.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub text: String,
    /// Where a stretch begins, in the text and in the file; within a stretch they go together.
    stretches: Vec<(usize, usize)>,
    whole: Span,
}

impl Located {
    /// Nothing for a list or a mapping.
    pub fn new(source: &str, node: &Node) -> Option<Located> {
        let text = match node.value() {
            base::yaml::Value::String(text) => text.clone(),
            base::yaml::Value::Number(_) | base::yaml::Value::Bool(_) => source.get(node.written().start..node.written().end)?.to_owned(),
            _ => return None,
        };
        let whole = node.written();
        let stretches = align(&text, source.get(whole.start..whole.end)?, whole.start).unwrap_or_default();
        Some(Located { text, stretches, whole })
    }

    /// Where a part stands in the file; the whole value where that can't be told.
    pub fn place(&self, part: Span) -> Span {
        match (self.offset(part.start), self.offset(part.end.saturating_sub(1))) {
            (Some(start), Some(last)) if last + 1 > start => Span::new(start, last + 1),
            _ => self.whole,
        }
    }

    fn offset(&self, at: usize) -> Option<usize> {
        let index = self.stretches.partition_point(|(text, _)| *text <= at).checked_sub(1)?;
        let (text, file) = self.stretches[index];
        Some(file + (at - text))
    }
}

/// Walks the meaning and the writing side by side: blanks of an indentation, quotes and backslashes are only in the
/// writing, a folded line's blank only in the meaning.
fn align(text: &str, written: &str, at: usize) -> Option<Vec<(usize, usize)>> {
    let block = written.starts_with(['|', '>']);
    let quoted = written.starts_with(['"', '\'']);
    let body = if block { written.find('\n')? + 1 } else { usize::from(quoted) };
    let (text, written) = (text.as_bytes(), written.as_bytes());
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    let (mut i, mut j) = (0, body);
    while i < text.len() {
        let Some(letter) = written.get(j) else {
            // The line's end that a block adds.
            return text[i..].iter().all(u8::is_ascii_whitespace).then_some(stretches);
        };
        if *letter == text[i] {
            let goes_on = stretches.last().is_some_and(|(from, to)| to + (i - from) == at + j);
            if !goes_on {
                stretches.push((i, at + j));
            }
            i += 1;
            j += 1;
        } else if *letter == b'\\' && quoted {
            // An escape means what it means; its letter is taken as one.
            if written.get(j + 1) == text.get(i) {
                j += 1;
            } else {
                i += 1;
                j += 2;
            }
        } else if letter.is_ascii_whitespace() {
            j += 1;
            if text[i].is_ascii_whitespace() && !block {
                i += 1;
            }
        } else if text[i].is_ascii_whitespace() {
            i += 1;
        } else if *letter == b'\'' && quoted {
            j += 1;
        } else {
            return None;
        }
    }
    Some(stretches)
}
