//! Analyses: each `testdata/foreign/*.analysis` is played and its transcript compared; `UPDATE_EXPECT=1` writes what was said into the file.
//!
//! ```text
//! metric errors interval=1m count=5 failure=2
//! errors good good bad good
//! ----
//! 0s      ask errors
//! ```
//!
//! A metric answers at once what stands next in its line, and `slow` after so long; the last answer is repeated. `30s terminate` ends it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base::Timestamp;
use base::time::{format_duration_ms, parse_duration_ms};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollout::analysis::{Answer, Event, Metric, Phase, Run};

use crate::transcripts;

#[test]
fn analyses_end_as_they_did() {
    assert!(transcripts::check("analysis", play) >= 20, "the cases of the reference are there");
}

struct Script {
    metrics: Vec<Metric>,
    answers: Vec<Vec<Phase>>,
    /// How long a metric takes to answer.
    slow_ms: Vec<u64>,
    terminate_ms: Option<u64>,
    end_ms: u64,
}

fn phase(word: &str) -> Phase {
    match word {
        "good" => Phase::Successful,
        "bad" => Phase::Failed,
        "unclear" => Phase::Inconclusive,
        "error" => Phase::Error,
        other => panic!("`{other}` is no answer"),
    }
}

fn duration(word: &str) -> u64 {
    parse_duration_ms(word).unwrap_or_else(|| panic!("`{word}` is a length of time"))
}

fn script(text: &str) -> Script {
    let mut script = Script { metrics: Vec::new(), answers: Vec::new(), slow_ms: Vec::new(), terminate_ms: None, end_ms: 3_600_000 };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["metric", name, ..] => {
                let (metric, slow) = metric(name, &words[2..]);
                script.metrics.push(metric);
                script.slow_ms.push(slow);
                script.answers.push(Vec::new());
            }
            [when, "terminate"] => script.terminate_ms = Some(duration(when)),
            [when, "end"] => script.end_ms = duration(when),
            [name, ..] => {
                let index = script.metrics.iter().position(|metric| metric.name == name).unwrap_or_else(|| panic!("`{line}`"));
                script.answers[index] = words[1..].iter().map(|word| phase(word)).collect();
            }
            [] => {}
        }
    }
    script
}

fn metric(name: &str, words: &[&str]) -> (Metric, u64) {
    let mut metric = Metric::new(name);
    let mut slow = 0;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u32>().unwrap_or_else(|_| panic!("`{word}`"));
        match key {
            "interval" => metric.interval_ms = Some(duration(value)),
            "delay" => metric.initial_delay_ms = duration(value),
            "slow" => slow = duration(value),
            "count" => metric.count = Some(number()),
            "failure" if value == "-1" => metric.failure_limit = None,
            "failure" => metric.failure_limit = Some(number()),
            "unclear" => metric.inconclusive_limit = number(),
            "errors" => metric.consecutive_error_limit = number(),
            "successes" => metric.consecutive_success_limit = number(),
            "kept" => metric.retained = number() as usize,
            "dry" => metric.dry_run = true,
            other => panic!("`{other}` is nothing of a metric"),
        }
    }
    (metric, slow)
}

