//! Who may run in the concurrency groups of a project, whichever run they belong to.
//!
//! ```text
//! arrive ── Pending ── Runs ── Superseded ── leave
//!    │         └────── Displaced ──────────── leave
//!    └── Refused ──────────────────────────── leave
//! ```

use serde::{Deserialize, Serialize};

use crate::run::Group;

/// How many may wait in a group with `queue: max`; GitHub's limit.
pub const QUEUE_MAX: usize = 100;

/// All that are in a group, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Line {
    members: Vec<Member>,
}

/// A run, or one leg of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    /// As people call it: `run-7`, `deploy of run-7`.
    pub name: String,
    pub groups: Vec<Group>,
    pub turn: Turn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    Pending,
    Runs,
    /// It runs, and shall end: another came with `cancel-in-progress`.
    Superseded {
        by: String,
        group: String,
    },
    /// It waited, and shall never run: another waits in its place.
    Displaced {
        by: String,
        group: String,
    },
    /// It shall never run: too many waited already.
    Refused {
        group: String,
    },
}

/// A place in line, as somebody wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub id: String,
    pub name: String,
    pub groups: Vec<Group>,
}

/// How somebody stands who has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Runs,
    Waits(Blocked),
    /// It runs or waits no longer, or shall not.
    Gone(Turn),
}

impl Turn {
    /// Of one that is gone: by whom or what it was ended.
    pub fn ended_by(&self) -> String {
        match self {
            Turn::Superseded { by, group } | Turn::Displaced { by, group } => {
                format!("{by}, which took its place in the concurrency group `{group}`")
            }
            Turn::Refused { group } => format!("{QUEUE_MAX} wait in the concurrency group `{group}` already, and no more may"),
            Turn::Pending | Turn::Runs => unreachable!("it would not be gone"),
        }
    }

    fn holds(&self) -> bool {
        matches!(self, Turn::Runs | Turn::Superseded { .. })
    }
}

/// For whom a member waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub group: String,
    pub by: String,
    /// Others that come before it as well.
    pub others: usize,
}

impl Blocked {
    /// What somebody waits for, without a full stop.
    pub fn sentence(&self, who: &str) -> String {
        let others = match self.others {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        format!("{who} waits for {}{others} in the concurrency group `{}`", self.by, self.group)
    }
}

impl Line {
    /// It stands in all its groups at once, so that no two wait for each other. Whoever is there already stays where it is.
    pub fn arrive(&mut self, id: &str, name: &str, groups: &[Group]) {
        if self.get(id).is_some() {
            return;
        }
        let mut turn = Turn::Pending;
        for group in groups {
            let pending = self.members.iter().filter(|it| it.turn == Turn::Pending && it.is_in(group)).count();
            if group.queue_max && pending >= QUEUE_MAX {
                turn = Turn::Refused { group: group.name.clone() };
            }
        }
        if turn == Turn::Pending {
            groups.iter().for_each(|group| self.give_way(group, name));
        }
        self.members.push(Member { id: id.to_string(), name: name.to_string(), groups: groups.to_vec(), turn });
        self.settle();
    }

    pub fn leave(&mut self, id: &str) {
        self.retain(|member| member.id != id);
    }

    /// Those that are gone free their places.
    pub fn retain(&mut self, stays: impl FnMut(&Member) -> bool) {
        self.members.retain(stays);
        self.settle();
    }

    pub fn get(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|it| it.id == id)
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Nothing for one that has no place.
    pub fn standing(&self, id: &str) -> Option<Standing> {
        Some(match (&self.get(id)?.turn, self.blocked(id)) {
            (Turn::Runs, _) => Standing::Runs,
            (Turn::Pending, Some(blocked)) => Standing::Waits(blocked),
            (turn, _) => Standing::Gone(turn.clone()),
        })
    }

    /// Nothing for one that doesn't wait.
    pub fn blocked(&self, id: &str) -> Option<Blocked> {
        let at = self.members.iter().position(|it| it.id == id && it.turn == Turn::Pending)?;
        let own = &self.members[at];
        own.groups.iter().find_map(|group| {
            let mut before = self.before(at, group);
            let first = before.next()?;
            Some(Blocked { group: group.name.clone(), by: first.name.clone(), others: before.count() })
        })
    }

    /// What a newcomer to a group changes for those that are there.
    fn give_way(&mut self, group: &Group, by: &str) {
        for member in self.members.iter_mut().filter(|it| it.is_in(group)) {
            let (by, group_name) = (by.to_string(), group.name.clone());
            match member.turn {
                Turn::Pending if !group.queue_max => member.turn = Turn::Displaced { by, group: group_name },
                Turn::Runs if group.cancel_in_progress => member.turn = Turn::Superseded { by, group: group_name },
                _ => {}
            }
        }
    }

    fn settle(&mut self) {
        for at in 0..self.members.len() {
            let member = &self.members[at];
            if member.turn == Turn::Pending && member.groups.iter().all(|group| self.before(at, group).next().is_none()) {
                self.members[at].turn = Turn::Runs;
            }
        }
    }

