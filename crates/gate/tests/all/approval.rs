//! Approvals: cases people would argue about, and 100,000 random histories against the promises.

use std::collections::{BTreeMap, BTreeSet};

use base::{Digest, People, Timestamp};
use gate::approval::{About, Approvals, Rule, Standing, Void, Vote, When};

const NOW: Timestamp = Timestamp::from_ms(1_795_600_000_000);

fn about() -> About {
    About { artifact: Digest::of(b"artifact"), plan: Digest::of(b"plan") }
}

fn rule(name: &str, people: &[&str], count: u32) -> Rule {
    Rule { name: name.into(), people: people.iter().map(|it| (*it).to_string()).collect(), count, when: None }
}

fn asked(rules: &[Rule]) -> Approvals {
    Approvals { rules: rules.to_vec(), ..Approvals::default() }
}

fn vote(by: &str, at: u64) -> Vote {
    Vote { by: by.into(), agrees: true, about: about(), comment: String::new(), at: NOW.plus_ms(at) }
}

fn says(approvals: &Approvals, votes: &[Vote]) -> String {
    approvals.standing(votes, &["ana", "Ana Beispiel"], about(), NOW.plus_ms(1_000)).sentence()
}

#[test]
fn what_is_missing_is_told_with_those_who_may_give_it() {
    let approvals = asked(&[rule("leads", &["ana", "bo", "cy"], 2), rule("product", &["dee"], 1)]);
    assert_eq!(says(&approvals, &[]), "2 approvals of leads (bo, cy), and 1 approval of product (dee)");
    assert_eq!(says(&approvals, &[vote("bo", 1)]), "1 approval of leads (cy), and 1 approval of product (dee)");
    assert_eq!(says(&approvals, &[vote("bo", 1), vote("dee", 2), vote("cy", 3)]), "approved");
    assert_eq!(says(&asked(&[rule("ana", &["ana"], 1)]), &[]), "1 approval of ana, and nobody is left who may give it");
}

#[test]
fn one_person_is_one_pair_of_eyes() {
    let mut approvals = asked(&[rule("leads", &["bo", "cy"], 2)]);
    assert_eq!(says(&approvals, &[vote("bo", 1), vote("BO", 2), vote(" bo ", 3)]), "1 approval of leads (cy)");
    approvals.people = People(BTreeMap::from([("bo".to_string(), BTreeSet::from(["cy".to_string()]))]));
    assert!(says(&approvals, &[vote("bo", 1), vote("cy", 2)]).starts_with("1 approval of leads"));
    // Two rules want two people, whichever way they are counted.
    let both = asked(&[rule("leads", &["bo", "cy"], 1), rule("product", &["bo"], 1)]);
    assert_eq!(says(&both, &[vote("bo", 1)]).matches("1 approval").count(), 1);
    assert_eq!(says(&both, &[vote("bo", 1), vote("cy", 2)]), "approved");
}

#[test]
fn nobody_approves_their_own_change_under_any_name() {
    let mut approvals = asked(&[rule("leads", &["ana", "bo"], 1)]);
    approvals.people = People(BTreeMap::from([("ana".to_string(), BTreeSet::from(["a.beispiel".to_string()]))]));
    for name in ["ana", "Ana", "a.beispiel"] {
        assert_eq!(says(&approvals, &[vote(name, 1)]), "1 approval of leads (bo)", "{name}");
        assert_eq!(approvals.void(&vote(name, 1), &[], &["ana"], about(), NOW), Some(Void::OwnChange));
    }
}

#[test]
fn an_agreement_is_about_these_bytes_and_rules_and_ends() {
    let mut approvals = asked(&[rule("leads", &["bo"], 1)]);
    let other =
        |artifact: &[u8], plan: &[u8]| Vote { about: About { artifact: Digest::of(artifact), plan: Digest::of(plan) }, ..vote("bo", 1) };
    let void = |approvals: &Approvals, vote: Vote| approvals.void(&vote, &[], &["ana"], about(), NOW.plus_ms(3_600_000));
    assert_eq!(void(&approvals, other(b"other", b"plan")), Some(Void::OtherBytes));
    assert_eq!(void(&approvals, other(b"artifact", b"other")), Some(Void::OtherRules));
    assert_eq!(void(&approvals, vote("eve", 1)), Some(Void::NotAsked));
    assert_eq!(void(&approvals, vote("bo", 1)), None);
    approvals.expires_ms = Some(3_600_000);
    assert_eq!(void(&approvals, vote("bo", 1)), None);
    assert_eq!(void(&approvals, vote("bo", 0)), Some(Void::Expired));
    let until = approvals.standing(&[vote("bo", 5)], &["ana"], about(), NOW.plus_ms(6));
    assert_eq!(until, Standing::Agreed { until: Some(NOW.plus_ms(3_600_005)) });
}

#[test]
fn a_no_counts_until_it_is_taken_back() {
    let approvals = asked(&[rule("leads", &["bo", "cy"], 1)]);
    let no = Vote { agrees: false, comment: "not before the sale".into(), ..vote("cy", 2) };
    assert_eq!(says(&approvals, &[vote("bo", 1), no.clone()]), "refused by cy: not before the sale");
    assert_eq!(says(&approvals, &[vote("bo", 1), no.clone(), vote("cy", 3)]), "approved");
    // Who isn't asked can't stop it either; who made it may.
    assert_eq!(says(&approvals, &[vote("bo", 1), Vote { by: "eve".into(), ..no }]), "approved");
}

