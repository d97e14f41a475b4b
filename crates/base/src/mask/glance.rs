//! Whether encoded bytes could be text at all, seen of many characters at once: hardly any digest or key is.
//!
//! Each answer follows from what single characters can be a part of, so it is yes now and then where it should be no, never the
//! other way round.

use wide::u8x16;

/// Calls `each` with places in a run of base64 characters where whole groups begin that could be text: in every `min` bytes of
/// text in a row, in whichever of the four ways to begin, at least one.
pub(super) fn base64_places(run: &[u8], min: usize, each: impl FnMut(usize)) {
    const GROUPS_MAX: usize = 5;
    // So many bytes in a row have this many whole groups of three among them; no secret is shorter than six.
    let groups = (min.saturating_sub(2) / 3).clamp(1, GROUPS_MAX);
    places(run, 4 * groups, each, |chunk| {
        let whole = whole_groups(chunk);
        (1..groups).fold(whole, |rows, index| rows & whole >> (4 * index))
    });
}

/// Calls `each` with every place in a run of hexadecimal digits from where on `min` bytes could be text.
pub(super) fn hex_places(run: &[u8], min: usize, each: impl FnMut(usize)) {
    const BYTES_MAX: usize = 16;
    let min = min.min(BYTES_MAX);
    places(run, 2 * min, each, |chunk| {
        let (mut rows, mut length) = (text_pairs(chunk), 1);
        while length < min {
            let more = length.min(min - length);
            rows &= rows >> (2 * more);
            length += more;
        }
        rows
    });
}

