//! What may happen when: the whole life of a rollout on one screen.

use crate::event::Happened;
use crate::rollout::{Command, Phase};

/// ```text
/// planned → starting → canary ⟲ → verifying → draining → retiring → finished
///    └──────────────→ rolling ⟲ ──↗
///               └─────────┴───────────┴──────────┴→ rolling_back → removing → finished
/// ```
pub(crate) fn allows(phase: Phase, what: &Happened) -> bool {
    use Happened as H;
    use Phase as P;
    match (phase, what) {
        (P::Finished, _) => false,
        (P::Planned, H::Started { .. }) => true,
        (P::Starting | P::Rolling, H::InstancesReady) => true,
        (P::Rolling, H::StepsDone | H::Closed { .. } | H::Opened) => true,
        (P::Rolling | P::RollingBack, H::Scaled { .. } | H::ServingDecided { .. }) => true,
        (
            P::Canary,
            H::StepStarted { .. } | H::StepsDone | H::StableDead { .. } | H::DeadlinePassed { .. } | H::Closed { .. } | H::Opened,
        ) => true,
        (P::Canary | P::Rolling | P::Verifying | P::Draining, H::Baseline { .. } | H::BoundFixed { .. } | H::Measured { .. }) => true,
        (
            P::Canary | P::Rolling | P::Verifying | P::Draining | P::Retiring | P::RollingBack,
            H::Routed { .. } | H::RouteTaken { .. } | H::RouteMissed { .. },
        ) => true,
        (P::Canary | P::Verifying, H::SmokeAsked { .. } | H::SmokePassed { .. }) => true,
        (P::Verifying, H::Verified) => true,
        (P::Draining | P::RollingBack, H::StopDecided { .. }) => true,
        (
            P::Planned | P::Starting | P::Canary | P::Rolling | P::Verifying | P::Draining,
            H::RollbackStarted { .. } | H::AbortAsked { .. },
        ) => true,
        (P::Planned | P::Starting | P::Canary | P::Rolling | P::Verifying, H::PauseAsked { .. } | H::ResumeAsked { .. }) => true,
        (P::Canary | P::Rolling, H::PromoteAsked { .. }) => true,
        (P::Draining | P::Retiring | P::RollingBack | P::Removing, H::Finished { .. }) => true,
        (
            P::Planned | P::Starting | P::Canary | P::Rolling | P::Verifying | P::Draining | P::Retiring | P::RollingBack | P::Removing,
            H::Started { .. }
            | H::InstancesReady
            | H::Scaled { .. }
            | H::ServingDecided { .. }
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
    #[error("a rolling update has no steps to skip; `plimsoll release promote --full` starts all instances at once")]
    NoSteps,
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
        (P::Planned | P::Starting | P::Canary | P::Rolling | P::Verifying | P::Draining, C::Abort) => Ok(()),
        (P::Canary, C::Promote { .. }) | (P::Rolling, C::Promote { full: true }) => Ok(()),
        (P::Rolling, C::Promote { full: false }) => Err(Refusal::NoSteps),
        (P::Planned | P::Starting, C::Promote { .. }) => Err(Refusal::NotReady),
        (P::Verifying | P::Draining, C::Promote { .. }) => Err(Refusal::AllTrafficAlready),
        (P::Draining, C::Pause | C::Resume) => Err(Refusal::AllTrafficAlready),
        (P::Planned | P::Starting | P::Canary | P::Rolling | P::Verifying, C::Pause) => {
            (!paused).then_some(()).ok_or(Refusal::PausedAlready)
        }
        (P::Planned | P::Starting | P::Canary | P::Rolling | P::Verifying, C::Resume) => {
            (paused || waits_for_person).then_some(()).ok_or(Refusal::NotPaused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, Reason};

    const PHASES: [Phase; 10] = [
        Phase::Planned,
        Phase::Starting,
        Phase::Canary,
        Phase::Rolling,
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
        let table: [(&str, Happened); 25] = [
            ("x·········", Happened::Started { generation: 1 }),
            ("·x·x······", Happened::InstancesReady),
            ("···x···x··", Happened::Scaled { generation: 1, scale: crate::Scale::default() }),
            ("···x···x··", Happened::ServingDecided { serving: crate::Scale::default() }),
            ("··x·······", Happened::StepStarted { step: 0 }),
            ("··xxxxxx··", Happened::Routed { generation: 1, weights: [].into(), endpoints: Vec::new(), synthetic: None }),
            ("··xxxxxx··", Happened::RouteTaken { generation: 1 }),
            ("··xxxxxx··", Happened::RouteMissed { generation: 1 }),
            ("··xxxx····", Happened::Baseline { epoch: String::new(), readings: [].into() }),
            ("··xxxx····", Happened::Measured { looks: Vec::new() }),
            ("··x·······", Happened::DeadlinePassed { step: 0 }),
            ("··xx······", Happened::Closed { why: String::new() }),
            ("··xx······", Happened::Opened),
            ("··xx······", Happened::StepsDone),
            ("··x·······", Happened::StableDead { revision: crate::RevisionId("r".to_string()), message: None }),
            ("··x·x·····", Happened::SmokeAsked { generation: 1 }),
            ("··x·x·····", Happened::SmokePassed { checks: 1 }),
            ("····x·····", Happened::Verified),
            ("·····x·x··", Happened::StopDecided { generation: 1, revision: crate::RevisionId("r".to_string()) }),
            ("xxxxxx····", Happened::RollbackStarted { reason: reason() }),
            ("·····xxxx·", Happened::Finished { outcome: Outcome::Failed { reason: reason() } }),
            ("··xx······", Happened::PromoteAsked { by: by(), full: true }),
            ("xxxxx·····", Happened::PauseAsked { by: by() }),
            ("xxxxx·····", Happened::ResumeAsked { by: by() }),
            ("xxxxxx····", Happened::AbortAsked { by: by() }),
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
            ("··x·······", Command::Promote { full: false }, false),
            ("··xx······", Command::Promote { full: true }, false),
            ("xxxxx·····", Command::Pause, false),
            ("··········", Command::Pause, true),
            ("··········", Command::Resume, false),
            ("xxxxx·····", Command::Resume, true),
            ("xxxxxx····", Command::Abort, false),
        ];
        for (expected, command, paused) in table {
            let row: String = PHASES.iter().map(|phase| if permits(*phase, paused, false, command).is_ok() { 'x' } else { '·' }).collect();
            assert_eq!(row, expected, "{command:?}, paused: {paused}");
        }
        assert_eq!(permits(Phase::Canary, false, true, Command::Resume), Ok(()), "a planned pause waits for it");
    }
}
