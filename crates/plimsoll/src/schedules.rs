//! When a file's schedules come due next, in their own time zones.

use std::path::Path;

use base::{Source, Timestamp};
use jiff::tz::TimeZone;
use serde::Serialize;
use workflow::model::Workflow;
use workflow::schedule::{self, Entry};

const FOLDER: &str = ".github/workflows";

const DAY_MS: i64 = 24 * 60 * 60_000;

/// As many as show the rhythm.
const SHOWN: usize = 3;

/// A line for each schedule.
pub fn lines(workflow: &Workflow, now: Timestamp) -> Vec<String> {
    schedule::entries(workflow).iter().map(|entry| line(entry, now)).collect()
}

/// A schedule of a file, which lies at this path in its project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scheduled {
    pub file: String,
    #[serde(flatten)]
    pub entry: Entry,
}

/// What came due, and when the last time.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub file: String,
    pub cron: String,
    pub at: Timestamp,
}

/// Of the files as they lie in a project.
#[derive(Debug, Default)]
pub struct Found {
    pub schedules: Vec<Scheduled>,
    /// Files with mistakes in them, of which none starts.
    pub unreadable: Vec<String>,
}

pub fn of_folder(folder: &Path) -> Found {
    let mut found = Found::default();
    let Ok(entries) = std::fs::read_dir(folder.join(FOLDER)) else { return found };
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".yml") || name.ends_with(".yaml"));
    names.sort();
    for file in names.into_iter().map(|name| format!("{FOLDER}/{name}")) {
        match of_file(folder, &file) {
            Some(schedules) => found.schedules.extend(schedules),
            None => found.unreadable.push(file),
        }
    }
    found
}

fn of_file(folder: &Path, file: &str) -> Option<Vec<Scheduled>> {
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    let (workflow, _) = workflow::github::parse(&Source::new(file, text));
    Some(schedule::entries(&workflow?).into_iter().map(|entry| Scheduled { file: file.to_string(), entry }).collect())
}

impl Scheduled {
    /// `ci.yml: schedule …` with the next moments.
    pub fn line(&self, now: Timestamp) -> String {
        let name = self.file.rsplit('/').next().unwrap_or(&self.file);
        format!("{name}: {}", line(&self.entry, now))
    }

    /// The next moments, as many as show the rhythm; none where the machine doesn't know the time zone, or there is none.
    pub fn next(&self, now: Timestamp) -> Vec<Timestamp> {
        zone(&self.entry).map(|zone| next(&self.entry, &zone, now)).unwrap_or_default()
    }

    /// The last moment in (`since`, `until`]; however often it came due meanwhile, it is started once.
    fn due(&self, since: Timestamp, until: Timestamp) -> Option<Due> {
        let zone = zone(&self.entry)?;
        let next = |after| schedule::next(&self.entry.cron, &zone, after).filter(|at| *at <= until);
        // Of a long time only its end.
        let since = since.max(Timestamp::from_ms(until.as_ms() - DAY_MS));
        let mut at = next(since)?;
        while let Some(later) = next(at) {
            at = later;
        }
        Some(Due { file: self.file.clone(), cron: self.entry.cron.clone(), at })
    }
}

/// Every schedule of the folder's workflows that came due in (`since`, `until`].
pub fn due(folder: &Path, since: Timestamp, until: Timestamp) -> Vec<Due> {
    of_folder(folder).schedules.iter().filter_map(|scheduled| scheduled.due(since, until)).collect()
}

/// Nothing where the machine doesn't know it.
fn zone(entry: &Entry) -> Option<TimeZone> {
    TimeZone::get(entry.timezone.as_deref().unwrap_or("UTC")).ok()
}

fn next(entry: &Entry, zone: &TimeZone, now: Timestamp) -> Vec<Timestamp> {
    let after = |last| schedule::next(&entry.cron, zone, last);
    std::iter::successors(after(now), |last| after(*last)).take(SHOWN).collect()
}

fn line(entry: &Entry, now: Timestamp) -> String {
    let name = entry.timezone.as_deref().unwrap_or("UTC");
    let cron = &entry.cron;
    let Some(zone) = zone(entry) else {
        return format!("schedule `{cron}`: this machine knows no time zone `{name}`");
    };
    let moments: Vec<String> = next(entry, &zone, now).into_iter().map(|moment| shown(moment, &zone)).collect();
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
    fn what_came_due_is_started_once_however_often_it_did() {
        let at = |text: &str| -> Timestamp { format!("2026-03-28T{text}Z").parse().unwrap() };
        let entry = |cron: &str| Entry { cron: cron.into(), timezone: Some("Europe/Berlin".into()) };
        let scheduled = |cron: &str| Scheduled { file: "a.yml".into(), entry: entry(cron) };
        let due = |cron, since, until| scheduled(cron).due(at(since), at(until)).map(|due| due.at);
        assert_eq!(due("0 3 * * *", "01:59:00", "02:00:00"), Some(at("02:00:00")), "three o'clock in Berlin");
        assert_eq!(due("0 3 * * *", "02:00:00", "02:01:00"), None, "a moment belongs to one look");
        assert_eq!(due("*/5 * * * *", "02:00:00", "02:17:00"), Some(at("02:15:00")), "the last of three");
        assert_eq!(due("*/5 * * * *", "02:17:00", "02:10:00"), None, "a clock that was put back");
        assert_eq!(due("0 3 30 2 *", "00:00:00", "23:00:00"), None);
    }

    #[test]
    fn schedules_are_those_of_the_files_that_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        let job = "jobs: {a: {runs-on: x, steps: [{run: 'true'}]}}";
        let write = |name: &str, text: String| std::fs::write(folder.path().join(FOLDER).join(name), text).unwrap();
        write("night.yml", format!("on: {{schedule: [{{cron: '0 3 * * *', timezone: Europe/Berlin}}, {{cron: '0 12 * * 1'}}]}}\n{job}"));
        write("push.yml", format!("on: push\n{job}"));
        write("torn.yml", "on: {schedule: [{cron: '0 3".to_string());
        write("notes.txt", format!("on: {{schedule: [{{cron: '* * * * *'}}]}}\n{job}"));
        let found = of_folder(folder.path());
        assert_eq!(
            found.schedules.iter().map(|it| (it.file.as_str(), it.entry.cron.as_str())).collect::<Vec<_>>(),
            [(".github/workflows/night.yml", "0 3 * * *"), (".github/workflows/night.yml", "0 12 * * 1"),]
        );
        assert!(of_folder(&folder.path().join("nowhere")).schedules.is_empty());
    }

    #[test]
    fn a_schedule_is_shown_in_its_own_time_zone() {
        let entry = |cron: &str, timezone: Option<&str>| Entry { cron: cron.to_string(), timezone: timezone.map(str::to_string) };
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
