//! After the promotion: does what is live stay inside its bounds, and would going back help?
//!
//! ```text
//! readings   ·  ·  ·  ·  ·  ·  ·  ·  ·  ·      cumulative, as the proxy and the target have them
//!               └──── during ────────────┤      proved to be over its bound, and still so …
//!                                └─ /5 ──┤      … in the last part of it
//! ```
//!
//! A rule that is broken takes traffic back only where the version before was inside the same bound when it was seen last: otherwise it
//! may be what both need that fails.

use base::Timestamp;
use base::time::format_duration_ms;
use serde::{Deserialize, Serialize};

use crate::judge::{Tally, proves_more};
use crate::observed::Counts;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchPlan {
    /// From when it has all traffic and is verified.
    pub for_ms: u64,
    pub rules: Vec<WatchRule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchRule {
    pub measure: Measure,
    /// How long it has to be so.
    pub during_ms: u64,
    pub then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A share of users' answers that are bad, 0 to 1.
    Errors { above: f64 },
    /// A quantile of users' latencies, 0 to 1, in microseconds.
    Latency { quantile: f64, above_us: u64 },
    /// Starts after the first, of all instances together.
    Restarts { above: u32 },
    /// Fewer instances are ready than there shall be.
    NotReady,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    GoBack,
    Warn,
}

/// What is live, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub at: Timestamp,
    /// Counters begin again with another.
    pub epoch: String,
    pub users: Counts,
    /// Of all instances.
    pub restarts: u32,
    /// Instances that shall be ready and aren't.
    pub missing: u32,
}

/// The readings of one revision, as far back as the longest rule asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watch {
    readings: Vec<Reading>,
}

/// What a broken rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// By its place in the plan.
    pub rule: usize,
    /// Without a full stop.
    pub said: String,
    pub does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    GoBack,
    Warn,
    /// It would go back, if it were known that this helps.
    Hold,
}

/// Of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Inside,
    Outside(String),
    /// Too short a time, or too few answers.
    Unknown,
}

/// Of one revision, whatever its rules ask for: the older ones stand further apart then.
const READINGS_MAX: usize = 400;

/// A share of fewer answers says nothing.
const ANSWERS_MIN: u64 = 20;

/// What is over already is nothing to go back for: the last part of the time has to be outside, too.
const PARTS: u64 = 5;

impl Watch {
    /// Readings come in the order of their times; `keep_ms` is the longest time that a rule asks for.
    pub fn note(&mut self, reading: Reading, keep_ms: u64) {
        let begins_anew = self
            .readings
            .last()
            .is_some_and(|last| last.epoch != reading.epoch || reading.at < last.at || reading.users.requests < last.users.requests);
        if begins_anew {
            self.readings.clear();
        }
        // One from before the time stays: the time begins at it.
        let old = self.readings.iter().filter(|known| reading.at.since_ms(known.at) >= keep_ms).count();
        self.readings.drain(..old.saturating_sub(1));
        self.readings.push(reading);
        if self.readings.len() > READINGS_MAX {
            self.thin();
        }
    }

    /// Of the older half every other one goes; what it says of instances stays with the next.
    fn thin(&mut self) {
        for at in 0..READINGS_MAX / 4 {
            let gone = self.readings.remove(at + 1);
            let next = &mut self.readings[at + 1];
            // One in which all were ready is not forgotten.
            next.missing = next.missing.min(gone.missing);
        }
    }

    /// Its instances stay as they were seen last.
    pub fn keep_instances(&self, reading: &mut Reading) {
        if let Some(last) = self.readings.last() {
            (reading.restarts, reading.missing) = (last.restarts, last.missing);
        }
    }

    /// Whether more was answered since.
    pub fn grows(&self, reading: &Reading) -> bool {
        self.readings.last().is_none_or(|last| reading.users.requests > last.users.requests)
    }

