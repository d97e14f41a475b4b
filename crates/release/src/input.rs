//! What the gate is shown of a release.

use base::{Digest, Timestamp};
use gate::evidence::{Evidence, Summary};
use workflow::job::Conclusion;
use workflow::run::Run;

use crate::plan::{Plan, Workflows};

pub(crate) fn gate_input<'a>(
    plan: &Plan,
    workflows: &Workflows,
    artifact: (Digest, u64),
    evidence: &Evidence,
    runs: impl Iterator<Item = (&'a str, &'a Run)>,
    slo: Vec<gate::slo::Status>,
    now: Timestamp,
) -> gate::Input {
    // A workflow of which every job was skipped ran nothing: it is no reason for a yes, and none for a no.
    let ran = runs.filter(|(_, run)| run.conclusion() != Some(Conclusion::Skipped));
    let runs = ran.map(|(workflow, run)| gate::RunResult {
        workflow: workflow.to_string(),
        conclusion: run.conclusion().map_or("unfinished", Conclusion::word).to_string(),
    });
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
        runs: runs.collect(),
        evidence: Summary::default(),
        findings: Vec::new(),
        previous: gate::Previous::default(),
        slo,
        time: now,
        actor: plan.actor.clone(),
    };
    input.with_evidence(evidence)
}
