//! Go's coverage profile. Go measures statements, not lines; so do we, and the percentage is that of `go tool cover`.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::claim::{ClaimKind, Parsed, Problem, percent, shorten};
use super::lines::each_line;

const LINE_MAX_BYTES: u64 = 64 << 10;
/// Of one program, each counted once; a million lines of Go have a tenth of that.
const BLOCKS_MAX: usize = 2_000_000;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut profile = Profile::default();
    let ended = each_line(input, LINE_MAX_BYTES, |text, line| profile.take(text, line))?;
    if !ended {
        return Err(Problem::new("ends in the middle of a line"));
    }
    let (lines_covered, lines_total) = profile.totals();
    if lines_total == 0 {
        return Err(Problem::new("measured no statement at all"));
    }
    let kind = ClaimKind::Coverage { lines_covered, lines_total, percent: percent(lines_covered, lines_total) };
    Ok(vec![Parsed { kind, tool: Some("go test".to_string()), tool_version: None, line: None }])
}

/// Profiles of several packages name a block several times: it is covered when any of them hit it.
#[derive(Debug, Default)]
struct Profile {
    files: BTreeMap<String, Vec<Block>>,
    blocks: usize,
    /// How many they may be before the same ones are put together again.
    room: usize,
}

/// Ordered by place, then by hit, so that of equal places the hit sorts last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    place: [u32; 4],
    statements: u32,
    hit: bool,
}

impl Profile {
    fn take(&mut self, text: &str, line: u64) -> Result<(), Problem> {
        let text = text.trim();
        if text.is_empty() || text.starts_with("mode: ") {
            return Ok(());
        }
        let (file, block) =
            block(text).ok_or_else(|| Problem::at(line, format!("says `{}`, which is no block of a profile", shorten(text, 100))))?;
        match self.files.get_mut(file) {
            Some(blocks) => blocks.push(block),
            None => {
                self.files.insert(file.to_string(), vec![block]);
            }
        }
        self.blocks += 1;
        if self.blocks > self.room {
            self.unite();
            if self.blocks > BLOCKS_MAX {
                return Err(Problem::at(line, format!("has more than {BLOCKS_MAX} blocks")));
            }
            self.room = self.blocks * 2 + 10_000;
        }
        Ok(())
    }

    fn unite(&mut self) {
        for blocks in self.files.values_mut() {
            blocks.sort_unstable();
            blocks.reverse();
            blocks.dedup_by_key(|block| (block.place, block.statements));
        }
        self.blocks = self.files.values().map(Vec::len).sum();
    }

    fn totals(mut self) -> (u64, u64) {
        self.unite();
        let (mut covered, mut total) = (0, 0);
        for blocks in self.files.into_values() {
            for block in blocks {
                total += u64::from(block.statements);
                covered += if block.hit { u64::from(block.statements) } else { 0 };
            }
        }
        (covered, total)
    }
}

/// `path:line.column,line.column statements hits`; a path may hold colons and spaces.
fn block(text: &str) -> Option<(&str, Block)> {
    let (rest, hits) = text.rsplit_once(' ')?;
    let (rest, statements) = rest.rsplit_once(' ')?;
    let (file, place) = rest.rsplit_once(':')?;
    let (from, to) = place.split_once(',')?;
    let (from_line, from_column) = from.split_once('.')?;
    let (to_line, to_column) = to.split_once('.')?;
    let number = |text: &str| text.parse::<u32>().ok();
    let place = [number(from_line)?, number(from_column)?, number(to_line)?, number(to_column)?];
    Some((file, Block { place, statements: number(statements)?, hit: hits.parse::<u64>().ok()? > 0 }))
}
