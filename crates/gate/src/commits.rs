//! The commits that a release brings, and what their messages say of it.

mod conventional;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use conventional::{Message, is_breaking, parse};

use crate::incident::plain;

/// What a release brings, as it was when somebody asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The commit that was live; nothing where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Newest first.
    pub commits: Vec<Told>,
    /// Why these are not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// One commit, and what its message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub sha: String,
    /// Its first line.
    pub subject: String,
    pub author: String,
    /// In lower case; nothing where the message is not conventional.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub breaking: bool,
    /// Nobody wrote the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_git: Option<ByGit>,
    /// Why the message is not conventional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_false(it: &bool) -> bool {
    !*it
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByGit {
    Merge,
    Revert,
}

/// What a project asks of its messages; whatever is empty is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Characters of a first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_max: Option<u64>,
}

/// By how much a version rises, as SemVer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    None,
    Patch,
    Minor,
    Major,
    /// Some commits don't say.
    Unknown,
}

/// Whoever brings more at once reads them himself.
pub const COMMITS_MAX: usize = 1_000;

/// Of a longer first line the rest is not kept.
pub const SUBJECT_MAX: u64 = 200;

impl Brought {
    /// Whether users have to change something; nothing where some commits don't say.
    pub fn breaking(&self) -> Option<bool> {
        let breaks = self.commits.iter().any(|told| told.breaking);
        let is_known = self.unread.is_none() && self.commits.iter().all(|told| told.wrong.is_none());
        if breaks || is_known { Some(breaks) } else { None }
    }

    /// What the commits ask for.
    pub fn step(&self) -> Step {
        match self.breaking() {
            Some(true) => Step::Major,
            None => Step::Unknown,
            Some(false) => self.commits.iter().map(Told::step).max().unwrap_or(Step::None),
        }
    }

    /// As policies see it.
    pub(crate) fn change(&self) -> Value {
        let mut change = json!({ "breaking": self.breaking() == Some(true), "step": self.step() });
        if let Some(since) = &self.since {
            change["since"] = json!(since);
        }
        if let Some(unread) = &self.unread {
            change["unread"] = json!(unread);
        }
        change
    }
}

impl Told {
    pub fn of(sha: &str, author: &str, parents: usize, message: &str) -> Told {
        let subject = message.lines().next().unwrap_or_default();
        let mut told = Told {
            sha: sha.to_string(),
            subject: plain(subject),
            author: plain(author),
            kind: None,
            scope: None,
            breaking: false,
            by_git: None,
            wrong: None,
        };
        // What was merged is read for itself.
        if parents > 1 {
            told.by_git = Some(ByGit::Merge);
            told.breaking = is_breaking(message);
        } else if let Some(reverted) = reverted(subject).filter(|_| message.lines().any(|line| line.starts_with("This reverts commit "))) {
            told.by_git = Some(ByGit::Revert);
            told.breaking = parse(reverted).is_ok_and(|message| message.breaking) || is_breaking(message);
        } else {
            match parse(message) {
                Ok(message) => (told.kind, told.scope, told.breaking) = (Some(message.kind), message.scope, message.breaking),
                Err(wrong) => told.wrong = Some(told_of(&wrong)),
            }
        }
        told
    }

    fn step(&self) -> Step {
        match self.kind.as_deref() {
            Some("feat") => Step::Minor,
            Some("fix" | "perf" | "revert") => Step::Patch,
            None if self.by_git == Some(ByGit::Revert) => Step::Patch,
            _ => Step::None,
        }
    }

    /// The same with what a project's own rules find wrong with it.
    pub(crate) fn under(&self, rules: &Rules) -> Told {
        let wrong: Vec<String> = self.wrong.iter().cloned().chain(rules.broken_by(self)).collect();
        Told { wrong: (!wrong.is_empty()).then(|| wrong.join(", and ")), ..self.clone() }
    }
}

/// The first few, for a message may be wrong in every one of a million lines.
fn told_of(wrong: &[String]) -> String {
    const NAMED_MAX: usize = 5;
    let more = (wrong.len() > NAMED_MAX).then(|| format!("{} more", wrong.len() - NAMED_MAX));
    wrong.iter().take(NAMED_MAX).cloned().chain(more).collect::<Vec<_>>().join(", and ")
}

/// What `git revert` says it takes back; `Reapply` is the same of a revert.
fn reverted(subject: &str) -> Option<&str> {
    let quoted = subject.strip_prefix("Revert \"").or_else(|| subject.strip_prefix("Reapply \""))?;
    quoted.strip_suffix('"')
}

impl Rules {
    fn broken_by(&self, told: &Told) -> Vec<String> {
        if told.by_git.is_some() {
            return Vec::new();
        }
        let mut broken = Vec::new();
        let is_one = |all: &[String], word: &str| all.is_empty() || all.iter().any(|one| one.to_lowercase() == word.to_lowercase());
        if let Some(kind) = told.kind.as_deref().filter(|kind| !is_one(&self.types, kind)) {
            broken.push(format!("`{kind}` is none of the types {}", self.types.join(", ")));
        }
        for scope in told.scope.iter().filter(|scope| !is_one(&self.scopes, scope)).flat_map(|scope| scope.split(['/', '\\', ','])) {
            let scope = scope.trim();
            if !is_one(&self.scopes, scope) {
                broken.push(format!("`{scope}` is none of the scopes {}", self.scopes.join(", ")));
            }
        }
        if let Some(most) = self.subject_max.filter(|most| told.subject.chars().count() as u64 > *most) {
            broken.push(format!("its first line is longer than {most} characters"));
        }
        broken
    }
}
