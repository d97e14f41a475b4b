//! What words of eight bytes look like: characters with the same thing between each, and lists of numbers.
//!
//! Nearly all text is neither, so what a word costs that isn't is all that counts.

/// The line in words of eight bytes; what is left at its end is the end of a last word.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8; 8]> {
    let (words, _) = line.as_chunks::<8>();
    words.iter().chain(line.last_chunk::<8>().filter(|_| line.len() > words.len() * 8))
}

/// Whether some word of the line is worth a closer look; nearly none is, so all are asked before any is asked again.
pub(super) fn may_have_pattern(line: &[u8]) -> bool {
    let is_likely = |word: &[u8; 8]| Pattern::is_likely(u64::from_le_bytes(*word));
    let is_any = |word: &[u8; 8]| Pattern::of(*word).is_any();
    let may_have = |words: &[[u8; 8]]| {
        let mut likely = words.iter().rev().fold(0u64, |likely, word| likely << 1 | u64::from(is_likely(word)));
        while likely != 0 {
            if is_any(&words[likely.trailing_zeros() as usize]) {
                return true;
            }
            likely &= likely - 1;
        }
        false
    };
    line.as_chunks().0.chunks(64).any(may_have) || line.last_chunk().is_some_and(|word| is_likely(word) && is_any(word))
}

/// What eight bytes look like.
#[derive(Default)]
pub(super) struct Pattern {
    pub(super) is_spaced: bool,
    pub(super) is_list: bool,
}

impl Pattern {
    /// Whether it is worth while to look closer; few words of ordinary text are, so this is nearly all the cost.
    pub(super) fn is_likely(word: u64) -> bool {
        let may_be = Pattern::every_second(word) | Pattern::every_third(word) | Pattern::no_letters(word);
        may_be & (word != word.rotate_left(8))
    }

    fn is_any(&self) -> bool {
        self.is_spaced || self.is_list
    }

    fn every_second(word: u64) -> bool {
        let differing = word ^ word >> 16;
        (differing & 0x0000_00ff_00ff_00ff == 0) | (differing & 0x0000_ff00_ff00_ff00 == 0)
    }

    fn every_third(word: u64) -> bool {
        let differing = word ^ word >> 24;
        (differing & 0x0000_0000_ff00_00ff == 0) | (differing & 0x0000_00ff_0000_ff00 == 0) | (differing & 0x00ff_0000 == 0)
    }

    /// Digits, and in both halves something that stands between them.
    fn no_letters(word: u64) -> bool {
        let separators = !word & 0x1010_1010_1010_1010;
        (word & 0xc0c0_c0c0_c0c0_c0c0 == 0) & (separators as u32 != 0) & (separators >> 32 != 0)
    }

    pub(super) fn of(bytes: [u8; 8]) -> Pattern {
        let word = u64::from_le_bytes(bytes);
        // Every fourth is a letter, and all between are spaces.
        let wide_gap = || {
            let spaces = bytes.iter().filter(|byte| **byte == b' ').count();
            spaces == 6 && bytes.iter().position(|byte| *byte != b' ').is_some_and(|at| at < 4 && bytes[at + 4] != b' ')
        };
        let between = |first: usize| (first..8).step_by(2).filter(|at| bytes[*at] == bytes[1 - first]).count();
        let decimal = || {
            let separators = bytes.iter().filter(|byte| matches!(**byte, b' ' | b',')).count();
            let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
            let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
            separators >= 2 && digits >= 4 && separators + digits == 8 && !bytes.windows(4).any(is_number)
        };
        let is_pair =
            |at: usize| bytes[at].is_ascii_hexdigit() && bytes[at + 1].is_ascii_hexdigit() && !bytes[at + 2].is_ascii_alphanumeric();
        let is_separator = |at: usize| !bytes[at].is_ascii_alphanumeric();
        // Asked without a branch, because words of which a letter comes twice are many.
        let separators = is_separator(2) & is_separator(5) | is_separator(3) & is_separator(6) | is_separator(4) & is_separator(7);
        let pairs = || is_pair(0) && is_pair(3) || is_pair(1) && is_pair(4) || is_pair(2) && is_pair(5);
        Pattern {
            is_spaced: Pattern::every_second(word) && (between(1) == 0 || between(0) == 0 || wide_gap()),
            is_list: separators && Pattern::every_third(word) && pairs() || Pattern::no_letters(word) && decimal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_seen_wherever_words_are_cut() {
        let patterns = [
            "h u n t e r s",
            "h.u.n.t.e.r.s",
            "h   u   n   t   e   r   s",
            "68 75 6e 74 65 72",
            "68:75:6E:74:65:72",
            "104,117,110,116,101",
        ];
        for offset in 0..8 {
            let seen = |text: &str| may_have_pattern(format!("{}{text}", &"ordinary"[..offset]).as_bytes());
            for pattern in patterns {
                assert!(seen(pattern), "{pattern:?} behind {offset} letters");
            }
        }
        assert!(!may_have_pattern(b"an ordinary line of words and numbers, as most are, done in 12.5 s"));
    }
}
