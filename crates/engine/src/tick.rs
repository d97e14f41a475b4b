//! One look at a release or an environment: load, observe, ask the machine, remember, act.
//!
//! Any node may tick anything at any time. The expected versions make one writer win; the generations stop the loser's late hands.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use base::name::{ProjectId, ReleaseId};
use record::ledger::{self, Unreadable};
use record::{Append, AppendError, NewFact, Store, StoreError};
use release::{
    Action, Environment, EnvironmentAction, EnvironmentEvent, EnvironmentSeen, Event, Observed, Outcome, Packaged, Phase, Plan, Release,
    Waiting, Workflows,
};

use workflow::concurrency::Standing;

use crate::smoke::SmokeBoard;
use crate::world::{Clock, Executor, Harvest, JobStart, Occasion, Outside, Route, Router, Stop, Target, Turns, WorldError};

/// Everything the engine needs of a world.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub executor: Arc<dyn Executor>,
    pub target: Arc<dyn Target>,
    pub router: Arc<dyn Router>,
    pub harvest: Arc<dyn Harvest>,
    pub outside: Arc<dyn Outside>,
    pub turns: Arc<dyn Turns>,
    pub smoke: Arc<SmokeBoard>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// What a tick leaves to its driver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticked {
    /// Something was recorded: others may want to look.
    pub moved: bool,
    /// Another writer was first; look again now.
    pub conflict: bool,
    pub finished: Option<Outcome>,
    /// Why nothing moves.
    pub waiting: Option<Waiting>,
    /// When to look again at the latest.
    pub wake: Option<Timestamp>,
    /// What the world could not do; it is asked again at the next look.
    pub trouble: Vec<WorldError>,
}

