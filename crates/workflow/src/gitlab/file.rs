//! A pipeline file as a value: what was written and put together, checked, not yet evaluated for any pipeline.

use base::Source;

use super::expression::Expression;
use super::image::Image;
use super::tree::{Place, Tree};
use super::variables::Variable;

/// A configuration with everything it includes.
#[derive(Debug, Clone)]
pub struct File {
    /// All files it was read from; places say which by their number.
    pub(crate) sources: Vec<Source>,
    /// With `.pre` and `.post`.
    pub(crate) stages: Vec<String>,
    pub(crate) name: Option<(String, Place)>,
    /// `workflow:rules`; without them every pipeline is created.
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) variables: Vec<Variable>,
    /// In the order of the file, hidden ones left out.
    pub(crate) jobs: Vec<Job>,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub name: String,
    pub place: Place,
    pub stage: String,
    /// `hooks:pre_get_sources_script`.
    pub before_sources: Vec<String>,
    pub before_script: Vec<String>,
    pub script: Vec<String>,
    pub after_script: Vec<String>,
    pub when: When,
    pub start_in_ms: Option<u64>,
    pub allow_failure: Option<AllowFailure>,
    pub rules: Option<Vec<Rule>>,
    pub only: Option<Policy>,
    pub except: Option<Policy>,
    pub needs: Option<Vec<Need>>,
    pub dependencies: Option<Vec<(String, Place)>>,
    pub variables: Vec<Variable>,
    /// Of the file's variables those that the job takes; nothing for all.
    pub inherited: Option<Vec<String>>,
    pub artifacts: Option<Artifacts>,
    pub caches: Vec<Cache>,
    pub image: Option<Image>,
    pub services: Vec<Image>,
    pub parallel: Parallel,
    pub retry: Option<Retry>,
    pub timeout_ms: Option<u64>,
    pub environment: Option<Environment>,
    /// Names, and for whom each is.
    pub id_tokens: Vec<(String, Vec<String>)>,
    pub coverage: Option<(String, Place)>,
    pub resource_group: Option<String>,
    pub trigger: Option<Trigger>,
    /// Right, and not run here.
    pub unsupported: Vec<(Place, String)>,
}

/// A job that is a pipeline of its own.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub place: Place,
    /// As entries of `include` are.
    pub include: Vec<Tree>,
    /// Whether the job is what becomes of the child; else it has succeeded once that is begun.
    pub depend: bool,
    /// Whether the child has the variables of the file and the job.
    pub forward: bool,
    /// Whether it has those, too, that the job's own pipeline was handed.
    pub forward_given: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum When {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
    Manual,
    Delayed,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AllowFailure {
    Always(bool),
    ExitCodes(Vec<i32>),
}

/// One entry of `rules`; what isn't given holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rule {
    /// With its text, to be shown.
    pub condition: Option<(Expression, String)>,
    pub changes: Option<Vec<String>>,
    pub exists: Option<Vec<String>>,
    pub when: Option<When>,
    pub start_in_ms: Option<u64>,
    pub allow_failure: Option<AllowFailure>,
    pub variables: Vec<Variable>,
    pub needs: Option<Vec<Need>>,
}

/// `only` or `except`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub refs: Option<Vec<String>>,
    pub variables: Option<Vec<Expression>>,
    pub changes: Option<Vec<String>>,
    pub kubernetes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub job: String,
    pub place: Place,
    pub optional: bool,
    pub artifacts: bool,
    /// Of a job with a matrix only these legs: variables and values.
    pub matrix: Option<Vec<Combination>>,
}

/// One entry of a matrix: variables, each with its values.
pub(crate) type Combination = Vec<(String, Vec<String>)>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Artifacts {
    pub paths: Vec<String>,
    pub exclude: Vec<String>,
    pub untracked: bool,
    pub when: ArtifactsWhen,
    /// Kind and paths: `junit`, `dotenv` …
    pub reports: Vec<(String, Vec<String>)>,
}

/// Of artifacts and caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ArtifactsWhen {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cache {
    pub key: CacheKey,
    pub paths: Vec<String>,
    pub pull: bool,
    pub push: bool,
    /// As written: may hold a variable.
    pub policy: Option<String>,
    pub when: ArtifactsWhen,
    pub fallback_keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CacheKey {
    Text(String),
    Files { files: Vec<String>, prefix: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parallel {
    No,
    Times(usize),
    /// Each leg's variables.
    Matrix(Vec<Vec<(String, String)>>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    pub max: u32,
    /// Empty for always.
    pub when: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    pub name: String,
    pub url: Option<String>,
    /// `start` when nothing is said.
    pub action: String,
    pub tier: Option<String>,
}
