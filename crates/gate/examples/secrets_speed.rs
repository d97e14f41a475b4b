//! How fast the look for secrets is: secrets_speed [FILE…]; without files over bytes of its own: text, base64 and noise.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::time::Instant;

use gate::evidence::secrets::scan;

const SIZE: usize = 256 << 20;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    for path in &files {
        measure(path, &std::fs::read(path).unwrap());
    }
    if files.is_empty() {
        let text = include_bytes!("../src/evidence/secrets.rs");
        measure("source code", &text.iter().copied().cycle().take(SIZE).collect::<Vec<u8>>());
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        measure("base64", &(0..SIZE).map(|_| alphabet[next() % 64]).collect::<Vec<u8>>());
        measure("noise", &(0..SIZE).map(|_| next() as u8).collect::<Vec<u8>>());
    }
}

fn measure(what: &str, bytes: &[u8]) {
    let begin = Instant::now();
    let found = scan(bytes).len();
    let seconds = begin.elapsed().as_secs_f64();
    println!("{what}: {:.0} MB/s, {} MB, {found} found", bytes.len() as f64 / 1e6 / seconds, bytes.len() / 1_000_000);
}
