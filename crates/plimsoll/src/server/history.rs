//! What was live when, release by release, and which version a way back leads to.

use std::collections::BTreeMap;

use base::Timestamp;
use base::name::{ProjectId, ReleaseId};
use record::{Index, Period, ReleaseEntry};
use rollout::RevisionId;
use serde::{Deserialize, Serialize};

/// One release of the past, or the one under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    #[serde(flatten)]
    pub release: ReleaseEntry,
    /// When what it brought had all the traffic; more than once where a rollback came back to it.
    pub live: Vec<Span>,
    pub is_live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

/// Newest first.
pub fn history(index: &Index, project: Option<ProjectId>) -> Vec<HistoryEntry> {
    let mut live: BTreeMap<ReleaseId, Vec<Span>> = BTreeMap::new();
    // One that is verified has all traffic, though the one before is kept for a while, and is called live until then.
    let verified = |of: &(ProjectId, String)| {
        let here = |entry: &&ReleaseEntry| (entry.project, &entry.environment) == (of.0, &of.1);
        index.releases.values().filter(here).find_map(|entry| Some((entry.id, entry.verified?)))
    };
    for (environment, periods) in &index.lives {
        let takes_over = verified(environment).map(|(_, at)| at);
        for period in periods {
            live.entry(period.release).or_default().push(Span { from: period.from, until: period.until.or(takes_over) });
        }
    }
    for entry in index.releases.values() {
        live.entry(entry.id).or_default().extend(entry.verified.map(|from| Span { from, until: None }));
    }
    let of_project = index.releases.values().filter(|entry| project.is_none_or(|project| project == entry.project));
    of_project
        .rev()
        .map(|entry| {
            let live = live.remove(&entry.id).unwrap_or_default();
            HistoryEntry { release: entry.clone(), is_live: live.iter().any(|span| span.until.is_none()), live }
        })
        .collect()
}

/// The versions that a rollback without a name may go to, the nearest first: those that were live one after another, without any
/// that was itself left by a rollback. A second rollback so goes further back, and never returns to what the first one left.
pub fn ways_back(index: &Index, environment: &(ProjectId, String)) -> Vec<RevisionId> {
    let lives = index.lives.get(environment).map(Vec::as_slice).unwrap_or_default();
    let by_rollback = |period: &Period| index.releases.get(&period.release).is_some_and(|release| release.commit.is_none());
    let mut stack = stack(lives.iter().map(|period| (&period.revision, by_rollback(period))));
    if lives.last().is_some_and(|last| last.until.is_none()) {
        stack.pop();
    }
    stack.into_iter().rev().cloned().collect()
}

/// What is live last, on what it would go back to.
fn stack<'a>(lives: impl Iterator<Item = (&'a RevisionId, bool)>) -> Vec<&'a RevisionId> {
    let mut stack: Vec<&RevisionId> = Vec::new();
    for (revision, by_rollback) in lives {
        match stack.iter().position(|earlier| *earlier == revision) {
            Some(place) if by_rollback => stack.truncate(place + 1),
            Some(place) => {
                stack.remove(place);
                stack.push(revision);
            }
            None => stack.push(revision),
        }
    }
    stack
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a b <a`: `<` came back to it by a rollback; what is answered is the stack.
    fn check(lives: &str, expect: &str) {
        let lives: Vec<(RevisionId, bool)> =
            lives.split(' ').map(|word| (RevisionId(word.trim_start_matches('<').to_string()), word.starts_with('<'))).collect();
        let stack = stack(lives.iter().map(|(revision, by_rollback)| (revision, *by_rollback)));
        assert_eq!(stack.iter().map(|it| it.0.as_str()).collect::<Vec<_>>().join(" "), expect);
    }

    #[test]
    fn what_a_rollback_left_is_no_way_back() {
        check("a", "a");
        check("a b c", "a b c");
        check("a b c <b", "a b");
        check("a b c <b <a", "a");
        check("a b <a c", "a c");
        check("a b <a <b", "a b");
        check("a b a", "b a");
        check("a b c <a b", "a b");
    }
}
