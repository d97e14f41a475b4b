//! What was promised, checked after every fact, start and route. The oracles know the truth; the machines don't.

mod end;
mod rolling;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base::name::ReleaseId;
use base::{Digest, Timestamp};
use engine::world::Route;
use gate::slo::WhenUnknown;
use record::{Fact, ledger};
use release::{Environment, EnvironmentEvent, Event, Kind, Outcome, Plan, Release, Workflows};
use rollout::judge::{Metric, Question, Stream};
use rollout::{Happened, Phase, RevisionId};
use workflow::environment::Review;
use workflow::job::JobId;

use crate::scheduler::Sim;
use crate::world::{STALL_MAX_MS, Truth};

/// Everything on record, folded fact by fact beside the servers.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub releases: BTreeMap<ReleaseId, Release>,
    pub environment: Environment,
    /// What can be said of a run, a rollout or an environment, and how often it was.
    pub covered: BTreeMap<Met, u64>,
    position: u64,
    versions: BTreeMap<String, u64>,
    jobs_started: BTreeSet<JobId>,
    /// Since when jobs wait for what protects their environment.
    jobs_held: BTreeMap<(ReleaseId, String), Timestamp>,
    jobs_executed: BTreeSet<JobId>,
    generations: BTreeSet<u64>,
    routes: BTreeMap<u64, BTreeMap<RevisionId, u32>>,
    artifacts: BTreeMap<RevisionId, Digest>,
    /// Revisions that may have traffic: allowed and admitted.
    permitted: BTreeSet<RevisionId>,
    /// Revisions that were taken back, until somebody newer admits them again.
    taken_back: BTreeSet<RevisionId>,
    /// Users' requests that a release says it counted.
    measured: BTreeMap<(ReleaseId, RevisionId), u64>,
    way_back: Option<WayBack>,
    /// Rolling updates whose bounds somebody set aside.
    at_once: BTreeSet<ReleaseId>,
    was_live: bool,
    /// Until when, or until somebody says so.
    frozen: Option<Option<Timestamp>>,
    overridden_until: Option<Timestamp>,
    /// By another person than who asked for it.
    confirmed: bool,
}

/// A rollback on record whose traffic is not back yet.
#[derive(Debug)]
struct WayBack {
    release: ReleaseId,
    stable: RevisionId,
    since: i64,
    /// What the old revision's instances may take to be there again.
    starts_ms: i64,
}

/// Ready again, and whatever was under way has arrived.
const WAY_BACK_MS: i64 = STALL_MAX_MS + 45_000;

/// Four times a batch of old instances, each given up after twenty seconds, and the new ones' last requests in between.
const STARTS_AGAIN_MS: i64 = 4 * 25_000;

impl Truth {
    /// Everything that was written at once.
    pub fn facts(&mut self, sim: &Arc<Sim>, facts: &[Fact]) {
        for fact in facts {
            self.oracle.contiguous(sim, fact);
            match fact.stream.split('/').next() {
                Some("release") => self.release_fact(sim, fact),
                Some("environment") => {
                    let event = ledger::read_shared(fact).expect("what was written can be read");
                    self.oracle.environment_event(&event);
                }
                _ => {}
            }
        }
        self.oracle.agreement(sim);
    }

