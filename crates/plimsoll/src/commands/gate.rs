//! `plimsoll gate`: what it says, said and would have said, and past it in an emergency.

use std::collections::BTreeSet;

use base::Timestamp;
use engine::world::Occasion;
use gate::approval::Rule;
use gate::slo::WhenUnknown;
use gate::{Circumstances, GatePlan};
use host::outside::HostOutside;
use record::ReleaseEntry;
use tokio::signal::unix::{SignalKind, signal};

use super::env::{ask, duration};
use super::{actor, project_of, running};
use crate::cli::{Check, Gate, OfDir, OneRelease, Override, Simulate};
use crate::client::Client;
use crate::compose::{Choices, compose, environment_named};
use crate::exit;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::proposal::Proposal;
use crate::server::{Again, DecidedAgain, Demand, EnvironmentView, ReleaseView};
use crate::terminal::Terminal;
use crate::view::{Mark, marked};
use crate::world;

pub async fn gate(command: Gate, terminal: &Terminal) -> Result<u8> {
    match command {
        Gate::Check(args) => check(&args, terminal).await,
        Gate::Explain(one) => explain(&one, terminal).await,
        Gate::Simulate(args) => simulate(&args, terminal).await,
        Gate::Override(Override { confirm: true, at, .. }) => ask(&at, Demand::Confirm, terminal).await,
        Gate::Override(Override { reason, ticket, lasts, at, .. }) => {
            let reason = reason.unwrap_or_default();
            let until = world::now().plus_ms(duration("--for", &lasts)?);
            ask(&at, Demand::Override { reason, ticket, until }, terminal).await
        }
    }
}

/// The rules of a folder as `up` would take them.
pub(super) fn rules(of: &OfDir, environment: Option<&str>, dirty: bool) -> Result<GatePlan> {
    Ok(proposal(of, environment, dirty)?.gate)
}

pub(super) fn proposal(of: &OfDir, environment: Option<&str>, dirty: bool) -> Result<Proposal> {
    let choices = Choices { dirty, environment: environment.map(str::to_string), actor: actor(), ..Choices::default() };
    Ok(compose(&of.dir, &choices, world::now(), world::random())?.proposal)
}

