//! What is seen of a text in one pass over its bytes, 64 at a time and without a look at each: long runs of base64 characters, and
//! places that may show a [pattern](super::pattern).

use wide::u8x16;

/// The shortest run that is decoded; shorter ones are [forms](super::forms) of their own.
pub(super) const RUN_MIN_BYTES: usize = 20;

/// Something seen in a text.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Seen {
    /// A run of base64 characters, which is as long as it can be, with a capital in it or of hexadecimal digits alone: base64 of text
    /// without a capital is rarer than paths and names by far.
    Run { start: usize, end: usize, has_capital: bool, is_hex: bool },
    /// Where a text ends that may show characters with something between; few do.
    Spaced(usize),
    /// The same of a list of pairs of digits.
    Pairs(usize),
    /// And of a list of decimal numbers.
    Decimals(usize),
}

/// Calls `each` with every run, and with every place behind which a text shows a pattern at its end, and some more.
pub(super) fn see(text: &[u8], each: &mut dyn FnMut(Seen)) {
    let (mut runs, mut patterns) = (Runs::default(), Patterns::default());
    let (chunks, rest) = text.as_chunks::<64>();
    for (index, chunk) in chunks.iter().enumerate() {
        let (base, classes) = (index * 64, Classes::of(chunk));
        runs.see(base, &classes, each);
        patterns.see(base, &classes, each);
    }
    // Zeros are no base64 characters: they end what the text ends. Patterns end where the text does.
    let (base, mut last) = (chunks.len() * 64, [0; 64]);
    last[..rest.len()].copy_from_slice(rest);
    let classes = Classes::of(&last);
    runs.see(base, &classes, each);
    patterns.see(base, &classes.first(rest.len()), each);
}

/// Calls `each` with every run of letters and digits, by its first byte and the one behind its last.
pub(super) fn words(text: &[u8], each: &mut dyn FnMut(usize, usize)) {
    let (mut before, mut begun) = (0, None);
    let (chunks, rest) = text.as_chunks::<64>();
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    for (index, chunk) in chunks.iter().chain([&last]).enumerate() {
        let Classes { letters, digits, .. } = Classes::of(chunk);
        let words = letters | digits;
        let mut edges = words ^ (words << 1 | before);
        before = words >> 63;
        while edges != 0 {
            let at = index * 64 + edges.trailing_zeros() as usize;
            edges &= edges - 1;
            match begun.take() {
                Some(start) => each(start, at),
                None => begun = Some(at),
            }
        }
    }
}

/// How many base64 characters the line ends with, of at most 64 looked at; whether there is a capital among them, and whether they
/// are hexadecimal digits.
pub(super) fn base64_at_end(line: &[u8]) -> (usize, bool, bool) {
    let mut short = [0; 64];
    let chunk = line.last_chunk().unwrap_or_else(|| {
        short[64 - line.len()..].copy_from_slice(line);
        &short
    });
    let classes = Classes::of(chunk);
    let length = classes.base64.leading_ones();
    let within = (u128::from(u64::MAX) << (64 - length)) as u64;
    (length as usize, classes.capitals & within != 0, !classes.hex & within == 0)
}

/// Whether the line begins as a row of a dump does: with an offset, and behind it hexadecimal digits in twos, fours or eights.
pub(super) fn may_be_dump(line: &[u8]) -> bool {
    let Some(chunk) = line.first_chunk::<32>() else { return true };
    if !matches!(chunk[0], b' ' | b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') {
        return false;
    }
    let Classes { hex, gaps, .. } = Classes::of(chunk);
    let ones = |bits: u64, from: u32| bits.checked_shr(from).unwrap_or(0).trailing_ones();
    let indent = ones(gaps, 0);
    let offset = indent + ones(hex, indent);
    let colon = offset + u32::from(chunk.get(offset as usize) == Some(&b':'));
    let first = colon + ones(gaps, colon);
    let digits = ones(hex, first);
    // What goes on behind the bytes looked at may be anything.
    (6..=16).contains(&(offset - indent)) && first > colon && matches!(digits, 2 | 4 | 8 | 16) || first + digits >= 32
}