    fn release_fact(&mut self, sim: &Arc<Sim>, fact: &Fact) {
        let id: ReleaseId = fact.stream["release/".len()..].parse().expect("a release's stream has its id");
        if fact.kind == "release.planned" {
            let plan: Arc<Plan> = ledger::read_shared(fact).expect("what was written can be read");
            if self.oracle.releases.insert(id, Release::new(plan)).is_some() {
                sim.violate("I2 one visible decision", format!("release {id} was accepted twice"));
            }
            return;
        }
        let event: Arc<Event> = ledger::read_shared(fact).expect("what was written can be read");
        self.before(sim, id, &event);
        let oracle = &mut self.oracle;
        let Some(release) = oracle.releases.get_mut(&id) else {
            return sim.violate("I2 one visible decision", format!("{} of release {id}, which has no plan", fact.kind));
        };
        if release.outcome().is_some() {
            return sim.violate("I9 finished is finished", format!("{} of release {id} after its end", fact.kind));
        }
        let phase = release.rollout().map(rollout::Rollout::phase);
        release.apply(&event);
        oracle.cover_release(&event, phase, id);
        if let Event::Finished { .. } = *event
            && oracle.way_back.as_ref().is_some_and(|it| it.release == id)
            && matches!(oracle.releases[&id].outcome(), Some(Outcome::RollbackFailed { .. } | Outcome::Failed { .. }))
        {
            oracle.way_back = None;
        }
    }

    /// What must be so for the event to be true.
    fn before(&mut self, sim: &Arc<Sim>, id: ReleaseId, event: &Event) {
        match event {
            Event::Run { event: workflow::run::Event::JobHeld { key, at, .. }, .. } => {
                self.oracle.jobs_held.insert((id, key.clone()), *at);
            }
            Event::Run { event: workflow::run::Event::JobStarted { id: job, at, .. }, .. } => {
                self.oracle.reviewed(sim, id, job, *at);
                if job.key == "deploy" {
                    self.oracle.open(sim, id, *at);
                }
                self.oracle.jobs_started.insert(job.clone());
            }
            Event::Admitted { instance, rollout, at } => {
                self.oracle.admitted(sim, id, instance);
                self.oracle.agreed(sim, id, *at);
                self.oracle.open(sim, id, *at);
                self.kept(sim, id, *at);
                self.oracle.generations.insert(rollout.generation_base);
            }
            Event::Rollout { event } => {
                self.forward_when_open(sim, id, event);
                self.rollout_event(sim, id, &event.what);
            }
            Event::Finished { outcome: Outcome::RolledBack { .. }, .. } => {
                let revision = self.oracle.releases.get(&id).and_then(|it| it.instance()).map(|it| it.revision.clone());
                let routed = revision.as_ref().is_some_and(|revision| self.weight_in_force(revision) > 0);
                if routed {
                    sim.violate("I7 back at stable", format!("release {id} is rolled back on record and its revision has traffic"));
                }
                self.oracle.taken_back.extend(revision);
            }
            _ => {}
        }
    }

    /// I5, of what a release depends on besides itself: known, freshly, and not long since known to be bad. Who looks late sees what
    /// was so then.
    fn kept(&self, sim: &Arc<Sim>, id: ReleaseId, at: Timestamp) {
        let Some(release) = self.oracle.releases.get(&id) else { return };
        let Some(workflows) = release.plan().workflows().filter(|workflows| workflows.gate.asks().is_some()) else { return };
        let Some(decision) = release.decision() else { return };
        if self.oracle.overridden(workflows, at) {
            return;
        }
        let (gate, known) = (&workflows.gate, &decision.circumstances);
        let unknown = known.slo.iter().any(|status| status.unknown.is_some());
        let is_answered = known.slo.is_empty() == gate.slos.is_empty()
            && (known.incidents.is_some() || known.incidents_unknown.is_some()) == gate.incidents.is_some()
            && known.checks.len() == gate.checks.len();
        let holds = (unknown && gate.slos.unknown == WhenUnknown::Hold)
            || (known.incidents_unknown.is_some() && gate.incidents.as_ref().is_some_and(|it| it.unknown == WhenUnknown::Hold));
        if !is_answered || decision.at != at || holds {
            let detail = format!("release {id} is admitted at {at} knowing {known:?} of {}", decision.at);
            sim.violate("I5 circumstances known before it goes", detail);
        }
        let long_since = self.burning_since.is_some_and(|since| sim.now() > since + 2 * STALL_MAX_MS);
        if long_since && !gate.slos.is_empty() && !unknown {
            sim.violate("I5 promises kept before it goes", format!("release {id} is admitted with its budget used up long since"));
        }
        if (long_since && known.incidents.is_some()) || known.incidents.as_ref().is_some_and(|open| !open.is_empty()) {
            sim.violate("I5 no incident before it goes", format!("release {id} is admitted with an incident open, knowing {known:?}"));
        }
        if known.checks.iter().any(|check| !check.passed) {
            sim.violate("I5 checks passed before it goes", format!("release {id} is admitted, and {:?}", known.checks));
        }
    }

