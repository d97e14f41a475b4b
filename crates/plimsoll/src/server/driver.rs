//! Drives every unfinished release and every environment, each by a task of its own.
//!
//! What wakes a task does not matter: it looks at the record and the world, and acts on what it sees.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::name::{ProjectId, ReleaseId};
use engine::{Cache, TickError, Ticked, World, tick_environment, tick_release};
use release::{Waiting, environment};
use tokio::sync::{Notify, watch};

use super::journal::{Journal, with_numbers};

/// Between two looks at a release that is moving: fast enough that a verdict is acted on within a tenth of a second.
const LOOK: Duration = Duration::from_millis(60);

/// Between two looks at an environment that nobody is changing.
const KEEP: Duration = Duration::from_millis(1000);

/// After the record could not be read or written (a full disk, say).
const RETRY: Duration = Duration::from_millis(1000);

/// Somebody who waits to hear how a release stands is answered by then.
const ANSWER: Duration = Duration::from_secs(2);

pub struct Driver {
    world: World,
    journal: Arc<Journal>,
    cache: Cache,
    nudge: Notify,
    driven: Mutex<BTreeSet<ReleaseId>>,
    kept: Mutex<BTreeSet<(ProjectId, String)>>,
    /// Why each release stands still, for `status` and followers; not on the record, because it is a reading of it.
    waiting: Mutex<BTreeMap<ReleaseId, String>>,
    /// How often each has been seen to stand still, for those who wait for the next time.
    looks: watch::Sender<BTreeMap<ReleaseId, u64>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("driven", &self.driven).finish_non_exhaustive()
    }
}

impl Driver {
    pub fn start(world: World, journal: Arc<Journal>) -> Arc<Driver> {
        let driver = Arc::new(Driver {
            world,
            journal,
            cache: Cache::default(),
            nudge: Notify::new(),
            driven: Mutex::default(),
            kept: Mutex::default(),
            waiting: Mutex::default(),
            looks: watch::Sender::default(),
        });
        driver.take_up();
        driver
    }

    /// Begins to drive what the index knows and nobody drives yet.
    pub fn take_up(self: &Arc<Self>) {
        let (releases, environments) = {
            let index = self.journal.index();
            (index.unfinished(), index.environments.keys().cloned().collect::<Vec<_>>())
        };
        for id in releases {
            if self.driven.lock().expect("no holder panics").insert(id) {
                tokio::spawn(self.clone().drive(id));
            }
        }
        for (project, name) in environments {
            if self.kept.lock().expect("no holder panics").insert((project, name.clone())) {
                tokio::spawn(self.clone().keep(project, name));
            }
        }
    }

    /// Everybody looks again now.
    pub fn nudge(&self) {
        self.nudge.notify_waiters();
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub fn waiting(&self, id: ReleaseId) -> Option<String> {
        self.waiting.lock().expect("no holder panics").get(&id).cloned()
    }

    /// Returns when the release stands still, or has ended, with what is on its record now; or after a moment, whatever happens.
    pub async fn look_again(&self, id: ReleaseId) {
        let mut looks = self.looks.subscribe();
        let before = looks.borrow_and_update().get(&id).copied();
        self.nudge();
        if let Some(before) = before {
            // The look that goes on may have begun before the last event; the one after it hasn't. One that has ended is not looked at.
            let enough = |looks: &BTreeMap<ReleaseId, u64>| looks.get(&id).is_none_or(|count| *count >= before + 2);
            let _ = tokio::time::timeout(ANSWER, looks.wait_for(enough)).await;
        }
    }

    async fn drive(self: Arc<Self>, id: ReleaseId) {
        self.looks.send_modify(|looks| _ = looks.insert(id, 0));
        loop {
            match tick_release(&self.world, &self.cache, id).await {
                Ok(ticked) => {
                    self.after_tick(id, &ticked).await;
                    if ticked.finished.is_some() {
                        break;
                    }
                    if !ticked.moved && !ticked.conflict {
                        self.looks.send_modify(|looks| *looks.entry(id).or_default() += 1);
                        self.rest(LOOK).await;
                    }
                }
                Err(error) => {
                    self.report(id, &error);
                    self.rest(RETRY).await;
                }
            }
        }
        self.driven.lock().expect("no holder panics").remove(&id);
        self.waiting.lock().expect("no holder panics").remove(&id);
        self.looks.send_modify(|looks| _ = looks.remove(&id));
        self.take_up();
        self.nudge();
    }

    async fn keep(self: Arc<Self>, project: ProjectId, name: String) {
        let mut told = Vec::new();
        loop {
            match tick_environment(&self.world, &self.cache, project, &name).await {
                Ok(ticked) => {
                    // Once, and not at every look as long as it lasts.
                    let troubles: Vec<String> = ticked.trouble.iter().map(ToString::to_string).collect();
                    for trouble in troubles.iter().filter(|trouble| !told.contains(*trouble)) {
                        tracing::warn!(%trouble, environment = name, "environment");
                    }
                    told = troubles;
                    if ticked.moved {
                        self.catch_up().await;
                    }
                }
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, environment = name, "environment"),
            }
            self.rest(KEEP).await;
        }
    }

    async fn after_tick(self: &Arc<Self>, id: ReleaseId, ticked: &Ticked) {
        if ticked.moved {
            self.catch_up().await;
            self.take_up();
        }
        let sentence = match ticked.trouble.first() {
            Some(trouble) => Some(trouble.to_string()),
            None => ticked.waiting.as_ref().map(|waiting| self.told(id, waiting)),
        };
        let mut waiting = self.waiting.lock().expect("no holder panics");
        match sentence {
            Some(sentence) => waiting.insert(id, sentence),
            None => waiting.remove(&id),
        };
    }

    fn told(&self, id: ReleaseId, waiting: &Waiting) -> String {
        let index = self.journal.index();
        let environment = index.releases.get(&id).map_or(environment::FIRST, |entry| entry.environment.as_str());
        with_numbers(&index, &waiting.sentence(environment))
    }

    async fn catch_up(&self) {
        if let Err(failure) = self.journal.catch_up().await {
            tracing::error!(message = failure.message, "the lists are behind the record");
        }
    }

    fn report(&self, id: ReleaseId, error: &TickError) {
        let failure = crate::failure::Failure::from_error("drive the release", error);
        tracing::error!(release = %id, message = failure.message, "release");
        let sentence = format!("nothing can be recorded, so nothing moves; goes on by itself as soon as it can: {}", failure.message);
        self.waiting.lock().expect("no holder panics").insert(id, sentence);
    }

    async fn rest(&self, at_most: Duration) {
        tokio::select! {
            () = self.nudge.notified() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}
