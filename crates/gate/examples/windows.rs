//! Whether calendars are open at instants, for `e2e/windows/compare.py`: a line in JSON in, a letter for each instant out.

use std::io::{BufRead, BufWriter, Write};

use base::Timestamp;
use gate::window::{Calendar, Closed, State};
use serde::Deserialize;

#[derive(Deserialize)]
struct Asked {
    calendar: Calendar,
    /// Milliseconds since 1970.
    at: Vec<i64>,
}

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let asked: Asked = serde_json::from_str(&line?)?;
        let letters = asked.at.iter().map(|at| letter(&asked.calendar.state(&[], Timestamp::from_ms(*at))));
        writeln!(out, "{}", letters.collect::<String>())?;
    }
    out.flush()
}

fn letter(state: &State) -> char {
    match state {
        State::Open { .. } => 'o',
        State::Closed { why: Closed::Week, .. } => 'w',
        State::Closed { why: Closed::Holiday { .. }, .. } => 'h',
        State::Closed { why: Closed::Freeze { .. }, .. } => 'f',
    }
}