    /// I8, of what gives the new revision more than it has.
    fn forward_when_open(&self, sim: &Arc<Sim>, id: ReleaseId, event: &rollout::Event) {
        let Some(rollout) = self.oracle.releases.get(&id).and_then(Release::rollout) else { return };
        if let Happened::Routed { weights, .. } = &event.what
            && weights.get(&rollout.plan().revision.id).is_some_and(|weight| *weight > rollout.weight())
        {
            self.oracle.open(sim, id, event.at);
        }
    }

    fn rollout_event(&mut self, sim: &Arc<Sim>, id: ReleaseId, what: &Happened) {
        let Some(rollout) = self.oracle.releases.get(&id).and_then(Release::rollout) else { return };
        let (new, replicas) = (rollout.plan().revision.id.clone(), rollout.plan().replicas);
        let stable = rollout.plan().stable.clone().filter(|stable| stable.id != new).map(|stable| stable.id);
        let (before, going_back) = (rollout.weight(), matches!(rollout.phase(), Phase::RollingBack | Phase::Removing));
        let scale = rollout.status().scale;
        match what {
            Happened::Started { generation }
            | Happened::Scaled { generation, .. }
            | Happened::SmokeAsked { generation }
            | Happened::StopDecided { generation, .. } => {
                self.oracle.generations.insert(*generation);
            }
            Happened::Routed { generation, weights, .. } => {
                self.oracle.generations.insert(*generation);
                self.oracle.routes.insert(*generation, weights.clone());
                let after = weights.get(&new).copied().unwrap_or(0);
                if going_back && stable.is_some() && after > before {
                    sim.violate("I6 weights", format!("the canary of release {id} goes from {before} to {after} on its way back"));
                }
                // In a rolling update it is what is ready that has it.
                if !going_back && after < before && scale.is_none() {
                    sim.violate("I6 weights", format!("the canary of release {id} falls from {before} to {after} without a rollback"));
                }
            }
            Happened::InstancesReady => {
                let most = self.target.ready_max.get(&new).copied().unwrap_or(0);
                let replicas = scale.map_or(replicas, |scale| scale.new);
                if most < replicas {
                    sim.violate("forward on truth only", format!("release {id}: {replicas} instances ready on record, {most} ever were"));
                }
            }
            Happened::RouteTaken { generation } if !self.router.taken.contains(generation) => {
                sim.violate("forward on truth only", format!("release {id}: route {generation} taken on record, and never in force"));
            }
            Happened::Measured { looks } => {
                let users = Question { stream: Stream::Users, metric: Metric::Errors };
                for look in looks.iter().filter(|it| it.question == users).map(|it| it.look) {
                    let counted = [(Some(&new), look.canary.requests), (stable.as_ref(), look.stable.requests)];
                    for (revision, requests) in counted.into_iter().filter_map(|(revision, n)| Some((revision?, n))) {
                        let sum = self.oracle.measured.entry((id, revision.clone())).or_default();
                        *sum += requests;
                        let served = self.router.served.get(revision).copied().unwrap_or(0);
                        if *sum > served {
                            let detail = format!("release {id} measured {sum} requests of {revision}, {served} were ever served");
                            sim.violate("forward on truth only", detail);
                        }
                    }
                }
            }
            Happened::RollbackStarted { reason } => {
                if reason.sentence().contains("there is no instance to check") {
                    let detail = format!("release {id} goes back because nobody knew its instances: {}", reason.sentence());
                    sim.violate("unknown is not bad", detail);
                }
                if let Some(stable) = stable
                    && self.weight_in_force(&new) > 0
                {
                    let starts_ms = if scale.is_some() { STARTS_AGAIN_MS } else { 0 };
                    self.oracle.way_back = Some(WayBack { release: id, stable, since: sim.now(), starts_ms });
                }
            }
            Happened::PromoteAsked { full: true, .. } => drop(self.oracle.at_once.insert(id)),
            _ => {}
        }
    }