/// What up to 64 bytes are, a bit for each.
#[derive(Clone, Copy)]
struct Classes {
    letters: u64,
    capitals: u64,
    hex: u64,
    digits: u64,
    /// Neither letters nor digits.
    others: u64,
    /// Spaces and commas.
    gaps: u64,
    base64: u64,
}

impl Classes {
    /// Of up to 64 bytes. Inlined, because what of it isn't asked for then costs nothing.
    #[inline(always)]
    fn of<const BYTES: usize>(chunk: &[u8; BYTES]) -> Classes {
        let (mut letters, mut small, mut hex, mut digits, mut gaps, mut signs) = (0, 0, 0, 0, 0, 0);
        for (index, bytes) in chunk.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let folded = bytes | u8x16::splat(0x20);
            let is_less = |bytes: u8x16, bound: u8| bytes.min(u8x16::splat(bound - 1)).simd_eq(bytes);
            let (letter, digit) = (folded - u8x16::splat(b'a'), bytes - u8x16::splat(b'0'));
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            let put = |is: u8x16| u64::from(is.to_bitmask()) << (16 * index);
            letters |= put(is_less(letter, 26));
            hex |= put(is_less(letter, 6));
            small |= put(folded.simd_eq(bytes));
            digits |= put(is_less(digit, 10));
            gaps |= put(is(b' ') | is(b','));
            signs |= put(is(b'+') | is(b'/') | is(b'-') | is(b'_'));
        }
        let words = letters | digits;
        Classes { letters, capitals: letters & !small, hex: hex | digits, digits, others: !words, gaps, base64: words | signs }
    }

    /// Of the first bytes alone: the others are in no class.
    fn first(self, count: usize) -> Classes {
        let kept = (1u64 << count) - 1;
        Classes { letters: self.letters & kept, digits: self.digits & kept, others: self.others & kept, gaps: self.gaps & kept, ..self }
    }
}

/// Bits of the chunk before the one looked at.
#[derive(Default, Clone, Copy)]
struct Before(u64);

impl Before {
    /// The bits, each moved to `by` bytes behind where it was.
    fn moved(self, bits: u64, by: u32) -> u64 {
        bits << by | self.0 >> (64 - by)
    }

    /// Those bits that are set `by` bytes before too; then the chunk is the one before.
    fn both(&mut self, bits: u64, by: u32) -> u64 {
        let both = bits & self.moved(bits, by);
        self.0 = bits;
        both
    }

    /// As `both`, for those that are set here or there.
    fn either(&mut self, bits: u64, by: u32) -> u64 {
        let either = bits | self.moved(bits, by);
        self.0 = bits;
        either
    }
}

/// The search for runs.
#[derive(Default)]
struct Runs {
    /// Of one, two, four and eight bytes.
    of: [Before; 4],
    capitals: u64,
    /// What is no hexadecimal digit.
    others: u64,
    begun: Option<Begun>,
}

/// A run that goes on in the next chunk.
struct Begun {
    start: usize,
    has_capital: bool,
    is_hex: bool,
}

