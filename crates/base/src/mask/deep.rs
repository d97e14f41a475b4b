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
use super::glance::{self, Signs};
use super::pattern;
use super::sight::{self, Seen};
use super::view::{self, Columns, Span, Text, View};

/// Where a paragraph is cut when it doesn't end; also the most that is held back.
pub(super) const PARAGRAPH_BYTES_MAX: usize = 16 * 1024;
/// How often text is decoded again that came out of a decoding.
const DEPTH_MAX: usize = 2;

pub(super) struct Deep {
    engine: Engine,
    /// The shortest form looked for.
    min: usize,
    /// The shortest view that anything can be in: such a form, or a run that is decoded.
    view_min: usize,
    /// All forms are ASCII, so that a list of other bytes hides none.
    is_ascii: bool,
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
    Dump(Columns),
}

impl Deep {
    /// Nothing when no secret is worth a second look.
    pub(super) fn new(forms: &Forms) -> Option<Deep> {
        let min = forms.inner.iter().map(|(folded, _)| folded.len()).min()?;
        let is_ascii = forms.inner.iter().all(|(folded, _)| folded.iter().all(|byte| view::is_text(*byte)));
        let (engine, grams) = (Engine::new(&forms.inner), Grams::new(forms));
        Some(Deep {
            engine,
            min,
            view_min: min.min(sight::RUN_MIN_BYTES),
            is_ascii,
            grams,
            hex: Finder::new("0x"),
            gzip: Finder::new("H4sI"),
        })
    }

    /// Looks at every paragraph of `text` from `from` on that is complete, and returns where the first begins that isn't.
    pub(super) fn look(&self, text: &[u8], from: usize, is_last: bool, found: &mut dyn FnMut(Span)) -> usize {
        self.look_with(Search { deep: self, found, is_thorough: false, spare: &mut Vec::new() }, text, from, is_last)
    }

    /// As `look`, without any of the shortcuts that it takes.
    #[cfg(test)]
    pub(super) fn look_thoroughly(&self, text: &[u8], from: usize, is_last: bool, found: &mut dyn FnMut(Span)) -> usize {
        self.look_with(Search { deep: self, found, is_thorough: true, spare: &mut Vec::new() }, text, from, is_last)
    }

    fn look_with(&self, mut search: Search<'_>, text: &[u8], from: usize, is_last: bool) -> usize {
        // Lines are looked at together as far as that changes nothing, and with them the paragraphs of several of them.
        let (mut block, mut paragraph, mut line) = (from, from, from);
        let (mut several, mut rows) = (Vec::new(), Vec::new());
        loop {
            let newline = memchr::memchr(b'\n', &text[line..]).map(|newline| line + newline);
            let end = newline.map_or(text.len(), |newline| newline + 1);
            let is_cut = end - paragraph > PARAGRAPH_BYTES_MAX;
            if !is_cut && newline.is_none() && !is_last {
                search.block(text, (block, paragraph), &several);
                return paragraph;
            }
            let end = if is_cut { paragraph + PARAGRAPH_BYTES_MAX } else { end };
            let kind = if is_cut { Line::Ends } else { self.read_line(&text[line..newline.unwrap_or(end)]) };
            if let Line::Dump(columns) = kind {
                rows.push((line, columns));
            }
            if kind == Line::Ends || newline.is_none() {
                if paragraph != line {
                    several.push((paragraph, end));
                }
                if !rows.is_empty() {
                    search.dump_of(text, (paragraph, end), &rows);
                    rows.clear();
                }
                paragraph = end;
            }
            if is_cut || newline.is_none() {
                search.block(text, (block, end), &several);
                several.clear();
                block = end;
            }
            if !is_cut && newline.is_none() {
                return end;
            }
            line = end;
        }
    }

