//! What a release depends on besides itself: promises that are kept, incidents that are open, checks that pass.
//!
//! All of it is asked for in the moment of acting, and what was known then is part of the decision.

use base::Digest;
use base::number::counted;
use serde::{Deserialize, Serialize};

use crate::check::Checked;
use crate::incident::Incident;
use crate::protection::Branch;
use crate::slo::WhenUnknown;
use crate::{GatePlan, slo};

/// As the world answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    pub objectives: Vec<slo::Measured>,
    /// All that are open, or why nobody knows.
    pub incidents: Result<Vec<Incident>, String>,
    pub checks: Vec<Checked>,
    /// Who signs what ships, or why nobody can.
    pub signature: Result<Signature, String>,
    /// How the branch of what ships is protected, or why nobody knows.
    pub protection: Result<Branch, String>,
}

/// Who answers for what ships being what was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The fingerprint of its public half.
    pub key: Digest,
}

impl Default for Answers {
    fn default() -> Answers {
        let nobody = || "nobody has looked yet".to_string();
        Answers {
            objectives: Vec::new(),
            incidents: Err(nobody()),
            checks: Vec::new(),
            signature: Err(nobody()),
            protection: Err(nobody()),
        }
    }
}

/// As the gate sees it, and policies do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Circumstances {
    /// Nothing where nobody asks for one, or it can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Why it can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_unknown: Option<String>,
    /// How what users are promised is kept; empty where nothing is promised.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<slo::Status>,
    /// Those that count; nothing where nobody is asked, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incidents: Option<Vec<Incident>>,
    /// Why nobody knows which are open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incidents_unknown: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Checked>,
    /// Nothing where nobody is asked, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<Box<Branch>>,
    /// Why nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection_unknown: Option<String>,
}

impl GatePlan {
    /// What has to be found out; nothing where nothing has.
    pub fn asks(&self) -> Option<String> {
        let mut asked = Vec::new();
        if self.signed {
            asked.push("who signs what ships".to_string());
        }
        if !self.slos.is_empty() {
            asked.push("what is left of the error budgets".to_string());
        }
        if self.incidents.is_some() {
            asked.push("which incidents are open".to_string());
        }
        match self.checks.as_slice() {
            [] => {}
            [check] => asked.push(format!("how the check `{}` ends", check.name)),
            checks => asked.push(format!("how {} end", counted(checks.len(), "check"))),
        }
        if self.protection.is_some() {
            asked.push("how the branch is protected".to_string());
        }
        (!asked.is_empty()).then(|| asked.join(", "))
    }

    /// What nobody has looked at is unknown, and a check that was not made has failed.
    pub fn assess(&self, answers: &Answers) -> Circumstances {
        let incidents = self.incidents.as_ref().map(|incidents| answers.incidents.clone().and_then(|open| incidents.of(&open)));
        let checked = |name: &str| answers.checks.iter().find(|checked| checked.name == name).cloned();
        let checks =
            self.checks.iter().map(|check| checked(&check.name).unwrap_or_else(|| Checked::failed(&check.name, "it was not made")));
        let signature = self.signed.then(|| answers.signature.clone());
        let protection = self.protection.as_ref().map(|_| answers.protection.clone());
        Circumstances {
            signature: signature.as_ref().and_then(|known| known.as_ref().ok().cloned()),
            signature_unknown: signature.and_then(Result::err),
            slo: self.slos.assess(&answers.objectives),
            incidents: incidents.as_ref().and_then(|known| known.as_ref().ok().cloned()),
            incidents_unknown: incidents.and_then(Result::err),
            checks: checks.collect(),
            protection: protection.as_ref().and_then(|known| known.as_ref().ok().cloned()).map(Box::new),
            protection_unknown: protection.and_then(Result::err),
        }
    }

    /// Why nobody knows which incidents are open; nothing where all is known, or the project doesn't wait for it.
    pub fn waits_for_incidents(&self, circumstances: &Circumstances) -> Option<String> {
        self.incidents.as_ref().filter(|incidents| incidents.unknown == WhenUnknown::Hold)?;
        circumstances.incidents_unknown.clone()
    }

    /// The same of how the branch is protected.
    pub fn waits_for_protection(&self, circumstances: &Circumstances) -> Option<String> {
        self.protection.as_ref().filter(|protection| protection.unknown == WhenUnknown::Hold)?;
        circumstances.protection_unknown.clone()
    }

    /// Whether a release waits until more is known.
    pub fn waits(&self, circumstances: &Circumstances) -> bool {
        self.slos.holds(&circumstances.slo).is_some()
            || self.waits_for_incidents(circumstances).is_some()
            || self.waits_for_protection(circumstances).is_some()
    }
}

impl Circumstances {
    /// `Signed: …`, `Promised: …`, `Incidents: …`, `Checked: …`, `Branch: …`, for those who ask what was known.
    pub fn sentences(&self) -> Vec<String> {
        let signed = self.signature.iter().map(|signature| format!("Signed: by the server, whose key is {}.", signature.key.short()));
        let unsigned = self.signature_unknown.iter().map(|why| format!("Signed: by nobody: {why}."));
        let mut res: Vec<String> = signed.chain(unsigned).collect();
        res.extend(self.slo.iter().map(|status| format!("Promised: {}.", status.sentence())));
        match self.incidents.as_deref() {
            Some([]) => res.push("Incidents: none that counts is open.".to_string()),
            Some(open) => res.extend(open.iter().map(|incident| format!("Incidents: {}.", incident.sentence()))),
            None => {}
        }
        res.extend(self.incidents_unknown.iter().map(|why| format!("Incidents: nobody knows which are open: {why}.")));
        res.extend(self.checks.iter().map(|check| format!("Checked: {}.", check.sentence())));
        res.extend(self.protection.iter().flat_map(|branch| branch.sentences()).map(|sentence| format!("Branch: {sentence}.")));
        res.extend(self.protection_unknown.iter().map(|why| format!("Branch: nobody knows how it is protected: {why}.")));
        res
    }
}