/// Calls `each` with the parts of a text in which `min` bytes of a list of numbers could be text, or a control sequence in it, whichever
/// way they are written: from one number that can't be to the next, if enough fits between them.
pub(super) fn list_rows(text: &[u8], min: usize, each: &mut dyn FnMut(usize, usize)) {
    // What is behind the beginning of a number is needed to judge it.
    const AHEAD: usize = 4;
    // A byte is a digit at least, and something stands between two.
    let needed = 2 * min - 1;
    let mut give = |start: usize, end: usize| {
        if end - start >= needed {
            // The number at either end as a whole.
            let before = text[..start].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let behind = text[end..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            each(start - before, end + behind);
        }
    };
    let (mut at, mut is_within, mut begun) = (0, false, [0; 3]);
    while at < text.len() {
        let rest = &text[at..];
        let count = rest.len().min(64 - AHEAD);
        let mut chunk = [0; 64];
        let seen = rest.len().min(64);
        chunk[..seen].copy_from_slice(&rest[..seen]);
        let digits = Digits::of(&chunk);
        let wrong = digits.wrong(is_within);
        is_within = digits.words >> (count - 1) & 1 == 1;
        for (begun, wrong) in begun.iter_mut().zip(wrong) {
            let mut wrong = wrong & (u64::MAX >> (64 - count));
            if wrong == 0 {
                continue;
            }
            if has_row(!wrong & (u64::MAX >> (64 - count)), needed) {
                while wrong & (wrong - 1) != 0 {
                    let end = at + wrong.trailing_zeros() as usize;
                    give(*begun, end);
                    *begun = end + 1;
                    wrong &= wrong - 1;
                }
            }
            give(*begun, at + wrong.trailing_zeros() as usize);
            *begun = at + 64 - wrong.leading_zeros() as usize;
        }
        at += count;
    }
    begun.into_iter().for_each(|begun| give(begun, text.len()));
}

/// Whether so many bits in a row are set.
fn has_row(mut bits: u64, needed: usize) -> bool {
    let mut length = 1;
    while length < needed && bits != 0 {
        let more = length.min(needed - length);
        bits &= bits.checked_shr(more as u32).unwrap_or(0);
        length += more;
    }
    bits != 0
}

/// Of 64 characters, which are what in a number.
struct Digits {
    words: u64,
    letters: u64,
    /// `g` to `z`, but for the `x` of `0x`.
    beyond_hex: u64,
    zero: u64,
    one: u64,
    two: u64,
    three: u64,
    seven: u64,
    nine: u64,
    /// `b`, which behind a `1` makes a control sequence.
    b: u64,
    /// `0` and `2` to `7`.
    printable: u64,
    from_three: u64,
}

impl Digits {
    fn of(chunk: &[u8; 64]) -> Digits {
        let mut all = [0; 12];
        for (index, bytes) in chunk.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let folded = bytes | u8x16::splat(0x20);
            let (letter, digit) = (folded - u8x16::splat(b'a'), bytes - u8x16::splat(b'0'));
            let (is_letter, is_digit) = (is_less(letter, 26), is_less(digit, 10));
            let is = |value: u8| digit.simd_eq(u8x16::splat(value));
            let printable = is(0) | is_less(digit - u8x16::splat(2), 6);
            let from_three = is_less(digit - u8x16::splat(3), 7);
            let x = letter.simd_eq(u8x16::splat(b'x' - b'a'));
            let beyond_hex = is_less(letter - u8x16::splat(6), 20) & !x;
            let b = letter.simd_eq(u8x16::splat(1));
            let seen = [is_letter | is_digit, is_letter, beyond_hex, is(0), is(1), is(2), is(3), is(7), is(9), b, printable, from_three];
            for (bits, seen) in all.iter_mut().zip(seen) {
                *bits |= u64::from(seen.to_bitmask()) << (16 * index);
            }
        }
        let [words, letters, beyond_hex, zero, one, two, three, seven, nine, b, printable, from_three] = all;
        Digits { words, letters, beyond_hex, zero, one, two, three, seven, nine, b, printable, from_three }
    }

    /// Where a number is, or begins, that isn't text as a hexadecimal, a decimal and an octal one.
    fn wrong(&self, is_within: bool) -> [u64; 3] {
        let begins = self.words & !(self.words << 1 | u64::from(is_within));
        let (second, third, fourth) = (self.words >> 1, self.words >> 2, self.words >> 3);
        let [of_one, of_two] = [begins & !second, begins & second & !third];
        let [of_three, of_more] = [begins & second & third & !fourth, begins & second & third & fourth];
        let hex = self.beyond_hex | of_one | of_three | (of_two | of_more) & !(self.printable | self.one & self.b >> 1);
        // 9, 10, 13 and 27 below 30, and up to 129.
        let of_two_wrong = self.one & !((self.zero | self.three) >> 1) | self.two & !(self.seven >> 1);
        let of_three_wrong = self.two | self.from_three | self.one & self.from_three >> 1;
        let decimal = self.letters | of_more | of_one & !(self.zero | self.nine) | of_two & of_two_wrong | of_three & of_three_wrong;
        let octal = self.letters | of_one | of_two | of_more | of_three & (self.two | self.from_three);
        [hex, decimal, octal]
    }
}

