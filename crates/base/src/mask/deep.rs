//! The second look: secrets that are spread out, escaped or encoded so that no fixed [form](super::forms) shows them.
//!
//! ```text
//! output → paragraphs → what is suspicious in them → views (joined, uncoloured, unescaped, decoded) → search
//!                                                      └──────── once more, in what was found ─────────┘
//! ```
//!
//! Suspicion must be cheap, because nearly all text is innocent; a view may be dear, because it is rare.
//! A paragraph is a line, or several when a line ends so that a secret may go on in the next; where one ends depends on
//! nothing but the text from its beginning on, so what is found doesn't depend on how the text arrives.

use memchr::memmem::Finder;

use super::engine::Engine;
use super::forms::Forms;
use super::pattern::Pattern;
use super::sight::{self, Seen};
use super::view::{self, Notation, Span, Text, View};

/// Where a paragraph is cut when it doesn't end; also the most that is held back.
pub(super) const PARAGRAPH_BYTES_MAX: usize = 16 * 1024;
/// How often text is decoded again that came out of a decoding.
const DEPTH_MAX: usize = 2;

pub(super) struct Deep {
    engine: Engine,
    /// The shortest secret looked for.
    min: usize,
    grams: Grams,
    /// Finds `0x`.
    hex: Finder<'static>,
    /// Finds how the base64 of a gzip stream begins.
    gzip: Finder<'static>,
}

/// What a line says about the next.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Line {
    Ends,
    GoesOn,
    /// A row of `xxd`, `hexdump` or `od`.
    Dump,
}

impl Deep {
    /// Nothing when no secret is worth a second look.
    pub(super) fn new(forms: &Forms) -> Option<Deep> {
        let min = forms.inner.iter().map(|(folded, _)| folded.len()).min()?;
        let (engine, grams) = (Engine::new(&forms.inner), Grams::new(forms));
        Some(Deep { engine, min, grams, hex: Finder::new("0x"), gzip: Finder::new("H4sI") })
    }

    /// Looks at every paragraph of `text` from `from` on that is complete, and returns where the first begins that isn't.
    pub(super) fn look(&self, text: &[u8], from: usize, is_last: bool, found: &mut dyn FnMut(Span)) -> usize {
        self.look_with(Search { deep: self, found, is_thorough: false }, text, from, is_last)
    }

    /// As `look`, without any of the shortcuts that it takes.
    #[cfg(test)]
    pub(super) fn look_thoroughly(&self, text: &[u8], from: usize, is_last: bool, found: &mut dyn FnMut(Span)) -> usize {
        self.look_with(Search { deep: self, found, is_thorough: true }, text, from, is_last)
    }

    fn look_with(&self, mut search: Search<'_>, text: &[u8], from: usize, is_last: bool) -> usize {
        // Lines are looked at together as far as that changes nothing; paragraphs of several lines on their own besides.
        let (mut block, mut paragraph, mut line) = (from, from, from);
        let mut is_dump = false;
        loop {
            let newline = memchr::memchr(b'\n', &text[line..]).map(|newline| line + newline);
            let end = newline.map_or(text.len(), |newline| newline + 1);
            if end - paragraph > PARAGRAPH_BYTES_MAX {
                let cut = paragraph + PARAGRAPH_BYTES_MAX;
                search.paragraph(text, paragraph, cut, paragraph != line, is_dump);
                search.block(text, block, cut);
                (block, paragraph, line, is_dump) = (cut, cut, cut, false);
                continue;
            }
            if newline.is_none() && !is_last {
                search.block(text, block, paragraph);
                return paragraph;
            }
            let line_end = newline.unwrap_or(end);
            let kind = self.read_line(&text[line..line_end]);
            is_dump |= kind == Line::Dump;
            if kind == Line::Ends || newline.is_none() {
                search.paragraph(text, paragraph, end, paragraph != line, is_dump);
                (paragraph, is_dump) = (end, false);
            }
            if newline.is_none() {
                search.block(text, block, text.len());
                return text.len();
            }
            line = end;
        }
    }

    /// Whether a secret may go on behind the end of the line.
    fn read_line(&self, line: &[u8]) -> Line {
        let line = visible_end(line);
        if sight::may_be_dump(line) && view::dump_columns(line).is_some() {
            Line::Dump
        } else if self.grams.may_go_on(line) || ends_in_bytes(line) || ends_in_row(line) {
            Line::GoesOn
        } else {
            Line::Ends
        }
    }
}

