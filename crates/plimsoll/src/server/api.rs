//! The HTTP API under `/api/v1`. Types of the border are the ones named here; mutations answer only after they are durable.

mod attest;
mod gate;

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base::name::{ProjectId, ReleaseId};
use host::dirs::Dirs;
use record::{AppendError, ReleaseEntry, Store, ledger};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::attest::Stored;
pub use self::gate::{Again, Asked, DecidedAgain, Demand, EnvironmentAsk, InboxEntry};
use super::book::{Book, RollbackRequest};
use super::driver::Driver;
use super::follow::follow;
use super::history::{HistoryEntry, history};
use super::journal::Journal;
use super::logs;
use super::promotion::brought_by;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::proposal::{Accepted, Proposal};
use crate::world::Host;

#[derive(Clone)]
pub struct State {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) world: Host,
    pub(super) journal: Arc<Journal>,
    pub(super) driver: Arc<Driver>,
    pub(super) book: Book,
    pub(super) dirs: Dirs,
    pub(super) token: String,
    pub(super) stop: watch::Sender<bool>,
}

/// Who answers, so that a client of another version makes the server step aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub version: String,
    /// Differs between any two builds of the binary.
    pub build: String,
    pub pid: u32,
}

impl Health {
    pub fn own() -> Health {
        Health { version: env!("CARGO_PKG_VERSION").to_string(), build: crate::world::build_id(), pid: std::process::id() }
    }
}

impl State {
    pub fn new(world: Host, journal: Arc<Journal>, driver: Arc<Driver>, dirs: Dirs) -> Result<State> {
        let token = crate::world::token(&dirs)?;
        let book = Book::new(world.clone(), journal.clone());
        let (stop, _) = watch::channel(false);
        Ok(State { inner: Arc::new(Inner { world, journal, driver, book, dirs, token, stop }) })
    }

    /// Resolves when the server is asked to stop: by a signal, or by a client.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let asked = self.stop_asked();
        let state = self.clone();
        async move {
            tokio::select! {
                () = asked => {}
                () = signalled() => {}
            }
            // Those who follow a release are let go too: their streams would not end by themselves.
            let _ = state.inner.stop.send(true);
        }
    }

    fn stop_asked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.inner.stop.subscribe();
        async move {
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    pub(super) fn world(&self) -> &Host {
        &self.inner.world
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.inner.world.store
    }

    pub(super) async fn environment(&self, project: ProjectId, name: &str) -> Result<Arc<release::Environment>> {
        let loaded = self.inner.driver.cache().environment(self.store().as_ref(), project, name).await;
        Ok(loaded.doing("read the environment")?.environment)
    }

    async fn load(&self, id: ReleaseId) -> Result<engine::LoadedRelease> {
        self.inner.driver.cache().release(self.store().as_ref(), id).await.doing("read the release")
    }
}

async fn signalled() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(error) => {
            tracing::error!(%error, "signals can't be heard");
            std::future::pending().await
        }
    }
}

pub fn router(state: State) -> Router {
    Router::new()
        .route("/api/v1/health", get(health))
        .route("/api/v1/shutdown", post(shutdown))
        .route("/api/v1/releases", get(releases).post(create))
        .route("/api/v1/releases/{name}", get(release))
        .route("/api/v1/releases/{name}/record", get(release_record))
        .route("/api/v1/releases/{name}/input", get(gate::input))
        .route("/api/v1/releases/{name}/provenance", get(attest::provenance))
        .route("/api/v1/releases/{name}/sbom", get(attest::sbom))
        .route("/api/v1/releases/{name}/artifact", get(attest::artifact))
        .route("/api/v1/releases/{name}/{verb}", post(command))
        .route("/api/v1/history", get(release_history))
        .route("/api/v1/rollbacks", post(roll_back))
        .route("/api/v1/environments", get(environments))
        .route("/api/v1/environments/down", post(down))
        .route("/api/v1/environments/ask", post(gate::ask))
        .route("/api/v1/inbox", get(gate::inbox))
        .route("/api/v1/gate/again", post(gate::again))
        .route("/api/v1/events", get(events))
        .route("/api/v1/logs", get(logs::bytes))
        .route("/api/v1/logs/lines", get(logs::lines))
        .route("/api/v1/verify", post(verify))
        .with_state(state)
}

