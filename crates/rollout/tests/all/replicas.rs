//! The arithmetic of instances, held against Argo Rollouts' own: `testdata/foreign/replicas.tsv` has what its functions were asked and what
//! they said, over every rounding that the reference describes and many that it doesn't.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollout::Amount;
use rollout::replicas::{
    Basic, Counts, Instances, Routed, Scale, Step, Threshold, Weights, approximate, blue_green_unavailable, is_enough, scale_at,
    surge_and_unavailable, weight_at, weight_on_abort,
};

#[test]
fn every_number_is_theirs() {
    let mut count = 0;
    for line in include_str!("../../testdata/foreign/replicas.tsv").lines() {
        let (asked, expected) = line.split_once('\t').expect("a question and its answer");
        let words: Vec<&str> = asked.split(' ').collect();
        let said = match words[0] {
            "approximate" => pair(approximate(int(words[1]), int(words[2]), int(words[3]), int(words[4]))),
            "limits" => limits(&words),
            "basic" => basic(&words),
            "routed" => routed(&words),
            "enough" => is_enough(threshold(words[1]), instances(words[2]), int(words[3])).to_string(),
            other => panic!("`{other}` is no question"),
        };
        assert_eq!(said, expected, "{asked}");
        count += 1;
    }
    assert!(count > 1_200, "{count} cases agree");
}

fn pair(counts: Counts) -> String {
    format!("{} {}", counts.canary, counts.stable)
}

fn int(word: &str) -> i64 {
    word.parse().unwrap_or_else(|_| panic!("`{word}` is a number"))
}

fn instances(word: &str) -> Option<Instances> {
    let (wanted, available) = word.split_once('/')?;
    Some(Instances { wanted: int(wanted), available: int(available) })
}

/// A text without `%` is a percentage, too; the file has `25` for the one text of it.
fn amount(word: &str) -> Amount {
    match word.strip_suffix('%') {
        Some(percent) => Amount::Percent(percent.parse().expect("it is a number")),
        None if word == "25" => Amount::Percent(25),
        None => Amount::Count(word.parse().expect("it is a number")),
    }
}

fn limits(words: &[&str]) -> String {
    let (replicas, surge, unavailable) = (words[1].parse().expect("a number"), amount(words[2]), amount(words[3]));
    let (surge, canary) = surge_and_unavailable(surge, unavailable, replicas);
    format!("{surge} {canary} {}", blue_green_unavailable(unavailable, replicas))
}

fn basic(words: &[&str]) -> String {
    let basic = Basic {
        replicas: int(words[1]),
        weight: int(words[2]),
        max_weight: int(words[3]),
        max_surge: int(words[4]),
        max_unavailable: int(words[5]),
    };
    let older: Vec<Instances> = instances(words[8]).into_iter().collect();
    pair(basic.counts(instances(words[6]), instances(words[7]), &older))
}

fn steps(word: &str) -> Vec<Step> {
    let step = |step: &str| match step.split_at(1) {
        ("w", weight) => Step::SetWeight(int(weight)),
        ("r", replicas) => Step::SetCanaryScale(Scale::Replicas(int(replicas))),
        ("s", weight) => Step::SetCanaryScale(Scale::Weight(int(weight))),
        ("m", _) => Step::SetCanaryScale(Scale::MatchTrafficWeight),
        _ => Step::Other,
    };
    word.split(',').map(step).collect()
}

/// `delay` is `abortScaleDownDelaySeconds`: 0 keeps the canary, and its scale, after an abort.
fn routed(words: &[&str]) -> String {
    let of = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).expect("it is there");
    let (replicas, max_weight, steps, index) = (int(words[1]), int(words[2]), steps(words[3]), int(words[4]) as usize);
    let (dynamic, aborted, delay) = (of("dynamic") == "true", of("abort") == "true", of("delay"));
    let (canary, stable) = (instances(words[9]).expect("the canary"), instances(words[10]).expect("the stable"));
    let weight = if aborted && dynamic {
        weight_on_abort(&steps, replicas, max_weight, canary, stable, delay != "-" && delay != "0")
    } else {
        weight_at(&steps, index, max_weight, aborted)
    };
    let routed = Routed {
        replicas,
        weight,
        max_weight,
        scale: scale_at(&steps, index).filter(|_| !aborted || delay == "0"),
        dynamic_stable_scale: dynamic,
        is_aborted: aborted,
        min_pods: of("min").parse().ok(),
    };
    let seen = instances(of("seen")).map(|seen| Weights { canary: seen.wanted, stable: seen.available });
    format!("{} {weight}", pair(routed.counts(seen)))
}

