use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::evidence::SourceRef;
use crate::policy::{Answer, DEFAULT_POLICY, PolicyDiagnostic, Statement, compiled};
use crate::{Circumstances, EvidenceKind, GatePlan, Input};

/// What the gate said, about which bytes, by which policy, knowing what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub outcome: Outcome,
    /// The artifact it is about; a decision about other bytes says nothing.
    pub digest: Digest,
    pub policy_digest: Digest,
    /// Of the document the policy saw.
    pub input_digest: Digest,
    pub at: Timestamp,
    /// What was so besides.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// How often traffic had gone back in the 24 hours before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollbacks_24h: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Allowed {
        warnings: Vec<Violation>,
        /// The strategy the policy asks for; without one the environment's own is taken.
        strategy: Option<String>,
        /// The gate said no, and somebody answers for shipping all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overridden: Option<Overridden>,
    },
    Denied {
        /// Never empty.
        violations: Vec<Violation>,
        warnings: Vec<Violation>,
    },
}

/// Somebody answers for shipping although the gate says no, or nobody may ship now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub by: String,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    pub until: Timestamp,
    /// Others who answer for it too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub confirmed_by: BTreeSet<String>,
}

impl Override {
    /// Whether as many people answer for it as the project asks, under whatever names.
    pub fn counts(&self, plan: &GatePlan) -> bool {
        let is_another = |name: &String| !plan.approvals.people.are_one(name, &self.by);
        plan.override_people < 2 || self.confirmed_by.iter().any(is_another)
    }
}

/// What would have been a no.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overridden {
    pub by: Override,
    /// Never empty.
    pub violations: Vec<Violation>,
}

/// One reason against, or one thing worth knowing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Stable, for machines: `coverage/low`.
    pub id: String,
    /// For people, without a full stop.
    pub message: String,
    pub evidence: Vec<Origin>,
    /// `file:line` of the rule that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// Where a violation comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    File(SourceRef),
    Text(String),
}

/// Findings from which on a decision is taken by several threads; of fewer, one takes longer to start than the decision.
pub(crate) const MUCH: usize = 1_000;

/// May this ship? The same plan and input always give the same answer, save for a policy that runs out of time.
pub fn decide(plan: &GatePlan, input: &Input) -> Decision {
    let document = input.document(plan);
    let answer = || match &*compiled(plan) {
        Ok(policies) => (policies.evaluate(&document), policies.digest()),
        Err(diagnostics) => (unreadable(diagnostics), texts_digest(plan)),
    };
    let ((answer, policy_digest), input_digest) = if input.findings.len() < MUCH {
        (answer(), document.digest())
    } else {
        std::thread::scope(|scope| {
            let digest = scope.spawn(|| document.digest());
            (answer(), digest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    };
    let outcome = outcome(answer, input);
    Decision {
        outcome,
        digest: input.artifact.digest,
        policy_digest,
        input_digest,
        at: input.time,
        circumstances: input.circumstances.clone(),
        rollbacks_24h: input.rollbacks_24h,
    }
}

/// The decision in sentences, the most important first.
pub fn explain(decision: &Decision) -> Vec<String> {
    let artifact = format!("artifact {}", decision.digest.short());
    let (head, reasons, warnings) = match &decision.outcome {
        Outcome::Allowed { warnings, overridden: Some(overridden), .. } => {
            let reasons = reasons_against(&overridden.violations);
            (
                format!("The gate denied {artifact}, for {reasons}, and was overridden: {}.", overridden.by),
                &overridden.violations[..],
                warnings,
            )
        }
        Outcome::Allowed { warnings, strategy: Some(strategy), .. } => {
            (format!("The gate allows {artifact}, by the strategy {strategy}."), &[][..], warnings)
        }
        Outcome::Allowed { warnings, strategy: None, .. } => (format!("The gate allows {artifact}."), &[][..], warnings),
        Outcome::Denied { violations, warnings } => {
            (format!("The gate denies {artifact}, for {}.", reasons_against(violations)), violations.as_slice(), warnings)
        }
    };
    let mut res = vec![head];
    res.extend(reasons.iter().map(|violation| sentence("Denied", violation)));
    res.extend(warnings.iter().map(|warning| sentence("Warning", warning)));
    res.extend(decision.circumstances.sentences());
    let Decision { policy_digest, input_digest, at, .. } = decision;
    res.push(format!("Decided at {} by policy {} on input {}.", at.date_and_clock(), policy_digest.short(), input_digest.short()));
    res
}

impl Decision {
    /// The one that the policy asks for.
    pub fn strategy(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Allowed { strategy, .. } => strategy.as_deref(),
            Outcome::Denied { .. } => None,
        }
    }

    /// A yes becomes a no for one more reason; a no stays what it is.
    #[must_use]
    pub fn denied(self, violation: Violation) -> Decision {
        match self.outcome {
            Outcome::Allowed { warnings, .. } => Decision { outcome: Outcome::Denied { violations: vec![violation], warnings }, ..self },
            Outcome::Denied { .. } => self,
        }
    }

    /// A no becomes a yes that somebody answers for; a yes stays what it is.
    #[must_use]
    pub fn overridden(self, by: &Override) -> Decision {
        match self.outcome {
            Outcome::Denied { violations, warnings } => {
                let overridden = Some(Overridden { by: by.clone(), violations });
                Decision { outcome: Outcome::Allowed { warnings, strategy: None, overridden }, ..self }
            }
            Outcome::Allowed { .. } => self,
        }
    }

    pub fn is_allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Allowed { .. })
    }

    /// Empty when it is allowed.
    pub fn violations(&self) -> &[Violation] {
        match &self.outcome {
            Outcome::Allowed { .. } => &[],
            Outcome::Denied { violations, .. } => violations,
        }
    }

    pub fn warnings(&self) -> &[Violation] {
        match &self.outcome {
            Outcome::Allowed { warnings, .. } | Outcome::Denied { warnings, .. } => warnings,
        }
    }
}

