//! People who propose releases, change their minds and, when all is calm, answer what waits for them.

use std::sync::Arc;

use base::name::ReleaseId;
use base::{Digest, Timestamp};
use record::{Append, AppendError, Store, ledger};
use release::{Command, Environment, EnvironmentEvent, Event, Plan, Release};
use rollout::{Phase, Rollout, Step, Strategy};

use crate::faults::Fault;
use crate::plans::{ENVIRONMENT, Nature, approvals, change, project, rollback};
use crate::scheduler::{Owner, Sim};
use crate::world::{Border, SimStore, Truth, USER};

pub(crate) fn begin(sim: &Arc<Sim>, releases: usize) {
    sim.spawn(Owner::User, Box::pin(propose_all(sim.clone(), releases)));
    sim.spawn(Owner::User, Box::pin(change_minds(sim.clone())));
    sim.spawn(Owner::User, Box::pin(answer_in_calm(sim.clone())));
}

fn store(sim: &Arc<Sim>) -> SimStore {
    SimStore { border: Border { sim: sim.clone(), server: USER } }
}

async fn propose_all(sim: Arc<Sim>, releases: usize) {
    let mut before = None;
    for number in 1..=releases as u64 {
        propose(&sim, number, &mut before).await;
        let pause = if sim.range(0..3) == 0 { sim.range(10..2_000) } else { sim.range(5_000..50_000) };
        sim.sleep(pause).await;
    }
}

/// Until it is accepted.
async fn propose(sim: &Arc<Sim>, number: u64, before: &mut Option<Digest>) {
    let now = sim.timestamp();
    let plan = {
        let mut truth = sim.truth();
        let last = truth.oracle.environment.history().last().cloned();
        let mut core = sim.core();
        let proposal = match last {
            Some(last) if core.rng.u32(0..4) == 0 => rollback(&mut core.rng, number, now, &last),
            _ => {
                let (proposal, fresh) = change(&mut core.rng, number, now, *before);
                *before = proposal.makes.or(*before);
                truth.natures.extend(fresh);
                proposal
            }
        };
        let plan = proposal.plan.clone();
        truth.proposals.insert(plan.id, proposal);
        plan
    };
    let stream = ledger::release_stream(plan.id);
    loop {
        let append = Append { stream: stream.clone(), expected: 0, facts: vec![ledger::planned(&plan)] };
        match store(sim).append(vec![append]).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => return,
            Err(_) => sim.sleep(1_000).await,
        }
    }
}

async fn change_minds(sim: Arc<Sim>) {
    while !sim.is_calm() {
        sim.sleep(sim.range(3_000..25_000)).await;
        if sim.strikes(Fault::Command, 1) {
            let open: Vec<ReleaseId> = {
                let truth = sim.truth();
                truth.oracle.releases.iter().filter(|(_, it)| it.outcome().is_none()).map(|(id, _)| *id).collect()
            };
            if !open.is_empty() {
                let id = open[sim.range(0..open.len() as i64) as usize];
                command(&sim, id, some_command(&sim)).await;
            }
        }
        if sim.strikes(Fault::Down, 6) {
            take_down(&sim).await;
        }
        if sim.strikes(Fault::Freeze, 2) {
            let until = (sim.range(0..2) == 0).then(|| sim.timestamp().plus_ms(sim.range(5_000..60_000) as u64));
            let thaws = sim.range(0..3) == 0;
            of_environment(&sim, |environment, now| match thaws {
                true => environment.unfreeze("bo", now).ok(),
                false => environment.freeze("bo", "the sale", until, now).ok(),
            })
            .await;
        }
        if sim.strikes(Fault::Override, 8) {
            let until = sim.timestamp().plus_ms(sim.range(5_000..60_000) as u64);
            let by = gate::Override {
                by: "cy".to_string(),
                reason: "the shop is down".to_string(),
                ticket: None,
                until,
                confirmed_by: [].into(),
            };
            of_environment(&sim, |environment, now| environment.override_gate(by.clone(), now).ok()).await;
            if until.as_ms() % 2 == 0 {
                of_environment(&sim, |environment, now| environment.confirm_override("dee", now).ok()).await;
            }
        }
    }
}

fn some_command(sim: &Arc<Sim>) -> Command {
    match sim.range(0..12) {
        8..=10 => Command::Approve { comment: String::new(), environment: None },
        11 => Command::Reject { comment: "not today".to_string(), environment: None },
        0 | 1 => Command::Pause,
        2 | 3 => Command::Resume,
        4 => Command::Promote { full: false },
        5 => Command::Promote { full: true },
        _ => Command::Abort,
    }
}

