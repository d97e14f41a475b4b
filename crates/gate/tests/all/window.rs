//! Windows at the moments that matter: ends, holidays, clocks that change, what closes against what opens.

#![allow(clippy::unwrap_used)]

use std::str::FromStr;

use base::{Source, Timestamp, diagnostic};
use gate::window::{Calendar, Closed, Days, Holiday, Period, State, Weekly, holidays};

/// The office hours of the platform team: Monday to Thursday 9 to 16, Friday until noon.
fn office(timezone: &str) -> Calendar {
    let weekly = |days: &str, from, to| Weekly { days: Days::from_str(days).unwrap(), from, to };
    Calendar { timezone: timezone.into(), weekly: vec![weekly("mon-thu", 540, 960), weekly("fri", 540, 720)], ..Calendar::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn says(calendar: &Calendar, now: &str) -> String {
    calendar.state(&[], at(now)).sentence(calendar)
}

#[test]
fn a_week_opens_and_closes_to_the_millisecond() {
    let berlin = office("Europe/Berlin");
    let rows = [
        ("2026-11-25T07:59:59.999Z", "closed: outside the weekly windows; opens Wed 2026-11-25 09:00 CET, until Wed 2026-11-25 16:00 CET"),
        ("2026-11-25T08:00:00Z", "open until Wed 2026-11-25 16:00 CET, then outside the weekly windows"),
        ("2026-11-25T14:59:59.999Z", "open until Wed 2026-11-25 16:00 CET, then outside the weekly windows"),
        ("2026-11-25T15:00:00Z", "closed: outside the weekly windows; opens Thu 2026-11-26 09:00 CET, until Thu 2026-11-26 16:00 CET"),
        ("2026-11-27T11:00:00Z", "closed: outside the weekly windows; opens Mon 2026-11-30 09:00 CET, until Mon 2026-11-30 16:00 CET"),
        // In summer the same hours are other moments.
        ("2026-07-01T07:00:00Z", "open until Wed 2026-07-01 16:00 CEST, then outside the weekly windows"),
        // A leap day is a day.
        ("2028-02-29T08:00:00Z", "open until Tue 2028-02-29 16:00 CET, then outside the weekly windows"),
    ];
    for (now, expected) in rows {
        assert_eq!(says(&berlin, now), expected, "{now}");
    }
}

#[test]
fn a_night_reaches_into_the_next_day_and_a_day_has_an_end() {
    let mut night = office("America/New_York");
    night.weekly = vec![Weekly { days: Days::from_str("sat").unwrap(), from: 22 * 60, to: 2 * 60 }];
    assert!(night.state(&[], at("2026-11-22T06:59:59Z")).is_open(), "Sunday, 01:59:59");
    assert!(!night.state(&[], at("2026-11-22T07:00:00Z")).is_open(), "Sunday, 02:00");
    night.weekly = vec![Weekly { days: Days::from_str("sat,sun").unwrap(), from: 0, to: 24 * 60 }];
    assert_eq!(says(&night, "2026-11-21T12:00:00Z"), "open until Mon 2026-11-23 00:00 EST, then outside the weekly windows");
}

#[test]
fn hours_that_a_clock_skips_or_shows_twice() {
    let at_night = |from, to| {
        let weekly = vec![Weekly { days: Days::from_str("daily").unwrap(), from, to }];
        Calendar { timezone: "Europe/Berlin".into(), weekly, ..Calendar::default() }
    };
    // On 2026-03-29 02:00 CET is 03:00 CEST: 02:30 by the old offset is 03:30 by the new one.
    let state = at_night(150, 240).state(&[], at("2026-03-29T00:00:00Z"));
    assert_eq!(state.changes(), Some(at("2026-03-29T01:30:00Z")));
    // On 2026-10-25 02:30 comes twice; the first counts, for the beginning and for the end.
    let state = at_night(60, 150).state(&[], at("2026-10-25T00:00:00Z"));
    assert_eq!(state.changes(), Some(at("2026-10-25T00:30:00Z")));
}

#[test]
fn what_closes_beats_what_opens() {
    let mut berlin = office("Europe/Berlin");
    let period = |from: &str, to: Option<&str>, reason: &str| Period { from: at(from), to: to.map(at), reason: reason.into() };
    berlin.holidays = vec![Holiday { date: "2026-12-25".parse().unwrap(), name: "Christmas".into() }];
    assert_eq!(
        says(&berlin, "2026-12-25T09:00:00Z"),
        "closed: a holiday (Christmas); opens Mon 2026-12-28 09:00 CET, until Mon 2026-12-28 16:00 CET"
    );
    assert_eq!(says(&berlin, "2026-12-24T10:00:00Z"), "open until Thu 2026-12-24 16:00 CET, then outside the weekly windows");

    berlin.openings = vec![period("2026-12-25T09:30:00Z", Some("2026-12-25T10:00:00Z"), "the tax change")];
    assert_eq!(says(&berlin, "2026-12-25T09:45:00Z"), "open until Fri 2026-12-25 11:00 CET, then a holiday (Christmas)");

    berlin.freezes = vec![period("2026-12-20T00:00:00Z", Some("2027-01-04T00:00:00Z"), "the sale")];
    assert_eq!(
        says(&berlin, "2026-12-25T09:45:00Z"),
        "closed: frozen (the sale); opens Mon 2027-01-04 09:00 CET, until Mon 2027-01-04 16:00 CET"
    );

    // What somebody called lasts until somebody ends it.
    let called = [period("2027-01-04T10:00:00Z", None, "the database is being moved")];
    let state = berlin.state(&called, at("2027-01-05T10:00:00Z"));
    assert_eq!(state, State::Closed { why: Closed::Freeze { reason: "the database is being moved".into() }, opens: None, closes: None });
    assert_eq!(state.sentence(&berlin), "closed: frozen (the database is being moved); no opening is in sight");
    let open = berlin.state(&called, at("2027-01-04T09:00:00Z"));
    assert_eq!(open.sentence(&berlin), "open until Mon 2027-01-04 11:00 CET, then frozen (the database is being moved)");
    let for_a_while = [period("2027-01-04T10:00:00Z", Some("2027-01-04T10:30:20Z"), "a look")];
    let frozen = berlin.state(&for_a_while, at("2027-01-04T10:10:00Z")).sentence(&berlin);
    assert!(frozen.starts_with("closed: frozen (a look); opens Mon 2027-01-04 11:30:20 CET"), "{frozen}");
}

#[test]
fn nothing_said_is_open_and_a_zone_nobody_knows_is_closed() {
    let state = Calendar::default().state(&[], at("2026-11-25T03:00:00Z"));
    assert_eq!(state, State::Open { closes: None });
    assert_eq!(
        says(&office("Europe/Berlim"), "2026-11-25T10:00:00Z"),
        "closed: frozen (the time zone `Europe/Berlim` is not known here); no opening is in sight"
    );
}

const ICS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Christmas \r\n  Day\\, and\r\n  the next\r\nDTSTART;VALUE=DATE:20201225\r\n\
DTEND;VALUE=DATE:20201227\r\nRRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART:20260101\r\nSUMMARY:New Year\r\n\
END:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20240229\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Leap\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\n\
DTSTART;VALUE=DATE:20260601\r\nSTATUS:CANCELLED\r\nSUMMARY:No\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn days(text: &str) -> Result<Vec<String>, String> {
    let source = Source::new("holidays.ics", text);
    match holidays(&source, "2026-01-01".parse().unwrap(), "2028-12-31".parse().unwrap()) {
        Ok(days) => Ok(days.iter().map(|day| format!("{} {}", day.date, day.name)).collect()),
        Err(diagnostics) => Err(diagnostic::render(&source, &diagnostics, false)),
    }
}

#[test]
fn holidays_are_read_from_a_calendar_file() {
    let christmas = |day: &str| format!("{day} Christmas  Day, and the next");
    assert_eq!(
        days(ICS).unwrap(),
        [
            "2026-01-01 New Year".to_string(),
            christmas("2026-12-25"),
            christmas("2026-12-26"),
            christmas("2027-12-25"),
            christmas("2027-12-26"),
            "2028-02-29 Leap".to_string(),
            christmas("2028-12-25"),
            christmas("2028-12-26"),
        ]
    );
}

#[test]
fn everything_wrong_in_a_calendar_file_is_told_with_its_line() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225T090000Z\nEND:VEVENT\nBEGIN:VEVENT\nDTSTART:20261301\n\
                RRULE:FREQ=WEEKLY\nEND:VEVENT\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\nBEGIN:VEVENT\nDTSTART:20260101\n";
    let told = days(text).unwrap_err();
    for expected in [
        "holidays.ics:3:1",
        "`20261225T090000Z` has an hour, and a holiday is a whole day",
        "holidays.ics:6:1",
        "`20261301` is no date like `20261225`",
        "holidays.ics:7:1",
        "the rule `FREQ=WEEKLY` isn't read",
        "holidays.ics:9:1",
        "this event has no `DTSTART`",
        "this event has no `END:VEVENT`",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(days("<html>").unwrap_err().contains("this is no iCalendar file"));
}
