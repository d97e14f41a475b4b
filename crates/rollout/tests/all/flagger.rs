//! Flagger's analysis: each `testdata/foreign/*.flagger` is played and its transcript compared; `UPDATE_EXPECT=1` writes it.
//!
//! ```text
//! step_weight 20
//! max_weight 50
//! look new
//! look 3
//! look bad
//! ----
//! 1  progressing, canary 0 %
//! ```
//!
//! A look finds nothing wrong but what its line says: `new`, `bad`, `canary_not_yet`, `canary_never`, `primary_not_yet`, `primary_never`,
//! `pre_bad`, `closed_rollout`, `closed_increase`, `closed_promotion`, `rollback`; a number makes so many looks.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollout::flagger::{Event, Phase, Plan, Readiness, Seen, State, TOTAL, Way, interval_ms};

use crate::transcripts;

#[test]
fn canaries_go_as_they_did() {
    assert!(transcripts::check("flagger", play) >= 20, "the cases of the reference are there");
}

fn plan() -> Plan {
    Plan {
        way: Way::Weights { step_weight: 0, step_weights: Vec::new(), max_weight: 0 },
        interval_ms: 60_000,
        threshold: 0,
        mirror: false,
        step_weight_promotion: 0,
        skip_analysis: false,
        splits_traffic: true,
    }
}

fn play(script: &str) -> String {
    let mut plan = plan();
    let mut looks = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = || words[1].parse::<u32>().unwrap_or_else(|_| panic!("`{line}`"));
        match (words[0], &mut plan.way) {
            ("look", _) => match words[1..] {
                [count] if count.parse::<usize>().is_ok() => looks.extend(vec![Seen::GOOD; number() as usize]),
                _ => looks.push(words[1..].iter().fold(Seen::GOOD, |seen, word| found(seen, word))),
            },
            ("step_weight", Way::Weights { step_weight, .. }) => *step_weight = number(),
            ("max_weight", Way::Weights { max_weight, .. }) => *max_weight = number(),
            ("step_weights", Way::Weights { step_weights, .. }) => {
                *step_weights = words[1..].iter().map(|word| word.parse().expect("a weight")).collect();
            }
            ("iterations", _) => plan.way = Way::BlueGreen { iterations: number() },
            ("by_header", _) => plan.way = Way::ByHeader { iterations: number() },
            ("threshold", _) => plan.threshold = number(),
            ("step_weight_promotion", _) => plan.step_weight_promotion = number(),
            ("mirror", _) => plan.mirror = true,
            ("skip_analysis", _) => plan.skip_analysis = true,
            ("kubernetes", _) => plan.splits_traffic = false,
            _ => panic!("`{line}` isn't known"),
        }
    }
    let mut events: Vec<Event> = Vec::new();
    let mut said = String::new();
    for (index, seen) in looks.iter().enumerate() {
        let state = State::replay(plan.clone(), &events);
        let happened = state.advance(seen);
        events.extend(&happened);
        let after = State::replay(plan.clone(), &events);
        let line = if happened.is_empty() { "nothing".to_string() } else { tell(&after) };
        let _ = writeln!(said, "{:<3} {line}", index + 1);
    }
    said
}

fn tell(state: &State) -> String {
    let mut line = format!("{}, canary {} %", state.phase(), state.weight());
    if state.is_mirrored() {
        line += ", mirrored";
    }
    if state.iterations() != 0 {
        line += &format!(", iteration {}", state.iterations());
    }
    if state.failed_checks() > 0 {
        line += &format!(", {} failed", state.failed_checks());
    }
    line
}

fn found(seen: Seen, word: &str) -> Seen {
    match word {
        "good" => seen,
        "new" => Seen { is_new: true, ..seen },
        "bad" => Seen { checks_pass: false, ..seen },
        "pre_bad" => Seen { pre_rollout_passes: false, ..seen },
        "canary_not_yet" => Seen { canary: Readiness::NotYet, ..seen },
        "canary_never" => Seen { canary: Readiness::Never, ..seen },
        "primary_not_yet" => Seen { primary: Readiness::NotYet, ..seen },
        "primary_never" => Seen { primary: Readiness::Never, ..seen },
        "closed_rollout" => Seen { rollout_is_confirmed: false, ..seen },
        "closed_increase" => Seen { increase_is_confirmed: false, ..seen },
        "closed_promotion" => Seen { promotion_is_confirmed: false, ..seen },
        "rollback" => Seen { rollback_is_asked: true, ..seen },
        other => panic!("`{other}` is nothing that a look finds"),
    }
}

