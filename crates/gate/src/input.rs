use std::collections::BTreeSet;

use base::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::evidence::{DistinctFinding, Summary};
use crate::{Evidence, EvidenceKind, GatePlan, slo};

/// What is decided about, as it was seen; `docs/schema/gate-input.json` describes the document a policy gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// As people know it: `release-7`.
    pub release: String,
    pub project: String,
    pub environment: String,
    pub artifact: Artifact,
    pub commit: Commit,
    pub runs: Vec<RunResult>,
    pub evidence: Summary,
    pub findings: Vec<DistinctFinding>,
    pub previous: Previous,
    /// How what users are promised is kept; empty where nothing is promised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<slo::Status>,
    /// How often traffic of the environment went back to an older version in the 24 hours before.
    #[serde(default)]
    pub rollbacks_24h: u32,
    /// The only clock a policy has.
    pub time: Timestamp,
    pub actor: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub digest: Digest,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub sha: String,
    pub message: String,
    pub author: String,
}

/// A workflow that ran for this commit and how it ended: `success`, or anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    pub workflow: String,
    pub conclusion: String,
}

/// What the project's last release had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub evidence: BTreeSet<EvidenceKind>,
}

impl Input {
    /// Puts what was read into the input, summed up and each finding once.
    #[must_use]
    pub fn with_evidence(mut self, evidence: &Evidence) -> Input {
        self.evidence = evidence.summary();
        self.findings = evidence.findings();
        self
    }

    /// The document a policy sees: this, and the limits of the plan.
    pub fn document(&self, plan: &GatePlan) -> Value {
        let mut document = serde_json::to_value(self).expect("an input has text keys and finite numbers only");
        let previous: BTreeSet<EvidenceKind> = self.previous.evidence.union(&plan.previous_evidence).copied().collect();
        document["previous"] = json!({ "evidence": previous });
        document["limits"] = json!({
            "coverage_min_percent": finite_or_all(plan.coverage_min_percent),
            "findings_max": plan.findings_max,
            "evidence_required": plan.evidence_required,
        });
        if !plan.slos.is_empty() {
            let slos = &plan.slos;
            document["limits"]["slo"] = json!({ "unknown": slos.unknown, "budget_min_percent": slos.budget_min_percent });
        }
        document
    }
}

/// JSON has no NaN, and Rego would sort its `null` below every number: a minimum that is none asks for everything.
fn finite_or_all(percent: f64) -> f64 {
    if percent.is_finite() { percent } else { 100.0 }
}
