//! Text taken out of other text, which remembers where each of its bytes came from.

use super::{glance, sight};

/// Some text, and where it stands in the output.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    origin: Origin<'a>,
}

#[derive(Clone, Copy)]
enum Origin<'a> {
    /// Nobody asks: the text is only searched for whether something is in it.
    Unknown,
    /// The output itself, from this place on.
    Output(usize),
    /// Byte by byte.
    Spans(&'a [(u32, u32)]),
}

/// The bytes of the output that one byte of a view stands for.
pub(super) type Span = (usize, usize);

impl<'a> Text<'a> {
    pub(super) fn of_output(bytes: &'a [u8], from: usize) -> Text<'a> {
        Text { bytes, origin: Origin::Output(from) }
    }

    /// The text without its places, of which views are made in half the time.
    pub(super) fn bare(&self) -> Text<'a> {
        Text { bytes: self.bytes, origin: Origin::Unknown }
    }

    pub(super) fn is_bare(&self) -> bool {
        matches!(self.origin, Origin::Unknown)
    }

    /// Where the range stands in the output.
    pub(super) fn span(&self, (start, end): (usize, usize)) -> Span {
        match self.origin {
            Origin::Unknown => (0, 0),
            Origin::Output(from) => (from + start, from + end),
            Origin::Spans(spans) => (spans[start].0 as usize, spans[end - 1].1.max(spans[start].1) as usize),
        }
    }

    pub(super) fn part(&self, start: usize, end: usize) -> Text<'a> {
        let origin = match self.origin {
            Origin::Unknown => Origin::Unknown,
            Origin::Output(from) => Origin::Output(from + start),
            Origin::Spans(spans) => Origin::Spans(&spans[start..end]),
        };
        Text { bytes: &self.bytes[start..end], origin }
    }

    /// The bounds of the line with the byte at `at`, without its newline.
    pub(super) fn line_around(&self, at: usize) -> (usize, usize) {
        let start = memchr::memrchr(b'\n', &self.bytes[..at]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |newline| at + newline);
        (start, end)
    }
}

#[derive(Default)]
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    /// As the text that it is made of.
    is_bare: bool,
}

impl View {
    /// Empty, for what is made of `text`; one that was used before needs no more memory.
    pub(super) fn reset(&mut self, text: &Text<'_>) {
        self.clear();
        self.is_bare = text.is_bare();
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8, (start, end): Span) {
        self.bytes.push(byte);
        if !self.is_bare {
            self.spans.push((place(start), place(end)));
        }
    }

    /// What was added from `start` on becomes a line, or is taken back where it has less than `min` bytes.
    pub(super) fn close(&mut self, start: usize, min: usize) {
        if self.bytes.len() - start < min {
            self.truncate(start);
        } else {
            self.push(b'\n', (0, 0));
        }
    }

    pub(super) fn append(&mut self, other: &View) {
        self.bytes.extend_from_slice(&other.bytes);
        self.spans.extend_from_slice(&other.spans);
    }

    fn truncate(&mut self, bytes: usize) {
        self.bytes.truncate(bytes);
        self.spans.truncate(bytes);
    }

