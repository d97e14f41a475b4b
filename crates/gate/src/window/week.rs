//! Windows that come back every week.

use std::fmt;
use std::str::FromStr;

use base::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// `mon-thu 09:00-16:00`, by the calendar's clock: `to` is not in it; one that isn't after `from` lies on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    pub days: Days,
    /// Minutes from midnight, 0 to 1,439.
    pub from: u16,
    /// Minutes from midnight, 0 to 1,440.
    pub to: u16,
}

/// Days of the week: `mon-fri`, `sat, sun`, `fri-mon`, `daily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days([bool; 7]);

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The end of the day.
pub(super) const DAY_MINUTES: u16 = 24 * 60;
/// A window of a day before may reach into this one; zones that skip a day at the date line make it two.
const DAYS_BEFORE: i32 = 2;
const DAYS_AFTER: i32 = 8;

impl Days {
    pub fn has(self, day: Weekday) -> bool {
        self.0[usize::from(day.to_monday_zero_offset().unsigned_abs())]
    }
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Days, String> {
        let mut days = [false; 7];
        for part in text.split(',').map(str::trim) {
            let (first, last) = match part.to_ascii_lowercase().as_str() {
                "daily" => (0, 6),
                part => match part.split_once('-') {
                    Some((first, last)) => (day(first)?, day(last)?),
                    None => (day(part)?, day(part)?),
                },
            };
            let mut at = first;
            days[at] = true;
            while at != last {
                at = (at + 1) % 7;
                days[at] = true;
            }
        }
        Ok(Days(days))
    }
}

/// Three letters, or the whole English name.
fn day(text: &str) -> Result<usize, String> {
    let whole = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let text = text.trim();
    let found = NAMES.iter().position(|name| *name == text).or_else(|| whole.iter().position(|name| *name == text));
    found.ok_or_else(|| format!("`{text}` is no day of the week"))
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> = NAMES.iter().zip(self.0).filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        f.write_str(&named.join(","))
    }
}

impl Serialize for Days {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Days, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Weekly {
    pub(super) fn holds(&self, zone: &TimeZone, at: Timestamp) -> bool {
        self.around(zone, at, 1).any(|(from, to)| from <= at && at < to)
    }

    /// The next moment at which one of its windows begins or ends.
    pub(super) fn boundary(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        self.around(zone, after, DAYS_AFTER).flat_map(|(from, to)| [from, to]).filter(|at| *at > after).min()
    }

    fn around<'a>(&'a self, zone: &'a TimeZone, at: Timestamp, days_after: i32) -> impl Iterator<Item = (Timestamp, Timestamp)> + 'a {
        let today = at.instant().to_zoned(zone.clone()).date();
        let dates = (-DAYS_BEFORE..=days_after).filter_map(move |offset| today.checked_add(offset.days()).ok());
        dates.filter(|date| self.days.has(date.weekday())).filter_map(|date| self.on(zone, date))
    }

    /// The window that begins on a day; one that the clock skips whole is none.
    fn on(&self, zone: &TimeZone, date: Date) -> Option<(Timestamp, Timestamp)> {
        let last = if self.to > self.from { date } else { date.tomorrow().ok()? };
        let from = moment(zone, at_minute(date, self.from)?)?;
        let to = moment(zone, at_minute(last, self.to)?)?;
        (from < to).then_some((from, to))
    }
}

fn at_minute(date: Date, minute: u16) -> Option<DateTime> {
    match minute {
        DAY_MINUTES => Some(date.tomorrow().ok()?.at(0, 0, 0, 0)),
        minute => Some(date.at(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0)),
    }
}

/// A local time as RFC 5545 §3.3.5 has it: in a gap the offset before it, of two the first. Nothing beyond the end of time.
pub fn moment(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok().map(Timestamp::from)
}
