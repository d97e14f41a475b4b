//! The battery the mask is measured with: 40 transforms, and secrets as people have them.

use std::fmt::Write as _;

use base::mask::{Mask, STARS};

use crate::lines::{BASE64, HEX, Random, base64, digits, printable};

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const URL_SAFE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const PASSWORD: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!\"#$%&'()*+,-./:;<=>?@[]^_{|}~";

/// A secret of one of the kinds people put into a store.
pub fn secret(random: &mut Random) -> String {
    match random.below(14) {
        0 => format!("ghp_{}", random.text(ALNUM, 36)),
        1 => format!("AKIA{}", random.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        2 => random.text(BASE64, 40),
        3 => random.text(HEX, 32),
        4 => random.text(HEX, 64),
        5 => [8, 4, 4, 4, 12].map(|length| random.text(HEX, length)).join("-"),
        6 => format!("xoxb-{}-{}-{}", random.text("0123456789", 12), random.text("0123456789", 12), random.text(ALNUM, 24)),
        7 | 8 => {
            let length = 10 + random.below(15);
            format!("{}{}{}", random.text(ALNUM, 2), random.text(PASSWORD, length), random.text("0123456789", 1))
        }
        9 => {
            let password = random.text(PASSWORD, 14).replace(['@', '/', ':'], "x");
            format!("postgres://app:{password}@db-{}.internal:5432/shop", random.below(10))
        }
        10 => {
            let words = ["correct", "horse", "battery", "staple", "orange", "window", "planet", "copper", "violin", "meadow"];
            (0..4).map(|_| random.of(&words)).collect::<Vec<_>>().join(random.of(&["-", " ", "_"])) + &random.text("0123456789", 2)
        }
        11 => format!("{}.{}.{}", random.text(URL_SAFE, 36), random.text(URL_SAFE, 74), random.text(URL_SAFE, 43)),
        12 => random.text("ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789äöüß€", 18),
        _ => {
            let rows: Vec<String> = (0..6).map(|_| random.text(BASE64, 64)).collect();
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", rows.join("\n"))
        }
    }
}

/// A way a secret gets into a log.
pub struct Transform {
    pub name: &'static str,
    /// What tools do by themselves, without anybody meaning harm.
    pub accidental: bool,
    /// The text, and how many of its letters and digits aren't the secret's.
    pub write: fn(&str) -> (Vec<u8>, usize),
}

macro_rules! transforms {
    ($($accidental:literal $name:literal $write:expr;)*) => {
        &[$(Transform {
            name: $name,
            accidental: $accidental == 'a',
            write: |secret| {
                let write: fn(&str) -> (_, usize) = $write;
                let (text, spared) = write(secret.trim());
                (Vec::from(text), spared)
            },
        }),*]
    };
}

/// `a`: accidental, `d`: deliberate.
pub const TRANSFORMS: &[Transform] = transforms! {
    'a' "as it is" |s| (s.to_string(), 0);
    'a' "each line, indented" |s| (s.lines().fold(String::new(), |text, line| text + "    | " + line + "\n"), 0);
    'a' "JSON string" |s| (json(s), 0);
    'a' "JSON within JSON" |s| (json(&json(s)), 0);
    'a' "URL component" |s| (percent(s, "-_.~", false), 0);
    'a' "URL component, lower-case" |s| (percent(s, "-_.~", true), 0);
    'a' "HTML form" |s| (percent(s, "-_.*", false).replace("%20", "+"), 0);
    'a' "shell, single quotes" |s| (format!("'{}'", s.replace('\'', "'\\''")), 0);
    'a' "shell, double quotes" |s| (format!("\"{}\"", before_each(s, "\"$`\\")), 0);
    'a' "printf %q" |s| (quoted(s), 0);
    'a' "XML" |s| (xml(s, ["&quot;", "&apos;"]), 0);
    'a' "HTML, numeric" |s| (xml(s, ["&#34;", "&#39;"]), 0);
    'a' "base64" |s| (base64(s.as_bytes()), 2);
    'a' "base64 with a newline" |s| (base64(format!("{s}\n").as_bytes()), 4);
    'a' "base64 of user:secret" |s| (base64(format!("deploy:{s}").as_bytes()), 12);
    'a' "base64url, no padding" |s| (url_safe(s.as_bytes()), 2);
    'a' "base64 in rows of 76" |s| (rows(&base64(document(s).as_bytes()), 76), 89);
    'a' "base64 in rows of 64" |s| (rows(&base64(document(s).as_bytes()), 64), 89);
    'a' "base64 of UTF-16 (PowerShell)" |s| (base64(&utf16(s)), 4);
    'a' "UTF-16" |s| (utf16(s), 0);
    'a' "hex" |s| (hex(s), 0);
    'a' "hex, upper-case" |s| (hex(s).to_uppercase(), 0);
    'a' "hex in rows (xxd -p)" |s| (rows(&hex(s), 60), 0);
    'a' "xxd" |s| (xxd(s), 8);
    'a' "hexdump -C" |s| (hexdump(s), 8);
    'a' "bytes, decimal (JSON of a Buffer)" |s| (each_byte(s, ",", |byte| byte.to_string()), 0);
    'a' "wrapped by a terminal" |s| (rows(s, 20), 0);
    'a' "colour begins in the middle" |s| (in_the_middle(s, "\u{1b}[01;31m\u{1b}[K") + "\u{1b}[m\u{1b}[K", 2);
    'a' "\\x41" |s| (each_byte(s, "", |byte| format!("\\x{byte:02x}")), 0);
    'd' "\\u0041" |s| (s.encode_utf16().fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}")), 0);
    'd' "octal" |s| (each_byte(s, "", |byte| format!("\\{byte:03o}")), 0);
    'd' "0x41, 0x42" |s| (each_byte(s, ", ", |byte| format!("0x{byte:02X}")), 0);
    'd' "base64 twice" |s| (base64(base64(s.as_bytes()).as_bytes()), 8);
    'd' "base32" |s| (base32(s.as_bytes()), 2);
    'd' "gzip and base64" |s| (base64(&gzip(s)), 0);
    'd' "reversed" |s| (s.chars().rev().collect::<String>(), 0);
    'd' "other case" |s| (if s.len() % 2 == 0 { s.to_ascii_uppercase() } else { s.to_ascii_lowercase() }, 0);
    'd' "spaced" |s| (s.chars().fold(String::new(), |text, letter| text + &letter.to_string() + " "), 0);
    'd' "a character a line" |s| (s.chars().fold(String::new(), |text, letter| text + &letter.to_string() + "\n"), 0);
    'd' "base85" |s| (base85(s.as_bytes()), 0);
};

/// Whether the transform of the secret is covered, as part of a log; what is left of it when it isn't.
pub fn is_covered(mask: &Mask, secret: &str, transform: &Transform) -> Result<(), String> {
    let (text, spared) = (transform.write)(secret);
    let (mut stream, mut masked) = (mask.stream(), Vec::new());
    stream.push(&[b"> ", text.as_slice(), b" <\n= =\n"].concat(), &mut masked);
    stream.finish(&mut masked);
    let masked = String::from_utf8_lossy(&masked).into_owned();
    // What the transform adds beside the secret may stay; of the secret nothing but what an edge of it shares with that.
    let left = masked.replace(STARS, "").chars().filter(|letter| letter.is_alphanumeric()).count();
    if masked.contains(STARS) && left <= spared { Ok(()) } else { Err(masked) }
}

fn document(secret: &str) -> String {
    format!("{{\"user\":\"deploy\",\"server\":\"https://registry.internal\",\"auth\":\"{secret}\"}}\n")
}

fn json(text: &str) -> String {
    text.chars().fold(String::new(), |json, letter| match letter {
        '"' => json + "\\\"",
        '\\' => json + "\\\\",
        '\n' => json + "\\n",
        letter => json + &letter.to_string(),
    })
}

fn percent(text: &str, kept: &str, lower: bool) -> String {
    text.bytes().fold(String::new(), |escaped, byte| match char::from(byte) {
        letter if letter.is_ascii_alphanumeric() || kept.contains(letter) => escaped + &letter.to_string(),
        _ if lower => escaped + &format!("%{byte:02x}"),
        _ => escaped + &format!("%{byte:02X}"),
    })
}

fn before_each(text: &str, escaped: &str) -> String {
    text.chars().fold(String::new(), |text, letter| text + if escaped.contains(letter) { "\\" } else { "" } + &letter.to_string())
}

/// As bash does it.
fn quoted(text: &str) -> String {
    if text.contains('\n') || !text.is_ascii() {
        let inner = text.bytes().fold(String::new(), |text, byte| match byte {
            b'\n' => text + "\\n",
            b'\'' => text + "\\'",
            b'\\' => text + "\\\\",
            0x20..0x7f => text + &char::from(byte).to_string(),
            _ => text + &format!("\\{byte:03o}"),
        });
        return format!("$'{inner}'");
    }
    before_each(text, " !\"#$&'()*,;<>?[\\]^`{|}~")
}

fn xml(text: &str, [quote, apostrophe]: [&str; 2]) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', quote).replace('\'', apostrophe)
}

