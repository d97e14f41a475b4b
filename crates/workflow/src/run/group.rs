//! `concurrency`: what belongs to one group doesn't run at the same time.

use base::Timestamp;
use serde::{Deserialize, Serialize};

use super::Run;
use super::event::Event;
use super::state::{LegPhase, LegState, Node};
use crate::concurrency::QUEUE_MAX;
use crate::expr::{Scope, Value, evaluate_template};
use crate::model::Concurrency;

/// Longer names are refused; GitHub's limit.
const NAME_MAX: usize = 400;

/// A concurrency group with its expressions evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The same in whatever case it is written.
    pub name: String,
    /// A newcomer ends what runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_in_progress: bool,
    /// Newcomers wait one behind another; else each takes the place of the one that waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queue_max: bool,
}

impl Group {
    /// # Errors
    /// One sentence: what has no value, or can't be a group.
    pub fn evaluate(concurrency: &Concurrency, scope: &dyn Scope) -> Result<Group, String> {
        let value = |key: &str, template| {
            evaluate_template(template, scope).map_err(|error| format!("`concurrency.{key}` can't be evaluated: {}", error.message))
        };
        let group = value("group", &concurrency.group)?;
        let mut cancel = concurrency.cancel_in_progress.as_ref().map(|template| value("cancel-in-progress", template)).transpose()?;
        let mut queue = concurrency.queue.clone();
        let name = match &group {
            // The whole of `concurrency` was one expression.
            Value::Object(_) => {
                cancel = Some(group.get("cancel-in-progress")).filter(|cancel| !matches!(cancel, Value::Null));
                queue = Some(group.get("queue").text()).filter(|queue| !queue.is_empty());
                group.get("group").text()
            }
            Value::Array(_) => return Err("`concurrency` must be a text or a mapping, not a list".to_string()),
            other => other.text(),
        };
        let cancel_in_progress = match &cancel {
            None => false,
            Some(Value::Bool(cancel)) => *cancel,
            Some(other) => return Err(format!("`concurrency.cancel-in-progress` must be true or false, not `{}`", other.text())),
        };
        match name.encode_utf16().count() {
            0 => Err("its concurrency group has no name: the expression yields nothing".to_string()),
            1..=NAME_MAX => Ok(Group { name, cancel_in_progress, queue_max: queue.as_deref() == Some("max") }),
            _ => Err(format!("the name of its concurrency group has more than {NAME_MAX} characters")),
        }
    }

    pub fn is(&self, other: &Group) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }
}

/// A leg that has begun, or a call, and the groups in which nobody else may run meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InGroups<'a> {
    pub key: &'a str,
    pub name: &'a str,
    pub groups: &'a [Group],
}

impl Run {
    /// All that hold a place in a concurrency group: in the line between runs they stand too.
    pub fn in_groups(&self) -> impl Iterator<Item = InGroups<'_>> {
        self.legs().map(|(_, leg)| leg).filter(|leg| leg.holds_place()).filter_map(in_groups)
    }

    /// Of those, the leg that has this key and the calls around it.
    pub fn in_groups_around(&self, key: &str) -> Vec<InGroups<'_>> {
        let Some((node, leg)) = self.legs().find(|(_, leg)| leg.leg.key == key) else { return Vec::new() };
        std::iter::once(leg).chain(self.callers(node.state).map(|(_, leg)| leg)).filter_map(in_groups).collect()
    }

    /// The leg gives way to one of another run; nothing when it is ending already.
    pub fn supersede(&self, key: &str, by: &str, group: &str, now: Timestamp) -> Option<Event> {
        let event = Event::JobSuperseded { key: key.to_string(), by: by.to_string(), group: group.to_string(), at: now };
        self.illegal(&event).is_none().then_some(event)
    }

    /// Who has to give way in its concurrency group: legs that wait, and with `cancel-in-progress` legs that run.
    pub(super) fn give_way(&self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        let mut done: Vec<&Group> = Vec::new();
        for (_, leg) in self.legs().filter(|(_, leg)| leg.waits()) {
            for group in &leg.leg.groups {
                if done.iter().any(|known| known.is(group)) {
                    continue;
                }
                done.push(group);
                self.give_way_in(group, now, &mut events);
            }
        }
        // A leg may be in two groups, and ends once.
        let mut seen = std::collections::BTreeSet::new();
        events.retain(|event| match event {
            Event::JobCancelled { key, .. } | Event::JobSuperseded { key, .. } => seen.insert(key.clone()),
            _ => true,
        });
        events
    }

    fn give_way_in(&self, group: &Group, now: Timestamp, events: &mut Vec<Event>) {
        let holders: Vec<&LegState> = self.in_group(group).filter(|leg| leg.holds_place()).collect();
        if holders.is_empty() {
            return;
        }
        let mut waiting: Vec<&LegState> = self.in_group(group).filter(|leg| leg.waits()).collect();
        waiting.sort_by_key(|leg| leg.arrived);
        let Some(newest) = waiting.last() else { return };
        let own = newest.leg.groups.iter().find(|own| own.is(group)).expect("it was found by its group");
        let name = &own.name;
        let (gone, reason) = if own.queue_max {
            (
                &waiting[waiting.len().min(QUEUE_MAX)..],
                format!("{QUEUE_MAX} wait in the concurrency group `{name}` already, and no more may"),
            )
        } else {
            let reason = format!("`{}` took its place in the concurrency group `{name}`", newest.leg.name);
            (&waiting[..waiting.len() - 1], reason)
        };
        events.extend(gone.iter().map(|leg| Event::JobCancelled {
            key: leg.leg.key.clone(),
            name: leg.leg.name.clone(),
            reason: reason.clone(),
            at: now,
        }));
        if own.cancel_in_progress {
            let running = holders.iter().filter(|leg| leg.superseded.is_none() && leg.phase != LegPhase::Queued);
            events.extend(running.map(|leg| Event::JobSuperseded {
                key: leg.leg.key.clone(),
                by: newest.leg.name.clone(),
                group: name.clone(),
                at: now,
            }));
        }
    }

    /// Whether nobody holds its groups and nobody came before it.
    pub(super) fn groups_are_free(&self, leg: &LegState, taken: &[&Group]) -> bool {
        leg.leg.groups.iter().all(|group| {
            let others = || self.in_group(group).filter(|other| other.leg.key != leg.leg.key);
            let held = others().any(LegState::holds_place) || taken.iter().any(|taken| taken.is(group));
            !held && !others().any(|other| other.waits() && other.arrived < leg.arrived)
        })
    }

    fn in_group<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a LegState> {
        self.legs().map(|(_, leg)| leg).filter(move |leg| leg.leg.groups.iter().any(|own| own.is(group)))
    }

    /// The groups that the run and the callers of this job hold as long as it hasn't ended.
    pub(super) fn is_held_around(&self, node: Node<'_>, group: &Group) -> bool {
        if self.plan.group.as_ref().is_some_and(|held| held.is(group)) {
            return true;
        }
        let mut level = node.state.level;
        while let Some(caller) = &self.levels[level].caller {
            let job = &self.jobs[caller.job];
            if job.legs()[caller.leg].leg.groups.iter().any(|held| held.is(group)) {
                return true;
            }
            level = job.level;
        }
        false
    }
}

fn in_groups(leg: &LegState) -> Option<InGroups<'_>> {
    let groups = &leg.leg.groups;
    (!groups.is_empty()).then_some(InGroups { key: &leg.leg.key, name: &leg.leg.name, groups })
}