    /// A byte that two characters of `text` stand for, the first of them at `at`.
    #[inline(always)]
    fn push_text(&mut self, byte: u8, text: &Text<'_>, at: usize) {
        if !matches!(byte, 0 | b'\n' | b'\r') {
            self.bytes.push(byte);
            if !self.is_bare {
                let (start, end) = text.span((at, at + 2));
                self.spans.push((place(start), place(end)));
            }
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    pub(super) fn text(&self) -> Text<'_> {
        let origin = if self.is_bare { Origin::Unknown } else { Origin::Spans(&self.spans) };
        Text { bytes: &self.bytes, origin }
    }

    /// The bytes of `text` from `start` to `end`.
    pub(super) fn copy(&mut self, text: &Text<'_>, (start, end): (usize, usize)) {
        self.bytes.extend_from_slice(&text.bytes[start..end]);
        match text.origin {
            Origin::Unknown => {}
            Origin::Output(from) => self.spans.extend((place(from + start)..place(from + end)).map(|at| (at, at + 1))),
            Origin::Spans(spans) => self.spans.extend_from_slice(&spans[start..end]),
        }
    }

    /// The bytes of `text` from `start` to `end` for which `kept` says so.
    pub(super) fn pick(&mut self, text: &Text<'_>, (start, end): (usize, usize), kept: impl Fn(u8) -> bool) {
        if self.is_bare {
            // Written whether it is kept or not: a branch for each byte would take longer.
            let mut at = self.bytes.len();
            self.bytes.resize(at + end - start, 0);
            for &byte in &text.bytes[start..end] {
                self.bytes[at] = byte;
                at += usize::from(kept(byte));
            }
            return self.bytes.truncate(at);
        }
        for at in (start..end).filter(|&at| kept(text.bytes[at])) {
            self.push(text.bytes[at], text.span((at, at + 1)));
        }
    }
}

/// Half the size of a `usize`, because views have one for every byte; the text looked at in one go is far shorter.
fn place(at: usize) -> u32 {
    u32::try_from(at).expect("text is looked at in parts of less than 4 GiB")
}

/// The text without white space and zeros.
pub(super) fn squeezed(text: &Text<'_>, view: &mut View) {
    view.pick(text, (0, text.bytes.len()), |byte| !byte.is_ascii_whitespace() && byte != 0);
}

/// The line without the separators that stand between single characters; where more stands between two, they are kept.
pub(super) fn between(line: &Text<'_>, separator: u8, view: &mut View) {
    let is_separator = |at: Option<usize>| at.and_then(|at| line.bytes.get(at)).is_none_or(|byte| *byte == separator);
    for (at, &byte) in line.bytes.iter().enumerate() {
        let between_two = byte == separator && (is_separator(at.checked_sub(2)) || is_separator(Some(at + 2)));
        if !between_two {
            view.push(byte, line.span((at, at + 1)));
        }
    }
}

/// How long the terminal's control sequence is with which `bytes` begin; 0 when none does.
pub(super) fn control_sequence(bytes: &[u8]) -> usize {
    match bytes {
        [0x1b, b'[', rest @ ..] => {
            let parameters = rest.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            2 + parameters + usize::from(rest.get(parameters).is_some_and(|last| (0x40..0x7f).contains(last)))
        }
        [0x1b, b']', rest @ ..] => match rest.iter().position(|&byte| byte == 0x07 || byte == 0x1b) {
            Some(end) if rest[end] == 0x1b => (2 + end + 2).min(bytes.len()),
            Some(end) => 2 + end + 1,
            None => 2,
        },
        [0x1b, 0x20..0x7f, ..] => 2,
        [0x1b, ..] => 1,
        _ => 0,
    }
}

/// What is left of the text when control sequences are taken out.
pub(super) fn visible(text: &Text<'_>, view: &mut View) {
    let mut at = 0;
    while at < text.bytes.len() {
        let escape = memchr::memchr(0x1b, &text.bytes[at..]).map_or(text.bytes.len(), |escape| at + escape);
        view.copy(text, (at, escape));
        at = escape + control_sequence(&text.bytes[escape..]);
    }
}

/// The text with its escapes undone: `\x41`, `\u0041`, `\101`, `\"`, `%41`, `&#65;`, `&#x41;`, `&amp;`. Nothing when it has none.
pub(super) fn unescaped(text: &Text<'_>, view: &mut View) {
    // Up to here the text is in the view, or would be.
    let (mut at, mut copied) = (0, 0);
    while let Some(next) = memchr::memchr3(b'\\', b'%', b'&', &text.bytes[at..]) {
        at += next;
        let (length, character) = escape(&text.bytes[at..]);
        if length > 1 {
            view.copy(text, (copied, at));
            let span = text.span((at, at + length));
            match character {
                // As everywhere in what is made of a line.
                Some(Escaped::Byte(b'\n' | b'\r') | Escaped::Char('\n' | '\r')) | None => {}
                Some(Escaped::Byte(byte)) => view.push(byte, span),
                Some(Escaped::Char(character)) => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| view.push(byte, span)),
            }
            copied = at + length;
        }
        at += length;
    }
    if copied > 0 {
        view.copy(text, (copied, text.bytes.len()));
    }
}

