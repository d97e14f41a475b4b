//! What a project asks of its gate: evidence, hours, people.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use base::yaml::{Mapping, Node};
use base::{Diagnostic, People, Source, Timestamp};
use gate::approval::{Approvals, Rule, When};
use gate::check::Check;
use gate::commits;
use gate::incident::Incidents;
use gate::level::coverage_min_percent;
use gate::protection::Protection;
use gate::window::{Calendar, Days, Holiday, Period, Weekly, holidays, moment};
use gate::{FindingsMax, GatePlan, Level};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::slo::Slo;
use super::{Reader, VALUE};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gate {
    pub coverage: Option<f64>,
    /// How much of a service matters, 1 most; it says what coverage is asked where nothing else does.
    pub tier: Option<u8>,
    pub findings: Findings,
    /// The least build level of SLSA.
    pub provenance: Option<u8>,
    pub signed: Option<bool>,
    pub keys: Vec<Key>,
    pub require: BTreeSet<gate::EvidenceKind>,
    pub regression_threshold_percent: Option<f64>,
    pub calendar: Calendar,
    /// A file of the commit with the holidays that aren't listed.
    pub holidays_file: Option<String>,
    pub approvals: Approvals,
    /// Who is in a team.
    pub teams: BTreeMap<String, BTreeSet<String>>,
    /// How many answer for an override.
    pub override_people: Option<u32>,
    pub slo: Slo,
    /// Who knows which are open.
    pub incidents: Option<Incidents>,
    pub checks: Vec<Check>,
    /// Who knows how the branch is protected.
    pub protection: Option<Protection>,
    /// What messages of commits have to be like.
    pub commits: Option<commits::Rules>,
}

/// A key that is trusted, in a file of the commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub file: String,
    pub builder: Option<String>,
    pub level: u8,
    pub expires: Option<Timestamp>,
}

/// How many may ship; `Some(None)` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Findings {
    pub critical: Option<Option<u64>>,
    pub high: Option<Option<u64>>,
    pub medium: Option<Option<u64>>,
    pub low: Option<Option<u64>>,
    pub secrets: Option<Option<u64>>,
}

impl Findings {
    pub fn over(&self, most: FindingsMax) -> FindingsMax {
        FindingsMax {
            critical: self.critical.unwrap_or(most.critical),
            high: self.high.unwrap_or(most.high),
            medium: self.medium.unwrap_or(most.medium),
            low: self.low.unwrap_or(most.low),
            secrets: self.secrets.unwrap_or(most.secrets),
        }
    }
}

impl Gate {
    /// What is asked at a level, where nothing here says otherwise.
    pub fn plan(&self, level: Option<Level>) -> GatePlan {
        let at = GatePlan::at(level);
        GatePlan {
            coverage_min_percent: self.coverage.unwrap_or_else(|| coverage_min_percent(self.tier.unwrap_or(1))),
            findings_max: self.findings.over(at.findings_max),
            provenance_min: self.provenance.unwrap_or(at.provenance_min),
            signed: self.signed.unwrap_or(at.signed),
            regression_threshold_percent: self.regression_threshold_percent,
            evidence_required: self.require.clone(),
            calendar: self.calendar.clone(),
            approvals: self.approvals.clone(),
            override_people: self.override_people.unwrap_or(at.override_people),
            incidents: self.incidents.clone(),
            checks: self.checks.clone(),
            protection: self.protection.clone(),
            commits: self.commits.clone(),
            ..at
        }
    }
}

