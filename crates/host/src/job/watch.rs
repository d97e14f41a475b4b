//! What can end a step from outside: somebody cancels the job, or its time is up.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use base::Timestamp;
use engine::world::Stop;
use workflow::job::{Event, Files, Job};

use super::cancel::Cancel;
use super::clock::Clock;

/// What a cancelled job's `always()` steps may take, as at GitHub.
const AFTER_CANCEL: Duration = Duration::from_secs(5 * 60);

/// Why a step was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    TimedOut,
    Cancelled,
}

/// Asked while processes run.
pub(super) trait Watch {
    /// Whether the job was told since the last time that it shall end.
    fn news(&mut self) -> bool;
    /// Whether what runs in this lane goes on even so.
    fn wanted(&self, lane: usize) -> bool;
    /// Whether the one thing that runs in the job's own lane shall be asked to end.
    fn interrupts(&mut self) -> bool {
        self.news() && !self.wanted(0)
    }
    /// Whether everything shall be killed now.
    fn at_once(&self) -> bool;
    /// Something to wake up for.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
    fn wake(&self) -> Option<Instant>;
}

/// No job lasts longer, whatever its file says.
pub(super) const JOB_MS_MAX: u64 = 30 * 24 * 3_600_000;

/// Keeps a job's time and its stop.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    cancel: &'a Cancel,
    /// What the job has been told of so far.
    known: Option<Stop>,
    deadline: Instant,
    timeout_ms: u64,
    /// When nothing may run any more, not even `always()` steps.
    end: Option<Instant>,
}

impl<'a> Guard<'a> {
    pub(super) fn new(cancel: &'a Cancel, timeout_ms: u64) -> Guard<'a> {
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.min(JOB_MS_MAX));
        Guard { cancel, known: None, deadline, timeout_ms, end: None }
    }

    /// Tells the job what has happened since the last time; says whether there was anything.
    pub(super) fn tell(&mut self, job: &mut Job, at: Timestamp) -> bool {
        if self.known.is_none() {
            let asked = self.cancel.requested();
            let late = Instant::now() >= self.deadline;
            if asked.is_none() && !late {
                return false;
            }
            let reason = match asked {
                Some(_) => "the job was cancelled".to_string(),
                None => format!("the job took longer than {}", base::time::format_duration_ms(self.timeout_ms)),
            };
            job.apply(&Event::Cancelled { at, reason: Some(reason) });
            self.known = Some(Stop::Gracefully);
            self.end = Some(Instant::now() + AFTER_CANCEL);
            return true;
        }
        false
    }

    /// Whether the job shall end now, whatever is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.cancel.requested() == Some(Stop::AtOnce) || self.end.is_some_and(|end| end <= Instant::now())
    }

    pub(super) fn over(&self) -> &'static str {
        match self.cancel.requested() {
            Some(Stop::AtOnce) => "the job was ended at once",
            _ => "what was left to do after the cancellation took longer than 5m",
        }
    }

    /// Time that doesn't count: the job has been held.
    pub(super) fn held_for(&mut self, time: Duration) {
        self.deadline += time;
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        let known = if self.cancel.requested() == Some(Stop::AtOnce) { self.cancel.requested() } else { self.known };
        self.cancel.more_than(known)
    }

    /// Whether the time was up rather than somebody cancelled.
    pub(super) fn timed_out(&self) -> bool {
        self.known.is_some() && self.cancel.requested().is_none()
    }
}

/// A guard while steps of the job run.
pub(super) struct StepWatch<'g, 'c> {
    pub(super) guard: &'g mut Guard<'c>,
    pub(super) job: &'g mut Job,
    pub(super) files: &'g dyn Files,
    pub(super) clock: &'g Clock,
}

impl Watch for StepWatch<'_, '_> {
    fn news(&mut self) -> bool {
        self.guard.tell(self.job, self.clock.now())
    }

    fn wanted(&self, lane: usize) -> bool {
        self.job.still_wanted(lane, self.files)
    }

    fn at_once(&self) -> bool {
        self.guard.is_over()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.guard.fd()
    }

    fn wake(&self) -> Option<Instant> {
        if self.guard.known.is_none() { Some(self.guard.deadline) } else { self.guard.end }
    }
}
