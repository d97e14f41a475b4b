//! What keeps an allowed release from going on: people who haven't agreed, hours in which nobody ships, budgets, incidents and branches
//! nobody knows.
//!
//! A way back is never asked; an override goes past all of them, and says so on record.

use base::{Digest, Timestamp};
use gate::approval::{About, Missing, Standing, Void, Vote};
use gate::window::State;
use gate::{Decision, Override};
use rollout::Rollout;

use super::{Advance, Command, Refusal, Release, one};
use crate::environment::Environment;
use crate::event::Event;
use crate::plan::Workflows;
use crate::status::Outcome;
use crate::waiting::Waiting;

/// Between two questions while nobody knows, at the latest.
const ASK_AGAIN_MS: u64 = 15_000;

impl Release {
    /// Nothing where it may go on.
    pub(super) fn held(&self, workflows: &Workflows, decision: &Decision, environment: &Environment, now: Timestamp) -> Option<Advance> {
        let standing = self.standing(workflows, decision, now);
        if let Standing::Refused { by, comment } = standing {
            return Some(one(Event::Finished { outcome: Outcome::Refused { by, comment }, at: now }));
        }
        let state = hours(workflows, environment, now);
        let waits = [self.for_people(standing), self.for_hours(workflows, &state)];
        waits.into_iter().flatten().find_map(|waiting| self.wait_unless_overridden(workflows, waiting, state.changes(), environment, now))
    }

    /// Nothing where it is known how what users are promised is kept, which incidents are open and how the branch is protected, or the project ships without knowing.
    pub(super) fn held_by_circumstances(
        &self,
        workflows: &Workflows,
        circumstances: &gate::Circumstances,
        environment: &Environment,
        now: Timestamp,
    ) -> Option<Advance> {
        let objectives = workflows.gate.slos.holds(&circumstances.slo).map(|why| Waiting::ObjectivesUnknown { why });
        let incidents = workflows.gate.waits_for_incidents(circumstances).map(|why| Waiting::IncidentsUnknown { why });
        let protection = workflows.gate.waits_for_protection(circumstances).map(|why| Waiting::ProtectionUnknown { why });
        let wake = Some(now.plus_ms(ASK_AGAIN_MS));
        let waits = [objectives, incidents, protection].into_iter().flatten();
        waits.into_iter().find_map(|waiting| self.wait_unless_overridden(workflows, waiting, wake, environment, now))
    }

    fn wait_unless_overridden(
        &self,
        workflows: &Workflows,
        waiting: Waiting,
        wake: Option<Timestamp>,
        environment: &Environment,
        now: Timestamp,
    ) -> Option<Advance> {
        let said = waiting.sentence(&self.plan.environment);
        let waiting = match environment.overridden(now) {
            Some(by) if !by.counts(&workflows.gate) => Waiting::Unconfirmed { by: by.by.clone(), else_waits: said },
            // Each thing that it goes past is on record first.
            Some(by) if self.overridden.as_ref() == Some(by) && self.gone_past.contains(&said) => return None,
            Some(by) => return Some(one(Event::Overridden { by: by.clone(), past: said, at: now })),
            None => waiting,
        };
        Some(Advance { waiting: Some(waiting), wake, ..Advance::default() })
    }

    /// A promotion that was taken in while nothing may move would happen at the opening, when nobody expects it.
    pub(super) fn may_move(&self, command: &Command, rollout: &Rollout, environment: &Environment, now: Timestamp) -> Result<(), Refusal> {
        let moves = match command {
            Command::Promote { .. } => true,
            Command::Resume => rollout.resuming_moves(),
            _ => false,
        };
        let Some(why) = self.closed(environment, now).filter(|_| moves) else { return Ok(()) };
        let closed = Waiting::Closed { name: self.plan.environment.clone(), why, opens: None }.sentence(&self.plan.environment);
        Err(Refusal::Closed(format!("release-{} can't move on now: {closed}", self.plan.number)))
    }

    /// Why no traffic may move to a change now.
    pub fn closed(&self, environment: &Environment, now: Timestamp) -> Option<String> {
        let workflows = self.plan.workflows()?;
        let state = hours(workflows, environment, now);
        (!state.is_open() && overridden(workflows, environment, now).is_none()).then(|| state.sentence(&workflows.gate.calendar))
    }

