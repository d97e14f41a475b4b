//! When a file's schedules come due next, in their own time zones.

use base::Timestamp;
use jiff::tz::TimeZone;
use workflow::model::Workflow;
use workflow::schedule;

/// As many as show the rhythm.
const SHOWN: usize = 3;

/// A line for each schedule.
pub fn lines(workflow: &Workflow, now: Timestamp) -> Vec<String> {
    schedule::entries(workflow).iter().map(|entry| line(entry, now)).collect()
}

fn line(entry: &schedule::Entry, now: Timestamp) -> String {
    let name = entry.timezone.as_deref().unwrap_or("UTC");
    let cron = &entry.cron;
    let Ok(zone) = TimeZone::get(name) else {
        return format!("schedule `{cron}`: this machine knows no time zone `{name}`");
    };
    let mut moments = Vec::new();
    let mut last = now;
    while let Some(next) = schedule::next(cron, &zone, last).filter(|_| moments.len() < SHOWN) {
        last = next;
        moments.push(shown(next, &zone));
    }
    if moments.is_empty() {
        format!("schedule `{cron}` never comes due")
    } else {
        format!("schedule `{cron}` ({name}): {}", moments.join(", "))
    }
}

/// To the minute, with how far it is from UTC.
fn shown(moment: Timestamp, zone: &TimeZone) -> String {
    moment.instant().to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_shown_in_its_own_time_zone() {
        let entry = |cron: &str, timezone: Option<&str>| schedule::Entry { cron: cron.to_string(), timezone: timezone.map(str::to_string) };
        let now = "2026-03-27T12:00:00Z".parse().unwrap();
        assert_eq!(
            line(&entry("0 2 * * *", None), now),
            "schedule `0 2 * * *` (UTC): Sat 2026-03-28 02:00 +00:00, Sun 2026-03-29 02:00 +00:00, Mon 2026-03-30 02:00 +00:00"
        );
        assert_eq!(line(&entry("0 2 30 2 *", None), now), "schedule `0 2 30 2 *` never comes due");
        assert_eq!(
            line(&entry("0 2 * * *", Some("Mars/Olympus")), now),
            "schedule `0 2 * * *`: this machine knows no time zone `Mars/Olympus`"
        );
    }
}