/// What is so now of what a release would depend on.
pub(super) async fn circumstances(proposal: &Proposal) -> Result<Circumstances> {
    let gate = &proposal.gate;
    if gate.asks().is_none() {
        return Ok(Circumstances::default());
    }
    let occasion = Occasion {
        project: proposal.project.id.to_string(),
        name: proposal.project.name.clone(),
        environment: proposal.environment.clone(),
        release: None,
        artifact: None,
        commit: proposal.commit.sha.clone(),
        git_ref: proposal.commit.git_ref.clone(),
        dirty: proposal.commit.dirty,
    };
    let outside = HostOutside::new(&super::dirs_to_read()?);
    let mut interrupt = signal(SignalKind::interrupt()).doing("listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).doing("listen for signals")?;
    // Whatever is being asked ends with the question.
    let stopped = |kind| Failure::new(kind, format!("stopped while it was being found out {}", gate.asks().unwrap_or_default()));
    tokio::select! {
        answers = outside.find_out(&occasion, gate) => Ok(gate.assess(&answers)),
        _ = interrupt.recv() => Err(stopped(FailureKind::Interrupted)),
        _ = terminate.recv() => Err(stopped(FailureKind::Terminated)),
    }
}

/// As the default policy has it.
fn incidents_code(gate: &GatePlan, known: &Circumstances) -> u8 {
    let unknown = gate.incidents.as_ref().filter(|_| known.incidents_unknown.is_some()).map(|incidents| incidents.unknown);
    match unknown {
        Some(WhenUnknown::Hold) => exit::WAITING,
        Some(WhenUnknown::Deny) => exit::DENIED,
        _ if known.incidents.iter().flatten().next().is_some() => exit::DENIED,
        _ => exit::OK,
    }
}

/// The same of the branch.
fn branch_code(gate: &GatePlan, known: &Circumstances) -> u8 {
    let unknown = gate.protection.as_ref().filter(|_| known.protection_unknown.is_some()).map(|protection| protection.unknown);
    match unknown {
        Some(WhenUnknown::Hold) => exit::WAITING,
        Some(WhenUnknown::Deny) => exit::DENIED,
        _ if known.protection.as_ref().is_some_and(|branch| !branch.against().is_empty()) => exit::DENIED,
        _ => exit::OK,
    }
}

fn branch_lines(known: &Circumstances, terminal: &Terminal) -> Vec<String> {
    let line = |mark, said: &str| marked(terminal, mark, &format!("branch     {said}"));
    if let Some(why) = &known.protection_unknown {
        return vec![line(Mark::Warn, &format!("nobody knows how it is protected: {why}"))];
    }
    let Some(branch) = &known.protection else { return Vec::new() };
    let mark = if branch.against().is_empty() { Mark::Good } else { Mark::Bad };
    branch.sentences().iter().map(|sentence| line(mark, sentence)).collect()
}

fn incident_lines(gate: &GatePlan, known: &Circumstances, terminal: &Terminal) -> Vec<String> {
    let Some(incidents) = &gate.incidents else { return Vec::new() };
    let line = |mark, said: String| marked(terminal, mark, &format!("incidents  {said}"));
    match (known.incidents.as_deref(), &known.incidents_unknown) {
        (_, Some(why)) => vec![line(Mark::Warn, format!("nobody knows which are open: {why}"))],
        (Some([]) | None, None) => vec![line(Mark::Good, format!("no {} is open", incidents.which()))],
        (Some(open), None) => open.iter().map(|incident| line(Mark::Bad, incident.sentence())).collect(),
    }
}

/// The newest first; nothing where nothing was ever brought up.
async fn again(client: Option<&Client>, ask: &Again) -> Result<Vec<DecidedAgain>> {
    match client {
        Some(client) => client.post("/api/v1/gate/again", ask).await,
        None => Ok(Vec::new()),
    }
}

async fn check(args: &Check, terminal: &Terminal) -> Result<u8> {
    let composed = proposal(&args.of, args.environment.as_deref(), args.dirty)?;
    let rules = composed.gate.clone();
    let now = world::now();
    let known = circumstances(&composed).await?;
    let client = Client::existing(&super::dirs_to_read()?).await?;
    let project = project_of(&args.of.dir)?;
    let (environment, circumstances) = (Some(composed.environment.clone()), Some(known.clone()));
    let ask = Again { project, rules: rules.clone(), since: Timestamp::from_ms(0), only: None, environment, circumstances };
    let all = again(client.as_ref(), &ask).await?;
    // Before anything has gone there, what went elsewhere shows what it asks.
    let of_there = all.iter().find(|it| it.release.environment == composed.environment);
    let last = of_there.or(all.first()).cloned();
    let views: Vec<EnvironmentView> = match &client {
        Some(client) => client.get(&format!("/api/v1/environments?project={project}")).await?,
        None => Vec::new(),
    };
    let view = views.iter().find(|view| view.environment == composed.environment);
    let state = rules.calendar.state(view.map_or(&[], |view| view.frozen.as_slice()), now);
    let proposed = view.and_then(|view| view.overridden.as_ref());
    let overridden = proposed.filter(|by| by.counts(&rules));
    let promises = |wanted: u8| known.slo.iter().any(|status| super::slo::code(&rules.slos, status) == wanted);
    let outside = [incidents_code(&rules, &known), branch_code(&rules, &known)];
    let checks_fail = known.checks.iter().any(|check| !check.passed);
    let denied = last.as_ref().is_some_and(|last| !last.now.is_allowed());
    let code = match overridden {
        Some(_) => exit::OK,
        None if denied || promises(exit::DENIED) || outside.contains(&exit::DENIED) || checks_fail => exit::DENIED,
        None if !state.is_open() || promises(exit::WAITING) || outside.contains(&exit::WAITING) => exit::WAITING,
        None => exit::OK,
    };
    if terminal.json {
        let policy = last.as_ref().map(|last| serde_json::json!({ "of": last.release.number, "decision": last.now }));
        terminal.json(&serde_json::json!({
            "policy": policy, "hours": state, "approvals": rules.approvals, "overridden": overridden, "slo": known.slo,
            "incidents": known.incidents, "incidents_unknown": known.incidents_unknown, "checks": known.checks,
            "protection": known.protection, "protection_unknown": known.protection_unknown,
        }));
        return Ok(code);
    }
    match &last {
        Some(last) => {
            let mark = if denied { Mark::Bad } else { Mark::Good };
            let word = if denied { "denies" } else { "allows" };
            terminal.data(&marked(terminal, mark, &format!("policy     {word} what release-{} left", last.release.number)));
            reasons(&last.now, terminal);
        }
        None => terminal.data(&marked(terminal, Mark::Skipped, "policy     no release has left evidence yet that it could be asked about")),
    }
    for status in &known.slo {
        terminal.data(&marked(terminal, super::slo::mark(&rules.slos, status), &format!("promised   {}", status.sentence())));
    }
    for line in incident_lines(&rules, &known, terminal).iter().chain(&branch_lines(&known, terminal)) {
        terminal.data(line);
    }
    for check in &known.checks {
        let mark = if check.passed { Mark::Good } else { Mark::Bad };
        terminal.data(&marked(terminal, mark, &format!("checked    {}", check.sentence())));
    }
    let mark = if state.is_open() { Mark::Good } else { Mark::Warn };
    terminal.data(&marked(terminal, mark, &format!("hours      {}", state.sentence(&rules.calendar))));
    let asked: Vec<String> = rules.approvals.rules.iter().map(Rule::sentence).collect();
    match asked.is_empty() {
        true => terminal.data(&marked(terminal, Mark::Good, "approvals  nobody's are needed")),
        false => terminal.data(&marked(terminal, Mark::Going, &format!("approvals  {}", asked.join(", ")))),
    }
    if let Some(by) = overridden {
        terminal.data(&marked(terminal, Mark::Bad, &format!("OVERRIDDEN {by}")));
    } else if let Some(by) = proposed {
        let how = "`plimsoll gate override --confirm`";
        terminal.data(&marked(terminal, Mark::Warn, &format!("override   asked for {by}; a second person has to confirm it: {how}")));
    }
    Ok(code)
}

fn reasons(decision: &gate::Decision, terminal: &Terminal) {
    for violation in decision.violations() {
        let rule = violation.rule.as_ref().map(|rule| format!("; says {rule}")).unwrap_or_default();
        terminal.data(&format!("    {violation}{rule}"));
    }
}

async fn explain(one: &OneRelease, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let view: ReleaseView = client.get(&super::release::path(one, project_of(&one.of.dir)?, "")).await?;
    let status = &view.status;
    let Some(decision) = &status.decision else {
        return Err(Failure::not_found(format!("the gate has not been asked about release-{}", status.number)));
    };
    if terminal.json {
        terminal.json(&serde_json::json!({
            "decision": decision, "sentences": gate::explain(decision), "votes": status.votes, "overridden": status.overridden,
        }));
        return Ok(exit::OK);
    }
    let mut lines = gate::explain(decision);
    lines.extend(super::release::last_words(&status.votes).map(super::release::vote_line));
    lines.extend(status.overridden.iter().map(|by| format!("OVERRIDDEN {by}")));
    lines.extend(status.evidence.as_ref().map(|evidence| format!("The evidence: {}.", crate::view::evidence_line(evidence))));
    terminal.data(&lines.join("\n"));
    Ok(exit::OK)
}

/// Each release by the rules of the environment it went to, or those that went to the one that is named.
async fn simulated(args: &Simulate, since: Timestamp) -> Result<Vec<DecidedAgain>> {
    let asked = args.environment.as_ref().map(|asked| environment_named(&args.of.dir, asked)).transpose()?;
    let client = Client::existing(&super::dirs_to_read()?).await?;
    let project = project_of(&args.of.dir)?;
    let entries: Vec<ReleaseEntry> = match &client {
        Some(client) => client.get(&format!("/api/v1/releases?project={project}")).await?,
        None => Vec::new(),
    };
    let names: BTreeSet<String> = match asked {
        Some(asked) => [asked].into(),
        None => entries.into_iter().map(|entry| entry.environment).collect(),
    };
    // Mistakes in the files are told, also where nothing was ever decided.
    if names.is_empty() {
        rules(&args.of, None, args.dirty)?;
    }
    let mut all = Vec::new();
    for name in names {
        // One that is not in the file any more has what holds where nothing is said.
        let known = environment_named(&args.of.dir, &name).ok();
        let rules = rules(&args.of, known.as_deref(), args.dirty)?;
        let ask = Again { project, rules, since, only: Some(name), environment: None, circumstances: None };
        all.extend(again(client.as_ref(), &ask).await?);
    }
    all.sort_by_key(|decided| std::cmp::Reverse(decided.release.number));
    Ok(all)
}

async fn simulate(args: &Simulate, terminal: &Terminal) -> Result<u8> {
    let now = world::now();
    let since = i64::try_from(duration("--since", &args.since)?).unwrap_or(i64::MAX);
    let since = Timestamp::from_ms(now.as_ms().saturating_sub(since));
    let all = simulated(args, since).await?;
    if terminal.json {
        terminal.json(&all);
        return Ok(exit::OK);
    }
    for DecidedAgain { release, then, now } in &all {
        let word = |decision: &gate::Decision| if decision.is_allowed() { "allowed" } else { "denied" };
        let (mark, how) = match (then.is_allowed(), now.is_allowed()) {
            (true, false) => (Mark::Bad, "was allowed, would be denied".to_string()),
            (false, true) => (Mark::Warn, "was denied, would be allowed".to_string()),
            _ => (Mark::Skipped, format!("{} as it was", word(now))),
        };
        terminal.data(&marked(terminal, mark, &format!("release-{:<4} {}: {how}", release.number, super::release::what(release))));
        if then.is_allowed() {
            reasons(now, terminal);
        }
    }
    let differ = |was: bool, would: bool| all.iter().filter(|it| it.then.is_allowed() == was && it.now.is_allowed() == would).count();
    let (blocked, freed) = (differ(true, false), differ(false, true));
    terminal.data(&format!(
        "of {} decisions since {}, {blocked} that were allowed would be denied, {freed} that were denied would be allowed",
        all.len(),
        since.date_and_clock()
    ));
    Ok(exit::OK)
}
