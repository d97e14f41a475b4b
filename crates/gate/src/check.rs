//! Checks of a project's own before anything ships: capacity, configuration, what it depends on.

use serde::{Deserialize, Serialize};

/// What to look at, and for how long at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    #[serde(flatten)]
    pub how: How,
    pub timeout_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A line for the shell; well is what ends with 0.
    Run(String),
    /// Well is what answers with 2xx or 3xx.
    Url(String),
}

/// How one ended, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub name: String,
    pub passed: bool,
    /// There where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

pub const TIMEOUT_MS: u64 = 30_000;

/// A release waits for the answer, and somebody for the release.
pub const TIMEOUT_MAX_MS: u64 = 300_000;

impl Checked {
    pub fn passed(name: &str) -> Checked {
        Checked { name: name.to_string(), passed: true, reason: None }
    }

    pub fn failed(name: &str, reason: impl Into<String>) -> Checked {
        Checked { name: name.to_string(), passed: false, reason: Some(reason.into()) }
    }

    /// `the check capacity failed: 2 nodes of 3`, with the name in backticks.
    pub fn sentence(&self) -> String {
        match &self.reason {
            _ if self.passed => format!("the check `{}` passed", self.name),
            Some(reason) => format!("the check `{}` failed: {reason}", self.name),
            None => format!("the check `{}` failed", self.name),
        }
    }
}