    /// The same for its jobs that deliver by themselves, whoever would let them past it.
    pub(super) fn closed_for_jobs(&self, environment: &Environment, now: Timestamp) -> Option<workflow::run::Closed> {
        let workflows = self.plan.workflows().filter(|_| self.delivers_by_jobs())?;
        let state = hours(workflows, environment, now);
        let why = || format!("environment `{}` is {}", self.plan.environment, state.sentence(&workflows.gate.calendar));
        (!state.is_open()).then(|| workflow::run::Closed { why: why(), until: state.changes() })
    }

    pub(super) fn overridden_for_jobs<'a>(&self, environment: &'a Environment, now: Timestamp) -> Option<&'a Override> {
        overridden(self.plan.workflows()?, environment, now)
    }

    /// Whose agreement it needs to go on; nothing where it needs nobody's.
    pub(super) fn waits_for_approval(&self, now: Timestamp) -> Option<Waiting> {
        if self.rollout.is_some() || self.outcome.is_some() {
            return None;
        }
        self.for_people(self.standing(self.plan.workflows()?, self.decision.as_deref()?, now))
    }

    pub(super) fn vote(&self, agrees: bool, comment: &str, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let number = self.plan.number;
        let Some(workflows) = self.plan.workflows().filter(|workflows| !workflows.gate.approvals.is_empty()) else {
            return Err(Refusal::Untimely(format!("release-{number} needs nobody's approval")));
        };
        let Some(decision) = self.decision.as_deref() else {
            return Err(Refusal::Untimely(format!("the gate has not looked at release-{number} yet, so there is nothing to agree to")));
        };
        let about = about(workflows, decision);
        let vote = Vote { by: by.to_string(), agrees, about, comment: comment.to_string(), at: now };
        match workflows.gate.approvals.void(&vote, &self.votes, &self.authors(workflows), about, now) {
            Some(void) => {
                let sentence = format!("{by}'s word on release-{number} does not count: {}", void.sentence());
                let is_theirs = !matches!(void, Void::OwnChange | Void::NotAsked);
                Err(if is_theirs { Refusal::Untimely(sentence) } else { Refusal::NotTheirs(sentence) })
            }
            None => Ok(vec![Event::Voted { vote }]),
        }
    }

    fn for_people(&self, standing: Standing) -> Option<Waiting> {
        let open = |missing: Vec<Missing>| Waiting::Approval { release: self.plan.number, missing };
        if let Standing::Open { missing } = standing { Some(open(missing)) } else { None }
    }

    fn for_hours(&self, workflows: &Workflows, state: &State) -> Option<Waiting> {
        let (name, why) = (self.plan.environment.clone(), state.sentence(&workflows.gate.calendar));
        (!state.is_open()).then(|| Waiting::Closed { name, why, opens: state.changes() })
    }

    fn standing(&self, workflows: &Workflows, decision: &Decision, now: Timestamp) -> Standing {
        let approvals = &workflows.gate.approvals;
        if approvals.is_empty() {
            return Standing::Agreed { until: None };
        }
        approvals.standing(&self.votes, &self.authors(workflows), about(workflows, decision), now)
    }

    /// Theirs is no agreement: who asked for the release, and who wrote any of what it brings.
    fn authors<'a>(&'a self, workflows: &'a Workflows) -> Vec<&'a str> {
        let brought = workflows.brings.iter().flat_map(|brings| &brings.commits).map(|told| told.author.as_str());
        let mut authors: Vec<&str> = [self.plan.actor.as_str(), &workflows.commit.author].into_iter().chain(brought).collect();
        authors.sort_unstable();
        authors.dedup();
        authors
    }
}

/// What lets it go past a no.
pub(super) fn overridden<'a>(workflows: &Workflows, environment: &'a Environment, now: Timestamp) -> Option<&'a Override> {
    environment.overridden(now).filter(|by| by.counts(&workflows.gate))
}

fn hours(workflows: &Workflows, environment: &Environment, now: Timestamp) -> State {
    workflows.gate.calendar.state(&environment.frozen(now), now)
}

/// The bytes, the policy that allowed them and the rules of the gate.
fn about(workflows: &Workflows, decision: &Decision) -> About {
    let rules = serde_json::to_vec(&(decision.policy_digest, &workflows.gate)).expect("a plan without maps of odd keys becomes JSON");
    About { artifact: decision.digest, plan: Digest::of(&rules) }
}