pub(super) const GATE: &[&str] = &[
    "coverage",
    "tier",
    "findings",
    "provenance",
    "signed",
    "keys",
    "require",
    "benchmarks",
    "window",
    "approvals",
    "teams",
    "people",
    "override",
    "slo",
    "incidents",
    "checks",
    "protection",
    "commits",
];
pub(super) const KEY: &[&str] = &["name", "file", "builder", "level", "expires"];
pub(super) const FINDINGS: &[&str] = &["critical", "high", "medium", "low", "secrets"];
pub(super) const BENCHMARKS: &[&str] = &["regressionThreshold"];
pub(super) const WINDOW: &[&str] = &["timezone", "weekly", "holidays", "freezes", "openings"];
pub(super) const PERIOD: &[&str] = &["from", "to", "reason"];
pub(super) const APPROVALS: &[&str] = &["rules", "inOrder", "expires"];
pub(super) const OVERRIDE: &[&str] = &["people"];
pub(super) const RULE: &[&str] = &["from", "count", "when"];
pub(super) const COMMITS: &[&str] = &["types", "scopes", "subjectMax"];

/// Holidays of the file are read that far ahead: a release that waits longer is asked for again.
const YEARS_AHEAD: i64 = 2;

/// The holidays of a calendar file from this year on.
///
/// # Errors
/// Everything in it that can't be read.
pub fn holidays_from(source: &Source, now: Timestamp) -> Result<Vec<Holiday>, Vec<Diagnostic>> {
    let today = now.instant().to_zoned(TimeZone::UTC).date();
    let last = today.checked_add(jiff::Span::new().years(YEARS_AHEAD)).unwrap_or(Date::MAX);
    // Where it is tomorrow already, or still yesterday.
    holidays(source, today.yesterday().unwrap_or(today), last)
}

impl Reader {
    /// `base` is what holds where a key isn't there.
    pub(super) fn gate(&mut self, node: &Node, base: &Gate) -> Option<Gate> {
        let mapping = self.closed(node, GATE)?;
        let mut gate = base.clone();
        // What is said of coverage in a place goes before the tier of the whole, and the other way round.
        if mapping.get("tier").is_some() && mapping.get("coverage").is_none() {
            gate.coverage = None;
        }
        gate.coverage = self.at(mapping, "coverage", |reader, node| reader.number(node, 0.0, 100.0)).or(gate.coverage);
        gate.tier = self.at(mapping, "tier", |reader, node| reader.whole(node, 1, 3)).map(|tier| tier as u8).or(gate.tier);
        gate.findings = self.at(mapping, "findings", |reader, node| reader.findings(node, base.findings)).unwrap_or(gate.findings);
        let provenance = self.at(mapping, "provenance", |reader, node| reader.whole(node, 0, 3));
        gate.provenance = provenance.map(|level| level as u8).or(gate.provenance);
        gate.signed = self.at(mapping, "signed", Self::boolean).or(gate.signed);
        gate.keys = self.at(mapping, "keys", |reader, node| reader.list(node, Self::key)).unwrap_or(gate.keys);
        let require = self.at(mapping, "require", |reader, node| reader.list(node, Self::evidence));
        gate.require = require.map_or(gate.require, |kinds| kinds.into_iter().collect());
        let threshold = self.at(mapping, "benchmarks", Self::benchmarks).flatten();
        gate.regression_threshold_percent = threshold.or(gate.regression_threshold_percent);
        if let Some((calendar, file)) = self.at(mapping, "window", |reader, node| reader.window(node, base)) {
            (gate.calendar, gate.holidays_file) = (calendar, file);
        }
        gate.teams.extend(self.at(mapping, "teams", Self::names).unwrap_or_default());
        let mut people = gate.approvals.people.clone();
        people.0.extend(self.at(mapping, "people", Self::names).unwrap_or_default());
        let approvals = self.at(mapping, "approvals", |reader, node| reader.approvals(node, &gate.teams)).unwrap_or(gate.approvals);
        gate.approvals = Approvals { people, ..approvals };
        gate.override_people = self.at(mapping, "override", Self::override_people).or(gate.override_people);
        gate.slo = self.at(mapping, "slo", Self::slo).unwrap_or(gate.slo);
        gate.incidents = self.at(mapping, "incidents", Self::incidents).or(gate.incidents);
        gate.checks = self.at(mapping, "checks", Self::checks).unwrap_or(gate.checks);
        gate.protection = self.at(mapping, "protection", Self::branch_protection).or(gate.protection);
        gate.commits = self.at(mapping, "commits", Self::commits).or(gate.commits);
        Some(gate)
    }

