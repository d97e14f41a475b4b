//! Planning: a proposal gets its number, its port and what the record knows, and becomes a release's plan, durably.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::Timestamp;
use base::name::{ProjectId, ReleaseId, RunId};
use engine::Cache;
use gate::commits::Brought;
use host::git;
use record::{Append, AppendError, Index, NewFact, ProjectEntry, ledger};
use release::{Delivery, Environment, EnvironmentEvent, Kind, Live, Plan, Workflows};
use rollout::RevisionId;
use rollout::watch::Verdict;
use serde::{Deserialize, Serialize};

use super::api::{Demand, DownRequest, EnvironmentAsk, EnvironmentDown};
use super::history::ways_back;
use super::journal::{Journal, with_numbers};
use super::ports;
use super::promotion::{self, Promotion};
use crate::compose::git_failure;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::fetching;
use crate::proposal::{Accepted, Proposal};
use crate::world::Host;

#[derive(Debug)]
pub struct Book {
    world: Host,
    journal: Arc<Journal>,
    /// Numbers are given out one by one; the expected version would catch a race, the lock saves the loser its work.
    turn: tokio::sync::Mutex<()>,
    /// `builder: hosted`, as it was said when the server began: no job that it ran since then has had a part in it.
    hosted: bool,
}

/// Back to what was live before, or to a revision named.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollbackRequest {
    pub id: ReleaseId,
    pub project: ProjectId,
    pub environment: String,
    /// A revision, or the beginning of one; what was live before when absent.
    pub revision: Option<String>,
    pub actor: String,
    /// Why, where nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The release that is to be live still; otherwise nothing goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<ReleaseId>,
}

impl Book {
    pub fn new(world: Host, journal: Arc<Journal>) -> Book {
        let hosted = fetching::user().is_ok_and(|user| user.hosted);
        Book { world, journal, turn: tokio::sync::Mutex::new(()), hosted }
    }

    /// Durable when it returns; the same id twice is one release.
    ///
    /// # Errors
    /// When the proposal can't become a plan, or the record can't be written.
    pub async fn accept(&self, proposal: Proposal) -> Result<Accepted> {
        let promotion = match proposal.from {
            Some(from) if self.known(proposal.id, None).is_none() => {
                self.journal.catch_up().await?;
                Some(promotion::of(&self.journal, self.world.store.as_ref(), from, &proposal).await?)
            }
            _ => None,
        };
        // A large history takes its time, and nobody who goes back waits for it.
        let since = self.since(&proposal);
        let mut brings = self.brings(&proposal, since.clone()).await?;
        let _turn = self.turn.lock().await;
        self.journal.catch_up().await?;
        if let Some(known) = self.known(proposal.id, Some(&proposal)) {
            return Ok(known);
        }
        let entry = self.journal.index().projects.get(&proposal.project.id).cloned();
        let listens = self.listens(&proposal).await;
        let port = ports::choose(&self.journal.index(), entry.as_ref(), listens, &proposal)?;
        let now = self.since(&proposal);
        if now != since {
            brings = self.brings(&proposal, now).await?;
        }
        let (plan, last_run, runs_of) = self.plan(proposal, promotion, brings, entry.as_ref(), port)?;
        self.record(plan, entry, last_run, runs_of).await
    }

    /// The commits since that one: whoever takes it down and ships again brings no less.
    async fn brings(&self, proposal: &Proposal, live: Option<Option<String>>) -> Result<Brought> {
        let is_lost = live == Some(None);
        let since = live.flatten();
        let (root, subtree, sha) = (proposal.project.repository.clone(), proposal.project.subtree.clone(), proposal.commit.sha.clone());
        let read = move || git::brought(Path::new(&root), &subtree, since.as_deref(), &sha);
        let mut brings = tokio::task::spawn_blocking(read).await.doing("read the commits")?.map_err(git_failure)?;
        if is_lost {
            brings.unread = Some("the record does not tell the commit of what is live".to_string());
        }
        if proposal.commit.dirty {
            brings.unread.get_or_insert_with(|| "what is not committed has no message".to_string());
        }
        Ok(brings)
    }

    /// The commit that is live, or was last; nothing within where the record doesn't tell it.
    fn since(&self, proposal: &Proposal) -> Option<Option<String>> {
        let environment = (proposal.project.id, proposal.environment.clone());
        let index = self.journal.index();
        let seen = index.environments.get(&environment)?;
        let live = seen.live().or_else(|| seen.history().last())?;
        Some(commit_of(&index, live, &environment))
    }

