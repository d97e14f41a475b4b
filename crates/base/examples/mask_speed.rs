//! How fast the mask is: a million lines of 80 characters, 50 secrets in all their forms, in chunks of 64 KiB.

use std::fmt::Write as _;
use std::io::Write as _;

use base::mask::Mask;

fn main() -> std::io::Result<()> {
    let mut random = 42u64;
    let mut below = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let mut mask = Mask::new();
    let mut secrets = Vec::new();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+&-";
    for _ in 0..50 {
        let length = 12 + below(30);
        let secret: String = (0..length).map(|_| char::from(alphabet[below(alphabet.len())])).collect();
        mask.add(&secret);
        secrets.push(secret);
    }
    let started = cpu_seconds()?;
    drop(mask.stream());
    let mut table = format!("{mask:?} made ready in {:.1} ms\n", (cpu_seconds()? - started) * 1e3);
    let words =
        ["compiling", "src/main.rs", "warning:", "test", "ok", "0.1.14", "download", "[INFO]", "step", "=>", "/usr/bin/env", "a1f3e9"];
    for (name, every) in [("no secret in the text", usize::MAX), ("a secret in every 100th line", 100), ("a secret in every line", 1)] {
        let mut text = String::new();
        for number in 0..1_000_000usize {
            let mut line = format!("{number} ");
            if number % every == every - 1 {
                line += &secrets[number % secrets.len()];
            }
            while line.len() < 79 {
                line.push(' ');
                line += words[below(words.len())];
            }
            line.truncate(79);
            text += &line;
            text.push('\n');
        }
        for chunk in [64 << 10, 80] {
            let mut stream = mask.stream();
            let mut out = Vec::with_capacity(1 << 20);
            let started = cpu_seconds()?;
            let mut written = 0;
            for bytes in text.as_bytes().chunks(chunk) {
                out.clear();
                stream.push(bytes, &mut out);
                written += out.len();
            }
            let seconds = cpu_seconds()? - started;
            let rate = text.len() as f64 / seconds / 1e6;
            writeln!(table, "{name}, chunks of {chunk}: {seconds:.3} s, {rate:.0} MB/s, {written} bytes out")
                .map_err(std::io::Error::other)?;
        }
    }
    std::io::stdout().write_all(table.as_bytes())
}

/// The time this process has been on a core, which doesn't depend on what else the machine does.
fn cpu_seconds() -> std::io::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or_default();
    Ok(nanoseconds / 1e9)
}
