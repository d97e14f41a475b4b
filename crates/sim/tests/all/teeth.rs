//! What protects the promises is taken away, one thing at a time; that has to be noticed.

use sim::{Break, Settings, run};

/// The first seed that shows it, and what it breaks.
fn found_by(broken: Break, seeds_max: u64) -> (u64, String) {
    let settings = Settings { broken: Some(broken), verbose: false };
    let found = (0..seeds_max).find_map(|seed| run(seed, settings).found.map(|found| (seed, found.oracle)));
    found.unwrap_or_else(|| panic!("{} went unnoticed for {seeds_max} seeds", broken.name()))
}

#[test]
fn two_writers_without_a_version_check_are_noticed() {
    found_by(Break::NoVersionCheck, 100);
}

#[test]
fn late_hands_without_generations_are_noticed() {
    found_by(Break::NoGenerations, 600);
}

#[test]
fn unknown_counted_as_good_is_noticed() {
    found_by(Break::UnknownIsGood, 100);
}

#[test]
fn acting_before_recording_is_noticed() {
    assert_eq!(found_by(Break::ActBeforeRecord, 10).1, "I3 record before act");
}

#[test]
fn a_freeze_that_is_not_heard_is_noticed() {
    assert_eq!(found_by(Break::FreezeUnheard, 1_000).1, "I8 nothing forward in a freeze");
}
