//! How fast the mask is: a million lines of 80 characters, 50 secrets in all their forms, in chunks of 64 KiB and line by line;
//! and lines of each kind that tools write.
//!
//! `cargo run --release -p base --example mask_speed [LINES OF EACH KIND] [ONLY THIS KIND]`

#[path = "battery/lines.rs"]
mod lines;
#[path = "battery/speed.rs"]
mod speed;

use std::fmt::Write as _;
use std::io::{self, Write as _};

use base::mask::Mask;
use lines::{LINE_KINDS, Random, line, line_of};

fn main() -> io::Result<()> {
    let argument = |index: usize| std::env::args().nth(index).and_then(|text| text.parse().ok());
    let (lines_count, only) = (argument(1).unwrap_or(100_000), argument(2));
    let mut random = Random(42);
    let secrets: Vec<String> = (0..50)
        .map(|_| {
            let length = 12 + random.below(30);
            random.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+&-", length)
        })
        .collect();
    let (mut mask, repeats) = (Mask::new(), 100);
    let started = speed::cpu_seconds()?;
    for _ in 0..repeats {
        mask = Mask::new();
        secrets.iter().for_each(|secret| mask.add(secret));
        drop(mask.stream());
    }
    let mut table = format!("{mask:?} made ready in {:.2} ms\n", (speed::cpu_seconds()? - started) / f64::from(repeats) * 1e3);
    if let Some(kind) = only {
        measure_kind(kind, &mask, &mut random, lines_count, &mut table)?;
        return io::stdout().write_all(table.as_bytes());
    }
    for (name, every) in [("no secret in the text", usize::MAX), ("a secret in every 100th line", 100), ("a secret in every line", 1)] {
        let text = ordinary(&mut random, &secrets, every);
        for chunk in [64 << 10, 80] {
            measure(&mask, &text, chunk, &format!("{name}, chunks of {chunk}"), &mut table)?;
        }
    }
    measure(&mask, &letters(&mut random), 64 << 10, "letters and few spaces", &mut table)?;
    let mut text = String::new();
    (0..1_000_000).for_each(|number| line(&mut random, number, &mut text));
    measure(&mask, &text, 64 << 10, "lines of all kinds", &mut table)?;
    for kind in 0..LINE_KINDS {
        measure_kind(kind, &mask, &mut random, lines_count, &mut table)?;
    }
    io::stdout().write_all(table.as_bytes())
}

fn measure_kind(kind: usize, mask: &Mask, random: &mut Random, lines_count: usize, table: &mut String) -> io::Result<()> {
    let mut text = String::new();
    (0..lines_count).for_each(|number| line_of(kind, random, number, &mut text));
    let name: String = text.lines().next().unwrap_or_default().escape_debug().take(40).collect();
    measure(mask, &text, 64 << 10, &format!("{kind:2} {name:40}"), table)
}

fn measure(mask: &Mask, text: &str, chunk_bytes: usize, name: &str, table: &mut String) -> io::Result<()> {
    let mut written = 0;
    let seconds = speed::seconds(mask, text, chunk_bytes, |out| written += out.len())?;
    let rate = text.len() as f64 / seconds / 1e6;
    writeln!(table, "{name}: {seconds:.3} s, {rate:.0} MB/s, {written} bytes out").map_err(io::Error::other)
}

/// A million lines as `bench/run` prints them: longer words than people write, and every line begins as a row of a dump does.
fn letters(random: &mut Random) -> String {
    let mut text = String::new();
    for number in 0..1_000_000 {
        let letters = random.text("abcdefghij klmnopqrst", 71);
        writeln!(text, "{number:08} {letters}").expect("text is written to memory");
    }
    text
}

/// A million lines of 80 characters; every so many-th holds a secret.
fn ordinary(random: &mut Random, secrets: &[String], every: usize) -> String {
    let words =
        ["compiling", "src/main.rs", "warning:", "test", "ok", "0.1.14", "download", "[INFO]", "step", "=>", "/usr/bin/env", "a1f3e9"];
    let mut text = String::new();
    for number in 0..1_000_000usize {
        let mut line = format!("{number} ");
        if number % every == every - 1 {
            line += &secrets[number % secrets.len()];
        }
        while line.len() < 79 {
            line.push(' ');
            line += random.of(&words);
        }
        line.truncate(79);
        text += &line;
        text.push('\n');
    }
    text
}
