//! What people are called: one person under all their names is one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Names of one person, the name of the record first: `ana: [Ana Beispiel, ana@example.org]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct People(pub BTreeMap<String, BTreeSet<String>>);

impl People {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One person under all their names; someone nobody listed is who they say.
    pub fn person<'a>(&'a self, name: &'a str) -> &'a str {
        let known = self.0.iter().find(|(person, names)| same(person, name) || names.iter().any(|other| same(other, name)));
        known.map_or(name, |(person, _)| person)
    }

    /// Whether both are names of one person.
    pub fn are_one(&self, name: &str, other: &str) -> bool {
        same(self.person(name), self.person(other))
    }

    /// Whether a person is among the names, whichever of theirs stands there.
    pub fn is_among<'n>(&self, name: &str, names: impl IntoIterator<Item = &'n String>) -> bool {
        names.into_iter().any(|other| self.are_one(other, name))
    }
}

/// Names are compared without regard to case: a second person is not made by a capital letter.
pub fn same(left: &str, right: &str) -> bool {
    left.trim().to_lowercase() == right.trim().to_lowercase()
}