/// On loopback, where any local user could knock: `Authorization: Bearer` and the token only the owner can read. A `Host` that isn't
/// loopback is refused, so that a web page can't be made to talk to us by a name it controls.
pub async fn require_token(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let local = matches!(host.rsplit_once(':').map_or(host, |(name, _)| name), "127.0.0.1" | "localhost" | "[::1]");
    let authorised = bearer(headers).is_some_and(|token| same(token.as_bytes(), state.inner.token.as_bytes()));
    if local && authorised {
        return next.run(request).await;
    }
    let failure = Failure::new(FailureKind::NotAuthorised, "this API wants `Authorization: Bearer TOKEN`")
        .hint(format!("the token is in {}", state.inner.dirs.state().join("server.token").display()));
    ApiError(failure).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Takes the same time wherever they differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)) == 0
}

#[derive(Debug)]
pub(super) struct ApiError(Failure);

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        ApiError(failure)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

pub(super) type Answer<T> = std::result::Result<Json<T>, ApiError>;

async fn health() -> Json<Health> {
    Json(Health::own())
}

async fn shutdown(Extract(state): Extract<State>) -> Json<Health> {
    let _ = state.inner.stop.send(true);
    Json(Health::own())
}

async fn create(
    Extract(state): Extract<State>,
    Json(proposal): Json<Proposal>,
) -> std::result::Result<(StatusCode, Json<Accepted>), ApiError> {
    let accepted = state.inner.book.accept(proposal).await?;
    state.inner.driver.take_up();
    state.inner.driver.nudge();
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

async fn roll_back(
    Extract(state): Extract<State>,
    Json(request): Json<RollbackRequest>,
) -> std::result::Result<(StatusCode, Json<Accepted>), ApiError> {
    let accepted = state.inner.book.roll_back(request).await?;
    state.inner.driver.take_up();
    state.inner.driver.nudge();
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

#[derive(Debug, Deserialize)]
pub(super) struct OfProject {
    project: Option<ProjectId>,
}

async fn releases(Extract(state): Extract<State>, Query(of): Query<OfProject>) -> Json<Vec<ReleaseEntry>> {
    let index = state.inner.journal.index();
    let entries = index.releases.values().filter(|entry| of.project.is_none_or(|project| project == entry.project));
    Json(entries.rev().cloned().collect())
}

async fn release_history(Extract(state): Extract<State>, Query(of): Query<OfProject>) -> Answer<Vec<HistoryEntry>> {
    state.inner.journal.catch_up().await?;
    Ok(Json(history(&state.inner.journal.index(), of.project)))
}

fn find(state: &State, project: Option<ProjectId>, name: &str) -> Result<ReleaseId> {
    let name = (name != "latest").then_some(name);
    let index = state.inner.journal.index();
    let missing = || match name {
        Some(name) => Failure::not_found(format!("there is no release `{name}`")).hint("`plimsoll release list` shows what there is"),
        None => Failure::not_found("there is no release yet").hint("`plimsoll up` makes the first"),
    };
    index.find(project, name).map(|entry| entry.id).ok_or_else(missing)
}

/// The release to steer: in an emergency it is the one that moves that is meant, not the one that waits behind it.
fn find_steered(state: &State, project: Option<ProjectId>, name: &str, command: &release::Command) -> Result<ReleaseId> {
    let Some(of) = project.filter(|_| name == "latest") else { return find(state, project, name) };
    let asks_people = matches!(command, release::Command::Approve { .. } | release::Command::Reject { .. });
    let index = state.inner.journal.index();
    match index.steered(of) {
        // Whoever is asked is asked about the last one.
        Ok(Some(entry)) if !asks_people => Ok(entry.id),
        Ok(_) => {
            drop(index);
            find(state, project, name)
        }
        Err(several) => {
            let named: Vec<String> = several.iter().map(|entry| format!("release-{} to `{}`", entry.number, entry.environment)).collect();
            let message = format!("several releases are under way: {}", named.join(", "));
            Err(Failure::usage(message).hint("name the one that is meant, by its number"))
        }
    }
}

/// A release's status and, when nothing moves, the sentence why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseView {
    #[serde(flatten)]
    pub status: release::Status,
    pub waiting: Option<String>,
}

async fn release(Extract(state): Extract<State>, Path(name): Path<String>, Query(of): Query<OfProject>) -> Answer<ReleaseView> {
    let id = find(&state, of.project, &name)?;
    let loaded = state.load(id).await?;
    Ok(Json(ReleaseView { status: loaded.release.status(), waiting: state.inner.driver.waiting(id) }))
}

/// The release's facts, in order: what `plimsoll replay` reads.
async fn release_record(
    Extract(state): Extract<State>,
    Path(name): Path<String>,
    Query(of): Query<OfProject>,
) -> Answer<Vec<record::Fact>> {
    let id = find(&state, of.project, &name)?;
    Ok(Json(state.store().load(&ledger::release_stream(id), 0).await.doing("read the release's record")?))
}

#[derive(Debug, Deserialize)]
struct CommandBody {
    by: String,
    #[serde(default)]
    full: bool,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    environment: Option<String>,
}

async fn command(
    Extract(state): Extract<State>,
    Path((name, verb)): Path<(String, String)>,
    Query(of): Query<OfProject>,
    Json(body): Json<CommandBody>,
) -> Answer<ReleaseView> {
    let command = match verb.as_str() {
        "promote" => release::Command::Promote { full: body.full },
        "pause" => release::Command::Pause,
        "resume" => release::Command::Resume,
        "abort" => release::Command::Abort,
        "approve" => release::Command::Approve { comment: body.comment, environment: body.environment },
        "reject" => release::Command::Reject { comment: body.comment, environment: body.environment },
        _ => {
            return Err(Failure::not_found(format!("`{verb}` is nothing a release can do"))
                .hint("promote, pause, resume, abort, approve or reject")
                .into());
        }
    };
    let id = find_steered(&state, of.project, &name, &command)?;
    loop {
        let loaded = state.load(id).await?;
        let now = state.inner.world.clock.now();
        let plan = loaded.release.plan();
        let environment = state.inner.driver.cache().environment(state.store().as_ref(), plan.project.id, &plan.environment).await;
        let environment = environment.doing("read the environment")?.environment;
        let events = loaded.release.command(&command, &environment, &body.by, now).map_err(refused)?;
        let facts = events.iter().map(|event| ledger::release_fact(event, now)).collect();
        let append = record::Append { stream: ledger::release_stream(id), expected: loaded.version, facts };
        match state.store().append(vec![append]).await {
            Ok(_) => break,
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(Failure::from_error("record the command", &error).into()),
        }
    }
    // The answer is how it stands with the command taken in, not why it stood still before.
    state.inner.driver.look_again(id).await;
    let loaded = state.load(id).await?;
    Ok(Json(ReleaseView { status: loaded.release.status(), waiting: state.inner.driver.waiting(id) }))
}

fn refused(refusal: release::Refusal) -> Failure {
    match refusal {
        release::Refusal::Untimely(sentence) => Failure::new(FailureKind::Conflict, sentence),
        release::Refusal::Closed(sentence) => Failure::new(FailureKind::Closed, sentence),
        release::Refusal::NotTheirs(sentence) => Failure::new(FailureKind::NotAuthorised, sentence)
            .hint("`plimsoll inbox` shows who is asked; `PLIMSOLL_ACTOR` says who you are")
            .hint("`plimsoll release abort` ends a release, and asks for nobody's approval"),
    }
}

/// What runs where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentView {
    pub project: ProjectId,
    pub project_name: String,
    pub folder: String,
    pub environment: String,
    pub live: Option<release::Live>,
    /// Whose commit that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_by: Option<ReleaseEntry>,
    pub history: Vec<release::Live>,
    /// Nothing when the instances can't be asked.
    pub instances: Option<Vec<rollout::InstanceSeen>>,
    /// Nothing when the proxy can't be asked.
    pub route: Option<rollout::RouteSeen>,
    /// The release that is changing it: the one that has it, else the last that is under way.
    pub changing: Option<ReleaseEntry>,
    /// It has the environment; otherwise it changes nothing yet.
    #[serde(default)]
    pub is_changing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    pub waiting: Option<String>,
    /// The others that are under way.
    #[serde(default)]
    pub coming: Vec<ReleaseEntry>,
    /// Freezes that people called.
    #[serde(default)]
    pub frozen: Vec<::gate::window::Period>,
    #[serde(default)]
    pub overridden: Option<::gate::Override>,
    /// What bounds it broke since its promotion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed: Vec<release::Noticed>,
}

