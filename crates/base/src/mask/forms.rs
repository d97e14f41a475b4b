//! The forms a secret takes on its way into a log: encodings, escapes and quotations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Parts of base64 and hexadecimal digits are looked for only when made of this many bytes: shorter ones meet ordinary words.
pub const DERIVED_MIN_BYTES: usize = 4;

/// What is looked for, made of all secrets.
#[derive(Clone, Default)]
pub(super) struct Forms {
    /// What is looked for in the text as it is.
    pub(super) text: FormSet,
    /// What is looked for in text that has been decoded or put together; only of [distinctive](is_distinctive) secrets.
    pub(super) inner: FormSet,
    /// The distinctive secrets themselves, in lower case and without white space.
    pub(super) plain: BTreeSet<Vec<u8>>,
}

/// Byte strings to find, by their lower-case spelling: one automaton finds those that are sensitive to case and those that aren't.
#[derive(Clone, Default)]
pub(super) struct FormSet(BTreeMap<Vec<u8>, Form>);

#[derive(Clone, Default)]
pub(super) struct Form {
    any_case: bool,
    exact: BTreeSet<Vec<u8>>,
}

impl Form {
    /// Whether `text`, which is this form but for its case, is meant.
    pub(super) fn admits(&self, text: &[u8]) -> bool {
        self.any_case || self.exact.contains(text)
    }
}

impl FormSet {
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|form| form.exact.len() + usize::from(form.any_case)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of their lower-case spellings.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Form)> {
        self.0.iter().map(|(folded, form)| (folded.as_slice(), form))
    }

    fn exact(&mut self, form: impl Into<Vec<u8>>) {
        let form = form.into();
        if !form.is_empty() {
            self.0.entry(form.to_ascii_lowercase()).or_default().exact.insert(form);
        }
    }

    fn any_case(&mut self, form: &str) {
        if !form.is_empty() {
            self.0.entry(form.to_ascii_lowercase().into_bytes()).or_default().any_case = true;
        }
    }
}

/// Adds every form of the secret, and of each of its lines.
pub(super) fn collect(secret: &str, forms: &mut Forms) {
    let whole = secret.trim();
    if whole.is_empty() {
        return;
    }
    collect_text(whole, forms);
    if whole.contains(['\r', '\n']) {
        for line in whole.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            collect_text(line, forms);
        }
    }
}

/// Whether the text is unlike ordinary words, so that finding it in another case, spread out or encoded is no accident.
fn is_distinctive(text: &str) -> bool {
    const MIXED_MIN_BYTES: usize = 6;
    const PLAIN_MIN_BYTES: usize = 12;
    let kinds = [
        text.contains(|letter: char| letter.is_ascii_alphabetic()),
        text.contains(|letter: char| letter.is_ascii_digit()),
        text.contains(|letter: char| !letter.is_ascii_alphanumeric() && !letter.is_whitespace()),
    ];
    let mixed = kinds.into_iter().filter(|kind| *kind).count() > 1;
    // Rulers like `--------` and numbers like `000000000000` are everywhere.
    let different = text.bytes().collect::<BTreeSet<u8>>().len();
    different >= 4 && text.len() >= if mixed { MIXED_MIN_BYTES } else { PLAIN_MIN_BYTES }
}

fn collect_text(text: &str, forms: &mut Forms) {
    forms.text.exact(text.to_string());
    escapes(text, &mut |form| forms.text.exact(form));
    encodings(text, &mut forms.text);
    if is_distinctive(text) {
        forms.text.any_case(text);
        forms.text.exact(text.chars().rev().collect::<String>());
        forms.text.any_case(&rotated(text));
        inner(text, &mut forms.inner);
        if !text.is_ascii() {
            // Decoded text is looked at only when it is ASCII, so that most of what isn't text is left alone.
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            for set in [&mut forms.text, &mut forms.inner] {
                base64_within(&utf16).into_iter().for_each(|form| set.exact(form));
            }
            forms.text.exact(utf16.as_slice());
            // What has been decoded has no line ends.
            if !utf16.contains(&b'\n') {
                forms.inner.exact(utf16);
            }
        }
        forms.plain.insert(squeezed(text).to_ascii_lowercase().into_bytes());
    }
}

