//! Who has to agree before something ships, and whether they have: bound to the bytes and to the rules they agreed to.

use std::collections::{BTreeMap, BTreeSet};

use base::{Digest, People, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commits::Brought;

/// Whose agreement is needed, chosen before a release begins and stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Approvals {
    /// Asked in this order, or all at once.
    pub rules: Vec<Rule>,
    pub in_order: bool,
    /// How long an agreement counts; nothing is for ever.
    pub expires_ms: Option<u64>,
    /// What else those who are asked, and those who ask, are called.
    pub people: People,
}

/// `2 of leads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// As people call them: a team, or names.
    pub name: String,
    pub people: BTreeSet<String>,
    /// At least 1.
    pub count: u32,
    /// Of which releases they are asked; of all where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Of those that bring a breaking change, or may.
    Breaking,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    pub by: String,
    pub agrees: bool,
    /// Of what they were asked about.
    pub about: About,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    pub at: Timestamp,
}

/// What an agreement is bound to: other bytes, or other rules, and it is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub artifact: Digest,
    /// Of the rules and of the policy that allowed it.
    pub plan: Digest,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Until then, where agreements expire.
    Agreed {
        until: Option<Timestamp>,
    },
    /// Somebody who is asked said no.
    Refused {
        by: String,
        comment: String,
    },
    Open {
        missing: Vec<Missing>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub rule: String,
    pub count: u32,
    /// Those who could and haven't yet.
    pub people: BTreeSet<String>,
}

/// Why a vote does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Void {
    OwnChange,
    NotAsked,
    OtherBytes,
    OtherRules,
    Expired,
    /// Said before those who come first had agreed.
    TooEarly,
}

impl Approvals {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Those that are asked of a release.
    #[must_use]
    pub fn of(&self, brought: &Brought) -> Approvals {
        let is_asked = |rule: &&Rule| rule.when != Some(When::Breaking) || brought.breaking() != Some(false);
        Approvals { rules: self.rules.iter().filter(is_asked).cloned().collect(), ..self.clone() }
    }

    /// Neither asks anybody nor knows what anybody is called.
    pub(crate) fn says_nothing(&self) -> bool {
        *self == Approvals::default()
    }

    /// `authors` made the change or asked for the release: theirs is no agreement. Of one person the last word counts, once.
    pub fn standing(&self, votes: &[Vote], authors: &[&str], about: About, now: Timestamp) -> Standing {
        let counted = self.counted(votes, authors, about, now);
        if let Some(vote) = counted.values().find(|vote| !vote.agrees) {
            return Standing::Refused { by: vote.by.clone(), comment: vote.comment.clone() };
        }
        let mut missing = Vec::new();
        for (rule, agreed) in self.rules.iter().zip(self.filled(&counted)) {
            let lacking = rule.count.saturating_sub(u32::try_from(agreed.len()).unwrap_or(u32::MAX));
            if lacking > 0 {
                let may = |name: &&String| !self.is_one_of(authors, name) && !agreed.contains(&self.key(name));
                missing.push(Missing {
                    rule: rule.name.clone(),
                    count: lacking,
                    people: rule.people.iter().filter(may).cloned().collect(),
                });
                if self.in_order {
                    break;
                }
            }
        }
        if !missing.is_empty() {
            return Standing::Open { missing };
        }
        let until = self.expires_ms.and_then(|ms| counted.values().map(|vote| vote.at.plus_ms(ms)).min());
        Standing::Agreed { until }
    }

    /// Why a vote of now would not count; nothing where it does.
    pub fn void(&self, vote: &Vote, votes: &[Vote], authors: &[&str], about: About, now: Timestamp) -> Option<Void> {
        if self.is_one_of(authors, &vote.by) && vote.agrees {
            return Some(Void::OwnChange);
        }
        if !self.rules.iter().any(|rule| self.is_asked(rule, &vote.by)) {
            return Some(Void::NotAsked);
        }
        if vote.about.artifact != about.artifact {
            return Some(Void::OtherBytes);
        }
        if vote.about.plan != about.plan {
            return Some(Void::OtherRules);
        }
        // A clock that jumped back makes a vote of the future, which isn't one of now either.
        if self.expires_ms.is_some_and(|ms| now.since_ms(vote.at) >= ms) {
            return Some(Void::Expired);
        }
        if self.in_order && vote.agrees {
            let counted = self.counted(votes, authors, about, now);
            let filled = self.filled(&counted);
            let open = self.rules.iter().zip(&filled).position(|(rule, agreed)| agreed.len() < rule.count as usize);
            let asked = open.is_none_or(|open| self.is_asked(&self.rules[open], &vote.by));
            return (!asked).then_some(Void::TooEarly);
        }
        None
    }

