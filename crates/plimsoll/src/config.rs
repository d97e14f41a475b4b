//! `plimsoll.yaml`: closed keys, no templating; every mistake is reported at once, with its place.
//!
//! The schema is `docs/schema/plimsoll.json`; a test keeps its keys and these in step.

mod container;
mod environments;
mod gate;
mod outside;
mod slo;
mod strategy;
mod user;
mod watch;
mod workflows;

use std::collections::BTreeMap;

use base::time::parse_duration_ms;
use base::yaml::{self, Mapping, Node};
use base::{Diagnostic, Source, Span};
use rollout::watch::WatchPlan;
use rollout::{Deadline, JudgePlan, Limits, Probe, SmokeCheck, Strategy, SyntheticPlan};
use workflow::environment::Environments;

pub use container::Container;
pub use environments::Place;
pub use gate::{Gate, holidays_from};
pub use slo::slos_of;
pub use user::{User, parse_user};
pub use workflows::Workflows;

const API_VERSION: &str = "plimsoll/v1alpha1";

const UNKNOWN: &str = "config/unknown-key";
const TYPE: &str = "config/type";
const VALUE: &str = "config/value";

/// What a project says of itself; nothing is what detection or a default decides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub name: Option<String>,
    pub artifact: Option<String>,
    pub start: Option<String>,
    /// The port the application listens on when it ignores `PORT`.
    pub port: Option<u16>,
    /// What its instances run in, where that isn't this machine itself.
    pub container: Option<Container>,
    pub replicas: Option<u32>,
    pub env: BTreeMap<String, String>,
    pub health: Health,
    pub smoke: Option<Vec<SmokeCheck>>,
    pub strategy: Option<Strategy>,
    /// How long a version that was verified keeps its predecessor running.
    pub scale_down_delay_ms: Option<u64>,
    pub limits: LimitsConfig,
    /// Nothing within where it was switched off.
    pub watch: Option<Option<WatchPlan>>,
    pub judge: JudgeConfig,
    pub synthetic: Option<Synthetic>,
    pub gate: Gate,
    /// What protects the environments.
    pub environments: Environments,
    /// What is different in each, by its name in lower case.
    pub places: BTreeMap<String, Place>,
    pub gitlab: Gitlab,
    pub workflows: Workflows,
    /// `deliver: workflow`: jobs with `environment:` run too.
    pub deliver_by_workflow: bool,
    pub grace_ms: Option<u64>,
    pub actions: Actions,
}