/// The places for which `look` has set the bit and that have `span` characters from there on.
fn places(run: &[u8], span: usize, mut each: impl FnMut(usize), look: impl Fn(&[u8; 64]) -> u64) {
    let mut rest = run;
    while rest.len() >= span {
        let places = rest.len().min(64) - span + 1;
        let bits = match rest.first_chunk() {
            Some(chunk) => look(chunk),
            None => {
                let mut chunk = [0; 64];
                chunk[..rest.len()].copy_from_slice(rest);
                look(&chunk)
            }
        };
        let mut bits = bits & (u64::MAX >> (64 - places));
        while bits != 0 {
            each(run.len() - rest.len() + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
        rest = &rest[places..];
    }
}

/// Which signs there are that secrets may be cut by, or escaped with: a look for each of them has to be begun first.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Signs {
    /// The beginning of a colour.
    pub(super) colour: bool,
    /// `\\`, `%` or `&`.
    pub(super) escape: bool,
    pub(super) x: bool,
}

impl Signs {
    pub(super) fn of(text: &[u8]) -> Signs {
        let (mut colours, mut escapes, mut xs) = (u8x16::splat(0), u8x16::splat(0), u8x16::splat(0));
        let (chunks, rest) = text.as_chunks::<16>();
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        for bytes in chunks.iter().chain([&last]) {
            let bytes = u8x16::new(*bytes);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            colours |= is(0x1b);
            escapes |= is(b'\\') | is(b'%') | is(b'&');
            xs |= is(b'x');
        }
        let any = |bytes: u8x16| bytes.to_bitmask() != 0;
        Signs { colour: any(colours), escape: any(escapes), x: any(xs) }
    }
}

/// The places where three bytes may be text that four base64 characters stand for.
///
/// ```text
/// character   aaaaaa bbbbbb cccccc dddddd
/// byte        aaaaaa bb, bbbb cccc, cc dddddd
/// ```
fn whole_groups(chunk: &[u8; 64]) -> u64 {
    let (mut first, mut second, mut letter, mut symbol, mut control) = (0, 0, 0, 0, 0);
    for (index, bytes) in chunk.as_chunks::<16>().0.iter().enumerate() {
        let value = base64_values(u8x16::new(*bytes));
        let is = |value: u8x16, wanted: u8| value.simd_eq(u8x16::splat(wanted));
        let put = |is: u8x16| u64::from(is.to_bitmask()) << (16 * index);
        // By the upper six bits of a byte: 0x20 to 0x7f; 0x00, 0x09, 0x0a, 0x0d and their like.
        first |= put(is_less(value - u8x16::splat(8), 24) | is(value, 0) | is(value, 2) | is(value, 3));
        // By its upper four.
        let four = value & u8x16::splat(15);
        second |= put(is_less(four - u8x16::splat(2), 6) | is(four, 0));
        // By its upper two: always, or when the other six say so.
        let two = value & u8x16::splat(3);
        letter |= put(is(two, 1));
        symbol |= put(is(two, 0));
        control |= put(is_less(value - u8x16::splat(14), 18));
    }
    let third = letter | symbol & !control >> 1;
    first & second >> 1 & third >> 2
}

/// Of characters that are base64 ones.
#[inline(always)]
fn base64_values(bytes: u8x16) -> u8x16 {
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let folded = bytes | u8x16::splat(0x20);
    let small = folded.simd_eq(bytes) & u8x16::splat(26);
    let letter = folded - u8x16::splat(b'a');
    let digit = is_less(bytes - u8x16::splat(b'0'), 10) & (bytes + u8x16::splat(4));
    let signs = (is(b'+') | is(b'-')) & u8x16::splat(62) | (is(b'/') | is(b'_')) & u8x16::splat(63);
    is_less(letter, 26) & (letter + small) | digit | signs
}

/// The places where the byte may be text that two hexadecimal digits stand for.
fn text_pairs(chunk: &[u8; 64]) -> u64 {
    let (mut printable, mut zero, mut control) = (0, 0, 0);
    for (index, bytes) in chunk.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*bytes);
        let folded = bytes | u8x16::splat(0x20);
        let is = |byte: u8| folded.simd_eq(u8x16::splat(byte));
        let put = |is: u8x16| u64::from(is.to_bitmask()) << (16 * index);
        printable |= put(is_less(bytes - u8x16::splat(b'2'), 6));
        zero |= put(is(b'0'));
        control |= put(is(b'0') | is(b'9') | is(b'a') | is(b'd'));
    }
    printable | zero & control >> 1
}

