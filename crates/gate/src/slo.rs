//! Error budgets: what is left of them and how fast they burn, by the multi-window, multi-burn-rate rules of the SRE workbook.
//!
//! What was counted comes in, a status that a policy can read goes out. What can't be known is said so, and is never a good sign.

mod openslo;
mod prometheus;

use std::collections::{BTreeMap, BTreeSet};

use base::time::format_duration_ms;
use serde::{Deserialize, Serialize};

pub use openslo::objectives;
pub use prometheus::{answer, check_query};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// What a project promises its users, and who knows how it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slos {
    /// `http://prometheus:9090`.
    pub prometheus: String,
    /// What it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    pub objectives: Vec<Objective>,
    pub unknown: WhenUnknown,
    /// With so much of a budget left, or less, nothing ships.
    pub budget_min_percent: f64,
    /// Fewer events than these in a window say nothing: three requests are noise.
    pub events_min: u64,
}

impl Default for Slos {
    fn default() -> Slos {
        Slos {
            prometheus: String::new(),
            access: None,
            objectives: Vec::new(),
            unknown: WhenUnknown::Hold,
            budget_min_percent: 0.0,
            events_min: 100,
        }
    }
}

/// Who asks; secrets by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// `Authorization: Bearer …`.
    Token(String),
    Basic {
        user: String,
        password: String,
    },
}

impl Access {
    /// The name of what nobody else may know.
    pub fn secret(&self) -> &str {
        match self {
            Access::Token(name) | Access::Basic { password: name, .. } => name,
        }
    }
}

/// What becomes of a release while nobody knows how much of a budget is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnknown {
    /// It waits until it is known.
    #[default]
    Hold,
    Deny,
    /// It ships, with a warning.
    Allow,
}

impl WhenUnknown {
    pub const ALL: [(&'static str, WhenUnknown); 3] =
        [("hold", WhenUnknown::Hold), ("deny", WhenUnknown::Deny), ("allow", WhenUnknown::Allow)];
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub name: String,
    /// Of the events, between 0 and 100, both excluded.
    pub target_percent: f64,
    /// The rolling period that the budget is for.
    pub window_ms: u64,
    #[serde(flatten)]
    pub part: Part,
    /// The query that counts all events.
    pub total: String,
}

/// The query that counts the good or the bad ones among the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Good(String),
    Bad(String),
}

/// What to ask about one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub window_ms: u64,
    pub part: String,
    pub total: String,
    /// Makes an answer a number of events.
    pub part_scale: f64,
    pub total_scale: f64,
}

/// Events of one window: all of them, and the good or the bad ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    pub part: f64,
    pub total: f64,
}

/// What was seen of one objective, by window; or why nothing was.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub objective: String,
    pub counts: Result<BTreeMap<u64, Counts>, String>,
}

/// How an objective stands, as policies see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub target_percent: f64,
    /// `30d`.
    pub window: String,
    /// Why nothing is known; without it the rest is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// There are fewer events than it takes to judge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_few_events: bool,
    /// Below 0 when more was spent than there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_left_percent: Option<f64>,
    /// In the whole window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub burn: Vec<Burn>,
}

/// One rule: both windows burn faster than the factor, the long one so that it matters, the short one so that it still goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Burn {
    pub severity: Severity,
    /// So many times as fast as would use the budget up in just its window.
    pub factor: f64,
    pub long: String,
    pub short: String,
    pub long_rate: f64,
    pub short_rate: f64,
    pub fires: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody is woken.
    Page,
    /// Somebody looks at it in the morning.
    Ticket,
}

/// 2 % of a month's budget within an hour, 5 % within six, 10 % within a day or three.
const RULES: [(Severity, f64, u64, u64); 4] = [
    (Severity::Page, 14.4, HOUR_MS, 5 * MINUTE_MS),
    (Severity::Page, 6.0, 6 * HOUR_MS, 30 * MINUTE_MS),
    (Severity::Ticket, 3.0, DAY_MS, 2 * HOUR_MS),
    (Severity::Ticket, 1.0, 3 * DAY_MS, 6 * HOUR_MS),
];

impl Slos {
    pub fn is_empty(&self) -> bool {
        self.objectives.is_empty()
    }

    /// How every objective stands; one that nobody has looked at is unknown.
    pub fn assess(&self, measured: &[Measured]) -> Vec<Status> {
        let seen = |objective: &Objective| measured.iter().find(|it| it.objective == objective.name);
        self.objectives.iter().map(|objective| self.status(objective, seen(objective))).collect()
    }

    /// Why a release waits; nothing where all is known, or the project ships without knowing.
    pub fn holds(&self, statuses: &[Status]) -> Option<String> {
        let unknown = statuses.iter().find_map(|status| status.unknown.as_ref().map(|why| format!("`{}`: {why}", status.name)));
        unknown.filter(|_| self.unknown == WhenUnknown::Hold)
    }

