//! Whatever is seen, in whatever order: the promises hold (I6, I7, I9, I15), and when faults stop it ends (I14).

use std::collections::BTreeMap;

use base::{Digest, Histogram, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollout::rolling::resolve;
use rollout::{
    Action, Amount, Command, Counts, Deadline, Event, Happened, InstancePhase, InstanceSeen, JudgePlan, Limits, Observed, Outcome, Phase,
    Plan, Revision, RevisionCounts, RevisionId, Rollout, RouteSeen, Scale, SmokeCheck, SmokeSeen, Step, Strategy as Way, SyntheticPlan,
    TargetSeen,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

    #[test]
    fn no_world_makes_a_rollout_break_its_promises(plan in plan(), moments in prop::collection::vec(moment(), 1..80)) {
        let mut live = Live::new(plan);
        for moment in &moments {
            live.tick(moment);
        }
        live.check_record();
        live.calm();
        live.check_record();
    }
}

/// One look at an arbitrary world; what is said of revisions is by number: 0 new, 1 old.
#[derive(Debug, Clone)]
struct Moment {
    passed_ms: u64,
    instances: Option<Vec<(usize, u32, InstancePhase, u32)>>,
    route: Sight,
    epoch: u8,
    added: [(u64, u64, u64); 2],
    smoke_fails: bool,
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy)]
enum Sight {
    Unknown,
    /// As last asked.
    Obedient,
    /// As before the last thing asked.
    Late,
    /// Somebody else's.
    Newer,
}

struct Live {
    plan: Plan,
    rollout: Rollout,
    events: Vec<Event>,
    now: Timestamp,
    asked: (u64, BTreeMap<RevisionId, u32>),
    had: (u64, BTreeMap<RevisionId, u32>),
    /// Of the last order about instances.
    ordered: u64,
    counts: BTreeMap<RevisionId, RevisionCounts>,
    smoke: BTreeMap<u64, SmokeSeen>,
}

impl Live {
    fn new(plan: Plan) -> Live {
        let first = (plan.generation_base, BTreeMap::new());
        Live {
            rollout: Rollout::new(plan.clone()),
            plan,
            events: Vec::new(),
            now: Timestamp::from_ms(0),
            asked: first.clone(),
            ordered: first.0,
            had: first,
            counts: BTreeMap::new(),
            smoke: BTreeMap::new(),
        }
    }

    fn tick(&mut self, moment: &Moment) {
        self.now = self.now.plus_ms(moment.passed_ms);
        for (number, (requests, bad, slow)) in moment.added.iter().enumerate() {
            let users = &mut self.counts.entry(revision(number)).or_default().users;
            add(users, *requests, *bad.min(requests), *slow.min(requests));
        }
        if let Some(command) = moment.command
            && let Ok(events) = self.rollout.command(command, "ana", self.now)
        {
            self.remember(&events);
        }
        let seen = self.see(moment);
        self.look(&seen, moment.smoke_fails);
    }

    /// Nothing fails any more and the world obeys: it ends, or a person has to.
    fn calm(&mut self) {
        let all_ready = |number| (0..self.plan.replicas).map(move |index| (number, index, InstancePhase::Ready, 0)).collect::<Vec<_>>();
        let mut running: BTreeMap<usize, Vec<_>> = BTreeMap::from([(0, all_ready(0)), (1, all_ready(1))]);
        if let Ok(events) = self.rollout.command(Command::Abort, "calm", self.now) {
            self.remember(&events);
        }
        for _ in 0..4_000 {
            let instances = Some(running.values().flatten().copied().collect());
            let moment = Moment {
                passed_ms: 500,
                instances,
                route: Sight::Obedient,
                epoch: 9,
                added: [(0, 0, 0); 2],
                smoke_fails: false,
                command: None,
            };
            self.now = self.now.plus_ms(moment.passed_ms);
            let seen = self.see(&moment);
            for action in self.look(&seen, false) {
                match action {
                    Action::Stop { revision: stopped, .. } => drop(running.remove(&usize::from(stopped != revision(0)))),
                    Action::Run { revision: runs, replicas, .. } => {
                        let number = usize::from(runs != revision(0));
                        running.insert(number, (0..replicas).map(|index| (number, index, InstancePhase::Ready, 0)).collect());
                    }
                    Action::Route { .. } | Action::Smoke { .. } => {}
                }
            }
            if self.rollout.phase() == Phase::Finished {
                return;
            }
        }
        panic!("did not end in calm: {:?}", self.rollout.status());
    }

