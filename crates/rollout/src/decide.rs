//! What is decided at one look, phase by phase; `advance` repeats it on its own answers until nothing more follows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::Timestamp;

use crate::event::{Event, Happened};
use crate::judge::Verdict;
use crate::meter::Pair;
use crate::outcome::{Outcome, Reason};
use crate::plan::{Deadline, RevisionId, Step};
use crate::rollout::{Advance, Phase, Promote, Rollout, WHOLE};
use crate::seen::{RouteState, in_force, is_idle};
use crate::{InstancePhase, Observed, Synthetic};

/// Events that one look can lead to; more would mean that two rules undo each other for ever.
const EVENTS_MAX: usize = 64;

/// An instance of the new revision that is not ready for so long counts as lost. Shorter is a probe that came at a bad moment.
pub(crate) const UNREADY_MS: u64 = 10_000;

impl Rollout {
    /// The only function that decides: what follows from the state and the world, with its own answers taken into account, so that
    /// one look decides and acts.
    pub fn advance(&self, seen: &Observed, now: Timestamp) -> Advance {
        let mut rollout = Cow::Borrowed(self);
        let mut events = Vec::new();
        while let Some(what) = rollout.decide(seen, now) {
            let event = Event { at: now, what };
            rollout.to_mut().apply(&event);
            events.push(event);
            assert!(events.len() < EVENTS_MAX, "one look leads to boundedly many events");
        }
        let waiting = rollout.waiting(seen, now);
        Advance { events, actions: rollout.wishes(seen), wake: waiting.as_ref().map(|waiting| waiting.next), waiting }
    }

    fn decide(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        match self.phase {
            Phase::Planned => Some(Happened::Started { generation: self.generation + 1 }),
            Phase::Starting => self.decide_starting(seen, now),
            Phase::Canary => self.decide_canary(seen, now),
            Phase::Rolling => self.decide_rolling(seen, now),
            Phase::Verifying => self.decide_verifying(seen, now),
            Phase::Draining => self.decide_draining(seen, now),
            Phase::Retiring => self.decide_retiring(seen, now),
            Phase::RollingBack => self.decide_rolling_back(seen, now),
            Phase::Removing => self.decide_removing(seen),
            Phase::Finished => None,
        }
    }

    fn decide_starting(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        if let Some(reason) = self.aborted().or_else(|| self.crash_loop(seen)) {
            return Some(Happened::RollbackStarted { reason });
        }
        let fleet = self.new_fleet(seen);
        let ready = fleet.map_or(0, |fleet| fleet.ready());
        let wanted = self.plan.replicas;
        if ready >= wanted && fleet.is_some() {
            let superseded = matches!(self.route_state(seen), RouteState::Superseded { .. });
            return (self.paused_by.is_none() && seen.closed.is_none() && !superseded).then_some(Happened::InstancesReady);
        }
        let waited_ms = now.since_ms(self.phase_since);
        let message = fleet.and_then(|fleet| fleet.message());
        let late = waited_ms >= self.plan.limits.ready_ms;
        late.then_some(Happened::RollbackStarted { reason: Reason::NeverReady { ready, wanted, waited_ms, message } })
    }

    fn decide_canary(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let instances = || self.instances_failed(seen, now).or_else(|| self.smoke_failed(seen));
        if let Some(reason) = self.aborted().or_else(instances).or_else(|| self.refused(seen, now)) {
            return Some(Happened::RollbackStarted { reason });
        }
        let Some(step) = self.step else { return Some(Happened::StepStarted { step: 0 }) };
        let route_state = self.route_state(seen);
        if matches!(route_state, RouteState::Superseded { .. }) {
            return None;
        }
        self.decide_hours(seen)
            .or_else(|| self.decide_stable_dead(seen, now))
            .or_else(|| self.decide_route(seen, self.canary_weights(self.step_weight(step)), self.synthetic()))
            .or_else(|| self.decide_taken(route_state, now))
            .or_else(|| self.decide_look(seen, now))
            .or_else(|| if self.is_preview() { self.decide_smoke(seen) } else { None })
            .or_else(|| self.decide_verdict(step, seen, now))
    }

