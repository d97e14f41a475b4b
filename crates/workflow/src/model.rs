//! A workflow file as a value: what was written, checked, not yet evaluated.
//!
//! Serialisable, because a run's plan carries its workflow and a record must replay after the file has changed.

use std::collections::BTreeMap;

use base::{Digest, Span};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::runners::Runners;

/// One workflow file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its path relative to the project: `.github/workflows/ci.yml`.
    pub path: String,
    pub name: Option<String>,
    pub run_name: Option<Template>,
    pub on: Vec<Trigger>,
    /// A mapping, or an expression that yields one.
    pub env: Option<Template>,
    pub defaults: Defaults,
    pub permissions: Option<Permissions>,
    pub concurrency: Option<Concurrency>,
    /// What `on: workflow_call` declares, where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// In the order of the file.
    pub jobs: Vec<Job>,
    /// The workflows that this one calls, directly or not, by the names that [`crate::plan::called_key`] gives them; they have none
    /// themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub called: BTreeMap<String, Workflow>,
    /// Correct, and not run here yet: see [`crate::github::unsupported`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<Unsupported>,
    /// Where it needs a container engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contained: Vec<Unsupported>,
    /// The actions of other repositories that it uses, however deep, by [`key`](crate::job::Remote::key): found out before the
    /// run, so that every job runs the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Pinned>,
    /// Where the project has the jobs of which labels run, those of called workflows among them.
    #[serde(default, skip_serializing_if = "Runners::says_nothing")]
    pub runners: Runners,
}

/// Which state of another repository is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub commit: String,
    /// Over the names, modes and bytes of all its files.
    pub tree: Digest,
}

/// A place in the file that is right and that the runner can't run yet, or not without more than the machine itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unsupported {
    pub span: Span,
    /// What it is, to be read before "isn't run here yet": `a job container`.
    pub what: String,
    /// What a project can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One entry of `on:`; `config` is what stands below it (filters, types, inputs, cron …), as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    pub event: String,
    pub config: Map<String, Json>,
    pub span: Span,
}