fn threshold(word: &str) -> Option<Threshold> {
    match word.strip_suffix('%') {
        Some(percent) => Some(Threshold::Percentage(int(percent))),
        None => (word != "-").then(|| Threshold::Pods(int(word))),
    }
}

#[test]
fn the_examples_of_the_reference() {
    let table = [
        ((10, 1, 0), (1, 9)),
        ((10, 1, 1), (1, 10)),
        ((1, 50, 0), (1, 0)),
        ((7, 50, 1), (4, 4)),
        ((10, 10, 1), (1, 9)),
        ((3, 50, 0), (2, 1)),
        ((0, 50, 1), (0, 0)),
        ((5, 0, 1), (0, 5)),
        ((5, 100, 1), (5, 0)),
        ((25, 98, 0), (0, 25)),
    ];
    for ((replicas, weight, surge), (canary, stable)) in table {
        assert_eq!(approximate(replicas, weight, 100, surge), Counts { canary, stable }, "{weight} % of {replicas} with {surge}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

    /// Never more than one instance beside `replicas`, and none without a surge; a weight between none and all means one of each.
    #[test]
    fn approximation_stays_within_bounds(replicas in 0..200_i64, weight in 0..=100_i64, surge in 0..5_i64) {
        let Counts { canary, stable } = approximate(replicas, weight, 100, surge);
        prop_assert!(canary >= 0 && stable >= 0);
        prop_assert!(canary + stable == replicas || (surge > 0 && canary + stable == replicas + 1));
        // Half an instance less than all, and no surge: theirs finds nothing to choose from, and the canary has none. So has ours.
        let has_no_choice = surge == 0 && 2 * replicas * (100 - weight) == 100;
        if (1..100).contains(&weight) && replicas > 1 && !has_no_choice {
            prop_assert!(canary >= 1 && stable >= 1, "{} and {}", canary, stable);
        }
        let off = |canary: i64, total: i64| ((canary * 100) as f64 / total as f64 - weight as f64).abs();
        if replicas > 1 && (1..100).contains(&weight) && !has_no_choice {
            let best = (1..replicas).map(|canary| off(canary, replicas)).fold(f64::INFINITY, f64::min);
            prop_assert!(off(canary, canary + stable) <= best + 1e-9);
        }
    }

    /// Whatever the order in which instances become ready, a canary gets to its weight, and on the way there are never more instances
    /// than allowed, nor fewer ready by its own doing.
    #[test]
    fn a_canary_arrives_within_its_limits(
        replicas in 1..40_i64, weight in 0..=100_i64, surge in 0..6_i64, unavailable in 0..6_i64, late in proptest::collection::vec(0..4_i64, 200),
    ) {
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable }.min(replicas);
        let basic = Basic { replicas, weight, max_weight: 100, max_surge: surge, max_unavailable: unavailable };
        let (mut canary, mut stable) = (Instances::default(), Instances { wanted: replicas, available: replicas });
        let desired = approximate(replicas, weight, 100, surge);
        for late in late {
            let counts = basic.counts(Some(canary), Some(stable), &[]);
            prop_assert!(counts.canary + counts.stable <= replicas + surge, "{counts:?}");
            let ready = canary.available.min(counts.canary) + stable.available.min(counts.stable);
            prop_assert!(ready >= (replicas - unavailable).min(canary.available + stable.available), "{counts:?} of {canary:?} {stable:?}");
            let follow = |now: Instances, wanted: i64| Instances { wanted, available: wanted.min(now.available + late) };
            (canary, stable) = (follow(canary, counts.canary), follow(stable, counts.stable));
            if late == 0 {
                continue;
            }
        }
        for _ in 0..200 {
            let counts = basic.counts(Some(canary), Some(stable), &[]);
            canary = Instances { wanted: counts.canary, available: counts.canary };
            stable = Instances { wanted: counts.stable, available: counts.stable };
        }
        prop_assert_eq!(Counts { canary: canary.wanted, stable: stable.wanted }, desired);
    }

    /// With a router the instances bear the traffic there is and the traffic there will be.
    #[test]
    fn instances_bear_their_traffic(replicas in 0..100_i64, weight in 0..=100_i64, seen in 0..=100_i64, dynamic: bool) {
        let routed = Routed { replicas, weight, max_weight: 100, scale: None, dynamic_stable_scale: dynamic, is_aborted: false, min_pods: None };
        let counts = routed.counts(Some(Weights { canary: seen, stable: 100 - seen }));
        prop_assert!(counts.canary * 100 >= replicas * weight);
        prop_assert!(counts.stable * 100 >= replicas * (100 - weight).max(100 - seen));
        prop_assert!(counts.stable <= replicas && counts.canary <= replicas);
    }
}