/// As text within other text: JSON, XML, URIs, shells, expressions.
fn escapes(text: &str, add: &mut impl FnMut(String)) {
    let json = serde_json::to_string(text).expect("a string is always JSON");
    let json = &json[1..json.len() - 1];
    add(json.to_string());
    add(json.replace('/', "\\/"));
    add(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"));
    add(text.replace('"', "\\\""));

    let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for apostrophe in ["'", "&apos;", "&#39;", "&#x27;"] {
        add(xml.replace('\'', apostrophe));
        add(xml.replace('"', "&quot;").replace('\'', apostrophe));
        add(xml.replace('"', "&#34;").replace('\'', apostrophe));
    }

    for kept in ["-_.~", "-_.~!'()*", "-_.~/"] {
        let escaped = percent(text, kept);
        add(escaped.replace("%20", "+"));
        add(lower_percent(&escaped));
        add(escaped);
    }

    add(text.replace('\'', "''"));
    add(text.replace('\'', "'\\''"));
    add(text.replace('\'', "'\"'\"'"));
    add(backslashed(text));
    if text.len() > 8 {
        let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(inner) = unquoted {
            add(inner.to_string());
        }
    }
    for section in powershell_sections(text).into_iter().flatten() {
        add(section.to_string());
    }
}

/// As bytes: base64 with whatever stands before it, and hexadecimal.
fn encodings(text: &str, forms: &mut FormSet) {
    let bytes = text.as_bytes();
    for offset in 0..3.min(bytes.len()) {
        // What GitHub's runner looks for: it ends with the text, so the last characters are covered with it.
        let to_the_end = base64(&bytes[offset..]);
        if to_the_end.len() > DERIVED_MIN_BYTES || offset == 0 {
            forms.exact(url_safe(&to_the_end).trim_end_matches('=').to_string());
            forms.exact(to_the_end);
        }
    }
    if bytes.len() >= DERIVED_MIN_BYTES {
        for inner in base64_within(bytes) {
            forms.exact(url_safe(&inner));
            forms.exact(inner);
        }
        forms.any_case(&hex(bytes));
    }
}

/// The few forms that are left when escapes have been undone and white space has been taken out.
fn inner(text: &str, forms: &mut FormSet) {
    forms.any_case(&text.replace(['\r', '\n'], ""));
    forms.any_case(&squeezed(text));
    for inner in base64_within(text.as_bytes()) {
        forms.exact(url_safe(&inner));
        forms.exact(inner);
    }
    forms.any_case(&hex(text.as_bytes()));
}

/// The base64 characters that depend on these bytes alone, for each of the three offsets they can have in a longer text.
fn base64_within(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|offset| {
        let padded = [&vec![0; offset], bytes].concat();
        let characters_to = padded.len() * 8 / 6;
        let characters_from = (offset * 8).div_ceil(6);
        base64(&padded)[characters_from..characters_to].to_string()
    })
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let character = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= group.len() { char::from(character) } else { '=' });
        }
    }
    text
}

fn url_safe(base64: &str) -> String {
    base64.replace('+', "-").replace('/', "_")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        hex
    })
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Rot13, because it costs nothing here.
fn rotated(text: &str) -> String {
    let rotate = |letter: char, first: u8| char::from((letter as u8 - first + 13) % 26 + first);
    text.chars()
        .map(|letter| match letter {
            'a'..='z' => rotate(letter, b'a'),
            'A'..='Z' => rotate(letter, b'A'),
            _ => letter,
        })
        .collect()
}

fn percent(text: &str, kept: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string does not fail");
        }
        escaped
    })
}

fn lower_percent(escaped: &str) -> String {
    let mut parts = escaped.split('%');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + "%" + &part[..2].to_lowercase() + &part[2..])
}

/// As `printf %q` writes it.
fn backslashed(text: &str) -> String {
    text.chars().fold(String::new(), |mut quoted, character| {
        if character.is_ascii() && !character.is_ascii_alphanumeric() && !"%+-./:=@_".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
        quoted
    })
}

/// PowerShell colours the part of a failed command from an `&` on, which cuts the secret in two; GitHub's rule.
fn powershell_sections(text: &str) -> [Option<&str>; 2] {
    const SECTION_MIN_BYTES: usize = 6;
    let (first, rest) = match (text.find("&+"), text.rfind('&')) {
        (Some(at), _) => (&text[..at + 2], text.get(at + 3..)),
        (None, Some(at)) => (&text[..=at], text.get(at + 1..)),
        (None, None) => return [None, None],
    };
    [Some(first), rest].map(|section| section.filter(|section| section.len() >= SECTION_MIN_BYTES))
}
