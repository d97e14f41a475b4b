//! What goes wrong: each seed enables some kinds and leaves the others out, so that rare combinations are not drowned by frequent ones.

use fastrand::Rng;

/// One kind of hardship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Crash,
    Stall,
    RequestLost,
    AnswerLost,
    Doubled,
    StoreFailed,
    StoreFull,
    JobLost,
    JobHangs,
    ExecutorUnknown,
    InstanceDies,
    InstanceFlaps,
    InstanceVanishes,
    SlowStart,
    TargetUnknown,
    RouterUnknown,
    RouterRestart,
    /// From some moment on it follows nothing any more, also when all else is calm.
    RouterRefuses,
    CountsStale,
    HarvestFails,
    MetricsUnknown,
    IncidentsUnknown,
    CheckFails,
    /// What is asked outside is not answered at once.
    AnswerLater,
    /// Users' promises are not kept for a while, and an incident is open.
    BudgetBurns,
    ClockSkew,
    Command,
    Down,
    Freeze,
    Override,
}

impl Fault {
    pub const ALL: [Fault; 30] = [
        Fault::Crash,
        Fault::Stall,
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::Doubled,
        Fault::StoreFailed,
        Fault::StoreFull,
        Fault::JobLost,
        Fault::JobHangs,
        Fault::ExecutorUnknown,
        Fault::InstanceDies,
        Fault::InstanceFlaps,
        Fault::InstanceVanishes,
        Fault::SlowStart,
        Fault::TargetUnknown,
        Fault::RouterUnknown,
        Fault::RouterRestart,
        Fault::RouterRefuses,
        Fault::CountsStale,
        Fault::HarvestFails,
        Fault::MetricsUnknown,
        Fault::IncidentsUnknown,
        Fault::CheckFails,
        Fault::AnswerLater,
        Fault::BudgetBurns,
        Fault::ClockSkew,
        Fault::Command,
        Fault::Down,
        Fault::Freeze,
        Fault::Override,
    ];
}

/// The kinds enabled for one seed, and how often each was injected.
#[derive(Debug, Clone)]
pub(crate) struct Swarm {
    enabled: [bool; Fault::ALL.len()],
    pub injected: [u64; Fault::ALL.len()],
}

impl Swarm {
    pub fn new(rng: &mut Rng) -> Swarm {
        Swarm { enabled: std::array::from_fn(|_| rng.bool()), injected: [0; Fault::ALL.len()] }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.enabled[fault as usize]
    }

    pub fn count(&mut self, fault: Fault) {
        self.injected[fault as usize] += 1;
    }
}
