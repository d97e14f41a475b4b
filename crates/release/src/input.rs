//! What the gate is shown of a release.

use base::{Digest, Timestamp};
use gate::evidence::{Evidence, Summary};
use workflow::job::Conclusion;
use workflow::run::Run;

use crate::plan::{Plan, Workflows};
use crate::provenance;

/// What the gate is shown beside the release: it moves while the release waits.
pub(crate) struct Moment {
    pub circumstances: gate::Circumstances,
    pub rollbacks_24h: u32,
    pub at: Timestamp,
}

impl Moment {
    /// Of a decision that was made.
    pub fn of(decision: &gate::Decision) -> Moment {
        Moment { circumstances: decision.circumstances.clone(), rollbacks_24h: decision.rollbacks_24h, at: decision.at }
    }

    /// Whether a decision was made with the same before it. The time alone says nothing: another server's clock may say the same
    /// instant, and it has seen something else.
    pub fn is_of(&self, decision: &gate::Decision) -> bool {
        decision.at == self.at && decision.circumstances == self.circumstances && decision.rollbacks_24h == self.rollbacks_24h
    }
}

/// A workflow of which every job was skipped ran nothing: it is no reason for a yes, and none for a no.
pub fn results<'a>(runs: impl Iterator<Item = (&'a str, &'a Run)>) -> impl Iterator<Item = gate::RunResult> {
    let ran = runs.filter(|(_, run)| run.conclusion() != Some(Conclusion::Skipped));
    ran.map(|(workflow, run)| gate::RunResult {
        workflow: workflow.to_string(),
        conclusion: run.conclusion().map_or("unfinished", Conclusion::word).to_string(),
    })
}

pub(crate) fn gate_input<'a>(
    plan: &Plan,
    workflows: &Workflows,
    artifact: (Digest, u64),
    evidence: &Evidence,
    runs: impl Iterator<Item = (&'a str, &'a Run)>,
    moment: Moment,
) -> gate::Input {
    let before = workflows.proved.iter().flat_map(|proved| proved.runs.iter().cloned());
    let runs = results(runs);
    let input = gate::Input {
        release: format!("release-{}", plan.number),
        project: plan.project.name.clone(),
        environment: plan.environment.clone(),
        artifact: gate::Artifact { digest: artifact.0, size: artifact.1 },
        commit: gate::Commit {
            sha: workflows.commit.sha.clone(),
            message: workflows.commit.subject.clone(),
            author: workflows.commit.author.clone(),
        },
        brings: workflows.brings.clone(),
        runs: before.chain(runs).collect(),
        evidence: Summary::default(),
        findings: Vec::new(),
        previous: gate::Previous::default(),
        provenance: Some(provenance::believed(workflows)),
        attestations: Vec::new(),
        circumstances: moment.circumstances,
        rollbacks_24h: moment.rollbacks_24h,
        time: moment.at,
        actor: plan.actor.clone(),
    };
    input.with_evidence(evidence)
}