enum Escaped {
    Byte(u8),
    Char(char),
}

/// How many bytes the first character of `bytes` is written with, and which it is; a line end is none.
fn escape(bytes: &[u8]) -> (usize, Option<Escaped>) {
    let digits = |from: usize, radix: u32, max: usize| -> (usize, u32) {
        let digit = |byte: &u8| char::from(*byte).to_digit(radix);
        bytes.iter().skip(from).take(max).map_while(digit).fold((0, 0), |(count, value), digit| (count + 1, value * radix + digit))
    };
    let character = |value: u32| char::from_u32(value).map(Escaped::Char);
    let plain = (1, bytes.first().map(|byte| Escaped::Byte(*byte)));
    match bytes {
        [b'\\', b'x', ..] => match digits(2, 16, 2) {
            (0, _) => (2, Some(Escaped::Byte(b'x'))),
            (count, value) => (2 + count, Some(Escaped::Byte(value as u8))),
        },
        [b'\\', b'u', b'{', ..] => match digits(3, 16, 6) {
            (count, value) if count > 0 && bytes.get(3 + count) == Some(&b'}') => (4 + count, character(value)),
            _ => (2, Some(Escaped::Byte(b'u'))),
        },
        [b'\\', b'u', ..] => match digits(2, 16, 4) {
            (4, value) => (6, character(value)),
            _ => (2, Some(Escaped::Byte(b'u'))),
        },
        [b'\\', b'U', ..] => match digits(2, 16, 8) {
            (8, value) => (10, character(value)),
            _ => (2, Some(Escaped::Byte(b'U'))),
        },
        [b'\\', b'0'..=b'7', ..] => {
            let (count, value) = digits(1, 8, if bytes[1] == b'0' { 4 } else { 3 });
            if count >= 2 { (1 + count, Some(Escaped::Byte(value as u8))) } else { (2, Some(Escaped::Byte(bytes[1]))) }
        }
        [b'\\', b'n' | b'r', ..] => (2, None),
        [b'\\', b't', ..] => (2, Some(Escaped::Byte(b'\t'))),
        // A line that goes on behind its end, as shells and quoted-printable write it.
        [b'\\', b'\n', ..] => (2, None),
        [b'\\', byte, ..] => (2, Some(Escaped::Byte(*byte))),
        [b'%', ..] => match digits(1, 16, 2) {
            (2, value) => (3, Some(Escaped::Byte(value as u8))),
            _ => plain,
        },
        [b'&', b'#', b'x' | b'X', ..] => match digits(3, 16, 6) {
            (count, value) if count > 0 && bytes.get(3 + count) == Some(&b';') => (4 + count, character(value)),
            _ => plain,
        },
        [b'&', b'#', ..] => match digits(2, 10, 7) {
            (count, value) if count > 0 && bytes.get(2 + count) == Some(&b';') => (3 + count, character(value)),
            _ => plain,
        },
        [b'&', ..] => {
            let named = [("&amp;", b'&'), ("&lt;", b'<'), ("&gt;", b'>'), ("&quot;", b'"'), ("&apos;", b'\'')];
            named
                .iter()
                .find(|(name, _)| bytes.starts_with(name.as_bytes()))
                .map_or(plain, |(name, byte)| (name.len(), Some(Escaped::Byte(*byte))))
        }
        _ => plain,
    }
}

/// The bytes that hexadecimal digits stand for (`73`, `0x73`, `7365`), the first one last, and how many; nothing when the token
/// isn't one of a list of them.
fn read_hex(token: &[u8]) -> Option<(u64, u32)> {
    let digits = token.strip_prefix(b"0x").or_else(|| token.strip_prefix(b"0X")).unwrap_or(token);
    let count = match digits.len() {
        2 => 1,
        4 => 2,
        8 => 4,
        16 => 8,
        _ => return None,
    };
    let digit = |byte: u8| Some(DIGITS[usize::from(byte)]).filter(|value| *value < 16).map(u64::from);
    let value = digits.iter().try_fold(0u64, |value, byte| Some(value << 4 | digit(*byte)?))?;
    Some((value.swap_bytes() >> (64 - 8 * count), count))
}