impl Runs {
    fn see(&mut self, base: usize, classes: &Classes, each: &mut dyn FnMut(Seen)) {
        let (capitals, others) = (classes.capitals, !classes.hex);
        let before = (std::mem::replace(&mut self.capitals, capitals), std::mem::replace(&mut self.others, others));
        // Where twenty in a row end.
        let mut ends = self.twenty(classes.base64);
        while ends != 0 || self.begun.is_some() {
            let begun = self.begun.take();
            let from = if begun.is_some() { 0 } else { (ends.trailing_zeros() + 1).saturating_sub(RUN_MIN_BYTES as u32) };
            let Begun { start, has_capital, is_hex } = begun.unwrap_or_else(|| {
                // What of the run is in the chunk before, where it isn't long enough to be seen.
                let earlier = (RUN_MIN_BYTES as u32).saturating_sub(ends.trailing_zeros() + 1);
                let has = |bits: u64| (u128::from(bits) << earlier >> 64) as u64 != 0;
                Begun { start: base + from as usize - earlier as usize, has_capital: has(before.0), is_hex: !has(before.1) }
            });
            let length = (classes.base64 >> from).trailing_ones();
            let within = (((1u128 << length) - 1) << from) as u64;
            let (has_capital, is_hex) = (has_capital || capitals & within != 0, is_hex && others & within == 0);
            let end = from + length;
            if end == 64 {
                self.begun = Some(Begun { start, has_capital, is_hex });
                return;
            }
            if has_capital || is_hex {
                each(Seen::Run { start, end: base + end as usize, has_capital, is_hex });
            }
            ends &= u64::MAX << end;
        }
    }

    /// Those bits behind nineteen others.
    fn twenty(&mut self, bits: u64) -> u64 {
        const { assert!(RUN_MIN_BYTES == 20) };
        let [one, two, four, eight] = &mut self.of;
        let two_bits = one.both(bits, 1);
        let four_bits = two.both(two_bits, 2);
        let four_before = four.moved(four_bits, 16);
        let eight_bits = four.both(four_bits, 4);
        eight.both(eight_bits, 8) & four_before
    }
}

/// The search for places that may show a pattern: what must be so where [`Pattern`](super::pattern::Pattern) sees one.
#[derive(Default)]
struct Patterns {
    others: Before,
    separators: [Before; 2],
    words: Before,
    pairs: [Before; 2],
    numbers: [Before; 3],
    digits: [Before; 2],
    gaps: [Before; 2],
    quarters: [Before; 2],
}

impl Patterns {
    fn see(&mut self, base: usize, classes: &Classes, each: &mut dyn FnMut(Seen)) {
        let (spaced, pairs) = self.spaced_or_pairs(classes);
        let decimals = self.decimals(classes);
        let mut all = |mut ends: u64, seen: fn(usize) -> Seen| {
            while ends != 0 {
                each(seen(base + ends.trailing_zeros() as usize + 1));
                ends &= ends - 1;
            }
        };
        all(spaced, Seen::Spaced);
        all(pairs, Seen::Pairs);
        all(decimals, Seen::Decimals);
    }

    fn spaced_or_pairs(&mut self, classes: &Classes) -> (u64, u64) {
        let (words, others) = (classes.letters | classes.digits, classes.others);
        let moved = |by: u32| self.words.moved(words, by);
        let (one, three, five, seven) = (moved(1), moved(3), moved(5), moved(7));
        let pair = one & moved(2) & others;
        self.words = Before(words);
        // Two of four characters, each with something behind.
        let two = one & three | (one | three) & (five | seven) | five & seven;
        let of_five = self.others.moved(others, 8);
        self.others = Before(others);
        let [of_two, of_four] = &mut self.separators;
        let of_two = of_two.both(others, 2);
        let spaced = of_four.both(of_two, 4) & of_five & two;
        let [two_pairs, four_pairs] = &mut self.pairs;
        (spaced, four_pairs.both(two_pairs.both(pair, 3), 6))
    }

