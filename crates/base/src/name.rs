//! Identifiers: ULIDs inside, because they sort by time and need no coordination.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// The id for a thing made at `now`; `random` is 80 bits of it, the rest is ignored.
            pub fn new(now: Timestamp, random: u128) -> $name {
                $name(Ulid::from_parts(u64::try_from(now.as_ms()).unwrap_or(0), random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ulid::DecodeError;

            fn from_str(text: &str) -> Result<$name, ulid::DecodeError> {
                Ulid::from_string(text).map($name)
            }
        }
    };
}

id! {
    /// One attempt to put a revision into an environment.
    ReleaseId
}
id! {
    /// One execution of one workflow file for one event.
    RunId
}
id! {
    /// A canonical repository and a folder in it.
    ProjectId
}

impl RunId {
    /// As GitHub tells it to workflows: a number that grows, which a double holds exactly. Milliseconds, and three digits of what is random.
    pub fn number(self) -> u64 {
        self.0.timestamp_ms() * 1000 + (self.0.random() % 1000) as u64
    }
}

/// The nearest of `known` to `typed`, for "did you mean"; nothing when none is near.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed_lower = typed.to_lowercase();
    let limit = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edit_distance(&typed_lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let early = ReleaseId::new(Timestamp::from_ms(1), u128::MAX);
        let late = ReleaseId::new(Timestamp::from_ms(2), 0);
        assert!(early < late);
        assert_eq!(late.to_string().parse(), Ok(late));
    }

    #[test]
    fn the_number_of_a_run_grows_and_is_exact_in_a_double() {
        let at = |year: i64, random| RunId::new(Timestamp::from_ms((year - 1970) * 31_556_952_000), random).number();
        assert!(at(2026, 999) < at(2027, 0) && at(2026, 1) != at(2026, 2));
        assert!(at(2250, 999) < 1 << 53, "JavaScript holds it");
    }

    #[test]
    fn suggests_the_nearest_key_only_when_it_is_near() {
        let known = ["runs-on", "needs", "steps", "strategy"];
        assert_eq!(nearest("run-on", known), Some("runs-on"));
        assert_eq!(nearest("setps", known), Some("steps"));
        assert_eq!(nearest("banana", known), None);
    }
}