#[inline(always)]
fn is_less(bytes: u8x16, bound: u8) -> u8x16 {
    bytes.min(u8x16::splat(bound - 1)).simd_eq(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::view;
    use super::*;

    #[test]
    fn no_text_is_passed_over_and_few_else_seen() {
        let mut state = 1u64;
        let mut below = |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        };
        // Letters that stand for text more often than others do, and all there are.
        let near: [&[u8]; 2] = [b"IJKLMNOPQRSTUVWXYZabcdef0123CDGH", b"23456706a9dAD"];
        let all: [&[u8]; 2] = [b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_", b"0123456789abcdefABCDEF"];
        let (mut texts, mut others, mut letters) = ([0; 2], [0; 2], [0; 2]);
        for round in 0..20_000 {
            let (length, min) = (below(200), 6 + below(30));
            for which in 0..2 {
                let alphabet: &[u8] = if round % 2 == 0 { near[which] } else { all[which] };
                let run: Vec<u8> = (0..length).map(|_| alphabet[below(alphabet.len())]).collect();
                let (mut seen, mut found) = (0, Vec::new());
                let (text, mut view) = (view::Text::of_output(&run, 0), view::View::default());
                let mut keep = |view: &mut view::View, start: usize| found.push(view.bytes[start..].to_vec());
                if which == 0 {
                    base64_places(&run, min, |_| seen += 1);
                    view::base64_stretches(&text, min, &mut view, &mut keep);
                } else {
                    hex_places(&run, min, |_| seen += 1);
                    view::hex_stretches(&text, min, &mut view, &mut keep);
                }
                let mut expected = view::stretches_thoroughly(&run, which == 1, min);
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected, "{min} bytes in {:?}", String::from_utf8_lossy(&run));
                texts[which] += found.len();
                if round % 2 == 1 && min >= 12 {
                    others[which] += seen;
                    letters[which] += run.len();
                }
            }
        }
        assert!(texts.iter().all(|texts| *texts > 500), "{texts:?}");
        assert!(others.iter().zip(letters).all(|(others, letters)| others * 500 < letters), "{others:?} in {letters:?}");
    }

    #[test]
    fn no_list_with_text_in_it_is_passed_over() {
        let mut state = 1u64;
        let mut below = |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        };
        let (mut random, mut seen) = (0, 0);
        for round in 0..20_000 {
            let min = 6 + below(15);
            let write = |byte: u8, how: usize| match how {
                0 => format!("{byte:02x}"),
                1 => format!("{byte:02X}"),
                2 => format!("0x{byte:02x}"),
                3 => byte.to_string(),
                _ => format!("{byte:03o}"),
            };
            let (how, separator) = (below(5), [" ", ":", ", ", ","][below(4)]);
            let list = |count: usize, text: bool, below: &mut dyn FnMut(usize) -> usize| -> String {
                let texts = b"abcXYZ019+/= ~!\x1b\t\0\n\r";
                let mut byte = || if text { texts[below(texts.len())] } else { below(256) as u8 };
                let bytes: Vec<String> = (0..count).map(|_| write(byte(), how)).collect();
                bytes.join(separator)
            };
            let noise = |below: &mut dyn FnMut(usize) -> usize| "9f, zz 255:\n  9".repeat(below(6));
            let before = noise(&mut below) + &list(below(20), false, &mut below);
            let behind = noise(&mut below);
            let hidden = format!("{before}{separator}{}{separator}{behind}", list(min, true, &mut below));
            let mut rows = Vec::new();
            list_rows(hidden.as_bytes(), min, &mut |start, end| rows.push((start, end)));
            let (first, last) = (before.len() + 1, hidden.len() - behind.len() - 1);
            assert!(rows.iter().any(|row| row.0 <= first && row.1 >= last), "{min} bytes in {hidden:?}: {rows:?}");
            if round % 8 == 0 && how < 2 && min >= 12 {
                random += 1;
                list_rows(list(40, false, &mut below).as_bytes(), min, &mut |_, _| seen += 1);
            }
        }
        assert!(random > 100 && seen * 20 < random, "{seen} of {random}");
    }

    #[test]
    fn signs_are_seen_wherever_they_stand() {
        for length in 1..80 {
            for at in 0..length {
                let with = |sign: u8| {
                    let mut text = vec![b'a'; length];
                    text[at] = sign;
                    let Signs { colour, escape, x } = Signs::of(&text);
                    [colour, escape, x]
                };
                assert_eq!(with(b'a'), [false; 3]);
                assert_eq!(with(0x1b), [true, false, false]);
                assert_eq!(with(b'x'), [false, false, true]);
                assert!([b'\\', b'%', b'&'].iter().all(|sign| with(*sign) == [false, true, false]));
            }
        }
    }
}