/// As a loop would do it: looks at what is answered, remembers, asks, and sleeps until it is to look again.
fn play(text: &str) -> String {
    let Script { metrics, mut answers, slow_ms, terminate_ms, end_ms } = script(text);
    answers.iter_mut().for_each(|answers| answers.reverse());
    let at = |ms: u64| Timestamp::from_ms(ms as i64);
    let mut events: Vec<Event> = Vec::new();
    let mut awaited: BTreeMap<usize, u64> = BTreeMap::new();
    let mut said = String::new();
    let mut now = 0;
    for _ in 0..500 {
        if terminate_ms.is_some_and(|when| when == now) && !events.contains(&Event::Terminated) {
            events.push(Event::Terminated);
            let _ = writeln!(said, "{:<7} terminated", format_duration_ms(now));
        }
        let mut answered = Vec::new();
        for metric in awaited.iter().filter(|(_, ready)| **ready <= now).map(|(metric, _)| *metric).collect::<Vec<_>>() {
            awaited.remove(&metric);
            let list = &mut answers[metric];
            let phase = if list.len() > 1 { list.pop().expect("it has some") } else { list[0] };
            answered.push(Answer { metric, phase });
        }
        let advance = Run::replay(metrics.clone(), &events).advance(&answered, at(now));
        for event in &advance.events {
            let line = match *event {
                Event::Answered { metric, phase, .. } => format!("{} {phase}", metrics[metric].name),
                Event::Assessed { metric, phase } => format!("{} is assessed {phase}", metrics[metric].name),
                Event::Ended { phase } => format!("ended {phase}"),
                _ => continue,
            };
            let _ = writeln!(said, "{:<7} {line}", format_duration_ms(now));
        }
        events.extend(&advance.events);
        for metric in advance.ask {
            awaited.insert(metric, now + slow_ms[metric]);
        }
        for metric in advance.stop {
            let _ = writeln!(said, "{:<7} {} is no longer asked", format_duration_ms(now), metrics[metric].name);
        }
        let run = Run::replay(metrics.clone(), &events);
        if run.phase().is_over() {
            break;
        }
        let wakes =
            [advance.wake.map(|wake| wake.as_ms() as u64), awaited.values().min().copied(), terminate_ms.filter(|when| *when > now)];
        now = wakes.into_iter().flatten().min().unwrap_or(end_ms).max(now);
        if now >= end_ms {
            let _ = writeln!(said, "{:<7} {}", format_duration_ms(end_ms), run.phase());
            break;
        }
    }
    let run = Run::replay(metrics.clone(), &events);
    for (index, metric) in metrics.iter().enumerate() {
        let counters = run.counters(index);
        let _ = writeln!(
            said,
            "{}: {} counted, {} good, {} bad, {} unclear, {} errors; {} kept",
            metric.name,
            counters.count,
            counters.successful,
            counters.failed,
            counters.inconclusive,
            counters.error,
            run.measurements(index).len()
        );
    }
    said
}

#[test]
fn what_can_not_be_measured_says_why() {
    let metric = |change: fn(&mut Metric)| {
        let mut metric = Metric::new("errors");
        change(&mut metric);
        metric.complaint().unwrap_or_default()
    };
    assert_eq!(metric(|_| {}), "");
    assert!(metric(|it| it.failure_limit = None).contains("can't both be switched off"));
    assert!(metric(|it| it.count = Some(2)).contains("`interval` is missing"));
    assert!(metric(|it| (it.count, it.failure_limit, it.interval_ms) = (Some(2), Some(3), Some(1))).contains("(3 + 0)"));
    assert!(metric(|it| (it.count, it.consecutive_success_limit, it.failure_limit) = (Some(2), 2, Some(1))).contains("(1 + 2)"));
    assert!(
        metric(|it| (it.count, it.consecutive_success_limit, it.failure_limit) = (Some(2), 3, None)).contains("at least `consecutiveS")
    );
    assert!(metric(|it| (it.count, it.inconclusive_limit, it.interval_ms) = (Some(2), 3, Some(1))).contains("`inconclusiveLimit` (3)"));
    assert_eq!(metric(|it| (it.count, it.interval_ms) = (Some(0), Some(1))), "");
}

fn any_metric() -> impl Strategy<Value = Metric> {
    let limits = (proptest::option::of(0..3_u32), 0..3_u32, 0..4_u32, 0..3_u32);
    (limits, proptest::option::of(1..6_u32), any::<bool>(), any::<bool>(), 1..4_usize).prop_map(
        |((failure_limit, inconclusive_limit, consecutive_error_limit, consecutive_success_limit), count, repeats, dry_run, retained)| {
            Metric {
                interval_ms: repeats.then_some(60_000),
                count,
                failure_limit,
                inconclusive_limit,
                consecutive_error_limit,
                consecutive_success_limit,
                dry_run,
                retained,
                ..Metric::new("m")
            }
        },
    )
}

fn any_answer() -> impl Strategy<Value = Phase> {
    prop_oneof![4 => Just(Phase::Successful), 1 => Just(Phase::Failed), 1 => Just(Phase::Inconclusive), 1 => Just(Phase::Error)]
}

