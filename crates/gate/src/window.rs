//! When an environment may be changed: weekly windows in a time zone, holidays, openings and freezes.
//!
//! What closes beats what opens, as at Argo CD: a freeze beats an opening, an opening beats holidays and the week. A local time that a
//! clock skips or shows twice is what RFC 5545 §3.3.5 makes of it: the offset before the gap, the first of the two.

mod ics;
mod week;

use base::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use ics::{IcsError, holidays};
pub use week::{Days, Weekly, moment};

/// What an environment keeps to, chosen before a release begins and stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calendar {
    /// A name of the IANA database; empty for UTC.
    pub timezone: String,
    /// Open in one of these; without any the whole week is.
    pub weekly: Vec<Weekly>,
    pub holidays: Vec<Holiday>,
    pub openings: Vec<Period>,
    pub freezes: Vec<Period>,
}

/// A whole day, by the clock of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    /// `2026-12-25`.
    pub date: jiff::civil::Date,
    pub name: String,
}

/// From a moment on, up to but not including another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    pub from: Timestamp,
    /// Nothing: until someone ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    pub reason: String,
}

/// How it stands at a moment, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Open {
        /// When it closes and why; nothing where it never does.
        closes: Option<(Timestamp, Closed)>,
    },
    Closed {
        why: Closed,
        opens: Option<Timestamp>,
        /// When that opening ends.
        closes: Option<Timestamp>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    Week,
    Holiday { name: String },
    Freeze { reason: String },
}

/// More changes than this between two answers nobody's calendar has.
const CHANGES_MAX: usize = 20_000;

impl Period {
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

impl Closed {
    /// `frozen (the sale)`.
    pub fn sentence(&self) -> String {
        match self {
            Closed::Week => "outside the weekly windows".to_string(),
            Closed::Holiday { name } => format!("a holiday ({name})"),
            Closed::Freeze { reason } => format!("frozen ({reason})"),
        }
    }
}

impl Calendar {
    /// Whether it says anything at all.
    pub fn is_empty(&self) -> bool {
        self.weekly.is_empty() && self.holidays.is_empty() && self.freezes.is_empty()
    }

    /// The zone, or that nobody knows it.
    ///
    /// # Errors
    /// The name, where the database has none of it.
    pub fn zone(&self) -> Result<TimeZone, String> {
        if self.timezone.is_empty() { Ok(TimeZone::UTC) } else { TimeZone::get(&self.timezone).map_err(|_| self.timezone.clone()) }
    }

    /// How it stands; `frozen` are the freezes people called, beside those of the calendar.
    ///
    /// A zone that nobody knows closes: what can't be read is never a yes.
    pub fn state(&self, frozen: &[Period], now: Timestamp) -> State {
        let zone = match self.zone() {
            Ok(zone) => zone,
            Err(name) => {
                let why = Closed::Freeze { reason: format!("the time zone `{name}` is not known here") };
                return State::Closed { why, opens: None, closes: None };
            }
        };
        let view = View { calendar: self, frozen, zone };
        match view.closed(now) {
            None => State::Open { closes: view.next(now, |closed| closed.is_some()).and_then(|(at, why)| Some((at, why?))) },
            Some(why) => {
                let opens = view.next(now, |closed| closed.is_none()).map(|(at, _)| at);
                let closes = opens.and_then(|opens| view.next(opens, |closed| closed.is_some())).map(|(at, _)| at);
                State::Closed { why, opens, closes }
            }
        }
    }

    /// `Thu 2026-11-26 09:00 CET`: a moment by the calendar's clock, for people; with seconds where a freeze ends in a minute's midst.
    pub fn clock(&self, at: Timestamp) -> String {
        let at = at.instant().to_zoned(self.zone().unwrap_or(TimeZone::UTC));
        let time = if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
        at.strftime(&format!("%a %Y-%m-%d {time} %Z")).to_string()
    }
}

impl State {
    pub fn is_open(&self) -> bool {
        matches!(self, State::Open { .. })
    }

    /// When it is worth looking again.
    pub fn changes(&self) -> Option<Timestamp> {
        match self {
            State::Open { closes } => closes.as_ref().map(|(at, _)| *at),
            State::Closed { opens, .. } => *opens,
        }
    }

    /// `closed: a holiday (Christmas); opens Mon 2026-12-28 09:00 CET, until Mon 2026-12-28 16:00 CET`.
    pub fn sentence(&self, calendar: &Calendar) -> String {
        match self {
            State::Open { closes: None } => "open".to_string(),
            State::Open { closes: Some((at, why)) } => format!("open until {}, then {}", calendar.clock(*at), why.sentence()),
            State::Closed { why, opens: None, .. } => format!("closed: {}; no opening is in sight", why.sentence()),
            State::Closed { why, opens: Some(opens), closes } => {
                let until = closes.map(|closes| format!(", until {}", calendar.clock(closes))).unwrap_or_default();
                format!("closed: {}; opens {}{until}", why.sentence(), calendar.clock(*opens))
            }
        }
    }
}

/// A calendar with what people called, and its zone at hand.
struct View<'a> {
    calendar: &'a Calendar,
    frozen: &'a [Period],
    zone: TimeZone,
}

impl View<'_> {
    fn closed(&self, at: Timestamp) -> Option<Closed> {
        let calendar = self.calendar;
        if let Some(freeze) = self.frozen.iter().chain(&calendar.freezes).find(|freeze| freeze.holds(at)) {
            return Some(Closed::Freeze { reason: freeze.reason.clone() });
        }
        if calendar.openings.iter().any(|opening| opening.holds(at)) {
            return None;
        }
        let holiday = calendar.holidays.iter().find(|holiday| {
            let (from, to) = self.day(holiday);
            from.is_some_and(|from| from <= at) && to.is_none_or(|to| at < to)
        });
        if let Some(holiday) = holiday {
            return Some(Closed::Holiday { name: holiday.name.clone() });
        }
        let open = calendar.weekly.is_empty() || calendar.weekly.iter().any(|weekly| weekly.holds(&self.zone, at));
        (!open).then_some(Closed::Week)
    }

    /// The next moment at which it stands as asked.
    fn next(&self, after: Timestamp, asked: impl Fn(&Option<Closed>) -> bool) -> Option<(Timestamp, Option<Closed>)> {
        let mut at = after;
        for _ in 0..CHANGES_MAX {
            at = self.boundary(at)?;
            let closed = self.closed(at);
            if asked(&closed) {
                return Some((at, closed));
            }
        }
        None
    }

    /// The next moment at which anything may change.
    fn boundary(&self, after: Timestamp) -> Option<Timestamp> {
        let calendar = self.calendar;
        let periods = self.frozen.iter().chain(&calendar.freezes).chain(&calendar.openings);
        let periods = periods.flat_map(|period| [Some(period.from), period.to]);
        let days = calendar.holidays.iter().flat_map(|holiday| {
            let (from, to) = self.day(holiday);
            [from, to]
        });
        let weeks = calendar.weekly.iter().map(|weekly| weekly.boundary(&self.zone, after));
        periods.chain(days).chain(weeks).flatten().filter(|at| *at > after).min()
    }

    fn day(&self, holiday: &Holiday) -> (Option<Timestamp>, Option<Timestamp>) {
        let midnight = |date: jiff::civil::Date| moment(&self.zone, date.at(0, 0, 0, 0));
        (midnight(holiday.date), holiday.date.tomorrow().ok().and_then(midnight))
    }
}
