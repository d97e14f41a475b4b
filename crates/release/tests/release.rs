//! Where runs, gate, environment and router meet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::name::{ProjectId, ReleaseId, RunId};
use base::{Digest, Source, Timestamp};
use gate::approval::{Approvals, Rule};
use gate::evidence::Evidence;
use gate::{GatePlan, PolicyFile};
use release::provenance;
use release::{
    Action, Advance, CodeSource, Command, Commit, Delivery, Environment, EnvironmentAction, EnvironmentEvent, EnvironmentSeen, Event, Kind,
    Live, Observed, Outcome, Packaged, Plan, Prepared, Project, Proved, Release, Ships, Waiting, Workflows,
};
use rollout::{InstancePhase, InstancePlan, InstanceSeen, JudgePlan, Limits, Probe, Probes, RevisionId, RouteSeen, Strategy, TargetSeen};
use workflow::concurrency::{Blocked, Standing, Turn};
use workflow::job::{Conclusion, JobOutcome, JobSeen};
use workflow::plan::{Repository, Request};

const NOW: Timestamp = Timestamp::from_ms(1_795_227_177_123);

/// As the engine does: what it says happened, has.
fn look(release: &mut Release, seen: &Observed, now: Timestamp) -> release::Advance {
    let advance = release.advance(seen, now);
    advance.events.iter().for_each(|event| release.apply(event));
    advance
}

#[test]
fn a_workflow_of_skipped_jobs_is_no_reason_for_a_denial() {
    let skipped = "on: push\njobs:\n  docs:\n    if: false\n    runs-on: ubuntu-latest\n    steps: [{ run: make docs }]\n";
    let release = decided(&[skipped]);
    let decision = release.decision().expect("the gate was asked");
    assert!(decision.is_allowed(), "{:?}", decision.violations());
    assert!(decision.warnings().iter().any(|warning| warning.id == "runs/none"), "that nothing ran is said: {:?}", decision.warnings());
}

#[test]
fn what_ran_beside_it_counts() {
    let skipped = "on: push\njobs:\n  docs:\n    if: false\n    runs-on: ubuntu-latest\n    steps: [{ run: make docs }]\n";
    let build = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps: [{ run: make }]\n";
    let release = decided(&[skipped, build]);
    let decision = release.decision().expect("the gate was asked");
    assert!(decision.is_allowed(), "{:?}", decision.violations());
    assert!(!decision.warnings().iter().any(|warning| warning.id == "runs/none"), "{:?}", decision.warnings());
}