    pub fn weight_in_force(&self, revision: &RevisionId) -> u32 {
        self.router.route.as_ref().and_then(|route| route.weights.get(revision)).copied().unwrap_or(0)
    }

    /// I7: asked now and then.
    pub fn way_back_in_time(&self, sim: &Arc<Sim>) {
        let Some(WayBack { release, stable, since, starts_ms }) = &self.oracle.way_back else { return };
        let allowed_from = (*since).max(sim.calm_at);
        if sim.now() > allowed_from + WAY_BACK_MS + starts_ms {
            let detail = format!("release {release} goes back since {since} ms, and {stable} has {}", self.weight_in_force(stable));
            sim.violate("I7 back at stable", detail);
        }
    }
}

impl Oracle {
    pub fn artifact_of(&self, revision: &RevisionId) -> Option<Digest> {
        self.artifacts.get(revision).copied()
    }

    pub fn job_asked_for(&mut self, sim: &Arc<Sim>, id: &JobId) {
        if !self.jobs_started.contains(id) {
            sim.violate("I3 record before act", format!("job {id} is asked for and not on record"));
        }
    }

    pub fn job_executed(&mut self, sim: &Arc<Sim>, id: &JobId) {
        if !self.jobs_executed.insert(id.clone()) {
            sim.violate("I4 at most once", format!("job {id} is executed again"));
        }
    }

    /// Every action carries a generation that is on record.
    pub fn acted(&mut self, sim: &Arc<Sim>, generation: u64, action: &str) {
        if !self.generations.contains(&generation) {
            sim.violate("I3 record before act", format!("{action} at generation {generation}, which is not on record"));
        }
    }

    /// As asked for, whether it is obeyed or refused.
    pub fn routed(&mut self, sim: &Arc<Sim>, route: &Route) {
        self.acted(sim, route.generation, "route");
        match self.routes.get(&route.generation) {
            Some(weights) if *weights == route.weights => {}
            other => sim.violate("I3 record before act", format!("route {route:?} is asked for, on record is {other:?}")),
        }
    }

    pub fn route_in_force(&mut self, sim: &Arc<Sim>, route: &Route) {
        let sum: u32 = route.weights.values().sum();
        if sum != 10_000 {
            sim.violate("I6 weights", format!("weights sum to {sum}"));
        }
        for (revision, _) in route.weights.iter().filter(|(_, weight)| **weight > 0) {
            if !self.permitted.contains(revision) {
                sim.violate("I5 gate before traffic", format!("revision {revision} has traffic without a yes on record"));
            }
            if self.taken_back.contains(revision) {
                sim.violate("I7 back at stable", format!("revision {revision} was rolled back and has traffic again"));
            }
        }
        if self.way_back.as_ref().is_some_and(|it| route.weights.get(&it.stable) == Some(&10_000)) {
            self.way_back = None;
        }
    }

    fn contiguous(&mut self, sim: &Arc<Sim>, fact: &Fact) {
        let version = self.versions.entry(fact.stream.clone()).or_default();
        if fact.position != self.position + 1 || fact.seq != *version + 1 {
            let detail = format!("fact {} of {} follows {} and {version}", fact.position, fact.stream, self.position);
            sim.violate("I1 nothing is lost", detail);
        }
        (self.position, *version) = (fact.position, fact.seq);
    }

