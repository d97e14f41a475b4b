//! The environments: what is different in each, and what protects it by GitHub's rules, with the people and teams of the gate.

use std::collections::{BTreeMap, BTreeSet};

use base::Diagnostic;
use base::name::nearest;
use base::people::same;
use base::yaml::Node;
use gate::Level;
use release::environment::FIRST;
use rollout::watch::WatchPlan;
use rollout::{SmokeCheck, Strategy};
use workflow::environment::{Environments, Protection, REVIEWERS_MAX, Refs, Reviewer, WAIT_TIMER_MAX_MINUTES, is_closed};

use super::{Config, Gate, LimitsConfig, Reader, VALUE};

pub(super) const ENVIRONMENT: &[&str] = &[
    "after",
    "level",
    "replicas",
    "env",
    "smoke",
    "strategy",
    "limits",
    "watch",
    "gate",
    "reviewers",
    "preventSelfReview",
    "waitTimer",
    "branches",
    "tags",
];

/// What an environment has otherwise than the project as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// Only what is live in that environment ships here.
    pub after: Option<String>,
    pub level: Option<Level>,
    pub replicas: Option<u32>,
    pub env: BTreeMap<String, String>,
    pub smoke: Option<Vec<SmokeCheck>>,
    pub strategy: Option<Strategy>,
    pub scale_down_delay_ms: Option<u64>,
    pub limits: LimitsConfig,
    pub watch: Option<Option<WatchPlan>>,
    /// The whole of it, with what the project says.
    pub gate: Option<Gate>,
}

impl Config {
    /// As it is in an environment.
    #[must_use]
    pub fn at(&self, environment: &str) -> Config {
        let mut config = self.clone();
        let Some(place) = self.places.get(environment).cloned() else { return config };
        config.replicas = place.replicas.or(config.replicas);
        config.env.extend(place.env);
        config.smoke = place.smoke.or(config.smoke);
        if place.strategy.is_some() {
            (config.strategy, config.scale_down_delay_ms) = (place.strategy, place.scale_down_delay_ms);
        }
        config.limits = place.limits.or(config.limits);
        config.watch = place.watch.or(config.watch);
        config.gate = place.gate.unwrap_or(config.gate);
        config
    }

    /// How secure an environment is to be: as it says, or as its name does.
    pub fn level(&self, environment: &str) -> Option<Level> {
        self.places.get(environment).and_then(|place| place.level).or_else(|| Level::named(environment))
    }
}

impl LimitsConfig {
    /// What isn't said here is as there.
    #[must_use]
    fn or(self, other: LimitsConfig) -> LimitsConfig {
        LimitsConfig {
            ready_ms: self.ready_ms.or(other.ready_ms),
            step_min_ms: self.step_min_ms.or(other.step_min_ms),
            step_max_ms: self.step_max_ms.or(other.step_max_ms),
            deadline: self.deadline.or(other.deadline),
            drain_ms: self.drain_ms.or(other.drain_ms),
            verify_ms: self.verify_ms.or(other.verify_ms),
            restarts_max: self.restarts_max.or(other.restarts_max),
        }
    }
}

/// Names are at most so long; GitHub's limit.
const NAME_MAX: usize = 255;

type Teams = BTreeMap<String, BTreeSet<String>>;

impl Reader {
    /// What protects each, and what is different there; `gate` is the project's.
    pub(super) fn environments(&mut self, node: &Node, gate: &Gate) -> Option<(Environments, BTreeMap<String, Place>)> {
        let (teams, people) = (&gate.teams, &gate.approvals.people);
        let mut places = BTreeMap::new();
        let Some(mapping) = node.as_mapping() else {
            self.wrong(node, "a mapping of environments to what protects them");
            return None;
        };
        let mut protections: BTreeMap<String, Protection> = BTreeMap::new();
        for (key, value) in mapping.iter() {
            let name = key.text.clone();
            if name.is_empty() || name.chars().count() > NAME_MAX {
                let message = format!("the name of an environment has from 1 to {NAME_MAX} characters");
                self.diagnostics.push(Diagnostic::error(VALUE, key.span, message));
            } else if let Some(known) = protections.keys().find(|known| same(known, &name)) {
                let message = format!("`{name}` is the same environment as `{known}`");
                self.diagnostics.push(Diagnostic::error(VALUE, key.span, message));
            } else if let Some(protection) = self.protection(value, teams) {
                places.insert(name.to_lowercase(), self.place(value, gate).unwrap_or_default());
                protections.insert(name, protection);
            }
        }
        for (key, value) in mapping.iter() {
            self.after(&key.text.to_lowercase(), value, &places);
        }
        Some((Environments { protections, people: people.clone(), only: None }, places))
    }

