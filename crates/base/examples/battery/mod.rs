//! The battery the mask is measured with: 40 transforms, secrets as people have them, and lines as tools write them.

use std::fmt::Write as _;

use base::mask::{Mask, STARS};

/// A generator of our own, so that a figure can be repeated anywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    pub fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.below(letters.len())]).collect()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const HEX: &str = "0123456789abcdef";
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

/// Written apart from the code under test, bit by bit.
fn digits(bytes: &[u8], bits: usize, alphabet: &str) -> String {
    let all: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |chunk: &[u8]| (0..bits).fold(0, |value, bit| value << 1 | usize::from(*chunk.get(bit).unwrap_or(&0)));
    all.chunks(bits).map(|chunk| char::from(alphabet.as_bytes()[value(chunk)])).collect()
}

pub fn base64(bytes: &[u8]) -> String {
    let mut text = digits(bytes, 6, BASE64);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
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

fn printable(row: &[u8]) -> String {
    row.iter().map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }).collect()
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

/// A line as compilers, package managers, servers, test runners and dumps write it; none holds a secret.
pub fn line(random: &mut Random, number: usize, out: &mut String) {
    let kind = random.below(LINE_KINDS);
    line_of(kind, random, number, out);
}

pub const LINE_KINDS: usize = 40;

pub fn line_of(kind: usize, random: &mut Random, number: usize, out: &mut String) {
    let word =
        |random: &mut Random| random.of(&["server", "index", "http", "client", "parse", "config", "cache", "worker", "release", "module"]);
    let stamp = format!(
        "2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        1 + random.below(28),
        random.below(24),
        random.below(60),
        random.below(60),
        number % 1000
    );
    let (one, two, three) = (word(random), word(random), word(random));
    let count = random.below(5000);
    match kind {
        0..6 => writeln!(out, "{stamp} INFO  [{one}-{}] com.example.{two}.{three}: processed {count} records in {} ms", count % 16, count % 97),
        6 => writeln!(out, "{{\"time\":\"{stamp}\",\"level\":\"info\",\"msg\":\"{one} {two}\",\"path\":\"/api/v1/{three}/{count}\",\"status\":200,\"took\":0.{count}}}"),
        7 => writeln!(out, "{{\"log\":\"\\u001b[32m{one}\\u001b[0m \\\"{two}\\\" C:\\\\build\\\\{three}\\n\",\"stream\":\"stdout\",\"time\":\"{stamp}\"}}"),
        8..10 => writeln!(out, "\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m {one}-{two} v0.{}.{}", count % 40, count % 9),
        10 => writeln!(out, "\u{1b}[33mwarning\u{1b}[0m: unused variable: `{one}` --> crates/{two}/src/{three}.rs:{count}:{}", count % 80),
        11 => writeln!(out, "npm http fetch GET 200 https://registry.npmjs.org/@{one}/{two}/-/{two}-{}.2.1.tgz {count}ms (cache miss)", count % 9),
        12 => writeln!(out, "      integrity sha512-{}==", random.text(BASE64, 86)),
        13 => writeln!(out, "commit {} Merge pull request #{count} from {one}/{two}", random.text(HEX, 40)),
        14 => writeln!(out, "{}: Pull complete sha256:{}", random.text(HEX, 12), random.text(HEX, 64)),
        15 => writeln!(out, "    at {one}.{two} (/srv/ci/shop/node_modules/{three}/lib/{one}.js:{count}:{})", count % 90),
        16 => writeln!(out, "test {one}::{two}::{three}_is_kept_when_{one}_is_empty ... ok"),
        17 => writeln!(out, "{}/{} [{}{}] {}% {one}", count, 5000, "=".repeat(count / 100), " ".repeat(50 - count / 100), count / 50),
        18 => writeln!(out, "{one:<20} {two:<12} {count:>8} {:>8} {:>6}", count * 3, count % 77),
        19 => writeln!(out, "+ curl -fsSL 'https://{one}.example.com/{two}?q={three}%20{count}&page=2' -o /tmp/{one}.json"),
        20 => writeln!(out, "  {one}: {{ {two}: [{}, {}, {}], {three}: \"{count}\" }},", count % 9, count % 200, count % 31),
        21 => writeln!(out, "Downloading {one}-{two}-{}.{}.{}-py3-none-any.whl (1.{count} MB)", count % 9, count % 7, count % 5),
        22 => writeln!(out, "{}", ["-", "=", "*-", "~", "_."][count % 5].repeat(30 + count % 40)),
        23 => writeln!(out, "id {}-{}-4{}-a{}-{} {one}", random.text(HEX, 8), random.text(HEX, 4), random.text(HEX, 3), random.text(HEX, 3), random.text(HEX, 12)),
        24 => {
            let row = random.bytes(16);
            writeln!(out, "{:08x}: {}  {}", count * 16, row.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect::<Vec<_>>().join(" "), printable(&row))
        }
        25 => writeln!(out, "    {}", random.bytes(15).iter().map(|byte| format!("{byte:02x}:")).collect::<String>()),
        26 => writeln!(out, "{}", random.text(BASE64, 64 + 12 * (count % 2))),
        27 => writeln!(out, "data: {}", base64(format!("{{\"{one}\":\"{two}\",\"{three}\":{count}}}").as_bytes())),
        28 => writeln!(out, "<testcase name=\"{one} &amp; {two}\" classname=\"{three}.Spec&lt;T&gt;\" time=\"0.{count}\"/>"),
        29 => writeln!(out, "  {}\n}}", ["}", "]", "),", "});"][count % 4]),
        30 => writeln!(out, "[{count}, {}, {}, {}, {}, {}, {}]", count % 255, count % 99, count % 13, count % 240, count % 101, count % 32),
        31 => writeln!(out, "Die Prüfung von „{one}“ ist abgeschlossen – {count} Einträge geändert"),
        32 => writeln!(out, "registry.example.com/{one}/{two}/{three}:v{}.{}.{}@sha256:{}", count % 9, count % 7, count % 5, random.text(HEX, 64)),
        33 => writeln!(out, "[{count}] \u{1b}[36m{one}\u{1b}[39m \u{1b}[2m{stamp}\u{1b}[22m {two} \u{1b}[1m{three}\u{1b}[22m {}ms", count % 300),
        34 => writeln!(out, "a b c d e f g {one} x = y + {count} ; i j k"),
        35 => writeln!(out, "E   AssertionError: assert {{'{one}': {count}, '{two}': b'\\x00\\x01\\xff\\x7f'}} == {{'{three}': None}}"),
        _ => writeln!(out, "{stamp} DEBUG {one} {two} {three} finished with status {} after {count} attempts, retrying in {} s", count % 3, count % 60),
    }
    .expect("writing to a string does not fail");
}
