//! A workflow file as a value: what was written, checked, not yet evaluated.
//!
//! Serialisable, because a run's plan carries its workflow and a record must replay after the file has changed.

use base::Span;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

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
    /// In the order of the file.
    pub jobs: Vec<Job>,
    /// Correct, and not run here yet: see [`crate::github::unsupported`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<Unsupported>,
}

/// A place in the file that is right and that the runner can't run yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unsupported {
    pub span: Span,
    /// What it is, to be read before "isn't run here yet": `a job container`.
    pub what: String,
}

/// One entry of `on:`; `config` is what stands below it (filters, types, inputs, cron …), as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    pub event: String,
    pub config: Map<String, Json>,
    pub span: Span,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    pub shell: Option<Template>,
    pub working_directory: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
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
    pub continue_on_error: Option<Template>,
    /// Name to template, in the order of the file.
    pub outputs: Vec<(String, Template)>,
    pub work: Work,
}

/// What a job does: steps on a machine, or another workflow called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Steps {
        runs_on: Template,
        container: Option<Template>,
        services: Option<Template>,
        defaults: Defaults,
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
    pub name: Template,
    pub url: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
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
    pub action: StepAction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    Run { script: Template, shell: Option<Template>, working_directory: Option<Template> },
    Uses { uses: String, with: Option<Template> },
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
