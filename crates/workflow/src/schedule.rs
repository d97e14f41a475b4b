//! When a schedule comes due: five fields, a time zone and a moment give the next moment.

use base::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, ToSpan};
use serde::Serialize;

use crate::model::Workflow;
use crate::schema::cron;

/// One `cron:` of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub cron: String,
    /// As written; nothing for UTC.
    pub timezone: Option<String>,
}

/// The schedules of a file, in its order.
pub fn entries(workflow: &Workflow) -> Vec<Entry> {
    let items = workflow.on.iter().filter(|trigger| trigger.event == "schedule").filter_map(|trigger| trigger.config.get("items"));
    let text = |item: &serde_json::Value, key: &str| item.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    let items = items.filter_map(serde_json::Value::as_array).flatten();
    items.filter_map(|item| Some(Entry { cron: text(item, "cron")?, timezone: text(item, "timezone") })).collect()
}

/// Longer than from one 29th of February to the next, also over a year like 2100.
const YEARS_MAX: i64 = 9;

/// The first moment after `now`; nothing where there is none, as for the 30th of February, or the text is no schedule.
///
/// A time that a clock skips in spring is that at which it goes on; one that comes twice in autumn counts once, unless every hour
/// counts.
pub fn next(cron: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let fields = cron::fields(cron)?;
    let instant = now.instant();
    let today = instant.to_zoned(zone.clone()).date();
    let last = today.checked_add(Span::new().years(YEARS_MAX)).ok()?;
    // Where clocks were put back over midnight, yesterday isn't over.
    let mut day = today.yesterday().ok()?;
    while day <= last {
        if fields.is_day(day.month().unsigned_abs(), day.day().unsigned_abs(), day.weekday().to_sunday_zero_offset().unsigned_abs()) {
            let moments = moments(&fields, day, zone);
            if let Some(next) = moments.into_iter().filter(|moment| *moment > instant).min() {
                return Some(next.into());
            }
        }
        day = day.tomorrow().ok()?;
    }
    None
}

fn moments(fields: &cron::Fields, day: Date, zone: &TimeZone) -> Vec<jiff::Timestamp> {
    let mut moments = Vec::new();
    for hour in 0..24 {
        for minute in (0..60).filter(|minute| fields.is_time(hour, *minute)) {
            let (Ok(hour), Ok(minute)) = (i8::try_from(hour), i8::try_from(minute)) else { continue };
            let ambiguous = zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0));
            match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { .. } => moments.extend(ambiguous.compatible().ok()),
                AmbiguousOffset::Gap { .. } => {
                    // The moment before the gap in the time that holds before it, moved to the change itself.
                    let before = ambiguous.earlier().ok().and_then(|earlier| earlier.checked_sub(1.second()).ok());
                    moments.extend(before.and_then(|before| zone.following(before).next()).map(|change| change.timestamp()));
                }
                AmbiguousOffset::Fold { .. } => {
                    moments.extend(ambiguous.earlier().ok());
                    moments.extend(ambiguous.later().ok().filter(|_| fields.every_hour()));
                }
            }
        }
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a zone of our own, so that no machine's tables count: an hour is skipped on the last Sunday of March at 2:00, and comes
    /// twice on the last Sunday of October at 3:00.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    #[test]
    fn the_next_moment() {
        let cases = [
            ("0 2 * * *", "UTC0", "2026-11-25T01:59:59.999Z", "2026-11-25T02:00:00.000Z"),
            ("0 2 * * *", "UTC0", "2026-11-25T02:00:00Z", "2026-11-26T02:00:00.000Z"),
            ("*/15 9-17/4 * * mon-fri", "UTC0", "2026-11-27T17:45:00Z", "2026-11-30T09:00:00.000Z"),
            ("5/20 * * * *", "UTC0", "2026-11-25T12:26:00Z", "2026-11-25T12:45:00.000Z"),
            // Where both days are given either counts.
            ("0 0 13 * FRI", "UTC0", "2026-11-25T00:00:00Z", "2026-11-27T00:00:00.000Z"),
            ("0 0 13 * FRI", "UTC0", "2026-12-12T00:00:00Z", "2026-12-13T00:00:00.000Z"),
            ("0 0 29 2 *", "UTC0", "2026-11-25T00:00:00Z", "2028-02-29T00:00:00.000Z"),
            ("0 0 29 feb *", "UTC0", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00.000Z"),
            ("0 0 30 2 *", "UTC0", "2026-11-25T00:00:00Z", "never"),
            ("0 2 * *", "UTC0", "2026-11-25T00:00:00Z", "never"),
            ("0 2 * * *", BERLIN, "2026-11-25T00:59:00Z", "2026-11-25T01:00:00.000Z"),
            ("0 2 * * *", BERLIN, "2026-07-01T00:00:00Z", "2026-07-02T00:00:00.000Z"),
            ("30 2 * * *", BERLIN, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00.000Z"),
            ("30 2 * * *", BERLIN, "2026-03-29T01:00:00Z", "2026-03-30T00:30:00.000Z"),
            ("30 2 * * *", BERLIN, "2026-10-25T00:00:00Z", "2026-10-25T00:30:00.000Z"),
            ("30 2 * * *", BERLIN, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00.000Z"),
            ("30 * * * *", BERLIN, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00.000Z"),
        ];
        for (cron, zone, now, expected) in cases {
            let zone = TimeZone::posix(zone).expect("it is a zone");
            let next = next(cron, &zone, now.parse().expect("it is a moment"));
            let next = next.map_or_else(|| "never".to_owned(), |next| next.to_string());
            assert_eq!(next, expected, "{cron} after {now}");
        }
    }
}
