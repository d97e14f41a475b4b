use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::approval::Approvals;
use crate::check::Check;
use crate::commits;
use crate::incident::Incidents;
use crate::level::Level;
use crate::protection::Protection;
use crate::slo::Slos;
use crate::trust::TrustedKey;
use crate::window::Calendar;
use crate::{EvidenceKind, Figure};

/// Everything about the gate that was chosen before the release began; stored with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatePlan {
    /// Of the environment, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The repository's `policy/*.rego`, as of the commit that ships.
    pub policies: Vec<PolicyFile>,
    pub coverage_min_percent: f64,
    pub findings_max: FindingsMax,
    /// The least build level of SLSA; 0 asks for none.
    #[serde(skip_serializing_if = "is_nothing")]
    pub provenance_min: u8,
    /// Whether what ships must be signed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
    /// Whose signatures count under what the runs leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<TrustedKey>,
    /// Evidence without which nothing ships.
    pub evidence_required: BTreeSet<EvidenceKind>,
    /// Evidence the project's last release had: what was there once may not vanish unnoticed.
    pub previous_evidence: BTreeSet<EvidenceKind>,
    /// What benchmarks took in the last release that went live in the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previous_benchmarks: Vec<Figure>,
    /// So many percent a benchmark may be slower than before; without it a warning says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regression_threshold_percent: Option<f64>,
    /// How long one package of rules may think; past it the answer is no.
    pub policy_limit_ms: u64,
    /// When the environment may be changed.
    #[serde(skip_serializing_if = "Calendar::is_empty")]
    pub calendar: Calendar,
    #[serde(skip_serializing_if = "Approvals::says_nothing")]
    pub approvals: Approvals,
    /// How many answer for an override, 1 or 2.
    #[serde(skip_serializing_if = "is_one")]
    pub override_people: u32,
    /// What users are promised, and must still be able to be kept.
    #[serde(skip_serializing_if = "Slos::is_empty")]
    pub slos: Slos,
    /// Who knows which incidents are open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incidents: Option<Incidents>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Who knows how the branch is protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// What messages of commits have to be like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<commits::Rules>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nothing(level: &u8) -> bool {
    *level == 0
}

impl Default for GatePlan {
    fn default() -> GatePlan {
        GatePlan {
            level: None,
            policies: Vec::new(),
            coverage_min_percent: 80.0,
            findings_max: FindingsMax::default(),
            provenance_min: 0,
            signed: false,
            keys: Vec::new(),
            evidence_required: BTreeSet::new(),
            previous_evidence: BTreeSet::new(),
            previous_benchmarks: Vec::new(),
            regression_threshold_percent: None,
            // A decision takes milliseconds; a busy machine must not turn it into a denial.
            policy_limit_ms: 5_000,
            calendar: Calendar::default(),
            approvals: Approvals::default(),
            override_people: 1,
            slos: Slos::default(),
            incidents: None,
            checks: Vec::new(),
            protection: None,
            commits: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFile {
    pub path: String,
    pub text: String,
}

/// How many findings of each kind may ship; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingsMax {
    pub critical: Option<u64>,
    pub high: Option<u64>,
    pub medium: Option<u64>,
    pub low: Option<u64>,
    pub secrets: Option<u64>,
}

impl Default for FindingsMax {
    fn default() -> FindingsMax {
        FindingsMax { critical: Some(0), high: None, medium: None, low: None, secrets: Some(0) }
    }
}
