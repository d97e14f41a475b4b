use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::judge::{Evidence, Question, Verdict};
use crate::outcome::{Outcome, Reason};
use crate::plan::RevisionId;
use crate::rolling::Scale;
use crate::rollout::{Phase, Rollout};

/// Where a rollout stands, as plain data for the command line and the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub phase: Phase,
    /// When the phase began.
    pub since: Timestamp,
    pub revision: RevisionId,
    pub stable: Option<RevisionId>,
    /// The step it is at and how many there are, while it is a canary.
    pub step: Option<StepStatus>,
    /// The new revision waits beside the old one, without traffic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_preview: bool,
    /// The new revision's share of the traffic as decided, in 0.01 %.
    pub weight: u32,
    /// Instances wanted of each revision, during a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    pub generation: u64,
    pub paused_by: Option<String>,
    /// Per metric and stream: totals, the last look, odds, proof.
    pub evidence: Vec<Evidence>,
    /// What is not proved yet.
    pub open: Vec<Question>,
    /// The question whose verdict is "worse".
    pub worse: Option<Question>,
    /// Milliseconds until everything needed is proved at the traffic of the last looks; nothing when no proof is in sight or needed.
    pub forecast_ms: Option<u64>,
    /// Users' requests are so few that probes count.
    pub probes_count: bool,
    /// The steps were skipped, since the stable was dead before the new revision had any traffic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Why it goes back.
    pub reason: Option<Reason>,
    pub outcome: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStatus {
    /// From 0.
    pub index: usize,
    pub count: usize,
    pub since: Timestamp,
    /// Its time ran out and it is held.
    pub held: bool,
}

impl Rollout {
    /// `now` only decides whether the traffic of the step counts as thin.
    pub fn status_at(&self, now: Timestamp) -> Status {
        let probes_count = self.is_thin(now);
        let worse = if let Verdict::Worse(question) = self.judge.verdict(probes_count) { Some(question) } else { None };
        let open = if self.phase == Phase::Canary { self.open_questions(now) } else { Vec::new() };
        Status {
            phase: self.phase,
            since: self.phase_since,
            revision: self.plan.revision.id.clone(),
            stable: self.stable().map(|stable| stable.id.clone()),
            step: self.step.map(|index| StepStatus {
                index,
                count: self.steps().len(),
                since: self.step_since,
                held: self.deadline_passed,
            }),
            is_preview: self.is_preview(),
            weight: self.weight(),
            scale: self.rolling.as_ref().map(|rolling| rolling.scale),
            generation: self.generation,
            paused_by: self.paused_by.clone(),
            evidence: self.judge.evidence(&self.meter.bounds),
            forecast_ms: if open.is_empty() { None } else { self.judge.forecast_ms(probes_count) },
            open,
            worse,
            probes_count,
            skipped: self.skipped,
            reason: self.reason.clone(),
            outcome: self.outcome.clone(),
        }
    }

    /// As of the last look at the counters.
    pub fn status(&self) -> Status {
        self.status_at(self.meter.looked_at.max(self.step_since).max(self.phase_since))
    }
}
