//! What can be taken away on purpose, to show that its absence is noticed.

/// A protection that is missing; the oracles must find every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The store ignores `expected`: two servers write over each other's decisions.
    NoVersionCheck,
    /// Target and router obey late hands.
    NoGenerations,
    /// What can't be asked is taken to be well: instances ready, the route in place, no bad answers.
    UnknownIsGood,
    /// A tick performs its actions first and appends its events then.
    ActBeforeRecord,
    /// A freeze that came between a look and its decision is not heard.
    FreezeUnheard,
}

impl Break {
    pub const ALL: [Break; 5] =
        [Break::NoVersionCheck, Break::NoGenerations, Break::UnknownIsGood, Break::ActBeforeRecord, Break::FreezeUnheard];

    pub fn name(self) -> &'static str {
        match self {
            Break::NoVersionCheck => "no-version-check",
            Break::NoGenerations => "no-generations",
            Break::UnknownIsGood => "unknown-is-good",
            Break::ActBeforeRecord => "act-before-record",
            Break::FreezeUnheard => "freeze-unheard",
        }
    }

    pub fn named(name: &str) -> Option<Break> {
        Break::ALL.into_iter().find(|it| it.name() == name)
    }
}