    fn status(&self, objective: &Objective, measured: Option<&Measured>) -> Status {
        let nothing = || Err("nobody has looked yet".to_string());
        match measured.map_or_else(nothing, |it| it.counts.clone()).and_then(|counts| self.known(objective, &counts)) {
            Ok(status) => status,
            Err(why) => Status { unknown: Some(why), ..objective.blank() },
        }
    }

    fn known(&self, objective: &Objective, counts: &BTreeMap<u64, Counts>) -> Result<Status, String> {
        let events = objective.events(counts, objective.window_ms)?;
        let is_enough = |events: &Events| events.total >= self.events_min as f64;
        let mut burn = Vec::new();
        for (severity, factor, long_ms, short_ms) in RULES {
            let (long, short) = (objective.events(counts, long_ms)?, objective.events(counts, short_ms)?);
            let (long_rate, short_rate) = (objective.burn_rate(&long), objective.burn_rate(&short));
            burn.push(Burn {
                severity,
                factor,
                long: format_duration_ms(long_ms),
                short: format_duration_ms(short_ms),
                long_rate: hundredths(long_rate),
                short_rate: hundredths(short_rate),
                fires: long_rate > factor && short_rate > factor && is_enough(&long),
            });
        }
        let left = 100.0 * (1.0 - objective.burn_rate(&events));
        Ok(Status {
            too_few_events: !is_enough(&events),
            // Rounded against shipping: what is left is never made more.
            budget_left_percent: is_enough(&events).then(|| (left * 100.0).floor() / 100.0),
            events: Some(events.total.round()),
            errors: Some(events.bad.round()),
            burn,
            ..objective.blank()
        })
    }
}

struct Events {
    bad: f64,
    total: f64,
}

impl Objective {
    /// What to ask about every window that a rule looks at, and about the budget's own.
    pub fn questions(&self) -> Vec<Question> {
        let windows: BTreeSet<u64> = RULES.iter().flat_map(|(_, _, long, short)| [*long, *short]).chain([self.window_ms]).collect();
        let (Part::Good(part) | Part::Bad(part)) = &self.part;
        let question = |window_ms: u64| {
            let ((part, part_scale), (total, total_scale)) = (prometheus::over(part, window_ms), prometheus::over(&self.total, window_ms));
            Question { window_ms, part, total, part_scale, total_scale }
        };
        windows.into_iter().map(question).collect()
    }

    fn blank(&self) -> Status {
        Status {
            name: self.name.clone(),
            target_percent: self.target_percent,
            window: format_duration_ms(self.window_ms),
            unknown: None,
            too_few_events: false,
            budget_left_percent: None,
            events: None,
            errors: None,
            burn: Vec::new(),
        }
    }

    fn events(&self, counts: &BTreeMap<u64, Counts>, window_ms: u64) -> Result<Events, String> {
        let over = format_duration_ms(window_ms);
        let Counts { part, total } = *counts.get(&window_ms).ok_or_else(|| format!("nobody has looked at the last {over} yet"))?;
        if ![part, total].into_iter().all(|count| count.is_finite() && count >= 0.0) {
            return Err(format!("of the last {over} the counts are no numbers of events"));
        }
        // Prometheus extrapolates to the window's edges, each query by itself.
        if part > total * 1.01 + 1.0 {
            return Err(format!("of the last {over} there are more counted by one query ({part:.0}) than by `total` ({total:.0})"));
        }
        let bad = match self.part {
            Part::Bad(_) => part.min(total),
            Part::Good(_) => (total - part).max(0.0),
        };
        Ok(Events { bad, total })
    }

    /// 1 uses the budget up in just its window; where nothing happens nothing burns.
    fn burn_rate(&self, events: &Events) -> f64 {
        let allowed = (100.0 - self.target_percent) / 100.0;
        if events.total > 0.0 { events.bad / events.total / allowed } else { 0.0 }
    }
}

impl Status {
    /// `availability: 63.2 % of the error budget is left (99.5 % over 30d)`.
    pub fn sentence(&self) -> String {
        let promise = format!("{} % over {}", self.target_percent, self.window);
        match (&self.unknown, self.budget_left_percent) {
            (Some(why), _) => format!("{}: nobody knows what is left of the error budget ({promise}): {why}", self.name),
            (None, Some(left)) if left < 0.0 => {
                format!("{}: the error budget is overdrawn by {} % ({promise})", self.name, hundredths(-left))
            }
            (None, Some(left)) => format!("{}: {left} % of the error budget is left ({promise})", self.name),
            (None, None) => {
                let events = self.events.unwrap_or_default();
                format!("{}: too few events to judge the error budget, {events} ({promise})", self.name)
            }
        }
    }

    pub fn fires(&self) -> impl Iterator<Item = &Burn> {
        self.burn.iter().filter(|burn| burn.fires)
    }
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
