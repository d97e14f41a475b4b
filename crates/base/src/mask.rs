//! The mask over secrets: every writer of logs, records and pages goes through it.
//!
//! Any byte that belongs to an occurrence of a secret, or of one of the [forms](forms) it commonly takes, is covered;
//! a run of covered bytes becomes one `***`. A [second look](deep) finds secrets that are spread out, escaped or encoded.
//! What comes out does not depend on how the input was cut into chunks.

mod deep;
mod engine;
mod forms;
mod glance;
mod pattern;
mod sight;
mod view;

use std::fmt;
use std::sync::{Arc, OnceLock};

use deep::Deep;
use engine::Engine;
use forms::Forms;

/// What stands where a secret stood.
pub const STARS: &str = "***";

/// The secrets known so far.
///
/// Any secret is covered, however short, as GitHub's runner does; the forms that could meet ordinary words by accident
/// are made only of secrets of [four bytes](forms::DERIVED_MIN_BYTES) or more, and the second look is only for secrets that
/// are unlike words. White space alone is not a secret.
#[derive(Clone, Default)]
pub struct Mask {
    forms: Arc<Forms>,
    /// Made when first needed, once for all clones.
    finders: Arc<OnceLock<Arc<Finders>>>,
}

struct Finders {
    engine: Engine,
    deep: Option<Deep>,
}

impl Mask {
    pub fn new() -> Mask {
        Mask::default()
    }

    /// Covers `secret`, each of its lines, and the forms they take, from now on.
    pub fn add(&mut self, secret: &str) {
        forms::collect(secret, Arc::make_mut(&mut self.forms));
        self.finders = Arc::default();
    }

    pub fn is_empty(&self) -> bool {
        self.forms.text.is_empty()
    }

    /// The text with every secret covered.
    pub fn apply(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_string();
        }
        let mut out = Vec::with_capacity(text.len());
        let mut stream = self.stream();
        stream.push(text.as_bytes(), &mut out);
        stream.finish(&mut out);
        // Secrets are text, so a match begins and ends between characters, unless an encoding cut one.
        String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Whether a secret occurs in the bytes, in any of its forms.
    pub fn contains(&self, bytes: &[u8]) -> bool {
        let finders = self.finders();
        let mut found = false;
        finders.engine.scan(bytes, 0, |_| {
            found = true;
            false
        });
        if let Some(deep) = finders.deep.as_ref().filter(|_| !found) {
            deep.look(bytes, 0, true, &mut |_| found = true);
        }
        found
    }

    /// A mask for one output whose bytes arrive in chunks.
    pub fn stream(&self) -> MaskStream {
        MaskStream {
            finders: self.finders(),
            mask: self.clone(),
            is_stale: false,
            pending: Vec::new(),
            searched: 0,
            looked: 0,
            covered: Covered::default(),
            after_stars: false,
        }
    }

    fn finders(&self) -> Arc<Finders> {
        let make = || Arc::new(Finders { engine: Engine::new(&self.forms.text), deep: Deep::new(&self.forms) });
        self.finders.get_or_init(make).clone()
    }
}

/// Says how much is masked, never what.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} forms)", self.forms.text.len() + self.forms.inner.len())
    }
}

/// Masks one output, chunk by chunk; holds back only bytes that may be the beginning of a secret, and lines that haven't ended
/// where secrets could be spread out in them.
pub struct MaskStream {
    mask: Mask,
    finders: Arc<Finders>,
    /// Secrets have come that the finders don't know.
    is_stale: bool,
    /// The bytes held back.
    pending: Vec<u8>,
    /// How far the search has come in them: no form begins before that isn't covered.
    searched: usize,
    /// How far the second look has come in them.
    looked: usize,
    /// What of the pending bytes is known to be covered.
    covered: Covered,
    /// Whether the last thing written was [`STARS`], so that a secret right behind it writes nothing more.
    after_stars: bool,
}

impl MaskStream {
    /// Takes the next bytes and writes what is decided of them to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.refresh();
        if self.pending.is_empty() {
            self.advance(chunk, out);
        } else {
            let mut text = std::mem::take(&mut self.pending);
            text.extend_from_slice(chunk);
            self.advance(&text, out);
        }
    }

    /// The input ends: writes what was held back. The stream may be used again for another input.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.refresh();
        let text = std::mem::take(&mut self.pending);
        self.look(&text, true);
        self.write(&text, text.len(), out);
        (self.searched, self.looked, self.covered, self.after_stars) = (0, 0, Covered::default(), false);
    }

    /// Covers another secret from here on, in the bytes held back too (`::add-mask::` arrives midway).
    pub fn add(&mut self, secret: &str) {
        self.mask.add(secret);
        self.is_stale = true;
    }

    /// Makes the finders anew, once for all secrets that came since.
    fn refresh(&mut self) {
        if self.is_stale {
            self.is_stale = false;
            self.finders = self.mask.finders();
            (self.searched, self.looked) = (0, 0);
        }
    }

    /// Looks at what of `text` hasn't been looked at, writes what is decided and keeps the rest.
    fn advance(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.look(text, false);
        let decided = self.searched.min(self.looked);
        self.write(text, decided, out);
        self.pending.extend_from_slice(&text[decided..]);
        self.searched -= decided;
        self.looked -= decided;
        self.covered.forget(decided);
    }

    fn look(&mut self, text: &[u8], is_last: bool) {
        let covered = &mut self.covered;
        self.searched = self.finders.engine.scan(text, self.searched, |range| covered.insert(range));
        self.looked = match &self.finders.deep {
            Some(deep) => deep.look(text, self.looked, is_last, &mut |range| {
                covered.insert(range);
            }),
            None => text.len(),
        };
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
