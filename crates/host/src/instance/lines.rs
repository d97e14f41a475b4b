//! A log line by line, each with when it was said and where: beside each piece of the log lie its marks, one a line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::Timestamp;
use serde::{Deserialize, Serialize};

use super::log;

/// Where an application said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line of a log. Of what an older version of this program wrote down nobody knows when it was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub time: Option<Timestamp>,
    pub stream: Option<Stream>,
    /// Without its end; what isn't UTF-8 is replaced.
    pub text: String,
}

/// Lines, and the offset at which the next ones begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub lines: Vec<Line>,
    pub next: u64,
}

/// From this offset on it was said then and there, until the next mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub offset: u64,
    pub at: Timestamp,
    pub stream: Stream,
}

impl Mark {
    /// `1234 1795227177123 e`
    pub(super) fn line(self) -> String {
        let stream = if self.stream == Stream::Stderr { 'e' } else { 'o' };
        format!("{} {} {stream}\n", self.offset, self.at.as_ms())
    }

    fn parse(line: &str) -> Option<Mark> {
        let mut words = line.split(' ');
        let (offset, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let stream = if words.next()? == "e" { Stream::Stderr } else { Stream::Stdout };
        Some(Mark { offset, at: Timestamp::from_ms(at), stream })
    }
}

pub(super) fn marks_path(dir: &Path, begin: u64) -> PathBuf {
    dir.join(format!("marks.{begin:020}"))
}

/// The lines from an offset on, as many as fit into `length` bytes; the last one without its end only when `unfinished` is asked for.
pub fn lines(dir: &Path, offset: u64, length: u64, unfinished: bool) -> io::Result<Lines> {
    let log::Part { offset, bytes } = log::read(dir, offset, length)?;
    let marks = marks(dir)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    // A line longer than what is read at once would never end.
    let end = if unfinished || end == 0 && bytes.len() as u64 == length { bytes.len() } else { end };
    let mut at = offset;
    let mut lines = Vec::new();
    for line in bytes[..end].split_inclusive(|byte| *byte == b'\n') {
        let mark = marks[..marks.partition_point(|mark| mark.offset <= at)].last();
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
        lines.push(Line { time: mark.map(|mark| mark.at), stream: mark.map(|mark| mark.stream), text });
        at += line.len() as u64;
    }
    Ok(Lines { lines, next: at })
}

/// Of all pieces that are kept, in order.
fn marks(dir: &Path) -> io::Result<Vec<Mark>> {
    let mut marks = Vec::new();
    for (begin, _) in log::pieces(dir)? {
        let text = fs::read_to_string(marks_path(dir, begin)).unwrap_or_default();
        marks.extend(text.lines().filter_map(Mark::parse));
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Log;

    #[test]
    fn each_line_has_its_time_and_stream_and_half_a_line_waits_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let at = |ms: i64| Timestamp::from_ms(ms);
        let mut log = Log::open(dir.path(), 1 << 20).unwrap();
        log.write(Stream::Stdout, b"one\ntwo\n", at(1_000));
        log.write(Stream::Stderr, b"three\n", at(1_000));
        log.write(Stream::Stderr, b"fo", at(2_000));
        let line = |ms: i64, stream, text: &str| Line { time: Some(at(ms)), stream: Some(stream), text: text.into() };
        let first = [line(1_000, Stream::Stdout, "one"), line(1_000, Stream::Stdout, "two"), line(1_000, Stream::Stderr, "three")];
        assert_eq!(lines(dir.path(), 0, 99, false).unwrap(), Lines { lines: first.to_vec(), next: 14 });
        log.write(Stream::Stderr, b"ur\nfive", at(3_000));
        let four = line(2_000, Stream::Stderr, "four");
        assert_eq!(lines(dir.path(), 14, 99, false).unwrap(), Lines { lines: vec![four.clone()], next: 19 });
        let five = line(3_000, Stream::Stderr, "five");
        assert_eq!(lines(dir.path(), 14, 99, true).unwrap(), Lines { lines: vec![four, five], next: 23 });
        assert_eq!(lines(dir.path(), 8, 3, false).unwrap().lines[0].text, "thr", "what doesn't fit is cut, not waited for");
    }

    #[test]
    fn what_has_no_marks_is_told_without_its_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log.00000000000000000000"), "old\n").unwrap();
        assert_eq!(lines(dir.path(), 0, 99, false).unwrap().lines, [Line { time: None, stream: None, text: "old".into() }]);
        Log::open(dir.path(), 1 << 20).unwrap().write(Stream::Stdout, b"new\n", Timestamp::from_ms(5));
        let told: Vec<_> = lines(dir.path(), 0, 99, false).unwrap().lines.into_iter().map(|line| line.time).collect();
        assert_eq!(told, [None, Some(Timestamp::from_ms(5))]);
    }

    #[test]
    fn marks_go_with_their_piece_and_are_never_more_than_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), 16_384).unwrap();
        for ms in 0..20_000 {
            log.write(Stream::Stdout, b"x\n", Timestamp::from_ms(ms));
        }
        let kept: u64 = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(kept < 3 * 16_384, "{kept}");
        let told = lines(dir.path(), 0, 1 << 20, false).unwrap().lines;
        assert_eq!(told.last().unwrap().time, Some(Timestamp::from_ms(19_999)));
        assert!(told.iter().all(|line| line.time.is_some()));
    }
}
