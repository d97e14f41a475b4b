//! Inputs: golden files, changed in ways that keep most of their structure, so that what lies behind the first check is reached.

/// Inputs longer than this teach nothing new, and take long.
const BYTES_MAX: usize = 8 * 1024;

/// A generator of our own, so that a number means the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        // SplitMix64: neighbouring seeds have nothing in common.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

pub struct Seeds {
    texts: Vec<String>,
    /// Every word and value that stands in any of them.
    words: Vec<String>,
}

/// What golden files rarely have in them.
const STRANGE: &[&str] = &[
    "${{",
    "}}",
    "${{ ",
    " }}",
    "'",
    "\"",
    "\\",
    "&a ",
    "*a",
    "<<: ",
    "|",
    ">-",
    "- ",
    ": ",
    "\t",
    "\r",
    "\n",
    "\u{0}",
    "\u{1b}[31m",
    "\u{feff}",
    "ß",
    "\u{1f600}",
    "%0A",
    "%",
    "::",
    "##[",
    "]",
    "[",
    "{",
    "}",
    "#",
    "?",
    "!",
    "**",
    "../",
    "-1",
    "1e400",
    "9223372036854775808",
    "$",
    "\u{2028}",
];

impl Seeds {
    pub fn new(texts: Vec<String>) -> Seeds {
        let mut texts: Vec<String> = texts;
        texts.iter_mut().for_each(shorten);
        let mut words: Vec<String> = texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
        words.sort();
        words.dedup();
        words.retain(|word| word.len() < 80);
        Seeds { texts, words }
    }

    pub fn input(&self, random: &mut Random) -> String {
        let mut text = random.of(&self.texts).clone();
        for _ in 0..=random.below(4) {
            match random.below(12) {
                0..6 => self.change_lines(random, &mut text),
                6..9 => self.change_word(random, &mut text),
                _ => change_bytes(random, &mut text),
            }
        }
        shorten(&mut text);
        text
    }

    fn change_lines(&self, random: &mut Random, text: &mut String) {
        let mut lines: Vec<&str> = text.split('\n').collect();
        let at = random.below(lines.len());
        let other = random.of(&self.texts);
        let strange: Vec<&str> = other.split('\n').collect();
        let moved;
        match random.below(7) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at]),
            2 => lines.insert(at, *random.of(&strange)),
            3 => {
                let with = random.below(lines.len());
                lines.swap(at, with);
            }
            4 => {
                let end = (at + 1 + random.below(6)).min(lines.len());
                let block = lines[at..end].to_vec();
                let to = random.below(lines.len());
                lines.splice(to..to, block);
            }
            5 => {
                moved = format!("{}{}", " ".repeat(random.below(9)), lines[at].trim_start());
                lines[at] = &moved;
            }
            _ => {
                let from = random.below(strange.len());
                let end = (from + 1 + random.below(6)).min(strange.len());
                lines.splice(at..at, strange[from..end].iter().copied());
            }
        }
        *text = lines.join("\n");
    }

    /// Another word in its place, or beside it.
    fn change_word(&self, random: &mut Random, text: &mut String) {
        let starts: Vec<usize> = text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize).collect();
        if starts.is_empty() || self.words.is_empty() {
            return;
        }
        let start = *random.of(&starts);
        let end = text[start..].find(char::is_whitespace).map_or(text.len(), |length| start + length);
        let word = random.of(&self.words);
        match random.below(3) {
            0 => text.replace_range(start..end, word),
            1 => text.insert_str(start, word),
            _ => text.replace_range(start..end, random.of::<&str>(STRANGE)),
        }
    }
}

fn change_bytes(random: &mut Random, text: &mut String) {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    match random.below(5) {
        0 => text.truncate(at),
        1 => text.insert_str(at, random.of::<&str>(STRANGE)),
        2 => text.insert_str(at, &random.of::<&str>(STRANGE).repeat(random.below(200))),
        3 if at < text.len() => drop(text.remove(at)),
        _ => text.insert(at, char::from_u32(random.below(0x11_0000) as u32).unwrap_or('\u{fffd}')),
    }
}

fn shorten(text: &mut String) {
    let mut end = text.len().min(BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}
