//! The forms a secret takes on its way into a log: encodings, escapes and quotations.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Parts of base64 and hexadecimal digits are looked for only when made of this many bytes: shorter ones meet ordinary words.
pub const DERIVED_MIN_BYTES: usize = 4;

/// Adds every form of the secret, and of each of its lines, to `forms`.
pub(super) fn collect(secret: &str, forms: &mut BTreeSet<Vec<u8>>) {
    let whole = secret.trim();
    if whole.is_empty() {
        return;
    }
    let mut add = |form: String| forms.insert(form.into_bytes());
    add(whole.to_string());
    escapes(whole, &mut add);
    encodings(whole, &mut add);
    twice_base64(whole.as_bytes(), &mut add);
    if whole.contains(['\r', '\n']) {
        for line in whole.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            add(line.to_string());
            escapes(line, &mut add);
            encodings(line, &mut add);
        }
    }
}

/// As text within other text: JSON, XML, URIs, shells, expressions.
fn escapes(text: &str, add: &mut impl FnMut(String) -> bool) {
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
        unquoted.map(|inner| add(inner.to_string()));
    }
    for section in powershell_sections(text).into_iter().flatten() {
        add(section.to_string());
    }
}

/// As bytes: base64 with whatever stands before it, and hexadecimal.
fn encodings(text: &str, add: &mut impl FnMut(String) -> bool) {
    let bytes = text.as_bytes();
    for offset in 0..3.min(bytes.len()) {
        // What GitHub's runner looks for: it ends with the text, so the last characters are covered with it.
        let to_the_end = base64(&bytes[offset..]);
        if to_the_end.len() > DERIVED_MIN_BYTES || offset == 0 {
            add(url_safe(&to_the_end).trim_end_matches('=').to_string());
            add(to_the_end);
        }
    }
    if bytes.len() >= DERIVED_MIN_BYTES {
        for inner in base64_within(bytes) {
            add(url_safe(&inner));
            add(inner);
        }
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string does not fail");
            hex
        });
        add(hex.to_uppercase());
        add(hex);
    }
}

fn twice_base64(bytes: &[u8], add: &mut impl FnMut(String) -> bool) {
    if bytes.len() < DERIVED_MIN_BYTES {
        return;
    }
    for once in base64_within(bytes) {
        for twice in base64_within(once.as_bytes()) {
            add(twice);
        }
    }
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
