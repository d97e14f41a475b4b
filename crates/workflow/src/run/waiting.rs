//! Why a run stands still: the same words on the command line, the page and the API.

use base::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// Executors were asked to start these and don't run them yet.
    Starting {
        jobs: Vec<String>,
    },
    Running {
        jobs: Vec<String>,
    },
    /// These were asked to end; `at_once_from` is when they are no longer asked.
    Stopping {
        jobs: Vec<String>,
        at_once_from: Option<Timestamp>,
    },
    /// Somebody has to look at these first; one review of an environment is about all its jobs.
    Review {
        reviews: Vec<ReviewWanted>,
    },
    /// What protects their environment lets these start then.
    Timer {
        environment: String,
        jobs: Vec<String>,
        at: Timestamp,
    },
    /// Nothing is delivered now.
    Closed {
        jobs: Vec<String>,
        why: String,
        until: Option<Timestamp>,
    },
    /// Another run has a place in a concurrency group.
    Turn {
        /// Who waits for whom.
        sentence: String,
    },
    /// These failed and are tried again, the first of them then.
    Retrying {
        jobs: Vec<String>,
        at: Timestamp,
    },
    /// Nobody can say how these are.
    Unreachable {
        jobs: Vec<String>,
    },
}

/// A review that somebody could give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewWanted {
    pub environment: String,
    /// `alice or the team ops`; nothing where nobody is left who may.
    pub who: Option<String>,
    pub jobs: Vec<String>,
    /// Of the jobs, in the same order.
    pub keys: Vec<String>,
    /// The first of them fails then.
    pub until: Timestamp,
}

impl Waiting {
    pub fn sentence(&self) -> String {
        match self {
            Waiting::Starting { jobs } => format!("{} {} being started", listed(jobs), is(jobs)),
            Waiting::Running { jobs } => format!("{} {} running", listed(jobs), is(jobs)),
            Waiting::Stopping { jobs, at_once_from: Some(at) } => {
                let were = if jobs.len() == 1 { "was" } else { "were" };
                format!("{} {were} asked to end: a step gets 10 s, and what cleans up has until {}", listed(jobs), at.date_and_clock())
            }
            Waiting::Stopping { jobs, at_once_from: None } => format!("{} {} being ended by force", listed(jobs), is(jobs)),
            Waiting::Review { reviews } => {
                let one = |wanted: &ReviewWanted| {
                    let review = for_review(&wanted.environment, wanted.who.as_deref());
                    format!("{} {} {review}", listed(&wanted.jobs), wait(&wanted.jobs))
                };
                reviews.iter().map(one).collect::<Vec<_>>().join(", and ")
            }
            Waiting::Timer { environment, jobs, at } => format!("{} {} {}", listed(jobs), wait(jobs), for_timer(environment, *at)),
            Waiting::Closed { jobs, why, .. } => format!("{} {} because {why}", listed(jobs), wait(jobs)),
            Waiting::Turn { sentence } => sentence.clone(),
            Waiting::Retrying { jobs, at } => format!("{} {} tried again at {}", listed(jobs), is(jobs), at.date_and_clock()),
            Waiting::Unreachable { jobs } => {
                format!("the executor of {} can't be asked at the moment; it is asked again at every look", listed(jobs))
            }
        }
    }
}

pub(super) fn for_review(environment: &str, who: Option<&str>) -> String {
    match who {
        Some(who) => format!("for a review of {environment} by {who}"),
        None => format!("for a review of {environment}, and nobody is left who may give it"),
    }
}

pub(super) fn for_timer(environment: &str, at: Timestamp) -> String {
    format!("until {} for {environment}'s timer", at.date_and_clock())
}

fn is(jobs: &[String]) -> &'static str {
    if jobs.len() == 1 { "is" } else { "are" }
}

fn wait(jobs: &[String]) -> &'static str {
    if jobs.len() == 1 { "waits" } else { "wait" }
}

fn listed(jobs: &[String]) -> String {
    const NAMED: usize = 3;
    let named: Vec<String> = jobs.iter().take(NAMED).map(|job| format!("`{job}`")).collect();
    match jobs.len() {
        0..=NAMED => named.join(", "),
        more => format!("{} and {} more", named.join(", "), more - NAMED),
    }
}
