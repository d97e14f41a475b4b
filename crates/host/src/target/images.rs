//! Whether images are here: asked by threads of their own, because an engine takes its time to pull, or hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::world::Prepared;
use rollout::Container;

use crate::container::{Engine, restore};

/// What is known of each image, by its identity.
#[derive(Debug, Clone, Default)]
pub(super) struct Images(Arc<Mutex<BTreeMap<String, Known>>>);

#[derive(Debug, Default)]
struct Known {
    asked: Option<Instant>,
    last: Option<(Prepared, Instant)>,
}

/// An answer holds so long: time enough to act on it, and no more than a person waits who has just mended something.
const FRESH: Duration = Duration::from_secs(3);

impl Images {
    /// What is known now; who asks again hears more.
    pub(super) fn ask(&self, container: &Container, engine: impl FnOnce() -> Result<Engine, String> + Send + 'static) -> Prepared {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(container.id.clone()).or_default();
        let is_fresh = known.last.as_ref().is_some_and(|(_, at)| at.elapsed() < FRESH);
        if !is_fresh && known.asked.is_none() {
            known.asked = Some(Instant::now());
            let (images, container) = (self.clone(), container.clone());
            std::thread::spawn(move || images.know(&container.id, look(engine(), &container)));
        }
        match &known.last {
            // It may have been removed since.
            Some((prepared, _)) if is_fresh || *prepared != Prepared::Here => prepared.clone(),
            _ if known.asked.is_some_and(|at| at.elapsed() > FRESH) => {
                Prepared::NotYet { why: format!("the container engine was asked for `{}` and has not answered yet", container.image) }
            }
            _ => Prepared::NotYet { why: format!("it is being looked for `{}`", container.image) },
        }
    }

    fn know(&self, id: &str, prepared: Prepared) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_string(), Known { asked: None, last: Some((prepared, Instant::now())) });
    }
}

fn look(engine: Result<Engine, String>, container: &Container) -> Prepared {
    match engine.and_then(|engine| restore(&engine, container)) {
        Ok(_) => Prepared::Here,
        Err(why) => Prepared::NotYet { why },
    }
}