    /// When it closes and opens is remembered: a deadline is for time in which something could move.
    pub(crate) fn decide_hours(&self, seen: &Observed) -> Option<Happened> {
        match (self.closed_since, &seen.closed) {
            (None, Some(why)) => Some(Happened::Closed { why: why.clone() }),
            (Some(_), None) => Some(Happened::Opened),
            _ => None,
        }
    }

    /// A dead version must not hold the one that mends it. Only before the new one had any traffic: what died beside it may have died of it.
    /// Whoever wants to be asked is asked.
    fn decide_stable_dead(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let asks = self.steps().iter().any(|step| matches!(step, Step::Pause { duration_ms: None }));
        let may = self.weight() == 0 && !asks && self.paused_by.is_none() && seen.closed.is_none();
        let is_ready = self.new_fleet(seen).is_some_and(|fleet| fleet.ready() >= self.plan.replicas);
        let fleet = self.stable_fleet(seen).filter(|fleet| may && is_ready && fleet.ready() == 0)?;
        let loops = fleet.all().any(|it| self.is_looping(it));
        let unready_ms = fleet.unready_since(u32::MAX).map_or(0, |since| now.since_ms(since));
        let is_dead = loops || unready_ms >= UNREADY_MS;
        is_dead.then(|| Happened::StableDead { revision: fleet.revision.clone(), message: fleet.message() })
    }

    /// The counters, as long as the router answers; nothing is compared before traffic moves.
    pub(crate) fn decide_look(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let stable = &self.stable()?.id;
        self.meter.look(seen.route.as_ref()?, Pair { canary: &self.plan.revision.id, stable }, &self.plan.judge, now)
    }

    fn decide_verdict(&self, step: usize, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let verdict = self.judge.verdict(self.is_thin(now));
        if let Verdict::Worse(question) = &verdict {
            let evidence = self.judge.evidence(&self.meter.bounds).into_iter().find(|evidence| evidence.question == *question);
            let evidence = Box::new(evidence.expect("a verdict is about a question that was asked"));
            return Some(Happened::RollbackStarted { reason: Reason::Worse { evidence, step, weight: self.weight() } });
        }
        // What somebody asked for is kept, and done when it is open again.
        if seen.closed.is_some() {
            return None;
        }
        match self.promote {
            Some(Promote::Full) => return Some(Happened::StepsDone),
            Some(Promote::OneStep) => return Some(self.next_step(step)),
            None => {}
        }
        let passed = match self.steps().get(step).expect("steps are counted within the plan") {
            Step::Pause { duration_ms } if self.is_preview() => {
                self.is_checked() && (self.resumed || duration_ms.is_some_and(|ms| self.step_lasted_ms(now) >= Some(self.preview_ms(ms))))
            }
            Step::Pause { duration_ms } => self.resumed || duration_ms.is_some_and(|ms| now.since_ms(self.step_since) >= ms),
            Step::SetWeight(_) => verdict == Verdict::NotWorse && self.step_lasted_ms(now) >= Some(self.plan.limits.step_min_ms),
        };
        if passed && self.may_go_on(seen) {
            return Some(self.next_step(step));
        }
        self.decide_deadline(step, verdict, now)
    }

    fn decide_deadline(&self, step: usize, verdict: Verdict, now: Timestamp) -> Option<Happened> {
        let waited_ms = now.since_ms(self.step_since).saturating_sub(self.closed_ms);
        let is_pause = matches!(self.steps().get(step), Some(Step::Pause { .. })) && (!self.is_preview() || self.is_checked());
        if is_pause || self.deadline_passed || self.paused_by.is_some() || waited_ms < self.plan.limits.step_max_ms {
            return None;
        }
        let open = if let Verdict::NotEnough(open) = verdict { open } else { Vec::new() };
        Some(match self.plan.limits.deadline {
            Deadline::Hold => Happened::DeadlinePassed { step },
            Deadline::Rollback => Happened::RollbackStarted { reason: Reason::Deadline { step, waited_ms, open } },
        })
    }