/// The line without what is invisible at its end.
fn visible_end(mut line: &[u8]) -> &[u8] {
    loop {
        match line {
            [rest @ .., b'\r' | b' ' | b'\t' | b'\\'] => line = rest,
            [.., b'm' | b'K'] => {
                let near = line.len().saturating_sub(16);
                let escape = memchr::memrchr(0x1b, &line[near..]).map(|escape| near + escape);
                match escape.filter(|&escape| view::control_sequence(&line[escape..]) == line.len() - escape) {
                    Some(escape) => line = &line[..escape],
                    None => return line,
                }
            }
            _ => return line,
        }
    }
}

/// `73:65:63` or `73 65 63`, perhaps with a separator behind.
fn ends_in_bytes(line: &[u8]) -> bool {
    let line = match line {
        [rest @ .., b':' | b',' | b'-'] => rest,
        _ => line,
    };
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    matches!(line.last_chunk::<8>(), Some([a, b, s, c, d, t, e, f])
        if s == t && !s.is_ascii_alphanumeric() && [a, b, c, d, e, f].into_iter().all(is_digit))
}

/// A full row of wrapped base64, or of digits as `xxd -p` writes it; commit ids and other sums are none.
fn ends_in_row(line: &[u8]) -> bool {
    const ROW_MIN_BYTES: usize = 40;
    const DIGITS_ROW_BYTES: usize = 60;
    let (seen, has_capital, is_hex) = sight::base64_at_end(line);
    if seen < ROW_MIN_BYTES {
        return false;
    }
    if seen < 64 {
        return if is_hex { seen == DIGITS_ROW_BYTES } else { has_capital && seen.is_multiple_of(4) };
    }
    let run = &line[line.len() - line.iter().rev().take_while(|byte| view::base64_value(**byte) < 64).count()..];
    run.iter().any(u8::is_ascii_uppercase) && run.len().is_multiple_of(4) && !run.iter().all(u8::is_ascii_hexdigit)
}

/// Which bytes stand next to each other in secrets: a set that now and then says yes to others too.
struct Grams(Vec<u64>);

#[derive(Clone, Copy)]
enum Place {
    /// Anywhere in one of the inner forms.
    Form = 1,
    /// Anywhere in a secret itself.
    Secret,
    /// At the beginning of one.
    Beginning,
}

impl Grams {
    /// 64 KiB: a hundred secrets fill a tenth of it.
    const WORDS_BITS: u32 = 13;

    fn new(forms: &Forms) -> Grams {
        let mut grams = Grams(vec![0; 1 << Grams::WORDS_BITS]);
        for (folded, _) in forms.inner.iter().filter(|(folded, _)| !folded.iter().any(u8::is_ascii_whitespace)) {
            // What looks like a ruler would let every ruler go on.
            let grams_of_four = folded.windows(4).filter(|gram| gram.iter().any(|byte| *byte != gram[0]));
            grams_of_four.for_each(|gram| grams.insert(gram, Place::Form));
        }
        for secret in &forms.plain {
            for length in 1..4 {
                secret.windows(length).for_each(|gram| grams.insert(gram, Place::Secret));
                grams.insert(&secret[..length], Place::Beginning);
            }
        }
        grams
    }

    /// Whether the end of the line may be the first part of a secret.
    ///
    /// Four bytes or more are looked for wherever they stand, fewer only where they are the whole line or begin with it, or
    /// stand behind something that ends a word.
    fn may_go_on(&self, line: &[u8]) -> bool {
        const SHORT_LINE_BYTES: usize = 24;
        match line.last_chunk::<4>() {
            Some(end) if end.iter().any(u8::is_ascii_whitespace) => {
                let mut end = [0; 4];
                let letters = line.iter().rev().take(8).filter(|byte| !byte.is_ascii_whitespace());
                let count = letters.zip(end.iter_mut().rev()).map(|(&letter, place)| *place = letter).count();
                if count == 4 && self.contains(&end, Place::Form) {
                    return true;
                }
            }
            Some(end) if self.contains(end, Place::Form) => return true,
            Some(end) if end[1..].iter().all(u8::is_ascii_alphanumeric) && end[0].is_ascii_alphanumeric() => return false,
            _ => {}
        }
        let is_short = line.len() < SHORT_LINE_BYTES;
        if is_short && (1..4).contains(&line.trim_ascii_start().len()) && self.contains(line.trim_ascii_start(), Place::Secret) {
            return true;
        }
        // Many lines end with a word of one letter; few of those are short.
        (if is_short { 1 } else { 2 }..4.min(line.len())).any(|length| {
            let (before, end) = line.split_at(line.len() - length);
            before.last().is_some_and(|byte| !byte.is_ascii_alphanumeric()) && self.contains(end, Place::Beginning)
        })
    }

    fn insert(&mut self, gram: &[u8], place: Place) {
        let (word, bits) = Grams::slot(gram, place);
        self.0[word] |= bits;
    }

