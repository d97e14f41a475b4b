//! What was recorded once still replays: one example of each version of the events stays in `testdata/`.

use base::Digest;
use rollout::{Amount, Event, JudgePlan, Limits, Outcome, Phase, Plan, Reason, Revision, RevisionId, Rollout, Strategy, VERSION};

#[test]
fn version_1_replays_to_the_same_verdict() {
    assert_eq!(VERSION, 1, "a new version leaves the old example here and adds its own");
    let text = include_str!("../../testdata/events-v1.json");
    let events: Vec<Event> = serde_json::from_str(text).expect("version 1 is read for ever");
    let rollout = Rollout::replay(plan(), &events);
    assert_eq!(rollout.phase(), Phase::Finished);
    let Some(Outcome::RolledBack { reason: Reason::Worse { evidence, .. } }) = rollout.outcome() else {
        panic!("the example was rolled back: {:?}", rollout.outcome());
    };
    let recomputed = rollout.status().evidence.into_iter().find(|it| it.question == evidence.question).expect("it was asked");
    assert_eq!(recomputed.sentence(), evidence.sentence(), "the verdict can be computed again from the integers recorded");
    assert_eq!(
        evidence.sentence(),
        "Errors: canary 4/32 vs stable 1/300 → 38x (99 % CI 1.0–∞); evidence 213 : 1 against \"no worse\" (stops at 200 : 1)"
    );
}

#[test]
fn a_plan_says_the_amounts_of_a_rolling_update_and_plans_from_before_it_are_read() {
    let way = Strategy::RollingUpdate { max_surge: Amount::Percent(25), max_unavailable: Amount::Count(1) };
    let rolling = Plan { strategy: way, stable_replicas: Some(5), ..plan() };
    let written = serde_json::to_value(&rolling).expect("a plan is written");
    let said = serde_json::json!({"rolling_update": {"max_surge": {"percent": 25}, "max_unavailable": {"count": 1}}});
    assert_eq!((&written["strategy"], &written["stable_replicas"]), (&said, &5.into()));
    assert_eq!(serde_json::from_value::<Plan>(written).expect("and read"), rolling);
    let before = serde_json::to_value(plan()).expect("a plan is written");
    assert!(before.get("stable_replicas").is_none(), "what others don't need is not in their plans: {before}");
    assert_eq!(serde_json::from_value::<Plan>(before).expect("and read"), plan());
}

fn plan() -> Plan {
    let revision = |name: &str| Revision { id: RevisionId(name.to_string()), artifact: Digest::of(name.as_bytes()) };
    Plan {
        revision: revision("new"),
        stable: Some(revision("old")),
        strategy: Strategy::default_canary(),
        replicas: 1,
        stable_replicas: None,
        generation_base: 0,
        limits: Limits::default(),
        judge: JudgePlan::default(),
        smoke: Vec::new(),
        synthetic: None,
    }
}