    /// Whether the router listens for what is live; after a reboot somebody else may have its port.
    async fn listens(&self, proposal: &Proposal) -> bool {
        let seen = self.world.router.observe(&release::plan::scope(proposal.project.id, &proposal.environment)).await;
        seen.is_some_and(|seen| seen.generation > 0)
    }

    /// # Errors
    /// When there is nothing to go back to, or the record can't be written.
    pub async fn roll_back(&self, request: RollbackRequest) -> Result<Accepted> {
        let _turn = self.turn.lock().await;
        self.journal.catch_up().await?;
        if let Some(known) = self.known(request.id, None) {
            return Ok(known);
        }
        let plan = self.rollback_plan(&request)?;
        let entry = self.journal.index().projects.get(&request.project).cloned();
        let last_run = entry.as_ref().map_or(0, |entry| entry.last_run);
        self.record(plan, entry, last_run, BTreeMap::new()).await
    }

    /// # Errors
    /// While a release is changing the environment.
    pub async fn take_down(&self, request: &DownRequest, cache: &Cache) -> Result<EnvironmentDown> {
        let mut was_live = None;
        self.change(request.project, &request.environment, cache, |environment, now| {
            was_live = environment.live().map(|live| live.instance.revision.clone());
            if environment.is_down() || environment.generation() == 0 {
                return Ok(None);
            }
            let down = environment.go_down(&request.by, now).map_err(|release| {
                let message = format!("release {release} is changing environment `{}`", request.environment);
                Failure::new(FailureKind::Conflict, with_numbers(&self.journal.index(), &message))
                    .hint("`plimsoll release abort` ends it, then `plimsoll down` again")
            });
            down.map(Some)
        })
        .await?;
        Ok(EnvironmentDown { was_live })
    }