fn url_safe(bytes: &[u8]) -> String {
    digits(bytes, 6, URL_SAFE)
}

fn base32(bytes: &[u8]) -> String {
    let mut text = digits(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    while !text.len().is_multiple_of(8) {
        text.push('=');
    }
    text
}

fn base85(bytes: &[u8]) -> String {
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let mut text = String::new();
    for group in bytes.chunks(4) {
        let word = (0..4).fold(0u32, |word, index| word << 8 | u32::from(*group.get(index).unwrap_or(&0)));
        for power in (5 - group.len() - 1..5).rev().take(group.len() + 1) {
            text.push(char::from(alphabet[(word / 85u32.pow(power as u32) % 85) as usize]));
        }
    }
    text
}

fn hex(text: &str) -> String {
    each_byte(text, "", |byte| format!("{byte:02x}"))
}

fn each_byte(text: &str, between: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect::<Vec<_>>().join(between)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn rows(text: &str, width: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(width).map(|row| row.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
}

fn in_the_middle(text: &str, inserted: &str) -> String {
    let middle = text.chars().count() / 2;
    text.chars()
        .enumerate()
        .fold(String::new(), |text, (index, letter)| text + if index == middle { inserted } else { "" } + &letter.to_string())
}

fn xxd(text: &str) -> String {
    let mut out = String::from("\n");
    for (index, row) in text.as_bytes().chunks(16).enumerate() {
        let pairs: Vec<String> = row.chunks(2).map(|pair| pair.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        writeln!(out, "{:08x}: {:<39}  {}", index * 16, pairs.join(" "), printable(row)).expect("writing to a string does not fail");
    }
    out
}

fn hexdump(text: &str) -> String {
    let mut out = String::from("\n");
    for (index, row) in text.as_bytes().chunks(16).enumerate() {
        let half = |half: &[u8]| half.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let (left, right) = row.split_at(row.len().min(8));
        writeln!(out, "{:08x}  {:<24} {:<24} |{}|", index * 16, half(left), half(right), printable(row))
            .expect("writing to a string does not fail");
    }
    out
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    packed.extend(miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6));
    // Readers of ours don't check the sum.
    packed.extend([0; 4]);
    packed.extend((text.len() as u32).to_le_bytes());
    packed
}
