//! What may happen when: the whole life of a rollout on one screen.

use crate::event::Happened;
use crate::rollout::{Command, Phase};

/// ```text
/// planned → starting → canary ⟲ → verifying → draining → retiring → finished
///               └─────────┴───────────┴──────────┴→ rolling_back → removing → finished
/// ```
pub(crate) fn allows(phase: Phase, what: &Happened) -> bool {
    use Happened as H;
    use Phase as P;
    match (phase, what) {
        (P::Finished, _) => false,
        (P::Planned, H::Started { .. }) => true,
        (P::Starting, H::InstancesReady) => true,
        (
            P::Canary,
            H::StepStarted { .. } | H::StepsDone | H::StableDead { .. } | H::DeadlinePassed { .. } | H::Closed { .. } | H::Opened,
        ) => true,
        (P::Canary | P::Verifying | P::Draining, H::Baseline { .. } | H::BoundFixed { .. } | H::Measured { .. }) => true,
        (
            P::Canary | P::Verifying | P::Draining | P::Retiring | P::RollingBack,
            H::Routed { .. } | H::RouteTaken { .. } | H::RouteMissed { .. },
        ) => true,
        (P::Canary | P::Verifying, H::SmokeAsked { .. } | H::SmokePassed { .. }) => true,
        (P::Verifying, H::Verified) => true,
        (P::Draining | P::RollingBack, H::StopDecided { .. }) => true,
        (P::Planned | P::Starting | P::Canary | P::Verifying | P::Draining, H::RollbackStarted { .. } | H::AbortAsked { .. }) => true,
        (P::Planned | P::Starting | P::Canary | P::Verifying, H::PauseAsked { .. } | H::ResumeAsked { .. }) => true,
        (P::Canary, H::PromoteAsked { .. }) => true,
        (P::Draining | P::Retiring | P::RollingBack | P::Removing, H::Finished { .. }) => true,
        (
            P::Planned | P::Starting | P::Canary | P::Verifying | P::Draining | P::Retiring | P::RollingBack | P::Removing,
            H::Started { .. }
            | H::InstancesReady
            | H::StepStarted { .. }
            | H::Routed { .. }
            | H::RouteTaken { .. }
            | H::RouteMissed { .. }
            | H::Baseline { .. }
            | H::BoundFixed { .. }
            | H::Measured { .. }
            | H::DeadlinePassed { .. }
            | H::Closed { .. }
            | H::Opened
            | H::StepsDone
            | H::StableDead { .. }
            | H::SmokeAsked { .. }
            | H::SmokePassed { .. }
            | H::Verified
            | H::StopDecided { .. }
            | H::RollbackStarted { .. }
            | H::Finished { .. }
            | H::PromoteAsked { .. }
            | H::PauseAsked { .. }
            | H::ResumeAsked { .. }
            | H::AbortAsked { .. },
        ) => false,
    }
}

/// Why a command can't be followed now; the answer is no, and says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the rollout is over; nothing changes any more")]
    Finished,
    #[error("its instances are not ready yet, there is nothing to promote; wait, or abort")]
    NotReady,
    #[error("the new revision already has all traffic and is being verified")]
    AllTrafficAlready,
    #[error("the rollout is already going back")]
    GoingBack,
    #[error("the previous revision has already been stopped; `plimsoll release rollback` brings it back")]
    PreviousStopped,
    #[error("the rollout is already paused")]
    PausedAlready,
    #[error("the rollout is not paused")]
    NotPaused,
}

