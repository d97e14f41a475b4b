//! Holidays out of an iCalendar file (RFC 5545), as public calendars publish them: whole days, once or every year.

use std::collections::BTreeMap;

use base::{Diagnostic, Source, Span};
use jiff::ToSpan;
use jiff::civil::Date;

use super::Holiday;

const INVALID: &str = "holidays/invalid";
/// Longer is no holiday.
const DAYS_MAX: usize = 366;
/// An event of every year is looked at no longer than that.
const YEARS_MAX: i16 = 400;

/// What is wrong with the file, each with its place.
pub type IcsError = Vec<Diagnostic>;

/// The days of all events that fall between two days, both included, in order.
///
/// # Errors
/// Everything that can't be read: an event with hours, a rule other than every year, a date that is none. Nothing is left out in silence.
pub fn holidays(source: &Source, first: Date, last: Date) -> Result<Vec<Holiday>, IcsError> {
    let mut reader = Reader { diagnostics: Vec::new(), first, last, days: BTreeMap::new() };
    let lines = unfolded(source);
    if !lines.iter().any(|line| line.is("BEGIN", "VCALENDAR")) {
        let hint = "an `.ics` file begins with `BEGIN:VCALENDAR`";
        return Err(vec![Diagnostic::error(INVALID, Span::new(0, 0), "this is no iCalendar file").hint(hint)]);
    }
    let mut event: Option<Event> = None;
    for line in &lines {
        match (&mut event, line) {
            (_, line) if line.is("BEGIN", "VEVENT") => event = Some(Event { span: line.span, ..Event::default() }),
            (Some(_), line) if line.is("END", "VEVENT") => reader.take(event.take().unwrap_or_default()),
            (Some(event), line) => event.read(line, &mut reader.diagnostics),
            (None, _) => {}
        }
    }
    if let Some(event) = event {
        reader.diagnostics.push(Diagnostic::error(INVALID, event.span, "this event has no `END:VEVENT`"));
    }
    let days = reader.days.into_iter().map(|(date, name)| Holiday { date, name });
    if reader.diagnostics.is_empty() { Ok(days.collect()) } else { Err(reader.diagnostics) }
}

/// A content line, its continuations joined: `DTSTART;VALUE=DATE:20261225`.
struct Line {
    name: String,
    value: String,
    span: Span,
}

impl Line {
    fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.value.eq_ignore_ascii_case(value)
    }
}

fn unfolded(source: &Source) -> Vec<Line> {
    let mut joined: Vec<(String, Span)> = Vec::new();
    let mut start = 0;
    for piece in source.text.split_inclusive('\n') {
        let text = piece.trim_end_matches(['\n', '\r']);
        let span = Span { start, end: start + text.len() };
        start += piece.len();
        match (text.strip_prefix([' ', '\t']), joined.last_mut()) {
            (Some(rest), Some((line, whole))) => {
                line.push_str(rest);
                whole.end = span.end;
            }
            _ => joined.push((text.to_string(), span)),
        }
    }
    let lines = joined.into_iter().filter_map(|(text, span)| {
        let (head, value) = text.split_once(':')?;
        let name = head.split(';').next().unwrap_or(head).to_ascii_uppercase();
        Some(Line { name, value: value.to_string(), span })
    });
    lines.collect()
}

#[derive(Default)]
struct Event {
    span: Span,
    start: Option<Date>,
    end: Option<Date>,
    summary: String,
    yearly: Option<Yearly>,
    without: Vec<Date>,
    cancelled: bool,
}

#[derive(Clone, Copy)]
struct Yearly {
    interval: i16,
    count: Option<u32>,
    until: Option<Date>,
    /// As the day it begins on, where the rule names them again.
    month: Option<i8>,
    day: Option<i8>,
}

const YEARLY: Yearly = Yearly { interval: 1, count: None, until: None, month: None, day: None };

impl Event {
    fn read(&mut self, line: &Line, diagnostics: &mut Vec<Diagnostic>) {
        let wrong = |message: String| Diagnostic::error(INVALID, line.span, message);
        match line.name.as_str() {
            "DTSTART" => match date(&line.value) {
                Ok(date) => self.start = Some(date),
                Err(why) => diagnostics.push(wrong(why)),
            },
            "DTEND" => match date(&line.value) {
                Ok(date) => self.end = Some(date),
                Err(why) => diagnostics.push(wrong(why)),
            },
            "EXDATE" => {
                for text in line.value.split(',') {
                    match date(text) {
                        Ok(date) => self.without.push(date),
                        Err(why) => diagnostics.push(wrong(why)),
                    }
                }
            }
            "SUMMARY" => self.summary = unescaped(&line.value),
            "STATUS" => self.cancelled = line.value.eq_ignore_ascii_case("CANCELLED"),
            "RRULE" => match yearly(&line.value) {
                Ok(rule) => self.yearly = Some(rule),
                Err(why) => diagnostics.push(wrong(why).hint("give the days one by one, or `FREQ=YEARLY`")),
            },
            "RDATE" => diagnostics.push(wrong("`RDATE` isn't read".to_string()).hint("give the days one by one")),
            _ => {}
        }
    }
}

