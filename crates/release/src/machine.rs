//! The machine: what was seen and the time go in; events, actions and the reason for standing still come out.

mod admission;
mod consent;
mod review;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Digest, Timestamp};
use gate::approval::Vote;
use gate::evidence::Evidence;
use gate::{Decision, Override};
use rollout::{Endpoint, InstancePhase, InstancePlan, RevisionId, Rollout, SmokeCheck, Strategy, Synthetic};
use serde::{Deserialize, Serialize};
use workflow::concurrency::Seat;
use workflow::job::{Conclusion, JobId, JobSpec};
use workflow::run::Run;

use crate::environment::{Environment, EnvironmentEvent, Live};
use crate::event::Event;
use crate::input::Moment;
use crate::plan::{Delivery, Kind, Plan, Proved, Workflows};
use crate::source::{Packaged, Prepared};
use crate::status::Outcome;
use crate::waiting::Waiting;

/// More rounds than one moment can need; past it the machine talks to itself, which is our mistake.
const ROUNDS_MAX: usize = 64;

/// A look that finds something to record folds it into a copy; what is large is shared with the copy until it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    plan: Arc<Plan>,
    runs: Vec<Arc<Run>>,
    artifact: Option<(Digest, u64)>,
    nothing_to_ship: Option<String>,
    evidence: Option<Arc<Evidence>>,
    decision: Option<Arc<Decision>>,
    instance: Option<Arc<InstancePlan>>,
    rollout: Option<Arc<Rollout>>,
    votes: Vec<Vote>,
    overridden: Option<Override>,
    /// What that override went past, as it is on record.
    gone_past: Vec<String>,
    cancelled_by: Option<String>,
    outcome: Option<Outcome>,
    finished: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Running,
    Packaging,
    ReadingEvidence,
    Deciding,
    Delivering,
    Finished,
}

/// What the phase needs to see; the rest may stay empty.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub runs: workflow::run::Observed,
    pub packaged: Option<Packaged>,
    pub evidence: Option<Evidence>,
    /// To what the gate's plan asks; nothing when nobody has asked, which the machine waits for by [`Waiting::Circumstances`].
    pub answers: Option<gate::Answers>,
    /// Of the containers; nothing when nobody has asked, which the machine waits for by [`Waiting::Image`].
    pub prepared: Option<Prepared>,
    /// Where what moves on comes from; nothing where it is built here.
    pub source: Option<Arc<Environment>>,
    pub environment: Arc<Environment>,
    pub rollout: rollout::Observed,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    StartJob { id: JobId, spec: Box<JobSpec> },
    StopJob { id: JobId, at_once: bool },
    Run { generation: u64, instance: Box<InstancePlan>, replicas: u32 },
    Stop { generation: u64, revision: RevisionId },
    Route { generation: u64, weights: BTreeMap<RevisionId, u32>, endpoints: Vec<Endpoint>, synthetic: Option<Synthetic> },
    Smoke { generation: u64, addresses: Vec<String>, checks: Vec<SmokeCheck> },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Advance {
    pub events: Vec<Event>,
    /// For the environment's stream, appended together with `events` or not at all.
    pub environment: Vec<EnvironmentEvent>,
    pub actions: Vec<Action>,
    pub waiting: Option<Waiting>,
    pub wake: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Promote {
        full: bool,
    },
    Pause,
    Resume,
    /// Before traffic moved: cancel. After: back to the version before.
    Abort,
    /// Of the release, or while its jobs run of the environment that they wait for.
    Approve {
        comment: String,
        environment: Option<String>,
    },
    Reject {
        comment: String,
        environment: Option<String>,
    },
}

/// A command that is not carried out; the sentence says why and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense now.
    Untimely(String),
    /// The environment is closed.
    Closed(String),
    /// It is not this person's to say.
    NotTheirs(String),
}

impl From<workflow::run::Refusal> for Refusal {
    fn from(refusal: workflow::run::Refusal) -> Refusal {
        match refusal {
            workflow::run::Refusal::Untimely(sentence) => Refusal::Untimely(sentence),
            workflow::run::Refusal::NotTheirs(sentence) => Refusal::NotTheirs(sentence),
        }
    }
}

