use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::BufWriter;

use base::{Digest, DigestWriter, Timestamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::commits::{Brought, Told};
use crate::evidence::{Attestation, DistinctFinding, SourceRef, Summary};
use crate::trust::{self, Looked};
use crate::{Circumstances, Evidence, EvidenceKind, Figure, GatePlan, baseline};

/// What is decided about, as it was seen; `docs/schema/gate-input.json` describes the document a policy gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// As people know it: `release-7`.
    pub release: String,
    pub project: String,
    pub environment: String,
    pub artifact: Artifact,
    pub commit: Commit,
    /// All commits that come with it; nothing where nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brings: Option<Brought>,
    pub runs: Vec<RunResult>,
    pub evidence: Summary,
    pub findings: Vec<DistinctFinding>,
    pub previous: Previous,
    /// Where the artifact comes from, as far as it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// What the runs left under a signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<(SourceRef, Attestation)>,
    #[serde(flatten)]
    pub circumstances: Circumstances,
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

/// How far what is stated of a build can be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The build level of SLSA.
    pub level: u8,
    pub builder: String,
    /// Why the level is no higher, each without a full stop; empty at 3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// What the project's last release had.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Previous {
    pub evidence: BTreeSet<EvidenceKind>,
    /// Of the last one that went live in this environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benchmarks: Vec<Figure>,
}

impl Input {
    /// Puts what was read into the input, summed up and each finding once.
    #[must_use]
    pub fn with_evidence(mut self, evidence: &Evidence) -> Input {
        self.evidence = evidence.summary();
        self.findings = evidence.findings();
        self.attestations = evidence.attestations();
        self
    }

    /// The document a policy sees: this, and the limits of the plan.
    pub fn document<'a>(&'a self, plan: &GatePlan) -> Document<'a> {
        let previous = Previous {
            evidence: self.previous.evidence.union(&plan.previous_evidence).copied().collect(),
            benchmarks: self.previous.benchmarks.iter().chain(&plan.previous_benchmarks).cloned().collect(),
        };
        let mut evidence = Cow::Borrowed(&self.evidence);
        if !previous.benchmarks.is_empty() && !evidence.benchmarks.is_empty() {
            baseline::compare(&mut evidence.to_mut().benchmarks, &previous.benchmarks);
        }
        let mut limits = json!({
            "coverage_min_percent": finite_or_all(plan.coverage_min_percent),
            "findings_max": plan.findings_max,
            "evidence_required": plan.evidence_required,
        });
        if let Some(level) = plan.level {
            limits["level"] = json!(level);
        }
        if plan.provenance_min > 0 {
            limits["provenance_min"] = plan.provenance_min.into();
        }
        if plan.signed {
            limits["signed"] = true.into();
        }
        if !plan.slos.is_empty() {
            let slos = &plan.slos;
            limits["slo"] = json!({ "unknown": slos.unknown, "budget_min_percent": slos.budget_min_percent });
        }
        if let Some(incidents) = &plan.incidents {
            limits["incidents"] = json!({ "unknown": incidents.unknown, "priorities": incidents.priorities });
        }
        if !plan.keys.is_empty() {
            limits["keys"] = plan.keys.iter().map(|key| key.name.as_str()).collect();
        }
        let attestations = trust::look(&plan.keys, &self.attestations, &self.commit.sha, self.time);
        if let Some(percent) = plan.regression_threshold_percent {
            limits["benchmarks"] = json!({ "regression_threshold_percent": finite_or_none(percent) });
        }
        if let Some(protection) = &plan.protection {
            limits["protection"] = json!({ "unknown": protection.unknown });
        }
        if let Some(rules) = &plan.commits {
            limits["commits"] = json!(rules);
        }
        let told = |told: &Told| plan.commits.as_ref().map_or_else(|| told.clone(), |rules| told.under(rules));
        let brings = self.brings.as_ref().map(|it| Brought { commits: it.commits.iter().map(told).collect(), ..it.clone() });
        Document { input: self, brings, evidence, previous, attestations, limits }
    }
}