    /// What is broken, the gravest first; `before` is what was live before, as it was seen last.
    pub fn verdicts(&self, plan: &WatchPlan, before: Option<&Watch>) -> Vec<Verdict> {
        let broken = plan.rules.iter().enumerate().filter_map(|(index, rule)| match self.seen(rule) {
            Seen::Outside(said) => Some((index, rule, said)),
            Seen::Inside | Seen::Unknown => None,
        });
        let verdict = |(index, rule, said): (usize, &WatchRule, String)| {
            let (does, why) = match (rule.then, before.map(|before| before.seen(rule))) {
                (Then::Warn, _) => (Does::Warn, ""),
                (Then::GoBack, Some(Seen::Inside)) => (Does::GoBack, ""),
                (Then::GoBack, Some(Seen::Outside(_))) => {
                    (Does::Hold, "; so it was with the version before, and going back would not help")
                }
                (Then::GoBack, Some(Seen::Unknown) | None) => {
                    (Does::Hold, "; whether the version before was better is not known, so nothing goes back by itself")
                }
            };
            Verdict { rule: index, said: format!("{said}{why}"), does }
        };
        let mut verdicts: Vec<Verdict> = broken.map(verdict).collect();
        verdicts.sort_by_key(|verdict| verdict.does != Does::GoBack);
        verdicts
    }

    fn seen(&self, rule: &WatchRule) -> Seen {
        let Some(last) = self.readings.last() else { return Seen::Unknown };
        match rule.measure {
            Measure::Errors { above } => {
                let tally = |from: &Reading| Tally {
                    requests: last.users.requests - from.users.requests,
                    bad: last.users.bad.saturating_sub(from.users.bad),
                };
                self.share(rule, above, tally, |Tally { requests, bad }| {
                    let share = 100.0 * bad as f64 / requests as f64;
                    format!("{share:.1} % of the answers failed ({bad} of {requests}), more than {} %", tidy(100.0 * above))
                })
            }
            Measure::Latency { quantile, above_us } => {
                let tally = |from: &Reading| {
                    let added = last.users.latency.since(&from.users.latency);
                    Tally { requests: added.count(), bad: added.count_above(above_us) }
                };
                self.share(rule, 1.0 - quantile, tally, |Tally { requests, bad }| {
                    let (bound, name) = (format_duration_ms(above_us / 1_000), tidy(100.0 * quantile));
                    format!("p{name} is over {bound}: {bad} of {requests} answers took longer")
                })
            }
            Measure::Restarts { above } => {
                let since: Vec<&Reading> = self.readings.iter().filter(|it| last.at.since_ms(it.at) <= rule.during_ms).collect();
                // An instance that is replaced takes its number with it.
                let restarts: u32 = since.windows(2).map(|pair| pair[1].restarts.saturating_sub(pair[0].restarts)).sum();
                match restarts > above {
                    true => Seen::Outside(format!("instances were started again {restarts} times in {}, more than {above}", during(rule))),
                    false if self.since(rule.during_ms).is_none() => Seen::Unknown,
                    false => Seen::Inside,
                }
            }
            Measure::NotReady => {
                let Some(from) = self.since(rule.during_ms) else { return Seen::Unknown };
                match self.readings[from..].iter().all(|it| it.missing > 0) {
                    true => Seen::Outside(format!("{} not ready for {}", instances(last.missing), during(rule))),
                    false => Seen::Inside,
                }
            }
        }
    }

    /// Whether the share of bad answers is over its bound: proved over the whole time, and still so in the last part of it.
    fn share(&self, rule: &WatchRule, above: f64, tally: impl Fn(&Reading) -> Tally, said: impl Fn(Tally) -> String) -> Seen {
        let (Some(from), Some(late)) = (self.since(rule.during_ms), self.since(rule.during_ms / PARTS)) else { return Seen::Unknown };
        let (all, last) = (tally(&self.readings[from]), tally(&self.readings[late]));
        if proves_more(all, above) && last.share() > above {
            return Seen::Outside(format!("{} in {}", said(all), during(rule)));
        }
        if all.requests >= ANSWERS_MIN && all.share() <= above { Seen::Inside } else { Seen::Unknown }
    }

    /// The latest reading that is so old at least.
    fn since(&self, ms: u64) -> Option<usize> {
        let last = self.readings.last()?;
        self.readings.iter().rposition(|it| last.at.since_ms(it.at) >= ms)
    }
}

impl WatchPlan {
    /// How far back readings are needed.
    pub fn keep_ms(&self) -> u64 {
        self.rules.iter().map(|rule| rule.during_ms).max().unwrap_or(0)
    }

    /// Between two readings: ten in the shortest time a rule has, and at most four a second.
    pub fn look_ms(&self) -> u64 {
        let shortest = self.rules.iter().map(|rule| rule.during_ms).min().unwrap_or(60_000);
        (shortest / (2 * PARTS)).clamp(LOOK_MIN_MS, LOOK_MAX_MS)
    }
}