/// As [`read_hex`], the token as a hexadecimal, a decimal (`115, 101`) and an octal number (`163 145`).
#[inline(always)]
fn read_all(token: &[u8]) -> [Option<(u64, u32)>; 3] {
    let digit = |byte: u8| u64::from(DIGITS[usize::from(byte)]);
    let one = |value: u64| Some((value, 1)).filter(|_| value < 256);
    match *token {
        [a] => [None, one(digit(a)).filter(|_| digit(a) < 10), None],
        [a, b] => {
            let (a, b) = (digit(a), digit(b));
            [one(a << 4 | b).filter(|_| a.max(b) < 16), one(10 * a + b).filter(|_| a.max(b) < 10), None]
        }
        [a, b, c] => {
            let (a, b, c) = (digit(a), digit(b), digit(c));
            let largest = a.max(b).max(c);
            [None, one(100 * a + 10 * b + c).filter(|_| largest < 10), one(a << 6 | b << 3 | c).filter(|_| largest < 8)]
        }
        _ => [read_hex(token), None, None],
    }
}

/// More than this between two numbers, and they are of different lists.
const GAP_BYTES_MAX: usize = 12;

/// Lists as `hexdump` and `od -x` write pairs on most machines: `6573 7263`.
pub(super) fn swapped_lists(text: &Text<'_>, min: usize, view: &mut View, each: &mut dyn FnMut(&View)) {
    let mut before = 0;
    sight::words(text.bytes, &mut |start, end| {
        let gap = start - std::mem::replace(&mut before, end);
        let read = read_hex(&text.bytes[start..end]).map(|(value, count)| (value.swap_bytes() >> (64 - 8 * count), count));
        view.take(text, (start, end), gap, read, min, each);
    });
    view.give(min, each);
}

/// The lists of at least `min` bytes in the text, of hexadecimal, decimal and octal numbers, each as a view; whether a number stands
/// for several bytes.
pub(super) fn all_lists(text: &Text<'_>, min: usize, views: &mut [View; 3], each: &mut dyn FnMut(&View)) -> bool {
    let (mut before, mut is_any_longer) = (0, false);
    sight::words(text.bytes, &mut |start, end| {
        let gap = start - std::mem::replace(&mut before, end);
        let [hex, decimal, octal] = read_all(&text.bytes[start..end]);
        is_any_longer |= hex.is_some_and(|(_, count)| count > 1);
        let [of_hex, of_decimal, of_octal] = &mut *views;
        of_hex.take(text, (start, end), gap, hex, min, each);
        of_decimal.take(text, (start, end), gap, decimal, min, each);
        of_octal.take(text, (start, end), gap, octal, min, each);
    });
    views.iter_mut().for_each(|view| view.give(min, each));
    is_any_longer
}

impl View {
    /// The next number of a list, which may be none, or the first of another list.
    #[inline(always)]
    fn take(
        &mut self,
        text: &Text<'_>,
        token: (usize, usize),
        gap: usize,
        read: Option<(u64, u32)>,
        min: usize,
        each: &mut dyn FnMut(&View),
    ) {
        if read.is_none() || gap > GAP_BYTES_MAX {
            self.give(min, each);
        }
        let Some((value, count)) = read else { return };
        if self.is_bare && count == 1 {
            // As below, and by far the most often.
            let byte = value as u8;
            return if !matches!(byte, 0 | b'\n' | b'\r') {
                self.bytes.push(byte)
            };
        }
        let span = text.span(token);
        let bytes = (0..count).map(|index| (value >> (8 * index)) as u8);
        bytes.filter(|byte| !matches!(byte, 0 | b'\n' | b'\r')).for_each(|byte| self.push(byte, span));
    }

    /// The list ends.
    fn give(&mut self, min: usize, each: &mut dyn FnMut(&View)) {
        if self.bytes.len() >= min {
            each(self);
        }
        self.clear();
    }
}