    fn decide_verifying(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let instances = || self.instances_failed(seen, now).or_else(|| self.smoke_failed(seen));
        let reason = self.aborted().or_else(instances).or_else(|| self.refused(seen, now)).or_else(|| self.over_the_bound());
        if let Some(reason) = reason {
            return Some(Happened::RollbackStarted { reason });
        }
        let route_state = self.route_state(seen);
        if matches!(route_state, RouteState::Superseded { .. }) {
            return None;
        }
        self.decide_route(seen, self.all_to_new(), None)
            .or_else(|| self.decide_taken(route_state, now))
            .or_else(|| self.decide_look_alone(seen, now))
            .or_else(|| self.decide_smoke(seen))
            .or_else(|| self.decide_verified(seen, now))
    }

    /// The counters of the new revision alone, where it is known how the old one did beside it.
    fn decide_look_alone(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        self.route.as_ref()?.weights_taken?;
        self.judge.baseline()?;
        self.decide_look(seen, now)
    }

    fn decide_smoke(&self, seen: &Observed) -> Option<Happened> {
        self.route.as_ref()?.taken?;
        match &self.smoke {
            None if self.plan.smoke.is_empty() => None,
            None => Some(Happened::SmokeAsked { generation: self.generation + 1 }),
            Some(smoke) if smoke.passed => None,
            Some(smoke) => {
                let answer = seen.smoke.get(&smoke.generation)?;
                answer.failures.is_empty().then_some(Happened::SmokePassed { checks: answer.checks })
            }
        }
    }

    fn decide_verified(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let steady = self.steady_since(seen).is_some_and(|since| now.since_ms(since) >= self.plan.limits.verify_ms);
        if self.is_checked() && steady && self.paused_by.is_none() {
            return Some(Happened::Verified);
        }
        let taken_for_ms = self.route_taken_for(now);
        let waited_ms = taken_for_ms.unwrap_or_else(|| now.since_ms(self.phase_since));
        let late = waited_ms >= self.plan.limits.verify_ms + self.plan.limits.ready_ms && self.paused_by.is_none();
        let message = self.new_fleet(seen).and_then(|fleet| fleet.message());
        let reason = match taken_for_ms {
            Some(_) => Reason::NotVerified { waited_ms, message },
            None => Reason::RouterRefuses { waited_ms, cause: None },
        };
        late.then_some(Happened::RollbackStarted { reason })
    }

    fn decide_draining(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let Some(stable) = self.stable() else { return Some(Happened::Finished { outcome: Outcome::Promoted }) };
        if let Some(reason) = self.aborted().or_else(|| self.instances_failed(seen, now)).or_else(|| self.over_the_bound()) {
            return Some(Happened::RollbackStarted { reason });
        }
        let is_warm = now < self.warm_until();
        self.decide_route_forward(seen, now)
            .or_else(|| if is_warm { self.decide_look_alone(seen, now) } else { None })
            .or_else(|| if is_warm { None } else { self.decide_stop(&stable.id, seen, now) })
    }

    fn decide_retiring(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let gone = self.stable_fleet(seen).is_some_and(|fleet| fleet.live() == 0);
        if gone { Some(Happened::Finished { outcome: Outcome::Promoted }) } else { self.decide_route_forward(seen, now) }
    }

