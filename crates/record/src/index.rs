//! The reading of the record that lists are made of: which projects, releases and environments there are, and where they stand.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use base::name::{ProjectId, ReleaseId};
use release::{Commit, Environment, EnvironmentEvent, Event, Kind, Outcome, Plan, Project};
use rollout::{Happened, RevisionId, Strategy};
use serde::{Deserialize, Serialize};

use crate::benchmarks::Benchmarks;
use crate::fact::Fact;
use crate::ledger::{ProjectEvent, Unreadable, read};

#[derive(Debug, Clone, Default)]
pub struct Index {
    /// The last global position that was read.
    pub position: u64,
    pub projects: BTreeMap<ProjectId, ProjectEntry>,
    pub releases: BTreeMap<ReleaseId, ReleaseEntry>,
    pub environments: BTreeMap<(ProjectId, String), Environment>,
    /// What was live in each environment, oldest first; the environment itself forgets when.
    pub lives: BTreeMap<(ProjectId, String), Vec<Period>>,
    benchmarks: Benchmarks,
}

/// A revision had all the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The release that put it there.
    pub release: ReleaseId,
    pub revision: RevisionId,
    pub from: Timestamp,
    /// Nothing while it is live.
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ProjectEntry {
    pub project: Project,
    /// Where users come to each environment.
    pub ports: BTreeMap<String, u16>,
    pub last_release: u64,
    pub last_run: u64,
    /// How often each workflow file has run.
    pub runs_of: BTreeMap<String, u64>,
    /// Of its stream, to append after.
    pub version: u64,
    /// What the last release to each environment that was decided had, for "it was there last time".
    pub evidence: BTreeMap<String, BTreeSet<gate::EvidenceKind>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseEntry {
    pub id: ReleaseId,
    pub project: ProjectId,
    pub project_name: String,
    pub number: u64,
    pub environment: String,
    pub commit: Option<Commit>,
    pub actor: String,
    pub created: Timestamp,
    pub revision: Option<RevisionId>,
    /// It ships what another release built.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moves_on: bool,
    /// How traffic went to it, once that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyKind>,
    /// Since when what it brought has all traffic and is verified, while it is under way: the version before may be kept for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub finished: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    Immediate,
    Canary,
    BlueGreen,
    Rolling,
}

impl Index {
    /// Reads one more fact; facts come in the order of their positions, each once.
    ///
    /// # Errors
    /// When the payload can't be read; the index is then as before.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), Unreadable> {
        let (head, rest) = fact.stream.split_once('/').unwrap_or((&fact.stream, ""));
        match head {
            "project" => self.apply_project(read(fact)?, fact.seq, rest),
            "environment" => {
                if let Some((project, name)) = rest.split_once('/')
                    && let Ok(project) = project.parse()
                {
                    let event: EnvironmentEvent = read(fact)?;
                    let key = (project, name.to_string());
                    self.environments.entry(key.clone()).or_default().apply(&event);
                    self.benchmarks.apply_environment(&key, &event);
                    apply_life(self.lives.entry(key).or_default(), &event);
                }
            }
            "release" if fact.seq == 1 => self.apply_planned(&read(fact)?),
            "release" => {
                if let Ok(id) = rest.parse() {
                    self.apply_release(id, read(fact)?);
                }
            }
            _ => {}
        }
        self.position = fact.position;
        Ok(())
    }

    /// A release by its id, by `release-7` or `7` within a project, or the last one of the project for `None`.
    pub fn find(&self, project: Option<ProjectId>, name: Option<&str>) -> Option<&ReleaseEntry> {
        let of_project = |entry: &&ReleaseEntry| project.is_none_or(|project| entry.project == project);
        let Some(name) = name else { return self.releases.values().rfind(of_project) };
        if let Ok(id) = name.parse::<ReleaseId>() {
            return self.releases.get(&id);
        }
        let number: u64 = name.strip_prefix("release-").unwrap_or(name).parse().ok()?;
        self.releases.values().filter(of_project).rfind(|entry| entry.number == number)
    }

    /// Which release of a project is meant where none is named and one is to be steered: the one that has the environment, else the
    /// last that is under way, else the last.
    ///
    /// # Errors
    /// The last that is under way in each environment, where that are several: none is meant by chance.
    pub fn steered(&self, project: ProjectId) -> Result<Option<&ReleaseEntry>, Vec<&ReleaseEntry>> {
        let of_project = || self.releases.values().filter(|entry| entry.project == project);
        let under_way: BTreeMap<&str, &ReleaseEntry> =
            of_project().filter(|entry| entry.outcome.is_none()).map(|entry| (entry.environment.as_str(), entry)).collect();
        if under_way.len() > 1 {
            return Err(under_way.into_values().collect());
        }
        let occupied = |((of, _), environment): (&(ProjectId, String), &Environment)| environment.occupied().filter(|_| *of == project);
        let moving = self.environments.iter().find_map(occupied).and_then(|id| self.releases.get(&id));
        Ok(moving.or_else(|| under_way.into_values().next()).or_else(|| of_project().next_back()))
    }

    pub fn unfinished(&self) -> Vec<ReleaseId> {
        self.releases.values().filter(|entry| entry.outcome.is_none()).map(|entry| entry.id).collect()
    }

    /// What benchmarks took in the release that brought what is live.
    pub fn baseline(&self, project: ProjectId, environment: &str) -> &[gate::Figure] {
        self.benchmarks.baseline(&(project, environment.to_string()))
    }

    fn apply_project(&mut self, event: ProjectEvent, seq: u64, id: &str) {
        match event {
            ProjectEvent::Registered { project, environment, port, .. } => {
                let entry = self.projects.entry(project.id).or_insert_with(|| ProjectEntry {
                    project: project.clone(),
                    ports: BTreeMap::new(),
                    last_release: 0,
                    last_run: 0,
                    runs_of: BTreeMap::new(),
                    version: seq,
                    evidence: BTreeMap::new(),
                });
                entry.project = project;
                entry.ports.insert(environment, port);
                entry.version = seq;
            }
            ProjectEvent::ReleaseNumbered { number, last_run, runs_of, .. } => {
                if let Some(entry) = id.parse().ok().and_then(|id: ProjectId| self.projects.get_mut(&id)) {
                    entry.last_release = number;
                    entry.last_run = last_run;
                    entry.runs_of.extend(runs_of);
                    entry.version = seq;
                }
            }
        }
    }

    fn apply_planned(&mut self, plan: &Plan) {
        let revision = match &plan.kind {
            Kind::Rollback { revision, .. } => Some(revision.revision.clone()),
            Kind::Change(_) => None,
        };
        let entry = ReleaseEntry {
            id: plan.id,
            project: plan.project.id,
            project_name: plan.project.name.clone(),
            number: plan.number,
            environment: plan.environment.clone(),
            commit: plan.workflows().map(|workflows| workflows.commit.clone()),
            actor: plan.actor.clone(),
            created: plan.created,
            revision,
            strategy: None,
            moves_on: plan.workflows().is_some_and(|workflows| workflows.proved.is_some()),
            verified: None,
            outcome: None,
            finished: None,
        };
        self.releases.insert(plan.id, entry);
    }

    fn apply_release(&mut self, id: ReleaseId, event: Event) {
        let Some(entry) = self.releases.get_mut(&id) else { return };
        match event {
            Event::Admitted { instance, rollout, .. } => {
                entry.revision = Some(instance.revision.clone());
                entry.strategy = Some(match rollout.strategy {
                    Strategy::Immediate => StrategyKind::Immediate,
                    Strategy::Canary { .. } => StrategyKind::Canary,
                    Strategy::BlueGreen { .. } => StrategyKind::BlueGreen,
                    Strategy::RollingUpdate { .. } => StrategyKind::Rolling,
                });
            }
            // The version before was dead, and the new one took over without a step.
            Event::Rollout { event } if matches!(event.what, Happened::StableDead { .. }) => entry.strategy = Some(StrategyKind::Immediate),
            Event::Rollout { event } if matches!(event.what, Happened::Verified) => entry.verified = Some(event.at),
            Event::Rollout { event } if matches!(event.what, Happened::RollbackStarted { .. }) => entry.verified = None,
            Event::EvidenceRead { evidence, .. } => {
                let summary = evidence.summary();
                self.benchmarks.read(id, &summary);
                if let Some(project) = self.projects.get_mut(&entry.project) {
                    project.evidence.insert(entry.environment.clone(), summary.present);
                }
            }
            Event::Finished { outcome, at } => {
                if let Outcome::Unchanged { revision } = &outcome {
                    entry.revision = Some(revision.clone());
                }
                entry.verified = None;
                self.benchmarks.finished(id, &outcome);
                entry.outcome = Some(outcome);
                entry.finished = Some(at);
            }
            _ => {}
        }
    }
}

fn apply_life(lives: &mut Vec<Period>, event: &EnvironmentEvent) {
    let (end, next) = match event {
        EnvironmentEvent::Released { live: Some(live), .. } => (live.since, Some(live)),
        EnvironmentEvent::WentDown { at, .. } => (*at, None),
        _ => return,
    };
    if let Some(last) = lives.last_mut().filter(|last| last.until.is_none()) {
        last.until = Some(end);
    }
    lives.extend(next.map(|live| Period {
        release: live.release,
        revision: live.instance.revision.clone(),
        from: live.since,
        until: None,
    }));
}