/// What the digits of a row of a dump stand for; `swapped` has them as `hexdump` and `od -x` write pairs on most machines. Whether any
/// group of digits is longer than one byte's.
pub(super) fn dumped(digits: &Text<'_>, view: &mut View, swapped: &mut View) -> bool {
    let (mut is_any_longer, mut at) = (false, 0);
    while at < digits.bytes.len() {
        let end = memchr::memchr(b' ', &digits.bytes[at..]).map_or(digits.bytes.len(), |space| at + space);
        let group = &digits.bytes[at..end];
        let bytes = group.as_chunks().0.iter().map(|[a, b]| hex_value(*a) << 4 | hex_value(*b));
        let span = digits.span((at, end.max(at + 1)));
        let kept = |byte: &u8| !matches!(byte, 0 | b'\n' | b'\r');
        bytes.clone().filter(kept).for_each(|byte| view.push(byte, span));
        bytes.rev().filter(kept).for_each(|byte| swapped.push(byte, span));
        is_any_longer |= group.len() > 2;
        at = end + 1;
    }
    is_any_longer
}

/// Where a row of a dump has what, from the beginning of its line on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) digits: (usize, usize),
    pub(super) characters: (usize, usize),
}

/// The two columns of a line as `xxd` and `hexdump -C` write it: digits and characters.
pub(super) fn dump_columns(line: &[u8]) -> Option<Columns> {
    let count = |from: usize, is: fn(&u8) -> bool| line[from..].iter().take_while(|byte| is(byte)).count();
    let indent = count(0, |byte| *byte == b' ');
    let offset = count(indent, u8::is_ascii_hexdigit);
    if !(6..=16).contains(&offset) {
        return None;
    }
    let colon = line.get(indent + offset) == Some(&b':');
    let start = indent + offset + usize::from(colon);
    let spaces = count(start, |byte| *byte == b' ');
    let (first, mut end) = (start + spaces, start + spaces);
    loop {
        let digits = count(end, u8::is_ascii_hexdigit);
        let behind = end + digits;
        let ends = line.get(behind).is_none_or(|byte| matches!(byte, b' ' | b'|' | b'\r'));
        if !matches!(digits, 2 | 4 | 8 | 16) || !ends {
            break;
        }
        end = behind;
        let spaces = count(end, |byte| *byte == b' ');
        // The text of `xxd` stands two spaces behind; `hexdump -C` makes such a gap in the middle of its digits too.
        if spaces == 0 || (colon && spaces > 1) {
            break;
        }
        end += spaces;
    }
    if end == first || spaces == 0 {
        return None;
    }
    let gap = count(end, |byte| *byte == b' ');
    let bar = usize::from(line.get(end + gap) == Some(&b'|'));
    let characters = if colon { (end + gap).min(end + 2) } else { end + gap + bar };
    // A gap wider than two is the end of a short row, or the text begins with spaces; both are left out with it.
    let characters = if colon && gap > 2 { end + gap } else { characters };
    let close = line.len() - usize::from(bar == 1 && line.last() == Some(&b'|'));
    let characters = characters.min(close);
    Some(Columns { digits: (first, end), characters: (characters, close.max(characters)) })
}