/// What has all traffic and is verified, while the version before is still kept running; with the end of that it is what is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    pub revision: rollout::RevisionId,
    pub number: u64,
    pub since: base::Timestamp,
    pub port: u16,
    pub replicas: u32,
}

async fn verified(state: &State, release: &ReleaseEntry) -> Result<Option<Verified>> {
    let (Some(since), Some(revision)) = (release.verified, release.revision.clone()) else { return Ok(None) };
    let loaded = state.load(release.id).await?;
    let delivery = &loaded.release.plan().delivery;
    Ok(Some(Verified { revision, number: release.number, since, port: delivery.port, replicas: delivery.replicas }))
}

/// Without a slash at its end, which an empty subtree would leave.
fn folder_of(project: &release::Project) -> String {
    let root = std::path::Path::new(&project.repository);
    if project.subtree.is_empty() { project.repository.clone() } else { root.join(&project.subtree).display().to_string() }
}

async fn environments(Extract(state): Extract<State>, Query(of): Query<OfProject>) -> Answer<Vec<EnvironmentView>> {
    state.inner.journal.catch_up().await?;
    let mut views = Vec::new();
    {
        let index = state.inner.journal.index();
        let untouched = release::Environment::default();
        let now = state.inner.world.clock.now();
        // One that the first release has not reached yet is one all the same.
        let reached = |key: &(ProjectId, String)| index.environments.contains_key(key);
        let coming = index.releases.values().filter(|release| release.outcome.is_none());
        let coming: std::collections::BTreeSet<_> =
            coming.map(|release| (release.project, release.environment.clone())).filter(|key| !reached(key)).collect();
        let all = index.environments.iter().chain(coming.iter().map(|key| (key, &untouched)));
        for ((project, name), environment) in all {
            if of.project.is_some_and(|wanted| wanted != *project) {
                continue;
            }
            let Some(entry) = index.projects.get(project) else { continue };
            let here = |release: &&ReleaseEntry| release.project == *project && release.environment == *name && release.outcome.is_none();
            let mut coming: Vec<ReleaseEntry> = index.releases.values().filter(here).cloned().collect();
            let first = environment.occupied().and_then(|id| coming.iter().position(|release| release.id == id));
            let changing = first.or(coming.len().checked_sub(1)).map(|index| coming.remove(index));
            let waiting = changing.as_ref().and_then(|release| state.inner.driver.waiting(release.id));
            views.push(EnvironmentView {
                project: *project,
                project_name: entry.project.name.clone(),
                folder: folder_of(&entry.project),
                environment: name.clone(),
                live: environment.live().cloned(),
                brought_by: environment.live().and_then(|live| brought_by(&index, live, &(*project, name.clone()))).cloned(),
                history: environment.history().to_vec(),
                instances: None,
                route: None,
                is_changing: first.is_some(),
                verified: None,
                changing,
                waiting,
                coming,
                frozen: environment.frozen(now),
                overridden: environment.overridden(now).cloned(),
                noticed: environment.noticed().to_vec(),
            });
        }
    }
    for view in &mut views {
        let scope = release::plan::scope(view.project, &view.environment);
        view.instances = state.inner.world.target.observe(&scope).await.map(|seen| seen.instances);
        // Without weights the proxy only says that it knows no such service.
        if let Some(changing) = &view.changing {
            view.verified = verified(&state, changing).await?;
        }
        view.route = state.inner.world.router.observe(&scope).await.filter(|route| !route.weights.is_empty());
    }
    Ok(Json(views))
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DownRequest {
    pub project: ProjectId,
    pub environment: String,
    pub by: String,
}

async fn down(Extract(state): Extract<State>, Json(request): Json<DownRequest>) -> Answer<EnvironmentDown> {
    let key = (request.project, request.environment.clone());
    let under_way = |release: &&ReleaseEntry| (release.project, release.environment.clone()) == key && release.outcome.is_none();
    state.inner.journal.catch_up().await?;
    if let Some(release) = state.inner.journal.index().releases.values().rfind(under_way) {
        let message = format!("release-{} is under way and would bring it up again", release.number);
        return Err(Failure::new(FailureKind::Conflict, message).into());
    }
    let down = state.inner.book.take_down(&request, state.inner.driver.cache()).await?;
    state.inner.driver.nudge();
    Ok(Json(down))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentDown {
    pub was_live: Option<rollout::RevisionId>,
}

#[derive(Debug, Deserialize)]
struct Follow {
    #[serde(default)]
    after: u64,
    /// Only streams that begin so; all when empty.
    #[serde(default)]
    stream: String,
}

async fn events(Extract(state): Extract<State>, headers: HeaderMap, Query(ask): Query<Follow>) -> Response {
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    follow(state.store().clone(), state.inner.driver.clone(), state.stop_asked(), resumed.unwrap_or(ask.after), ask.stream).into_response()
}

async fn verify(Extract(state): Extract<State>) -> Answer<crate::doctor::Report> {
    Ok(Json(crate::doctor::verify(state.store().as_ref()).await?))
}
