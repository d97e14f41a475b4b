//! What GitHub, and Gitea and Forgejo, answer.

use serde_json::Value;

use super::State;
use crate::incident::plain;

/// A branch, as its forge tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The commit it is at.
    pub head: String,
    pub protected: bool,
    pub requires: Vec<Requires>,
    /// So many reviews at least, and whether that is all that is to be told.
    pub reviews: u64,
    pub tells_reviews: bool,
    /// There are rules, and checks, to be asked for besides.
    pub is_github: bool,
}

/// A check without which nothing is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requires {
    pub check: String,
    /// The one app of GitHub whose report counts.
    pub app: Option<u64>,
    /// `*` stands for any part of a name.
    pub is_pattern: bool,
}

/// A report about a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub check: String,
    pub app: Option<u64>,
    pub state: State,
}

/// One page of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub ran: Vec<Ran>,
    /// On all pages.
    pub total: usize,
}

/// Rules on one page; a branch under more of them is nobody's.
const RULES_MAX: usize = 100;

/// By which nothing but a merge brings a commit onto a branch, or only some may bring one.
const PROTECTS: [&str; 4] = ["pull_request", "required_status_checks", "merge_queue", "update"];

impl Requires {
    pub fn plain(check: &str) -> Requires {
        Requires { check: plain(check), app: None, is_pattern: false }
    }

    /// The worst of all reports that are meant.
    pub(super) fn state(&self, ran: &[Ran]) -> State {
        let is_name = |name: &str| if self.is_pattern { fits(&self.check, name) } else { self.check == name };
        let meant = ran.iter().filter(|ran| is_name(&ran.check) && (self.app.is_none() || ran.app == self.app));
        meant.map(|ran| ran.state).max().unwrap_or(State::Absent)
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|name| name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))),
    }
}

/// # Errors
/// Why it is no branch, as a fragment.
pub fn branch(text: &str) -> Result<Told, String> {
    let answer = json(text)?;
    let head = [&answer["commit"]["sha"], &answer["commit"]["id"]].into_iter().find_map(Value::as_str);
    let (Some(head), Some(protected)) = (head, answer["protected"].as_bool()) else {
        return Err("what answers is no branch: it has no `commit`, or does not say whether it is `protected`".to_string());
    };
    let reviews = answer["required_approvals"].as_u64();
    // Without a protection of its own there are its rules alone.
    let tells_reviews = reviews.is_some() || answer["protection"]["enabled"] == false;
    let told = |requires, is_github| {
        let head = head.to_string();
        Told { head, protected, requires, reviews: reviews.unwrap_or_default(), tells_reviews, is_github }
    };
    if let Some(enabled) = answer["enable_status_check"].as_bool() {
        let patterns = match &answer["status_check_contexts"] {
            Value::Null => Vec::new(),
            listed => words(listed)?,
        };
        let patterns: Vec<Requires> = patterns.into_iter().map(|check| Requires { is_pattern: true, ..Requires::plain(check) }).collect();
        // Where no check is named, each that is reported must pass.
        let any = || vec![Requires { is_pattern: true, ..Requires::plain("*") }];
        let requires = match (enabled, patterns.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => any(),
            (true, false) => patterns,
        };
        return Ok(told(requires, false));
    }
    if answer.get("protection").is_none() && answer.get("protection_url").is_none() {
        return Err("what answers is no branch of GitHub, Gitea or Forgejo".to_string());
    }
    let required = &answer["protection"]["required_status_checks"];
    if required["enforcement_level"] == "off" || answer["protection"]["enabled"] == false {
        return Ok(told(Vec::new(), true));
    }
    // Older servers have no `checks`, and the names alone.
    let mut requires = if required["checks"].is_null() { Vec::new() } else { checks(&required["checks"], "app_id")? };
    let known: Vec<String> = requires.iter().map(|it| it.check.clone()).collect();
    requires.extend(words(&required["contexts"])?.into_iter().map(Requires::plain).filter(|it| !known.contains(&it.check)));
    Ok(told(requires, true))
}