#[test]
fn the_gate_is_not_asked_again_while_another_release_has_the_environment() {
    let text = "package plimsoll.gate\n\nimport rego.v1\n\ndeny contains \"too late\" if input.time > \"2026-11-22\"\n";
    let policy = PolicyFile { path: "policy/gate.rego".to_string(), text: text.to_string() };
    let mut plan = plan(&[]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    workflows.gate.policies.push(policy);
    let mut release = decide(plan, NOW);
    assert!(release.decision().expect("the gate was asked").is_allowed());

    let later = NOW.plus_ms(7 * 24 * 3_600_000);
    let seen = Observed { environment: taken(), ..Observed::default() };
    let advance = release.advance(&seen, later);
    assert_eq!(advance.events, [], "what it would say changes nothing before the environment is free");
    assert_eq!(advance.waiting, Some(Waiting::Environment { name: "production".to_string(), occupied_by: other() }));

    let advance = release.advance(&Observed::default(), later);
    advance.events.iter().for_each(|event| release.apply(event));
    assert_eq!(release.outcome(), Some(&Outcome::Denied { violations: 1 }), "in the moment of admission it is asked again");
}

#[test]
fn a_run_stands_in_line_and_whose_place_was_taken_ends_the_release_as_cancelled() {
    let text = "on: push\nconcurrency: g\njobs:\n  a: { runs-on: x, steps: [{ run: a }] }\n";
    let mut release = Release::new(Arc::new(plan(&[text])));
    let seats = release.seats();
    assert_eq!(seats.iter().map(|seat| seat.name.as_str()).collect::<Vec<_>>(), ["release-1"]);
    let stands = |standing| {
        let mut seen = Observed::default();
        seen.runs.turns = Some([(seats[0].id.clone(), standing)].into());
        seen
    };
    let (group, by) = ("g".to_string(), "release-9".to_string());
    let advance = look(&mut release, &stands(Standing::Waits(Blocked { group: group.clone(), by: by.clone(), others: 0 })), NOW);
    assert_eq!((advance.events, advance.actions), (vec![], vec![]));
    let sentence = advance.waiting.expect("it waits").sentence("production");
    assert_eq!(sentence, ".github/workflows/1.yml: it waits for release-9 in the concurrency group `g`");
    look(&mut release, &stands(Standing::Gone(Turn::Displaced { by, group })), NOW);
    let by = "release-9, which took its place in the concurrency group `g`".to_string();
    assert_eq!(release.outcome(), Some(&Outcome::Cancelled { by }));
    assert_eq!(release.seats(), [], "what has ended wants no place");
    let both = Release::new(Arc::new(plan(&[text, text])));
    assert_eq!(both.seats().iter().map(|seat| seat.name.as_str()).collect::<Vec<_>>(), ["1.yml of release-1", "2.yml of release-1"]);
}

#[test]
fn a_release_that_a_later_one_has_overtaken_is_not_shipped() {
    let live = |number| {
        let events = live_by(number, &delivery().instance(Digest::of(b"old")), 1);
        Observed { environment: Arc::new(Environment::replay(&events)), ..Observed::default() }
    };
    let mut plan = plan(&[]);
    plan.number = 5;
    let mut release = decide(plan, NOW);
    assert!(
        release.advance(&live(4), NOW).events.iter().any(|event| matches!(event, Event::Admitted { .. })),
        "the one before is replaced"
    );

    let advance = release.advance(&live(6), NOW);
    advance.events.iter().for_each(|event| release.apply(event));
    assert_eq!(release.outcome(), Some(&Outcome::Superseded { by: 6 }), "what somebody shipped or went back to since stays");
    assert!(advance.environment.is_empty());
}

#[test]
fn a_policy_knows_how_often_traffic_went_back_in_the_last_day() {
    let text = "package plimsoll.gate\n\nimport rego.v1\n\ndeny contains \"calm down first\" if input.rollbacks_24h > 1\n";
    let policy = PolicyFile { path: "policy/gate.rego".to_string(), text: text.to_string() };
    let live = |name: &[u8], number| {
        let instance = delivery().instance(Digest::of(name));
        Box::new(Live { release: ReleaseId::new(NOW, 3), number, instance, delivery: delivery(), since: NOW })
    };
    let mut events = Vec::new();
    let mut releases = |ends: Vec<(Option<Box<Live>>, bool, u64)>| {
        for (live, had_traffic, hours) in ends {
            let (release, generation, at) = (ReleaseId::new(NOW, 3), 10 * (events.len() as u64 + 1), NOW.plus_ms(hours * 3_600_000));
            let quarantined = live.is_none().then(|| RevisionId("bad".to_string()));
            events.push(EnvironmentEvent::Admitted { release, generation, at });
            events.push(EnvironmentEvent::Released { release, live, quarantined, had_traffic, generation, at });
        }
        let at = NOW.plus_ms(5 * 3_600_000);
        events.push(EnvironmentEvent::WentDown { by: "ana".to_string(), generation: 1_000, at });
        events.push(EnvironmentEvent::Admitted { release: ReleaseId::new(NOW, 3), generation: 1_010, at });
        let again = Some(live(b"a", 4));
        let release = ReleaseId::new(NOW, 3);
        events.push(EnvironmentEvent::Released { release, live: again, quarantined: None, had_traffic: true, generation: 1_010, at });
        Arc::new(Environment::replay(&events))
    };
    // The first failed with nothing to go back to; one was live; one never got ready; a canary was taken back; another one was live;
    // somebody went back, took it down and brought the same up again.
    let ends = vec![
        (None, true, 0),
        (Some(live(b"a", 1)), true, 1),
        (None, false, 1),
        (None, true, 2),
        (Some(live(b"b", 2)), true, 3),
        (Some(live(b"a", 3)), true, 4),
    ];
    let environment = releases(ends);
    for (hours, count) in [(5, 2), (25, 2), (26, 1), (28, 0)] {
        assert_eq!(environment.rollbacks_24h(NOW.plus_ms(hours * 3_600_000)), count, "after {hours} hours");
    }

    let mut plan = plan(&[]);
    plan.number = 9;
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    workflows.gate.policies.push(policy);
    let seen = Observed { environment, ..packed() };
    for (hours, allowed) in [(5, false), (27, true)] {
        let mut release = Release::new(Arc::new(plan.clone()));
        release.advance(&seen, NOW.plus_ms(hours * 3_600_000)).events.iter().for_each(|event| release.apply(event));
        let decision = release.decision().expect("the gate was asked");
        assert_eq!(decision.is_allowed(), allowed, "after {hours} hours: {decision:?}");
        assert_eq!(release.asked().expect("it was asked")["rollbacks_24h"], if allowed { 1 } else { 2 });
    }
}

#[test]
fn the_old_instances_that_a_rolling_update_has_ended_stay_ended() {
    let instance = delivery().instance(Digest::of(b"old"));
    let old = instance.revision.clone();
    let mut environment = live_by(1, &instance, 3);
    let seen = |environment: &[EnvironmentEvent], instances: Vec<InstanceSeen>| Observed {
        environment: Arc::new(Environment::replay(environment)),
        rollout: rollout::Observed {
            target: Some(TargetSeen { generation: u64::MAX, instances }),
            route: Some(RouteSeen::default()),
            ..rollout::Observed::default()
        },
        ..Observed::default()
    };
    let instance = |index| InstanceSeen {
        revision: old.clone(),
        index,
        address: Some(format!("127.0.0.1:4100{index}")),
        phase: InstancePhase::Ready,
        restarts: 0,
        message: None,
        since: NOW,
    };
    let mut plan = plan(&[]);
    plan.number = 2;
    plan.delivery = Delivery { replicas: 5, strategy: Strategy::default_rolling_update(), ..delivery() };
    let mut release = decide(plan, NOW);
    let advance = release.advance(&seen(&environment, (0..3).map(instance).collect()), NOW);
    advance.events.iter().for_each(|event| release.apply(event));
    environment.extend(advance.environment);
    let rollout = release.rollout().expect("it was admitted");
    assert_eq!(rollout.plan().stable_replicas, Some(3), "the plan says how many there are to replace");
    let scale = rollout.status().scale.expect("a rolling update says how many instances are wanted");
    assert_eq!((scale.new, scale.old), (4, 3), "seven at most: five, and a quarter of five, rounded up");

    let generation = rollout.generation() + 1;
    let what = rollout::Happened::Scaled { generation, scale: rollout::Scale { new: 4, old: 2 } };
    release.apply(&Event::Rollout { event: rollout::Event { at: NOW, what } });
    let advance = release.advance(&seen(&environment, (0..2).map(instance).collect()), NOW);
    let wanted = advance.actions.iter().filter(|action| matches!(action, Action::Run { instance, .. } if instance.revision == old));
    assert_eq!(wanted.count(), 0, "two are wanted and two are there: {:?}", advance.actions);
}

#[test]
fn the_strategy_that_a_policy_asks_for_is_the_one_by_which_traffic_moves() {
    let environment = Environment::replay(&live_by(1, &delivery().instance(Digest::of(b"old")), 1));
    let moved_where = |asked: &str, at: Timestamp, own: Delivery| {
        let text = format!("package plimsoll.gate\n\nimport rego.v1\n\nallow := true\n\nstrategy := \"{asked}\"\n");
        let mut plan = plan(&[]);
        plan.number = 2;
        plan.delivery = own;
        let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
        workflows.gate.policies.push(PolicyFile { path: "policy/gate.rego".to_string(), text });
        let mut release = decide(plan, NOW);
        let seen = Observed { environment: Arc::new(environment.clone()), ..Observed::default() };
        release.advance(&seen, at).events.iter().for_each(|event| release.apply(event));
        release.rollout().map(|rollout| rollout.plan().strategy.clone())
    };
    let moved_at = |asked: &str, at| moved_where(asked, at, Delivery { strategy: Strategy::Immediate, ..delivery() });
    let moved = |asked: &str| moved_at(asked, NOW);
    assert_eq!(moved("canary"), Some(Strategy::default_canary()));
    assert_eq!(moved("rolling"), Some(Strategy::default_rolling_update()));
    assert_eq!(moved("immediate"), Some(Strategy::Immediate));
    assert_eq!(moved("blue"), None, "what there is not denies");
    let in_place = Strategy::RollingUpdate { max_surge: rollout::Amount::Count(0), max_unavailable: rollout::Amount::Count(1) };
    let one_port = Delivery { fixed_port: Some(5000), strategy: in_place.clone(), ..delivery() };
    assert_eq!(moved_where("canary", NOW, one_port.clone()), None, "two versions can't have one port");
    assert_eq!(moved_where("rolling", NOW, one_port), Some(in_place));
    // Denied nothing when it was decided; asked again in the moment of acting it says something else.
    let later = NOW.plus_ms(3_600_000);
    let by_time = format!("immediate\" if input.time < \"{later}\"\n\nstrategy := \"canary\" if input.time >= \"{later}");
    assert_eq!(moved_at(&by_time, later), Some(Strategy::default_canary()), "what the record says of this moment");
}

#[test]
fn nothing_moves_before_the_image_of_its_containers_is_there() {
    let container = rollout::Container {
        image: "shop:2".to_string(),
        id: "sha256:ab".to_string(),
        source: None,
        files: false,
        port: None,
        user: None,
        writable: false,
        memory_bytes: None,
        cpu_millis: None,
        processes_max: None,
    };
    let delivery = Delivery { container: Some(container.clone()), ..delivery() };
    let mut change = plan(&[]);
    change.delivery = delivery.clone();
    let change = decide(change, NOW);
    let mut back = plan(&[]);
    back.kind =
        Kind::Rollback { revision: Box::new(delivery.instance(Digest::of(b"before"))), reason: "asked for".to_string(), undoes: None };
    let back = Release::new(Arc::new(back));
    for release in [&change, &back] {
        let look = |prepared: Option<Prepared>| release.advance(&Observed { prepared, ..Observed::default() }, NOW);
        let why = "`podman` has not answered for 30 s".to_string();
        let held = look(Some(Prepared::NotYet { why: why.clone() }));
        assert_eq!((held.waiting, held.events, held.environment), (Some(Waiting::Image { why }), vec![], vec![]));
        assert_eq!(
            look(None).waiting.unwrap().sentence("local"),
            "nothing moves before its image is here: it is being looked for `shop:2`"
        );
        let goes = look(Some(Prepared::Here)).events;
        let admitted = goes.iter().find_map(|it| if let Event::Admitted { instance, .. } = it { Some(instance) } else { None });
        assert_eq!(admitted.unwrap().container, Some(container.clone()), "the way back runs the same bytes");
    }
}

#[test]
fn a_job_that_delivers_does_not_after_something_later_was_delivered() {
    let file = "on: push\njobs:\n  ship:\n    runs-on: x\n    environment: production\n    if: always()\n    steps: [{ run: ship }]\n";
    let mut plan = plan(&[file]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    for run in &mut workflows.runs {
        Arc::make_mut(run).deliver_by_workflow = true;
    }
    let environment = Environment::replay(&live_by(9, &delivery().instance(Digest::of(b"later")), 1));
    let mut release = Release::new(Arc::new(plan));
    let advance = release.advance(&Observed { environment: Arc::new(environment), ..packed() }, NOW);
    advance.events.iter().for_each(|event| release.apply(event));
    assert!(!advance.actions.iter().any(|action| matches!(action, Action::StartJob { .. })), "{:?}", advance.actions);
    assert_eq!(release.outcome(), Some(&Outcome::Superseded { by: 9 }));
}

#[test]
fn an_override_says_on_record_each_thing_that_it_goes_past() {
    let mut plan = plan(&[]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    let rule = Rule { name: "leads".to_string(), people: ["bo".to_string()].into(), count: 1, when: None };
    workflows.gate.approvals = Approvals { rules: vec![rule], ..Approvals::default() };
    let release = decide(plan, NOW);
    let by = gate::Override {
        by: "cy".to_string(),
        reason: "the shop is down".to_string(),
        ticket: None,
        until: NOW.plus_ms(3_600_000),
        confirmed_by: BTreeSet::new(),
    };
    let environment = Environment::replay(&[
        EnvironmentEvent::Frozen { by: "ana".to_string(), reason: "the sale".to_string(), until: None, at: NOW },
        EnvironmentEvent::Overridden { by, at: NOW },
    ]);
    let advance = release.advance(&Observed { environment: Arc::new(environment), ..Observed::default() }, NOW);
    let past: Vec<&str> =
        advance.events.iter().filter_map(|it| if let Event::Overridden { past, .. } = it { Some(past.as_str()) } else { None }).collect();
    assert_eq!(past.len(), 2, "{past:?}");
    assert!(past[0].contains("leads") && past[1].contains("the sale"), "{past:?}");
    assert!(advance.events.iter().any(|event| matches!(event, Event::Admitted { .. })), "and then it goes");
}

#[test]
fn who_is_asked_is_heard_while_another_release_has_the_environment() {
    let mut plan = plan(&[]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    let rule = Rule { name: "leads".to_string(), people: ["bo".to_string()].into(), count: 1, when: None };
    workflows.gate.approvals = Approvals { rules: vec![rule], ..Approvals::default() };
    let mut release = decide(plan, NOW);
    let seen = Observed { environment: taken(), ..Observed::default() };
    let waiting = release.advance(&seen, NOW).waiting.expect("it waits").sentence("local");
    assert!(waiting.starts_with("needs 1 approval of leads (bo)"), "{waiting}");

    let no = release
        .command(&Command::Reject { comment: "not today".to_string(), environment: None }, &Environment::default(), "bo", NOW)
        .expect("bo is asked");
    no.iter().for_each(|event| release.apply(event));
    release.advance(&seen, NOW).events.iter().for_each(|event| release.apply(event));
    let refused = Outcome::Refused { by: "bo".to_string(), comment: "not today".to_string() };
    assert_eq!(release.outcome(), Some(&refused), "nobody waits for the other release to hear it");
}

/// Known when the gate decided, unknown in the moment of acting, burnt when it is known again.
#[test]
fn a_budget_is_asked_for_again_in_the_moment_of_acting() {
    let objective = gate::slo::Objective {
        name: "availability".to_string(),
        target_percent: 99.0,
        window_ms: 30 * 24 * 3_600_000,
        part: gate::slo::Part::Bad("bad_total".to_string()),
        total: "all_total".to_string(),
    };
    let mut plan = plan(&[]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    workflows.gate.slos = gate::slo::Slos { objectives: vec![objective.clone()], ..gate::slo::Slos::default() };
    let bad = |bad: f64| {
        let counts = objective.questions().iter().map(|it| (it.window_ms, gate::slo::Counts { part: bad, total: 1_000.0 })).collect();
        let objectives = vec![gate::slo::Measured { objective: "availability".to_string(), counts: Ok(counts) }];
        Some(gate::Answers { objectives, ..gate::Answers::default() })
    };
    let mut release = Release::new(Arc::new(plan));
    let mut seen = packed();
    let unasked = look(&mut release, &seen, NOW);
    let asked = Some(Waiting::Circumstances { what: "what is left of the error budgets".to_string() });
    assert_eq!((unasked.waiting, release.decision()), (asked.clone(), None), "nothing is decided before it was asked");

    seen.answers = bad(0.0);
    look(&mut release, &seen, NOW);
    let decision = release.decision().expect("the gate was asked");
    assert!(decision.is_allowed() && decision.circumstances.slo[0].budget_left_percent == Some(100.0), "{decision:?}");
    let document = release.asked().expect("it was asked");
    assert_eq!(Digest::of(document.to_string().as_bytes()), decision.input_digest, "what it was shown can be put together again");

    seen.answers = None;
    let occupied = look(&mut release, &seen, NOW);
    assert!(matches!(occupied.waiting, Some(Waiting::Environment { .. })), "nobody is asked while another release has the environment");
    seen.environment = Arc::default();
    assert_eq!(look(&mut release, &seen, NOW).waiting, asked, "and then somebody is");
    // Clocks of servers differ: what another one decided may seem to have been decided just now.
    let mut twin = release.clone();
    seen.answers = bad(500.0);
    look(&mut twin, &seen, NOW);
    assert!(matches!(twin.outcome(), Some(Outcome::Denied { .. })), "{:?}", twin.outcome());

    let down = gate::slo::Measured { objective: "availability".to_string(), counts: Err("it is down".to_string()) };
    seen.answers = Some(gate::Answers { objectives: vec![down], ..gate::Answers::default() });
    let later = NOW.plus_ms(60_000);
    let held = look(&mut release, &seen, later);
    assert_eq!((held.events, held.actions), (vec![], vec![]), "what was known a minute ago is no yes now");
    assert_eq!(held.waiting, Some(Waiting::ObjectivesUnknown { why: "`availability`: it is down".to_string() }));
    assert!(held.wake.is_some_and(|wake| wake > later));

    seen.answers = bad(500.0);
    look(&mut release, &seen, later);
    assert!(matches!(release.outcome(), Some(Outcome::Denied { .. })), "{:?}", release.outcome());
}

/// None open when the gate decided, unknown in the moment of acting, one open when it is known again; a check that fails meanwhile.
#[test]
fn incidents_and_checks_are_asked_for_again_in_the_moment_of_acting() {
    use gate::check::{Check, Checked, How};
    use gate::incident::{Incident, Incidents, Source};
    let mut plan = plan(&[]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    let (source, unknown) = (Source::File("/incidents.json".to_string()), gate::slo::WhenUnknown::Hold);
    workflows.gate.incidents = Some(Incidents { source, token: None, unknown, priorities: vec!["P1".to_string()] });
    workflows.gate.checks = vec![Check { name: "capacity".to_string(), how: How::Run("true".to_string()), timeout_ms: 1_000 }];
    let answers = |incidents: Result<Vec<Incident>, String>, check: Checked| {
        Some(gate::Answers { incidents, checks: vec![check], ..gate::Answers::default() })
    };
    let incident = Incident { id: "INC-7".into(), title: "it is down".into(), priority: "P1".into(), url: None, opened: None };
    let mut release = Release::new(Arc::new(plan));
    let mut seen = packed();
    let what = "which incidents are open, how the check `capacity` ends".to_string();
    assert_eq!(look(&mut release, &seen, NOW).waiting, Some(Waiting::Circumstances { what }));

    seen.answers = answers(Ok(Vec::new()), Checked::passed("capacity"));
    look(&mut release, &seen, NOW);
    let decision = release.decision().expect("the gate was asked").clone();
    assert!(decision.is_allowed() && decision.circumstances.incidents == Some(Vec::new()), "{decision:?}");
    let again = release.decided_by(&release.plan().workflows().expect("a change").gate, None, None);
    assert_eq!(again, Some(decision.clone()), "the record alone gives the same answer");
    let known = gate::Circumstances { incidents: Some(vec![incident.clone()]), ..decision.circumstances };
    let now = release.decided_by(&release.plan().workflows().expect("a change").gate, None, Some(&known)).expect("it was decided");
    assert_eq!(now.violations()[0].id, "incidents/open");

    seen.environment = Arc::default();
    seen.answers = answers(Err("it is down".to_string()), Checked::passed("capacity"));
    let later = NOW.plus_ms(60_000);
    let held = look(&mut release, &seen, later);
    assert_eq!((held.events, held.actions), (vec![], vec![]), "what was known a minute ago is no yes now");
    assert_eq!(held.waiting, Some(Waiting::IncidentsUnknown { why: "it is down".to_string() }));

    let mut failing = release.clone();
    seen.answers = answers(Ok(Vec::new()), Checked::failed("capacity", "2 nodes of 3"));
    look(&mut failing, &seen, later);
    assert!(matches!(failing.outcome(), Some(Outcome::Denied { .. })), "{:?}", failing.outcome());
    seen.answers = answers(Ok(vec![incident]), Checked::passed("capacity"));
    look(&mut release, &seen, later);
    assert!(matches!(release.outcome(), Some(Outcome::Denied { .. })), "{:?}", release.outcome());
}

/// A release could not bring the traffic back, and has ended.
#[test]
fn what_still_has_traffic_is_not_stopped() {
    let old = delivery().instance(Digest::of(b"old"));
    let new = RevisionId("new".to_string());
    let live = Live { release: ReleaseId::new(NOW, 3), number: 1, instance: old.clone(), delivery: delivery(), since: NOW };
    let (release, generation) = (ReleaseId::new(NOW, 3), 1);
    let events = [
        EnvironmentEvent::Admitted { release, generation, at: NOW },
        EnvironmentEvent::Released { release, live: Some(Box::new(live)), quarantined: None, had_traffic: true, generation, at: NOW },
    ];
    let mut environment = Environment::replay(&events);
    let instance = |revision: &RevisionId, port: u16| InstanceSeen {
        revision: revision.clone(),
        index: 0,
        address: Some(format!("127.0.0.1:{port}")),
        phase: InstancePhase::Ready,
        restarts: 0,
        message: None,
        since: NOW,
    };
    let target = Some(TargetSeen { generation, instances: vec![instance(&old.revision, 1), instance(&new, 2)] });
    let mut route =
        RouteSeen { generation, weights: BTreeMap::from([(old.revision.clone(), 5_000), (new, 5_000)]), ..RouteSeen::default() };
    let stops = |actions: &[EnvironmentAction]| actions.iter().any(|action| matches!(action, EnvironmentAction::Stop { .. }));

    let advance = environment.advance(&EnvironmentSeen { target: target.clone(), route: Some(route.clone()) }, NOW);
    assert!(!stops(&advance.actions), "{:?}", advance.actions);
    advance.events.iter().for_each(|event| environment.apply(event));
    let unknown = environment.advance(&EnvironmentSeen { target: target.clone(), route: None }, NOW);
    assert!(!stops(&unknown.actions), "{:?}", unknown.actions);

    (route.generation, route.weights) = (environment.generation(), BTreeMap::from([(old.revision, 10_000)]));
    let advance = environment.advance(&EnvironmentSeen { target, route: Some(route) }, NOW);
    assert!(stops(&advance.actions), "once the live one has it all: {:?}", advance.actions);
}

/// What a reader of the record knows is all that goes into it: read back, it makes the same statement.
#[test]
fn provenance_comes_from_the_record_alone() {
    let contained = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    container: debian\n    steps:\n      - run: make\n";
    let plan = plan(&[
        contained,
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: a\n  b:\n    runs-on: ubuntu-latest\n    steps:\n      - run: b\n",
    ]);
    let artifact = Digest::of(b"artifact");
    let events = vec![Event::Packaged { artifact, bytes: 8, files: 1, at: NOW.plus_ms(5000) }];
    let statement = provenance::statement(&plan, &events, "1.2.3").expect("it built something");
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).expect("JSON")).expect("a plan");
    let heard: Vec<Event> = serde_json::from_str(&serde_json::to_string(&events).expect("JSON")).expect("events");
    assert_eq!(provenance::statement(&read, &heard, "1.2.3").expect("it built something"), statement);
    assert!(statement.is_about(&artifact) && !statement.is_about(&Digest::of(b"another")));
    let definition = &statement.predicate["buildDefinition"];
    assert_eq!(definition["externalParameters"]["workflows"], serde_json::json!([".github/workflows/1.yml", ".github/workflows/2.yml"]));
    let jobs = &definition["internalParameters"]["jobs"];
    assert_eq!(
        (&jobs[".github/workflows/1.yml/build"], jobs.as_object().map_or(0, serde_json::Map::len)),
        (&"container".into(), 3),
        "{jobs}"
    );
    let details = &statement.predicate["runDetails"];
    assert_eq!(details["builder"]["version"]["plimsoll"], "1.2.3");
    assert_eq!(details["metadata"]["finishedOn"], serde_json::json!(NOW.plus_ms(5000)));
}

#[test]
fn what_built_nothing_has_no_provenance() {
    let mut plan = plan(&[]);
    let why = |plan: &Plan, events: &[Event]| provenance::statement(plan, events, "1").expect_err("it built nothing").0;
    assert_eq!(why(&plan, &[]), "release-1 does not have an artifact yet");
    let ended = Event::Finished { outcome: Outcome::RunFailed { reason: "`test` failed".to_string() }, at: NOW };
    assert_eq!(why(&plan, &[ended]), "release-1 has ended without an artifact");
    plan.kind =
        Kind::Rollback { revision: Box::new(plan.delivery.instance(Digest::of(b"artifact"))), reason: "back".to_string(), undoes: None };
    assert!(why(&plan, &[]).starts_with("release-1 built nothing: it went back to revision "));
}

/// What an earlier, or a later, release left live.
fn live_by(number: u64, instance: &InstancePlan, replicas: u32) -> Vec<EnvironmentEvent> {
    let (release, generation) = (other(), 1);
    let delivery = Delivery { replicas, ..delivery() };
    let live = Box::new(Live { release, number, instance: instance.clone(), delivery, since: NOW });
    vec![
        EnvironmentEvent::Admitted { release, generation, at: NOW },
        EnvironmentEvent::Released { release, live: Some(live), quarantined: None, had_traffic: true, generation, at: NOW },
    ]
}

fn other() -> ReleaseId {
    ReleaseId::new(NOW, 3)
}

fn taken() -> Arc<Environment> {
    Arc::new(Environment::replay(&[EnvironmentEvent::Admitted { release: other(), generation: 1, at: NOW }]))
}

/// As far as the gate's answer while another release has the environment, with jobs that succeed as soon as they are asked for.
fn decided(workflows: &[&str]) -> Release {
    decide(plan(workflows), NOW)
}

/// Something ships, nothing was left to prove it, and another release has the environment.
fn packed() -> Observed {
    Observed {
        packaged: Some(Packaged::Artifact { digest: Digest::of(b"dist"), bytes: 1, files: 1 }),
        evidence: Some(Evidence::default()),
        environment: taken(),
        ..Observed::default()
    }
}

fn moving_on(artifact: Digest, ended: &str) -> Release {
    let mut plan = plan(&[]);
    let Kind::Change(workflows) = &mut plan.kind else { panic!("it is a change") };
    let runs = vec![gate::RunResult { workflow: "ci.yml".to_string(), conclusion: ended.to_string() }];
    let (release, environment) = (ReleaseId::new(NOW, 9), "staging".to_string());
    workflows.proved = Some(Box::new(Proved { release, number: 1, environment, artifact, bytes: 1, files: 1, runs }));
    Release::new(Arc::new(plan))
}

/// Whatever a machine that lost its mind says is there.
#[test]
fn only_what_was_proved_moves_on() {
    let release = moving_on(Digest::of(b"something else"), "success");
    let Advance { events, .. } = release.advance(&packed(), NOW);
    let why = Outcome::RunFailed { reason: "what would ship is not what was proved".to_string() };
    assert!(matches!(events.last(), Some(Event::Finished { outcome, .. }) if *outcome == why), "{events:?}");
}

/// People may agree long after it was asked for.
#[test]
fn what_was_left_where_it_was_tried_does_not_move_on() {
    let mut seen = packed();
    seen.source = Some(Arc::new(Environment::default()));
    let Advance { events, .. } = moving_on(Digest::of(b"dist"), "success").advance(&seen, NOW);
    let left =
        |event: &Event| matches!(event, Event::Decided { decision } if decision.violations().iter().any(|it| it.id == "promotion/left"));
    assert!(events.iter().any(left) && matches!(events.last(), Some(Event::Finished { .. })), "{events:?}");
}

#[test]
fn a_way_back_that_nobody_asked_for_takes_traffic_from_what_it_is_for_alone() {
    let mut plan = plan(&[]);
    let revision = Box::new(plan.delivery.instance(Digest::of(b"before")));
    plan.kind = Kind::Rollback { revision, reason: "too many errors".to_string(), undoes: Some(ReleaseId::new(NOW, 77)) };
    let Advance { events, .. } = Release::new(Arc::new(plan)).advance(&packed(), NOW);
    let outcome = |event: &Event| match event {
        Event::Finished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    };
    assert!(matches!(events.iter().find_map(outcome), Some(Outcome::Superseded { .. } | Outcome::Cancelled { .. })), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Admitted { .. })), "{events:?}");
}

#[test]
fn what_ran_before_counts_where_it_moves_on_to() {
    let Advance { events, .. } = moving_on(Digest::of(b"dist"), "failure").advance(&packed(), NOW);
    let denied =
        |event: &Event| matches!(event, Event::Decided { decision } if decision.violations().iter().any(|it| it.id == "runs/failed"));
    assert!(events.iter().any(denied), "{events:?}");
}

fn decide(plan: Plan, now: Timestamp) -> Release {
    let mut release = Release::new(Arc::new(plan));
    let mut seen = packed();
    while release.decision().is_none() {
        let Advance { events, .. } = release.advance(&seen, now);
        assert!(!events.is_empty(), "it stands still in {:?}", release.phase());
        for event in &events {
            if let Event::Run { event: workflow::run::Event::JobStarted { id, .. }, .. } = event {
                seen.runs.jobs.insert(id.clone(), finished());
            }
            release.apply(event);
        }
    }
    release
}

fn finished() -> JobSeen {
    let outcome = JobOutcome {
        conclusion: Conclusion::Success,
        outputs: BTreeMap::new(),
        reason: None,
        started: NOW,
        finished: NOW,
        annotations: Vec::new(),
    };
    JobSeen::Finished { outcome, steps: Vec::new() }
}

fn plan(workflows: &[&str]) -> Plan {
    let runs = workflows.iter().enumerate().map(|(index, text)| Arc::new(run(index as u64 + 1, text))).collect();
    let commit = Commit {
        sha: "0".repeat(40),
        git_ref: "refs/heads/main".to_string(),
        subject: "change".to_string(),
        author: "ana".to_string(),
        dirty: false,
    };
    let source = CodeSource { repository: "/srv/shop".to_string(), sha: "0".repeat(40), subtree: String::new(), snapshot: None };
    let gate = GatePlan::default();
    let workflows = Workflows { commit, source, runs, ships: Ships::Source, brings: None, gate, hosted: false, proved: None };
    let project =
        Project { id: ProjectId::new(NOW, 1), name: "shop".to_string(), repository: "/srv/shop".to_string(), subtree: String::new() };
    Plan {
        id: ReleaseId::new(NOW, 2),
        number: 1,
        project,
        environment: "production".to_string(),
        kind: Kind::Change(Box::new(workflows)),
        delivery: delivery(),
        actor: "ana".to_string(),
        created: NOW,
    }
}

fn run(number: u64, text: &str) -> workflow::plan::Plan {
    let (workflow, problems) = workflow::github::parse(&Source::new(format!(".github/workflows/{number}.yml"), text));
    let request = Request {
        run: RunId::new(NOW, u128::from(number)),
        number,
        workflow: workflow.unwrap_or_else(|| panic!("the workflow is right: {problems:?}")),
        event: workflow::trigger::Event {
            name: "push".to_string(),
            payload: serde_json::json!({}),
            git_ref: "refs/heads/main".to_string(),
            sha: "0".repeat(40),
            changed_paths: None,
        },
        repository: Repository { name: "ana/shop".to_string(), server_url: "https://github.com".to_string() },
        actor: "ana".to_string(),
        inputs: serde_json::Map::new(),
        vars: BTreeMap::new(),
        only_job: None,
        max_parallel: 2,
        deliver_by_workflow: false,
        environments: Default::default(),
    };
    workflow::plan::Plan::new(request).expect("the workflow can be planned").0
}

fn delivery() -> Delivery {
    let probe = || Probe { path: None, delay_ms: 0, period_ms: 500, timeout_ms: 500, failures_max: 3 };
    Delivery {
        port: 8080,
        command: "./serve".to_string(),
        env: BTreeMap::new(),
        fixed_port: None,
        replicas: 1,
        probes: Probes { startup: probe(), readiness: probe(), liveness: probe() },
        grace_ms: 1_000,
        log_max_bytes: 1_000,
        container: None,
        strategy: Strategy::Immediate,
        limits: Limits::default(),
        judge: JudgePlan::default(),
        smoke: Vec::new(),
        synthetic: None,
        watch: None,
    }
}