    fn contains(&self, gram: &[u8], place: Place) -> bool {
        let (word, bits) = Grams::slot(gram, place);
        self.0[word] & bits == bits
    }

    /// Two bits of one word: what one bit says to one in twenty by mistake, two say to one in several hundred.
    fn slot(gram: &[u8], place: Place) -> (usize, u64) {
        let bytes = gram.iter().fold(place as u64, |bytes, byte| bytes << 8 | u64::from(byte.to_ascii_lowercase()));
        let mixed = bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bit = |from: u32| 1 << (mixed >> from & 63);
        ((mixed >> (64 - Grams::WORDS_BITS)) as usize, bit(64 - Grams::WORDS_BITS - 6) | bit(64 - Grams::WORDS_BITS - 12))
    }
}

/// What has been looked for in a line because of a pattern.
#[derive(Default)]
struct Patterns {
    line: (usize, usize),
    is_list: bool,
    is_spaced: bool,
}

struct Search<'a> {
    deep: &'a Deep,
    found: &'a mut dyn FnMut(Span),
    /// Takes no shortcuts.
    is_thorough: bool,
}

impl Search<'_> {
    /// Lines of which few are suspicious, which is seen for many at once.
    fn block(&mut self, text: &[u8], start: usize, end: usize) {
        self.if_any(&Text::of_output(&text[start..end], start), |search, text| search.suspects(text, 0));
    }

    /// What only a paragraph as a whole can show.
    fn paragraph(&mut self, text: &[u8], start: usize, end: usize, is_several: bool, is_dump: bool) {
        let paragraph = Text::of_output(&text[start..end], start);
        if is_several {
            self.if_any(&paragraph, |search, text| search.view(&view::squeezed(&view::visible(text).text()), 1));
        }
        if is_dump {
            self.if_any(&paragraph, |search, text| search.dump(text));
        }
    }

    /// Looks whether there is anything, and only then where.
    fn if_any(&mut self, text: &Text<'_>, look: impl Fn(&mut Search<'_>, &Text<'_>)) {
        let mut is_any = self.is_thorough;
        if !is_any {
            look(&mut Search { deep: self.deep, found: &mut |_| is_any = true, is_thorough: false }, &text.bare());
        }
        if is_any {
            look(self, text);
        }
    }

    fn view(&mut self, view: &View, depth: usize) {
        let text = view.text();
        self.deep.engine.scan(text.bytes, 0, |range| {
            (self.found)(text.span(range));
            true
        });
        if depth < DEPTH_MAX {
            self.suspects(&text, depth);
        }
    }

    /// What is suspicious within lines.
    fn suspects(&mut self, text: &Text<'_>, depth: usize) {
        self.colours(text, depth);
        self.escapes(text, depth);
        self.prefixed(text, depth);
        let mut patterns = Patterns::default();
        let is_thorough = self.is_thorough;
        sight::see(text.bytes, &mut |seen| match seen {
            Seen::Run { start, end, has_capital, is_hex } => self.run(&text.part(start, end), has_capital, is_hex, depth),
            Seen::Likely(end) if !is_thorough => self.pattern(text, end, &mut patterns, depth),
            Seen::Likely(_) => {}
        });
        for end in (0..=text.bytes.len()).filter(|_| is_thorough) {
            self.pattern(text, end, &mut patterns, depth);
        }
    }

    fn colours(&mut self, text: &Text<'_>, depth: usize) {
        let mut at = 0;
        while let Some(escape) = memchr::memchr(0x1b, &text.bytes[at..]) {
            let (start, end) = text.line_around(at + escape);
            let line = text.part(start, end);
            if self.may_be_cut(line.bytes) {
                self.view(&view::visible(&line), depth + 1);
            }
            at = end;
        }
    }

    /// Whether a secret may go on behind one of the control sequences in the line.
    fn may_be_cut(&self, line: &[u8]) -> bool {
        const SEGMENT_MIN_BYTES: usize = 4;
        let mut segment = 0;
        while let Some(escape) = memchr::memchr(0x1b, &line[segment..]) {
            let before = &line[segment..segment + escape];
            // Short segments are too many to judge by their ends, as where every letter has its colour.
            let is_short = !before.is_empty() && before.len() < SEGMENT_MIN_BYTES && !before.iter().all(|byte| byte.is_ascii_whitespace());
            if is_short || self.deep.grams.may_go_on(before) {
                return true;
            }
            segment += escape + view::control_sequence(&line[segment + escape..]);
        }
        false
    }

    fn escapes(&mut self, text: &Text<'_>, depth: usize) {
        let mut at = 0;
        while let Some(escape) = memchr::memchr3(b'\\', b'%', b'&', &text.bytes[at..]) {
            let (start, end) = text.line_around(at + escape);
            if let Some(view) = view::unescaped(&text.part(start, end)) {
                self.view(&view, depth + 1);
            }
            at = end;
        }
    }

    /// Lists of `0x41`.
    fn prefixed(&mut self, text: &Text<'_>, depth: usize) {
        let mut listed = 0;
        let finder = &self.deep.hex;
        for at in finder.find_iter(text.bytes) {
            let next = text.bytes.get(at + 6..).unwrap_or_default();
            if at >= listed && next.iter().take(3).take_while(|byte| **byte != b'\n').any(|byte| *byte == b'x') {
                let (start, end) = text.line_around(at);
                self.lists(&text.part(start, end), depth);
                listed = end;
            }
        }
    }

    /// Looks closer at the line in which something shows a pattern that ends at `end`, unless it has been looked at for that.
    fn pattern(&mut self, text: &Text<'_>, end: usize, seen: &mut Patterns, depth: usize) {
        let pattern = Pattern::at_end(&text.bytes[..end]);
        if !pattern.is_any() {
            return;
        }
        if end > seen.line.1 {
            *seen = Patterns { line: text.line_around(end - 1), ..Patterns::default() };
        }
        let line = text.part(seen.line.0, seen.line.1);
        if pattern.is_list && !seen.is_list {
            self.lists(&line, depth);
            seen.is_list = true;
        }
        if let Some(separator) = pattern.spaced.filter(|_| !seen.is_spaced) {
            self.spaced(&line, separator, depth);
            seen.is_spaced = true;
        }
    }

    /// `s e c r e t`, `s.e.c.r.e.t` and UTF-16.
    fn spaced(&mut self, line: &Text<'_>, separator: u8, depth: usize) {
        self.view(&view::squeezed(line), depth + 1);
        if !separator.is_ascii_whitespace() && separator != 0 {
            self.view(&view::between(line, separator), depth + 1);
        }
    }

    fn lists(&mut self, line: &Text<'_>, depth: usize) {
        let is_thorough = self.is_thorough;
        let mut look = |notation| view::lists(line, notation, &mut |view| self.view(view, depth + 1));
        // Single bytes are the same in either order.
        if look(Notation::Hex) || is_thorough {
            look(Notation::HexSwapped);
        }
        look(Notation::Decimal);
        look(Notation::Octal);
    }

    fn dump(&mut self, paragraph: &Text<'_>) {
        let (mut digits, mut characters) = (View::of(paragraph, 0), View::of(paragraph, 0));
        let mut at = 0;
        while at < paragraph.bytes.len() {
            let (_, end) = paragraph.line_around(at);
            if let Some((hex, text)) = view::dump_columns(visible_end(&paragraph.bytes[at..end])) {
                digits.copy(paragraph, (at + hex.0, at + hex.1));
                digits.push(b' ', paragraph.span((at + hex.1 - 1, at + hex.1)));
                characters.copy(paragraph, (at + text.0, at + text.1));
            }
            at = end + 1;
        }
        // What is found in the digits stands in the last row's text too.
        let mut ranges = Vec::new();
        let mut search = Search { deep: self.deep, found: &mut |range| ranges.push(range), is_thorough: self.is_thorough };
        for notation in [Notation::Hex, Notation::HexSwapped] {
            view::lists(&digits.text(), notation, &mut |view| search.view(view, 1));
        }
        search.view(&characters, 1);
        let origin = paragraph.span((0, 1)).0;
        for (start, end) in ranges {
            if paragraph.is_bare() {
                return (self.found)((start, end));
            }
            let row = paragraph.line_around(end - origin - 1);
            (self.found)((start, end.max(origin + row.1)));
        }
    }

    /// A run of base64 characters, which hexadecimal digits are too.
    fn run(&mut self, run: &Text<'_>, has_capital: bool, is_hex: bool, depth: usize) {
        let (min, is_thorough, gzip) = (self.deep.min, self.is_thorough, &self.deep.gzip);
        let all = |is: fn(&u8) -> bool| run.bytes.iter().all(is);
        let mut look = |view: &View| self.view(view, depth + 1);
        if is_hex {
            let begins = if is_thorough { [true; 2] } else { view::hex_begins(run.bytes, min) };
            view::hex_texts(run, begins, min, &mut look);
        }
        if !has_capital {
            return;
        }
        if all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')) {
            view::base32_texts(run, min, &mut look);
        }
        let begins = if is_thorough { [true; 4] } else { view::base64_begins(run.bytes, min) };
        view::base64_texts(run, begins, min, &mut look);
        for at in gzip.find_iter(run.bytes) {
            look(&view::gunzipped(&run.part(at, run.bytes.len())));
        }
    }
}
