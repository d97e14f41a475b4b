//! After the promotion: what is live is held against its bounds, and traffic goes back by itself where that helps.
//!
//! Readings are of the moment and not on record: a server that was away begins to count again, and decides a little later. What it finds
//! is, and the way back is a release like a person's, one for each that broke its bounds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base::Digest;
use base::name::{ProjectId, ReleaseId};
use release::{Environment, Live};
use rollout::InstancePhase;
use rollout::watch::{Does, Reading, Verdict, Watch, WatchPlan};

use super::api::State;
use super::book::RollbackRequest;
use crate::failure::Result;

/// Between two looks at what is due; the plans say how often each is looked at.
const TICK: Duration = Duration::from_millis(250);

/// Who goes back.
const ACTOR: &str = "plimsoll";

type Place = (ProjectId, String);

pub(super) fn start(state: State) {
    tokio::spawn(async move {
        let mut watchers: BTreeMap<Place, Watcher> = BTreeMap::new();
        loop {
            tokio::time::sleep(TICK).await;
            let places: Vec<Place> = state.inner.journal.index().environments.keys().cloned().collect();
            let now = Instant::now();
            for place in places {
                let watcher = watchers.entry(place.clone()).or_default();
                if watcher.due.is_none_or(|due| due <= now)
                    && let Err(failure) = watcher.look(&state, &place).await
                {
                    tracing::warn!(message = failure.message, environment = place.1, "what is live can't be watched");
                }
            }
        }
    });
}

#[derive(Debug, Default)]
struct Watcher {
    /// The release whose revision it is.
    of: Option<ReleaseId>,
    watch: Watch,
    before: Option<Before>,
    due: Option<Instant>,
}

/// What was live before, as it was seen last.
#[derive(Debug)]
struct Before {
    revision: String,
    watch: Watch,
}

impl Watcher {
    async fn look(&mut self, state: &State, place: &Place) -> Result<()> {
        let (project, name) = place;
        let environment = state.environment(*project, name).await?;
        let Some((live, plan)) = environment.live().and_then(|live| Some((live, live.delivery.watch.as_ref()?))) else {
            *self = Watcher { due: Some(Instant::now() + Duration::from_secs(1)), ..Watcher::default() };
            return Ok(());
        };
        self.due = Some(Instant::now() + Duration::from_millis(plan.look_ms()));
        self.follow(&environment, live);
        let Some(mut reading) = read(state, place, live).await else { return Ok(()) };
        // Beside the version that replaces it it gets less and less, and its instances go: what it did before that is what counts.
        if environment.occupied().is_some() {
            self.watch.keep_instances(&mut reading);
        }
        if environment.occupied().is_none() || self.watch.grows(&reading) {
            self.watch.note(reading, plan.keep_ms());
        }
        if environment.occupied().is_some() || !is_watched(state, live, plan) {
            return Ok(());
        }
        for verdict in self.watch.verdicts(plan, self.before.as_ref().map(|before| &before.watch)) {
            state.inner.book.notice(place, live.release, &verdict, state.inner.driver.cache()).await?;
            if verdict.does == Does::GoBack {
                return self.go_back(state, place, live, verdict).await;
            }
        }
        Ok(())
    }

    /// Another release is live than was the last time.
    fn follow(&mut self, environment: &Environment, live: &Live) {
        if self.of == Some(live.release) {
            return;
        }
        let watch = std::mem::take(&mut self.watch);
        let was = self.of.replace(live.release);
        let replaced = environment.history().iter().rev().find(|old| Some(old.release) == was);
        self.before = replaced.map(|old| Before { revision: old.instance.revision.0.clone(), watch });
    }

    async fn go_back(&self, state: &State, place: &Place, live: &Live, verdict: Verdict) -> Result<()> {
        let request = RollbackRequest {
            id: way_back_of(live),
            project: place.0,
            environment: place.1.clone(),
            revision: self.before.as_ref().map(|before| before.revision.clone()),
            actor: ACTOR.to_string(),
            reason: Some(verdict.said),
            undoes: Some(live.release),
        };
        state.inner.book.roll_back(request).await?;
        state.inner.driver.take_up();
        state.inner.driver.nudge();
        Ok(())
    }
}

/// A change that was promoted a short while ago. What went back stays where it is, whatever it does there.
fn is_watched(state: &State, live: &Live, plan: &WatchPlan) -> bool {
    let is_change = state.inner.journal.index().releases.get(&live.release).is_some_and(|entry| entry.commit.is_some());
    is_change && state.inner.world.clock.now().since_ms(live.since) <= plan.for_ms
}

/// However often it is asked for, by whichever server, it is one release.
fn way_back_of(live: &Live) -> ReleaseId {
    let digest = Digest::of(format!("way back of {}", live.release).as_bytes());
    let mut random = [0; 16];
    random.copy_from_slice(&digest.as_bytes()[..16]);
    // Later than what it undoes, in every list.
    ReleaseId::new(live.since, u128::from_be_bytes(random))
}

/// Nothing where either of them can't be asked.
async fn read(state: &State, place: &Place, live: &Live) -> Option<Reading> {
    let world = &state.inner.world;
    let scope = release::plan::scope(place.0, &place.1);
    let (route, target) = (world.router.observe(&scope).await?, world.target.observe(&scope).await?);
    let revision = &live.instance.revision;
    let users = route.counts.get(revision).map(|counts| counts.users.clone()).unwrap_or_default();
    let instances = || target.instances.iter().filter(|it| it.revision == *revision);
    let ready = instances().filter(|it| it.phase == InstancePhase::Ready).count() as u32;
    Some(Reading {
        at: world.clock.now(),
        epoch: route.epoch,
        users,
        restarts: instances().map(|it| it.restarts).sum(),
        missing: live.delivery.replicas.saturating_sub(ready),
    })
}