fn reasons_against(violations: &[Violation]) -> String {
    if violations.len() == 1 { "1 reason".to_string() } else { format!("{} reasons", violations.len()) }
}

impl fmt::Display for Override {
    /// `by ana until 2026-11-25 12:00:00 UTC: the shop is down (INC-7)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {} until {}: {}", self.by, self.until.date_and_clock(), self.reason)?;
        if let Some(ticket) = &self.ticket {
            write!(f, " ({ticket})")?;
        }
        let others: Vec<&str> = self.confirmed_by.iter().map(String::as_str).collect();
        if others.is_empty() { Ok(()) } else { write!(f, ", confirmed by {}", others.join(" and ")) }
    }
}

impl fmt::Display for Violation {
    /// `coverage is 71.2 %, at least 80 % is asked (coverage.xml)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // What the sentence names already is not said twice.
        let origins: Vec<String> = self.evidence.iter().map(Origin::to_string).filter(|origin| !self.message.contains(origin)).collect();
        if origins.is_empty() { Ok(()) } else { write!(f, " ({})", origins.join(", ")) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(SourceRef { path, line: Some(line), .. }) => write!(f, "{path}:{line}"),
            Origin::File(SourceRef { path, .. }) => f.write_str(path),
            Origin::Text(text) => f.write_str(text),
        }
    }
}

fn sentence(kind: &str, violation: &Violation) -> String {
    match &violation.rule {
        Some(rule) => format!("{kind}: {violation}; says {rule}"),
        None => format!("{kind}: {violation}"),
    }
}

fn outcome(answer: Answer, input: &Input) -> Outcome {
    let sources = sources(input);
    let violation = |statement: Statement| violation(statement, &sources);
    let mut violations: Vec<Violation> = answer.violations.into_iter().map(violation).collect();
    let warnings: Vec<Violation> = answer.warnings.into_iter().map(violation).collect();
    let unmet = answer.requires.into_iter().filter_map(|required| unmet(required, |kind| input.evidence.present.contains(&kind)));
    violations.extend(unmet.map(violation));
    match violations.is_empty() {
        true => Outcome::Allowed { warnings, strategy: answer.strategy, overridden: None },
        false => Outcome::Denied { violations, warnings },
    }
}

/// A required kind of evidence that is there is met; anything else that is required can't be provided yet, and is said.
pub(crate) fn unmet(required: Statement, is_there: impl Fn(EvidenceKind) -> bool) -> Option<Statement> {
    let kind = EvidenceKind::ALL.into_iter().find(|kind| kind.as_str() == required.message);
    let message = match kind {
        Some(kind) if is_there(kind) => return None,
        Some(kind) => format!("the policy requires evidence of {kind}, and there is none"),
        None => format!("the policy requires `{}`, which can't be given yet", required.message),
    };
    Some(Statement { id: "policy/requires".to_string(), message, ..required })
}

fn violation(statement: Statement, sources: &BTreeMap<&str, &SourceRef>) -> Violation {
    let Statement { id, message, evidence, rule, .. } = statement;
    let evidence = evidence.into_iter().map(|origin| match sources.get(origin.as_str()) {
        Some(source) => Origin::File((*source).clone()),
        None => Origin::Text(origin),
    });
    Violation { id, message, evidence: evidence.collect(), rule }
}

fn sources(input: &Input) -> BTreeMap<&str, &SourceRef> {
    let tests = input.evidence.tests.iter().flat_map(|tests| &tests.sources);
    let coverage = input.evidence.coverage.iter().flat_map(|coverage| &coverage.sources);
    let findings = input.evidence.findings.iter().flat_map(|findings| &findings.sources);
    let attestations = input.attestations.iter().map(|(source, _)| source);
    let benchmarks = input.evidence.benchmarks.iter().map(|benchmark| &benchmark.source);
    let bills = input.evidence.sbom.iter().map(|bill| &bill.source);
    let reports = tests.chain(coverage).chain(findings).chain(benchmarks).chain(bills).chain(attestations);
    reports.map(|source| (source.path.as_str(), source)).collect()
}

fn unreadable(diagnostics: &[PolicyDiagnostic]) -> Answer {
    let violations = diagnostics.iter().map(|problem| {
        let (line, _) = problem.source.line_column(problem.diagnostic.span.start);
        let message = format!("the policy can't be read: {problem}");
        Statement {
            id: "policy/unreadable".into(),
            message,
            evidence: Vec::new(),
            rule: Some(format!("{}:{line}", problem.source.name)),
            raw: None,
        }
    });
    Answer { violations: violations.collect(), ..Answer::default() }
}

/// Policies that can't be read have no packages; their texts still name what was tried.
fn texts_digest(plan: &GatePlan) -> Digest {
    Digest::of(&serde_json::to_vec(&(&plan.policies, DEFAULT_POLICY)).expect("texts are JSON"))
}
