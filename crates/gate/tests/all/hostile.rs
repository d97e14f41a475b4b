//! Whatever is done to a report, it never says less and is believed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::below::below;
use gate::evidence::{Claim, Reading, read};

/// In formats of lines a cut between two lines may leave a whole report of less: nothing in them says how much there was.
#[test]
fn a_document_that_was_cut_off_anywhere_is_never_believed() {
    let mut documents = 0;
    for (path, bytes) in reports() {
        let end = bytes.trim_ascii_end().len();
        if !matches!(bytes.trim_ascii_start().first(), Some(b'<' | b'{' | b'[')) || is_lines(&bytes) {
            continue;
        }
        documents += 1;
        for part in 1..=60 {
            let cut = &bytes[..(end - 1) * part / 60];
            assert!(!matches!(read("a", cut), Reading::Claims(_)), "{} cut to {} bytes was believed", path.display(), cut.len());
        }
    }
    assert!(documents >= 60, "{documents} documents");
}

#[test]
fn no_damage_makes_a_reader_fall_over() {
    for (path, bytes) in reports() {
        let mut dice = Dice(bytes.len() as u64);
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + dice.below(4) {
                let place = dice.below(damaged.len() as u64) as usize;
                match dice.below(4) {
                    0 => damaged[place] = dice.below(256) as u8,
                    1 => drop(damaged.drain(place..(place + dice.below(40) as usize).min(damaged.len()))),
                    2 => damaged.insert(place, b"\"{}[]<>,:0-"[dice.below(11) as usize]),
                    _ => damaged.extend_from_within(place..),
                }
                if damaged.is_empty() {
                    break;
                }
            }
            if let Reading::Broken(broken) = read(&path.to_string_lossy(), &damaged) {
                assert!(!broken.reason.is_empty() && broken.reason.chars().count() < 1_000, "{}: {}", path.display(), broken.reason);
            }
        }
    }
}

/// Every report of the golden cases that is evidence.
fn reports() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/evidence");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).expect("testdata is there").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    let files = folders.iter().flat_map(|folder| below(folder));
    let mut res: Vec<(PathBuf, Vec<u8>)> = files.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    res.retain(|(_, bytes)| matches!(read("a", bytes), Reading::Claims(claims) if !claims.is_empty()));
    res.sort();
    res
}

/// One JSON document a line.
fn is_lines(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"{") && first.ends_with(b"}") && bytes.trim_ascii_end().len() > first.len()
        || matches!(tool(bytes).as_deref(), Some("TruffleHog"))
}

fn tool(bytes: &[u8]) -> Option<String> {
    match read("a", bytes) {
        Reading::Claims(claims) => claims.into_iter().find_map(|Claim { source, .. }| source.tool),
        _ => None,
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