/// The stretches of at least `min` bytes in a run of base64 characters, in whichever of the four ways to begin, each with its text
/// at the end of the view, and where that begins; as everywhere, line ends and zeros are left out.
pub(super) fn base64_stretches(run: &Text<'_>, min: usize, view: &mut View, each: &mut dyn FnMut(&mut View, usize)) {
    let byte = |begin: usize, index: usize| {
        let (at, place) = (begin + index / 3 * 4 + index % 3, 2 * (index % 3));
        let (first, second) = (*run.bytes.get(at)?, *run.bytes.get(at + 1)?);
        let byte = (u16::from(base64_value(first)) << (2 + place)) as u8 | base64_value(second) >> (4 - place);
        Some(byte).filter(|byte| TEXT[usize::from(*byte)])
    };
    let mut done = [0; 4];
    glance::base64_places(run.bytes, min, |at| {
        let (begin, mut index) = (at % 4, at / 4 * 3);
        if index < done[begin] || (index..index + 3).any(|index| byte(begin, index).is_none()) {
            return;
        }
        while index > 0 && byte(begin, index - 1).is_some() {
            index -= 1;
        }
        let (start, written) = (index, view.bytes.len());
        loop {
            let at = begin + index / 3 * 4;
            let group = if index.is_multiple_of(3) { run.bytes.get(at..at + 4) } else { None };
            let word = group.map_or(0, |group| group.iter().fold(0u32, |word, letter| word << 6 | u32::from(base64_value(*letter))));
            let bytes = [(word >> 16) as u8, (word >> 8) as u8, word as u8];
            if group.is_some() && bytes.iter().all(|byte| TEXT[usize::from(*byte)]) {
                for (place, byte) in bytes.into_iter().enumerate() {
                    view.push_text(byte, run, at + place);
                }
                index += 3;
            } else if let Some(byte) = byte(begin, index) {
                view.push_text(byte, run, at + index % 3);
                index += 1;
            } else {
                break;
            }
        }
        done[begin] = index;
        if index - start >= min {
            each(view, written);
        } else {
            view.truncate(written);
        }
    });
}

/// As [`base64_stretches`], in a run of hexadecimal digits.
pub(super) fn hex_stretches(run: &Text<'_>, min: usize, view: &mut View, each: &mut dyn FnMut(&mut View, usize)) {
    let byte = |begin: usize, index: usize| {
        let (first, second) = (*run.bytes.get(begin + 2 * index)?, *run.bytes.get(begin + 2 * index + 1)?);
        Some(hex_value(first) << 4 | hex_value(second)).filter(|byte| TEXT[usize::from(*byte)])
    };
    let mut done = [0; 2];
    glance::hex_places(run.bytes, min, |at| {
        let (begin, mut index) = (at % 2, at / 2);
        if index < done[begin] {
            return;
        }
        while index > 0 && byte(begin, index - 1).is_some() {
            index -= 1;
        }
        let (start, written) = (index, view.bytes.len());
        while let Some(byte) = byte(begin, index) {
            view.push_text(byte, run, begin + 2 * index);
            index += 1;
        }
        done[begin] = index;
        if index - start >= min {
            each(view, written);
        } else {
            view.truncate(written);
        }
    });
}

/// Every stretch of at least `min` bytes, found without a glance.
#[cfg(test)]
pub(super) fn stretches_thoroughly(run: &[u8], is_hex: bool, min: usize) -> Vec<Vec<u8>> {
    let mut stretches = Vec::new();
    let (ways, bits) = if is_hex { (2, 4) } else { (4, 6) };
    for begin in 0..ways.min(run.len()) {
        let value = |character: &u8| if is_hex { hex_value(*character) } else { base64_value(*character) };
        let all: Vec<bool> = run[begin..].iter().flat_map(|it| (0..bits).rev().map(move |bit| value(it) >> bit & 1 == 1)).collect();
        let byte = |bits: &[bool]| bits.iter().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit));
        let bytes: Vec<u8> = all.as_chunks::<8>().0.iter().map(|bits| byte(bits)).collect();
        let texts = bytes.split(|byte| !is_text(*byte)).filter(|text| text.len() >= min);
        let kept = |text: &[u8]| text.iter().copied().filter(|byte| !matches!(byte, 0 | b'\n' | b'\r')).collect();
        stretches.extend(texts.map(kept));
    }
    stretches
}

/// As [`base64_stretches`], in a run of base32 characters and whichever of its eight ways.
pub(super) fn base32_texts(run: &Text<'_>, min: usize, view: &mut View, each: &mut dyn FnMut(&mut View, usize)) {
    for begin in 0..8.min(run.bytes.len()) {
        base32_text(&run.part(begin, run.bytes.len()), min, view, each);
    }
}

/// Of a hexadecimal digit.
fn hex_value(digit: u8) -> u8 {
    (digit & 15) + 9 * (digit >> 6)
}