/// `paused`: by a person, or at a step that waits for one.
pub(crate) fn permits(phase: Phase, paused: bool, waits_for_person: bool, command: Command) -> Result<(), Refusal> {
    use Command as C;
    use Phase as P;
    match (phase, command) {
        (P::Finished, _) => Err(Refusal::Finished),
        (P::RollingBack | P::Removing, _) => Err(Refusal::GoingBack),
        (P::Retiring, _) => Err(Refusal::PreviousStopped),
        (P::Planned | P::Starting | P::Canary | P::Verifying | P::Draining, C::Abort) => Ok(()),
        (P::Canary, C::Promote { .. }) => Ok(()),
        (P::Planned | P::Starting, C::Promote { .. }) => Err(Refusal::NotReady),
        (P::Verifying | P::Draining, C::Promote { .. }) => Err(Refusal::AllTrafficAlready),
        (P::Draining, C::Pause | C::Resume) => Err(Refusal::AllTrafficAlready),
        (P::Planned | P::Starting | P::Canary | P::Verifying, C::Pause) => (!paused).then_some(()).ok_or(Refusal::PausedAlready),
        (P::Planned | P::Starting | P::Canary | P::Verifying, C::Resume) => {
            (paused || waits_for_person).then_some(()).ok_or(Refusal::NotPaused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, Reason};

    const PHASES: [Phase; 9] = [
        Phase::Planned,
        Phase::Starting,
        Phase::Canary,
        Phase::Verifying,
        Phase::Draining,
        Phase::Retiring,
        Phase::RollingBack,
        Phase::Removing,
        Phase::Finished,
    ];

    /// Columns are the phases in their order: x allowed, · refused.
    #[test]
    fn every_event_has_its_phases() {
        let reason = || Reason::Aborted { by: "ana".to_string() };
        let by = || "ana".to_string();
        let table: [(&str, Happened); 23] = [
            ("x········", Happened::Started { generation: 1 }),
            ("·x·······", Happened::InstancesReady),
            ("··x······", Happened::StepStarted { step: 0 }),
            ("··xxxxx··", Happened::Routed { generation: 1, weights: [].into(), endpoints: Vec::new(), synthetic: None }),
            ("··xxxxx··", Happened::RouteTaken { generation: 1 }),
            ("··xxxxx··", Happened::RouteMissed { generation: 1 }),
            ("··xxx····", Happened::Baseline { epoch: String::new(), readings: [].into() }),
            ("··xxx····", Happened::Measured { looks: Vec::new() }),
            ("··x······", Happened::DeadlinePassed { step: 0 }),
            ("··x······", Happened::Closed { why: String::new() }),
            ("··x······", Happened::Opened),
            ("··x······", Happened::StepsDone),
            ("··x······", Happened::StableDead { revision: crate::RevisionId("r".to_string()), message: None }),
            ("··xx·····", Happened::SmokeAsked { generation: 1 }),
            ("··xx·····", Happened::SmokePassed { checks: 1 }),
            ("···x·····", Happened::Verified),
            ("····x·x··", Happened::StopDecided { generation: 1, revision: crate::RevisionId("r".to_string()) }),
            ("xxxxx····", Happened::RollbackStarted { reason: reason() }),
            ("····xxxx·", Happened::Finished { outcome: Outcome::Failed { reason: reason() } }),
            ("··x······", Happened::PromoteAsked { by: by(), full: true }),
            ("xxxx·····", Happened::PauseAsked { by: by() }),
            ("xxxx·····", Happened::ResumeAsked { by: by() }),
            ("xxxxx····", Happened::AbortAsked { by: by() }),
        ];
        for (expected, what) in &table {
            let row: String = PHASES.iter().map(|phase| if allows(*phase, what) { 'x' } else { '·' }).collect();
            assert_eq!(&row, expected, "{what:?}");
        }
    }

    /// And what a person may ask: what `permits` lets through must be an event that `allows` lets happen.
    #[test]
    fn every_command_has_its_phases_and_its_refusal() {
        let table = [
            ("··x······", Command::Promote { full: false }, false),
            ("··x······", Command::Promote { full: true }, false),
            ("xxxx·····", Command::Pause, false),
            ("·········", Command::Pause, true),
            ("·········", Command::Resume, false),
            ("xxxx·····", Command::Resume, true),
            ("xxxxx····", Command::Abort, false),
        ];
        for (expected, command, paused) in table {
            let row: String = PHASES.iter().map(|phase| if permits(*phase, paused, false, command).is_ok() { 'x' } else { '·' }).collect();
            assert_eq!(row, expected, "{command:?}, paused: {paused}");
        }
        assert_eq!(permits(Phase::Canary, false, true, Command::Resume), Ok(()), "a planned pause waits for it");
    }
}
