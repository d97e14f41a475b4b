//! One environment of one project: what is live, who is changing it, and that what is live stays so.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use base::name::ReleaseId;
use base::people::same;
use gate::Override;
use gate::window::Period;
use rollout::watch::{Does, Verdict};
use rollout::{Endpoint, InstancePhase, InstancePlan, InstanceSeen, RevisionId, RouteSeen, TargetSeen};
use serde::{Deserialize, Serialize};

use crate::plan::Delivery;

/// Room for one rollout's generations between two admissions; a rollout makes a few dozen.
pub const GENERATIONS_PER_RELEASE: u64 = 1_000_000;

/// Where a release goes when nobody says anything else, and where all went before there could be several.
pub const FIRST: &str = "local";

/// ` --environment staging` behind a command that is to be typed, nothing for the first.
pub fn flag(environment: &str) -> String {
    if environment == FIRST { String::new() } else { format!(" --environment {environment}") }
}

/// All traffic, in 0.01 %.
const ALL: u32 = 10_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment {
    live: Option<Live>,
    /// What was live before, oldest first: the artifacts stay on disk for an instant return.
    history: Vec<Live>,
    quarantined: BTreeSet<RevisionId>,
    occupied: Option<ReleaseId>,
    generation: u64,
    /// Where the live revision's requests were last sent outside of a release.
    routed: Option<Routed>,
    down: bool,
    /// Freezes that people called.
    frozen: Vec<Period>,
    overridden: Option<Override>,
    /// When traffic went back to an older version, in the day before the last time.
    went_back: Vec<Timestamp>,
    /// Of what is live.
    noticed: Vec<Noticed>,
}

/// "Rollbacks of the last 24 hours", as gates ask for them.
const DAY_MS: u64 = 24 * 3_600_000;

/// What was asked of an environment makes no sense; the sentence says why and what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwanted(pub String);

/// Longer than that an emergency is a habit.
pub const OVERRIDE_MAX_MS: u64 = 24 * 3_600_000;

/// A revision that has, or had, all the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    pub release: ReleaseId,
    pub number: u64,
    pub instance: InstancePlan,
    /// As it was delivered, for the way back.
    pub delivery: Delivery,
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
struct Routed {
    generation: u64,
    addresses: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentEvent {
    /// A release has the environment to itself from here.
    Admitted {
        release: ReleaseId,
        generation: u64,
        at: Timestamp,
    },
    /// The release has ended; `live` is what it left with all the traffic, where that changed.
    Released {
        release: ReleaseId,
        live: Option<Box<Live>>,
        quarantined: Option<RevisionId>,
        /// Its revision was asked by users. Older facts don't say.
        #[serde(default)]
        had_traffic: bool,
        generation: u64,
        at: Timestamp,
    },
    /// The live revision listens elsewhere now (it was started again), and traffic follows.
    Rerouted {
        generation: u64,
        addresses: BTreeSet<String>,
        at: Timestamp,
    },
    WentDown {
        by: String,
        generation: u64,
        at: Timestamp,
    },
    /// Nothing moves forward from here on; without `until` until somebody says so.
    Frozen {
        by: String,
        reason: String,
        until: Option<Timestamp>,
        at: Timestamp,
    },
    /// All freezes that people called are over.
    Unfrozen {
        by: String,
        at: Timestamp,
    },
    Overridden {
        #[serde(flatten)]
        by: Override,
        at: Timestamp,
    },
    /// Another person answers for the override that stands.
    Confirmed {
        by: String,
        at: Timestamp,
    },
    /// What is live broke a bound after its promotion.
    Noticed(Noticed),
}

/// Of the release that is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noticed {
    pub release: ReleaseId,
    /// By its place in the plan.
    pub rule: usize,
    /// Without a full stop.
    pub said: String,
    pub does: Does,
    pub at: Timestamp,
}

impl EnvironmentEvent {
    pub fn kind(&self) -> &'static str {
        match self {
            EnvironmentEvent::Admitted { .. } => "environment.admitted",
            EnvironmentEvent::Released { .. } => "environment.released",
            EnvironmentEvent::Rerouted { .. } => "environment.rerouted",
            EnvironmentEvent::WentDown { .. } => "environment.went-down",
            EnvironmentEvent::Frozen { .. } => "environment.frozen",
            EnvironmentEvent::Unfrozen { .. } => "environment.unfrozen",
            EnvironmentEvent::Overridden { .. } => "environment.overridden",
            EnvironmentEvent::Confirmed { .. } => "environment.override-confirmed",
            EnvironmentEvent::Noticed(_) => "environment.noticed",
        }
    }
}

