//! Text taken out of other text, which remembers where each of its bytes came from.

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

pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    /// As the text that it is made of.
    is_bare: bool,
}

impl View {
    /// An empty one, for what is made of `text`.
    pub(super) fn of(text: &Text<'_>, bytes: usize) -> View {
        let is_bare = text.is_bare();
        View { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(if is_bare { 0 } else { bytes }), is_bare }
    }

    pub(super) fn push(&mut self, byte: u8, (start, end): Span) {
        self.bytes.push(byte);
        if !self.is_bare {
            self.spans.push((place(start), place(end)));
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
            return self.bytes.extend(text.bytes[start..end].iter().filter(|byte| kept(**byte)));
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
pub(super) fn squeezed(text: &Text<'_>) -> View {
    let mut view = View::of(text, text.bytes.len());
    view.pick(text, (0, text.bytes.len()), |byte| !byte.is_ascii_whitespace() && byte != 0);
    view
}

/// The line without the separators that stand between single characters; where more stands between two, they are kept.
pub(super) fn between(line: &Text<'_>, separator: u8) -> View {
    let mut view = View::of(line, line.bytes.len());
    let is_separator = |at: Option<usize>| at.and_then(|at| line.bytes.get(at)).is_none_or(|byte| *byte == separator);
    for (at, &byte) in line.bytes.iter().enumerate() {
        let between_two = byte == separator && (is_separator(at.checked_sub(2)) || is_separator(Some(at + 2)));
        if !between_two {
            view.push(byte, line.span((at, at + 1)));
        }
    }
    view
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
pub(super) fn visible(text: &Text<'_>) -> View {
    let mut view = View::of(text, text.bytes.len());
    let mut at = 0;
    while at < text.bytes.len() {
        let escape = memchr::memchr(0x1b, &text.bytes[at..]).map_or(text.bytes.len(), |escape| at + escape);
        view.copy(text, (at, escape));
        at = escape + control_sequence(&text.bytes[escape..]);
    }
    view
}

/// The text with its escapes undone: `\x41`, `\u0041`, `\101`, `\"`, `%41`, `&#65;`, `&#x41;`, `&amp;`. Nothing when it has none.
pub(super) fn unescaped(text: &Text<'_>) -> Option<View> {
    let mut view: Option<View> = None;
    // Up to here the text is in the view, or would be.
    let (mut at, mut copied) = (0, 0);
    while let Some(next) = memchr::memchr3(b'\\', b'%', b'&', &text.bytes[at..]) {
        at += next;
        let (length, character) = escape(&text.bytes[at..]);
        if length > 1 {
            let view = view.get_or_insert_with(|| View::of(text, text.bytes.len()));
            view.copy(text, (copied, at));
            let span = text.span((at, at + length));
            match character {
                Some(Escaped::Byte(byte)) => view.push(byte, span),
                Some(Escaped::Char(character)) => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| view.push(byte, span)),
                None => {}
            }
            copied = at + length;
        }
        at += length;
    }
    if let Some(view) = &mut view {
        view.copy(text, (copied, text.bytes.len()));
    }
    view
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

/// Ways in which a token of a list stands for bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notation {
    /// `73 65`, `0x73, 0x65`, `7365 6372`.
    Hex,
    /// `6573 7263`, as `hexdump` and `od -x` write pairs on most machines.
    HexSwapped,
    /// `115, 101`.
    Decimal,
    /// `163 145`.
    Octal,
}

impl Notation {
    /// The bytes the token stands for, the first one last, and how many; nothing when it isn't one of such a list.
    fn read(self, token: &[u8]) -> Option<(u64, u32)> {
        let number = |digits: &[u8], radix: u32| {
            digits.iter().try_fold(0u64, |value, digit| Some(value * u64::from(radix) + u64::from(char::from(*digit).to_digit(radix)?)))
        };
        match self {
            Notation::Hex | Notation::HexSwapped => {
                let digits = token.strip_prefix(b"0x").or_else(|| token.strip_prefix(b"0X")).unwrap_or(token);
                let count = match digits.len() {
                    2 => 1,
                    4 => 2,
                    8 => 4,
                    16 => 8,
                    _ => return None,
                };
                let value = number(digits, 16)?;
                Some((if matches!(self, Notation::Hex) { value.swap_bytes() >> (64 - 8 * count) } else { value }, count))
            }
            Notation::Decimal if token.len() <= 3 => number(token, 10).filter(|value| *value < 256).map(|value| (value, 1)),
            Notation::Octal if token.len() == 3 => number(token, 8).filter(|value| *value < 256).map(|value| (value, 1)),
            Notation::Decimal | Notation::Octal => None,
        }
    }
}

/// The lists of at least four bytes in the text that are written so, each as a view; whether a token stands for several bytes.
pub(super) fn lists(text: &Text<'_>, notation: Notation, each: &mut dyn FnMut(&View)) -> bool {
    const LIST_MIN_BYTES: usize = 4;
    const GAP_BYTES_MAX: usize = 12;
    let mut view = View::of(text, 0);
    let (mut at, mut is_any_longer) = (0, false);
    loop {
        let gap = text.bytes[at..].iter().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
        let start = at + gap;
        let end = start + text.bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let read = if start < end { notation.read(&text.bytes[start..end]) } else { None };
        if read.is_none() || gap > GAP_BYTES_MAX {
            if view.bytes.len() >= LIST_MIN_BYTES {
                each(&view);
            }
            view.clear();
        }
        if let Some((value, count)) = read {
            is_any_longer |= count > 1;
            let span = text.span((start, end));
            let bytes = (0..count).map(|index| (value >> (8 * index)) as u8);
            bytes.filter(|byte| !matches!(byte, 0 | b'\n' | b'\r')).for_each(|byte| view.push(byte, span));
        }
        if start == text.bytes.len() {
            return is_any_longer;
        }
        at = end;
    }
}

/// The two columns of a line as `xxd` and `hexdump -C` write it: digits and characters.
pub(super) fn dump_columns(line: &[u8]) -> Option<((usize, usize), (usize, usize))> {
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
    Some(((first, end), (characters.min(close), close.max(characters.min(close)))))
}

/// Which of the four ways to begin to decode a run of base64 characters show text of at least `min` bytes.
pub(super) fn base64_begins(run: &[u8], min: usize) -> [bool; 4] {
    // Five bytes in a row have three among them that one group of characters stands for.
    const WHOLE_MIN_BYTES: usize = 5;
    if min < WHOLE_MIN_BYTES {
        return [true; 4];
    }
    let pair = |at: usize| BASE64_PAIRS[usize::from(base64_value(run[at])) << 6 | usize::from(base64_value(run[at + 1]))];
    let mut begins = [false; 4];
    let (mut first, mut second) = (0, 0);
    for end in 3..run.len() + 1 {
        let third = if end < run.len() { pair(end - 1) } else { 0 };
        // Pairs that begin at `end - 3`, `end - 2` and `end - 1`.
        let is_whole = first & second >> 1 & third >> 2 & 1 == 1;
        let at = end - 3;
        if is_whole && !begins[at % 4] {
            let byte = |index: usize| {
                let (group, which) = (index / 3 * 4 + at % 4, index % 3);
                group + which + 1 < run.len() && pair(group + which) >> which & 1 == 1
            };
            let index = at / 4 * 3;
            let behind = (index + 3..).take(min).take_while(|index| byte(*index)).count();
            let before = (0..index).rev().take(min).take_while(|index| byte(*index)).count();
            begins[at % 4] = before + 3 + behind >= min;
        }
        (first, second) = (second, third);
    }
    begins
}

/// The decoded texts within a run of base64 characters, for each way to begin that is wanted.
pub(super) fn base64_texts(run: &Text<'_>, begins: [bool; 4], min: usize, each: &mut dyn FnMut(&View)) {
    for begin in (0..4.min(run.bytes.len())).filter(|begin| begins[*begin]) {
        decoded_texts::<6, 4>(&run.part(begin, run.bytes.len()), base64_value, min, each);
    }
}

pub(super) fn base32_texts(run: &Text<'_>, min: usize, each: &mut dyn FnMut(&View)) {
    let value = |byte: u8| if byte.is_ascii_digit() { byte - b'2' + 26 } else { byte.to_ascii_uppercase() - b'A' };
    for begin in 0..8.min(run.bytes.len()) {
        decoded_texts::<5, 8>(&run.part(begin, run.bytes.len()), value, min, each);
    }
}

/// Which of the two ways to begin to decode a run of hexadecimal digits show text of at least `min` bytes.
pub(super) fn hex_begins(run: &[u8], min: usize) -> [bool; 2] {
    let (mut begins, mut counts) = ([false; 2], [0; 2]);
    for (at, pair) in run.windows(2).enumerate() {
        let is_text = TEXT[usize::from(hex_value(pair[0]) << 4 | hex_value(pair[1]))];
        let count = &mut counts[at % 2];
        *count = if is_text { *count + 1 } else { 0 };
        begins[at % 2] |= *count >= min;
    }
    begins
}

pub(super) fn hex_texts(run: &Text<'_>, begins: [bool; 2], min: usize, each: &mut dyn FnMut(&View)) {
    for begin in (0..2.min(run.bytes.len())).filter(|begin| begins[*begin]) {
        decoded_texts::<4, 2>(&run.part(begin, run.bytes.len()), hex_value, min, each);
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

/// Decodes groups of characters of `BITS` bits and calls `each` with every stretch of at least `min` bytes that is text.
fn decoded_texts<const BITS: usize, const GROUP: usize>(
    text: &Text<'_>,
    value: impl Fn(u8) -> u8,
    min: usize,
    each: &mut dyn FnMut(&View),
) {
    // Other alphabets only where there is little to look at: all that isn't text would be looked at too.
    let is_text = |byte: u8| TEXT[byte as usize] || (BITS == 5 && byte >= 0x80);
    let (mut stretch, mut at) = (0, 0);
    let mut take = |word: u64, characters: usize, each: &mut dyn FnMut(&View)| {
        for index in 1..=characters * BITS / 8 {
            if !is_text((word >> (characters * BITS - 8 * index)) as u8) {
                if at - stretch >= min {
                    each(&decoded(text, BITS, &value, (stretch, at)));
                }
                stretch = at + 1;
            }
            at += 1;
        }
        at - stretch
    };
    let word = |group: &[u8]| group.iter().fold(0u64, |word, &character| word << BITS | u64::from(value(character)));
    let (groups, rest) = text.bytes.as_chunks::<GROUP>();
    for group in groups {
        take(word(group), GROUP, each);
    }
    let left = take(word(rest), rest.len(), each);
    if left >= min {
        let end = text.bytes.len() * BITS / 8;
        each(&decoded(text, BITS, &value, (end - left, end)));
    }
}

/// Some of the bytes that the characters stand for; line ends and zeros are left out.
fn decoded(text: &Text<'_>, bits: usize, value: impl Fn(u8) -> u8, (start, end): (usize, usize)) -> View {
    let mut view = View::of(text, end - start);
    for index in start..end {
        let (first, last) = (index * 8 / bits, ((index + 1) * 8).div_ceil(bits));
        let word = text.bytes[first..last].iter().fold(0u64, |word, &character| word << bits | u64::from(value(character)));
        let byte = (word >> (last * bits - (index + 1) * 8)) as u8;
        if !matches!(byte, 0 | b'\n' | b'\r') {
            view.push(byte, text.span((first, last)));
        }
    }
    view
}

/// By the values of two base64 characters: whether the byte that begins with the first one is text, when that is the first, the
/// second or the third character of a group, from the lowest bit on.
const BASE64_PAIRS: [u8; 64 * 64] = {
    let mut pairs = [0; 64 * 64];
    let mut pair = 0;
    while pair < pairs.len() {
        pairs[pair] = TEXT[pair >> 4] as u8 | (TEXT[pair >> 2 & 0xff] as u8) << 1 | (TEXT[pair & 0xff] as u8) << 2;
        pair += 1;
    }
    pairs
};

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
pub(super) fn gunzipped(text: &Text<'_>) -> View {
    const UNPACKED_BYTES_MAX: usize = 64 * 1024;
    let mut packed = Vec::new();
    for group in text.bytes.chunks(4) {
        let word = group.iter().fold(0u32, |word, &character| word << 6 | u32::from(base64_value(character)));
        let whole = group.len() * 6 / 8;
        packed.extend((0..whole).map(|index| (word >> (group.len() * 6 - 8 * (index + 1))) as u8));
    }
    let mut view = View::of(text, 0);
    let Some(body) = gzip_body(&packed) else { return view };
    let unpacked = match miniz_oxide::inflate::decompress_to_vec_with_limit(body, UNPACKED_BYTES_MAX) {
        Ok(unpacked) => unpacked,
        Err(error) => error.output,
    };
    let span = text.span((0, text.bytes.len()));
    unpacked.into_iter().filter(|byte| !matches!(byte, 0 | b'\n' | b'\r')).for_each(|byte| view.push(byte, span));
    view
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