/// As the API does it: read, ask the machine, append where it was read; a few times.
async fn command(sim: &Arc<Sim>, id: ReleaseId, command: Command) {
    let stream = ledger::release_stream(id);
    for _ in 0..4 {
        let Ok(facts) = store(sim).load(&stream, 0).await else { continue };
        let Some(plan) = facts.first().map(|fact| ledger::read_shared::<Plan>(fact).expect("what was written can be read")) else { return };
        let read = |fact| ledger::read_shared::<Event>(fact).expect("what was written can be read");
        let events: Vec<Arc<Event>> = facts[1..].iter().map(read).collect();
        let now = sim.timestamp();
        let by = some_person(sim);
        let environment = sim.truth().oracle.environment.clone();
        let release = Release::replay(plan, events.iter().map(AsRef::as_ref));
        let Ok(events) = release.command(&command, &environment, by, now) else { return };
        let events = events.iter().map(|event| ledger::release_fact(event, now)).collect();
        let append = Append { stream: stream.clone(), expected: facts.len() as u64, facts: events };
        if store(sim).append(vec![append]).await.is_ok() {
            return;
        }
    }
}

/// Whoever happens to ask; ana is the author of everything.
fn some_person(sim: &Arc<Sim>) -> &'static str {
    ["ana", "bo", "cy", "dee"][sim.range(0..4) as usize]
}

async fn take_down(sim: &Arc<Sim>) {
    of_environment(sim, |environment, now| environment.go_down("ana", now).ok()).await;
}

async fn of_environment(sim: &Arc<Sim>, ask: impl Fn(&Environment, Timestamp) -> Option<EnvironmentEvent>) {
    let stream = ledger::environment_stream(project(), ENVIRONMENT);
    let Ok(facts) = store(sim).load(&stream, 0).await else { return };
    let events: Vec<_> = facts.iter().map(|fact| ledger::read(fact).expect("what was written can be read")).collect();
    let now = sim.timestamp();
    let Some(event) = ask(&Environment::replay(&events), now) else { return };
    let append = Append { stream, expected: facts.len() as u64, facts: vec![ledger::environment_fact(&event, now)] };
    // Whoever was in between is asked again by nobody: the next one may be.
    drop(store(sim).append(vec![append]).await);
}

/// What names a person as its blocker is answered; everything else has to end by itself.
async fn answer_in_calm(sim: Arc<Sim>) {
    sim.sleep(sim.calm_at + 10_000).await;
    loop {
        let waiting: Vec<(ReleaseId, Command)> = {
            let truth = sim.truth();
            let open = truth.oracle.releases.iter().filter(|(_, it)| it.outcome().is_none());
            let answer = |it: &Release| match it.rollout() {
                Some(rollout) => wanted(&sim, &truth, rollout),
                None if approvals(it).is_some() || it.waits_for_people(sim.timestamp()).is_some() => {
                    Some(Command::Approve { comment: String::new(), environment: None })
                }
                None => None,
            };
            open.filter_map(|(id, it)| Some((*id, answer(it)?))).collect()
        };
        of_environment(&sim, |environment, now| environment.unfreeze("bo", now).ok()).await;
        for (id, answer) in waiting {
            command(&sim, id, answer).await;
        }
        sim.sleep(10_000).await;
    }
}

/// As long as somebody looks at two bad versions before he gives up.
const BOTH_BAD_MS: u64 = 5 * 60_000;

fn wanted(sim: &Arc<Sim>, truth: &Truth, rollout: &Rollout) -> Option<Command> {
    let status = rollout.status();
    if status.paused_by.is_some() {
        return Some(Command::Resume);
    }
    let step = status.step.filter(|_| rollout.phase() == Phase::Canary)?;
    let stable = rollout.plan().stable.as_ref().and_then(|stable| truth.natures.get(&stable.artifact));
    // Both are bad, nobody is to blame, and the rollout says so.
    // One that can't bear all the traffic has it until the switch.
    let bears_little = stable == Some(&Nature::Overloads) && matches!(rollout.plan().strategy, Strategy::BlueGreen { .. });
    if (bears_little || matches!(stable, Some(Nature::Worse | Nature::DiesLater))) && sim.timestamp().since_ms(step.since) > BOTH_BAD_MS {
        return Some(Command::Abort);
    }
    match &rollout.plan().strategy {
        Strategy::Canary { steps } if matches!(steps.get(step.index), Some(Step::Pause { duration_ms: None })) => {
            return Some(Command::Resume);
        }
        Strategy::BlueGreen { auto_promotion_ms: None } => {
            return Some(if sim.range(0..2) == 0 { Command::Promote { full: false } } else { Command::Resume });
        }
        Strategy::Canary { .. } | Strategy::BlueGreen { .. } | Strategy::RollingUpdate { .. } | Strategy::Immediate => {}
    }
    step.held.then(|| if sim.range(0..2) == 0 { Command::Promote { full: false } } else { Command::Abort })
}
