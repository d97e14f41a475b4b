//! The run and its legs in line with those of other runs: who may go on, who waits, who gives way.
//!
//! The line itself is [`crate::concurrency::Line`]; whoever drives the run keeps it and tells here how everybody stands.

use base::Timestamp;

use super::event::Event;
use super::state::{LegPhase, LegState};
use super::waiting::Waiting;
use super::{Conclusion, JobSeen, Observed, Run};
use crate::concurrency::{Seat, Standing, Turn};
use crate::job::JobOutcome;

/// Whether nothing may be delivered now where it would.
pub(super) fn is_shut_out(leg: &LegState, seen: &Observed) -> bool {
    seen.closed.is_some() && leg.leg.environment.is_some()
}

impl Run {
    /// The places that it has, or wants now; `name` is what people call the run.
    pub fn seats(&self, name: &str) -> Vec<Seat> {
        if self.finished.is_some() {
            return Vec::new();
        }
        let own = self.plan.group.as_ref().map(|group| Seat { id: self.seat(), name: name.to_string(), groups: vec![group.clone()] });
        let legs = self.in_groups().map(|leg| Seat {
            id: self.seat_of(leg.key),
            name: format!("{} of {name}", leg.name),
            groups: leg.groups.to_vec(),
        });
        own.into_iter().chain(legs).collect()
    }

    /// Whether anything in its files could want one.
    pub fn stands_in_line(&self) -> bool {
        let files = std::iter::once(&self.plan.workflow).chain(self.plan.workflow.called.values());
        let has_groups = |job: &crate::model::Job| job.concurrency.is_some();
        self.plan.group.is_some()
            || files.clone().any(|file| file.jobs.iter().any(has_groups))
            || files.skip(1).any(|file| file.concurrency.is_some())
    }

    fn seat(&self) -> String {
        self.plan.run.to_string()
    }

    fn seat_of(&self, key: &str) -> String {
        format!("{}/{key}", self.plan.run)
    }

    /// Nothing where nobody keeps a line, or the group is none.
    fn standing_of_run<'a>(&self, seen: &'a Observed) -> Option<Option<&'a Standing>> {
        let turns = seen.turns.as_ref().filter(|_| self.plan.group.is_some())?;
        Some(turns.get(&self.seat()))
    }

    /// How a leg and the calls around it stand, those that are in groups; each nothing where it isn't known.
    fn standings<'a>(&'a self, leg: &'a LegState, seen: &'a Observed) -> impl Iterator<Item = (&'a str, Option<&'a Standing>)> {
        let around = seen.turns.iter().flat_map(|turns| self.in_groups_around(&leg.leg.key).into_iter().map(move |leg| (turns, leg)));
        around.map(|(turns, leg)| (leg.name, turns.get(&self.seat_of(leg.key))))
    }

    /// Whether the run has its place.
    pub(super) fn may_begin(&self, seen: &Observed) -> bool {
        self.cancel.is_some() || self.standing_of_run(seen).is_none_or(|standing| standing == Some(&Standing::Runs))
    }

    /// Whether a leg that has begun has its places, and may be executed.
    pub(super) fn may_run(&self, leg: &LegState, seen: &Observed) -> bool {
        // Its place may have come free after the hours in which it was let in.
        self.may_begin(seen) && !is_shut_out(leg, seen) && self.standings(leg, seen).all(|(_, standing)| standing == Some(&Standing::Runs))
    }

    /// What follows from others having come into its groups.
    pub(super) fn give_way_to_others(&self, seen: &Observed, now: Timestamp) -> Vec<Event> {
        if let (Some(Some(Standing::Gone(turn))), None) = (self.standing_of_run(seen), &self.cancel) {
            let force = !matches!(turn, Turn::Superseded { .. });
            return vec![Event::CancelRequested { by: turn.ended_by(), force, at: now }];
        }
        if self.started.is_none() || seen.turns.is_none() {
            return Vec::new();
        }
        let mut events = Vec::new();
        for (_, leg) in self.legs() {
            let is_executed = match &leg.phase {
                LegPhase::Started { id, .. } => !matches!(seen.jobs.get(id), None | Some(JobSeen::Absent)),
                LegPhase::Called { .. } => true,
                LegPhase::Queued | LegPhase::Ended { .. } => continue,
            };
            if is_executed {
                let own = seen.turns.iter().find_map(|turns| turns.get(&self.seat_of(&leg.leg.key)));
                if let Some(Standing::Gone(Turn::Superseded { by, group })) = own {
                    events.extend(self.supersede(&leg.leg.key, by, group, now));
                }
                continue;
            }
            let gone = self.standings(leg, seen).find_map(|(_, standing)| match standing {
                Some(Standing::Gone(turn)) => Some(turn.ended_by()),
                _ => None,
            });
            if let (Some(by), LegPhase::Started { id, .. }) = (gone, &leg.phase) {
                events.push(Event::JobFinished { id: id.clone(), outcome: never_begun(by, now), allowed_failure: false, at: now });
            }
        }
        events
    }

    /// For whom it stands, the run before its legs.
    pub(super) fn waits_for_turn(&self, seen: &Observed) -> Option<Waiting> {
        if self.cancel.is_some() {
            return None;
        }
        if let Some(standing) = self.standing_of_run(seen).filter(|standing| *standing != Some(&Standing::Runs)) {
            return Some(Waiting::Turn { sentence: sentence("it", standing)? });
        }
        let waits = |(_, leg): (_, &LegState)| {
            let LegPhase::Started { id, .. } = &leg.phase else { return None };
            if !matches!(seen.jobs.get(id), None | Some(JobSeen::Absent)) {
                return None;
            }
            let mut blocked = self.standings(leg, seen).filter(|(_, standing)| *standing != Some(&Standing::Runs));
            blocked.next().and_then(|(name, standing)| Some(Waiting::Turn { sentence: sentence(&format!("`{name}`"), standing)? }))
        };
        self.legs().find_map(waits)
    }
}

/// Nothing for one that is about to end.
fn sentence(who: &str, standing: Option<&Standing>) -> Option<String> {
    match standing {
        Some(Standing::Waits(blocked)) => Some(blocked.sentence(who)),
        Some(Standing::Runs | Standing::Gone(_)) => None,
        None => Some(format!("{who} waits to hear how it stands in its concurrency group")),
    }
}

fn never_begun(by: String, now: Timestamp) -> JobOutcome {
    JobOutcome {
        conclusion: Conclusion::Cancelled,
        outputs: Default::default(),
        reason: Some(by),
        started: now,
        finished: now,
        annotations: Vec::new(),
    }
}
