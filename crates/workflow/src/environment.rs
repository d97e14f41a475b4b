//! What protects an environment, as GitHub's rules do: who reviews, how long a job waits, and which branches and tags may deliver there.

mod pattern;

use std::collections::{BTreeMap, BTreeSet};

use base::name::RunId;
use base::people::same;
use base::time::format_duration_ms;
use base::{People, Timestamp};
use serde::{Deserialize, Serialize};

pub use pattern::is_closed;
pub(crate) use pattern::matches;

/// As many as may be asked for a review; GitHub's limit.
pub const REVIEWERS_MAX: usize = 6;

/// Thirty days, the longest timer; GitHub's limit.
pub const WAIT_TIMER_MAX_MINUTES: u64 = 43_200;

/// A job that nobody has reviewed by then fails; GitHub's thirty days.
pub const REVIEW_DEADLINE_MS: u64 = 30 * 24 * 3_600_000;

/// What a project says of the environments that its jobs name, chosen before the run and stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environments {
    /// By name; one that isn't here asks for nothing.
    pub protections: BTreeMap<String, Protection>,
    /// What else those who review, and those who ask, are called.
    pub people: People,
    /// On somebody's own machine nobody can be asked: jobs run that deliver to these, whatever protects them, and no others do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Protection {
    /// One of them is enough; nobody is asked where there is none.
    pub reviewers: Vec<Reviewer>,
    /// Whoever asked for the run can't say yes to it.
    pub prevent_self_review: bool,
    /// So long a job waits at least.
    pub wait_timer_ms: u64,
    /// Which branches and tags may deliver there; nothing for all of them.
    pub refs: Option<Refs>,
}

/// A person, or a team with those who are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewer {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<BTreeSet<String>>,
}

/// Patterns as Ruby's `File.fnmatch` with `FNM_PATHNAME` reads them: `*` stays within a part, `**/` goes over several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refs {
    pub branches: Vec<String>,
    pub tags: Vec<String>,
}

/// What somebody said of an environment: about one run of one commit, and the jobs that waited then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub environment: String,
    pub run: RunId,
    pub sha: String,
    /// The keys of the jobs that it is about.
    pub jobs: Vec<String>,
    pub by: String,
    pub agrees: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    pub at: Timestamp,
}

impl Environments {
    pub fn says_nothing(&self) -> bool {
        *self == Environments::default()
    }

    /// What protects an environment; names are the same in whatever case they are written.
    pub fn protection(&self, environment: &str) -> Option<&Protection> {
        self.protections.iter().find(|(name, _)| same(name, environment)).map(|(_, protection)| protection)
    }

    /// Whether jobs of this environment run on somebody's own machine; nothing where that isn't the question.
    pub fn runs_here(&self, environment: &str) -> Option<bool> {
        self.only.as_ref().map(|only| only.iter().any(|name| same(name, environment)))
    }
}

impl Protection {
    /// Whether a job waits for something; a branch that may not deliver is refused at once.
    pub fn holds(&self) -> bool {
        !self.reviewers.is_empty() || self.wait_timer_ms > 0
    }

    /// All that it asks, in a few words; nothing where it asks for nothing.
    pub fn sentence(&self, people: &People, asked_by: &str) -> Option<String> {
        let who = || self.who(people, asked_by).unwrap_or("nobody who is left".to_string());
        let review = (!self.reviewers.is_empty()).then(|| format!("a review by {}", who()));
        let timer = (self.wait_timer_ms > 0).then(|| format!("a timer of {}", format_duration_ms(self.wait_timer_ms)));
        let refs = self.refs.as_ref().map(|refs| refs.sentence(""));
        let parts: Vec<String> = [review, timer, refs].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Why nothing of this branch or tag may be delivered there, without a full stop; nothing where it may.
    pub fn refuses(&self, environment: &str, git_ref: &str) -> Option<String> {
        let refs = self.refs.as_ref()?;
        let (name, patterns) = match (git_ref.strip_prefix("refs/heads/"), git_ref.strip_prefix("refs/tags/")) {
            (Some(branch), _) => (branch, &refs.branches),
            (None, Some(tag)) => (tag, &refs.tags),
            // `refs/pull/7/merge` is named in full, as on GitHub.
            (None, None) => (git_ref, &refs.branches),
        };
        if patterns.iter().any(|pattern| pattern::matches(pattern, name)) {
            return None;
        }
        let is_tag = git_ref.starts_with("refs/tags/");
        let what = if is_tag { format!("the tag {name}") } else { name.to_string() };
        let branches = if is_tag { "the branches " } else { "" };
        Some(format!("{what} is not allowed to deploy to {environment}: {}", refs.sentence(branches)))
    }

    /// Whether this person is one of those who are asked.
    pub fn asks(&self, people: &People, name: &str) -> bool {
        self.reviewers.iter().any(|reviewer| reviewer.is(people, name))
    }

    /// Who may say yes to what `asked_by` asked for: `alice or the team ops`; nothing where nobody is left.
    pub fn who(&self, people: &People, asked_by: &str) -> Option<String> {
        let may = |reviewer: &&Reviewer| !self.prevent_self_review || reviewer.names().any(|name| !people.are_one(name, asked_by));
        let names: Vec<String> = self.reviewers.iter().filter(may).map(Reviewer::shown).collect();
        let (last, before) = names.split_last()?;
        Some(if before.is_empty() { last.clone() } else { format!("{} or {last}", before.join(", ")) })
    }
}

impl Reviewer {
    /// Under all of the names that stand there.
    pub fn people(&self) -> BTreeSet<String> {
        self.names().cloned().collect()
    }