/// What a workflow that others call takes and gives, each in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub inputs: Vec<CallInput>,
    pub outputs: Vec<(String, Template)>,
    pub secrets: Vec<CallSecret>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallInput {
    pub name: String,
    pub kind: InputKind,
    pub required: bool,
    pub default: Option<Template>,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    Boolean,
    Number,
    String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallSecret {
    pub name: String,
    pub required: bool,
    pub span: Span,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    pub shell: Option<Template>,
    pub working_directory: Option<Template>,
    /// One expression that yields both, in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// A text, or an expression that yields one, or one that yields a mapping of all three.
    pub group: Template,
    pub cancel_in_progress: Option<Template>,
    /// `single` or `max`.
    pub queue: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permissions {
    ReadAll,
    WriteAll,
    /// Scope to `read`, `write` or `none`.
    Scopes(Map<String, Json>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub span: Span,
    pub name: Option<Template>,
    pub needs: Vec<String>,
    /// The condition with `success() && (…)` already put around it where no status function is named; an expression without `${{ }}`.
    pub condition: String,
    pub permissions: Option<Permissions>,
    pub environment: Option<Environment>,
    pub concurrency: Option<Concurrency>,
    pub strategy: Option<Strategy>,
    pub env: Option<Template>,
    pub timeout_minutes: Option<Template>,
    /// How long a cancelled job is asked to end before it is made to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_timeout_minutes: Option<Template>,
    pub continue_on_error: Option<Template>,
    /// Exit codes with which it may fail; it tells the one it had in its output [`EXIT_CODE`]. Of GitLab's files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_exit_codes: Vec<i32>,
    /// The pattern between slashes by which its log tells the coverage of its tests. Of GitLab's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// Tokens that say who it is, made before it starts. Of GitLab's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_tokens: Option<IdTokens>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Name to template, in the order of the file.
    pub outputs: Vec<(String, Template)>,
    pub work: Work,
}

/// `id_tokens`: each is a secret of the job with this name behind [`IdTokens::SECRET`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTokens {
    /// Names, and for whom each is.
    pub audiences: Vec<(String, Vec<String>)>,
    /// `CI_PIPELINE_SOURCE`.
    pub source: String,
}

impl IdTokens {
    pub const SECRET: &str = "id token ";
}

/// The output of a job in which [`Job::allowed_exit_codes`] are looked for.
pub const EXIT_CODE: &str = "exit_code";

/// What a job does: steps on a machine, or another workflow called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly every job has steps")]
pub enum Work {
    Steps {
        runs_on: Template,
        /// An image or a mapping, or an expression that yields one of them: [`crate::container::job`] evaluates it.
        container: Option<Template>,
        /// Names to containers, or an expression that yields that: [`crate::container::services`] evaluates it.
        services: Option<Template>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<Snapshot>,
        defaults: Defaults,
        /// In the order of the file. Those of a `parallel` group stand one after another, each in the background, and the
        /// wait for all of them follows.
        steps: Vec<Step>,
    },
    Call {
        /// `./.github/workflows/x.yml` or `owner/repo/path@ref`.
        uses: String,
        with: Option<Template>,
        secrets: CallSecrets,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallSecrets {
    None,
    Inherit,
    Given(Template),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// A text, or an expression that yields one, or one that yields a mapping of all three.
    pub name: Template,
    pub url: Option<Template>,
    /// Whether a deployment is recorded; it is where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Template>,
}

/// An image of the job's machine, made after its last step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub image_name: String,
    /// `1.*`; nothing where none is given.
    pub version: Option<String>,
    /// As in [`Job::condition`].
    pub condition: String,
}

/// `retry:`, which is Plimsoll's own: what failed is tried again, and every attempt is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often again, after the first time.
    pub max: u32,
    /// In the order of the file, each once.
    pub on: Vec<RetryOn>,
    /// Before the second attempt; before every further one twice as long.
    pub backoff_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// It ran and failed.
    Failure,
    /// Nobody knows how it ended; it may have run in part.
    Lost,
    /// It took longer than its `timeout-minutes`.
    Timeout,
}

impl Retry {
    /// Nobody waits longer than this between two attempts.
    const BACKOFF_MAX_MS: u64 = 60 * 60_000;

    /// How long to wait after the attempt with this number, from 1, ended so; nothing when it isn't tried again.
    pub fn after(&self, attempt: u32, ended: RetryOn) -> Option<u64> {
        let again = attempt <= self.max && self.on.contains(&ended);
        again.then(|| {
            let doubled = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
            self.backoff_ms.saturating_mul(doubled).min(Retry::BACKOFF_MAX_MS)
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// One expression that yields everything below, in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Template>,
    /// A mapping of vectors with `include` and `exclude`, or an expression that yields one.
    pub matrix: Option<Template>,
    pub fail_fast: Option<Template>,
    pub max_parallel: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// As written, or generated: `__run`, `__actions_checkout`, `__run_2` (unique within the job).
    pub id: String,
    pub span: Span,
    pub name: Option<Template>,
    /// As in [`Job::condition`].
    pub condition: String,
    pub env: Option<Template>,
    pub continue_on_error: Option<Template>,
    pub timeout_minutes: Option<Template>,
    /// The steps after it don't wait for it; `wait`, `wait-all`, `cancel` and the end of the job do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
    /// Of a `parallel` group, the id of the step that waits for all of it; that step has it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    pub action: StepAction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    Run {
        script: Template,
        shell: Option<Template>,
        working_directory: Option<Template>,
    },
    Uses {
        uses: String,
        with: Option<Template>,
    },
    /// Until these steps in the background have ended: their ids, as the steps have them. It is as bad as the worst of them,
    /// and its condition is `always()`, as that of the two others.
    Wait {
        steps: Vec<String>,
    },
    /// Until all those have ended that no step before has waited for or cancelled.
    WaitAll,
    /// These steps in the background are ended, and then fail nothing.
    Cancel {
        steps: Vec<String>,
    },
}

impl StepAction {
    /// Whether it only steers steps in the background.
    pub fn steers(&self) -> bool {
        matches!(self, StepAction::Wait { .. } | StepAction::WaitAll | StepAction::Cancel { .. })
    }
}

impl Step {
    /// A step with nothing but what it does; it runs as long as nothing failed.
    pub fn new(id: impl Into<String>, span: Span, action: StepAction) -> Step {
        Step {
            id: id.into(),
            span,
            name: None,
            condition: "success()".to_owned(),
            env: None,
            continue_on_error: None,
            timeout_minutes: None,
            background: false,
            group: None,
            retry: None,
            action,
        }
    }
}

impl Job {
    /// A job with nothing but its work; it runs once everything it needs has succeeded.
    pub fn new(id: impl Into<String>, span: Span, work: Work) -> Job {
        Job {
            id: id.into(),
            span,
            name: None,
            needs: Vec::new(),
            condition: "success()".to_owned(),
            permissions: None,
            environment: None,
            concurrency: None,
            strategy: None,
            env: None,
            timeout_minutes: None,
            cancel_timeout_minutes: None,
            allowed_exit_codes: Vec::new(),
            coverage: None,
            id_tokens: None,
            continue_on_error: None,
            retry: None,
            outputs: Vec::new(),
            work,
        }
    }
}

impl Workflow {
    /// A workflow with nothing in it yet.
    pub fn new(path: impl Into<String>) -> Workflow {
        Workflow {
            path: path.into(),
            name: None,
            run_name: None,
            on: Vec::new(),
            env: None,
            defaults: Defaults::default(),
            permissions: None,
            concurrency: None,
            interface: None,
            jobs: Vec::new(),
            called: BTreeMap::new(),
            unsupported: Vec::new(),
            contained: Vec::new(),
            actions: BTreeMap::new(),
            runners: Runners::default(),
        }
    }
}

/// A value with expressions in it, as GitHub's template tokens are: literals, `${{ }}` leaves, sequences and mappings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    Null,
    Bool(bool),
    Number(f64),
    /// Literal text without any `${{ }}`.
    String(String),
    /// One expression, without its `${{ }}`; text mixed with expressions has become `format('…', …)`.
    Expr {
        source: String,
        span: Span,
    },
    Sequence(Vec<Template>),
    /// In the order of the file; a key may be an expression.
    Mapping(Vec<(Template, Template)>),
}

/// One `action.yml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its path relative to where it was found: `.github/actions/setup/action.yml`.
    pub path: String,
    pub name: Option<String>,
    pub description: Option<String>,
    /// In the order of the file.
    pub inputs: Vec<ActionInput>,
    pub outputs: Vec<ActionOutput>,
    pub runs: ActionRuns,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionInput {
    pub name: String,
    pub description: Option<String>,
    pub required: bool,
    pub default: Option<Template>,
    pub deprecation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionOutput {
    pub name: String,
    pub description: Option<String>,
    /// Only composite actions say here where their outputs come from.
    pub value: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionRuns {
    Composite {
        steps: Vec<Step>,
    },
    /// `using: node20`; the files are relative to the action's directory. The conditions are expressions without `${{ }}`,
    /// taken as written: no `success()` is put around them, and without one it is `always()`.
    Node {
        using: String,
        main: String,
        pre: Option<String>,
        pre_condition: String,
        post: Option<String>,
        post_condition: String,
    },
    Docker {
        image: String,
        entrypoint: Option<String>,
        args: Vec<Template>,
        env: Option<Template>,
        pre_entrypoint: Option<String>,
        pre_condition: String,
        post_entrypoint: Option<String>,
        post_condition: String,
    },
}