struct Reader {
    diagnostics: Vec<Diagnostic>,
    first: Date,
    last: Date,
    days: BTreeMap<Date, String>,
}

impl Reader {
    fn take(&mut self, event: Event) {
        if event.cancelled {
            return;
        }
        let Some(start) = event.start else {
            // A date that couldn't be read has been told.
            if self.diagnostics.iter().all(|it| it.span.start < event.span.start) {
                self.diagnostics.push(Diagnostic::error(INVALID, event.span, "this event has no `DTSTART`"));
            }
            return;
        };
        // DTEND is the first day that isn't in it; without one it is a single day (RFC 5545 §3.6.1).
        let length = event.end.map_or(1, |end| start.until(end).map_or(0, |span| span.get_days())).max(1);
        if usize::try_from(length).unwrap_or(usize::MAX) > DAYS_MAX {
            self.diagnostics.push(Diagnostic::error(INVALID, event.span, "this event is longer than a year"));
            return;
        }
        let once = Yearly { count: Some(1), ..YEARLY };
        let rule = event.yearly.unwrap_or(once);
        if rule.month.is_some_and(|month| month != start.month()) || rule.day.is_some_and(|day| day != start.day()) {
            let message = "this event comes back on another day than the one it begins on, which isn't read";
            self.diagnostics.push(Diagnostic::error(INVALID, event.span, message).hint("give the days one by one"));
            return;
        }
        let mut counted = 0;
        for years in (0..YEARS_MAX).step_by(rule.interval.unsigned_abs().into()) {
            let year = start.year().saturating_add(years);
            // The 29th of February is only in years that have one.
            let Ok(date) = Date::new(year, start.month(), start.day()) else { continue };
            if rule.count.is_some_and(|count| counted >= count) || rule.until.is_some_and(|until| date > until) || date > self.last {
                break;
            }
            counted += 1;
            if event.without.contains(&date) {
                continue;
            }
            let days = (0..length).filter_map(|offset| date.checked_add(offset.days()).ok());
            for day in days.filter(|day| (self.first..=self.last).contains(day)) {
                self.days.entry(day).or_insert_with(|| event.summary.clone());
            }
        }
    }
}

fn date(text: &str) -> Result<Date, String> {
    let text = text.trim();
    if text.contains('T') {
        return Err(format!("`{text}` has an hour, and a holiday is a whole day"));
    }
    let none = || format!("`{text}` is no date like `20261225`");
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(none());
    }
    let (year, month, day) = (text[..4].parse(), text[4..6].parse(), text[6..].parse());
    let (Ok(year), Ok(month), Ok(day)) = (year, month, day) else { return Err(none()) };
    Date::new(year, month, day).map_err(|_| none())
}

fn yearly(text: &str) -> Result<Yearly, String> {
    let mut rule = YEARLY;
    let mut yearly = false;
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no part of a rule"))?;
        match key.to_ascii_uppercase().as_str() {
            "FREQ" => yearly = value.eq_ignore_ascii_case("YEARLY"),
            "INTERVAL" => {
                rule.interval = value.parse().ok().filter(|it| *it > 0).ok_or_else(|| format!("`{part}` is no number of years"))?
            }
            "COUNT" => rule.count = Some(value.parse().map_err(|_| format!("`{part}` is no number"))?),
            // A time in it is the end of that day for whole days.
            "UNTIL" => rule.until = Some(date(value.split('T').next().unwrap_or(value))?),
            "BYMONTH" => rule.month = Some(value.parse().map_err(|_| format!("`{part}` is no single month"))?),
            "BYMONTHDAY" => rule.day = Some(value.parse().map_err(|_| format!("`{part}` is no single day"))?),
            "WKST" => {}
            _ => return Err(format!("a rule with `{part}` isn't read")),
        }
    }
    if yearly { Ok(rule) } else { Err(format!("the rule `{text}` isn't read")) }
}

/// RFC 5545 §3.3.11.
fn unescaped(text: &str) -> String {
    let mut res = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => res.push(' '),
                Some(other) => res.push(other),
                None => {}
            },
            c => res.push(c),
        }
    }
    res
}
