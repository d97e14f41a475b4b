//! Names of jobs and steps.

use std::collections::{BTreeMap, BTreeSet};

/// An id this long or longer is refused.
pub const LENGTH_MAX: usize = 100;

/// Why a job or a step can't be called this; nothing when it can.
pub fn complaint(id: &str) -> Option<String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !id.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') || !id.chars().all(legal) {
        return Some(format!("`{id}` can't be an id: it must start with a letter or `_` and go on with letters, digits, `_` and `-`"));
    }
    if id.len() >= LENGTH_MAX {
        return Some(format!("this id has {} characters, it must have less than {LENGTH_MAX}", id.len()));
    }
    id.starts_with("__").then(|| format!("`{id}` can't be an id: those that start with `__` are kept for generated ones"))
}

/// Ids that are taken, without regard to case, and new ones beside them.
#[derive(Debug, Default)]
pub struct Ids {
    taken: BTreeSet<String>,
    /// The number to try next for a base, so that a thousand steps don't count from one each.
    next: BTreeMap<String, usize>,
}

impl Ids {
    /// Whether it was free.
    pub fn take(&mut self, id: &str) -> bool {
        self.taken.insert(id.to_ascii_lowercase())
    }

    /// `__run`, then `__run_2`: the base made legal, with a number if it is taken.
    pub fn generate(&mut self, base: &str) -> String {
        let legal = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
        let base: String = format!("__{base}").chars().map(legal).collect();
        let mut attempt = self.next.get(&base).copied().unwrap_or(1);
        loop {
            let suffix = if attempt == 1 { String::new() } else { format!("_{attempt}") };
            let id = format!("{}{suffix}", &base[..base.len().min(LENGTH_MAX - suffix.len())]);
            attempt += 1;
            if self.take(&id) {
                self.next.insert(base, attempt);
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_legal_and_unique() {
        let mut ids = Ids::default();
        assert_eq!(ids.generate("run"), "__run");
        assert_eq!(ids.generate("run"), "__run_2");
        assert_eq!(ids.generate("actions/checkout"), "__actions_checkout");
        let long = "x".repeat(200);
        assert_eq!(ids.generate(&long).len(), LENGTH_MAX);
        assert!(ids.generate(&long).ends_with("_2"));
    }
}
