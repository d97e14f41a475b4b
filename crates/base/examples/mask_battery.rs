//! How much the mask finds: 40 transforms of 10,000 secrets, masked by fifty; how often it covers what is none, and how fast it is.
//!
//! `cargo run --release -p base --example mask_battery [SECRETS] [LINES] [MISSED]`, where MISSED is how many to show of the accidental ones that weren't found.

mod battery;
#[path = "battery/lines.rs"]
mod lines;
#[path = "battery/speed.rs"]
mod speed;

use std::fmt::Write as _;
use std::io::Write as _;

use base::mask::{Mask, STARS};
use battery::{TRANSFORMS, is_covered, secret};
use lines::{Random, line};

fn main() -> std::io::Result<()> {
    let argument = |index: usize, default: usize| std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (secrets_count, lines_count) = (argument(1, 10_000), argument(2, 1_000_000));
    let mut random = Random(7);
    let secrets: Vec<String> = (0..secrets_count).map(|_| secret(&mut random)).collect();
    let (mut missed, missed_max) = (Vec::new(), argument(3, 0));
    let mut covered = vec![0usize; TRANSFORMS.len()];
    for group in secrets.chunks(50) {
        let mut mask = Mask::new();
        group.iter().for_each(|secret| mask.add(secret));
        for secret in group {
            for (covered, transform) in covered.iter_mut().zip(TRANSFORMS) {
                match is_covered(&mask, secret, transform) {
                    Ok(()) => *covered += 1,
                    Err(left) if (transform.accidental || missed_max > 5_000) && missed.len() < missed_max => {
                        missed.push((transform.name, secret, left))
                    }
                    Err(_) => {}
                }
            }
        }
    }
    let mut table = String::new();
    for (name, secret, left) in missed {
        writeln!(table, "{name}: {secret:?} was left as {left:?}").map_err(std::io::Error::other)?;
    }
    let share = |covered: usize, all: usize| 100.0 * covered as f64 / all as f64;
    for (covered, transform) in covered.iter().zip(TRANSFORMS) {
        let kind = if transform.accidental { "accidental" } else { "deliberate" };
        writeln!(table, "| {} | {kind} | {:.2} % |", transform.name, share(*covered, secrets.len())).map_err(std::io::Error::other)?;
    }
    for (name, only_accidental) in [("all accidental", true), ("the whole battery", false)] {
        let chosen = TRANSFORMS.iter().zip(&covered).filter(|(transform, _)| transform.accidental || !only_accidental);
        let (count, sum) = chosen.fold((0, 0), |(count, sum), (_, covered)| (count + 1, sum + covered));
        writeln!(table, "| **{name}** | {count} transforms | **{:.3} %** |", share(sum, count * secrets.len()))
            .map_err(std::io::Error::other)?;
    }

    let mut mask = Mask::new();
    secrets.iter().take(50).for_each(|secret| mask.add(secret));
    let mut text = String::new();
    (0..lines_count).for_each(|number| line(&mut random, number, &mut text));
    let mut false_masks = 0;
    let seconds = speed::seconds(&mask, &text, 64 << 10, |out| false_masks += memchr::memmem::find_iter(out, STARS).count())?;
    writeln!(
        table,
        "\n{false_masks} false masks in {lines_count} lines; {:.0} MB/s with {mask:?} of 50 secrets",
        text.len() as f64 / seconds / 1e6
    )
    .map_err(std::io::Error::other)?;
    std::io::stdout().write_all(table.as_bytes())
}