    fn decide_rolling_back(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let new = &self.plan.revision.id;
        let stop = || Happened::StopDecided { generation: self.generation + 1, revision: new.clone() };
        let Some(stable) = self.stable() else { return Some(stop()) };
        let is_returning = self.is_returning(seen, now);
        if self.route.is_none() && !is_returning && self.has_no_traffic_left(seen, now) {
            return Some(stop());
        }
        let route_state = self.route_state(seen);
        if let RouteState::Superseded { seen: generation } = route_state {
            let reason = Reason::Superseded { generation, cause: Box::new(self.cause()) };
            return Some(Happened::Finished { outcome: Outcome::RollbackFailed { reason } });
        }
        if is_returning {
            return self.decide_return(seen, now);
        }
        if self.has_nowhere_to_go_back_to(seen) && !self.has_all_traffic(&stable.id) {
            let late = now.since_ms(self.phase_since) >= self.plan.limits.ready_ms;
            let reason = Reason::StableGone { cause: Box::new(self.cause()) };
            return late.then_some(Happened::Finished { outcome: Outcome::RollbackFailed { reason } });
        }
        let back = self.decide_route(seen, self.canary_weights(0), None);
        if back.is_none()
            && self.has_all_traffic(&stable.id)
            && let Some(reason) = self.refused(seen, now)
        {
            // Where the canary gets nothing all the same, nothing is left to bring back.
            let safe = in_force(seen, new) == Some(0) && self.is_of_now(seen);
            return Some(if safe { stop() } else { Happened::Finished { outcome: Outcome::RollbackFailed { reason } } });
        }
        let back = back.or_else(|| self.decide_taken(route_state, now));
        if back.is_some() || self.has_all_traffic(&stable.id) {
            return back.or_else(|| self.decide_stop(new, seen, now));
        }
        // Where the stable listens isn't known yet: what still has the traffic is not stopped.
        None
    }

    /// An earlier release may have left some of the same revision's traffic with a router that refused.
    fn has_no_traffic_left(&self, seen: &Observed, now: Timestamp) -> bool {
        match in_force(seen, &self.plan.revision.id) {
            Some(weight) => weight == 0,
            None => now.since_ms(self.phase_since) >= self.plan.limits.route_ms,
        }
    }

    fn decide_removing(&self, seen: &Observed) -> Option<Happened> {
        let gone = self.new_fleet(seen).is_some_and(|fleet| fleet.live() == 0);
        let reason = self.cause();
        let outcome = if self.stable().is_some() { Outcome::RolledBack { reason } } else { Outcome::Failed { reason } };
        gone.then_some(Happened::Finished { outcome })
    }

    /// A route is decided when the weights shall be others, or the ready instances behind them are.
    pub(crate) fn decide_route(
        &self,
        seen: &Observed,
        weights: BTreeMap<RevisionId, u32>,
        synthetic: Option<Synthetic>,
    ) -> Option<Happened> {
        let forward = weights.get(&self.plan.revision.id).is_some_and(|weight| *weight > self.weight());
        if forward && seen.closed.is_some() {
            return None;
        }
        let endpoints = self.endpoints(seen, &weights);
        let as_wished =
            self.route.as_ref().is_some_and(|wish| wish.weights == weights && wish.endpoints == endpoints && wish.synthetic == synthetic);
        // The first route of a revision without a known address would send requests nowhere.
        let reachable = weights.iter().all(|(revision, weight)| *weight == 0 || endpoints.iter().any(|it| it.revision == *revision));
        (!as_wished && reachable).then_some(Happened::Routed { generation: self.generation + 1, weights, endpoints, synthetic })
    }

    fn decide_route_forward(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let route_state = self.route_state(seen);
        if matches!(route_state, RouteState::Superseded { .. }) {
            return None;
        }
        self.decide_route(seen, self.all_to_new(), None).or_else(|| self.decide_taken(route_state, now))
    }

    pub(crate) fn decide_taken(&self, route_state: RouteState, now: Timestamp) -> Option<Happened> {
        let wish = self.route.as_ref()?;
        let generation = wish.generation;
        match route_state {
            RouteState::Taken if wish.taken.is_none() || wish.missed.is_some() => Some(Happened::RouteTaken { generation }),
            RouteState::Behind { .. } if wish.missed.is_none() && now.since_ms(wish.decided) >= self.route_patience_ms() => {
                Some(Happened::RouteMissed { generation })
            }
            _ => None,
        }
    }