    /// What was found of what is live, once on record.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn notice(&self, place: &(ProjectId, String), release: ReleaseId, verdict: &Verdict, cache: &Cache) -> Result<()> {
        let change = self.change(place.0, &place.1, cache, |environment, now| Ok(environment.notice(release, verdict, now)));
        if change.await?.is_some() {
            self.journal.catch_up().await?;
        }
        Ok(())
    }

    /// # Errors
    /// When what is asked makes no sense, or the record can't be written.
    pub async fn ask(&self, ask: &EnvironmentAsk, cache: &Cache) -> Result<EnvironmentEvent> {
        let event = self.change(ask.project, &ask.environment, cache, |environment, now| {
            let event = match &ask.demand {
                Demand::Freeze { reason, until } => environment.freeze(&ask.by, reason, *until, now),
                Demand::Unfreeze => environment.unfreeze(&ask.by, now),
                Demand::Override { reason, ticket, until } => {
                    let by = gate::Override {
                        by: ask.by.clone(),
                        reason: reason.clone(),
                        ticket: ticket.clone(),
                        until: *until,
                        confirmed_by: [].into(),
                    };
                    environment.override_gate(by, now)
                }
                Demand::Confirm => environment.confirm_override(&ask.by, now),
            };
            event.map(Some).map_err(|unwanted| Failure::usage(unwanted.0))
        });
        Ok(event.await?.expect("whatever is asked becomes an event"))
    }

    /// Asks the environment, and again when somebody else was quicker, until its answer is on record. Nothing is an answer too.
    async fn change(
        &self,
        project: ProjectId,
        environment: &str,
        cache: &Cache,
        mut ask: impl FnMut(&Environment, Timestamp) -> Result<Option<EnvironmentEvent>>,
    ) -> Result<Option<EnvironmentEvent>> {
        loop {
            let store = self.world.store.as_ref();
            let loaded = cache.environment(store, project, environment).await.doing("read the environment")?;
            let now = self.world.clock.now();
            let Some(event) = ask(&loaded.environment, now)? else { return Ok(None) };
            let stream = ledger::environment_stream(project, environment);
            let append = Append { stream, expected: loaded.version, facts: vec![ledger::environment_fact(&event, now)] };
            match store.append(vec![append]).await {
                Ok(_) => return Ok(Some(event)),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(Failure::from_error("record what is asked of the environment", &error)),
            }
        }
    }

    /// This very release, or one of the same commit that is under way.
    fn known(&self, id: ReleaseId, proposal: Option<&Proposal>) -> Option<Accepted> {
        let index = self.journal.index();
        let same_commit = |entry: &&record::ReleaseEntry| {
            proposal.is_some_and(|proposal| {
                entry.outcome.is_none()
                    && entry.project == proposal.project.id
                    && entry.environment == proposal.environment
                    && !proposal.commit.dirty
                    && entry.moves_on == proposal.from.is_some()
                    && entry.commit.as_ref() == Some(&proposal.commit)
            })
        };
        let entry = index.releases.get(&id).or_else(|| index.releases.values().rfind(same_commit))?;
        let port =
            index.projects.get(&entry.project).and_then(|project| project.ports.get(&entry.environment)).copied().unwrap_or_default();
        Some(Accepted { id: entry.id, number: entry.number, port, attached: entry.id != id })
    }

    /// With the number of the last run, and how often each of the workflow files has run then.
    fn plan(
        &self,
        mut proposal: Proposal,
        promotion: Option<Promotion>,
        brings: Brought,
        entry: Option<&ProjectEntry>,
        port: u16,
    ) -> Result<(Plan, u64, BTreeMap<String, u64>)> {
        let mut last_run = entry.map_or(0, |entry| entry.last_run);
        let counts = entry.map(|entry| entry.runs_of.clone()).unwrap_or_default();
        // From before files were counted: whichever it was, it hasn't run more often.
        let counted_before = if counts.is_empty() { last_run } else { 0 };
        let mut now_counted = BTreeMap::new();
        let (mut hosted, mut proved) = (self.hosted, None);
        if let Some(promotion) = promotion {
            promotion.settle(&mut proposal.delivery);
            // How far it is believed was decided where it was built.
            (proposal.source, proposal.ships, hosted) = (promotion.source, promotion.ships, promotion.hosted);
            proved = Some(Box::new(promotion.proved));
        }
        let mut gate = proposal.gate;
        gate.previous_evidence = entry.and_then(|entry| entry.evidence.get(&proposal.environment)).cloned().unwrap_or_default();
        gate.previous_benchmarks = self.journal.index().baseline(proposal.project.id, &proposal.environment).to_vec();
        // Whom the rules ask of this very release is on record.
        gate.approvals = gate.approvals.of(&brings);
        let mut runs = Vec::new();
        for workflow in proposal.workflows {
            last_run += 1;
            let path = workflow.path.clone();
            let request = workflow::plan::Request {
                run: RunId::new(self.world.clock.now(), self.world.random()),
                number: last_run,
                workflow,
                event: proposal.event.clone(),
                repository: workflow::plan::Repository {
                    name: crate::event::full_name(&proposal.project.name),
                    server_url: "https://github.com".to_string(),
                },
                actor: proposal.actor.clone(),
                inputs: serde_json::Map::new(),
                vars: proposal.vars.clone(),
                only_job: None,
                max_parallel: self.world.cores,
                deliver_by_workflow: proposal.deliver_by_workflow,
                environments: proposal.environments.clone(),
            };
            let unplanned = |error| Failure::usage(format!("{path} can't be planned: {error}"));
            let (mut plan, _) = workflow::plan::Plan::new(request).map_err(unplanned)?;
            let count = counts.get(&path).copied().unwrap_or(counted_before) + 1;
            plan.count(count).map_err(unplanned)?;
            now_counted.insert(path.clone(), count);
            runs.push(Arc::new(plan));
        }
        let brings = Some(brings);
        let Proposal { commit, source, ships, .. } = proposal;
        let workflows = Workflows { commit, source, runs, ships, brings, gate, hosted, proved };
        let plan = Plan {
            id: proposal.id,
            number: entry.map_or(0, |entry| entry.last_release) + 1,
            project: proposal.project,
            environment: proposal.environment,
            kind: Kind::Change(Box::new(workflows)),
            delivery: Delivery { port, ..proposal.delivery },
            actor: proposal.actor,
            created: self.world.clock.now(),
        };
        Ok((plan, last_run, now_counted))
    }

    fn rollback_plan(&self, request: &RollbackRequest) -> Result<Plan> {
        let index = self.journal.index();
        let missing = || {
            let message = format!("nothing of this project was ever live in `{}`, so there is nothing to go back to", request.environment);
            Failure::not_found(message).hint("`plimsoll release list` shows how its releases ended")
        };
        let environment = index.environments.get(&(request.project, request.environment.clone())).ok_or_else(missing)?;
        let entry = index.projects.get(&request.project).ok_or_else(missing)?;
        if let Some(release) = environment.occupied() {
            let message = format!("release {release} is changing environment `{}`", request.environment);
            return Err(Failure::new(FailureKind::Conflict, with_numbers(&index, &message))
                .hint("`plimsoll release abort` takes traffic back to the version before"));
        }
        if request.undoes.is_some_and(|undone| environment.live().is_none_or(|live| live.release != undone)) {
            let message = format!("what was to be taken back is not live in `{}` any more", request.environment);
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let target = match &request.revision {
            Some(revision) => {
                environment.history().iter().rev().find(|live| live.instance.revision.0.starts_with(revision.as_str())).ok_or_else(
                    || {
                        Failure::not_found(format!("no revision `{revision}` was live in `{}` before", request.environment))
                            .hint("`plimsoll release history` shows those that were")
                    },
                )?
            }
            None => way_back(&index, environment, request)?,
        };
        // Users come where they do now, not where they came then.
        let port = entry.ports.get(&request.environment).copied().unwrap_or(target.delivery.port);
        let base = Delivery { port, ..target.delivery.clone() };
        Ok(Plan {
            id: request.id,
            number: entry.last_release + 1,
            project: entry.project.clone(),
            environment: request.environment.clone(),
            kind: Kind::Rollback {
                revision: Box::new(target.instance.clone()),
                reason: request.reason.clone().unwrap_or_else(|| format!("asked for by {}", request.actor)),
                undoes: request.undoes,
            },
            delivery: base,
            actor: request.actor.clone(),
            created: self.world.clock.now(),
        })
    }

    async fn record(&self, plan: Plan, entry: Option<ProjectEntry>, last_run: u64, runs_of: BTreeMap<String, u64>) -> Result<Accepted> {
        let now = plan.created;
        let port = plan.delivery.port;
        let mut facts: Vec<NewFact> = Vec::new();
        let is_known = |entry: &ProjectEntry| entry.ports.get(&plan.environment) == Some(&port) && entry.project == plan.project;
        if !entry.as_ref().is_some_and(is_known) {
            let (project, environment) = (plan.project.clone(), plan.environment.clone());
            let event = ledger::ProjectEvent::Registered { project, environment, port, at: now };
            facts.push(ledger::project_fact(&event, now));
        }
        let numbered = ledger::ProjectEvent::ReleaseNumbered {
            release: plan.id,
            number: plan.number,
            last_run,
            runs_of,
            environment: plan.environment.clone(),
            at: now,
        };
        facts.push(ledger::project_fact(&numbered, now));
        let appends = vec![
            Append { stream: ledger::project_stream(plan.project.id), expected: entry.map_or(0, |entry| entry.version), facts },
            Append { stream: ledger::release_stream(plan.id), expected: 0, facts: vec![ledger::planned(&plan)] },
        ];
        self.world.store.append(appends).await.doing("record the release")?;
        self.journal.catch_up().await?;
        Ok(Accepted { id: plan.id, number: plan.number, port, attached: false })
    }
}

/// Of the release that brought the revision that is live, which a way back may have brought again.
fn commit_of(index: &Index, live: &Live, environment: &(ProjectId, String)) -> Option<String> {
    promotion::brought_by(index, live, environment).and_then(|entry| Some(entry.commit.as_ref()?.sha.clone()))
}

/// What was live before what is live now, and was left neither by a rollback nor by a canary that failed.
fn way_back<'a>(index: &Index, environment: &'a Environment, request: &RollbackRequest) -> Result<&'a Live> {
    let kept = |revision: &RevisionId| environment.history().iter().rev().find(|live| live.instance.revision == *revision);
    let mut ways = ways_back(index, &(request.project, request.environment.clone())).into_iter();
    let way = ways.find_map(|revision| kept(&revision).filter(|_| !environment.is_quarantined(&revision)));
    way.ok_or_else(|| match environment.live() {
        Some(live) if !environment.history().is_empty() => {
            let revision = &live.instance.revision;
            Failure::usage(format!("nothing was live before {revision} but what was left by a rollback or a failed canary"))
                .hint("`plimsoll release rollback REVISION` goes there all the same; `plimsoll release history` shows the revisions")
        }
        _ => Failure::not_found(format!("nothing was live in `{}` before", request.environment)),
    })
}
