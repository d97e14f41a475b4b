//! Text in lines, each in bounded memory.

use std::io::{BufRead, Read};

use super::claim::Problem;

/// Hands every line to `take` with its number, without its end; says whether the last one had an end.
pub(crate) fn each_line(
    input: &mut impl BufRead,
    max_bytes: u64,
    mut take: impl FnMut(&str, u64) -> Result<(), Problem>,
) -> Result<bool, Problem> {
    let mut bytes = Vec::new();
    let mut line = 0;
    let mut ended = true;
    loop {
        bytes.clear();
        line += 1;
        let count = input.by_ref().take(max_bytes).read_until(b'\n', &mut bytes).map_err(|_| Problem::at(line, "can't be read on"))?;
        if count == 0 {
            return Ok(ended);
        }
        ended = bytes.last() == Some(&b'\n');
        if count as u64 == max_bytes && !ended {
            return Err(Problem::at(line, format!("has a line longer than {} KiB", max_bytes >> 10)));
        }
        take(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']), line)?;
    }
}