/// What policies are asked about. Its text as JSON, whose digest a decision names, is written without being put together first: of
/// ten thousand findings that would take longer than the decision.
#[derive(Debug)]
pub struct Document<'a> {
    input: &'a Input,
    /// With what benchmarks took before.
    evidence: Cow<'a, Summary>,
    /// With what the plan's rules find wrong with them.
    brings: Option<Brought>,
    /// With what the plan knows of releases before.
    previous: Previous,
    /// As the plan's keys have it.
    attestations: Vec<Looked>,
    limits: Value,
}

/// Small enough for the memory next to the processor.
const DIGEST_PIECE_BYTES: usize = 16 << 10;

impl Document<'_> {
    pub fn json(&self) -> Value {
        serde_json::to_value(self).expect("an input has text keys and finite numbers only")
    }

    /// Of its text as JSON.
    pub fn digest(&self) -> Digest {
        // JSON is written in pieces of a few bytes, and each costs the hasher as much as a block of them.
        let mut writer = BufWriter::with_capacity(DIGEST_PIECE_BYTES, DigestWriter::default());
        serde_json::to_writer(&mut writer, self).expect("an input has text keys and finite numbers only");
        writer.into_inner().expect("a digest takes whatever is written").digest()
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Named one by one, so that none is forgotten.
        let Input {
            release,
            project,
            environment,
            artifact,
            commit,
            brings: _,
            runs,
            evidence: _,
            findings,
            previous: _,
            provenance,
            attestations: _,
            circumstances:
                Circumstances { signature, signature_unknown, slo, incidents, incidents_unknown, checks, protection, protection_unknown },
            rollbacks_24h,
            time,
            actor,
        } = self.input;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("release", release)?;
        map.serialize_entry("project", project)?;
        map.serialize_entry("environment", environment)?;
        map.serialize_entry("artifact", artifact)?;
        map.serialize_entry("commit", commit)?;
        if let (Some(brings), Some(as_read)) = (&self.brings, &self.input.brings) {
            map.serialize_entry("commits", &brings.commits)?;
            map.serialize_entry("change", &as_read.change())?;
        }
        map.serialize_entry("runs", runs)?;
        map.serialize_entry("evidence", &*self.evidence)?;
        map.serialize_entry("findings", findings)?;
        map.serialize_entry("previous", &self.previous)?;
        if let Some(provenance) = provenance {
            map.serialize_entry("provenance", provenance)?;
        }
        if !self.attestations.is_empty() {
            map.serialize_entry("attestations", &self.attestations)?;
        }
        if let Some(signature) = signature {
            map.serialize_entry("signature", signature)?;
        }
        if let Some(why) = signature_unknown {
            map.serialize_entry("signature_unknown", why)?;
        }
        if !slo.is_empty() {
            map.serialize_entry("slo", slo)?;
        }
        if let Some(incidents) = incidents {
            map.serialize_entry("incidents", incidents)?;
        }
        if let Some(why) = incidents_unknown {
            map.serialize_entry("incidents_unknown", why)?;
        }
        if !checks.is_empty() {
            map.serialize_entry("checks", checks)?;
        }
        if let Some(protection) = protection {
            map.serialize_entry("protection", protection)?;
        }
        if let Some(why) = protection_unknown {
            map.serialize_entry("protection_unknown", why)?;
        }
        map.serialize_entry("rollbacks_24h", rollbacks_24h)?;
        map.serialize_entry("time", time)?;
        map.serialize_entry("actor", actor)?;
        map.serialize_entry("limits", &self.limits)?;
        map.end()
    }
}

/// JSON has no NaN, and Rego would sort its `null` below every number: a minimum that is none asks for everything.
fn finite_or_all(percent: f64) -> f64 {
    if percent.is_finite() { percent } else { 100.0 }
}

/// The same of a most.
fn finite_or_none(percent: f64) -> f64 {
    if percent.is_finite() { percent } else { 0.0 }
}