    /// Who has to go before a member that waits may run: holders first.
    fn before<'a>(&'a self, at: usize, group: &'a Group) -> impl Iterator<Item = &'a Member> {
        let others = move || self.members.iter().enumerate().filter(move |(other, it)| *other != at && it.is_in(group));
        let holders = others().filter(|(_, it)| it.turn.holds());
        let earlier = others().filter(move |(other, it)| *other < at && it.turn == Turn::Pending);
        holders.chain(earlier).map(|(_, it)| it)
    }
}

impl Member {
    fn is_in(&self, group: &Group) -> bool {
        self.groups.iter().any(|own| own.is(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+a g`, with `!` for `cancel-in-progress` and `*` for `queue: max` behind a group; `-a` leaves. What is left is told.
    #[track_caller]
    fn check(script: &str, expected: &str) {
        let mut line = Line::default();
        for word in script.split(", ") {
            let mut words = word.split(' ');
            let who = words.next().unwrap_or_default();
            let groups: Vec<Group> = words
                .map(|group| Group {
                    name: group.trim_end_matches(['!', '*']).to_string(),
                    cancel_in_progress: group.ends_with('!'),
                    queue_max: group.ends_with('*'),
                })
                .collect();
            match who.split_at(1) {
                ("+", id) => line.arrive(id, id, &groups),
                (_, id) => line.leave(id),
            }
        }
        let said: Vec<String> = line.members.iter().map(told).collect();
        assert_eq!(said.join(", "), expected, "{script}");
    }

    fn told(member: &Member) -> String {
        let id = &member.id;
        match &member.turn {
            Turn::Pending => format!("{id} waits"),
            Turn::Runs => format!("{id} runs"),
            Turn::Superseded { by, group } => format!("{id} ends by {by} in {group}"),
            Turn::Displaced { by, group } => format!("{id} gives way to {by} in {group}"),
            Turn::Refused { group } => format!("{id} is refused by {group}"),
        }
    }

    #[test]
    fn one_runs_one_waits_and_the_newest_waits() {
        check("+a g", "a runs");
        check("+a g, +b g", "a runs, b waits");
        check("+a g, +b h", "a runs, b runs");
        check("+a g, +b G", "a runs, b waits");
        check("+a g, +b g, +c g", "a runs, b gives way to c in g, c waits");
        check("+a g, +b g, -a", "b runs");
        check("+a g, +b g, -b, +c g", "a runs, c waits");
        // Coming again is no arrival.
        check("+a g, +b g!, +b g!", "a ends by b in g, b waits");
    }

    #[test]
    fn the_one_that_runs_ends_only_when_the_newcomer_says_so() {
        check("+a g!, +b g", "a runs, b waits");
        check("+a g, +b g!", "a ends by b in g, b waits");
        check("+a g, +b g!, +c g!", "a ends by b in g, b gives way to c in g, c waits");
        check("+a g, +b g!, -a", "b runs");
    }

    #[test]
    fn with_a_queue_all_wait_in_order_up_to_the_limit() {
        check("+a g*, +b g*, +c g*", "a runs, b waits, c waits");
        check("+a g*, +b g*, +c g*, -a", "b runs, c waits");
        check("+a g*, +b g*, +c g*, +d g", "a runs, b gives way to d in g, c gives way to d in g, d waits");
        let mut line = Line::default();
        let group = [Group { name: "g".into(), cancel_in_progress: false, queue_max: true }];
        (0..=QUEUE_MAX + 1).for_each(|number| line.arrive(&number.to_string(), "x", &group));
        assert_eq!(line.get("100").map(|it| &it.turn), Some(&Turn::Pending));
        assert_eq!(line.get("101").map(|it| &it.turn), Some(&Turn::Refused { group: "g".into() }));
    }

    #[test]
    fn who_is_in_two_groups_waits_for_both_and_nobody_waits_in_a_circle() {
        check("+a g, +b h, +c g h", "a runs, b runs, c waits");
        check("+a g, +b h, +c g h, -a", "b runs, c waits");
        check("+a g, +b h, +c g h, -a, -b", "c runs");
        check("+a g, +b g h, +c h* g*, -a", "b runs, c waits");
    }

    #[test]
    fn who_waits_knows_for_whom() {
        let mut line = Line::default();
        let group = [Group { name: "Deploy".into(), cancel_in_progress: false, queue_max: true }];
        ["run-1", "run-2", "run-3"].iter().for_each(|name| line.arrive(name, name, &group));
        let said = |id: &str| line.blocked(id).map(|blocked| blocked.sentence(id));
        assert_eq!(said("run-1"), None);
        assert_eq!(said("run-2").as_deref(), Some("run-2 waits for run-1 in the concurrency group `Deploy`"));
        assert_eq!(said("run-3").as_deref(), Some("run-3 waits for run-1 and 1 more in the concurrency group `Deploy`"));
    }
}