/// GitHub's rules for a branch are added to what it told.
///
/// # Errors
/// Why they are none, as a fragment.
pub fn rules(text: &str, told: &mut Told) -> Result<(), String> {
    let answer = json(text)?;
    let rules = answer.as_array().ok_or("what answers is no list of rules")?;
    if rules.len() >= RULES_MAX {
        return Err(format!("there are {RULES_MAX} rules for the branch, or more, and no more can be read"));
    }
    told.protected |= rules.iter().any(|rule| rule["type"].as_str().is_some_and(|kind| PROTECTS.contains(&kind)));
    let required = rules.iter().filter(|rule| rule["type"] == "required_status_checks");
    let required: Result<Vec<_>, _> =
        required.map(|rule| checks(&rule["parameters"]["required_status_checks"], "integration_id")).collect();
    told.requires.extend(required?.concat());
    let reviews = rules.iter().filter(|rule| rule["type"] == "pull_request").map(|rule| &rule["parameters"][REVIEWS]);
    told.reviews = reviews.filter_map(Value::as_u64).max().unwrap_or_default().max(told.reviews);
    Ok(())
}

/// How many reviews GitHub's own protection of a branch requires.
///
/// # Errors
/// Why it is none, as a fragment.
pub fn reviews(text: &str) -> Result<u64, String> {
    let answer = json(text)?;
    match &answer["required_pull_request_reviews"] {
        Value::Null if answer.is_object() => Ok(0),
        required => required[REVIEWS].as_u64().ok_or_else(|| "what answers does not say how many reviews the branch requires".to_string()),
    }
}

const REVIEWS: &str = "required_approving_review_count";

/// GitHub's check runs of a commit.
///
/// # Errors
/// Why they are none, as a fragment.
pub fn runs(text: &str) -> Result<Page, String> {
    let answer = json(text)?;
    let runs = answer["check_runs"].as_array().ok_or("what answers has no `check_runs`")?;
    let state = |run: &Value| match (run["status"].as_str(), run["conclusion"].as_str()) {
        (Some("completed"), Some("success" | "neutral" | "skipped")) => State::Passed,
        (Some("completed"), _) => State::Failed,
        _ => State::Pending,
    };
    let one = |run: &Value| Some(Ran { check: plain(run["name"].as_str()?), app: run["app"]["id"].as_u64(), state: state(run) });
    page(runs, &answer, one, "a check run has no `name`")
}

/// What others reported of a commit. Gitea says nothing at all where nobody has.
///
/// # Errors
/// Why it is none, as a fragment.
pub fn statuses(text: &str) -> Result<Page, String> {
    if text.trim().is_empty() {
        return Ok(Page::default());
    }
    let answer = json(text)?;
    let none = Vec::new();
    let listed = match &answer["statuses"] {
        Value::Null if answer.get("statuses").is_some() => &none,
        listed => listed.as_array().ok_or("what answers has no `statuses`")?,
    };
    let state = |status: &Value| match [&status["state"], &status["status"]].into_iter().find_map(Value::as_str) {
        Some("success") => State::Passed,
        Some("pending") => State::Pending,
        _ => State::Failed,
    };
    let one = |status: &Value| Some(Ran { check: plain(status["context"].as_str()?), app: None, state: state(status) });
    page(listed, &answer, one, "a status has no `context`")
}

/// Whether a commit has something that the branch it is compared with has not.
///
/// # Errors
/// Why it is no comparison, as a fragment.
pub fn brings_more(text: &str) -> Result<bool, String> {
    let answer = json(text)?;
    answer["total_commits"]
        .as_u64()
        .map(|count| count > 0)
        .ok_or_else(|| "what answers is no comparison: it has no `total_commits`".to_string())
}

fn page(listed: &[Value], answer: &Value, one: impl Fn(&Value) -> Option<Ran>, lacks: &str) -> Result<Page, String> {
    let ran = listed.iter().map(one).collect::<Option<Vec<Ran>>>().ok_or(lacks)?;
    let total = answer["total_count"].as_u64().ok_or("what answers has no `total_count`")?;
    Ok(Page { ran, total: usize::try_from(total).unwrap_or(usize::MAX) })
}

/// With the app they are bound to; any is -1 or nothing. None is passed over: what is required and can't be read is not known.
fn checks(listed: &Value, app: &str) -> Result<Vec<Requires>, String> {
    let one = |check: &Value| {
        let bound = match &check[app] {
            Value::Null => None,
            Value::Number(number) => number.as_u64(),
            _ => return None,
        };
        Some(Requires { app: bound, ..Requires::plain(check["context"].as_str()?) })
    };
    read(listed, one)
}

fn words(listed: &Value) -> Result<Vec<&str>, String> {
    read(listed, Value::as_str)
}

fn read<'a, T>(listed: &'a Value, one: impl Fn(&'a Value) -> Option<T>) -> Result<Vec<T>, String> {
    let read = listed.as_array().and_then(|listed| listed.iter().map(one).collect());
    read.ok_or_else(|| "what answers does not say which checks the branch requires".to_string())
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("what answers is no JSON: {error}"))
}