    /// Sixteen digits, spaces and commas, and in each quarter of them a digit and something between digits.
    fn decimals(&mut self, classes: &Classes) -> u64 {
        let [one, two, four] = &mut self.numbers;
        let eight = four.both(two.both(one.both(classes.digits | classes.gaps, 1), 2), 4);
        let [one, two] = &mut self.digits;
        let digits = two.either(one.either(classes.digits, 1), 2);
        let [one, two] = &mut self.gaps;
        let gaps = two.either(one.either(classes.gaps, 1), 2);
        let [four, eight_before] = &mut self.quarters;
        eight_before.both(four.both(digits & gaps, 4) & eight, 8)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{pattern, view};
    use super::*;

    #[test]
    fn each_run_is_found_wherever_chunks_are_cut() {
        for length in 0..300 {
            // Runs of every length from 1 to 41 and then some, at changing places.
            let text: Vec<u8> = (0..length)
                .map(|at| {
                    if (at * at / 40 + at / 7) % (1 + length % 42) == 0 {
                        b' '
                    } else {
                        match length / 3 % 3 {
                            0 => b"aZ09+/-_"[at % 8],
                            1 if at % 61 == 30 => b'Z',
                            _ => b"a0f9b"[at % 5],
                        }
                    }
                })
                .collect();
            let mut found = Vec::new();
            see(&text, &mut |seen| found.extend(matches!(seen, Seen::Run { .. }).then_some(seen)));
            let (mut expected, mut start) = (Vec::new(), 0);
            for end in (0..=length).filter(|&end| end == length || view::base64_value(text[end]) >= 64) {
                if end - start >= RUN_MIN_BYTES {
                    let has_capital = text[start..end].iter().any(u8::is_ascii_uppercase);
                    let is_hex = text[start..end].iter().all(u8::is_ascii_hexdigit);
                    expected.extend((has_capital || is_hex).then_some(Seen::Run { start, end, has_capital, is_hex }));
                }
                start = end + 1;
            }
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn every_place_that_shows_a_pattern_is_seen() {
        let mut below = numbers();
        let mut shown = 0;
        for _ in 0..20_000 {
            let alphabet: &[u8] = [&b"a1 "[..], b"a -\n", b"12, ", b"aF:", b"b.\0"][below(5)];
            let text: Vec<u8> = (0..below(150)).map(|_| alphabet[below(alphabet.len())]).collect();
            let mut likely: [Vec<usize>; 3] = Default::default();
            see(&text, &mut |seen| match seen {
                Seen::Run { .. } => {}
                Seen::Spaced(end) => likely[0].push(end),
                Seen::Pairs(end) => likely[1].push(end),
                Seen::Decimals(end) => likely[2].push(end),
            });
            for ends in &likely {
                assert!(ends.is_sorted() && ends.last().is_none_or(|last| *last <= text.len()), "each once, in order, within the text");
            }
            for end in 0..=text.len() {
                let before = &text[..end];
                let is = [pattern::spaced(before).is_some(), pattern::is_list_of_pairs(before), pattern::is_list_of_decimals(before)];
                for (ends, _) in likely.iter().zip(is).filter(|(_, is)| *is) {
                    assert!(ends.contains(&end), "{end} of {:?}", String::from_utf8_lossy(&text));
                    shown += 1;
                }
            }
        }
        assert!(shown > 10_000, "{shown}");
    }

    #[test]
    fn no_row_of_a_dump_is_passed_over() {
        let mut below = numbers();
        let mut rows = 0;
        for _ in 0..50_000 {
            let mut line = format!("{}{:0width$x}", " ".repeat(below(3) * below(12)), below(1 << 20), width = 5 + below(13));
            line += [":", "", "g"][below(3)];
            for _ in 0..below(12) {
                line += &" ".repeat(below(4));
                line += &"0123456789abcdef"[..[2, 4, 8, 16, 3][below(5)]];
            }
            line += ["|text|", "  text", ""][below(3)];
            if view::dump_columns(line.as_bytes()).is_some() {
                assert!(may_be_dump(line.as_bytes()), "{line:?}");
                rows += 1;
            }
        }
        assert!(rows > 5_000, "{rows}");
        assert!(!may_be_dump(b"00000000 ercidonotlg9XS1R9Q39OCXGKXIEILCJXEL"), "most lines are none");
    }

    /// Numbers below what is asked for, the same ones every time.
    fn numbers() -> impl FnMut(usize) -> usize {
        let mut state = 1u64;
        move |count| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        }
    }
}