/// What is seen of the environment's instances and route; unknown is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnvironmentSeen {
    pub target: Option<TargetSeen>,
    pub route: Option<RouteSeen>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EnvironmentAction {
    Run {
        generation: u64,
        instance: Box<InstancePlan>,
        replicas: u32,
    },
    Stop {
        generation: u64,
        revision: RevisionId,
    },
    Route {
        generation: u64,
        port: u16,
        weights: BTreeMap<RevisionId, u32>,
        endpoints: Vec<Endpoint>,
    },
    /// Nothing listens at the port any more.
    Unroute {
        generation: u64,
    },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnvironmentAdvance {
    pub events: Vec<EnvironmentEvent>,
    pub actions: Vec<EnvironmentAction>,
}

impl Environment {
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a EnvironmentEvent>) -> Environment {
        let mut environment = Environment::default();
        for event in events {
            environment.apply(event);
        }
        environment
    }

    pub fn apply(&mut self, event: &EnvironmentEvent) {
        match event {
            EnvironmentEvent::Admitted { release, generation, .. } => {
                assert!(self.occupied.is_none(), "an environment has one release at a time: {:?}, then {release}", self.occupied);
                assert!(*generation > self.generation, "generations grow");
                self.occupied = Some(*release);
                self.generation = *generation;
                self.routed = None;
            }
            EnvironmentEvent::Released { release, live, quarantined, had_traffic, generation, at } => {
                assert!(self.occupied == Some(*release), "only the release that has the environment gives it back");
                self.occupied = None;
                self.generation = self.generation.max(*generation);
                self.quarantined.extend(quarantined.clone());
                if *had_traffic && self.leads_back(live.as_deref()) {
                    self.went_back.retain(|then| at.since_ms(*then) < DAY_MS);
                    self.went_back.push(*at);
                }
                if let Some(live) = live {
                    self.down = false;
                    self.noticed.clear();
                    self.quarantined.remove(&live.instance.revision);
                    let revision = live.instance.revision.clone();
                    self.history.extend(self.live.replace((**live).clone()));
                    self.history.retain(|old| old.instance.revision != revision);
                }
            }
            EnvironmentEvent::Rerouted { generation, addresses, .. } => {
                self.generation = *generation;
                self.routed = Some(Routed { generation: *generation, addresses: addresses.clone() });
            }
            EnvironmentEvent::WentDown { generation, .. } => {
                self.generation = *generation;
                self.history.extend(self.live.take());
                self.routed = None;
                self.noticed.clear();
                self.down = true;
            }
            EnvironmentEvent::Frozen { reason, until, at, .. } => {
                self.frozen.retain(|freeze| freeze.to.is_none_or(|to| to > *at));
                self.frozen.push(Period { from: *at, to: *until, reason: reason.clone() });
            }
            EnvironmentEvent::Unfrozen { .. } => self.frozen.clear(),
            EnvironmentEvent::Overridden { by, .. } => self.overridden = Some(by.clone()),
            EnvironmentEvent::Confirmed { by, .. } => {
                let overridden = self.overridden.as_mut().expect("there is an override before it is confirmed");
                overridden.confirmed_by.insert(by.clone());
            }
            EnvironmentEvent::Noticed(noticed) => self.noticed.push(noticed.clone()),
        }
    }

    /// Nothing where it is on record already, or something else is live.
    pub fn notice(&self, release: ReleaseId, verdict: &Verdict, now: Timestamp) -> Option<EnvironmentEvent> {
        let Verdict { rule, said, does } = verdict;
        let is_known = self.noticed.iter().any(|it| (it.rule, it.does) == (*rule, *does));
        let is_live = self.live.as_ref().is_some_and(|live| live.release == release) && self.occupied.is_none();
        let noticed = Noticed { release, rule: *rule, said: said.clone(), does: *does, at: now };
        (is_live && !is_known).then_some(EnvironmentEvent::Noticed(noticed))
    }

    /// What bounds it broke since its promotion.
    pub fn noticed(&self) -> &[Noticed] {
        &self.noticed
    }

    /// How often traffic went back to an older version in the 24 hours before: taken back from a new one, or by a person's rollback.
    pub fn rollbacks_24h(&self, now: Timestamp) -> u32 {
        self.went_back.iter().filter(|then| now.since_ms(**then) < DAY_MS).count() as u32
    }

    /// A release that left nothing live had its traffic taken back; one that left what was live before is somebody's way back.
    fn leads_back(&self, next: Option<&Live>) -> bool {
        let Some(now_live) = &self.live else { return false };
        let was_live = |next: &Live| self.history.iter().any(|old| old.instance.revision == next.instance.revision);
        next.is_none_or(|next| next.instance.revision != now_live.instance.revision && was_live(next))
    }

    /// Keeps what is live running and routed while no release has the environment.
    pub fn advance(&self, seen: &EnvironmentSeen, now: Timestamp) -> EnvironmentAdvance {
        // Before the first admission there is nothing of ours to keep or to stop; a freeze may be all that is on record.
        if self.occupied.is_some() || self.generation == 0 {
            return EnvironmentAdvance::default();
        }
        match &self.live {
            Some(live) => self.keep(live, seen, now),
            None => self.clear(seen),
        }
    }

    /// Takes the environment down: everything stops, nothing is forgotten.
    ///
    /// # Errors
    /// While a release has the environment: abort it first.
    pub fn go_down(&self, by: &str, now: Timestamp) -> Result<EnvironmentEvent, ReleaseId> {
        match self.occupied {
            Some(release) => Err(release),
            None => Ok(EnvironmentEvent::WentDown { by: by.to_string(), generation: self.generation + 1, at: now }),
        }
    }

    /// # Errors
    /// Without a reason, or with an end that has passed.
    pub fn freeze(&self, by: &str, reason: &str, until: Option<Timestamp>, now: Timestamp) -> Result<EnvironmentEvent, Unwanted> {
        if reason.trim().is_empty() {
            return Err(Unwanted("a freeze needs a reason, which everybody who waits is told".to_string()));
        }
        if let Some(until) = until.filter(|until| *until <= now) {
            return Err(Unwanted(format!("a freeze until {} is over already", until.date_and_clock())));
        }
        Ok(EnvironmentEvent::Frozen { by: by.to_string(), reason: reason.trim().to_string(), until, at: now })
    }

    /// # Errors
    /// When nobody froze it.
    pub fn unfreeze(&self, by: &str, now: Timestamp) -> Result<EnvironmentEvent, Unwanted> {
        match self.frozen(now).is_empty() {
            true => Err(Unwanted("nobody has frozen this environment; hours that `gate.window` closes open by themselves".to_string())),
            false => Ok(EnvironmentEvent::Unfrozen { by: by.to_string(), at: now }),
        }
    }

    /// # Errors
    /// Without a reason, without an end, or longer than [`OVERRIDE_MAX_MS`].
    pub fn override_gate(&self, by: Override, now: Timestamp) -> Result<EnvironmentEvent, Unwanted> {
        if by.reason.trim().is_empty() {
            return Err(Unwanted("an override needs a reason, which stays on record".to_string()));
        }
        if by.until <= now || by.until.since_ms(now) > OVERRIDE_MAX_MS {
            return Err(Unwanted("an override lasts for 24 hours at most, and for some time at least".to_string()));
        }
        Ok(EnvironmentEvent::Overridden { by, at: now })
    }

    /// # Errors
    /// When nobody asked for an override that still stands, they have confirmed it, or have asked for it themselves.
    pub fn confirm_override(&self, by: &str, now: Timestamp) -> Result<EnvironmentEvent, Unwanted> {
        let Some(standing) = self.overridden(now) else {
            return Err(Unwanted("there is no override to confirm; `plimsoll gate override --reason TEXT` asks for one".to_string()));
        };
        if standing.confirmed_by.iter().any(|other| same(other, by)) {
            return Err(Unwanted(format!("{by} has confirmed it already")));
        }
        if same(&standing.by, by) {
            return Err(Unwanted(format!("{by} asked for this override; another person confirms it")));
        }
        Ok(EnvironmentEvent::Confirmed { by: by.to_string(), at: now })
    }

    /// Freezes that people called and that still hold: from when they are on record, by whatever clock.
    pub fn frozen(&self, now: Timestamp) -> Vec<Period> {
        let called = self.frozen.iter().map(|freeze| Period { from: freeze.from.min(now), ..freeze.clone() });
        called.filter(|freeze| freeze.holds(now)).collect()
    }

    pub fn overridden(&self, now: Timestamp) -> Option<&Override> {
        self.overridden.as_ref().filter(|it| now < it.until)
    }

    pub fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    pub fn history(&self) -> &[Live] {
        &self.history
    }

    pub fn occupied(&self) -> Option<ReleaseId> {
        self.occupied
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn is_down(&self) -> bool {
        self.down
    }

    pub fn is_quarantined(&self, revision: &RevisionId) -> bool {
        self.quarantined.contains(revision)
    }

    fn keep(&self, live: &Live, seen: &EnvironmentSeen, now: Timestamp) -> EnvironmentAdvance {
        let mut advance = EnvironmentAdvance::default();
        let Some(TargetSeen { instances, .. }) = &seen.target else { return advance };
        let revision = &live.instance.revision;
        let running = instances.iter().filter(|it| it.revision == *revision && it.phase != InstancePhase::Stopped).count();
        if running < live.delivery.replicas as usize {
            let instance = Box::new(live.instance.clone());
            advance.actions.push(EnvironmentAction::Run { generation: self.generation, instance, replicas: live.delivery.replicas });
        }
        // What may still have traffic is not stopped: a release that could not bring it back has left it there.
        if self.keep_route(live, instances, seen.route.as_ref(), now, &mut advance) {
            let others = instances.iter().filter(|it| it.revision != *revision && it.phase != InstancePhase::Stopped);
            let others: BTreeSet<&RevisionId> = others.map(|it| &it.revision).collect();
            let stop = |other: &RevisionId| EnvironmentAction::Stop { generation: self.generation, revision: other.clone() };
            advance.actions.extend(others.into_iter().map(stop));
        }
        advance
    }

    /// Whether the live revision is seen to have all the traffic, as it was sent last.
    fn keep_route(
        &self,
        live: &Live,
        instances: &[InstanceSeen],
        route: Option<&RouteSeen>,
        now: Timestamp,
        advance: &mut EnvironmentAdvance,
    ) -> bool {
        let revision = &live.instance.revision;
        let ready: BTreeSet<String> = instances
            .iter()
            .filter(|it| it.revision == *revision && it.phase == InstancePhase::Ready)
            .filter_map(|it| it.address.clone())
            .collect();
        let (generation, addresses) = match &self.routed {
            Some(routed) if ready.is_empty() || routed.addresses == ready => (routed.generation, routed.addresses.clone()),
            None if ready.is_empty() => return false,
            _ => {
                let generation = self.generation + 1;
                advance.events.push(EnvironmentEvent::Rerouted { generation, addresses: ready.clone(), at: now });
                (generation, ready)
            }
        };
        let weights = BTreeMap::from([(revision.clone(), ALL)]);
        let in_place = route.is_some_and(|it| it.generation == generation && it.weights == weights);
        if !in_place {
            let endpoints = addresses.into_iter().map(|address| Endpoint { revision: revision.clone(), address }).collect();
            advance.actions.push(EnvironmentAction::Route { generation, port: live.delivery.port, weights, endpoints });
        }
        in_place
    }

    fn clear(&self, seen: &EnvironmentSeen) -> EnvironmentAdvance {
        let mut advance = EnvironmentAdvance::default();
        let instances = seen.target.iter().flat_map(|target| &target.instances);
        let running: BTreeSet<&RevisionId> = instances.filter(|it| it.phase != InstancePhase::Stopped).map(|it| &it.revision).collect();
        for revision in running {
            advance.actions.push(EnvironmentAction::Stop { generation: self.generation, revision: revision.clone() });
        }
        if seen.route.as_ref().is_some_and(|route| !route.weights.is_empty()) {
            advance.actions.push(EnvironmentAction::Unroute { generation: self.generation });
        }
        advance
    }
}
