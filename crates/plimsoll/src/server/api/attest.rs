//! What is stated of a release: where its artifact comes from, what it is made of, and the artifact itself.

use std::path::PathBuf;
use std::sync::Arc;

use ::gate::attest::{CYCLONEDX, Statement};
use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use base::Digest;
use base::name::{ProjectId, ReleaseId};
use host::blobs::FileBlobs;
use record::ledger;
use release::provenance::{self, Built, NoProvenance};
use release::{Event, Plan};
use serde::{Deserialize, Serialize};

use super::{Answer, OfProject, State, find};
use crate::failure::{Doing, Failure, Result};

/// SLSA provenance in a DSSE envelope, made from the record when it is asked for and signed by the server.
pub(super) async fn provenance(
    Extract(state): Extract<State>,
    Path(name): Path<String>,
    Query(of): Query<OfProject>,
) -> Answer<serde_json::Value> {
    let mut recorded = Recorded::read(&state, &name, of).await?;
    // What moves on from one environment to the next was built once.
    if let Some(proved) = recorded.plan.workflows().and_then(|workflows| workflows.proved.as_ref()) {
        recorded = Recorded::of(&state, proved.release).await?;
    }
    let statement = provenance::statement(&recorded.plan, recorded.events(), env!("CARGO_PKG_VERSION")).map_err(nothing)?;
    let dirs = state.inner.dirs.clone();
    let key = blocking(move || crate::world::signing_key(&dirs)).await?;
    Ok(Json(statement.sign(&key).to_json()))
}

#[derive(Debug, Deserialize)]
pub(super) struct SbomAsk {
    project: Option<ProjectId>,
    /// In an envelope, as a statement about the artifact.
    #[serde(default)]
    signed: bool,
}

/// CycloneDX, from the lock files of the commit.
pub(super) async fn sbom(
    Extract(state): Extract<State>,
    Path(name): Path<String>,
    Query(ask): Query<SbomAsk>,
) -> Answer<serde_json::Value> {
    let recorded = Recorded::read(&state, &name, OfProject { project: ask.project }).await?;
    let built = recorded.built()?;
    let workflows = recorded.plan.workflows().expect("what was built is a change");
    let about = ::gate::sbom::About {
        name: recorded.plan.project.name.clone(),
        version: workflows.commit.sha.clone(),
        artifact: built.artifact,
        at: built.at,
        tool_version: env!("CARGO_PKG_VERSION").to_string(),
    };
    let (source, dirs) = (workflows.source.clone(), state.inner.dirs.clone());
    let document = blocking(move || {
        let files = host::locked::lock_files(&source, &FileBlobs::new(&dirs)).doing("make the bill of materials")?;
        let document = ::gate::sbom::document(&about, &files);
        if !ask.signed {
            return Ok(document);
        }
        let statement = Statement::of(&provenance::subject(&about.name), &about.artifact, CYCLONEDX, document);
        Ok(statement.sign(&crate::world::signing_key(&dirs)?).to_json())
    });
    Ok(Json(document.await?))
}

/// Where the artifact lies on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub digest: Digest,
    pub bytes: u64,
    pub path: PathBuf,
}

pub(super) async fn artifact(Extract(state): Extract<State>, Path(name): Path<String>, Query(of): Query<OfProject>) -> Answer<Stored> {
    let Built { artifact, bytes, .. } = Recorded::read(&state, &name, of).await?.built()?;
    Ok(Json(Stored { digest: artifact, bytes, path: FileBlobs::new(&state.inner.dirs).path(&artifact) }))
}

/// A release's own stream.
struct Recorded {
    plan: Arc<Plan>,
    events: Vec<Arc<Event>>,
}

impl Recorded {
    async fn read(state: &State, name: &str, of: OfProject) -> Result<Recorded> {
        Recorded::of(state, find(state, of.project, name)?).await
    }

    async fn of(state: &State, id: ReleaseId) -> Result<Recorded> {
        let facts = state.store().load(&ledger::release_stream(id), 0).await.doing("read the release's record")?;
        let (first, rest) = facts.split_first().ok_or_else(|| Failure::infrastructure("the release has no record"))?;
        let plan = ledger::read_shared(first).doing("read the release's plan")?;
        let events: std::result::Result<_, _> = rest.iter().map(ledger::read_shared).collect();
        Ok(Recorded { plan, events: events.doing("read the release's record")? })
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|event| &**event)
    }

    fn built(&self) -> Result<Built> {
        provenance::built(&self.plan, self.events()).map_err(nothing)
    }
}

fn nothing(why: NoProvenance) -> Failure {
    Failure::not_found(why.0).hint("`plimsoll release list` shows which releases there are")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.doing("wait for the disk")?
}
