//! Incidents that are open: who knows of them, and which of them keep a release from going on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::shorten;
use crate::slo::WhenUnknown;

/// Whom to ask, and what to make of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incidents {
    pub source: Source,
    /// The secret that a server is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub unknown: WhenUnknown,
    /// Open ones of these count.
    pub priorities: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A line for the shell that prints them.
    Command(String),
    File(String),
    Url(String),
}

/// One that is open, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: String,
    pub title: String,
    pub priority: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<String>,
}

/// One answer of those who know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub open: Vec<Incident>,
    /// How many were told of, the resolved ones too.
    pub told: usize,
    /// There are others after these.
    pub more: bool,
}

/// Whom nobody names otherwise.
pub const PRIORITIES: [&str; 2] = ["P1", "P2"];

/// Each is a reason on record, and a hundred are as good a no as all.
const COUNTED_MAX: usize = 100;

/// A title is a sentence; whatever is longer is somebody's whole report.
const TEXT_MAX: usize = 200;

/// Longer than any browser takes.
const URL_MAX: usize = 2_000;

impl Incidents {
    /// Those that count.
    ///
    /// # Errors
    /// Of one whose priority is of another kind than those that count: `high`, or `1`, where `P1` does. Whether it counts nobody knows.
    pub fn of(&self, open: &[Incident]) -> Result<Vec<Incident>, String> {
        let is_of_a_kind = |incident: &Incident| self.priorities.iter().any(|it| kind(it) == kind(&incident.priority));
        if let Some(incident) = open.iter().find(|incident| !is_of_a_kind(incident)) {
            let Incident { id, priority, .. } = incident;
            return Err(format!("incident {id} has the priority `{priority}`, and `gate.incidents.priorities` names none of that kind"));
        }
        let counts = |incident: &&Incident| self.priorities.iter().any(|priority| priority.eq_ignore_ascii_case(&incident.priority));
        Ok(open.iter().filter(counts).take(COUNTED_MAX).cloned().collect())
    }

    /// `P1 or P2`.
    pub fn which(&self) -> String {
        match self.priorities.as_slice() {
            [] => "incident".to_string(),
            [one] => one.clone(),
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
        }
    }
}

/// `p` of `P1` and `P4`, nothing of `1`; all words that don't count are of one kind.
fn kind(priority: &str) -> Option<String> {
    let letters = priority.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (letters.len() < priority.len()).then(|| letters.to_lowercase())
}

impl Incident {
    /// `P1 incident INC-7 is open: the shop is down`.
    pub fn sentence(&self) -> String {
        format!("{} incident {} is open: {}", self.priority, self.id, self.title)
    }
}

/// Reads a list of incidents, or the answer of a server like PagerDuty's: `{"incidents": […], "more": false}`.
///
/// # Errors
/// Why it is neither, as a fragment.
pub fn read(text: &str) -> Result<Page, String> {
    let answer: Value = serde_json::from_str(text).map_err(|error| format!("the list of incidents is no JSON: {error}"))?;
    let listed = match &answer {
        Value::Array(listed) => Some(listed),
        other => other["incidents"].as_array(),
    };
    let listed = listed.ok_or("what answers is no list of incidents, and has none as `incidents`")?;
    let mut page = Page { told: listed.len(), more: answer["more"] == Value::Bool(true), ..Page::default() };
    for (at, incident) in listed.iter().enumerate() {
        let status = incident["status"].as_str().unwrap_or_default();
        if ["resolved", "closed"].iter().any(|word| word.eq_ignore_ascii_case(status)) {
            continue;
        }
        page.open.push(one(incident).map_err(|lacks| format!("the incident at place {} of the list has no {lacks}", at + 1))?);
    }
    Ok(page)
}

/// Under the names of a plain list, or under PagerDuty's.
fn one(incident: &Value) -> Result<Incident, &'static str> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(plain(text)).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let priority = &incident["priority"];
    // Where nobody gives priorities, there is still how urgent it is.
    let priority = [priority, &priority["summary"], &priority["name"], &incident["urgency"]].into_iter().find_map(text);
    Ok(Incident {
        id: text(&incident["id"]).ok_or("`id`")?,
        title: text(&incident["title"]).ok_or("`title`")?,
        priority: priority.ok_or("`priority`, and no `urgency`")?,
        // Of a part of it nothing is to be had.
        url: [&incident["url"], &incident["html_url"]].into_iter().find_map(Value::as_str).filter(|url| is_plain(url)).map(str::to_string),
        opened: [&incident["opened"], &incident["created_at"]].into_iter().find_map(text),
    })
}

fn is_plain(url: &str) -> bool {
    url.len() <= URL_MAX && !url.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// One line of others, for every terminal and of bounded length.
pub fn plain(text: &str) -> String {
    shorten(text, TEXT_MAX)
}