/// Where actions of other repositories come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Actions {
    /// Addresses with `{repo}` in them, in the order they are asked.
    pub sources: Option<Vec<String>>,
    pub moved: Option<host::actions::Moved>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Health {
    pub startup: Option<ProbeConfig>,
    pub ready: Option<ProbeConfig>,
    pub live: Option<ProbeConfig>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProbeConfig {
    pub path: String,
    pub delay_ms: Option<u64>,
    pub period_ms: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub failures: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct LimitsConfig {
    pub ready_ms: Option<u64>,
    pub step_min_ms: Option<u64>,
    pub step_max_ms: Option<u64>,
    pub deadline: Option<Deadline>,
    pub drain_ms: Option<u64>,
    pub verify_ms: Option<u64>,
    pub restarts_max: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct JudgeConfig {
    pub alpha: Option<f64>,
    pub ratio_margin: Option<f64>,
    pub difference_margin: Option<f64>,
    pub latency_quantile: Option<f64>,
    pub latency_factor: Option<f64>,
    pub latency_slack_ms: Option<u64>,
    pub absolute_bad_share: Option<f64>,
    pub look_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Synthetic {
    /// `synthetic: false`.
    Off,
    On {
        paths: Option<Vec<String>>,
        interval_ms: Option<u64>,
        below_requests_per_minute: Option<u64>,
    },
}

/// How `.gitlab-ci.yml` is run here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gitlab {
    pub images: Option<workflow::gitlab::Images>,
    /// Where the files of other projects and of addresses are: by project or by the beginning of the address, a git repository or a
    /// folder, relative to this one.
    pub mirrors: BTreeMap<String, String>,
}

impl LimitsConfig {
    pub fn over(&self, limits: Limits) -> Limits {
        Limits {
            ready_ms: self.ready_ms.unwrap_or(limits.ready_ms),
            step_min_ms: self.step_min_ms.unwrap_or(limits.step_min_ms),
            step_max_ms: self.step_max_ms.unwrap_or(limits.step_max_ms),
            deadline: self.deadline.unwrap_or(limits.deadline),
            route_ms: limits.route_ms,
            drain_ms: self.drain_ms.unwrap_or(limits.drain_ms),
            warm_ms: limits.warm_ms,
            verify_ms: self.verify_ms.unwrap_or(limits.verify_ms),
            restarts_max: self.restarts_max.unwrap_or(limits.restarts_max),
        }
    }
}

impl JudgeConfig {
    pub fn over(&self, judge: JudgePlan) -> JudgePlan {
        JudgePlan {
            alpha: self.alpha.unwrap_or(judge.alpha),
            ratio_margin: self.ratio_margin.unwrap_or(judge.ratio_margin),
            difference_margin: self.difference_margin.unwrap_or(judge.difference_margin),
            latency_quantile: self.latency_quantile.unwrap_or(judge.latency_quantile),
            latency_factor: self.latency_factor.unwrap_or(judge.latency_factor),
            latency_slack_us: self.latency_slack_ms.map_or(judge.latency_slack_us, |ms| ms * 1000),
            absolute_bad_share: self.absolute_bad_share.unwrap_or(judge.absolute_bad_share),
            look_ms: self.look_ms.unwrap_or(judge.look_ms),
        }
    }
}

impl ProbeConfig {
    pub fn over(&self, probe: Probe) -> Probe {
        Probe {
            path: Some(self.path.clone()),
            delay_ms: self.delay_ms.unwrap_or(probe.delay_ms),
            period_ms: self.period_ms.unwrap_or(probe.period_ms),
            timeout_ms: self.timeout_ms.unwrap_or(probe.timeout_ms),
            failures_max: self.failures.unwrap_or(probe.failures_max),
        }
    }
}

impl Synthetic {
    pub fn over(&self, plan: SyntheticPlan) -> Option<SyntheticPlan> {
        match self {
            Synthetic::Off => None,
            Synthetic::On { paths, interval_ms, below_requests_per_minute } => Some(SyntheticPlan {
                paths: paths.clone().unwrap_or(plan.paths),
                interval_ms: interval_ms.unwrap_or(plan.interval_ms),
                below_requests_per_minute: below_requests_per_minute.unwrap_or(plan.below_requests_per_minute),
            }),
        }
    }
}

/// The keys at each place, as the schema has them.
#[cfg(test)]
pub const KEYS: &[(&str, &[&str])] = &[
    ("", ROOT),
    ("container", container::CONTAINER),
    ("health", &["startup", "ready", "live"]),
    ("health.*", PROBE),
    ("smoke.*", SMOKE),
    ("strategy", strategy::STRATEGY),
    ("strategy.canary", strategy::CANARY),
    ("strategy.blueGreen", strategy::BLUE_GREEN),
    ("strategy.rollingUpdate", strategy::ROLLING_UPDATE),
    ("strategy.canary.steps.*", strategy::STEP),
    ("limits", LIMITS),
    ("watch", watch::WATCH),
    ("watch.rules.*", watch::WATCH_RULE),
    ("judge", JUDGE),
    ("synthetic", SYNTHETIC),
    ("gate", gate::GATE),
    ("gate.findings", gate::FINDINGS),
    ("gate.keys.*", gate::KEY),
    ("gate.benchmarks", gate::BENCHMARKS),
    ("gate.window", gate::WINDOW),
    ("gate.window.freezes.*", gate::PERIOD),
    ("gate.window.openings.*", gate::PERIOD),
    ("gate.approvals", gate::APPROVALS),
    ("gate.override", gate::OVERRIDE),
    ("gate.approvals.rules.*", gate::RULE),
    ("gate.slo", slo::SLO),
    ("gate.slo.objectives.*", slo::OBJECTIVE),
    ("gate.incidents", outside::INCIDENTS),
    ("gate.protection", outside::PROTECTION),
    ("gate.protection.require", outside::REQUIRE),
    ("gate.commits", gate::COMMITS),
    ("gate.checks.*", outside::CHECK),
    ("environments.*", environments::ENVIRONMENT),
    ("actions", ACTIONS),
    ("gitlab", GITLAB),
    ("workflows", workflows::WORKFLOWS),
    ("workflows.forbiddenUses", workflows::FORBIDDEN),
];

const ROOT: &[&str] = &[
    "apiVersion",
    "name",
    "artifact",
    "start",
    "port",
    "container",
    "replicas",
    "env",
    "health",
    "smoke",
    "strategy",
    "limits",
    "watch",
    "judge",
    "synthetic",
    "gate",
    "environments",
    "gitlab",
    "workflows",
    "deliver",
    "grace",
    "actions",
];
const PROBE: &[&str] = &["path", "delay", "period", "timeout", "failures"];
const SMOKE: &[&str] = &["path", "expect", "timeout"];
const LIMITS: &[&str] = &["ready", "stepMin", "stepMax", "onDeadline", "drain", "verify", "restarts"];
const JUDGE: &[&str] =
    &["alpha", "ratioMargin", "differenceMargin", "latencyQuantile", "latencyFactor", "latencySlack", "absoluteBadShare", "look"];
const SYNTHETIC_INTERVAL_MIN_MS: u64 = 10;
const SYNTHETIC: &[&str] = &["paths", "interval", "belowRequestsPerMinute"];
const ACTIONS: &[&str] = &["sources", "movedTags"];
const GITLAB: &[&str] = &["images", "mirrors"];

pub fn parse(source: &Source) -> (Config, Vec<Diagnostic>) {
    let (node, diagnostics) = yaml::parse(source);
    let mut reader = Reader { diagnostics };
    if node.is_none() && reader.diagnostics.is_empty() {
        reader.diagnostics.push(
            Diagnostic::error("config/missing-key", Span::default(), "the file is empty")
                .hint(format!("begin with `apiVersion: {API_VERSION}`, or remove the file")),
        );
    }
    let config = node.map(|node| reader.config(&node)).unwrap_or_default();
    (config, reader.diagnostics)
}

struct Reader {
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn config(&mut self, node: &Node) -> Config {
        let Some(root) = self.closed(node, ROOT) else { return Config::default() };
        match root.get("apiVersion") {
            None => self.diagnostics.push(
                Diagnostic::error("config/missing-key", node.span, "`apiVersion` is missing")
                    .hint(format!("begin with `apiVersion: {API_VERSION}`")),
            ),
            Some(version) if version.as_str() != Some(API_VERSION) => self.diagnostics.push(
                Diagnostic::error(VALUE, version.span, "this `apiVersion` is not known")
                    .hint(format!("this Plimsoll reads `{API_VERSION}`")),
            ),
            Some(_) => {}
        }
        let mut config = Config {
            name: self.at(root, "name", Self::name),
            artifact: self.at(root, "artifact", Self::text),
            start: self.at(root, "start", Self::text),
            port: self.at(root, "port", |reader, node| reader.whole(node, 1, 65_535)).map(|port| port as u16),
            container: self.at(root, "container", Self::container),
            replicas: self.at(root, "replicas", Self::replicas),
            env: self.at(root, "env", Self::env).unwrap_or_default(),
            health: self.at(root, "health", Self::health).unwrap_or_default(),
            smoke: self.at(root, "smoke", Self::smoke),
            strategy: self.at(root, "strategy", Self::strategy),
            scale_down_delay_ms: self.at(root, "strategy", Self::scale_down_delay),
            limits: self.at(root, "limits", Self::limits).unwrap_or_default(),
            watch: self.at(root, "watch", Self::watch),
            judge: self.at(root, "judge", Self::judge).unwrap_or_default(),
            synthetic: self.at(root, "synthetic", Self::synthetic),
            gate: self.at(root, "gate", |reader, node| reader.gate(node, &Gate::default())).unwrap_or_default(),
            environments: Environments::default(),
            places: BTreeMap::new(),
            gitlab: self.at(root, "gitlab", Self::gitlab).unwrap_or_default(),
            workflows: self.at(root, "workflows", Self::workflows).unwrap_or_default(),
            deliver_by_workflow: self.at(root, "deliver", Self::deliver).unwrap_or_default(),
            grace_ms: self.at(root, "grace", Self::duration),
            actions: self.at(root, "actions", Self::actions).unwrap_or_default(),
        };
        // Read last: who is in a team stands with the gate.
        let environments = self.at(root, "environments", |reader, node| reader.environments(node, &config.gate));
        (config.environments, config.places) = environments.unwrap_or_default();
        config
    }

    fn replicas(&mut self, node: &Node) -> Option<u32> {
        self.whole(node, 1, u64::from(rollout::defaults::REPLICAS_MAX)).map(|count| count as u32)
    }

    fn at<T>(&mut self, mapping: &Mapping, key: &str, read: impl FnOnce(&mut Reader, &Node) -> Option<T>) -> Option<T> {
        read(self, mapping.get(key)?)
    }

    /// A mapping that has none but these keys.
    fn closed<'a>(&mut self, node: &'a Node, known: &[&str]) -> Option<&'a Mapping> {
        let Some(mapping) = node.as_mapping() else {
            self.wrong(node, "a mapping");
            return None;
        };
        self.diagnostics.extend(mapping.unknown_keys(UNKNOWN, known));
        Some(mapping)
    }

    fn wrong(&mut self, node: &Node, wanted: &str) {
        self.diagnostics.push(Diagnostic::error(TYPE, node.span, format!("{wanted} is expected here, this is {}", node.kind())));
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        match node.as_str() {
            Some("") => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "this must not be empty"));
                None
            }
            Some(text) => Some(text.to_string()),
            None => {
                self.wrong(node, "a text");
                None
            }
        }
    }

    fn name(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node)?;
        let fits =
            name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') && !name.starts_with('-');
        if fits {
            return Some(name);
        }
        let message = format!("`{name}` can't be a host name, and the project is reached as `NAME.localhost`");
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("lower-case letters, digits and `-`, at most 40"));
        None
    }

    fn path(&mut self, node: &Node) -> Option<String> {
        let path = self.text(node)?;
        if path.starts_with('/') {
            return Some(path);
        }
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, "a path of a request begins with `/`").hint(format!("`/{path}`")));
        None
    }

    fn boolean(&mut self, node: &Node) -> Option<bool> {
        if node.as_bool().is_none() {
            self.wrong(node, "`true` or `false`");
        }
        node.as_bool()
    }

    fn whole(&mut self, node: &Node, least: u64, most: u64) -> Option<u64> {
        let Some(number) = node.as_number() else {
            self.wrong(node, "a whole number");
            return None;
        };
        if number.fract() == 0.0 && number >= least as f64 && number <= most as f64 {
            return Some(number as u64);
        }
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("a whole number from {least} to {most} is expected here")));
        None
    }

    fn number(&mut self, node: &Node, least: f64, most: f64) -> Option<f64> {
        let Some(number) = node.as_number() else {
            self.wrong(node, "a number");
            return None;
        };
        if number >= least && number <= most {
            return Some(number);
        }
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("a number from {least} to {most} is expected here")));
        None
    }

    /// The proxy sends none closer together, so asking for it is refused before anything starts.
    fn synthetic_interval(&mut self, node: &Node) -> Option<u64> {
        let interval_ms = self.duration(node)?;
        if interval_ms < SYNTHETIC_INTERVAL_MIN_MS {
            let message = format!("synthetic requests can't be closer together than {SYNTHETIC_INTERVAL_MIN_MS} ms");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        }
        Some(interval_ms)
    }

    fn duration(&mut self, node: &Node) -> Option<u64> {
        let text = match (node.as_str(), node.as_number()) {
            (Some(text), _) => text.to_string(),
            (None, Some(number)) => number.to_string(),
            _ => {
                self.wrong(node, "a length of time");
                return None;
            }
        };
        let duration = parse_duration_ms(&text);
        if duration.is_none() {
            let message = format!("`{text}` is not a length of time");
            self.diagnostics
                .push(Diagnostic::error(VALUE, node.span, message).hint("`500ms`, `15s`, `5m`, `1h30m`; a bare number is seconds"));
        }
        duration
    }

    fn list<T>(&mut self, node: &Node, read: impl Fn(&mut Reader, &Node) -> Option<T>) -> Option<Vec<T>> {
        let Some(items) = node.as_sequence() else {
            self.wrong(node, "a list");
            return None;
        };
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    fn env(&mut self, node: &Node) -> Option<BTreeMap<String, String>> {
        let Some(mapping) = node.as_mapping() else {
            self.wrong(node, "a mapping of names to texts");
            return None;
        };
        let mut env = BTreeMap::new();
        for (key, value) in mapping.iter() {
            if key.text == "PORT" {
                let message = "every instance is given a `PORT` of its own";
                let hint = "`port:` says where an application listens that ignores it";
                self.diagnostics.push(Diagnostic::error(VALUE, key.span, message).hint(hint));
            }
            match value.value() {
                yaml::Value::String(text) => env.insert(key.text.clone(), text.clone()),
                yaml::Value::Number(number) => env.insert(key.text.clone(), number.to_string()),
                yaml::Value::Bool(bool) => env.insert(key.text.clone(), bool.to_string()),
                _ => {
                    self.wrong(value, "a text");
                    None
                }
            };
        }
        Some(env)
    }

    fn gitlab(&mut self, node: &Node) -> Option<Gitlab> {
        let mapping = self.closed(node, GITLAB)?;
        let images = self.at(mapping, "images", |reader, node| match node.as_str() {
            Some("container") => Some(workflow::gitlab::Images::Container),
            Some("host") => Some(workflow::gitlab::Images::Host),
            Some("refuse") => Some(workflow::gitlab::Images::Refuse),
            _ => {
                reader.diagnostics.push(Diagnostic::error(VALUE, node.span, "`container`, `host` or `refuse` is expected here"));
                None
            }
        });
        Some(Gitlab { images, mirrors: self.at(mapping, "mirrors", Self::env).unwrap_or_default() })
    }

    fn health(&mut self, node: &Node) -> Option<Health> {
        if let Some(path) = node.as_str() {
            let hint = format!("`health: {{ready: {path}}}`");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`startup`, `ready` and `live` have a path each").hint(hint));
            return None;
        }
        let mapping = self.closed(node, &["startup", "ready", "live"])?;
        Some(Health {
            startup: self.at(mapping, "startup", Self::probe),
            ready: self.at(mapping, "ready", Self::probe),
            live: self.at(mapping, "live", Self::probe),
        })
    }

    /// A path, or a mapping that has one.
    fn probe(&mut self, node: &Node) -> Option<ProbeConfig> {
        if node.as_str().is_some() {
            return Some(ProbeConfig { path: self.path(node)?, ..ProbeConfig::default() });
        }
        let mapping = self.path_or(node, PROBE)?;
        let Some(path) = mapping.get("path") else {
            self.diagnostics.push(Diagnostic::error("config/missing-key", node.span, "a probe needs a `path`"));
            return None;
        };
        Some(ProbeConfig {
            path: self.path(path)?,
            delay_ms: self.at(mapping, "delay", Self::duration),
            period_ms: self.at(mapping, "period", Self::duration),
            timeout_ms: self.at(mapping, "timeout", Self::duration),
            failures: self.at(mapping, "failures", |reader, node| reader.whole(node, 1, 1000)).map(|count| count as u32),
        })
    }

    /// The mapping of what may be written as a path alone.
    fn path_or<'n>(&mut self, node: &'n Node, keys: &[&str]) -> Option<&'n Mapping> {
        if node.as_mapping().is_none() {
            self.wrong(node, "a path like `/healthz`, or a mapping with a `path`,");
            return None;
        }
        self.closed(node, keys)
    }

    fn smoke(&mut self, node: &Node) -> Option<Vec<SmokeCheck>> {
        self.list(node, Self::smoke_check)
    }

    fn smoke_check(&mut self, node: &Node) -> Option<SmokeCheck> {
        if node.as_str().is_some() {
            return Some(SmokeCheck { path: self.path(node)?, expect: vec![200], timeout_ms: SMOKE_TIMEOUT_MS });
        }
        let mapping = self.path_or(node, SMOKE)?;
        let Some(path) = mapping.get("path") else {
            self.diagnostics.push(Diagnostic::error("config/missing-key", node.span, "a smoke check needs a `path`"));
            return None;
        };
        let expect = self.at(mapping, "expect", |reader, node| match node.as_sequence() {
            Some(_) => reader.list(node, |reader, node| reader.whole(node, 100, 599)),
            None => reader.whole(node, 100, 599).map(|status| vec![status]),
        });
        Some(SmokeCheck {
            path: self.path(path)?,
            expect: expect.unwrap_or_else(|| vec![200]).into_iter().map(|status| status as u16).collect(),
            timeout_ms: self.at(mapping, "timeout", Self::duration).unwrap_or(SMOKE_TIMEOUT_MS),
        })
    }

    fn limits(&mut self, node: &Node) -> Option<LimitsConfig> {
        let mapping = self.closed(node, LIMITS)?;
        Some(LimitsConfig {
            ready_ms: self.at(mapping, "ready", Self::duration),
            step_min_ms: self.at(mapping, "stepMin", Self::duration),
            step_max_ms: self.at(mapping, "stepMax", Self::duration),
            deadline: self.at(mapping, "onDeadline", Self::deadline),
            drain_ms: self.at(mapping, "drain", Self::duration),
            verify_ms: self.at(mapping, "verify", Self::duration),
            restarts_max: self.at(mapping, "restarts", |reader, node| reader.whole(node, 0, 1000)).map(|count| count as u32),
        })
    }

    fn deadline(&mut self, node: &Node) -> Option<Deadline> {
        match node.as_str() {
            Some("hold") => Some(Deadline::Hold),
            Some("rollback") => Some(Deadline::Rollback),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`hold` or `rollback` is expected here"));
                None
            }
        }
    }

    fn judge(&mut self, node: &Node) -> Option<JudgeConfig> {
        let mapping = self.closed(node, JUDGE)?;
        let mut share = |key: &str, least: f64, most: f64| mapping.get(key).and_then(|node| self.number(node, least, most));
        Some(JudgeConfig {
            alpha: share("alpha", 0.000_001, 0.5),
            ratio_margin: share("ratioMargin", 0.01, 100.0),
            difference_margin: share("differenceMargin", 0.0001, 1.0),
            latency_quantile: share("latencyQuantile", 0.5, 0.999),
            latency_factor: share("latencyFactor", 1.0, 100.0),
            absolute_bad_share: share("absoluteBadShare", 0.0, 1.0),
            latency_slack_ms: self.at(mapping, "latencySlack", Self::duration),
            look_ms: self.at(mapping, "look", Self::duration),
        })
    }

    fn synthetic(&mut self, node: &Node) -> Option<Synthetic> {
        if node.as_bool() == Some(false) {
            return Some(Synthetic::Off);
        }
        let mapping = self.closed(node, SYNTHETIC)?;
        Some(Synthetic::On {
            paths: self.at(mapping, "paths", |reader, node| reader.list(node, Self::path)),
            interval_ms: self.at(mapping, "interval", Self::synthetic_interval),
            below_requests_per_minute: self.at(mapping, "belowRequestsPerMinute", |reader, node| reader.whole(node, 0, 1_000_000_000)),
        })
    }

    fn actions(&mut self, node: &Node) -> Option<Actions> {
        let mapping = self.closed(node, ACTIONS)?;
        Some(Actions {
            sources: self.at(mapping, "sources", |reader, node| reader.list(node, Self::source)),
            moved: self.at(mapping, "movedTags", Self::moved),
        })
    }

    fn source(&mut self, node: &Node) -> Option<String> {
        let template = self.text(node)?;
        let Some(complaint) = host::actions::Sources::complaint(&template) else { return Some(template) };
        let message = format!("actions can't be fetched from `{template}`: {complaint}");
        self.diagnostics
            .push(Diagnostic::error(VALUE, node.span, message).hint("`https://github.com/{repo}`, `file:///srv/mirror/{repo}.git`"));
        None
    }

    fn moved(&mut self, node: &Node) -> Option<host::actions::Moved> {
        match node.as_str() {
            Some("refuse") => Some(host::actions::Moved::Refuse),
            Some("keep") => Some(host::actions::Moved::Keep),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`refuse` or `keep` is expected here"));
                None
            }
        }
    }

    fn deliver(&mut self, node: &Node) -> Option<bool> {
        match node.as_str() {
            Some("workflow") => Some(true),
            Some("plimsoll") => Some(false),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`workflow` or `plimsoll` is expected here"));
                None
            }
        }
    }
}

/// A smoke check answers within this, unless its file says otherwise.
const SMOKE_TIMEOUT_MS: u64 = 10_000;

#[cfg(test)]
mod tests;