    /// Whether a secret may go on behind the end of the line.
    fn read_line(&self, line: &[u8]) -> Line {
        let line = visible_end(line);
        let columns = if sight::may_be_dump(line) { view::dump_columns(line) } else { None };
        if let Some(columns) = columns {
            Line::Dump(columns)
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

/// The ends of the lines that were looked at last because of a pattern.
#[derive(Default)]
struct Patterns {
    spaced_to: usize,
    listed_to: usize,
}

struct Search<'a> {
    deep: &'a Deep,
    found: &'a mut dyn FnMut(Span),
    /// Takes no shortcuts.
    is_thorough: bool,
    /// Views that aren't used at the moment, so that their memory is.
    spare: &'a mut Vec<View>,
}

impl Search<'_> {
    /// Lines of which few are suspicious, and what only paragraphs of several of them can show as a whole: seen for many at once.
    fn block(&mut self, text: &[u8], (start, end): (usize, usize), several: &[(usize, usize)]) {
        self.if_any(&Text::of_output(&text[start..end], start), |search, block| {
            let mut first = search.empty(block);
            for paragraph in several {
                search.joined(&block.part(paragraph.0 - start, paragraph.1 - start), &mut first);
            }
            search.suspects(block, &mut first);
            search.level(first, 1);
        });
    }

    fn dump_of(&mut self, text: &[u8], (start, end): (usize, usize), rows: &[(usize, Columns)]) {
        self.if_any(&Text::of_output(&text[start..end], start), |search, paragraph| search.dump(paragraph, start, rows));
    }

    /// Looks whether there is anything, and only then where.
    fn if_any(&mut self, text: &Text<'_>, look: impl Fn(&mut Search<'_>, &Text<'_>)) {
        let mut is_any = self.is_thorough;
        if !is_any {
            let found = &mut |_| is_any = true;
            look(&mut Search { deep: self.deep, found, is_thorough: false, spare: self.spare }, &text.bare());
        }
        if is_any {
            look(self, text);
        }
    }

    fn empty(&mut self, text: &Text<'_>) -> View {
        let mut view = self.spare.pop().unwrap_or_default();
        view.reset(text);
        view
    }

    /// Searches what was made of a text, then what can be made of that.
    fn level(&mut self, views: View, depth: usize) {
        let text = views.text();
        self.deep.engine.scan_all(text.bytes, |range| (self.found)(text.span(range)));
        if depth < DEPTH_MAX && !text.bytes.is_empty() {
            let mut next = self.empty(&text);
            self.suspects(&text, &mut next);
            self.level(next, depth + 1);
        }
        self.spare.push(views);
    }

    /// Adds what is made to the others, each a line.
    fn add(&self, views: &mut View, make: impl FnOnce(&mut View)) {
        let start = views.bytes.len();
        make(views);
        views.close(start, self.deep.view_min);
    }

    /// The lines of a paragraph as one.
    fn joined(&mut self, paragraph: &Text<'_>, views: &mut View) {
        if memchr::memchr(0x1b, paragraph.bytes).is_none() {
            return self.add(views, |views| view::squeezed(paragraph, views));
        }
        let mut visible = self.empty(paragraph);
        view::visible(paragraph, &mut visible);
        self.add(views, |views| view::squeezed(&visible.text(), views));
        self.spare.push(visible);
    }

    /// What is suspicious within lines becomes lines of `views`.
    fn suspects(&mut self, text: &Text<'_>, views: &mut View) {
        let signs = Signs::of(text.bytes);
        if signs.colour {
            self.colours(text, views);
        }
        if signs.escape {
            self.escapes(text, views);
        }
        if signs.x {
            self.prefixed(text, views);
        }
        let (mut patterns, is_thorough) = (Patterns::default(), self.is_thorough);
        sight::see(text.bytes, &mut |seen| match seen {
            Seen::Run { start, end, has_capital, is_hex } => self.run(&text.part(start, end), has_capital, is_hex, views),
            _ if is_thorough => {}
            Seen::Spaced(end) => self.spaced(text, end, &mut patterns, views),
            Seen::Pairs(end) => self.listed(text, end, pattern::is_list_of_pairs, &mut patterns, views),
            Seen::Decimals(end) => self.listed(text, end, pattern::is_list_of_decimals, &mut patterns, views),
        });
        for end in (0..=text.bytes.len()).filter(|_| is_thorough) {
            self.spaced(text, end, &mut patterns, views);
            self.listed(text, end, pattern::is_list_of_pairs, &mut patterns, views);
            self.listed(text, end, pattern::is_list_of_decimals, &mut patterns, views);
        }
    }

    fn colours(&self, text: &Text<'_>, views: &mut View) {
        let mut at = 0;
        while let Some(escape) = memchr::memchr(0x1b, &text.bytes[at..]) {
            let (start, end) = text.line_around(at + escape);
            let line = text.part(start, end);
            if self.may_be_cut(line.bytes) {
                self.add(views, |views| view::visible(&line, views));
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

    fn escapes(&self, text: &Text<'_>, views: &mut View) {
        let mut at = 0;
        while let Some(escape) = memchr::memchr3(b'\\', b'%', b'&', &text.bytes[at..]) {
            let (start, end) = text.line_around(at + escape);
            self.add(views, |views| view::unescaped(&text.part(start, end), views));
            at = end;
        }
    }

    /// Lists of `0x41`.
    fn prefixed(&mut self, text: &Text<'_>, views: &mut View) {
        let mut listed = 0;
        let finder = &self.deep.hex;
        for at in finder.find_iter(text.bytes) {
            let next = text.bytes.get(at + 6..).unwrap_or_default();
            if at >= listed && next.iter().take(3).take_while(|byte| **byte != b'\n').any(|byte| *byte == b'x') {
                let (start, end) = text.line_around(at);
                self.lists(&text.part(start, end), views);
                listed = end;
            }
        }
    }

    /// `s e c r e t`, `s.e.c.r.e.t` and UTF-16: looks closer at the line, once, where that is what the text before `end` shows.
    fn spaced(&self, text: &Text<'_>, end: usize, seen: &mut Patterns, views: &mut View) {
        if end <= seen.spaced_to {
            return;
        }
        let Some(separator) = pattern::spaced(&text.bytes[..end]) else { return };
        let (start, end) = text.line_around(end - 1);
        seen.spaced_to = end;
        let line = text.part(start, end);
        self.add(views, |views| view::squeezed(&line, views));
        if !separator.is_ascii_whitespace() && separator != 0 {
            self.add(views, |views| view::between(&line, separator, views));
        }
    }

    /// As `spaced`, of lists.
    fn listed(&mut self, text: &Text<'_>, end: usize, is_list: impl Fn(&[u8]) -> bool, seen: &mut Patterns, views: &mut View) {
        if end > seen.listed_to && is_list(&text.bytes[..end]) {
            let (start, end) = text.line_around(end - 1);
            seen.listed_to = end;
            self.lists(&text.part(start, end), views);
        }
    }

    fn lists(&mut self, line: &Text<'_>, views: &mut View) {
        if !self.deep.is_ascii || self.is_thorough {
            return self.all_lists(line, views);
        }
        glance::list_rows(line.bytes, self.deep.view_min, &mut |start, end| self.all_lists(&line.part(start, end), views));
    }

    fn all_lists(&mut self, line: &Text<'_>, views: &mut View) {
        let min = self.deep.view_min;
        let mut lists = [(); 3].map(|()| self.empty(line));
        let is_any_longer = view::all_lists(line, min, &mut lists, &mut |list| self.add(views, |views| views.append(list)));
        // Single bytes are the same in either order.
        if is_any_longer || self.is_thorough {
            view::swapped_lists(line, min, &mut lists[0], &mut |list| self.add(views, |views| views.append(list)));
        }
        self.spare.extend(lists);
    }

    /// The rows of a paragraph that begins at `from`: what their digits stand for, in either order, and what they show of it.
    fn dump(&mut self, paragraph: &Text<'_>, from: usize, rows: &[(usize, Columns)]) {
        let [mut views, mut swapped] = [(); 2].map(|()| self.empty(paragraph));
        let mut is_any_longer = false;
        for (line, columns) in rows {
            let at = |column: (usize, usize)| (line - from + column.0, line - from + column.1);
            let (start, end) = at(columns.digits);
            is_any_longer |= view::dumped(&paragraph.part(start, end), &mut views, &mut swapped);
        }
        let min = self.deep.view_min;
        views.close(0, min);
        // Single bytes are the same in either order.
        if is_any_longer {
            self.add(&mut views, |views| views.append(&swapped));
        }
        self.add(&mut views, |views| {
            for (line, columns) in rows {
                views.copy(paragraph, (line - from + columns.characters.0, line - from + columns.characters.1));
            }
        });
        self.spare.push(swapped);
        // What is found in the digits stands in the last row's text too.
        let mut ranges = Vec::new();
        let found = &mut |range| ranges.push(range);
        Search { deep: self.deep, found, is_thorough: self.is_thorough, spare: self.spare }.level(views, 1);
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
    fn run(&self, run: &Text<'_>, has_capital: bool, is_hex: bool, views: &mut View) {
        let Deep { min, view_min, ref gzip, .. } = *self.deep;
        if is_hex {
            view::hex_stretches(run, min, views, &mut |views, start| views.close(start, view_min));
        }
        if !has_capital {
            return;
        }
        if run.bytes.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')) {
            view::base32_texts(run, min, views, &mut |views, start| views.close(start, view_min));
        }
        view::base64_stretches(run, min, views, &mut |views, start| views.close(start, view_min));
        for at in gzip.find_iter(run.bytes) {
            self.add(views, |views| view::gunzipped(&run.part(at, run.bytes.len()), views));
        }
    }
}
