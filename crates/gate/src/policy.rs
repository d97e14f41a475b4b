//! Rego over the input document. A policy that can't be read, throws, never ends or says nonsense is a denial that says so, never a yes.

mod answer;
mod ask;
mod cache;
mod fired;
mod idle;
mod load;
mod refuse;
mod test;
mod unbound;
mod unseen;
mod value;
mod walk;

use base::{Digest, Source};

pub use answer::{Answer, Statement};
pub use idle::Idle;
pub use load::PolicyDiagnostic;
pub use test::{TestOutcome, TestResult, test};

pub(crate) use cache::compiled;

use load::Package;

/// What decides when a repository says nothing else: a real file, so that it can be copied, read and changed.
pub const DEFAULT_POLICY: &str = include_str!("policy/default.rego");
/// Stands in messages where a repository's own file would have its path.
pub const DEFAULT_POLICY_NAME: &str = "built-in/gate.rego";

/// Policies that were read and found to be askable.
#[derive(Clone)]
pub struct Policies {
    engine: regorus::Engine,
    packages: Vec<Package>,
    idle: Vec<Idle>,
    unseen: Vec<PolicyDiagnostic>,
    digest: Digest,
    limit_ms: u64,
}

impl Policies {
    /// Reads all files and says everything that is wrong with them; without a `package plimsoll.gate` the default policy is taken.
    pub fn compile(sources: Vec<Source>) -> Result<Policies, Vec<PolicyDiagnostic>> {
        load::compile(sources)
    }

    #[must_use]
    pub fn with_limit_ms(mut self, limit_ms: u64) -> Policies {
        self.limit_ms = limit_ms;
        self
    }

    /// Names every byte of every rule that decides, the default policy's too.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The packages whose rules are asked, in order.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().map(|package| package.name.as_str())
    }

    /// Files that take no part in a decision.
    pub fn idle(&self) -> &[Idle] {
        &self.idle
    }

    /// Fields of the input that rules ask for and no input has.
    pub fn unseen(&self) -> &[PolicyDiagnostic] {
        &self.unseen
    }

    /// What is wrong with those of them that are meant to decide.
    pub fn unheard(&self) -> Vec<PolicyDiagnostic> {
        self.idle.iter().filter_map(|idle| idle.meant.clone()).collect()
    }

    /// Any question about the document, answered as `opa eval` does: `{"result": [{"expressions": […]}]}`.
    ///
    /// # Errors
    /// What is wrong with the query, or what failed while it was answered; with the place where it is one of a file.
    pub fn query(&self, query: &str, document: &serde_json::Value) -> Result<serde_json::Value, String> {
        ask::query(self, query, document)
    }

    /// Asks every package about the document.
    pub fn evaluate(&self, document: &impl serde::Serialize) -> Answer {
        ask::ask(self, document)
    }
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies")
            .field("packages", &self.packages().collect::<Vec<_>>())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
