//! The search: a table that says how far it need not look, and the forms in order, which tell what begins where it must.
//!
//! An automaton over all forms would do as well, but takes twenty times as long to make as a short job takes to run.

use std::ops::Range;

use super::forms::{Form, FormSet};

pub(super) struct Engine {
    /// In the order of their lower-case spellings.
    forms: Vec<(Vec<u8>, Form)>,
    heads: Heads,
    beginnings: Beginnings,
    skip: Skip,
}

/// What begins at one place of a text.
#[derive(Default)]
struct Begun {
    /// The length of the longest form there.
    length: Option<usize>,
    /// Whether the text ends where a form, or a longer one, would go on.
    is_cut: bool,
}

impl Engine {
    pub(super) fn new(forms: &FormSet) -> Engine {
        let forms: Vec<(Vec<u8>, Form)> = forms.iter().map(|(folded, form)| (folded.to_vec(), form.clone())).collect();
        let skip = Skip::new(&forms);
        Engine { heads: Heads::new(&forms, skip.window), beginnings: Beginnings::new(&forms, skip.window), skip, forms }
    }

    /// Calls `found` with each range of the text that is a form and begins at `from` or behind, until it answers false.
    ///
    /// Returns where the first form begins that the end of the text may have cut off.
    pub(super) fn scan(&self, text: &[u8], from: usize, mut found: impl FnMut((usize, usize)) -> bool) -> usize {
        if self.forms.is_empty() {
            return text.len();
        }
        let (mut at, mut cut) = (from, text.len());
        loop {
            at = self.skip.next_candidate(text, at);
            if at + self.skip.window > text.len() {
                return cut.min(self.first_cut(text, at));
            }
            let begun = self.begun(text, at);
            if let Some(length) = begun.length
                && !found((at, at + length))
            {
                return text.len();
            }
            if begun.is_cut {
                cut = cut.min(at);
            }
            at += 1;
        }
    }

    /// As `scan` of a text that is all there is, so that nothing is cut off.
    pub(super) fn scan_all(&self, text: &[u8], mut found: impl FnMut((usize, usize))) {
        let mut at = 0;
        loop {
            at = self.skip.next_candidate(text, at);
            if at + self.skip.window > text.len() {
                return;
            }
            if let Some(length) = self.begun(text, at).length {
                found((at, at + length));
            }
            at += 1;
        }
    }

    fn begun(&self, text: &[u8], at: usize) -> Begun {
        let (text, mut begun) = (&text[at..], Begun::default());
        let mut group = &self.forms[self.heads.group(text)];
        let mut length = self.heads.bytes;
        while let (Some((first, form)), Some((last, _))) = (group.first(), group.last()) {
            // All forms of the group begin with the first `length` bytes of the text; what the first and the last share, all share.
            let shared = length + shared_bytes(&first[length..], &last[length..]);
            let seen = shared.min(text.len());
            if !first[length..seen].eq_ignore_ascii_case(&text[length..seen]) {
                return begun;
            }
            if seen < shared {
                return Begun { is_cut: true, ..begun };
            }
            length = shared;
            if first.len() == length {
                if form.admits(&text[..length]) {
                    begun.length = Some(length);
                }
                group = &group[1..];
            }
            let Some(next) = text.get(length).map(u8::to_ascii_lowercase) else {
                return Begun { is_cut: !group.is_empty(), ..begun };
            };
            let from = group.partition_point(|(form, _)| form[length] < next);
            let count = group[from..].partition_point(|(form, _)| form[length] == next);
            group = &group[from..from + count];
        }
        begun
    }

    /// The first place from `at` on where the text ends with the beginning of a form; there is less than a window left.
    fn first_cut(&self, text: &[u8], at: usize) -> usize {
        let is_cut = |start: &usize| {
            let beginning = text[*start..].to_ascii_lowercase();
            let next = self.forms.partition_point(|(form, _)| form.as_slice() < beginning.as_slice());
            self.forms.get(next).is_some_and(|(form, _)| form.starts_with(&beginning))
        };
        (at..text.len()).filter(|start| self.beginnings.contains(&text[*start..])).find(is_cut).unwrap_or(text.len())
    }
}

