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
        (P::Canary, H::StepStarted { .. } | H::StepsDone | H::DeadlinePassed { .. }) => true,
        (P::Canary, H::Baseline { .. } | H::BoundFixed { .. } | H::Measured { .. }) => true,
        (P::Canary | P::Verifying | P::Draining | P::Retiring | P::RollingBack, H::Routed { .. } | H::RouteTaken { .. }) => true,
        (P::Verifying, H::SmokeAsked { .. } | H::SmokePassed { .. } | H::Verified) => true,
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
            | H::Baseline { .. }
            | H::BoundFixed { .. }
            | H::Measured { .. }
            | H::DeadlinePassed { .. }
            | H::StepsDone
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