    fn look(&mut self, seen: &Observed, smoke_fails: bool) -> Vec<Action> {
        let before = self.rollout.clone();
        let advance = self.rollout.advance(seen, self.now);
        self.remember(&advance.events);
        self.check(&before, seen, &advance.events, &advance.actions);
        let finished = self.rollout.phase() == Phase::Finished;
        assert_eq!(advance.waiting.is_none(), finished, "whoever isn't finished says what it waits for");
        assert!(finished || advance.wake > Some(self.now), "and when it looks again");
        if let Some(waiting) = &advance.waiting {
            assert!(!waiting.sentence().is_empty());
        }
        let again = self.rollout.advance(seen, self.now);
        assert_eq!((&again.events, &again.actions), (&Vec::new(), &advance.actions), "the same look decides nothing more");
        for action in &advance.actions {
            self.perform(action, smoke_fails);
        }
        advance.actions
    }

    fn check(&self, before: &Rollout, seen: &Observed, events: &[Event], actions: &[Action]) {
        assert!(before.phase() != Phase::Finished || events.is_empty() && actions.is_empty(), "I9: finished is finished");
        let mut generation = before.generation();
        let mut weight = before.weight();
        let mut going_back = matches!(before.phase(), Phase::RollingBack | Phase::Removing);
        for event in events {
            match &event.what {
                Happened::Routed { generation: routed, weights, .. } => {
                    assert!(*routed > generation, "generations grow");
                    assert_eq!(weights.values().sum::<u32>(), 10_000, "I6: the whole of the traffic");
                    let to_new = weights.get(&revision(0)).copied().unwrap_or(0);
                    let follows_ready = matches!(self.plan.strategy, Way::RollingUpdate { .. });
                    assert!(to_new >= weight || going_back || follows_ready, "I6: the weight rises from {weight} to {to_new}");
                    assert!(to_new <= weight || !going_back, "I6: the weight falls on the way back, from {weight} to {to_new}");
                    if to_new > weight {
                        self.check_switch(to_new);
                    }
                    (generation, weight) = (*routed, to_new);
                }
                Happened::Scaled { generation: scaled, scale } => {
                    assert!(*scaled > generation, "generations grow");
                    generation = *scaled;
                    self.check_scale(*scale, going_back);
                }
                Happened::RollbackStarted { .. } => going_back = true,
                Happened::StopDecided { revision: stopped, .. } if *stopped == revision(1) => {
                    let happened = self.events.iter().find(|event| event.what == Happened::Verified).expect("what is stopped was verified");
                    let warm_ms = self.rollout.plan().limits.warm_ms;
                    assert!(event.at.since_ms(happened.at) >= warm_ms, "the old revision is kept for {warm_ms} ms");
                }
                _ => {}
            }
        }
        // In a rolling update it goes back as instances do; without a surge the old one is started when the new one is gone.
        let in_steps = self.rollout.status().scale.is_some_and(|scale| scale.new > 0 || scale.old == 0);
        if self.rollout.phase() == Phase::RollingBack && weight > 0 && !in_steps {
            assert!(self.stable_is_unreachable(seen), "I7: traffic goes back at once");
        }
        if let Some(Outcome::RolledBack { .. }) = self.rollout.outcome() {
            assert_eq!(self.rollout.weight(), 0, "rolled back means that nothing goes to the new revision");
        }
    }

    /// Never more instances than the surge allows; the way back may have to make room for one that is in the way.
    fn check_scale(&self, scale: Scale, going_back: bool) {
        let Way::RollingUpdate { max_surge, max_unavailable } = self.plan.strategy else { panic!("only a rolling update scales") };
        let (surge, _) = resolve(max_surge, max_unavailable, self.plan.replicas);
        let asked = self.events.iter().any(|event| matches!(event.what, Happened::PromoteAsked { full: true, .. }));
        let most = self.plan.replicas + surge;
        assert!(scale.new + scale.old <= most || asked || going_back, "{scale:?} of at most {most}");
    }

