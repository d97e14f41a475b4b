//! Two things that YAML forbids and that GitHub's and GitLab's parsers let pass: a comment without a blank before it, and lines
//! of a quoted text that stand too far left. Blanks are put in where they lack, and every place is still that of the file.

use std::borrow::Cow;

use granit_parser::{ErrorKind, ScanError};

/// Each one means reading again, and a file made to be expensive shall not be.
const REPAIRS_MAX: usize = 50;
/// Deeper than any line is indented.
const BLANKS_MAX: usize = 1000;

/// The file as the strict parser takes it, and how to find back.
pub(super) struct Lenient<'a> {
    text: Cow<'a, str>,
    /// Where blanks were put in, in this text, and how many; in order.
    inserted: Vec<(usize, usize)>,
}

impl<'a> Lenient<'a> {
    pub(super) fn new(text: &'a str) -> Lenient<'a> {
        Lenient { text: Cow::Borrowed(text), inserted: Vec::new() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A place in this text as one in the file.
    pub(super) fn original(&self, offset: usize) -> usize {
        let before = self.inserted.iter().take_while(|(at, _)| *at < offset);
        offset - before.map(|(at, count)| (*count).min(offset - at)).sum::<usize>()
    }

    /// Puts in what lacks; false when the mistake is another one, or is still there.
    pub(super) fn repair(&mut self, error: &ScanError) -> bool {
        let Some(at) = error.marker().byte_offset().filter(|at| self.text.is_char_boundary(*at)) else { return false };
        let blanks = match error.kind() {
            ErrorKind::CommentNotSeparated if self.text[at..].starts_with('#') => 1,
            ErrorKind::InvalidQuotedScalarIndent => previous_line(&self.text[..at]).chars().count().min(BLANKS_MAX) + 1,
            _ => return false,
        };
        let moves_on = self.inserted.last().is_none_or(|(last, count)| at > last + count);
        if !moves_on || self.inserted.len() >= REPAIRS_MAX {
            return false;
        }
        self.text.to_mut().insert_str(at, &" ".repeat(blanks));
        self.inserted.push((at, blanks));
        true
    }
}

/// The last line before this one that isn't blank: whatever the text is part of is indented less than that is long.
fn previous_line(before: &str) -> &str {
    let end = before.rfind('\n').unwrap_or(0);
    before[..end].trim_end().rsplit('\n').next().unwrap_or_default()
}
