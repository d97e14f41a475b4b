//! Schedules closer together than they are kept.
//!
//! Nothing runs more often than every five minutes on GitHub, so what is meant to come in between doesn't.
//! GitHub's documentation of `schedule`; actionlint: events.
//!
//! Bad: `cron: '* * * * *'`. Good: `cron: '*/5 * * * *'`.

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "frequent-schedule", summary: "schedules closer together than they are kept", run };

const MINUTES_MIN: u32 = 5;

fn run(document: &Document, report: &mut Report) {
    let schedule = document.trigger("schedule").and_then(|trigger| trigger.config);
    for node in schedule.and_then(Node::as_sequence).unwrap_or_default().iter().filter_map(|entry| entry.get("cron")) {
        let Some(least) = node.as_str().and_then(least_distance).filter(|least| *least < MINUTES_MIN) else { continue };
        let message = format!("this asks for a run every {}, and nothing runs more often than every {MINUTES_MIN} minutes", counted(least));
        report.add(Finding::new(&AUDIT, Severity::Low, Confidence::High, node.span, message));
    }
}

fn counted(minutes: u32) -> String {
    if minutes == 1 { "minute".to_owned() } else { format!("{minutes} minutes") }
}

/// The least number of minutes between two runs within an hour; nothing when there is one an hour, or it can't be read.
fn least_distance(cron: &str) -> Option<u32> {
    if crate::schema::cron::complaint(cron).is_some() {
        return None;
    }
    let mut minutes: Vec<u32> = cron.split_whitespace().next()?.split(',').flat_map(expand).collect();
    minutes.sort_unstable();
    minutes.dedup();
    minutes.windows(2).map(|pair| pair[1] - pair[0]).min()
}

fn expand(part: &str) -> Vec<u32> {
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, step.parse().ok()));
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (number(from), number(to)),
        None if range == "*" => (0, 59),
        // `5/10` goes on to the end of the hour.
        None => (number(range), if step.is_some() { 59 } else { number(range) }),
    };
    (from..=to).step_by(step.unwrap_or(1).max(1)).collect()
}