const LOOK_MIN_MS: u64 = 250;
const LOOK_MAX_MS: u64 = 15_000;

fn during(rule: &WatchRule) -> String {
    format_duration_ms(rule.during_ms)
}

fn instances(count: u32) -> String {
    if count == 1 { "1 instance is".to_string() } else { format!("{count} instances are") }
}

/// `5`, `99.9`.
fn tidy(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::Histogram;

    use super::*;

    /// A minute each: requests, how many of them are bad, how many take two seconds.
    fn watch(minutes: &[(u64, u64, u64)]) -> Watch {
        let mut watch = Watch::default();
        let mut users = Counts::default();
        let mut note = |minute: usize, users: &Counts| {
            let at = Timestamp::from_ms(minute as i64 * 60_000);
            watch.note(Reading { at, epoch: "e".into(), users: users.clone(), restarts: 0, missing: 0 }, 600_000);
        };
        note(0, &users);
        for (minute, (requests, bad, slow)) in minutes.iter().enumerate() {
            users.requests += requests;
            users.bad += bad;
            users.latency.add(&Histogram(BTreeMap::from([(10_000, requests - slow), (2_000_000, *slow)])));
            note(minute + 1, &users);
        }
        watch
    }

    fn rule(measure: Measure, then: Then) -> WatchPlan {
        WatchPlan { for_ms: 1_800_000, rules: vec![WatchRule { measure, during_ms: 300_000, then }] }
    }

    fn does(plan: &WatchPlan, now: &[(u64, u64, u64)], before: Option<&[(u64, u64, u64)]>) -> Option<(Does, String)> {
        let before = before.map(watch);
        let first = watch(now).verdicts(plan, before.as_ref()).into_iter().next();
        first.map(|verdict| (verdict.does, verdict.said))
    }

    const FINE: &[(u64, u64, u64)] = &[(100, 1, 0); 5];
    const BROKEN: &[(u64, u64, u64)] = &[(100, 30, 0); 5];

    #[test]
    fn what_fails_for_so_long_goes_back_to_what_did_not() {
        let plan = rule(Measure::Errors { above: 0.05 }, Then::GoBack);
        let said = "30.0 % of the answers failed (150 of 500), more than 5 % in 5m";
        assert_eq!(does(&plan, BROKEN, Some(FINE)), Some((Does::GoBack, said.to_string())));
        assert_eq!(does(&plan, FINE, Some(FINE)), None);
        // Four minutes are not five, and what is over is over.
        assert_eq!(does(&plan, &BROKEN[1..], Some(FINE)), None);
        assert_eq!(does(&plan, &[(100, 30, 0), (100, 30, 0), (100, 30, 0), (100, 30, 0), (100, 0, 0)], Some(FINE)), None);
        // Two of five are chance, five of a hundred are the bound.
        assert_eq!(does(&plan, &[(1, 0, 0), (1, 1, 0), (1, 0, 0), (1, 0, 0), (1, 1, 0)], Some(FINE)), None);
        assert_eq!(does(&plan, &[(20, 1, 0); 5], Some(FINE)), None);
    }

    #[test]
    fn nothing_goes_back_to_what_was_no_better_or_is_not_known() {
        let plan = rule(Measure::Errors { above: 0.05 }, Then::GoBack);
        let verdict =
            |before| does(&plan, BROKEN, before).map(|(does, said)| (does, said.split("; ").nth(1).unwrap_or_default().to_string()));
        let no_better = "so it was with the version before, and going back would not help";
        let unknown = "whether the version before was better is not known, so nothing goes back by itself";
        assert_eq!(verdict(Some(BROKEN)), Some((Does::Hold, no_better.to_string())));
        for before in [None, Some(&[(1, 0, 0); 5][..]), Some(&FINE[1..])] {
            assert_eq!(verdict(before), Some((Does::Hold, unknown.to_string())), "{before:?}");
        }
    }

    #[test]
    fn a_warning_only_warns() {
        let plan = rule(Measure::Latency { quantile: 0.95, above_us: 500_000 }, Then::Warn);
        let said = "p95 is over 500ms: 50 of 500 answers took longer in 5m";
        assert_eq!(does(&plan, &[(100, 0, 10); 5], Some(FINE)), Some((Does::Warn, said.to_string())));
        assert_eq!(does(&plan, &[(100, 0, 4); 5], Some(FINE)), None);
        let plan = rule(Measure::Latency { quantile: 0.99, above_us: 1_000_000 }, Then::GoBack);
        assert_eq!(does(&plan, &[(100, 0, 10); 5], Some(FINE)).map(|(does, _)| does), Some(Does::GoBack));
        assert_eq!(does(&plan, &[(100, 0, 10); 5], Some(&[(100, 0, 10); 5])).map(|(does, _)| does), Some(Does::Hold));
    }

    fn instances_seen(seen: &[(u32, u32)]) -> Watch {
        let mut watch = Watch::default();
        for (minute, (restarts, missing)) in seen.iter().enumerate() {
            let at = Timestamp::from_ms(minute as i64 * 60_000);
            watch.note(Reading { at, epoch: "e".into(), users: Counts::default(), restarts: *restarts, missing: *missing }, 600_000);
        }
        watch
    }

    #[test]
    fn restarts_are_counted_and_an_instance_that_was_replaced_takes_none_back() {
        let plan = rule(Measure::Restarts { above: 3 }, Then::GoBack);
        let does =
            |seen| instances_seen(seen).verdicts(&plan, Some(&instances_seen(&[(9, 0); 6]))).first().map(|it| (it.does, it.said.clone()));
        let said = "instances were started again 4 times in 5m, more than 3";
        assert_eq!(does(&[(0, 0), (2, 0), (1, 0), (3, 0)]), Some((Does::GoBack, said.to_string())));
        assert_eq!(does(&[(7, 0), (10, 0)]), None);
        // What was long ago doesn't count.
        assert_eq!(does(&[(0, 0), (4, 0), (4, 0), (4, 0), (4, 0), (4, 0), (4, 0), (4, 0)]), None);
    }

    #[test]
    fn an_instance_is_missed_when_it_was_not_ready_all_the_time() {
        let plan = rule(Measure::NotReady, Then::GoBack);
        let fine = instances_seen(&[(0, 0); 6]);
        let does = |seen| instances_seen(seen).verdicts(&plan, Some(&fine)).first().map(|it| (it.does, it.said.clone()));
        assert_eq!(does(&[(0, 1); 6]), Some((Does::GoBack, "1 instance is not ready for 5m".to_string())));
        assert_eq!(does(&[(0, 1), (0, 1), (0, 0), (0, 1), (0, 1), (0, 1)]), None);
        assert_eq!(does(&[(0, 1); 5]), None);
    }

    #[test]
    fn counters_that_begin_again_begin_the_time_again() {
        let plan = rule(Measure::Errors { above: 0.05 }, Then::GoBack);
        let mut watch = watch(BROKEN);
        let reading = |at, epoch: &str, requests, bad| Reading {
            at: Timestamp::from_ms(at),
            epoch: epoch.into(),
            users: Counts { requests, bad, ..Counts::default() },
            restarts: 0,
            missing: 0,
        };
        watch.note(reading(360_000, "f", 0, 0), 600_000);
        watch.note(reading(420_000, "f", 100, 100), 600_000);
        assert_eq!(watch.verdicts(&plan, None), []);
        assert_eq!(watch.readings.len(), 2);
    }

    #[test]
    fn many_readings_stand_further_apart_the_older_they_are() {
        let mut watch = Watch::default();
        for second in 0..86_400 {
            let users = Counts { requests: second, bad: second / 2, ..Counts::default() };
            let missing = u32::from(second % 100 != 7);
            watch.note(
                Reading { at: Timestamp::from_ms(second as i64 * 1_000), epoch: "e".into(), users, restarts: 0, missing },
                86_400_000,
            );
        }
        assert!(watch.readings.len() <= READINGS_MAX && watch.readings[0].at == Timestamp::from_ms(0));
        let newest = |seconds: u64| watch.readings.iter().filter(|it| it.users.requests >= 86_400 - seconds).count();
        assert!(newest(100) >= 90, "{}", newest(100));
        let rule = |measure, minutes: u64| WatchRule { measure, during_ms: minutes * 60_000, then: Then::GoBack };
        assert!(matches!(watch.seen(&rule(Measure::Errors { above: 0.2 }, 600)), Seen::Outside(_)));
        // All of them were ready now and then.
        assert_eq!(watch.seen(&rule(Measure::NotReady, 600)), Seen::Inside);
    }

    #[test]
    fn what_no_rule_asks_for_is_forgotten() {
        let watch = watch(&[(1, 0, 0); 100]);
        assert_eq!(watch.readings.len(), 11, "ten minutes, and where they begin");
    }
}
