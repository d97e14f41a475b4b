//! Smoke checks under way and their answers, per release and generation; kept in memory, because asking again is harmless.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use base::name::ReleaseId;
use rollout::{SmokeCheck, SmokeSeen};

use crate::world::Target;

/// Runs a future on its own; a simulation brings its own way.
pub type Spawn = Box<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// Nothing while the checks are under way.
type Answers = BTreeMap<(ReleaseId, u64), Option<SmokeSeen>>;

pub struct SmokeBoard {
    spawn: Spawn,
    answers: Arc<Mutex<Answers>>,
}

impl std::fmt::Debug for SmokeBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmokeBoard").field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl SmokeBoard {
    pub fn new(spawn: Spawn) -> SmokeBoard {
        SmokeBoard { spawn, answers: Arc::default() }
    }

    /// Starts the checks unless they are under way or answered.
    pub fn start(&self, target: Arc<dyn Target>, release: ReleaseId, generation: u64, addresses: Vec<String>, checks: Vec<SmokeCheck>) {
        let key = (release, generation);
        {
            let mut answers = self.answers.lock().expect("no holder panics");
            if answers.contains_key(&key) {
                return;
            }
            answers.retain(|(of, earlier), _| *of != release || *earlier + 8 > generation);
            answers.insert(key, None);
        }
        let answers = self.answers.clone();
        (self.spawn)(Box::pin(async move {
            let seen = target.smoke(&addresses, &checks).await;
            answers.lock().expect("no holder panics").insert(key, Some(seen));
        }));
    }

    /// What has been answered, by generation.
    pub fn answers(&self, release: ReleaseId) -> BTreeMap<u64, SmokeSeen> {
        let answers = self.answers.lock().expect("no holder panics");
        answers
            .range((release, 0)..=(release, u64::MAX))
            .filter_map(|((_, generation), seen)| seen.clone().map(|seen| (*generation, seen)))
            .collect()
    }
}