#[test]
fn in_order_the_first_come_first() {
    let mut approvals = asked(&[rule("leads", &["bo"], 1), rule("product", &["dee"], 1)]);
    approvals.in_order = true;
    assert_eq!(says(&approvals, &[]), "1 approval of leads (bo)");
    assert_eq!(approvals.void(&vote("dee", 1), &[], &["ana"], about(), NOW), Some(Void::TooEarly));
    assert_eq!(approvals.void(&vote("dee", 2), &[vote("bo", 1)], &["ana"], about(), NOW.plus_ms(2)), None);
    assert_eq!(says(&approvals, &[vote("bo", 1)]), "1 approval of product (dee)");
    assert_eq!(says(&approvals, &[vote("bo", 1), vote("dee", 2)]), "approved");
}

#[test]
fn whatever_somebody_is_told_is_a_sentence() {
    let approvals = asked(&[rule("bo", &["bo"], 1)]);
    assert_eq!(says(&approvals, &[]), "1 approval of bo", "a person is not named twice");
    let no = |comment: &str| Vote { agrees: false, comment: comment.to_string(), ..vote("bo", 1) };
    assert_eq!(says(&approvals, &[no("")]), "refused by bo");
    assert_eq!(says(&approvals, &[no("not before the sale")]), "refused by bo: not before the sale");
    let voids = [Void::OwnChange, Void::NotAsked, Void::OtherBytes, Void::OtherRules, Void::Expired, Void::TooEarly].map(Void::sentence);
    assert_eq!(
        voids,
        [
            "nobody approves their own change",
            "no rule that is open asks this person",
            "it is about another artifact",
            "it is about other rules than those that hold",
            "it has expired",
            "others come first",
        ]
    );
}

#[test]
fn a_rule_is_said_with_its_condition() {
    let mut rule = rule("product", &["dee"], 2);
    assert_eq!(rule.sentence(), "2 of product");
    rule.when = Some(When::Breaking);
    assert_eq!(rule.sentence(), "2 of product where the change is breaking");
}

/// A small generator of our own: the same histories every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

const PEOPLE: [&str; 6] = ["ana", "bo", "cy", "dee", "eve", "fay"];

#[test]
fn no_random_history_gets_past_the_promises() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut agreed = 0;
    for history in 0..100_000 {
        let rules: Vec<Rule> = (0..=dice.roll(2))
            .map(|at| {
                let people: Vec<&str> = PEOPLE.into_iter().filter(|_| dice.roll(2) == 0).collect();
                rule(&format!("rule {at}"), &people, 1 + dice.roll(2) as u32)
            })
            .collect();
        let mut approvals = asked(&rules);
        approvals.expires_ms = (dice.roll(2) == 0).then_some(500);
        let author = PEOPLE[dice.roll(6) as usize];
        let votes: Vec<Vote> = (0..dice.roll(10))
            .map(|_| {
                let mut vote = vote(PEOPLE[dice.roll(6) as usize], dice.roll(1_000));
                vote.agrees = dice.roll(8) > 0;
                if dice.roll(4) == 0 {
                    vote.about.artifact = Digest::of(b"other bytes");
                }
                if dice.roll(6) == 0 {
                    vote.about.plan = Digest::of(b"other rules");
                }
                vote
            })
            .collect();
        let now = NOW.plus_ms(1_000);
        let Standing::Agreed { .. } = approvals.standing(&votes, &[author], about(), now) else { continue };
        agreed += 1;
        // Counted again in another way: who may stand for what, every way of choosing people tried.
        let good =
            |vote: &&Vote| vote.about == about() && vote.by != author && approvals.expires_ms.is_none_or(|ms| now.since_ms(vote.at) < ms);
        let mut last: BTreeMap<&str, bool> = BTreeMap::new();
        votes.iter().filter(good).for_each(|vote| {
            last.insert(&vote.by, vote.agrees);
        });
        let yes: Vec<&str> = last.iter().filter(|(_, agrees)| **agrees).map(|(by, _)| *by).collect();
        let seats: Vec<&Rule> = rules.iter().flat_map(|rule| std::iter::repeat_n(rule, rule.count as usize)).collect();
        assert!(seated(&seats, &yes), "history {history}: {rules:?} {votes:?} by {author}");
        let asked = |by: &str| rules.iter().any(|rule| rule.people.contains(by));
        assert!(last.iter().all(|(by, agrees)| *agrees || !asked(by)), "history {history}: somebody said no");
    }
    assert!(agreed > 2_000, "{agreed} histories end with a yes");
}

/// Whether every seat finds a person of its own, by trying all.
fn seated(seats: &[&Rule], people: &[&str]) -> bool {
    let Some((seat, rest)) = seats.split_first() else { return true };
    (0..people.len()).filter(|at| seat.people.contains(people[*at])).any(|at| {
        let others: Vec<&str> = people.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, person)| *person).collect();
        seated(rest, &others)
    })
}
