//! The branch that a commit is on, as its forge has it: whether it is protected, and whether the checks it requires have passed.

mod answers;

use std::collections::BTreeMap;

use base::number::counted;
use serde::{Deserialize, Serialize};

use crate::slo::WhenUnknown;

pub use answers::{Page, Ran, Requires, Told, branch, brings_more, reviews, rules, runs, statuses};

/// Whom to ask, and what to make of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// A repository in the API of GitHub, Gitea or Forgejo: `https://api.github.com/repos/OWNER/REPOSITORY`.
    pub url: String,
    /// The secret that the forge is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub unknown: WhenUnknown,
    /// Checks that must have passed whatever the branch requires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// So many people must have agreed before anything is merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviews: Option<u64>,
}

/// One branch, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    pub branch: String,
    pub protected: bool,
    /// Why the commit is not on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    pub required_checks: Vec<RequiredCheck>,
    /// There where the project asks for some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviews: Option<Reviews>,
}

/// How many people must agree before anything is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviews {
    /// By the branch.
    pub required: u64,
    /// By the project.
    pub asked: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredCheck {
    pub name: String,
    /// For the commit that ships.
    pub state: State,
}

/// The later is the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Passed,
    Pending,
    Failed,
    /// Nobody has reported it.
    Absent,
}

impl Branch {
    /// Each required check once, as bad as any report of it.
    pub fn of(name: &str, protected: bool, absent: Option<String>, required: &[Requires], ran: &[Ran]) -> Branch {
        let mut states: BTreeMap<&str, State> = BTreeMap::new();
        for requires in required {
            let state = states.entry(&requires.check).or_insert(State::Passed);
            *state = (*state).max(requires.state(ran));
        }
        let required_checks = states.into_iter().map(|(name, state)| RequiredCheck { name: name.to_string(), state }).collect();
        Branch { branch: name.to_string(), protected, absent, required_checks, reviews: None }
    }

    /// What stands against a release; where the commit is not on the branch, nothing is said of its checks.
    pub fn against(&self) -> Vec<String> {
        let mut against = Vec::new();
        if !self.protected {
            against.push(format!("branch {} is not protected", self.branch));
        }
        if let Some(Reviews { required, asked }) = self.reviews.filter(|it| it.required < it.asked) {
            against.push(format!("branch {} requires {}, at least {asked} is asked", self.branch, counted(required as usize, "review")));
        }
        if let Some(why) = &self.absent {
            against.push(format!("what ships is not on branch {}: {why}", self.branch));
            return against;
        }
        let open = self.required_checks.iter().filter(|check| check.state != State::Passed);
        against.extend(open.map(|check| format!("the required check `{}` {}", check.name, check.state.words())));
        against
    }

    /// `branch main is protected, and build and test have passed`, with the checks in backticks; or all that is against it.
    pub fn sentences(&self) -> Vec<String> {
        let against = self.against();
        if !against.is_empty() {
            return against;
        }
        let checks: Vec<String> = self.required_checks.iter().map(|check| format!("`{}`", check.name)).collect();
        let checks = match checks.as_slice() {
            [] => ", and requires no check".to_string(),
            checks => format!(", and what it requires has passed: {}", checks.join(", ")),
        };
        vec![format!("branch {} is protected{checks}", self.branch)]
    }
}

impl State {
    fn words(self) -> &'static str {
        match self {
            State::Passed => "has passed",
            State::Pending => "has not ended",
            State::Failed => "has failed",
            State::Absent => "has not run for this commit",
        }
    }
}