    /// One environment comes after another of the project, and never after itself.
    fn after(&mut self, name: &str, node: &Node, places: &BTreeMap<String, Place>) {
        let Some(node) = node.as_mapping().and_then(|mapping| mapping.get("after")) else { return };
        let next = |name: &str| places.get(name).and_then(|place| place.after.as_deref());
        let Some(after) = next(name) else { return };
        let levels = || Level::ALL.iter().map(|level| level.as_str());
        let known = || places.keys().map(String::as_str).chain(levels()).chain([FIRST]);
        if !known().any(|known| known == after) {
            let near = nearest(after, known()).map(|near| format!("did you mean `{near}`?"));
            let hint = near.unwrap_or_else(|| format!("`environments: {{{after}: {{}}}}` makes one"));
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("this project has no environment `{after}`")).hint(hint));
        }
        let chain = std::iter::successors(Some(after), |name| next(name)).take(places.len() + 1);
        if chain.into_iter().any(|it| it == name) {
            let message = format!("`{name}` would come after itself, so nothing could ever ship there");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        }
    }

    fn place(&mut self, node: &Node, gate: &Gate) -> Option<Place> {
        // What it has besides has been told.
        let mapping = node.as_mapping()?;
        Some(Place {
            after: self.at(mapping, "after", Self::text).map(|name| name.to_lowercase()),
            level: self.at(mapping, "level", Self::level),
            replicas: self.at(mapping, "replicas", Self::replicas),
            env: self.at(mapping, "env", Self::env).unwrap_or_default(),
            smoke: self.at(mapping, "smoke", Self::smoke),
            strategy: self.at(mapping, "strategy", Self::strategy),
            scale_down_delay_ms: self.at(mapping, "strategy", Self::scale_down_delay),
            limits: self.at(mapping, "limits", Self::limits).unwrap_or_default(),
            watch: self.at(mapping, "watch", Self::watch),
            gate: self.at(mapping, "gate", |reader, node| {
                reader.of_the_project(node);
                reader.gate(node, gate)
            }),
        })
    }

    /// Who somebody is doesn't depend on where something ships to, and the project's rules are read with the project's teams.
    fn of_the_project(&mut self, gate: &Node) {
        for key in ["teams", "people"] {
            if let Some(node) = gate.as_mapping().and_then(|mapping| mapping.get(key)) {
                let message = format!("`{key}` are the project's, in every environment");
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint(format!("`gate.{key}` at the top of the file")));
            }
        }
    }

    fn level(&mut self, node: &Node) -> Option<Level> {
        let level = Level::named(node.as_str().unwrap_or_default());
        if level.is_none() {
            let names = Level::ALL.map(|level| format!("`{level}`")).join(", ");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("a level is one of {names}")));
        }
        level
    }

    fn protection(&mut self, node: &Node, teams: &Teams) -> Option<Protection> {
        let mapping = self.closed(node, ENVIRONMENT)?;
        let branches = self.at(mapping, "branches", Self::branches);
        let tags = self.at(mapping, "tags", Self::ref_patterns);
        // What isn't named may not, as soon as something is.
        let refs = ["branches", "tags"].iter().any(|key| mapping.get(key).is_some());
        let minutes = self.at(mapping, "waitTimer", |reader, node| reader.whole(node, 0, WAIT_TIMER_MAX_MINUTES));
        Some(Protection {
            reviewers: self.at(mapping, "reviewers", |reader, node| reader.reviewers(node, teams)).unwrap_or_default(),
            prevent_self_review: self.at(mapping, "preventSelfReview", Self::boolean).unwrap_or_default(),
            wait_timer_ms: minutes.unwrap_or_default() * 60_000,
            refs: refs.then(|| Refs { branches: branches.unwrap_or_default(), tags: tags.unwrap_or_default() }),
        })
    }

    fn reviewers(&mut self, node: &Node, teams: &Teams) -> Option<Vec<Reviewer>> {
        let reviewers = self.list(node, |reader, node| reader.reviewer(node, teams))?;
        if reviewers.len() > REVIEWERS_MAX {
            let message = format!("{} reviewers are asked, and at most {REVIEWERS_MAX} can be", reviewers.len());
            let hint = "one of them is enough; put them into a team under `gate.teams`";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint(hint));
        }
        Some(reviewers)
    }

    fn reviewer(&mut self, node: &Node, teams: &Teams) -> Option<Reviewer> {
        let name = self.text(node)?;
        let team = teams.get(&name).cloned();
        if team.is_none()
            && let Some(near) = nearest(&name, teams.keys().map(String::as_str))
        {
            let message = format!("`{name}` is no team, so a person of that name is asked");
            self.diagnostics.push(Diagnostic::warning(VALUE, node.span, message).hint(format!("did you mean the team `{near}`?")));
        }
        if team.as_ref().is_some_and(BTreeSet::is_empty) {
            let message = format!("nobody is in the team `{name}`, so it could never review anything");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("list who is in it under `gate.teams`"));
        }
        Some(Reviewer { name, team })
    }

    fn branches(&mut self, node: &Node) -> Option<Vec<String>> {
        if node.as_str() == Some("protected") {
            let message = "which branches are protected is the forge's to say, and no forge is asked yet";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("list them: `[main, release/*]`"));
            return None;
        }
        self.ref_patterns(node)
    }

    fn ref_patterns(&mut self, node: &Node) -> Option<Vec<String>> {
        self.list(node, Self::ref_pattern)
    }

    fn ref_pattern(&mut self, node: &Node) -> Option<String> {
        let pattern = self.text(node)?;
        let short = pattern.strip_prefix("refs/heads/").or_else(|| pattern.strip_prefix("refs/tags/"));
        if let Some(short) = short {
            let message = format!("branches and tags are named without what stands before them: `{pattern}` fits none");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint(format!("`{short}`")));
        } else if !is_closed(&pattern) {
            let message = format!("`{pattern}` has a `[` that nothing closes, so it fits nothing");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`[0-9]` is one digit, `\\[` the character itself"));
        }
        Some(pattern)
    }
}
