//! A run and its jobs in line with those of other runs: who may go on, who waits, who gives way.

use std::collections::{BTreeMap, BTreeSet};

use host::concurrency::{Error, Groups, Seat, Standing};
use workflow::concurrency::Turn;
use workflow::job::JobId;
use workflow::run::{Command, Event, InGroups, Run};

use crate::terminal::{Terminal, Tone};
use crate::world;

/// Where a run stands in the concurrency groups of its project.
pub(super) struct Turns {
    groups: Groups,
    /// Where it has places.
    taken: BTreeSet<String>,
    /// What was said last of each that waits.
    said: BTreeMap<String, String>,
}

pub(super) enum MayRun {
    Now,
    Later,
    Never { reason: String },
}

impl Turns {
    pub fn new(groups: Groups) -> Turns {
        Turns { groups, taken: BTreeSet::new(), said: BTreeMap::new() }
    }

    /// Whether the run has its place; what is to happen to it when another took it.
    pub fn of_run(&mut self, run: &Run, terminal: &Terminal) -> Result<(bool, Vec<Event>), Error> {
        let Some(group) = &run.plan().group else { return Ok((true, Vec::new())) };
        let name = format!("run-{}", run.plan().number);
        let seat = Seat { id: run.plan().run.to_string(), name, groups: vec![group.clone()] };
        let gone = match self.stand(&seat, terminal)? {
            Standing::Runs => return Ok((true, Vec::new())),
            Standing::Waits(_) => return Ok((false, Vec::new())),
            Standing::Gone(gone) => gone,
        };
        let force = !matches!(gone, Turn::Superseded { .. });
        Ok((true, run.command(Command::Cancel { force }, &gone.ended_by(), world::now()).unwrap_or_default()))
    }

    /// Gives back the places of what has ended, and ends what another run's job has superseded.
    pub fn of_legs(&mut self, run: &Run, terminal: &Terminal) -> Result<Vec<Event>, Error> {
        let holding: Vec<Seat> = run.in_groups().map(|leg| seat(run, &leg)).collect();
        let own = run.plan().run.to_string();
        let ended = self.taken.iter().filter(|id| **id != own && !holding.iter().any(|seat| seat.id == **id)).cloned().collect();
        self.leave(ended)?;
        let mut events = Vec::new();
        for leg in run.in_groups() {
            let seat = seat(run, &leg);
            if !self.taken.contains(&seat.id) {
                continue;
            }
            if let Standing::Gone(Turn::Superseded { by, group }) = self.stand(&seat, terminal)? {
                events.extend(run.supersede(leg.key, &by, &group, world::now()));
            }
        }
        Ok(events)
    }

    /// Whether a job that the run would start has its places, and those of the calls around it.
    pub fn may_run(&mut self, run: &Run, id: &JobId, terminal: &Terminal) -> Result<MayRun, Error> {
        let mut may = MayRun::Now;
        for leg in run.in_groups_around(&id.key) {
            match self.stand(&seat(run, &leg), terminal)? {
                Standing::Runs => {}
                Standing::Waits(_) => may = MayRun::Later,
                Standing::Gone(gone) => return Ok(MayRun::Never { reason: gone.ended_by() }),
            }
        }
        Ok(may)
    }

    /// What it waits for is said once, and again when it changes.
    fn stand(&mut self, seat: &Seat, terminal: &Terminal) -> Result<Standing, Error> {
        let standing = self.groups.stand(seat)?;
        self.taken.insert(seat.id.clone());
        if let Standing::Waits(blocked) = &standing {
            let sentence = blocked.sentence(&seat.name);
            if self.said.get(&seat.id) != Some(&sentence) {
                terminal.say(&terminal.paint(&sentence, Tone::Faint));
                self.said.insert(seat.id.clone(), sentence);
            }
        }
        Ok(standing)
    }

    fn leave(&mut self, ids: Vec<String>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        self.groups.leave(&ids)?;
        self.taken.retain(|id| !ids.contains(id));
        Ok(())
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        // Whoever looks next finds that this process is gone, if this can't be written.
        let _ = self.leave(self.taken.iter().cloned().collect());
    }
}

fn seat(run: &Run, leg: &InGroups<'_>) -> Seat {
    let plan = run.plan();
    Seat { id: format!("{}/{}", plan.run, leg.key), name: format!("{} of run-{}", leg.name, plan.number), groups: leg.groups.to_vec() }
}
