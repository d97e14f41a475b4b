//! The mask over secrets: every writer of logs, records and pages goes through it.
//!
//! Any byte that belongs to an occurrence of a secret, or of one of the [forms](forms) it commonly takes, is covered;
//! a run of covered bytes becomes one `***`. What comes out does not depend on how the input was cut into chunks.

mod engine;
mod forms;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use engine::{Engine, State};

/// What stands where a secret stood.
pub const STARS: &str = "***";

/// The secrets known so far.
///
/// Any secret is covered, however short, as GitHub's runner does; the forms that could meet ordinary words by accident
/// are made only of secrets of [four bytes](forms::DERIVED_MIN_BYTES) or more. White space alone is not a secret.
#[derive(Clone, Default)]
pub struct Mask {
    forms: BTreeSet<Vec<u8>>,
    engine: OnceLock<Arc<Engine>>,
}

impl Mask {
    pub fn new() -> Mask {
        Mask::default()
    }

    /// Covers `secret`, each of its lines, and the forms they take, from now on.
    pub fn add(&mut self, secret: &str) {
        let before = self.forms.len();
        forms::collect(secret, &mut self.forms);
        if self.forms.len() != before {
            self.engine = OnceLock::new();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The text with every secret covered.
    pub fn apply(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let mut stream = self.stream();
        stream.push(text.as_bytes(), &mut out);
        stream.finish(&mut out);
        String::from_utf8(out).expect("secrets are text, so a match begins and ends between characters")
    }

    /// Whether a secret occurs in the bytes, in any of its forms.
    pub fn contains(&self, bytes: &[u8]) -> bool {
        let mut found = false;
        self.engine().scan(bytes, 0, State::default(), |_| {
            found = true;
            false
        });
        found
    }

    /// A mask for one output whose bytes arrive in chunks.
    pub fn stream(&self) -> MaskStream {
        MaskStream {
            engine: self.engine(),
            mask: self.clone(),
            state: State::default(),
            pending: Vec::new(),
            covered: Covered::default(),
            after_stars: false,
        }
    }

    fn engine(&self) -> Arc<Engine> {
        self.engine.get_or_init(|| Arc::new(Engine::new(&self.forms))).clone()
    }
}

/// Says how much is masked, never what.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} forms)", self.forms.len())
    }
}

/// Masks one output, chunk by chunk; holds back only bytes that may be the beginning of a secret.
pub struct MaskStream {
    mask: Mask,
    engine: Arc<Engine>,
    state: State,
    /// The bytes held back: the longest end of the input that begins a secret.
    pending: Vec<u8>,
    /// What of the pending bytes is known to be covered.
    covered: Covered,
    /// Whether the last thing written was [`STARS`], so that a secret right behind it writes nothing more.
    after_stars: bool,
}

impl MaskStream {
    /// Takes the next bytes and writes what is decided of them to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.pending.is_empty() {
            self.advance(chunk, 0, out);
        } else {
            let mut text = std::mem::take(&mut self.pending);
            let scanned = text.len();
            text.extend_from_slice(chunk);
            self.advance(&text, scanned, out);
        }
    }

    /// The input ends: writes what was held back. The stream may be used again for another input.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.pending);
        self.write(&text, text.len(), out);
        self.state = State::default();
        self.covered = Covered::default();
        self.after_stars = false;
    }

    /// Covers another secret from here on, in the bytes held back too (`::add-mask::` arrives midway).
    pub fn add(&mut self, secret: &str) {
        self.mask.add(secret);
        self.engine = self.mask.engine();
        let pending = std::mem::take(&mut self.pending);
        let covered = &mut self.covered;
        self.state = self.engine.scan(&pending, 0, State::default(), |range| covered.insert(range));
        self.pending = pending;
    }

    /// Looks at `text` from `scanned` on, writes what is decided and keeps the rest.
    fn advance(&mut self, text: &[u8], scanned: usize, out: &mut Vec<u8>) {
        let covered = &mut self.covered;
        self.state = self.engine.scan(text, scanned, self.state, |range| covered.insert(range));
        // After `add`, more may be pending than the state needs; it is decided all the same.
        let decided = text.len() - self.engine.held_back(self.state);
        self.write(text, decided, out);
        self.pending.extend_from_slice(&text[decided..]);
        self.covered.forget(decided);
    }

    fn write(&mut self, text: &[u8], decided: usize, out: &mut Vec<u8>) {
        let mut at = 0;
        for &(start, end) in &self.covered.0 {
            if start >= decided {
                break;
            }
            if start > at || !self.after_stars {
                out.extend_from_slice(&text[at..start]);
                out.extend_from_slice(STARS.as_bytes());
            }
            self.after_stars = true;
            at = end.min(decided);
        }
        if at < decided {
            out.extend_from_slice(&text[at..decided]);
            self.after_stars = false;
        }
    }
}

impl fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskStream({:?}, {} bytes held back)", self.mask, self.pending.len())
    }
}

/// Covered ranges, apart from each other and in order; those that touch have been joined.
#[derive(Default)]
struct Covered(Vec<(usize, usize)>);

impl Covered {
    /// Always true: go on searching.
    fn insert(&mut self, (mut start, mut end): (usize, usize)) -> bool {
        // Only `add` looks at bytes twice; everywhere else a new range ends behind all others.
        let later = self.0.partition_point(|range| range.1 < start);
        let mut touching = later;
        while let Some(range) = self.0.get(touching).filter(|range| range.0 <= end) {
            (start, end) = (start.min(range.0), end.max(range.1));
            touching += 1;
        }
        self.0.splice(later..touching, [(start, end)]);
        true
    }

    /// The first `count` bytes are gone; what is left moves to the front.
    fn forget(&mut self, count: usize) {
        self.0.retain(|range| range.1 > count);
        for range in &mut self.0 {
            *range = (range.0.saturating_sub(count), range.1 - count);
        }
    }
}

#[cfg(test)]
mod tests;