    /// The router answers and has not followed, twice and half of its time apart: one that could not be asked in between gets its chance.
    pub(crate) fn refused(&self, seen: &Observed, now: Timestamp) -> Option<Reason> {
        let missed_ms = now.since_ms(self.route.as_ref()?.missed?);
        let behind = matches!(self.route_state(seen), RouteState::Behind { .. });
        let waited_ms = missed_ms + self.route_patience_ms();
        let cause = (self.phase == Phase::RollingBack).then(|| Box::new(self.cause()));
        (behind && missed_ms >= self.route_patience_ms()).then_some(Reason::RouterRefuses { waited_ms, cause })
    }

    /// What the router tells is no older than what it is known to have had; before the first route, the stable's own counts.
    fn is_of_now(&self, seen: &Observed) -> bool {
        let before = self.generation_taken == self.plan.generation_base;
        before || seen.route.as_ref().is_some_and(|route| route.generation >= self.generation_taken)
    }

    /// Half of what the router gets.
    pub(crate) fn route_patience_ms(&self) -> u64 {
        self.plan.limits.route_ms / 2
    }

    /// With all traffic on the new revision there is nobody to compare with; too many errors are too many all the same, unless the old
    /// one had too many as well.
    pub(crate) fn over_the_bound(&self) -> Option<Reason> {
        let stable = self.judge.baseline()?;
        let bound = self.plan.judge.absolute_bad_share;
        let beside = self.phase == Phase::Rolling;
        self.judge.over_the_bound().map(|canary| Reason::TooManyErrors { canary, stable, bound, beside })
    }

    /// The revision that got no new request since the route was taken is stopped when its last ones are done, or had their time.
    fn decide_stop(&self, revision: &RevisionId, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let waited_ms = self.route_taken_for(now)?;
        let done = is_idle(seen, revision) || waited_ms >= self.plan.limits.drain_ms;
        done.then(|| Happened::StopDecided { generation: self.generation + 1, revision: revision.clone() })
    }

    /// At least so long that the old revision was looked at: what the new one does with all the traffic is measured by that.
    pub(crate) fn preview_ms(&self, auto_promotion_ms: u64) -> u64 {
        auto_promotion_ms.max(self.plan.judge.look_ms)
    }

    /// Until when the old revision is kept running.
    pub(crate) fn warm_until(&self) -> Timestamp {
        self.phase_since.plus_ms(self.plan.limits.warm_ms)
    }

    pub(crate) fn aborted(&self) -> Option<Reason> {
        self.aborted_by.clone().map(|by| Reason::Aborted { by })
    }

    pub(crate) fn is_looping(&self, it: &crate::InstanceSeen) -> bool {
        it.restarts >= self.plan.limits.restarts_max && it.phase != InstancePhase::Stopped
    }

    pub(crate) fn crash_loop(&self, seen: &Observed) -> Option<Reason> {
        let it = self.new_fleet(seen)?.all().find(|it| self.is_looping(it))?;
        Some(Reason::CrashLoop { index: it.index, restarts: it.restarts, message: it.message.clone() })
    }

    /// The canary's own failures, while the stable lives: what kills both is nobody's fault.
    fn instances_failed(&self, seen: &Observed, now: Timestamp) -> Option<Reason> {
        if self.stable_is_gone(seen) {
            return None;
        }
        let fleet = self.new_fleet(seen)?;
        let (ready, wanted) = (fleet.ready(), self.plan.replicas);
        let lost = |message| Reason::InstancesLost { ready, wanted, message };
        self.crash_loop(seen).or_else(|| {
            let none_left = ready == 0 && self.weight() > 0;
            let unready_ms = fleet.unready_since(wanted).map_or(0, |since| now.since_ms(since));
            (none_left || unready_ms >= UNREADY_MS).then(|| lost(fleet.message()))
        })
    }