    fn key(&mut self, node: &Node) -> Option<Key> {
        let mapping = self.closed(node, KEY)?;
        let name = self.needed(node, mapping, "name").and_then(|node| self.text(node));
        let file = self.needed(node, mapping, "file").and_then(|node| self.text(node));
        let expires = mapping.get("expires").and_then(|_| self.moment(node, mapping, "expires", &TimeZone::UTC, false));
        Some(Key {
            name: name?,
            file: file?,
            builder: self.at(mapping, "builder", Self::text),
            level: self.at(mapping, "level", |reader, node| reader.whole(node, 1, 3)).map_or(1, |level| level as u8),
            expires,
        })
    }

    fn findings(&mut self, node: &Node, base: Findings) -> Option<Findings> {
        let mapping = self.closed(node, FINDINGS)?;
        let mut most = |key: &str| {
            self.at(mapping, key, |reader, node| match node.as_str() {
                Some("any") => Some(None),
                _ => reader.whole(node, 0, 1_000_000).map(Some),
            })
        };
        Some(Findings {
            critical: most("critical").or(base.critical),
            high: most("high").or(base.high),
            medium: most("medium").or(base.medium),
            low: most("low").or(base.low),
            secrets: most("secrets").or(base.secrets),
        })
    }

    fn benchmarks(&mut self, node: &Node) -> Option<Option<f64>> {
        let mapping = self.closed(node, BENCHMARKS)?;
        Some(self.at(mapping, "regressionThreshold", Self::percent))
    }

