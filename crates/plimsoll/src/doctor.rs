//! `doctor --verify`: the promises, checked on live data.

use std::collections::BTreeMap;

use base::name::ReleaseId;
use record::{Fact, Store, ledger};
use release::{Environment, EnvironmentEvent, Event, Plan, Release};
use rollout::Happened;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::failure::{Doing, Result};

/// Facts read at once.
const BATCH: usize = 1000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub facts: u64,
    pub releases: usize,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// As in the list of promises: `I10`.
    pub promise: String,
    pub what: String,
    /// Each a sentence with the place; empty when the promise holds.
    pub violations: Vec<String>,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.violations.is_empty())
    }
}

/// # Errors
/// When the record can't be read at all; what is wrong in it is in the report.
pub async fn verify(store: &dyn Store) -> Result<Report> {
    let chain = match record::verify(store).await {
        Ok(_) => Vec::new(),
        Err(broken) => vec![broken.to_string()],
    };
    let mut reading = Reading::default();
    let mut after = 0;
    loop {
        let facts = store.read(after, BATCH).await.doing("read the record")?;
        let Some(last) = facts.last() else { break };
        after = last.position;
        facts.iter().for_each(|fact| reading.fact(fact));
    }
    Ok(reading.report(after, chain))
}

#[derive(Default)]
struct Reading {
    position: u64,
    streams: BTreeMap<String, u64>,
    releases: BTreeMap<ReleaseId, Release>,
    environments: BTreeMap<String, Environment>,
    order: Vec<String>,
    unreadable: Vec<String>,
    jobs_started_twice: Vec<String>,
    undecided: Vec<String>,
    after_the_end: Vec<String>,
    two_releases: Vec<String>,
    in_a_freeze: Vec<String>,
}

impl Reading {
    fn fact(&mut self, fact: &Fact) {
        if fact.position != self.position + 1 {
            self.order.push(format!("position {} follows {}", fact.position, self.position));
        }
        self.position = fact.position;
        let seq = self.streams.entry(fact.stream.clone()).or_default();
        if fact.seq != *seq + 1 {
            self.order.push(format!("`{}` has {} after {}", fact.stream, fact.seq, seq));
        }
        *seq = fact.seq;
        if let Err(error) = self.apply(fact) {
            self.unreadable.push(error.to_string());
        }
    }

    fn apply(&mut self, fact: &Fact) -> std::result::Result<(), ledger::Unreadable> {
        let (head, rest) = fact.stream.split_once('/').unwrap_or_default();
        match head {
            "environment" => {
                let event: EnvironmentEvent = ledger::read(fact)?;
                let environment = self.environments.entry(rest.to_string()).or_default();
                if let (EnvironmentEvent::Admitted { release, .. }, Some(other)) = (&event, environment.occupied()) {
                    self.two_releases.push(format!("{rest}: {release} was let in beside {other}, at position {}", fact.position));
                    return Ok(());
                }
                environment.apply(&event);
            }
            "release" if fact.seq == 1 => {
                let plan: Plan = ledger::read(fact)?;
                self.releases.insert(plan.id, Release::new(Arc::new(plan)));
            }
            "release" => {
                let event: Event = ledger::read(fact)?;
                if let Some(release) = rest.parse().ok().and_then(|id| self.releases.get_mut(&id)) {
                    let stream = ledger::environment_stream(release.plan().project.id, &release.plan().environment);
                    let environment = stream.strip_prefix("environment/").and_then(|name| self.environments.get(name));
                    if let Some(why) = environment.and_then(|environment| moved_while_closed(release, &event, environment)) {
                        let number = release.plan().number;
                        self.in_a_freeze.push(format!("release-{number} moves forward at position {}: {why}", fact.position));
                    }
                    check_release(
                        release,
                        &event,
                        fact.position,
                        &mut self.after_the_end,
                        &mut self.undecided,
                        &mut self.jobs_started_twice,
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn report(self, facts: u64, chain: Vec<String>) -> Report {
        let check = |promise: &str, what: &str, violations| Check { promise: promise.to_string(), what: what.to_string(), violations };
        Report {
            facts,
            releases: self.releases.len(),
            checks: vec![
                check("I1", "no accepted event is lost: positions and sequences have no gaps", self.order),
                check("I4", "a job's attempt starts at most once", self.jobs_started_twice),
                check("I5", "nothing is promoted without a yes on record for the same digest", self.undecided),
                check("I6", "an environment has one release at a time", self.two_releases),
                check("I8", "nothing moves forward inside a freeze without an override on record", self.in_a_freeze),
                check("I9", "finished is finished", self.after_the_end),
                check("I10", "the audit chain verifies", chain),
                check("I15", "every fact can be read and replayed", self.unreadable),
            ],
        }
    }
}

/// Why it should have stayed where it was, where it got traffic that it had not.
fn moved_while_closed(release: &Release, event: &Event, environment: &Environment) -> Option<String> {
    let Event::Rollout { event } = event else { return None };
    let Happened::Routed { weights, .. } = &event.what else { return None };
    let rollout = release.rollout()?;
    let is_forward = weights.get(&rollout.plan().revision.id).is_some_and(|weight| *weight > rollout.weight());
    if is_forward { release.closed(environment, event.at) } else { None }
}

fn check_release(
    release: &mut Release,
    event: &Event,
    position: u64,
    after_the_end: &mut Vec<String>,
    undecided: &mut Vec<String>,
    jobs_started_twice: &mut Vec<String>,
) {
    let number = release.plan().number;
    if release.outcome().is_some() {
        after_the_end.push(format!("release-{number} goes on at position {position}"));
        return;
    }
    if let Event::Admitted { instance, .. } = event
        && release.plan().workflows().is_some()
    {
        let allowed = release.decision().is_some_and(|decision| decision.is_allowed() && decision.digest == instance.artifact);
        if !allowed {
            undecided.push(format!("release-{number} was admitted without a yes, at position {position}"));
            return;
        }
    }
    if let Event::Run { event: workflow::run::Event::JobStarted { id, .. }, .. } = event
        && release.jobs().contains(id)
    {
        jobs_started_twice.push(format!("{id} starts again at position {position}"));
        return;
    }
    release.apply(event);
}
