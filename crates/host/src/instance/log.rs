//! What an instance says, kept to a size: the newest two pieces, each named by where it begins in all that was ever said.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base::Timestamp;

use super::lines::{Mark, Stream, marks_path};

/// The writing end.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    piece_max: u64,
    begin: u64,
    length: u64,
    file: File,
    /// When and where what follows was said; see [`super::lines`].
    marks: File,
    marked: u64,
    mark: Option<(Timestamp, Stream)>,
    lost: u64,
}

impl Log {
    pub(super) fn open(dir: &Path, max_bytes: u64) -> io::Result<Log> {
        let begin = pieces(dir)?.last().map_or(0, |(begin, _)| *begin);
        let file = open_piece(dir, begin)?;
        let length = file.metadata()?.len();
        let marks = open(&marks_path(dir, begin))?;
        let marked = marks.metadata()?.len();
        // Less than a few lines would be no log at all.
        let piece_max = (max_bytes / 2).max(4096);
        Ok(Log { dir: dir.to_path_buf(), piece_max, begin, length, file, marks, marked, mark: None, lost: 0 })
    }

    /// Where the next byte will be, in all that was ever said.
    pub(super) fn end(&self) -> u64 {
        self.begin + self.length
    }

    /// Appends; what can't be written (a full disk) is counted and told once it can.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        if self.lost > 0 {
            let note = format!("[plimsoll: {} bytes of this log could not be written]\n", self.lost);
            if self.append(stream, note.as_bytes(), now).is_err() {
                self.lost += bytes.len() as u64;
                return;
            }
            self.lost = 0;
        }
        if self.append(stream, bytes, now).is_err() {
            self.lost += bytes.len() as u64;
        }
    }

    fn append(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        if self.length.max(self.marked) >= self.piece_max {
            self.rotate()?;
        }
        if self.mark != Some((now, stream)) {
            let mark = Mark { offset: self.begin + self.length, at: now, stream }.line();
            self.marks.write_all(mark.as_bytes())?;
            self.marked += mark.len() as u64;
            self.mark = Some((now, stream));
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.begin += self.length;
        self.length = 0;
        self.file = open_piece(&self.dir, self.begin)?;
        self.marks = open(&marks_path(&self.dir, self.begin))?;
        (self.marked, self.mark) = (0, None);
        let mut old = pieces(&self.dir)?;
        old.truncate(old.len().saturating_sub(2));
        for (begin, path) in old {
            let _ = fs::remove_file(marks_path(&self.dir, begin));
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// A part of a log, and where it begins: later than asked for when the older part isn't kept any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// What was said from an offset on, at most so many bytes; empty at the end.
pub fn read(dir: &Path, offset: u64, length: u64) -> io::Result<Part> {
    let pieces = pieces(dir)?;
    let Some((oldest, _)) = pieces.first() else { return Ok(Part { offset, bytes: Vec::new() }) };
    let offset = offset.max(*oldest);
    let mut bytes = Vec::new();
    for (begin, path) in &pieces {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // Rotated away while we read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let at = offset + bytes.len() as u64;
        if file.metadata()?.len() + begin <= at {
            continue;
        }
        file.seek(SeekFrom::Start(at - begin))?;
        file.take(length - bytes.len() as u64).read_to_end(&mut bytes)?;
    }
    Ok(Part { offset, bytes })
}

/// The last line that says something, of all that was said from an offset on.
pub(super) fn last_line(dir: &Path, from: u64) -> Option<String> {
    let (begin, path) = pieces(dir).ok()?.pop()?;
    let length = fs::metadata(path).ok()?.len();
    let tail = read(dir, (begin + length).saturating_sub(4096).max(from), 4096).ok()?;
    let text = String::from_utf8_lossy(&tail.bytes).into_owned();
    let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty() && !is_access(line));
    let last = lines.next()?;
    // Node says why, shows where, and then which version it is.
    let names_error = |line: &&str| line.split_once(':').is_some_and(|(name, _)| name.ends_with("Error") && !name.contains(' '));
    let told = if last.starts_with("Node.js v") { lines.find(names_error) } else { None };
    Some(told.unwrap_or(last).chars().take(300).collect())
}

/// `127.0.0.1 - - [26/Nov/2026 14:49:08] "GET / HTTP/1.1" 200 -`, and what Apache and nginx make of it: never why anything ended.
fn is_access(line: &str) -> bool {
    let request = line.split_once(" [").and_then(|(_, rest)| rest.split_once("] \""));
    let answer = request.and_then(|(_, rest)| rest.split_once("\" ")).map(|(_, answer)| answer);
    let status = answer.and_then(|answer| answer.split(' ').next()).unwrap_or_default();
    status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn pieces(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut pieces = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(begin) = entry.file_name().to_str().and_then(|name| name.strip_prefix("log.")?.parse().ok()) {
            pieces.push((begin, entry.path()));
        }
    }
    pieces.sort();
    Ok(pieces)
}

fn open_piece(dir: &Path, begin: u64) -> io::Result<File> {
    open(&dir.join(format!("log.{begin:020}")))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_true_while_old_pieces_go() {
        let dir = tempfile::tempdir().unwrap();
        let said: Vec<u8> = (0..5000_u32).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        for chunk in said.chunks(1000) {
            // Opened anew each time, as by one supervisor after another.
            Log::open(dir.path(), 16_384).unwrap().write(Stream::Stdout, chunk, Timestamp::default());
        }
        assert_eq!(pieces(dir.path()).unwrap().len(), 2);
        let part = read(dir.path(), 0, u64::MAX).unwrap();
        assert!(part.offset > 0 && part.bytes.len() >= 8_192 && part.bytes.len() <= 20_000, "{} at {}", part.bytes.len(), part.offset);
        assert_eq!(part.bytes, said[usize::try_from(part.offset).unwrap()..]);
        let near_end = said.len() as u64 - 10;
        assert_eq!(read(dir.path(), near_end, 4).unwrap(), Part { offset: near_end, bytes: b"line".to_vec() });
        assert_eq!(read(dir.path(), said.len() as u64, 99).unwrap().bytes, b"");
        assert_eq!(last_line(dir.path(), 0).as_deref(), Some("line 4999"));
        assert_eq!(last_line(dir.path(), Log::open(dir.path(), 1 << 20).unwrap().end()), None, "since then nothing was said");
    }

    #[test]
    fn the_last_word_of_node_is_its_error_and_not_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let said = "node:internal/modules/cjs/loader:1210\n  throw err;\n  ^\n\nError: Cannot find module './missing'\nRequire stack:\n- /a.js\n    at Module._load (node:internal:1)\n  code: 'MODULE_NOT_FOUND',\n}\n\nNode.js v20.20.2\n";
        Log::open(dir.path(), 16_384).unwrap().write(Stream::Stderr, said.as_bytes(), Timestamp::default());
        assert_eq!(last_line(dir.path(), 0).as_deref(), Some("Error: Cannot find module './missing'"));
    }

    #[test]
    fn what_was_asked_of_it_is_not_why_it_ended() {
        let last_of = |said: &str| {
            let dir = tempfile::tempdir().unwrap();
            Log::open(dir.path(), 16_384).unwrap().write(Stream::Stderr, said.as_bytes(), Timestamp::default());
            last_line(dir.path(), 0)
        };
        let python = "127.0.0.1 - - [26/Nov/2026 14:49:08] \"GET / HTTP/1.1\" 200 -\n";
        let nginx = "::1 - ada [26/Nov/2026:14:49:08 +0000] \"GET /a b HTTP/1.1\" 404 153 \"-\" \"curl/8.5.0\"\n";
        assert_eq!(last_of(&format!("no more disk\n{python}{nginx}{python}")).as_deref(), Some("no more disk"));
        assert_eq!(last_of(python), None);
        let no_access = "error at [config] \"name\" is missing";
        assert_eq!(last_of(no_access).as_deref(), Some(no_access));
    }
}
