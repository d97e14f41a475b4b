//! `plimsoll release history`: a line a release, with how it ended, and what was live when.

use base::Timestamp;
use base::time::format_duration_ms;
use record::StrategyKind;
use release::Outcome;
use serde::Serialize;

use super::release::{mark, what};
use super::{listed, or_above};
use crate::cli::OfDir;
use crate::exit;
use crate::failure::Result;
use crate::server::{HistoryEntry, Span};
use crate::terminal::{Terminal, Tone};
use crate::view::{Mark, marked};
use crate::world;

/// Columns of a commit's title.
const TITLE: usize = 48;

/// An entry with what its line says, for those who don't want to work it out again.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    entry: &'a HistoryEntry,
    ended: String,
    took_ms: Option<u64>,
}

pub async fn history(of: &OfDir, terminal: &Terminal) -> Result<u8> {
    let entries: Vec<HistoryEntry> = listed("history", &of.dir).await?;
    if terminal.json {
        let told = entries.iter().map(|entry| Told { entry, ended: ended(entry), took_ms: took_ms(entry) });
        terminal.json(&told.collect::<Vec<_>>());
        return Ok(exit::OK);
    }
    if entries.is_empty() {
        terminal.data(&or_above(&of.dir, "release history", "no release yet; `plimsoll up` makes the first"));
    }
    for entry in &entries {
        terminal.data(&line(entry, terminal));
    }
    Ok(exit::OK)
}

fn line(entry: &HistoryEntry, terminal: &Terminal) -> String {
    let release = &entry.release;
    let began = release.created.date_and_clock();
    let took = took_ms(entry).map(|took| format!(", took {}", format_duration_ms(took))).unwrap_or_default();
    let lives: String = entry.live.iter().rev().map(|span| format!(" · {}", life(*span, release.created))).collect();
    let mark = if entry.is_live || mark_is_news(entry) { mark(release) } else { Mark::Skipped };
    let strategy = strategy(entry).map(|strategy| format!(" · {strategy}")).unwrap_or_default();
    // A rollback has named it already.
    let revision = release.revision.as_ref().filter(|_| release.commit.is_some()).map(|it| format!(" · revision {it}")).unwrap_or_default();
    let rest = terminal.paint(&format!(" · began {began}{took}{lives}"), Tone::Faint);
    marked(terminal, mark, &format!("release-{:<3} {}{revision}{strategy} · {}{rest}", release.number, title(entry), ended(entry)))
}

/// What was live before is neither good nor bad any more.
fn mark_is_news(entry: &HistoryEntry) -> bool {
    !matches!(entry.release.outcome, Some(Outcome::Promoted { .. } | Outcome::Unchanged { .. }))
}

fn title(entry: &HistoryEntry) -> String {
    let what = what(&entry.release);
    if what.chars().count() <= TITLE { what } else { what.chars().take(TITLE - 1).chain(['…']).collect() }
}

fn strategy(entry: &HistoryEntry) -> Option<&'static str> {
    entry.release.strategy.map(|strategy| match strategy {
        StrategyKind::Canary => "canary",
        StrategyKind::BlueGreen => "blue-green",
        StrategyKind::Rolling => "rolling",
        StrategyKind::Immediate => "at once",
    })
}

/// How it ended, in few words.
fn ended(entry: &HistoryEntry) -> String {
    match &entry.release.outcome {
        None if entry.release.verified.is_some() => "verified, the version before is kept for a while".to_string(),
        None => "under way".to_string(),
        Some(Outcome::Promoted { .. }) => "promoted".to_string(),
        Some(Outcome::Unchanged { .. }) => "was live already".to_string(),
        Some(Outcome::RunFailed { reason }) => format!("failed: {reason}"),
        Some(Outcome::Denied { violations: 1 }) => "denied, for 1 reason".to_string(),
        Some(Outcome::Denied { violations }) => format!("denied, for {violations} reasons"),
        Some(Outcome::Refused { by, .. }) => format!("refused by {by}"),
        Some(Outcome::RolledBack { reason }) if reason.starts_with("aborted by ") => reason.clone(),
        Some(Outcome::RolledBack { reason }) => format!("went back: {}", few_words(reason)),
        Some(Outcome::Failed { reason }) => format!("failed: {}", few_words(reason)),
        Some(Outcome::RollbackFailed { reason }) => format!("the way back failed: {}", few_words(reason)),
        Some(Outcome::Cancelled { by }) => format!("aborted by {by}"),
        Some(Outcome::Superseded { by }) => format!("overtaken by release-{by}"),
    }
}

/// A verdict's four numbers without what was computed of them; of another reason what comes before its details.
pub(super) fn few_words(reason: &str) -> &str {
    let end = reason.find(" → ").or_else(|| reason.find("; ")).unwrap_or(reason.len());
    &reason[..end]
}

fn took_ms(entry: &HistoryEntry) -> Option<u64> {
    entry.release.finished.map(|finished| finished.since_ms(entry.release.created))
}

/// A time of the day on which the release began comes without its day.
fn life(span: Span, began: Timestamp) -> String {
    match span.until {
        None => format!("live from {} ({}), now", span.from.clock(began), format_duration_ms(world::now().since_ms(span.from))),
        Some(until) => {
            format!("live from {} to {} ({})", span.from.clock(began), until.clock(began), format_duration_ms(until.since_ms(span.from)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_in_few_words() {
        let verdict = "Errors: canary 4/146 vs stable 0/1,321 → no ratio, stable had none (99 % CI 1.5–∞); evidence 479 : 1";
        assert_eq!(few_words(verdict), "Errors: canary 4/146 vs stable 0/1,321");
        assert_eq!(few_words("smoke checks failed: GET / answered 500; GET /a answered 500"), "smoke checks failed: GET / answered 500");
        assert_eq!(few_words("instance 0 crashed 3 times"), "instance 0 crashed 3 times");
    }
}
