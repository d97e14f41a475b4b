//! What people ask of the gate, and say to it.

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use base::name::ProjectId;
use base::{Digest, Timestamp};
use gate::{Decision, GatePlan};
use record::ReleaseEntry;
use release::EnvironmentEvent;
use serde::{Deserialize, Serialize};

use super::{Answer, OfProject, State, find, folder_of};
use crate::failure::Failure;

/// What somebody asks of an environment as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnvironmentAsk {
    pub project: ProjectId,
    pub environment: String,
    pub by: String,
    pub demand: Demand,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    Freeze { reason: String, until: Option<Timestamp> },
    Unfreeze,
    Override { reason: String, ticket: Option<String>, until: Timestamp },
    Confirm,
}

pub(super) async fn ask(Extract(state): Extract<State>, Json(ask): Json<EnvironmentAsk>) -> Answer<EnvironmentEvent> {
    state.inner.journal.catch_up().await?;
    if !state.inner.journal.index().projects.contains_key(&ask.project) {
        return Err(Failure::not_found("nothing has been brought up here").hint("`plimsoll up` does").into());
    }
    let event = state.inner.book.ask(&ask, state.inner.driver.cache()).await?;
    state.inner.driver.nudge();
    Ok(Json(event))
}

/// The rules of now, for what was decided by others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Again {
    pub project: ProjectId,
    pub rules: GatePlan,
    /// Releases that began before are left out.
    pub since: Timestamp,
    /// Only those that went there.
    #[serde(default)]
    pub only: Option<String>,
    /// Where they would go, in place of where they went.
    #[serde(default)]
    pub environment: Option<String>,
    /// What is so now, in place of what was so then.
    #[serde(default)]
    pub circumstances: Option<gate::Circumstances>,
}

/// A release, and what the gate said and would say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecidedAgain {
    pub release: ReleaseEntry,
    pub then: Decision,
    pub now: Decision,
}

/// The newest first; of releases that got as far as the gate.
pub(super) async fn again(Extract(state): Extract<State>, Json(ask): Json<Again>) -> Answer<Vec<DecidedAgain>> {
    let is_of_there = |release: &ReleaseEntry| ask.only.as_ref().is_none_or(|only| release.environment == *only);
    let asked = |release: &ReleaseEntry| release.project == ask.project && release.created >= ask.since && is_of_there(release);
    let mut res = Vec::new();
    for release in releases(&state, asked).await? {
        // What can't be read any more says nothing of the others.
        let Ok(loaded) = state.load(release.id).await else { continue };
        if let (Some(now), Some(then)) =
            (loaded.release.decided_by(&ask.rules, ask.environment.as_deref(), ask.circumstances.as_ref()), loaded.release.decision())
        {
            res.push(DecidedAgain { release, then: then.clone(), now });
        }
    }
    res.sort_by_key(|decided| std::cmp::Reverse(decided.release.number));
    Ok(Json(res))
}

/// The document that a policy was asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub number: u64,
    pub document: serde_json::Value,
    /// The decision names this very document; not so where another version made it, of which fields were added since.
    pub is_same: bool,
}

pub(super) async fn input(Extract(state): Extract<State>, Path(name): Path<String>, Query(of): Query<OfProject>) -> Answer<Asked> {
    let id = find(&state, of.project, &name)?;
    let loaded = state.load(id).await?;
    let number = loaded.release.plan().number;
    match (loaded.release.asked(), loaded.release.decision()) {
        (Some(document), Some(decision)) => {
            let is_same = Digest::of(document.to_string().as_bytes()) == decision.input_digest;
            Ok(Json(Asked { number, document, is_same }))
        }
        _ => Err(Failure::not_found(format!("the gate has not been asked about release-{number}"))
            .hint("`--release N` asks about another one; `plimsoll release list` shows them")
            .into()),
    }
}

/// A release that waits for somebody's approval, itself or by one of its jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InboxEntry {
    pub project_name: String,
    #[serde(default)]
    pub folder: String,
    pub release: ReleaseEntry,
    pub waiting: String,
    /// What jobs of it wait for, where it is a review of their environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<workflow::run::ReviewWanted>,
}

pub(super) async fn inbox(Extract(state): Extract<State>) -> Answer<Vec<InboxEntry>> {
    let mut entries = Vec::new();
    for release in releases(&state, |release| release.outcome.is_none()).await? {
        let loaded = state.load(release.id).await?;
        if let Some(waiting) = loaded.release.waits_for_people(state.inner.world.clock.now()) {
            let project = &loaded.release.plan().project;
            let (project_name, folder) = (project.name.clone(), folder_of(project));
            let sentence = waiting.sentence(&release.environment);
            let reviews = if let release::Waiting::Review { reviews, .. } = waiting { reviews } else { Vec::new() };
            entries.push(InboxEntry { project_name, folder, release, waiting: sentence, reviews });
        }
    }
    Ok(Json(entries))
}

async fn releases(state: &State, asked: impl Fn(&ReleaseEntry) -> bool) -> Result<Vec<ReleaseEntry>, Failure> {
    state.inner.journal.catch_up().await?;
    Ok(state.inner.journal.index().releases.values().filter(|release| asked(release)).cloned().collect())
}
