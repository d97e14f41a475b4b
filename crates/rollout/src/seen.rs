//! What a look at the world means for this rollout.

use std::collections::BTreeMap;

use base::Timestamp;

use crate::plan::RevisionId;
use crate::rollout::{Rollout, WHOLE};
use crate::{Endpoint, InstancePhase, InstanceSeen, Observed, RouteSeen};

/// Instances of one revision as seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fleet<'a> {
    pub instances: &'a [InstanceSeen],
    pub revision: &'a RevisionId,
}

impl<'a> Fleet<'a> {
    /// Nothing when the target can't be asked.
    pub fn of(seen: &'a Observed, revision: &'a RevisionId) -> Option<Fleet<'a>> {
        seen.target.as_ref().map(|target| Fleet { instances: &target.instances, revision })
    }

    pub fn all(self) -> impl Iterator<Item = &'a InstanceSeen> {
        self.instances.iter().filter(move |it| it.revision == *self.revision)
    }

    pub fn ready(self) -> u32 {
        self.all().filter(|it| it.phase == InstancePhase::Ready).count() as u32
    }

    /// Indexes below `count` with a ready instance.
    pub fn ready_below(self, count: u32) -> u32 {
        self.all().filter(|it| it.index < count && it.phase == InstancePhase::Ready).count() as u32
    }

    pub fn live(self) -> u32 {
        self.live_from(0)
    }

    /// Of the indexes from there on.
    pub fn live_from(self, index: u32) -> u32 {
        self.all().filter(|it| it.index >= index && it.phase != InstancePhase::Stopped).count() as u32
    }

    /// The largest index that is alive.
    pub fn last_live(self) -> Option<u32> {
        self.last_live_below(u32::MAX)
    }

    /// The largest one below `count`.
    pub fn last_live_below(self, count: u32) -> Option<u32> {
        self.all().filter(|it| it.index < count && it.phase != InstancePhase::Stopped).map(|it| it.index).max()
    }

    /// Exactly the indexes from 0 to `replicas` are alive.
    pub fn is_complete(self, replicas: u32) -> bool {
        let mut indexes: Vec<u32> = self.all().filter(|it| it.phase != InstancePhase::Stopped).map(|it| it.index).collect();
        indexes.sort_unstable();
        indexes.into_iter().eq(0..replicas)
    }

    /// Of the ready instances with indexes below `count`.
    pub fn endpoints_below(self, count: u32) -> Vec<Endpoint> {
        let ready = self.all().filter(|it| it.index < count && it.phase == InstancePhase::Ready);
        let mut endpoints: Vec<Endpoint> =
            ready.filter_map(|it| Some(Endpoint { revision: it.revision.clone(), address: it.address.clone()? })).collect();
        endpoints.sort();
        endpoints
    }

    /// When the last of them became ready; nothing unless all are.
    pub fn ready_since(self, replicas: u32) -> Option<Timestamp> {
        (self.ready() >= replicas).then(|| self.all().filter(|it| it.phase == InstancePhase::Ready).map(|it| it.since).max())?
    }

    /// Since when some index below `replicas` has an instance but no ready one.
    pub fn unready_since(self, replicas: u32) -> Option<Timestamp> {
        let is_ready = |index| self.all().any(|it| it.index == index && it.phase == InstancePhase::Ready);
        self.all().filter(|it| it.index < replicas && !is_ready(it.index)).map(|it| it.since).min()
    }

    /// The last thing worth telling about an instance that isn't ready.
    pub fn message(self) -> Option<String> {
        self.all().filter(|it| it.phase != InstancePhase::Ready).filter_map(|it| it.message.clone()).next()
    }
}

/// What the router does with the last route decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteState {
    /// Nothing was asked of it yet.
    NotAsked,
    Unknown,
    Taken,
    /// It has an older one, or the same with other weights.
    Behind {
        seen: u64,
    },
    /// Somebody newer has it.
    Superseded {
        seen: u64,
    },
}

impl Rollout {
    pub(crate) fn new_fleet<'a>(&'a self, seen: &'a Observed) -> Option<Fleet<'a>> {
        Fleet::of(seen, &self.plan.revision.id)
    }

    pub(crate) fn stable_fleet<'a>(&'a self, seen: &'a Observed) -> Option<Fleet<'a>> {
        Fleet::of(seen, &self.stable()?.id)
    }

    /// Orders from before the last decision about instances can't change anything any more.
    pub(crate) fn is_accepted(&self, seen: &Observed) -> bool {
        seen.target.as_ref().is_some_and(|target| target.generation >= self.instances_generation)
    }

    pub(crate) fn route_state(&self, seen: &Observed) -> RouteState {
        let Some(route) = &seen.route else { return if self.route.is_none() { RouteState::NotAsked } else { RouteState::Unknown } };
        match &self.route {
            None if route.generation > self.generation => RouteState::Superseded { seen: route.generation },
            None => RouteState::NotAsked,
            Some(wish) if route.generation > wish.generation => RouteState::Superseded { seen: route.generation },
            Some(wish) if route.generation == wish.generation && same_weights(route, &wish.weights) => RouteState::Taken,
            Some(_) => RouteState::Behind { seen: route.generation },
        }
    }

    /// Where the traffic of each revision can go: its ready instances, or where it went before when none is ready or
    /// what runs is unknown, because an instance that may answer is better than none.
    pub(crate) fn endpoints(&self, seen: &Observed, weights: &BTreeMap<RevisionId, u32>) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        for revision in weights.keys() {
            let ready = Fleet::of(seen, revision).map(|fleet| fleet.endpoints_below(self.serving(revision))).unwrap_or_default();
            let known = self.route.iter().flat_map(|wish| &wish.endpoints).filter(|it| it.revision == *revision).cloned();
            endpoints.extend(if ready.is_empty() { known.collect() } else { ready });
        }
        endpoints
    }

    pub(crate) fn has_all_traffic(&self, revision: &RevisionId) -> bool {
        self.weight_of(revision) == WHOLE
    }
}

fn same_weights(route: &RouteSeen, weights: &BTreeMap<RevisionId, u32>) -> bool {
    let some = |weights: &BTreeMap<RevisionId, u32>| -> Vec<(RevisionId, u32)> {
        weights.iter().filter(|(_, weight)| **weight > 0).map(|(revision, weight)| (revision.clone(), *weight)).collect()
    };
    some(&route.weights) == some(weights)
}

/// The revision's share of the traffic as the router has it, if it can be asked.
pub(crate) fn in_force(seen: &Observed, revision: &RevisionId) -> Option<u32> {
    Some(seen.route.as_ref()?.weights.get(revision).copied().unwrap_or(0))
}

/// The router answers and has no request in flight on the revision; on one that it has never heard of there is none.
pub(crate) fn is_idle(seen: &Observed, revision: &RevisionId) -> bool {
    seen.route.is_some() && in_flight(seen, revision).is_none_or(|requests| requests == 0)
}

/// Requests still in flight on a revision, if the router can be asked.
pub(crate) fn in_flight(seen: &Observed, revision: &RevisionId) -> Option<u64> {
    seen.route.as_ref()?.counts.get(revision).map(|counts| counts.in_flight)
}