    /// Blue-green moves all traffic at once, and after the checks unless a person said so.
    fn check_switch(&self, to_new: u32) {
        let plan = self.rollout.plan();
        if !matches!(plan.strategy, Way::BlueGreen { .. }) || plan.stable.is_none() {
            return;
        }
        assert_eq!(to_new, 10_000, "all traffic at once");
        let met = |is: fn(&Happened) -> bool| self.events.iter().any(|event| is(&event.what));
        let asked = met(|what| matches!(what, Happened::PromoteAsked { .. }));
        let checked = plan.smoke.is_empty() || met(|what| matches!(what, Happened::SmokePassed { .. }));
        assert!(asked || checked, "checked before it has traffic");
    }

    /// The one excuse: no instance of the stable is known that could take the traffic.
    fn stable_is_unreachable(&self, seen: &Observed) -> bool {
        let routed = self.events.iter().rev().find_map(|event| match &event.what {
            Happened::Routed { endpoints, .. } => Some(endpoints.iter().any(|endpoint| endpoint.revision == revision(1))),
            _ => None,
        });
        let ready = seen
            .target
            .as_ref()
            .map(|target| target.instances.iter().any(|it| it.revision == revision(1) && it.phase == InstancePhase::Ready));
        ready == Some(false) || ready.is_none() && routed == Some(false)
    }

    fn check_record(&self) {
        let replayed = Rollout::replay(self.plan.clone(), &self.events);
        assert_eq!(replayed, self.rollout, "I15: the record is the state");
        let text = serde_json::to_string(&self.events).expect("events are written");
        let read: Vec<Event> = serde_json::from_str(&text).expect("events are read");
        assert_eq!(read, self.events, "events are read as they were written");
        serde_json::to_string(&self.rollout.status()).expect("the status is written");
    }

    fn remember(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.rollout.apply(event));
        self.events.extend_from_slice(events);
    }

    fn see(&self, moment: &Moment) -> Observed {
        let (generation, weights) = match moment.route {
            Sight::Late => self.had.clone(),
            Sight::Newer => (1_000_000, BTreeMap::new()),
            Sight::Obedient | Sight::Unknown => self.asked.clone(),
        };
        let route = RouteSeen { generation, weights, epoch: moment.epoch.to_string(), counts: self.counts.clone() };
        let instance = |(number, index, phase, restarts): &(usize, u32, InstancePhase, u32)| InstanceSeen {
            revision: revision(*number),
            index: *index,
            address: Some(format!("127.0.0.1:4{number}0{index}")),
            phase: *phase,
            restarts: *restarts,
            message: None,
            since: Timestamp::from_ms(self.now.as_ms() - 5_000),
        };
        Observed {
            target: moment
                .instances
                .as_ref()
                .map(|all| TargetSeen { generation: self.ordered, instances: all.iter().map(instance).collect() }),
            route: (!matches!(moment.route, Sight::Unknown)).then_some(route),
            smoke: self.smoke.clone(),
            closed: None,
        }
    }

    fn perform(&mut self, action: &Action, smoke_fails: bool) {
        match action {
            Action::Route { generation, weights, endpoints, .. } => {
                assert_eq!(weights.values().sum::<u32>(), 10_000, "I6: the whole of the traffic");
                let reachable = |revision: &RevisionId| endpoints.iter().any(|endpoint| endpoint.revision == *revision);
                assert!(weights.iter().all(|(revision, weight)| *weight == 0 || reachable(revision)), "no weight without an endpoint");
                if *generation > self.asked.0 {
                    self.had = std::mem::replace(&mut self.asked, (*generation, weights.clone()));
                }
            }
            Action::Smoke { generation, .. } => {
                let failures = if smoke_fails { vec!["GET / answered 500".to_string()] } else { Vec::new() };
                self.smoke.insert(*generation, SmokeSeen { failures, checks: 1 });
            }
            Action::Run { generation, .. } | Action::Stop { generation, .. } => self.ordered = *generation,
        }
    }
}