    fn is(&self, people: &People, name: &str) -> bool {
        self.names().any(|own| people.are_one(own, name))
    }

    fn names(&self) -> Box<dyn Iterator<Item = &String> + '_> {
        match &self.team {
            None => Box::new(std::iter::once(&self.name)),
            Some(team) => Box::new(team.iter()),
        }
    }

    /// `alice`, `the team ops`.
    pub fn shown(&self) -> String {
        if self.team.is_some() { format!("the team {}", self.name) } else { self.name.clone() }
    }
}

impl Refs {
    fn sentence(&self, before_branches: &str) -> String {
        match (self.branches.join(", "), self.tags.join(", ")) {
            (branches, tags) if branches.is_empty() && tags.is_empty() => "nothing is".to_string(),
            (branches, tags) if tags.is_empty() => format!("only {before_branches}{branches}"),
            (branches, tags) if branches.is_empty() => format!("only the tags {tags}"),
            (branches, tags) => format!("only {before_branches}{branches} and the tags {tags}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(name: &str, people: &[&str]) -> Reviewer {
        Reviewer { name: name.to_string(), team: Some(people.iter().map(ToString::to_string).collect()) }
    }

    fn person(name: &str) -> Reviewer {
        Reviewer { name: name.to_string(), team: None }
    }

    #[test]
    fn who_may_review_is_told_without_whoever_asked() {
        let people = People([("ana".to_string(), ["ana@example.org".to_string()].into())].into());
        let who = |reviewers: &[Reviewer], prevent_self_review: bool, asked_by: &str| {
            let protection = Protection { reviewers: reviewers.to_vec(), prevent_self_review, ..Protection::default() };
            protection.who(&people, asked_by).unwrap_or("nobody".to_string())
        };
        let all = [person("ana"), team("ops", &["bo", "ana"])];
        assert_eq!(who(&all, false, "ana"), "ana or the team ops");
        assert_eq!(who(&all, true, "ana@example.org"), "the team ops");
        assert_eq!(who(&[person("Ana")], true, "ana"), "nobody");
        assert_eq!(who(&[person("ana"), person("bo"), person("cy")], true, "dee"), "ana, bo or cy");
    }

    #[test]
    fn all_that_is_asked_in_a_few_words() {
        let refs = Some(Refs { branches: vec!["main".to_string()], tags: Vec::new() });
        let all = Protection { reviewers: vec![person("ana")], prevent_self_review: true, wait_timer_ms: 1_800_000, refs };
        let people = People::default();
        assert_eq!(all.sentence(&people, "bo").as_deref(), Some("a review by ana, a timer of 30m, only main"));
        assert_eq!(all.sentence(&people, "ana").as_deref(), Some("a review by nobody who is left, a timer of 30m, only main"));
        assert_eq!(Protection::default().sentence(&people, "ana"), None);
    }

    #[test]
    fn branches_tags_and_what_is_neither() {
        let refuses = |branches: &[&str], tags: &[&str], git_ref: &str| {
            let own = |all: &[&str]| all.iter().map(ToString::to_string).collect();
            let refs = Some(Refs { branches: own(branches), tags: own(tags) });
            Protection { refs, ..Protection::default() }.refuses("production", git_ref).unwrap_or("may".to_string())
        };
        assert_eq!(refuses(&["main"], &[], "refs/heads/main"), "may");
        assert_eq!(refuses(&["release/*"], &[], "refs/heads/main"), "main is not allowed to deploy to production: only release/*");
        // A tag called like a branch is none.
        assert_eq!(refuses(&["v1"], &[], "refs/tags/v1"), "the tag v1 is not allowed to deploy to production: only the branches v1");
        assert_eq!(refuses(&["main"], &["v*"], "refs/heads/v1"), "v1 is not allowed to deploy to production: only main and the tags v*");
        assert_eq!(refuses(&[], &["v*"], "refs/tags/v1.2"), "may");
        assert_eq!(refuses(&["refs/pull/*/merge"], &[], "refs/pull/7/merge"), "may");
        assert_eq!(refuses(&["*"], &[], "refs/pull/7/merge"), "refs/pull/7/merge is not allowed to deploy to production: only *");
        assert_eq!(refuses(&[], &[], "refs/heads/main"), "main is not allowed to deploy to production: nothing is");
    }
}
