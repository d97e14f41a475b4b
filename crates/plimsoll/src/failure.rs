//! The one error type at the top: a kind, what happened, and what to do about it.

use serde::{Deserialize, Serialize};

use crate::exit;

pub type Result<T> = std::result::Result<T, Failure>;

/// The kind picks the exit code and the HTTP status; one place prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    #[serde(default)]
    pub hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    Failed,
    Usage,
    NotAuthorised,
    Infrastructure,
    NotFound,
    Conflict,
    /// Nothing moves forward in the environment now.
    Closed,
    Timeout,
    Differences,
    /// By Ctrl-C.
    Interrupted,
    Terminated,
}

impl FailureKind {
    pub fn exit_code(self) -> u8 {
        match self {
            FailureKind::Failed => exit::FAILED,
            FailureKind::Usage | FailureKind::Conflict => exit::USAGE,
            FailureKind::Closed => exit::WAITING,
            FailureKind::NotAuthorised => exit::NOT_AUTHORISED,
            FailureKind::Infrastructure => exit::INFRASTRUCTURE,
            FailureKind::NotFound => exit::NOT_FOUND,
            FailureKind::Timeout => exit::TIMEOUT,
            FailureKind::Interrupted => exit::INTERRUPTED,
            FailureKind::Terminated => exit::TERMINATED,
            FailureKind::Differences => exit::DIFFERENCES,
        }
    }

    pub fn http_status(self) -> u16 {
        match self {
            FailureKind::Usage | FailureKind::Failed | FailureKind::Differences => 400,
            FailureKind::NotAuthorised => 401,
            FailureKind::NotFound => 404,
            FailureKind::Conflict | FailureKind::Closed => 409,
            FailureKind::Timeout => 504,
            FailureKind::Infrastructure | FailureKind::Interrupted | FailureKind::Terminated => 503,
        }
    }
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), hints: Vec::new() }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Usage, message)
    }

    pub fn infrastructure(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Infrastructure, message)
    }

    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::NotFound, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// An error with its causes, as something the machine could not do.
    pub fn from_error(doing: &str, error: &dyn std::error::Error) -> Failure {
        let mut message = format!("failed to {doing}: {error}");
        let mut cause = error.source();
        while let Some(next) = cause {
            message.push_str(&format!(": {next}"));
            cause = next.source();
        }
        Failure::infrastructure(message)
    }
}

/// `result.doing("open the record")?` at the edge.
pub trait Doing<T> {
    /// # Errors
    /// The error, said as what was being done.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: std::error::Error> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Failure::from_error(what, &error))
    }
}