    /// `10%`, or the number alone.
    pub(super) fn percent(&mut self, node: &Node) -> Option<f64> {
        let is_digit = |c: char| c.is_ascii_digit();
        let digits = |text: &str| text.starts_with(is_digit) && text.ends_with(is_digit) && text.chars().all(|c| is_digit(c) || c == '.');
        let written = || node.as_str()?.strip_suffix('%').filter(|text| digits(text))?.parse().ok();
        let percent = node.as_number().or_else(written).filter(|percent| percent.is_finite() && *percent >= 0.0);
        if percent.is_none() {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "a percentage is expected here, 0 or more").hint("`10%`"));
        }
        percent
    }

    fn commits(&mut self, node: &Node) -> Option<commits::Rules> {
        if node.as_str() == Some("conventional") {
            return Some(commits::Rules::default());
        }
        if node.as_mapping().is_none() {
            self.wrong(node, "`conventional`, or a mapping with `types`, `scopes` or `subjectMax`,");
            return None;
        }
        let mapping = self.closed(node, COMMITS)?;
        let mut words = |key: &str, why: &str| {
            let words = self.at(mapping, key, |reader, node| {
                let words = reader.list(node, Self::text)?;
                if words.is_empty() {
                    reader.diagnostics.push(Diagnostic::error(VALUE, node.span, why));
                }
                Some(words)
            });
            words.unwrap_or_default()
        };
        let types = words("types", "without types no message keeps the rules; without the key every type does");
        let scopes = words("scopes", "without scopes no message with one keeps the rules; without the key every scope does");
        let subject_max = self.at(mapping, "subjectMax", |reader, node| reader.whole(node, 10, commits::SUBJECT_MAX));
        Some(commits::Rules { types, scopes, subject_max })
    }

    fn override_people(&mut self, node: &Node) -> Option<u32> {
        let mapping = self.closed(node, OVERRIDE)?;
        self.at(mapping, "people", |reader, node| reader.whole(node, 1, 2)).map(|count| count as u32)
    }

    fn evidence(&mut self, node: &Node) -> Option<gate::EvidenceKind> {
        let found = gate::EvidenceKind::ALL.into_iter().find(|kind| node.as_str() == Some(kind.as_str()));
        if found.is_none() {
            let names = gate::EvidenceKind::ALL.map(gate::EvidenceKind::as_str);
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("evidence is one of {}", names.join(", "))));
        }
        found
    }

    fn window(&mut self, node: &Node, base: &Gate) -> Option<(Calendar, Option<String>)> {
        let mapping = self.closed(node, WINDOW)?;
        let mut calendar = base.calendar.clone();
        calendar.timezone = self.at(mapping, "timezone", Self::timezone).unwrap_or(calendar.timezone);
        calendar.weekly = self.at(mapping, "weekly", |reader, node| reader.list(node, Self::weekly)).unwrap_or(calendar.weekly);
        // One that isn't known has been told.
        let zone = calendar.zone().unwrap_or(TimeZone::UTC);
        let mut file = base.holidays_file.clone();
        match mapping.get("holidays") {
            Some(node) if node.as_str().is_some() => file = self.text(node),
            Some(node) => (calendar.holidays, file) = (self.list(node, Self::holiday).unwrap_or_default(), None),
            None => {}
        }
        let periods = |reader: &mut Reader, node: &Node| reader.list(node, |reader, node| reader.period(node, &zone));
        calendar.freezes = self.at(mapping, "freezes", periods).unwrap_or(calendar.freezes);
        calendar.openings = self.at(mapping, "openings", periods).unwrap_or(calendar.openings);
        Some((calendar, file))
    }

    fn timezone(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node)?;
        if TimeZone::get(&name).is_err() {
            let message = format!("the time zone `{name}` is not known");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("a name such as `Europe/Berlin`, or `UTC`"));
        }
        Some(name)
    }

    /// `mon-thu 09:00-16:00`.
    fn weekly(&mut self, node: &Node) -> Option<Weekly> {
        let text = self.text(node)?;
        let read = |text: &str| -> Result<Weekly, String> {
            let (days, hours) = text.trim().rsplit_once(' ').ok_or("days and hours are expected")?;
            let (from, to) = hours.split_once('-').ok_or_else(|| format!("`{hours}` are no hours"))?;
            let (from, to) = (minutes(from)?, minutes(to)?);
            if from == 24 * 60 {
                return Err("a window begins at 23:59 at the latest".to_string());
            }
            Ok(Weekly { days: Days::from_str(days)?, from, to })
        };
        match read(&text) {
            Ok(weekly) => Some(weekly),
            Err(why) => {
                let message = format!("`{text}` is no weekly window: {why}");
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`mon-thu 09:00-16:00`, `sat,sun 22:00-02:00`"));
                None
            }
        }
    }

    /// `2026-12-25 Christmas`.
    fn holiday(&mut self, node: &Node) -> Option<Holiday> {
        let text = self.text(node)?;
        let (day, name) = text.split_once(' ').unwrap_or((&text, "holiday"));
        match day.parse() {
            Ok(date) => Some(Holiday { date, name: name.trim().to_string() }),
            Err(_) => {
                let message = format!("`{text}` is no day with a name");
                let hint = "`2026-12-25 Christmas`; a text in place of the list is the name of an iCalendar file";
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint(hint));
                None
            }
        }
    }

    fn period(&mut self, node: &Node, zone: &TimeZone) -> Option<Period> {
        let mapping = self.closed(node, PERIOD)?;
        let from = self.moment(node, mapping, "from", zone, false);
        let to = self.moment(node, mapping, "to", zone, true);
        let reason = self.needed(node, mapping, "reason").and_then(|node| self.text(node));
        let (from, to, reason) = (from?, to?, reason?);
        if to <= from {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "this ends before it begins"));
            return None;
        }
        Some(Period { from, to: Some(to), reason })
    }

    pub(super) fn needed<'a>(&mut self, node: &Node, mapping: &'a Mapping, key: &str) -> Option<&'a Node> {
        let found = mapping.get(key);
        if found.is_none() {
            self.diagnostics.push(Diagnostic::error("config/missing-key", node.span, format!("`{key}` is missing")));
        }
        found
    }

    /// A day, or a day and a time, by the calendar's clock; a day as an end is in it.
    fn moment(&mut self, node: &Node, mapping: &Mapping, key: &str, zone: &TimeZone, is_end: bool) -> Option<Timestamp> {
        let node = self.needed(node, mapping, key)?;
        let text = self.text(node)?;
        let civil: Option<DateTime> = match text.parse::<Date>().ok().filter(|_| text.len() <= 10) {
            Some(date) => (if is_end { date.tomorrow() } else { Ok(date) }).ok().map(|date| date.at(0, 0, 0, 0)),
            None => text.replace(' ', "T").parse().ok(),
        };
        let moment = civil.and_then(|civil| moment(zone, civil));
        if moment.is_none() {
            let message = format!("`{text}` is no day, and no day with a time");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`2026-12-20` or `2026-12-20 18:00`"));
        }
        moment
    }

    /// Names by name: who is in a team, or what else a person is called.
    fn names(&mut self, node: &Node) -> Option<BTreeMap<String, BTreeSet<String>>> {
        let Some(mapping) = node.as_mapping() else {
            self.wrong(node, "a mapping of names to lists of names");
            return None;
        };
        let mut names = BTreeMap::new();
        for (key, value) in mapping.iter() {
            let listed = self.list(value, Self::text).unwrap_or_default();
            names.insert(key.text.clone(), listed.into_iter().collect());
        }
        Some(names)
    }

    fn approvals(&mut self, node: &Node, teams: &BTreeMap<String, BTreeSet<String>>) -> Option<Approvals> {
        let mapping = self.closed(node, APPROVALS)?;
        let rules = self.at(mapping, "rules", |reader, node| reader.list(node, |reader, node| reader.rule(node, teams)));
        if mapping.get("rules").is_none() {
            self.diagnostics.push(Diagnostic::error("config/missing-key", node.span, "`rules` is missing, so nobody would be asked"));
        }
        let in_order = self.at(mapping, "inOrder", |reader, node| {
            let order = node.as_bool();
            if order.is_none() {
                reader.wrong(node, "true or false");
            }
            order
        });
        Some(Approvals {
            rules: rules.unwrap_or_default(),
            in_order: in_order.unwrap_or_default(),
            expires_ms: self.at(mapping, "expires", Self::duration),
            people: People::default(),
        })
    }

    fn rule(&mut self, node: &Node, teams: &BTreeMap<String, BTreeSet<String>>) -> Option<Rule> {
        let mapping = self.closed(node, RULE)?;
        let from = self.needed(node, mapping, "from")?;
        let (name, people) = match from.as_str() {
            Some(name) => (name.to_string(), teams.get(name).cloned().unwrap_or_else(|| BTreeSet::from([name.to_string()]))),
            None => {
                let people: BTreeSet<String> = self.list(from, Self::text)?.into_iter().collect();
                (people.iter().cloned().collect::<Vec<_>>().join(" or "), people)
            }
        };
        let count = self.at(mapping, "count", |reader, node| reader.whole(node, 1, 20)).unwrap_or(1) as u32;
        let when = self.at(mapping, "when", Self::when);
        if (people.len() as u64) < u64::from(count) {
            let message = format!("{count} approvals are asked of `{name}`, who are {}: it could never be given", people.len());
            self.diagnostics.push(Diagnostic::error(VALUE, from.span, message).hint("list the team under `gate.teams`"));
            return None;
        }
        Some(Rule { name, people, count, when })
    }

    fn when(&mut self, node: &Node) -> Option<When> {
        let is_known = node.as_str() == Some("breaking");
        if !is_known {
            self.diagnostics.push(Diagnostic::error(
                VALUE,
                node.span,
                "`breaking` is expected here: they are asked of those changes alone",
            ));
        }
        is_known.then_some(When::Breaking)
    }
}

/// `09:00`, `24:00`.
fn minutes(text: &str) -> Result<u16, String> {
    let read = text.trim().split_once(':').and_then(|(hours, minutes)| Some((hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?)));
    match read {
        Some((hours, minutes)) if minutes < 60 && hours * 60 + minutes <= 24 * 60 => Ok(hours * 60 + minutes),
        _ => Err(format!("`{}` is no time of the day", text.trim())),
    }
}
