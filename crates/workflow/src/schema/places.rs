//! Which contexts and functions an expression may use, by the key under which it stands.

/// A key that may hold expressions, and what they may use there.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// As in the documentation: `jobs.<id>.env`.
    pub key: &'static str,
    /// Empty where no expression may stand at all.
    pub contexts: &'static [&'static str],
    pub status: Status,
    pub hash_files: bool,
}

/// Whether `success()` and its like may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    No,
    /// Without arguments.
    Plain,
    /// `success` and `failure` also with the names of jobs.
    OfJobs,
}

const RUN_NAME: &[&str] = &["github", "inputs", "vars"];
const WORKFLOW_ENV: &[&str] = &["github", "inputs", "vars", "secrets"];
const CALL_OUTPUT: &[&str] = &["github", "inputs", "vars", "jobs"];
const NEEDS: &[&str] = &["github", "inputs", "vars", "needs"];
const MATRIX: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix"];
const MATRIX_SECRETS: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets"];
const MATRIX_ENV: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix", "env"];
const CREDENTIALS: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "env"];
const STEP: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env"];
const STEP_OPEN: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix", "steps", "job", "runner", "env"];
const ACTION_INPUT: &[&str] = &["github", "strategy", "matrix", "job", "runner"];
const ACTION_STEP: &[&str] = &["github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"];
const ACTION_IF: &[&str] = &["runner", "github", "job", "strategy", "matrix", "env", "inputs"];
const ACTION_DOCKER: &[&str] = &["inputs"];

impl Place {
    const fn new(key: &'static str, contexts: &'static [&'static str]) -> Place {
        Place { key, contexts, status: Status::No, hash_files: false }
    }

    const fn hashing(self) -> Place {
        Place { hash_files: true, ..self }
    }

    const fn asking(self, status: Status) -> Place {
        Place { status, ..self }
    }

    pub const fn literal(key: &'static str) -> Place {
        Place::new(key, &[])
    }

    pub fn allows_expressions(&self) -> bool {
        !self.contexts.is_empty()
    }
}

pub const RUN_NAME_PLACE: Place = Place::new("run-name", RUN_NAME);
pub const WORKFLOW_ENV_PLACE: Place = Place::new("env", WORKFLOW_ENV);
pub const WORKFLOW_CONCURRENCY: Place = Place::new("concurrency", RUN_NAME);
pub const CALL_INPUT_DEFAULT: Place = Place::new("on.workflow_call.inputs.<id>.default", RUN_NAME);
pub const CALL_OUTPUT_VALUE: Place = Place::new("on.workflow_call.outputs.<id>.value", CALL_OUTPUT);
pub const WORKFLOW_DEFAULTS: Place = Place::literal("defaults.run");

pub const JOB_IF: Place = Place::new("jobs.<id>.if", NEEDS).asking(Status::OfJobs);
pub const JOB_NAME: Place = Place::new("jobs.<id>.name", MATRIX);
pub const JOB_STRATEGY: Place = Place::new("jobs.<id>.strategy", NEEDS);
pub const JOB_RUNS_ON: Place = Place::new("jobs.<id>.runs-on", MATRIX);
pub const JOB_TIMEOUT: Place = Place::new("jobs.<id>.timeout-minutes", MATRIX);
pub const JOB_CANCEL_TIMEOUT: Place = Place::new("jobs.<id>.cancel-timeout-minutes", MATRIX);
pub const JOB_CONTINUE: Place = Place::new("jobs.<id>.continue-on-error", MATRIX);
pub const JOB_ENV: Place = Place::new("jobs.<id>.env", MATRIX_SECRETS);
pub const JOB_CONCURRENCY: Place = Place::new("jobs.<id>.concurrency", MATRIX);
pub const JOB_ENVIRONMENT: Place = Place::new("jobs.<id>.environment", MATRIX);
pub const JOB_ENVIRONMENT_URL: Place = Place::new("jobs.<id>.environment.url", STEP_OPEN);
pub const JOB_OUTPUTS: Place = Place::new("jobs.<id>.outputs", STEP);
pub const JOB_DEFAULTS: Place = Place::new("jobs.<id>.defaults.run", MATRIX_ENV);
pub const JOB_CONTAINER: Place = Place::new("jobs.<id>.container", MATRIX);
pub const JOB_CONTAINER_ENV: Place = Place::new("jobs.<id>.container.env", STEP);
pub const JOB_CONTAINER_CREDENTIALS: Place = Place::new("jobs.<id>.container.credentials", CREDENTIALS);
pub const JOB_SNAPSHOT_IF: Place = Place::new("jobs.<id>.snapshot.if", MATRIX);
pub const CALL_WITH: Place = Place::new("jobs.<id>.with", MATRIX);
pub const CALL_SECRETS: Place = Place::new("jobs.<id>.secrets", MATRIX_SECRETS);

pub const STEP_IF: Place = Place::new("jobs.<id>.steps.if", STEP_OPEN).hashing().asking(Status::Plain);
pub const STEP_NAME: Place = Place::new("jobs.<id>.steps.name", STEP).hashing();
pub const STEP_RUN: Place = Place::new("jobs.<id>.steps.run", STEP).hashing();
pub const STEP_DIRECTORY: Place = Place::new("jobs.<id>.steps.working-directory", STEP).hashing();
pub const STEP_ENV: Place = Place::new("jobs.<id>.steps.env", STEP).hashing();
pub const STEP_WITH: Place = Place::new("jobs.<id>.steps.with", STEP).hashing();
pub const STEP_CONTINUE: Place = Place::new("jobs.<id>.steps.continue-on-error", STEP).hashing();
pub const STEP_TIMEOUT: Place = Place::new("jobs.<id>.steps.timeout-minutes", STEP).hashing();

pub const ACTION_INPUT_DEFAULT: Place = Place::new("inputs.<id>.default", ACTION_INPUT).hashing();
pub const ACTION_OUTPUT_VALUE: Place = Place::new("outputs.<id>.value", ACTION_STEP);
pub const ACTION_RUNS_IF: Place = Place::new("runs.pre-if", ACTION_IF).hashing().asking(Status::Plain);
pub const ACTION_RUNS_DOCKER: Place = Place::new("runs.args", ACTION_DOCKER);
pub const ACTION_STEP_IF: Place = Place::new("runs.steps.if", ACTION_STEP).hashing().asking(Status::Plain);
pub const ACTION_STEP_VALUE: Place = Place::new("runs.steps", ACTION_STEP).hashing();

/// Every context there is, for telling a wrong place from a name that doesn't exist.
pub const CONTEXTS: &[&str] =
    &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "jobs", "runner", "env"];
