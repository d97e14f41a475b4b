//! A rolling update's bounds, by what is true: never more instances, and never fewer ready by our own doing.

use std::sync::Arc;

use base::name::ReleaseId;
use rollout::rolling::resolve;
use rollout::{Phase, Plan, RevisionId, Rollout, Strategy};

use crate::scheduler::Sim;
use crate::world::Truth;

/// A rolling update under way, and its bounds.
struct Update<'a> {
    release: ReleaseId,
    new: &'a RevisionId,
    old: &'a RevisionId,
    phase: Phase,
    /// Every order of its own has a later generation.
    since: u64,
    most: u32,
    least: u32,
}

impl Truth {
    /// After something was recorded. What is there when an update begins, still ending mostly, may be more than it may have itself; and
    /// what an earlier attempt left with traffic is taken over from its first instance to its last, those that are gone in between too.
    pub fn update_begins(&mut self) {
        let found = |update: Update<'_>| (update.release, self.of(&update) + self.target.gaps(update.new));
        let Some((release, there)) = self.update().map(found) else { return };
        // What has gone since is not there to be taken over any more.
        let before = self.found.filter(|(known, _)| *known == release).map_or(u32::MAX, |(_, there)| there);
        self.found = Some((release, before.min(there)));
    }

    /// After an instance of the revision was started at this generation. The way back may make room for one that is in its way, what
    /// was on its way to the target before the update began is not its doing, and what is live is kept whole whatever else there is.
    pub fn not_too_many(&mut self, sim: &Arc<Sim>, generation: u64, revision: &RevisionId) {
        let Some(update) = self.update().filter(|it| matches!(it.phase, Phase::Rolling | Phase::Verifying | Phase::Draining)) else {
            return;
        };
        if generation <= update.since {
            // It is there as if the update had found it, for as long as it is.
            let release = update.release;
            self.found = self.found.map(|(known, there)| (known, there + u32::from(known == release)));
            return;
        }
        if revision != update.new {
            return;
        }
        let live = self.of(&update);
        let found = self.found.filter(|(release, _)| *release == update.release).map_or(0, |(_, there)| there);
        if live > update.most.max(found) {
            let detail = format!("{live} instances of release {}, at most {} may be", update.release, update.most);
            sim.violate("a rolling update's surge", detail);
        }
    }

    /// After a ready instance was asked to end. What was ready once and failed by itself is not our doing, and of the old revision none
    /// that was not ready is, as long as it goes forward.
    pub fn not_too_few(&self, sim: &Arc<Sim>) {
        let Some(update) = self.update().filter(|it| matches!(it.phase, Phase::Rolling | Phase::RollingBack)) else { return };
        let forward = update.phase == Phase::Rolling;
        let left = self.target.left_to(update.new, false) + self.target.left_to(update.old, forward);
        if left < update.least {
            let detail = format!("{left} instances of release {} are left ready, at least {} must be", update.release, update.least);
            sim.violate("a rolling update's readiness", detail);
        }
    }

    /// Whether a rolling update with the revision may leave nobody ready: one instance replaced in its place, for example.
    pub fn may_be_nobody(&self, revision: &RevisionId) -> bool {
        let rollouts = self.oracle.releases.values().filter_map(|release| release.rollout());
        let with_it = rollouts.map(Rollout::plan).filter(|plan| plan.revision.id == *revision);
        with_it.filter_map(least_and_most).any(|(least, _)| least == 0)
    }

    fn of(&self, update: &Update<'_>) -> u32 {
        self.target.running().filter(|revision| *revision == update.new || *revision == update.old).count() as u32
    }

    fn update(&self) -> Option<Update<'_>> {
        let release = self.oracle.environment.occupied().filter(|release| !self.oracle.at_once.contains(release))?;
        let rollout: &Rollout = self.oracle.releases.get(&release)?.rollout()?;
        let plan = rollout.plan();
        let (least, most) = least_and_most(plan)?;
        Some(Update {
            release,
            new: &plan.revision.id,
            old: plan.stable.as_ref().map(|stable| &stable.id).filter(|stable| **stable != plan.revision.id)?,
            phase: rollout.phase(),
            since: plan.generation_base,
            most,
            least,
        })
    }
}

/// Instances that must be ready, and that may be there, during a rolling update.
fn least_and_most(plan: &Plan) -> Option<(u32, u32)> {
    let Strategy::RollingUpdate { max_surge, max_unavailable } = plan.strategy else { return None };
    let (surge, unavailable) = resolve(max_surge, max_unavailable, plan.replicas);
    let before = plan.stable_replicas.unwrap_or(plan.replicas);
    Some((plan.replicas.min(before).saturating_sub(unavailable), plan.replicas.max(before) + surge))
}