    /// The stable can't take the traffic, while the new revision at least answers; when both are down the stable is the better guess.
    pub(crate) fn has_nowhere_to_go_back_to(&self, seen: &Observed) -> bool {
        let known =
            self.stable().is_some_and(|stable| self.route.iter().any(|wish| wish.endpoints.iter().any(|it| it.revision == stable.id)));
        self.stable_is_gone(seen) && (!known || self.new_fleet(seen).is_some_and(|fleet| fleet.ready() > 0))
    }

    /// Known, and no instance of it can take a request, though some should.
    pub(crate) fn stable_is_gone(&self, seen: &Observed) -> bool {
        let some_should = self.phase == Phase::RollingBack || self.rolling.as_ref().is_none_or(|rolling| rolling.scale.old > 0);
        some_should && self.stable_fleet(seen).is_some_and(|fleet| fleet.ready() == 0)
    }

    fn smoke_failed(&self, seen: &Observed) -> Option<Reason> {
        let smoke = self.smoke.filter(|smoke| !smoke.passed)?;
        let failures = seen.smoke.get(&smoke.generation)?.failures.clone();
        (!failures.is_empty()).then_some(Reason::SmokeFailed { failures })
    }

    /// Whether anything but evidence speaks against going forward.
    fn may_go_on(&self, seen: &Observed) -> bool {
        let known = self.new_fleet(seen).is_some_and(|fleet| fleet.ready() >= self.plan.replicas);
        known
            && self.paused_by.is_none()
            && self.route_state(seen) == RouteState::Taken
            && !self.stable_is_gone(seen)
            && self.both_bad().is_none()
    }

    pub(crate) fn both_bad(&self) -> Option<(f64, f64)> {
        if self.is_preview() { self.judge.both_seen_bad() } else { self.judge.both_bad() }
    }

    fn next_step(&self, step: usize) -> Happened {
        if step + 1 < self.steps().len() { Happened::StepStarted { step: step + 1 } } else { Happened::StepsDone }
    }

    /// All instances of the new revision ready and the route taken, since then.
    pub(crate) fn steady_since(&self, seen: &Observed) -> Option<Timestamp> {
        let taken = self.route.as_ref()?.taken?;
        Some(self.new_fleet(seen)?.ready_since(self.plan.replicas)?.max(taken))
    }

    pub(crate) fn route_taken_for(&self, now: Timestamp) -> Option<u64> {
        Some(now.since_ms(self.route.as_ref()?.weights_taken?))
    }

    /// Since the router has had the step's weights.
    fn step_lasted_ms(&self, now: Timestamp) -> Option<u64> {
        Some(now.since_ms(self.route.as_ref()?.weights_taken?.max(self.step_since)))
    }

    fn cause(&self) -> Reason {
        self.reason.clone().expect("going back has a reason")
    }

    /// A pause has the weight of the step before it.
    fn step_weight(&self, step: usize) -> u32 {
        let before = self.steps()[..=step].iter().rev();
        before.filter_map(|step| if let Step::SetWeight(weight) = step { Some((*weight).min(WHOLE)) } else { None }).next().unwrap_or(0)
    }

    /// The other revision stays in the map with nothing, so that its requests in flight are still told and its address is known.
    pub(crate) fn canary_weights(&self, canary: u32) -> BTreeMap<RevisionId, u32> {
        let mut weights = BTreeMap::from([(self.plan.revision.id.clone(), canary)]);
        if let Some(stable) = self.stable() {
            weights.insert(stable.id.clone(), WHOLE - canary);
        }
        weights
    }

    fn all_to_new(&self) -> BTreeMap<RevisionId, u32> {
        self.canary_weights(WHOLE)
    }

    fn synthetic(&self) -> Option<Synthetic> {
        let plan = self.plan.synthetic.as_ref()?;
        let revisions = [Some(&self.plan.revision), self.stable()].into_iter().flatten().map(|revision| revision.id.clone()).collect();
        Some(Synthetic { paths: plan.paths.clone(), interval_ms: plan.interval_ms, revisions })
    }
}
