//! Which stream a thing's facts are in, and the typed reading of them.
//!
//! ```text
//! project/01J…                 registered, released (numbers)
//! environment/01J…/production  admitted, released, rerouted, went down
//! release/01J…                 planned, then everything that happened to it
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use base::name::{ProjectId, ReleaseId};
use release::{EnvironmentEvent, Event, Plan, environment};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fact::{Fact, NewFact, Payload};

/// The version of every payload written today; a reader keeps reading the older ones.
pub const PAYLOAD_VERSION: u32 = 1;

/// A fact's payload is not what its kind and version promise.
#[derive(Debug, thiserror::Error)]
#[error("fact {position} (`{kind}` v{v} in `{stream}`) can't be read; was it written by a newer Plimsoll?")]
pub struct Unreadable {
    pub position: u64,
    pub kind: String,
    pub v: u32,
    pub stream: String,
    #[source]
    pub source: serde_json::Error,
}

pub fn release_stream(id: ReleaseId) -> String {
    format!("release/{id}")
}

pub fn environment_stream(project: ProjectId, environment: &str) -> String {
    format!("environment/{project}/{environment}")
}

pub fn project_stream(id: ProjectId) -> String {
    format!("project/{id}")
}

/// What happened to a project as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectEvent {
    Registered {
        project: release::Project,
        /// Whose port it is.
        #[serde(default = "first_environment", skip_serializing_if = "is_first")]
        environment: String,
        port: u16,
        at: Timestamp,
    },
    /// A number was given to a release; the second of the pair is the last run's number.
    ReleaseNumbered {
        release: ReleaseId,
        number: u64,
        last_run: u64,
        /// How often each of its workflow files has run then.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        runs_of: BTreeMap<String, u64>,
        environment: String,
        at: Timestamp,
    },
}

fn first_environment() -> String {
    environment::FIRST.to_string()
}

fn is_first(environment: &str) -> bool {
    environment == environment::FIRST
}

impl ProjectEvent {
    fn kind(&self) -> &'static str {
        match self {
            ProjectEvent::Registered { .. } => "project.registered",
            ProjectEvent::ReleaseNumbered { .. } => "project.release-numbered",
        }
    }
}

/// The first fact of a release's stream.
pub fn planned(plan: &Plan) -> NewFact {
    fact("release.planned", plan.created, plan)
}

pub fn release_fact(event: &Event, at: Timestamp) -> NewFact {
    fact(event.kind(), at, event)
}

pub fn environment_fact(event: &EnvironmentEvent, at: Timestamp) -> NewFact {
    fact(event.kind(), at, event)
}

pub fn project_fact(event: &ProjectEvent, at: Timestamp) -> NewFact {
    fact(event.kind(), at, event)
}

/// Reads a payload back.
///
/// # Errors
/// When the payload is not of that type.
pub fn read<T: DeserializeOwned>(fact: &Fact) -> Result<T, Unreadable> {
    fact.payload.read().map_err(|source| unreadable(fact, source))
}

/// As [`read`]; all who keep the fact share one reading of it.
///
/// # Errors
/// When the payload is not of that type.
pub fn read_shared<T: DeserializeOwned + Send + Sync + 'static>(fact: &Fact) -> Result<Arc<T>, Unreadable> {
    fact.payload.shared().map_err(|source| unreadable(fact, source))
}

fn unreadable(fact: &Fact, source: serde_json::Error) -> Unreadable {
    Unreadable { position: fact.position, kind: fact.kind.clone(), v: fact.v, stream: fact.stream.clone(), source }
}

fn fact<T: Serialize>(kind: &str, at: Timestamp, payload: &T) -> NewFact {
    NewFact { kind: kind.to_string(), v: PAYLOAD_VERSION, at, payload: Payload::of(payload) }
}