    fn admitted(&mut self, sim: &Arc<Sim>, id: ReleaseId, instance: &rollout::InstancePlan) {
        let Some(release) = self.releases.get(&id) else { return };
        let allowed = match &release.plan().kind {
            Kind::Rollback { .. } => self.permitted.contains(&instance.revision),
            Kind::Change(_) => {
                release.decision().is_some_and(|it| matches!(it.outcome, gate::Outcome::Allowed { .. }) && it.digest == instance.artifact)
            }
        };
        if !allowed {
            sim.violate("I5 gate before traffic", format!("release {id} is admitted without a yes for {}", instance.artifact));
        }
        self.permitted.insert(instance.revision.clone());
        self.taken_back.remove(&instance.revision);
        self.artifacts.insert(instance.revision.clone(), instance.artifact);
        self.way_back = None;
    }

    /// I8, by the freezes alone: a schedule is shorter than a week.
    fn open(&self, sim: &Arc<Sim>, id: ReleaseId, at: Timestamp) {
        let Some(workflows) = self.releases.get(&id).and_then(|it| it.plan().workflows()) else { return };
        let planned = workflows.gate.calendar.freezes.iter().any(|it| it.from <= at && it.to.is_none_or(|to| at < to));
        let called = self.frozen.is_some_and(|until| until.is_none_or(|until| at < until));
        let overridden = self.overridden(workflows, at);
        if (planned || called) && !overridden {
            sim.violate(
                "I8 nothing forward in a freeze",
                format!("release {id} moves forward at {at}, planned {planned}, called {called}"),
            );
        }
    }

    fn overridden(&self, workflows: &Workflows, at: Timestamp) -> bool {
        self.overridden_until.is_some_and(|until| at < until) && (workflows.gate.override_people == 1 || self.confirmed)
    }

    /// Enough people other than the author, whose last word of those that still hold is a yes; or somebody who answers for it.
    fn agreed(&self, sim: &Arc<Sim>, id: ReleaseId, at: Timestamp) {
        let Some(release) = self.releases.get(&id) else { return };
        let Some(asked) = crate::plans::approvals(release) else { return };
        let rule = &asked.rules[0];
        let last: BTreeMap<&str, bool> = release
            .votes()
            .iter()
            .filter(|vote| vote.by != "ana" && rule.people.contains(&vote.by) && Some(vote.about.artifact) == release.artifact())
            .filter(|vote| asked.expires_ms.is_none_or(|ms| at.since_ms(vote.at) < ms))
            .map(|vote| (vote.by.as_str(), vote.agrees))
            .collect();
        let agreed = last.values().filter(|agrees| **agrees).count();
        let overridden = release.plan().workflows().is_some_and(|workflows| self.overridden(workflows, at));
        if (agreed < rule.count as usize || last.values().any(|agrees| !agrees)) && !overridden {
            sim.violate("I5 approved before it goes", format!("release {id} is admitted with {last:?} of {}", rule.count));
        }
    }

    /// A job that delivers starts after the yes of somebody who is asked and didn't ask for it, about this commit, and not before its timer.
    fn reviewed(&self, sim: &Arc<Sim>, id: ReleaseId, job: &JobId, at: Timestamp) {
        let Some(release) = self.releases.get(&id).filter(|_| job.key == "deploy") else { return };
        let about_this = |review: &&Review| {
            let sha = release.plan().workflows().map(|workflows| &workflows.commit.sha);
            review.run == job.run && Some(&review.sha) == sha && review.jobs.contains(&job.key)
        };
        let said: Vec<(&str, bool)> = release
            .runs()
            .flat_map(|(_, run)| run.reviews())
            .filter(about_this)
            .map(|review| (review.by.as_str(), review.agrees))
            .collect();
        if !matches!(said[..], [("bo" | "cy", true)]) {
            sim.violate("I5 reviewed before it starts", format!("{job} of release {id} starts after {said:?}"));
        }
        let held = self.jobs_held.get(&(id, job.key.clone()));
        if held.is_none_or(|held| at.since_ms(*held) < crate::plans::WAIT_TIMER_MS) {
            sim.violate("I5 reviewed before it starts", format!("{job} of release {id} starts at {at}, held since {held:?}"));
        }
    }

