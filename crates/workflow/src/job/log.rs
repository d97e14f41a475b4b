//! Finds workflow commands in a stream of bytes without looking at each line.

use memchr::memmem;

use super::command::{Commands, LogCommand};

/// The longest line that may still be a command; what is longer goes out as it comes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// One process's output. Bytes go in as they come, text and commands come out in order, whatever the cuts.
///
/// Like GitHub's runner it waits for the end of a line, because the line could still become a command.
#[derive(Debug, Default)]
pub struct LogReader {
    commands: Commands,
    /// The beginning of a line whose end hasn't come.
    tail: Vec<u8>,
    /// In the middle of a line that was too long to wait for.
    flowing: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Whole lines; the last may lack its end where the output ends.
    Text(&'a [u8]),
    /// A piece of a line that is too long to be waited for.
    Flow(&'a [u8]),
    /// And the line it stood in, without its newline.
    Command(LogCommand, &'a [u8]),
}

impl LogReader {
    pub fn push(&mut self, chunk: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        let mut rest = chunk;
        if self.flowing || !self.tail.is_empty() {
            let Some(newline) = memchr::memchr(b'\n', chunk) else { return self.wait(chunk, out) };
            let (first, others) = chunk.split_at(newline + 1);
            if self.flowing {
                out(Piece::Flow(first));
                self.flowing = false;
            } else {
                let mut line = std::mem::take(&mut self.tail);
                line.extend_from_slice(first);
                self.lines(&line, out);
                line.clear();
                self.tail = line;
            }
            rest = others;
        }
        let complete = memchr::memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
        let (lines, tail) = rest.split_at(complete);
        self.lines(lines, out);
        self.wait(tail, out);
    }

    /// The output ended, perhaps in the middle of a line.
    pub fn finish(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        let tail = std::mem::take(&mut self.tail);
        self.lines(&tail, out);
        self.flowing = false;
    }

    fn wait(&mut self, tail: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        if self.flowing {
            return out(Piece::Flow(tail));
        }
        self.tail.extend_from_slice(tail);
        if self.tail.len() > LINE_BYTES_MAX {
            out(Piece::Flow(&self.tail));
            self.tail.clear();
            self.flowing = true;
        }
    }

    /// Whole lines. Only places where `::` or `##[` stands are looked at.
    fn lines(&mut self, lines: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        let (colons, hashes) = (memmem::Finder::new("::"), memmem::Finder::new("##["));
        let find = |finder: &memmem::Finder<'_>, from: usize| finder.find(&lines[from..]).map_or(usize::MAX, |at| from + at);
        let (mut written, mut next_colons, mut next_hashes) = (0, find(&colons, 0), find(&hashes, 0));
        while next_colons.min(next_hashes) != usize::MAX {
            let at = next_colons.min(next_hashes);
            let start = memchr::memrchr(b'\n', &lines[written..at]).map_or(written, |newline| written + newline + 1);
            let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |newline| at + newline);
            let leads = at == next_hashes || lines[start..at].iter().all(u8::is_ascii_whitespace);
            let line = &lines[start..end];
            let found = leads.then(|| self.command(line)).flatten();
            let after = if let Some(command) = found {
                if start > written {
                    out(Piece::Text(&lines[written..start]));
                }
                out(Piece::Command(command, line));
                written = (end + 1).min(lines.len());
                written
            } else if at == next_hashes || next_hashes > end {
                end
            } else {
                // The older form may stand further on in the same line.
                next_hashes
            };
            if next_colons < after {
                next_colons = find(&colons, after);
            }
            if next_hashes < after || (next_hashes == at && after == at) {
                next_hashes = find(&hashes, after);
            }
        }
        if written < lines.len() {
            out(Piece::Text(&lines[written..]));
        }
    }

    fn command(&mut self, line: &[u8]) -> Option<LogCommand> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.commands.read(&String::from_utf8_lossy(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text as it is, commands in angle brackets.
    fn read(chunks: &[&str]) -> String {
        let mut seen = String::new();
        let mut reader = LogReader::default();
        let mut write = |piece: Piece<'_>| match piece {
            Piece::Text(text) | Piece::Flow(text) => seen.push_str(&String::from_utf8_lossy(text)),
            Piece::Command(command, _) => seen.push_str(&format!("<{command:?}>")),
        };
        chunks.iter().for_each(|chunk| reader.push(chunk.as_bytes(), &mut write));
        reader.finish(&mut write);
        seen
    }

    #[test]
    fn commands_are_taken_out_and_everything_else_stays() {
        let cases = [
            ("a\nb\n", "a\nb\n"),
            ("a\n::group::G\nb", "a\n<Group(\"G\")>b"),
            ("  ::endgroup::\r\nx\n", "<EndGroup>x\n"),
            ("::debug::d", "<Debug(\"d\")>"),
            ("a::b::c\nstd::fmt\n", "a::b::c\nstd::fmt\n"),
            ("a::b ##[debug]d\nx", "<Debug(\"d\")>x"),
            ("##[nope]\n##[debug]d\n", "##[nope]\n<Debug(\"d\")>"),
            ("x ##[nope ::debug::d\n::debug::e\n", "x ##[nope ::debug::d\n<Debug(\"e\")>"),
            ("\n\n::debug::d\n\n", "\n\n<Debug(\"d\")>\n"),
            ("::stop-commands::t\n::debug::d\n::t::\n::debug::e\n", "<Stop { token: \"t\" }>::debug::d\n<Resume><Debug(\"e\")>"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&[text]), expected, "{text:?}");
        }
    }

    #[test]
    fn cuts_change_nothing() {
        let text = "one\n::debug::d\ntwo::three\nfour ##[debug]e\n  ::group::g\r\nfive";
        let whole = read(&[text]);
        for first in 0..text.len() {
            for second in first..text.len() {
                assert_eq!(read(&[&text[..first], &text[first..second], &text[second..]]), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_line_without_end_flows_on() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        assert_eq!(read(&[&long, "::debug::d", "\n::debug::e\n"]), format!("{long}::debug::d\n<Debug(\"e\")>"));
    }
}