#[derive(Debug, thiserror::Error)]
pub enum TickError {
    #[error("release {0} is not on record")]
    Absent(ReleaseId),
    #[error("read the record")]
    Load(#[from] StoreError),
    #[error("read a fact")]
    Unreadable(#[from] Unreadable),
    #[error("append to the record")]
    Append(#[source] AppendError),
}

/// A release as the record has it, and the version that was read.
#[derive(Debug, Clone)]
pub struct LoadedRelease {
    pub release: Arc<Release>,
    pub version: u64,
}

/// An environment as the record has it, and the version that was read.
#[derive(Debug, Clone, Default)]
pub struct LoadedEnvironment {
    pub environment: Arc<Environment>,
    pub version: u64,
}

/// States already folded, so that a tick is not a replay; the full replay stays the oracle.
#[derive(Debug, Default)]
pub struct Cache {
    releases: std::sync::Mutex<BTreeMap<ReleaseId, LoadedRelease>>,
    environments: std::sync::Mutex<BTreeMap<String, LoadedEnvironment>>,
}

impl Cache {
    /// # Errors
    /// When the record can't be read, or has no such release.
    pub async fn release(&self, store: &dyn Store, id: ReleaseId) -> Result<LoadedRelease, TickError> {
        let known = self.known_release(id);
        let after = known.as_ref().map_or(0, |loaded| loaded.version);
        let facts = store.load(&ledger::release_stream(id), after).await?;
        let mut facts = facts.iter();
        let mut loaded = match known {
            Some(loaded) if facts.len() == 0 => return Ok(loaded),
            Some(loaded) => loaded,
            None => {
                let plan: Arc<Plan> = ledger::read_shared(facts.next().ok_or(TickError::Absent(id))?)?;
                LoadedRelease { release: Arc::new(Release::new(plan)), version: 1 }
            }
        };
        // Out of the map while it is folded further: nobody else has it then, as a rule, and nothing is copied.
        self.releases.lock().expect("no holder panics").remove(&id);
        let release = Arc::make_mut(&mut loaded.release);
        for fact in facts {
            let event: Arc<Event> = ledger::read_shared(fact)?;
            release.apply(&event);
            loaded.version = fact.seq;
        }
        if loaded.release.outcome().is_none() {
            self.releases.lock().expect("no holder panics").insert(id, loaded.clone());
        }
        Ok(loaded)
    }

    fn known_release(&self, id: ReleaseId) -> Option<LoadedRelease> {
        self.releases.lock().expect("no holder panics").get(&id).cloned()
    }

    /// An environment nobody has used yet is empty, at version 0.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn environment(&self, store: &dyn Store, project: ProjectId, name: &str) -> Result<LoadedEnvironment, TickError> {
        let stream = ledger::environment_stream(project, name);
        let known = self.environments.lock().expect("no holder panics").get(&stream).cloned();
        let mut loaded = known.unwrap_or_default();
        let facts = store.load(&stream, loaded.version).await?;
        if facts.is_empty() {
            return Ok(loaded);
        }
        self.environments.lock().expect("no holder panics").remove(&stream);
        let environment = Arc::make_mut(&mut loaded.environment);
        for fact in facts {
            let event: Arc<EnvironmentEvent> = ledger::read_shared(&fact)?;
            environment.apply(&event);
            loaded.version = fact.seq;
        }
        self.environments.lock().expect("no holder panics").insert(stream, loaded.clone());
        Ok(loaded)
    }
}

/// Looks at a release once.
///
/// # Errors
/// When the record can't be read or written; a world that fails is reported in [`Ticked::trouble`].
pub async fn tick_release(world: &World, cache: &Cache, id: ReleaseId) -> Result<Ticked, TickError> {
    let loaded = cache.release(world.store.as_ref(), id).await?;
    let release = &loaded.release;
    if let Some(outcome) = release.outcome() {
        return Ok(match leave(world, release).await {
            Ok(()) => Ticked { finished: Some(outcome.clone()), ..Ticked::default() },
            Err(error) => Ticked { trouble: vec![error], ..Ticked::default() },
        });
    }
    let plan = release.plan().clone();
    let environment = cache.environment(world.store.as_ref(), plan.project.id, &plan.environment).await?;
    // Read one after the other, they may be of different moments: an environment that was taken or given back in between.
    if release.rollout().is_some() != (environment.environment.occupied() == Some(id)) {
        return Ok(Ticked { conflict: true, ..Ticked::default() });
    }
    let mut trouble = Vec::new();
    let source = match release.proved().filter(|_| release.phase() == Phase::Deciding) {
        Some(proved) => {
            Some((proved.environment.clone(), cache.environment(world.store.as_ref(), plan.project.id, &proved.environment).await?))
        }
        None => None,
    };
    let seen = Observed {
        environment: environment.environment.clone(),
        source: source.as_ref().map(|(_, source)| source.environment.clone()),
        ..Observed::default()
    };
    let seen = observe(world, cache, release, seen, &mut trouble).await;
    let now = world.clock.now();
    let advance = release.advance(&seen, now);

    let mut appends = Vec::new();
    let facts: Vec<NewFact> = advance.events.iter().map(|event| ledger::release_fact(event, now)).collect();
    push(&mut appends, ledger::release_stream(id), loaded.version, facts);
    let facts: Vec<NewFact> = advance.environment.iter().map(|event| ledger::environment_fact(event, now)).collect();
    // Whoever froze the environment meanwhile is heard before anything moves: without facts an append insists on the version alone.
    let goes_forward = release.rollout().is_some() || release.delivers_by_jobs();
    if !facts.is_empty() || (!appends.is_empty() && goes_forward) {
        let stream = ledger::environment_stream(plan.project.id, &plan.environment);
        appends.push(Append { stream, expected: environment.version, facts });
    }
    // Whoever takes it back there meanwhile is heard, too.
    if let (Some((name, source)), false) = (source, appends.is_empty()) {
        let stream = ledger::environment_stream(plan.project.id, &name);
        appends.push(Append { stream, expected: source.version, facts: Vec::new() });
    }
    let moved = !appends.is_empty();
    if moved {
        match world.store.append(appends).await {
            Ok(_) => {}
            Err(AppendError::Conflict { .. }) => return Ok(Ticked { conflict: true, ..Ticked::default() }),
            Err(error) => return Err(TickError::Append(error)),
        }
    }
    for action in advance.actions {
        if let Err(error) = perform(world, &plan, id, action).await {
            trouble.push(error);
        }
    }
    let mut finished = advance.events.iter().find_map(|event| match event {
        Event::Finished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    if finished.is_some()
        && let Err(error) = leave(world, release).await
    {
        // Looked at again until it has, or nobody else would ever come into its groups.
        finished = None;
        trouble.push(error);
    }
    Ok(Ticked { moved, conflict: false, finished, waiting: advance.waiting, wake: advance.wake, trouble })
}

/// Looks at an environment once: what is live is kept running and routed.
///
/// # Errors
/// As [`tick_release`].
pub async fn tick_environment(world: &World, cache: &Cache, project: ProjectId, name: &str) -> Result<Ticked, TickError> {
    let loaded = cache.environment(world.store.as_ref(), project, name).await?;
    if loaded.version == 0 || loaded.environment.occupied().is_some() {
        return Ok(Ticked::default());
    }
    let scope = release::plan::scope(project, name);
    let seen = EnvironmentSeen { target: world.target.observe(&scope).await, route: world.router.observe(&scope).await };
    let now = world.clock.now();
    let advance = loaded.environment.advance(&seen, now);
    let facts: Vec<NewFact> = advance.events.iter().map(|event| ledger::environment_fact(event, now)).collect();
    let mut appends = Vec::new();
    push(&mut appends, ledger::environment_stream(project, name), loaded.version, facts);
    let moved = !appends.is_empty();
    if moved {
        match world.store.append(appends).await {
            Ok(_) => {}
            Err(AppendError::Conflict { .. }) => return Ok(Ticked { conflict: true, ..Ticked::default() }),
            Err(error) => return Err(TickError::Append(error)),
        }
    }
    let mut trouble = Vec::new();
    for action in advance.actions {
        if let Err(error) = keep(world, &scope, action).await {
            trouble.push(error);
        }
    }
    Ok(Ticked { moved, trouble, ..Ticked::default() })
}

/// What the phase needs to see besides what is on record.
async fn observe(world: &World, cache: &Cache, release: &Release, mut seen: Observed, trouble: &mut Vec<WorldError>) -> Observed {
    let Some(workflows) = release.plan().workflows() else {
        observe_container(world, release, &mut seen).await;
        observe_rollout(world, release, &mut seen).await;
        return seen;
    };
    if release.stands_in_line() {
        let stand = stand(world, release).await;
        seen.runs.turns = Some(stand.unwrap_or_else(|error| {
            trouble.push(error);
            BTreeMap::new()
        }));
    }
    match release.phase() {
        Phase::Running => {
            for id in release.jobs() {
                let job = world.executor.observe(&id).await;
                seen.runs.jobs.insert(id, job);
            }
        }
        Phase::Packaging if let Some(proved) = release.proved() => {
            seen.packaged = Some(Packaged::Artifact { digest: proved.artifact, bytes: proved.bytes, files: proved.files });
        }
        Phase::Packaging => {
            let artifacts = artifacts_of(release);
            match world.harvest.package(&artifacts, &workflows.source, &workflows.ships).await {
                Ok(packaged) => seen.packaged = Some(packaged),
                Err(error) => trouble.push(error),
            }
        }
        Phase::ReadingEvidence if let Some(proved) = release.proved() => match cache.release(world.store.as_ref(), proved.release).await {
            Ok(of) => seen.evidence = of.release.evidence().cloned(),
            Err(error) => trouble.push(WorldError::new("read what was proved", error.to_string())),
        },
        Phase::ReadingEvidence => match world.harvest.evidence(&artifacts_of(release), &workflows.source, &release.last_attempts()).await {
            Ok(evidence) => seen.evidence = Some(evidence),
            Err(error) => trouble.push(error),
        },
        Phase::Delivering => observe_rollout(world, release, &mut seen).await,
        Phase::Deciding => {
            observe_container(world, release, &mut seen).await;
            if matches!(release.advance(&seen, world.clock.now()).waiting, Some(Waiting::Circumstances { .. })) {
                seen.answers = world.outside.ask(&occasion(release, workflows), &workflows.gate).await;
            }
        }
        Phase::Finished => {}
    }
    seen
}

/// Gives back whatever places it has.
async fn leave(world: &World, release: &Release) -> Result<(), WorldError> {
    if !release.stands_in_line() {
        return Ok(());
    }
    let plan = release.plan();
    world.turns.stand(&plan.project.id.to_string(), &plan.id.to_string(), &[], &[]).await.map(drop)
}

/// In the concurrency groups of its project; what doesn't run any more gives its places back.
async fn stand(world: &World, release: &Release) -> Result<BTreeMap<String, Standing>, WorldError> {
    let plan = release.plan();
    world.turns.stand(&plan.project.id.to_string(), &plan.id.to_string(), &release.seats(), &release.jobs()).await
}

/// Only where nothing else is waited for, and nobody who needs no container asks for any.
async fn observe_container(world: &World, release: &Release, seen: &mut Observed) {
    let Some(container) = release.container() else { return };
    if matches!(release.advance(seen, world.clock.now()).waiting, Some(Waiting::Image { .. })) {
        seen.prepared = Some(world.target.prepare(container).await);
    }
}

fn occasion(release: &Release, workflows: &Workflows) -> Occasion {
    let plan = release.plan();
    Occasion {
        project: plan.project.id.to_string(),
        name: plan.project.name.clone(),
        environment: plan.environment.clone(),
        release: Some(format!("release-{}", plan.number)),
        artifact: release.artifact(),
        commit: workflows.commit.sha.clone(),
        git_ref: workflows.commit.git_ref.clone(),
        dirty: workflows.commit.dirty,
    }
}

async fn observe_rollout(world: &World, release: &Release, seen: &mut Observed) {
    let scope = release.plan().scope();
    seen.rollout.target = world.target.observe(&scope).await;
    seen.rollout.route = world.router.observe(&scope).await;
    seen.rollout.smoke = world.smoke.answers(release.plan().id);
}

async fn perform(world: &World, plan: &Plan, id: ReleaseId, action: Action) -> Result<(), WorldError> {
    let scope = plan.scope();
    match action {
        Action::StartJob { id: job, spec } => {
            let workflows = plan.workflows().expect("only a change has jobs");
            let start =
                JobStart { spec: *spec, source: workflows.source.clone(), artifacts: id.to_string(), project: plan.project.id.to_string() };
            world.executor.start(&job, &start).await
        }
        Action::StopJob { id: job, at_once } => world.executor.stop(&job, if at_once { Stop::AtOnce } else { Stop::Gracefully }).await,
        Action::Run { generation, instance, replicas } => world.target.run(&scope, generation, &instance, replicas).await,
        Action::Stop { generation, revision } => world.target.stop(&scope, generation, &revision).await,
        Action::Route { generation, weights, endpoints, synthetic } => {
            let route = Route { generation, port: plan.delivery.port, weights, endpoints, synthetic };
            world.router.shift(&scope, &route).await
        }
        Action::Smoke { generation, addresses, checks } => {
            world.smoke.start(world.target.clone(), id, generation, addresses, checks);
            Ok(())
        }
    }
}

async fn keep(world: &World, scope: &str, action: EnvironmentAction) -> Result<(), WorldError> {
    match action {
        EnvironmentAction::Run { generation, instance, replicas } => world.target.run(scope, generation, &instance, replicas).await,
        EnvironmentAction::Stop { generation, revision } => world.target.stop(scope, generation, &revision).await,
        EnvironmentAction::Route { generation, port, weights, endpoints } => {
            let route = Route { generation, port, weights, endpoints, synthetic: None };
            world.router.shift(scope, &route).await
        }
        EnvironmentAction::Unroute { generation } => world.router.remove(scope, generation).await,
    }
}

/// Where the release's jobs leave their uploads.
fn artifacts_of(release: &Release) -> String {
    release.plan().id.to_string()
}

fn push(appends: &mut Vec<Append>, stream: String, expected: u64, facts: Vec<NewFact>) {
    if !facts.is_empty() {
        appends.push(Append { stream, expected, facts });
    }
}