pub(super) fn base64_value(byte: u8) -> u8 {
    const VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let mut value = 0;
        while value < 26 {
            values[b'A' as usize + value] = value as u8;
            values[b'a' as usize + value] = value as u8 + 26;
            value += 1;
        }
        let mut digit = 0;
        while digit < 10 {
            values[b'0' as usize + digit] = digit as u8 + 52;
            digit += 1;
        }
        values[b'+' as usize] = 62;
        values[b'-' as usize] = 62;
        values[b'/' as usize] = 63;
        values[b'_' as usize] = 63;
        values
    };
    VALUES[byte as usize]
}

/// What is beyond ASCII is taken for text here, where there is little to look at; in other alphabets, all that isn't text would be.
fn base32_text(text: &Text<'_>, min: usize, view: &mut View, each: &mut dyn FnMut(&mut View, usize)) {
    let value = |byte: u8| if byte.is_ascii_digit() { byte - b'2' + 26 } else { byte.to_ascii_uppercase() - b'A' };
    let (mut bits, mut count, mut length, mut written) = (0u16, 0, 0, view.bytes.len());
    let mut end = |view: &mut View, length: usize, written: usize| {
        if length >= min {
            each(view, written)
        } else {
            view.truncate(written)
        }
        view.bytes.len()
    };
    for (at, &character) in text.bytes.iter().enumerate() {
        bits = bits << 5 | u16::from(value(character));
        count += 5;
        if count < 8 {
            continue;
        }
        count -= 8;
        let byte = (bits >> count) as u8;
        if TEXT[usize::from(byte)] || byte >= 0x80 {
            length += 1;
            if !matches!(byte, 0 | b'\n' | b'\r') {
                view.push(byte, text.span((at + 1 - (count + 8usize).div_ceil(5), at + 1)));
            }
        } else {
            written = end(view, length, written);
            length = 0;
        }
    }
    end(view, length, written);
}

/// The value of a digit of any base up to sixteen; of anything else one that is too large.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut value = 0;
    while value < 10 {
        digits[b'0' as usize + value] = value as u8;
        value += 1;
    }
    while value < 16 {
        digits[b'a' as usize + value - 10] = value as u8;
        digits[b'A' as usize + value - 10] = value as u8;
        value += 1;
    }
    digits
};

pub(super) fn is_text(byte: u8) -> bool {
    TEXT[usize::from(byte)]
}

const TEXT: [bool; 256] = {
    let mut text = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        text[byte] = true;
        byte += 1;
    }
    text[0] = true;
    text[b'\t' as usize] = true;
    text[b'\n' as usize] = true;
    text[b'\r' as usize] = true;
    text
};

/// What the gzip stream in these base64 characters unpacks to, every byte standing for all of them.
pub(super) fn gunzipped(text: &Text<'_>, view: &mut View) {
    const UNPACKED_BYTES_MAX: usize = 64 * 1024;
    let mut packed = Vec::new();
    for group in text.bytes.chunks(4) {
        let word = group.iter().fold(0u32, |word, &character| word << 6 | u32::from(base64_value(character)));
        let whole = group.len() * 6 / 8;
        packed.extend((0..whole).map(|index| (word >> (group.len() * 6 - 8 * (index + 1))) as u8));
    }
    let Some(body) = gzip_body(&packed) else { return };
    let unpacked = match miniz_oxide::inflate::decompress_to_vec_with_limit(body, UNPACKED_BYTES_MAX) {
        Ok(unpacked) => unpacked,
        Err(error) => error.output,
    };
    let span = text.span((0, text.bytes.len()));
    unpacked.into_iter().filter(|byte| !matches!(byte, 0 | b'\n' | b'\r')).for_each(|byte| view.push(byte, span));
}

/// What follows a gzip header.
fn gzip_body(packed: &[u8]) -> Option<&[u8]> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = packed else { return None };
    let mut rest = rest;
    if flags & 4 != 0 {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for _ in 0..(flags >> 3 & 1) + (flags >> 4 & 1) {
        rest = &rest[memchr::memchr(0, rest)? + 1..];
    }
    if flags & 2 != 0 { rest.get(2..) } else { Some(rest) }
}