#[test]
fn weights_are_what_they_add_up_to() {
    let weights = |step_weight, step_weights: &[u32], max_weight| {
        let way = Way::Weights { step_weight, step_weights: step_weights.to_vec(), max_weight };
        Plan { way, ..plan() }.weights()
    };
    assert_eq!(weights(10, &[], 50), [10, 20, 30, 40, 50]);
    assert_eq!(weights(20, &[], 50), [20, 40, 60], "the last step goes beyond `maxWeight`");
    assert_eq!(weights(30, &[], 0), [30, 60, 90, 100], "without `maxWeight` it is all traffic");
    assert_eq!(weights(0, &[1, 2, 10, 80], 0), [1, 2, 10, 80]);
    assert_eq!(weights(0, &[1, 2, 10, 80], 5), [1, 2, 10, 80], "the last of the list is the most, whatever `maxWeight` says");
    assert_eq!(weights(25, &[1, 2, 10, 80], 0), [25, 50, 75, 100], "with both it is `stepWeight` that is added, up to the last");
    assert_eq!(weights(0, &[50, 20], 0), [50], "it stands where the list falls");
    assert_eq!(weights(0, &[10, 10, 20], 0), [10], "and where it doesn't rise");
    assert_eq!(weights(0, &[], 50), [0; 0]);
    assert_eq!(weights(0, &[20, 60, 130], 0), [20, 60, 100]);
}

#[test]
fn a_look_is_made_every_ten_seconds_at_most() {
    assert_eq!([interval_ms(None), interval_ms(Some(1_000)), interval_ms(Some(90_000))], [60_000, 10_000, 90_000]);
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let ready = || prop_oneof![8 => Just(Readiness::Ready), 1 => Just(Readiness::NotYet), 1 => Just(Readiness::Never)];
    let mostly = || prop_oneof![4 => Just(true), 1 => Just(false)];
    let gates = (mostly(), mostly(), mostly(), prop_oneof![19 => Just(false), 1 => Just(true)]);
    (prop_oneof![6 => Just(false), 1 => Just(true)], ready(), ready(), mostly(), mostly(), gates).prop_map(
        |(is_new, canary, primary, checks_pass, pre_rollout_passes, (rollout, increase, promotion, rollback_is_asked))| Seen {
            is_new,
            canary,
            primary,
            checks_pass,
            pre_rollout_passes,
            rollout_is_confirmed: rollout,
            increase_is_confirmed: increase,
            promotion_is_confirmed: promotion,
            rollback_is_asked,
        },
    )
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let way = prop_oneof![
        (1..=100_u32, 0..=100_u32).prop_map(|(step_weight, max_weight)| Way::Weights { step_weight, step_weights: Vec::new(), max_weight }),
        proptest::collection::btree_set(1..=100_u32, 1..5).prop_map(|weights| Way::Weights {
            step_weight: 0,
            step_weights: weights.into_iter().collect(),
            max_weight: 0
        }),
        (1..5_u32).prop_map(|iterations| Way::BlueGreen { iterations }),
        (1..5_u32).prop_map(|iterations| Way::ByHeader { iterations }),
    ];
    (way, 0..4_u32, any::<bool>(), 0..60_u32).prop_map(|(way, threshold, mirror, step_weight_promotion)| Plan {
        way,
        threshold,
        mirror,
        step_weight_promotion,
        ..plan()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

    /// Users are never left with a version that was taken back, failed checks never exceed what takes it back, and weights stay weights.
    #[test]
    fn promises_hold_over_all_looks(plan in any_plan(), looks in proptest::collection::vec(any_seen(), 1..80)) {
        let mut state = State::replay(plan.clone(), &[]);
        for seen in looks {
            let before = state.clone();
            let happened = before.advance(&seen);
            happened.iter().for_each(|event| state.apply(event));
            prop_assert!(state.weight() <= TOTAL);
            prop_assert!(state.failed_checks() <= plan.failures_max());
            let fell = state.weight() < before.weight() && matches!(state.phase(), Phase::Progressing) && !seen.is_new;
            prop_assert!(!fell, "{before:?} → {state:?}");
            if state.phase() == Phase::Failed && happened.contains(&Event::RolledBack) {
                prop_assert_eq!(state.weight(), 0);
            }
            if state.phase() == Phase::Promoting && before.phase() != Phase::Promoting {
                prop_assert!(seen.checks_pass || before.iterations() == 0 && before.weight() == 0);
                prop_assert!(seen.promotion_is_confirmed);
            }
        }
    }

    /// When nothing is wrong any more it ends, whatever came before.
    #[test]
    fn what_is_good_succeeds(plan in any_plan(), looks in proptest::collection::vec(any_seen(), 0..30)) {
        let mut state = State::replay(plan, &[]);
        let calm = std::iter::once(Seen { is_new: true, ..Seen::GOOD }).chain(std::iter::repeat_n(Seen::GOOD, 260));
        for seen in looks.into_iter().chain(calm) {
            let happened = state.advance(&seen);
            happened.iter().for_each(|event| state.apply(event));
        }
        prop_assert!(matches!(state.phase(), Phase::Succeeded | Phase::Failed), "{state:?}");
    }
}