    fn environment_event(&mut self, event: &EnvironmentEvent) {
        self.cover(Met::Fact(event.kind()));
        match event {
            EnvironmentEvent::Admitted { generation, .. } | EnvironmentEvent::Released { generation, .. } => {
                self.generations.insert(*generation);
            }
            EnvironmentEvent::WentDown { generation, .. } => {
                self.generations.insert(*generation);
                self.was_live = false;
            }
            EnvironmentEvent::Frozen { until, .. } => {
                // Of several the longest holds; the shorter ones are of no interest here.
                self.frozen = Some(match self.frozen {
                    Some(held) => held.and_then(|held| until.map(|until| held.max(until))),
                    None => *until,
                });
            }
            EnvironmentEvent::Unfrozen { .. } => self.frozen = None,
            EnvironmentEvent::Overridden { by, .. } => (self.overridden_until, self.confirmed) = (Some(by.until), false),
            EnvironmentEvent::Confirmed { .. } => self.confirmed = true,
            EnvironmentEvent::Noticed(_) => {}
            EnvironmentEvent::Rerouted { generation, .. } => {
                self.generations.insert(*generation);
                let live = self.environment.live().map(|live| live.instance.revision.clone());
                self.routes.insert(*generation, live.into_iter().map(|revision| (revision, 10_000)).collect());
            }
        }
        self.environment.apply(event);
        self.was_live |= self.environment.live().is_some();
    }

    /// What release and environment say of each other, after everything that was written at once.
    fn agreement(&mut self, sim: &Arc<Sim>) {
        let delivering = self.releases.iter().filter(|(_, it)| it.rollout().is_some() && it.outcome().is_none());
        let delivering: Vec<ReleaseId> = delivering.map(|(id, _)| *id).collect();
        let occupied: Vec<ReleaseId> = self.environment.occupied().into_iter().collect();
        if delivering != occupied {
            sim.violate("I3 one owner", format!("delivering are {delivering:?}, the environment is taken by {occupied:?}"));
        }
        if self.was_live && self.environment.live().is_none() {
            sim.violate("I6 one stable", "the environment lost what was live".to_string());
        }
    }

    fn cover(&mut self, met: Met) {
        *self.covered.entry(met).or_default() += 1;
    }

    fn cover_release(&mut self, event: &Event, before: Option<Phase>, id: ReleaseId) {
        let after = self.releases[&id].rollout().map(rollout::Rollout::phase);
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            self.cover(Met::Phase(before, after));
        }
        self.cover(match event {
            Event::Run { event, .. } => Met::Run(event.kind()),
            Event::Rollout { event } => Met::Rollout(event.what.kind()),
            Event::Finished { outcome, .. } => Met::End(ending(outcome)),
            other => Met::Fact(other.kind()),
        });
    }
}

/// Something a schedule can lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Met {
    Fact(&'static str),
    Run(&'static str),
    Rollout(&'static str),
    Phase(Phase, Phase),
    End(&'static str),
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Met::Fact(kind) => f.write_str(kind),
            Met::Run(kind) => write!(f, "run {kind}"),
            Met::Rollout(kind) => write!(f, "rollout {kind}"),
            Met::Phase(before, after) => write!(f, "rollout {before:?} → {after:?}"),
            Met::End(how) => write!(f, "release ends {how}"),
        }
    }
}

fn ending(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Promoted { .. } => "promoted",
        Outcome::Unchanged { .. } => "unchanged",
        Outcome::RunFailed { .. } => "run failed",
        Outcome::Denied { .. } => "denied",
        Outcome::Refused { .. } => "refused",
        Outcome::RolledBack { .. } => "rolled back",
        Outcome::Failed { .. } => "failed",
        Outcome::RollbackFailed { .. } => "rollback failed",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Superseded { .. } => "superseded",
    }
}
