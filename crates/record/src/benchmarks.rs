//! What the benchmarks of later releases are compared with.

use std::collections::BTreeMap;

use base::name::{ProjectId, ReleaseId};
use gate::Figure;
use gate::evidence::Summary;
use release::{EnvironmentEvent, Outcome};
use rollout::RevisionId;

type Place = (ProjectId, String);

/// Of so many revisions of an environment: traffic may go back to them, and then it is their figures that count again.
const REVISIONS_MAX: usize = 10;

#[derive(Debug, Clone, Default)]
pub(crate) struct Benchmarks {
    /// Of releases that are under way.
    read: BTreeMap<ReleaseId, Vec<Figure>>,
    /// Of what was live; what is live stands last, also where it has none.
    live: BTreeMap<Place, Vec<(RevisionId, Vec<Figure>)>>,
}

impl Benchmarks {
    pub fn read(&mut self, release: ReleaseId, summary: &Summary) {
        let figures = gate::figures(summary);
        if !figures.is_empty() {
            self.read.insert(release, figures);
        }
    }

    /// One that went live is told of by its environment, before or after.
    pub fn finished(&mut self, release: ReleaseId, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Promoted { .. }) {
            self.read.remove(&release);
        }
    }

    pub fn apply_environment(&mut self, place: &Place, event: &EnvironmentEvent) {
        let EnvironmentEvent::Released { live: Some(live), .. } = event else { return };
        let known = self.live.entry(place.clone()).or_default();
        let revision = live.instance.revision.clone();
        let before = known.iter().position(|(of, _)| *of == revision).map(|at| known.remove(at).1);
        let figures = self.read.remove(&live.release).or(before).unwrap_or_default();
        known.push((revision, figures));
        if known.len() > REVISIONS_MAX {
            known.remove(0);
        }
    }

    pub fn baseline(&self, place: &Place) -> &[Figure] {
        self.live.get(place).and_then(|known| known.last()).map_or(&[], |(_, figures)| figures)
    }
}