    /// The last word of each person that counts, by person.
    fn counted<'a>(&self, votes: &'a [Vote], authors: &[&str], about: About, now: Timestamp) -> BTreeMap<String, &'a Vote> {
        let unordered = Approvals { in_order: false, ..self.clone() };
        let mut last: BTreeMap<String, &Vote> = BTreeMap::new();
        for vote in votes {
            if unordered.void(vote, &[], authors, about, now).is_none() {
                last.insert(self.key(&vote.by), vote);
            }
        }
        last
    }

    /// Who agreed, rule by rule: nobody counts for two rules, or four eyes would be two.
    fn filled(&self, counted: &BTreeMap<String, &Vote>) -> Vec<BTreeSet<String>> {
        let mut order: Vec<(&String, &&Vote)> = counted.iter().filter(|(_, vote)| vote.agrees).collect();
        order.sort_by_key(|(_, vote)| vote.at);
        let options = |person: &str| -> Vec<usize> { (0..self.rules.len()).filter(|at| self.is_asked(&self.rules[*at], person)).collect() };
        // Whoever can only stand for one rule is counted before those who could for several: an augmenting path finds the rest.
        let mut filled: Vec<BTreeSet<String>> = vec![BTreeSet::new(); self.rules.len()];
        for (person, _) in &order {
            let mut tried = BTreeSet::new();
            self.place(person, &options, &mut filled, &mut tried);
        }
        filled
    }

    /// Finds a rule for a person, moving others where they can stand for another one (Kuhn's bipartite matching).
    fn place(
        &self,
        person: &str,
        options: &dyn Fn(&str) -> Vec<usize>,
        filled: &mut Vec<BTreeSet<String>>,
        tried: &mut BTreeSet<usize>,
    ) -> bool {
        for at in options(person) {
            if !tried.insert(at) {
                continue;
            }
            if filled[at].len() < self.rules[at].count as usize {
                filled[at].insert(person.to_string());
                return true;
            }
            for other in filled[at].clone() {
                if self.place(&other, options, filled, tried) {
                    filled[at].remove(&other);
                    filled[at].insert(person.to_string());
                    return true;
                }
            }
        }
        false
    }

    fn key(&self, name: &str) -> String {
        self.people.person(name).trim().to_lowercase()
    }

    fn is_asked(&self, rule: &Rule, name: &str) -> bool {
        self.people.is_among(name, &rule.people)
    }

    fn is_one_of(&self, names: &[&str], name: &str) -> bool {
        names.iter().any(|other| self.people.are_one(other, name))
    }
}

impl Rule {
    /// `2 of leads`, `1 of product where the change is breaking`.
    pub fn sentence(&self) -> String {
        let when = if self.when == Some(When::Breaking) { " where the change is breaking" } else { "" };
        format!("{} of {}{when}", self.count, self.name)
    }
}

impl Standing {
    /// What is missing, for people: `1 approval of leads (bo, cy)`.
    pub fn sentence(&self) -> String {
        match self {
            Standing::Agreed { until: None } => "approved".to_string(),
            Standing::Agreed { until: Some(until) } => format!("approved, until {}", until.date_and_clock()),
            Standing::Refused { by, comment } if comment.is_empty() => format!("refused by {by}"),
            Standing::Refused { by, comment } => format!("refused by {by}: {comment}"),
            Standing::Open { missing } => missing.iter().map(Missing::sentence).collect::<Vec<_>>().join(", and "),
        }
    }
}

impl Missing {
    fn sentence(&self) -> String {
        let Missing { rule, count, people } = self;
        let approvals = if *count == 1 { "approval" } else { "approvals" };
        let who = people.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match who {
            who if who.is_empty() => format!("{count} {approvals} of {rule}, and nobody is left who may give it"),
            who if who == *rule => format!("{count} {approvals} of {rule}"),
            who => format!("{count} {approvals} of {rule} ({who})"),
        }
    }
}

impl Void {
    pub fn sentence(self) -> &'static str {
        match self {
            Void::OwnChange => "nobody approves their own change",
            Void::NotAsked => "no rule that is open asks this person",
            Void::OtherBytes => "it is about another artifact",
            Void::OtherRules => "it is about other rules than those that hold",
            Void::Expired => "it has expired",
            Void::TooEarly => "others come first",
        }
    }
}