impl Release {
    pub fn new(plan: Arc<Plan>) -> Release {
        let run = |run: &Arc<workflow::plan::Plan>| Arc::new(Run::new(run.clone()));
        let runs = plan.workflows().map(|workflows| workflows.runs.iter().map(run).collect()).unwrap_or_default();
        Release {
            plan,
            runs,
            artifact: None,
            nothing_to_ship: None,
            evidence: None,
            decision: None,
            instance: None,
            rollout: None,
            votes: Vec::new(),
            overridden: None,
            gone_past: Vec::new(),
            cancelled_by: None,
            outcome: None,
            finished: None,
        }
    }

    pub fn replay<'a>(plan: Arc<Plan>, events: impl IntoIterator<Item = &'a Event>) -> Release {
        let mut release = Release::new(plan);
        for event in events {
            release.apply(event);
        }
        release
    }

    pub fn apply(&mut self, event: &Event) {
        assert!(self.outcome.is_none(), "finished is finished: {} came after it", event.kind());
        match event {
            Event::Run { run, event } => Arc::make_mut(&mut self.runs[*run]).apply(event),
            Event::Packaged { artifact, bytes, .. } => self.artifact = Some((*artifact, *bytes)),
            Event::NothingToShip { reason, .. } => self.nothing_to_ship = Some(reason.clone()),
            Event::EvidenceRead { evidence, .. } => self.evidence = Some(Arc::new(evidence.clone())),
            Event::Decided { decision } => self.decision = Some(Arc::new((**decision).clone())),
            Event::Voted { vote } => self.votes.push(vote.clone()),
            Event::Overridden { by, past, .. } => {
                if self.overridden.as_ref() != Some(by) {
                    self.gone_past.clear();
                }
                self.overridden = Some(by.clone());
                self.gone_past.push(past.clone());
            }
            Event::Admitted { instance, rollout, .. } => {
                self.assert_allowed(instance);
                self.instance = Some(Arc::new((**instance).clone()));
                self.rollout = Some(Arc::new(Rollout::new((**rollout).clone())));
            }
            Event::Unchanged { .. } => {}
            Event::Rollout { event } => {
                let rollout = self.rollout.as_mut().expect("a rollout's events come after its admission");
                Arc::make_mut(rollout).apply(event);
            }
            Event::CancelRequested { by, .. } => self.cancelled_by = Some(by.clone()),
            Event::Finished { outcome, at } => {
                self.outcome = Some(outcome.clone());
                self.finished = Some(*at);
            }
        }
    }

    pub fn advance(&self, seen: &Observed, now: Timestamp) -> Advance {
        let mut next = Cow::Borrowed(self);
        let mut environment = Cow::Borrowed(&*seen.environment);
        let mut events = Vec::new();
        let mut environment_events = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let step = next.step(seen, &environment, now);
            if step.events.is_empty() {
                return Advance { events, environment: environment_events, ..step };
            }
            step.events.iter().for_each(|event| next.to_mut().apply(event));
            step.environment.iter().for_each(|event| environment.to_mut().apply(event));
            events.extend(step.events);
            environment_events.extend(step.environment);
        }
        panic!("release {} decides without end at one moment in phase {:?}", self.plan.id, next.phase());
    }

    /// What somebody asks of it, and of the environment as it is.
    ///
    /// # Errors
    /// When the release is not where that makes sense, or nothing may move.
    pub fn command(&self, command: &Command, environment: &Environment, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if let Some(outcome) = &self.outcome {
            // What it brought may have been replaced or taken down since.
            let how = if let Outcome::Promoted { .. } = outcome { "it was promoted".to_string() } else { outcome.sentence() };
            return Err(Refusal::Untimely(format!("release-{} has ended: {how}", self.plan.number)));
        }
        match (&self.rollout, command) {
            (None, Command::Approve { comment, environment }) => self.answer(true, environment.as_deref(), comment, by, now),
            (None, Command::Reject { comment, environment }) => self.answer(false, environment.as_deref(), comment, by, now),
            (Some(_), Command::Approve { .. } | Command::Reject { .. }) => {
                let message = "is on its way already; `plimsoll release abort` takes it back";
                Err(Refusal::Untimely(format!("release-{} {message}", self.plan.number)))
            }
            (Some(rollout), command) => {
                self.may_move(command, rollout, environment, now)?;
                let command = match command {
                    Command::Approve { .. } | Command::Reject { .. } => unreachable!("answered above"),
                    Command::Promote { full } => rollout::Command::Promote { full: *full },
                    Command::Pause => rollout::Command::Pause,
                    Command::Resume => rollout::Command::Resume,
                    Command::Abort => rollout::Command::Abort,
                };
                let events = rollout.command(command, by, now).map_err(|refusal| Refusal::Untimely(refusal.to_string()))?;
                Ok(events.into_iter().map(|event| Event::Rollout { event }).collect())
            }
            (None, Command::Abort) if self.cancelled_by.is_some() => self.insist(by, now),
            (None, Command::Abort) => self.cancel(by, now),
            (None, _) => Err(Refusal::Untimely(format!(
                "release-{0} has no traffic yet, so there is nothing to promote, pause or resume; `plimsoll env freeze` holds it before it has any, `plimsoll release abort {0}` ends it",
                self.plan.number
            ))),
        }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub fn phase(&self) -> Phase {
        if self.outcome.is_some() {
            return Phase::Finished;
        }
        if self.rollout.is_some() {
            return Phase::Delivering;
        }
        if self.plan.workflows().is_none() {
            return Phase::Deciding;
        }
        if self.runs.iter().any(|run| run.conclusion().is_none()) {
            return Phase::Running;
        }
        match (&self.artifact, &self.evidence) {
            (None, _) => Phase::Packaging,
            (Some(_), None) => Phase::ReadingEvidence,
            (Some(_), Some(_)) => Phase::Deciding,
        }
    }

    /// Nothing where it builds what it ships.
    pub fn proved(&self) -> Option<&Proved> {
        self.plan.workflows()?.proved.as_deref()
    }

    /// Name of the workflow file and its run.
    pub fn runs(&self) -> impl Iterator<Item = (&str, &Run)> {
        let plans = self.plan.workflows().map(|workflows| workflows.runs.as_slice()).unwrap_or_default();
        plans.iter().zip(&self.runs).map(|(plan, run)| (plan.workflow.path.as_str(), &**run))
    }

    /// Jobs that were started, of all runs.
    pub fn jobs(&self) -> Vec<JobId> {
        self.runs.iter().flat_map(|run| run.jobs()).collect()
    }

    /// Whether its runs may have to wait for others, in concurrency groups.
    pub fn stands_in_line(&self) -> bool {
        self.runs.iter().any(|run| run.stands_in_line())
    }

    /// The places that its runs have in those groups, or want now.
    pub fn seats(&self) -> Vec<Seat> {
        let several = self.runs.len() > 1;
        let named = |path: &str| match path.rsplit('/').next().filter(|_| several) {
            Some(file) => format!("{file} of release-{}", self.plan.number),
            None => format!("release-{}", self.plan.number),
        };
        self.runs().flat_map(|(path, run)| run.seats(&named(path))).collect()
    }

    /// Who took the place of a run of it that ended by that.
    fn gave_way_to(&self) -> Option<String> {
        let mut cancelled = self.runs.iter().filter(|run| run.conclusion() == Some(Conclusion::Cancelled));
        cancelled.find_map(|run| run.cancelled_by().map(str::to_string))
    }

    /// Whether jobs of it bring something to environments themselves, so that what closes closes for them too.
    pub fn delivers_by_jobs(&self) -> bool {
        self.phase() == Phase::Running && self.runs.iter().any(|run| run.plan().deliver_by_workflow)
    }

    /// Of every job the attempt that counts: what an earlier one left is no evidence.
    pub fn last_attempts(&self) -> Vec<JobId> {
        self.runs.iter().flat_map(|run| run.last_attempts()).collect()
    }

    pub fn artifact(&self) -> Option<Digest> {
        self.artifact.map(|(digest, _)| digest)
    }

    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_deref()
    }

    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref()
    }

    pub fn instance(&self) -> Option<&InstancePlan> {
        self.instance.as_deref()
    }

    pub fn rollout(&self) -> Option<&Rollout> {
        self.rollout.as_deref()
    }

    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    pub fn overridden(&self) -> Option<&Override> {
        self.overridden.as_ref()
    }

    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    pub fn finished(&self) -> Option<Timestamp> {
        self.finished
    }

    /// One decision of one moment: at most the events that follow from the state as it is.
    fn step(&self, seen: &Observed, environment: &Environment, now: Timestamp) -> Advance {
        match self.phase() {
            Phase::Finished => Advance::default(),
            Phase::Delivering => self.deliver(seen, environment, now),
            Phase::Running => self.run(seen, environment, now),
            _ if self.cancelled_by.is_some() => self.finish_cancelled(now),
            _ if let Some(by) = self.overtaken(environment) => one(Event::Finished { outcome: Outcome::Superseded { by }, at: now }),
            Phase::Packaging => self.package(seen, now),
            Phase::ReadingEvidence => self.read_evidence(seen, now),
            Phase::Deciding => self.decide(seen, environment, now),
        }
    }

    /// The number of a later release that is live; a way back is asked for by somebody who knows what is live.
    fn overtaken(&self, environment: &Environment) -> Option<u64> {
        let later = environment.live().map(|live| live.number).filter(|number| *number > self.plan.number);
        later.filter(|_| matches!(self.plan.kind, Kind::Change(_)))
    }

    fn run(&self, seen: &Observed, environment: &Environment, now: Timestamp) -> Advance {
        let mut advance = Advance::default();
        let mut looked_at = Cow::Borrowed(&seen.runs);
        let by = self.overridden_for_jobs(environment, now);
        // Whoever goes past it is on record first.
        if let Some(closed) = self.closed_for_jobs(environment, now).filter(|_| by.is_none() || by != self.overridden.as_ref()) {
            looked_at.to_mut().closed = Some(closed);
        }
        if let Some(number) = self.overtaken(environment) {
            looked_at.to_mut().overtaken = Some(format!("release-{number} began later and is live"));
        }
        for (index, (run, (name, _))) in self.runs.iter().zip(self.runs()).enumerate() {
            if run.conclusion().is_some() {
                continue;
            }
            let step = run.advance(&looked_at, now);
            advance.events.extend(step.events.into_iter().map(|event| Event::Run { run: index, event }));
            advance.actions.extend(step.actions.into_iter().map(|action| match action {
                workflow::run::Action::Start { id, spec } => Action::StartJob { id, spec: Box::new(spec) },
                workflow::run::Action::Stop { id, at_once } => Action::StopJob { id, at_once },
            }));
            let waiting = step.waiting.map(|waiting| self.of_run(name, waiting));
            // Of several runs the one that somebody can do something about is told.
            let first = advance.waiting.take_if(|known| !matches!((known, &waiting), (Waiting::Run { .. }, Some(Waiting::Review { .. }))));
            advance.waiting = first.or(waiting);
            advance.wake = [advance.wake, step.wake].into_iter().flatten().min();
        }
        let past = || self.runs().find_map(|(name, run)| Some(self.of_run(name, run.waits_for_hours(&looked_at, now)?)));
        match by.filter(|_| advance.events.is_empty()).and_then(|by| Some((by, past()?))) {
            Some((by, past)) => one(Event::Overridden { by: by.clone(), past: past.sentence(&self.plan.environment), at: now }),
            None => advance,
        }
    }

    fn package(&self, seen: &Observed, now: Timestamp) -> Advance {
        if let Some(by) = self.gave_way_to() {
            return one(Event::Finished { outcome: Outcome::Cancelled { by }, at: now });
        }
        if let Some(reason) = self.failed_run().or_else(|| self.nothing_to_ship.clone()) {
            return one(Event::Finished { outcome: Outcome::RunFailed { reason }, at: now });
        }
        match &seen.packaged {
            None => Advance { waiting: Some(Waiting::Packaging), ..Advance::default() },
            Some(Packaged::Missing(reason)) => one(Event::NothingToShip { reason: reason.clone(), at: now }),
            Some(Packaged::Artifact { digest, .. }) if self.proved().is_some_and(|proved| proved.artifact != *digest) => {
                let reason = "what would ship is not what was proved".to_string();
                one(Event::NothingToShip { reason, at: now })
            }
            Some(Packaged::Artifact { digest, bytes, files }) => {
                one(Event::Packaged { artifact: *digest, bytes: *bytes, files: *files, at: now })
            }
        }
    }

    fn read_evidence(&self, seen: &Observed, now: Timestamp) -> Advance {
        match &seen.evidence {
            None => Advance { waiting: Some(Waiting::Evidence), ..Advance::default() },
            Some(evidence) => one(Event::EvidenceRead { evidence: evidence.clone(), at: now }),
        }
    }

    /// The gate, then the environment. The gate is asked once for the user to read, and again in the moment of admission when that is
    /// a later one, so that what changed between yes and go is seen; not at every look while another release has the environment.
    fn decide(&self, seen: &Observed, environment: &Environment, now: Timestamp) -> Advance {
        let (Kind::Change(workflows), Some(artifact)) = (&self.plan.kind, self.artifact) else {
            return self.admit_rollback(seen, environment, now);
        };
        if let Some(held) = self.decision.as_deref().and_then(|decision| self.held(workflows, decision, environment, now)) {
            return held;
        }
        if let (Some(_), Some(occupied_by)) = (&self.decision, environment.occupied()) {
            return self.wait_for(occupied_by);
        }
        // Before what is known of the moment of acting alone.
        if let (Some(_), Some(held)) = (&self.decision, self.unprepared(seen)) {
            return held;
        }
        // Asked for when nothing else is missing, so that it is known of the moment of acting.
        let circumstances = match (workflows.gate.asks(), &seen.answers) {
            (Some(what), None) => return Advance { waiting: Some(Waiting::Circumstances { what }), wake: Some(now), ..Advance::default() },
            (Some(_), Some(answers)) => workflows.gate.assess(answers),
            (None, _) => gate::Circumstances::default(),
        };
        if let Some(held) = self.decision.as_deref().and_then(|_| self.held_by_circumstances(workflows, &circumstances, environment, now)) {
            return held;
        }
        let moment = Moment { circumstances, rollbacks_24h: environment.rollbacks_24h(now), at: now };
        let fresh = self.decision.as_deref().filter(|decision| moment.is_of(decision));
        let decide = || self.with_room(gate::decide(&workflows.gate, &self.gate_input(workflows, artifact, moment)));
        let mut decision = fresh.cloned().unwrap_or_else(decide);
        if let Some(left) = self.left_behind(seen) {
            decision = decision.denied(left);
        }
        if let Some(by) = consent::overridden(workflows, environment, now) {
            decision = decision.overridden(by);
        }
        if let gate::Outcome::Denied { violations, .. } = &decision.outcome {
            let outcome = Outcome::Denied { violations: violations.len() };
            return many(vec![Event::Decided { decision: Box::new(decision) }, Event::Finished { outcome, at: now }]);
        }
        if self.decision.is_none() {
            return one(Event::Decided { decision: Box::new(decision) });
        }
        let mut advance = self.admit(self.plan.delivery.instance(artifact.0), decision.strategy(), seen, environment, now);
        if !advance.environment.is_empty() && self.decision.as_deref() != Some(&decision) {
            advance.events.insert(0, Event::Decided { decision: Box::new(decision) });
        }
        advance
    }

    fn deliver(&self, seen: &Observed, environment: &Environment, now: Timestamp) -> Advance {
        let rollout = self.rollout.as_ref().expect("delivering means there is a rollout");
        if let Some(outcome) = rollout.outcome() {
            return self.finish_delivery(rollout, &outcome, now);
        }
        let mut looked_at = Cow::Borrowed(&seen.rollout);
        if let Some(why) = self.closed(environment, now) {
            looked_at.to_mut().closed = Some(why);
        }
        let step = rollout.advance(&looked_at, now);
        let mut actions = self.keep_stable(rollout, seen, environment);
        actions.extend(step.actions.into_iter().filter_map(|action| self.to_world(action, seen, environment)));
        Advance {
            events: step.events.into_iter().map(|event| Event::Rollout { event }).collect(),
            environment: Vec::new(),
            actions,
            waiting: step.waiting.map(|waiting| Waiting::Rollout { waiting }),
            wake: step.wake,
        }
    }

    /// The version before may have lost its instances (a reboot): it must be there to be compared with and to go back to, until it is
    /// told to stop. A rolling update says itself how many of them there shall be.
    fn keep_stable(&self, rollout: &Rollout, seen: &Observed, environment: &Environment) -> Vec<Action> {
        let (Some(live), Some(target)) = (environment.live(), &seen.rollout.target) else { return Vec::new() };
        if rollout.phase() == rollout::Phase::Retiring || rollout.scales_stable() {
            return Vec::new();
        }
        let alive =
            target.instances.iter().filter(|it| it.revision == live.instance.revision && it.phase != InstancePhase::Stopped).count();
        if alive < live.delivery.replicas as usize {
            let instance = Box::new(live.instance.clone());
            return vec![Action::Run { generation: rollout.instances_generation(), instance, replicas: live.delivery.replicas }];
        }
        Vec::new()
    }

    fn to_world(&self, action: rollout::Action, seen: &Observed, environment: &Environment) -> Option<Action> {
        Some(match action {
            rollout::Action::Run { generation, revision, replicas } => {
                let instance = Box::new(self.instance_of(&revision, environment)?.clone());
                Action::Run { generation, instance, replicas }
            }
            rollout::Action::Stop { generation, revision } => Action::Stop { generation, revision },
            rollout::Action::Route { generation, weights, endpoints, synthetic } => {
                Action::Route { generation, weights, endpoints, synthetic }
            }
            rollout::Action::Smoke { generation, revision } => {
                let instances = seen.rollout.target.iter().flat_map(|target| &target.instances);
                let of_it = instances.filter(|it| it.revision == revision);
                let addresses: Vec<String> = of_it.filter_map(|it| it.address.clone()).collect();
                if addresses.is_empty() {
                    // Nobody knows its instances at the moment; a check of none would fail, and unknown is not bad.
                    return None;
                }
                Action::Smoke { generation, addresses, checks: self.plan.delivery.smoke.clone() }
            }
        })
    }

    fn instance_of<'a>(&'a self, revision: &RevisionId, environment: &'a Environment) -> Option<&'a InstancePlan> {
        let ours = self.instance.as_deref().filter(|instance| instance.revision == *revision);
        ours.or_else(|| environment.live().map(|live| &live.instance).filter(|instance| instance.revision == *revision))
    }

    fn finish_delivery(&self, rollout: &Rollout, ended: &rollout::Outcome, now: Timestamp) -> Advance {
        let instance = self.instance.as_deref().expect("a rollout has its instance").clone();
        let revision = instance.revision.clone();
        let outcome = match ended {
            rollout::Outcome::Promoted => Outcome::Promoted { revision: revision.clone() },
            rollout::Outcome::RolledBack { reason } => Outcome::RolledBack { reason: reason.sentence() },
            rollout::Outcome::Failed { reason } => Outcome::Failed { reason: reason.sentence() },
            rollout::Outcome::RollbackFailed { reason } => Outcome::RollbackFailed { reason: reason.sentence() },
        };
        let promoted = matches!(ended, rollout::Outcome::Promoted);
        let live = promoted.then(|| {
            Box::new(Live { release: self.plan.id, number: self.plan.number, instance, delivery: self.plan.delivery.clone(), since: now })
        });
        let released = EnvironmentEvent::Released {
            release: self.plan.id,
            live,
            quarantined: (!promoted).then_some(revision),
            had_traffic: rollout.had_traffic(),
            generation: rollout.generation(),
            at: now,
        };
        Advance { events: vec![Event::Finished { outcome, at: now }], environment: vec![released], ..Advance::default() }
    }

    fn finish_cancelled(&self, now: Timestamp) -> Advance {
        let by = self.cancelled_by.clone().unwrap_or_default();
        one(Event::Finished { outcome: Outcome::Cancelled { by }, at: now })
    }

    fn cancel(&self, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let mut events = self.cancel_runs(false, by, now)?;
        events.push(Event::CancelRequested { by: by.to_string(), at: now });
        Ok(events)
    }

    /// A second abort: running steps end at once.
    fn insist(&self, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        self.cancel_runs(true, by, now)
    }

    fn cancel_runs(&self, force: bool, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let mut events = Vec::new();
        for (index, run) in self.runs.iter().enumerate().filter(|(_, run)| run.conclusion().is_none()) {
            let cancelled = run.command(workflow::run::Command::Cancel { force }, by, now)?;
            events.extend(cancelled.into_iter().map(|event| Event::Run { run: index, event }));
        }
        Ok(events)
    }

    fn failed_run(&self) -> Option<String> {
        let failed: Vec<String> = self
            .runs()
            .filter(|(_, run)| !matches!(run.conclusion(), Some(Conclusion::Success | Conclusion::Skipped)))
            .map(|(name, run)| format!("{name} ended with {}", run.conclusion().map_or("nothing", Conclusion::word)))
            .collect();
        (!failed.is_empty()).then(|| failed.join(", "))
    }

    /// What other rules would have said of it, of the same evidence and at the same moment, knowing what was known then or what is said
    /// here; nothing where it never got so far.
    pub fn decided_by(
        &self,
        rules: &gate::GatePlan,
        environment: Option<&str>,
        circumstances: Option<&gate::Circumstances>,
    ) -> Option<Decision> {
        let (workflows, artifact, decision) = (self.plan.workflows()?, self.artifact?, self.decision.as_deref()?);
        let mut rules = gate::GatePlan {
            previous_evidence: workflows.gate.previous_evidence.clone(),
            previous_benchmarks: workflows.gate.previous_benchmarks.clone(),
            ..rules.clone()
        };
        let mut moment = Moment::of(decision);
        match circumstances {
            Some(known) => moment.circumstances = known.clone(),
            // What nobody asked for then can't be known any more.
            None => rules.signed &= moment.circumstances.signature.is_some() || moment.circumstances.signature_unknown.is_some(),
        }
        let mut input = self.gate_input(workflows, artifact, moment);
        if let Some(environment) = environment {
            input.environment = environment.to_string();
        }
        Some(self.with_room(gate::decide(&rules, &input)))
    }

    /// The document that the policies were shown for the decision.
    pub fn asked(&self) -> Option<serde_json::Value> {
        let (workflows, artifact, decision) = (self.plan.workflows()?, self.artifact?, self.decision.as_deref()?);
        Some(self.gate_input(workflows, artifact, Moment::of(decision)).document(&workflows.gate).json())
    }

    fn gate_input(&self, workflows: &Workflows, artifact: (Digest, u64), moment: Moment) -> gate::Input {
        let evidence = self.evidence.as_deref().expect("the gate is asked after evidence was read");
        crate::input::gate_input(&self.plan, workflows, artifact, evidence, self.runs(), moment)
    }

    /// No strategy starts one version beside the other where both would have the same port.
    fn with_room(&self, decision: Decision) -> Decision {
        let Delivery { fixed_port, strategy, replicas, .. } = &self.plan.delivery;
        let (Some(port), Some(name)) = (fixed_port, decision.strategy()) else { return decision };
        if Strategy::named(name, strategy).is_none_or(|asked| asked.is_in_place(*replicas)) {
            return decision;
        }
        let message = format!(
            "the policy asks for the strategy `{name}`, which starts one version beside the other, and `port: {port}` has room for one: let the application listen on $PORT"
        );
        decision.denied(gate::Violation { id: "strategy/no-room".to_string(), message, evidence: Vec::new(), rule: None })
    }

    /// I5: nothing goes out without a yes on record for this very digest.
    fn assert_allowed(&self, instance: &InstancePlan) {
        if self.plan.workflows().is_some() {
            let decision = self.decision.as_ref().expect("the gate is asked before admission");
            assert!(matches!(decision.outcome, gate::Outcome::Allowed { .. }), "only an allowed release is admitted");
            assert_eq!(decision.digest, instance.artifact, "what was decided about is what ships");
        }
    }
}

fn one(event: Event) -> Advance {
    many(vec![event])
}

fn many(events: Vec<Event>) -> Advance {
    Advance { events, ..Advance::default() }
}
