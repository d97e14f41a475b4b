use std::io::{self, BufRead, Read};

use base::Digest;
use sha2::{Digest as _, Sha256};

/// A report beyond this says nothing a person will read, and would keep the gate busy for minutes.
pub(crate) const SIZE_MAX_BYTES: u64 = 2 << 30;
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// One tag or one piece of text. Whole logs are quoted in test reports; more than this in one piece is an attack on memory.
const PIECE_MAX_BYTES: usize = 64 << 20;

/// Digests what passes through, and stops at [`SIZE_MAX_BYTES`].
pub(crate) struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
    failure: Option<io::Error>,
}

impl<R: Read> Hashing<R> {
    pub fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hasher: Sha256::new(), bytes: 0, failure: None }
    }

    pub fn is_too_large(&self) -> bool {
        self.bytes > SIZE_MAX_BYTES
    }

    /// The digest, or what went wrong in the world while reading.
    pub fn finish(self) -> io::Result<Digest> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(Digest::from_bytes(self.hasher.finalize().into())),
        }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_too_large() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        match self.inner.read(buffer) {
            Ok(count) => {
                self.hasher.update(&buffer[..count]);
                self.bytes += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let seen_by_parser = io::Error::from(error.kind());
                self.failure = Some(error);
                Err(seen_by_parser)
            }
        }
    }
}

/// One text in JSON; advisories and base64 of a screenshot are far below.
const TEXT_MAX_BYTES: usize = 64 << 20;
/// Reports nest some ten deep; what is skipped unread costs memory by its depth all the same.
const DEPTH_MAX: usize = 1_000;

/// Refuses JSON that would fill the memory of whoever parses it: by one endless text, or by its depth.
pub(crate) struct Guarded<R> {
    inner: R,
    in_text: bool,
    escaped: bool,
    text_bytes: usize,
    depth: usize,
}

impl<R: Read> Guarded<R> {
    pub fn new(inner: R) -> Guarded<R> {
        Guarded { inner, in_text: false, escaped: false, text_bytes: 0, depth: 0 }
    }

    fn see(&mut self, byte: u8) {
        if self.in_text {
            self.text_bytes += 1;
            self.in_text = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            return;
        }
        match byte {
            b'"' => (self.in_text, self.text_bytes) = (true, 0),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for byte in &buffer[..count] {
            self.see(*byte);
            if self.depth > DEPTH_MAX {
                return Err(io::Error::other(format!("it nests deeper than {DEPTH_MAX} values")));
            }
        }
        if self.text_bytes > TEXT_MAX_BYTES {
            return Err(io::Error::other(format!("one text of it is longer than {} MiB", TEXT_MAX_BYTES >> 20)));
        }
        Ok(count)
    }
}

/// Counts lines for messages, and refuses a single piece of XML that would fill the memory.
pub(crate) struct Bounded<B> {
    inner: B,
    piece_bytes: usize,
    pub line: u64,
}

impl<B: BufRead> Bounded<B> {
    pub fn new(inner: B) -> Bounded<B> {
        Bounded { inner, piece_bytes: 0, line: 1 }
    }

    pub fn start_piece(&mut self) {
        self.piece_bytes = 0;
    }
}

impl<B: BufRead> Read for Bounded<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<B: BufRead> BufRead for Bounded<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece_bytes > PIECE_MAX_BYTES {
            return Err(io::Error::other(format!("one piece of it is longer than {} MiB", PIECE_MAX_BYTES >> 20)));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Ok(available) = self.inner.fill_buf() {
            self.line += available[..count.min(available.len())].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        self.piece_bytes += count;
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_json_says_and_an_endless_one_is_refused() {
        let endless = |start: &'static [u8]| io::copy(&mut Guarded::new(start.chain(io::repeat(b'x').take(70 << 20))), &mut io::sink());
        assert!(endless(br#"["a\\\"b\\", {"c": "d"}]"#).is_ok());
        let error = endless(br#"["a\\\""#).expect_err("the text does not end");
        assert_eq!(error.to_string(), "one text of it is longer than 64 MiB");
    }
}