fn add(counts: &mut Counts, requests: u64, bad: u64, slow: u64) {
    counts.requests += requests;
    counts.bad += bad;
    counts.latency.add(&Histogram(BTreeMap::from([(10_047, requests - slow), (200_703, slow)])));
}

fn revision(number: usize) -> RevisionId {
    RevisionId(["new", "old"][number].to_string())
}

fn plan() -> impl Strategy<Value = Plan> {
    let steps = prop_oneof![
        Just(Way::Immediate),
        Just(Way::default_canary()),
        Just(Way::Canary { steps: vec![Step::SetWeight(100), Step::Pause { duration_ms: Some(4_000) }, Step::SetWeight(10_000)] }),
        Just(Way::Canary { steps: vec![Step::SetWeight(2_500), Step::Pause { duration_ms: None }] }),
        Just(Way::BlueGreen { auto_promotion_ms: None }),
        Just(Way::BlueGreen { auto_promotion_ms: Some(3_000) }),
        Just(Way::default_rolling_update()),
        Just(Way::RollingUpdate { max_surge: Amount::Count(0), max_unavailable: Amount::Count(1) }),
    ];
    let deadline = prop_oneof![Just(Deadline::Hold), Just(Deadline::Rollback)];
    let warm = prop_oneof![Just(0), Just(20_000_u64)];
    (steps, any::<bool>(), any::<bool>(), any::<bool>(), deadline, 1..3_u32, 0..50_u64, warm).prop_map(
        |(strategy, has_stable, smoke, synthetic, deadline, replicas, generation_base, warm_ms)| Plan {
            revision: Revision { id: revision(0), artifact: Digest::of(b"new") },
            stable: has_stable.then(|| Revision { id: revision(1), artifact: Digest::of(b"old") }),
            strategy,
            replicas,
            stable_replicas: None,
            generation_base,
            limits: Limits { ready_ms: 20_000, step_max_ms: 60_000, deadline, warm_ms, ..Limits::default() },
            judge: JudgePlan::default(),
            smoke: if smoke { vec![SmokeCheck { path: "/".to_string(), expect: vec![200], timeout_ms: 1_000 }] } else { Vec::new() },
            synthetic: synthetic.then(SyntheticPlan::default),
        },
    )
}

/// Mostly well, so that rollouts come far enough to have something to lose.
fn moment() -> impl Strategy<Value = Moment> {
    let phase = prop_oneof![
        30 => Just(InstancePhase::Ready),
        1 => Just(InstancePhase::Starting),
        1 => Just(InstancePhase::NotReady),
        1 => Just(InstancePhase::BackingOff),
        1 => Just(InstancePhase::Stopped),
    ];
    let restarts = prop_oneof![40 => Just(0_u32), 1 => 0..5_u32];
    let instances = prop::collection::vec((phase, restarts), 4).prop_map(|all| {
        all.into_iter().enumerate().map(|(number, (phase, restarts))| (number / 2, number as u32 % 2, phase, restarts)).collect::<Vec<_>>()
    });
    let route = prop_oneof![1 => Just(Sight::Unknown), 30 => Just(Sight::Obedient), 4 => Just(Sight::Late), 1 => (0..8_u8).prop_map(|n| if n == 0 { Sight::Newer } else { Sight::Late })];
    let added = || (0..3_000_u64, prop_oneof![8 => Just(0_u64), 1 => 0..30_u64], prop_oneof![8 => Just(0_u64), 1 => 0..30_u64]);
    let command = prop_oneof![
        40 => Just(None),
        1 => Just(Some(Command::Pause)),
        2 => Just(Some(Command::Resume)),
        1 => Just(Some(Command::Promote { full: false })),
        1 => Just(Some(Command::Promote { full: true })),
        1 => Just(Some(Command::Abort)),
    ];
    let seen = (prop_oneof![1 => Just(None), 20 => instances.prop_map(Some)], route, prop_oneof![20 => Just(0_u8), 1 => 1..3_u8]);
    (1..9_000_u64, seen, added(), added(), prop::bool::weighted(0.1), command).prop_map(
        |(passed_ms, (instances, route, epoch), canary, stable, smoke_fails, command)| Moment {
            passed_ms,
            instances,
            route,
            epoch,
            added: [canary, stable],
            smoke_fails,
            command,
        },
    )
}
