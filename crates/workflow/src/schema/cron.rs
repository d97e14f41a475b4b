//! The five fields of a schedule, as GitHub reads them.

use base::Span;

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names for the numbers from `min` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of the month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] },
    Field { name: "day of the week", min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// What is wrong with a schedule, and where in its text.
pub fn complaint(cron: &str) -> Option<(Span, String)> {
    let whole = Span::new(0, cron.len());
    let fields: Vec<(usize, &str)> = words(cron).collect();
    if fields.len() != FIELDS.len() {
        let message = format!("a schedule has five fields (minute, hour, day, month, day of the week), this has {}", fields.len());
        return Some((whole, message));
    }
    FIELDS.iter().zip(fields).find_map(|(field, (at, text))| {
        let wrong = text.split(',').find(|part| !field.takes(part))?;
        let hint = match wrong {
            "" => "an empty entry".to_owned(),
            wrong => format!("`{wrong}`"),
        };
        let message = format!("{hint} is no {}: it goes from {} to {}", field.name, field.min, field.max);
        Some((Span::new(at, at + text.len()), message))
    })
}

/// A schedule that is right, taken apart: the bits of each field that count.
#[derive(Debug)]
pub(crate) struct Fields {
    bits: [u64; 5],
    /// Of day and weekday, whether it begins with `*`: only two that don't are an either-or.
    open: [bool; 2],
    every_hour: bool,
}

/// Nothing where the text is no schedule.
pub(crate) fn fields(cron: &str) -> Option<Fields> {
    if complaint(cron).is_some() {
        return None;
    }
    let texts: Vec<&str> = cron.split_whitespace().collect();
    let mut bits = [0; 5];
    for ((bits, field), text) in bits.iter_mut().zip(&FIELDS).zip(&texts) {
        *bits = text.split(',').map(|part| field.bits(part)).fold(0, |all, part| all | part);
    }
    let open = [texts[2].starts_with('*'), texts[4].starts_with('*')];
    Some(Fields { bits, open, every_hour: texts[1] == "*" })
}

impl Fields {
    pub(crate) fn is_time(&self, hour: u8, minute: u8) -> bool {
        self.has(0, minute) && self.has(1, hour)
    }

    /// The day of the week counts from 0, a Sunday.
    pub(crate) fn is_day(&self, month: u8, day: u8, weekday: u8) -> bool {
        let (day, weekday) = (self.has(2, day), self.has(4, weekday));
        let either = self.open == [false, false];
        self.has(3, month) && if either { day || weekday } else { day && weekday }
    }

    pub(crate) fn every_hour(&self) -> bool {
        self.every_hour
    }

    fn has(&self, field: usize, value: u8) -> bool {
        self.bits[field] & (1_u64 << value) != 0
    }
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace().map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

impl Field {
    /// `*`, `5`, `1-5`, `*/15`, `1-5/2`, `jan`.
    fn takes(&self, part: &str) -> bool {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step_ok = step.is_none_or(|step| number(step).is_some_and(|step| step > 0 && step <= self.max));
        step_ok && self.takes_range(range)
    }

    /// Of a part that it takes: a bit for each value. `5/15` goes on to the end.
    fn bits(&self, part: &str) -> u64 {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, number(step)));
        let value = |text: &str| self.value(text).unwrap_or(self.min);
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((from, to)) => (value(from), value(to)),
            None => (value(range), if step.is_some() { self.max } else { value(range) }),
        };
        (from..=to).step_by(step.unwrap_or(1).max(1) as usize).fold(0, |bits, value| bits | 1 << value)
    }

    fn takes_range(&self, range: &str) -> bool {
        if range == "*" {
            return true;
        }
        match range.split_once('-') {
            Some((from, to)) => matches!((self.value(from), self.value(to)), (Some(from), Some(to)) if from <= to),
            None => self.value(range).is_some(),
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => u32::try_from(index).ok()? + self.min,
            None => number(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for cron in ["0 0 * * *", "*/15 * * * *", "0 9-17/2 1,15 jan-mar MON", "5 4 * * 0"] {
            assert_eq!(complaint(cron), None, "{cron}");
        }
        let wrong = [
            ("* * * *", "a schedule has five fields (minute, hour, day, month, day of the week), this has 4"),
            ("60 * * * *", "`60` is no minute: it goes from 0 to 59"),
            ("0 5-3 * * *", "`5-3` is no hour: it goes from 0 to 23"),
            ("0 0 0 * *", "`0` is no day of the month: it goes from 1 to 31"),
            ("0 0 * foo *", "`foo` is no month: it goes from 1 to 12"),
            ("0 0 * * 7", "`7` is no day of the week: it goes from 0 to 6"),
            ("*/0 * * * *", "`*/0` is no minute: it goes from 0 to 59"),
            ("0,,1 * * * *", "an empty entry is no minute: it goes from 0 to 59"),
        ];
        for (cron, message) in wrong {
            assert_eq!(complaint(cron).expect("it is wrong").1, message, "{cron}");
        }
    }
}