/// The verdict over one metric, said once more and in another way: counted over everything it has answered.
fn verdict(metric: &Metric, answers: &[Phase]) -> Phase {
    let count = |wanted: Phase| answers.iter().filter(|phase| **phase == wanted).count() as u32;
    let in_a_row = |wanted: Phase| answers.iter().rev().take_while(|phase| **phase == wanted).count() as u32;
    if in_a_row(Phase::Error) > metric.consecutive_error_limit {
        return Phase::Error;
    }
    if count(Phase::Inconclusive) > metric.inconclusive_limit {
        return Phase::Inconclusive;
    }
    if metric.failure_limit.is_some_and(|limit| count(Phase::Failed) > limit) {
        return Phase::Failed;
    }
    let wants = metric.consecutive_success_limit;
    if wants > 0 && in_a_row(Phase::Successful) >= wants {
        return Phase::Successful;
    }
    let asked = if metric.count.unwrap_or(0) > 0 {
        metric.count
    } else if metric.interval_ms.is_some() {
        None
    } else {
        Some(1)
    };
    match asked {
        Some(asked) if answers.len() as u32 - count(Phase::Error) >= asked => match (wants > 0, metric.failure_limit.is_some()) {
            (false, _) => Phase::Successful,
            (true, true) => Phase::Inconclusive,
            (true, false) => Phase::Failed,
        },
        _ => Phase::Running,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

    /// A metric is decided at the first answer at which its counters say so, by the verdict they give, and by nothing after it.
    #[test]
    fn counters_decide_once(metric in any_metric(), answers in proptest::collection::vec(any_answer(), 1..12)) {
        let metric = Metric { dry_run: false, ..metric };
        let mut events = Vec::new();
        let mut now = Timestamp::from_ms(0);
        let mut given: Vec<Phase> = Vec::new();
        let mut asked = Run::replay(vec![metric.clone()], &events).advance(&[], now);
        events.append(&mut asked.events);
        for phase in answers {
            let expected = if given.is_empty() { Phase::Running } else { verdict(&metric, &given) };
            prop_assert_eq!(Run::replay(vec![metric.clone()], &events).phase(), expected);
            if expected.is_over() {
                break;
            }
            given.push(phase);
            now = now.plus_ms(1);
            let answered = Run::replay(vec![metric.clone()], &events).advance(&[Answer { metric: 0, phase }], now);
            prop_assert!(answered.ask.is_empty(), "never two questions at once");
            events.extend(answered.events);
            if let Some(wake) = answered.wake {
                now = wake;
                events.extend(Run::replay(vec![metric.clone()], &events).advance(&[], now).events);
            }
        }
        let run = Run::replay(vec![metric.clone()], &events);
        prop_assert_eq!(run.phase(), verdict(&metric, &given));
        prop_assert!(run.measurements(0).len() <= metric.retained + 1);
    }

    /// A run is as bad as the worst metric that counts; one that is only looked at changes nothing but when it ends.
    #[test]
    fn a_dry_run_decides_nothing(metrics in proptest::collection::vec(any_metric(), 1..4), answers in proptest::collection::vec(any_answer(), 60)) {
        let mut events = Vec::new();
        let mut now = Timestamp::from_ms(0);
        let mut awaited: Vec<usize> = Vec::new();
        for phase in answers {
            let given: Vec<Answer> = awaited.drain(..).map(|metric| Answer { metric, phase }).collect();
            let run = Run::replay(metrics.clone(), &events);
            let advance = run.advance(&given, now);
            events.extend(advance.events);
            awaited = advance.ask;
            match advance.wake.filter(|_| awaited.is_empty()) {
                Some(wake) => now = now.max(wake),
                None => now = now.plus_ms(1),
            }
            let run = Run::replay(metrics.clone(), &events);
            if run.phase().is_over() {
                let counting = (0..metrics.len()).filter(|metric| !metrics[*metric].dry_run);
                let worst = counting.filter_map(|metric| run.assessed(metric)).max().unwrap_or(Phase::Successful);
                prop_assert_eq!(run.phase(), worst);
                prop_assert!(run.advance(&[], now.plus_ms(1_000_000)) == Default::default(), "finished is finished");
                break;
            }
        }
    }
}