fn shared_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Which forms begin with some bytes, as a hash table.
#[derive(Default)]
struct Heads {
    /// How many bytes of the beginning are told apart.
    bytes: usize,
    /// The bytes, and the range of the forms; where that is empty, nothing is.
    slots: Vec<(u64, u32, u32)>,
}

impl Heads {
    fn new(forms: &[(Vec<u8>, Form)], window: usize) -> Heads {
        let bytes = window.min(8);
        let mut heads = Heads { bytes, slots: vec![(0, 0, 0); (2 * forms.len()).next_power_of_two()] };
        let mut start = 0;
        for group in forms.chunk_by(|one, other| one.0[..bytes] == other.0[..bytes]) {
            let end = start + group.len();
            let head = head(&group[0].0, bytes);
            let slot = heads.slot(head);
            heads.slots[slot] = (head, start as u32, end as u32);
            start = end;
        }
        heads
    }

    fn group(&self, text: &[u8]) -> Range<usize> {
        let (_, start, end) = self.slots[self.slot(head(text, self.bytes))];
        start as usize..end as usize
    }

    /// The slot with these bytes, or the free one where they belong.
    fn slot(&self, head: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (head.wrapping_mul(MIXER) >> 40) as usize & mask;
        while self.slots[slot].2 > self.slots[slot].1 && self.slots[slot].0 != head {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// The golden ratio in 64 bits: multiplied with it, the upper bits depend on all of a number.
const MIXER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The first `count` bytes, at most eight, in lower case.
fn head(text: &[u8], count: usize) -> u64 {
    let word = match text.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk) & (u64::MAX >> (64 - 8 * count)),
        None => text.iter().take(count).rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    const EACH: u64 = 0x0101_0101_0101_0101;
    // By byte, in its highest bit: whether it is `A` or more, whether it is more than `Z`, whether it is ASCII.
    let seven = word & (0x7f * EACH);
    let (from_a, behind_z, ascii) = (seven + 0x3f * EACH, seven + 0x25 * EACH, !word);
    word | ((from_a & !behind_z & ascii & (0x80 * EACH)) >> 2)
}

/// The beginnings of forms that are shorter than a window: a set that now and then says yes to others too.
#[derive(Default)]
struct Beginnings(Vec<u64>);

impl Beginnings {
    /// 8 KiB, which a thousand forms fill to a tenth.
    const BITS: u32 = 16;

    fn new(forms: &[(Vec<u8>, Form)], window: usize) -> Beginnings {
        let mut set = Beginnings(vec![0; 1 << (Beginnings::BITS - 6)]);
        for (form, _) in forms {
            for length in 1..window {
                let bit = Beginnings::bit(&form[..length]);
                set.0[bit >> 6] |= 1 << (bit & 63);
            }
        }
        set
    }

    fn contains(&self, beginning: &[u8]) -> bool {
        let bit = Beginnings::bit(beginning);
        self.0[bit >> 6] >> (bit & 63) & 1 == 1
    }

    fn bit(beginning: &[u8]) -> usize {
        let mixed = (head(beginning, beginning.len().min(8)) ^ beginning.len() as u64).wrapping_mul(MIXER);
        (mixed >> (64 - Beginnings::BITS)) as usize
    }
}

/// Wu and Manber's table: the last few bytes of a window tell how far ahead the next form can begin at the earliest.
#[derive(Default)]
struct Skip {
    /// The length of the shortest form, at most [`Skip::WINDOW_MAX`].
    window: usize,
    /// How many bytes at the end of the window are looked at.
    block: usize,
    distances: Vec<u8>,
    /// The blocks for which the distance is less than the farthest, told apart much better than by their distances.
    known: Vec<u64>,
}

impl Skip {
    /// Longer windows skip further but hold more blocks, so that the table says "here" more often.
    const WINDOW_MAX: usize = 12;
    /// Four bytes tell text, and digits, from secrets well and leave most of the window to be skipped.
    const BLOCK_MAX: usize = 4;
    /// 2^16 entries of a byte stay well within the second-level cache, and a thousand forms fill few of them.
    const BITS: u32 = 16;
    /// 64 KiB: a thousand forms fill a fiftieth of it, so that most places are passed without a look at their distance.
    const KNOWN_BITS: u32 = 19;
    /// How many places are looked at together; they don't wait for each other.
    const STRIDES: usize = 4;

    fn new(forms: &[(Vec<u8>, Form)]) -> Skip {
        let window = forms.iter().map(|(form, _)| form.len()).min().unwrap_or(0).min(Skip::WINDOW_MAX);
        let block = window.min(Skip::BLOCK_MAX);
        let farthest = window - block + 1;
        let (distances, known) = (vec![farthest as u8; 1 << Skip::BITS], vec![0; 1 << (Skip::KNOWN_BITS - 6)]);
        let mut skip = Skip { window, block, distances, known };
        for (form, _) in forms {
            for offset in 0..farthest {
                let mut bytes = [0; 4];
                bytes[..block].copy_from_slice(&form[offset..offset + block]);
                let mixed = skip.mixed(bytes);
                let slot = Skip::slot(mixed);
                skip.distances[slot] = skip.distances[slot].min((farthest - 1 - offset) as u8);
                let bit = Skip::known_bit(mixed);
                skip.known[bit >> 6] |= 1 << (bit & 63);
            }
        }
        skip
    }

    /// The first place from `at` on where a form may begin, or the first one too near the end to tell.
    fn next_candidate(&self, text: &[u8], mut at: usize) -> usize {
        let to_block = self.window - self.block;
        let farthest = to_block + 1;
        loop {
            at = self.pass_strangers(text, at + to_block, farthest) - to_block;
            let Some(bytes) = text.get(at + to_block..).and_then(|rest| rest.first_chunk::<4>()) else { return at.min(text.len()) };
            match self.distances[Skip::slot(self.mixed(*bytes))] {
                0 => return at,
                distance => at += usize::from(distance),
            }
        }
    }

    /// Where the first of the blocks stands, at `block` and every `stride` behind it, that may belong to a form; or a bit before.
    fn pass_strangers(&self, text: &[u8], mut block: usize, stride: usize) -> usize {
        let span = stride * (Skip::STRIDES - 1) + 4;
        while let Some(bytes) = text.get(block..block + span) {
            let is_known = |index: usize| {
                let bytes = bytes[index * stride..].first_chunk::<4>().expect("the span holds every block");
                let bit = Skip::known_bit(self.mixed(*bytes));
                self.known[bit >> 6] >> (bit & 63) & 1
            };
            if (0..Skip::STRIDES).fold(0, |known, index| known | is_known(index)) != 0 {
                return block + stride * (0..Skip::STRIDES).take_while(|index| is_known(*index) == 0).count();
            }
            block += stride * Skip::STRIDES;
        }
        block
    }

    fn mixed(&self, bytes: [u8; 4]) -> u32 {
        // The bit that tells upper from lower case is set everywhere: that other bytes fall together costs a second look, no more.
        let kept = (u32::from_le_bytes(bytes) | 0x2020_2020) & (u32::MAX >> (8 * (4 - self.block)));
        kept.wrapping_mul(0x9E37_79B1)
    }

    fn slot(mixed: u32) -> usize {
        (mixed >> (32 - Skip::BITS)) as usize
    }

    fn known_bit(mixed: u32) -> usize {
        (mixed >> (32 - Skip::KNOWN_BITS)) as usize
    }
}
