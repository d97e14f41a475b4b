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
