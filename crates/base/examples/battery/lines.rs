//! Lines as tools write them.

use std::fmt::Write as _;

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

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    pub fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

pub const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub const HEX: &str = "0123456789abcdef";

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

pub fn printable(row: &[u8]) -> String {
    row.iter().map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }).collect()
}

pub fn base64(bytes: &[u8]) -> String {
    let mut text = digits(bytes, 6, BASE64);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Written apart from the code under test, bit by bit.
pub fn digits(bytes: &[u8], bits: usize, alphabet: &str) -> String {
    let all: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |chunk: &[u8]| (0..bits).fold(0, |value, bit| value << 1 | usize::from(*chunk.get(bit).unwrap_or(&0)));
    all.chunks(bits).map(|chunk| char::from(alphabet.as_bytes()[value(chunk)])).collect()
}
