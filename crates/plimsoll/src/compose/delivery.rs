//! How the artifact runs and how traffic moves to it, from the configuration and the command line.

use clap::ValueEnum as _;
use release::Delivery;
use rollout::watch::WatchPlan;
use rollout::{Amount, JudgePlan, Limits, Probe, Probes, SmokeCheck, Strategy, SyntheticPlan};

use super::Choices;
use crate::cli::StrategyChoice;
use crate::config::{self, Config};
use crate::failure::Failure;

/// What `docs/config.md` calls the defaults is what an empty file gives here.
pub fn delivery(config: &Config, command: String, choices: &Choices) -> Delivery {
    let smoke = config.smoke.clone().unwrap_or_default();
    let synthetic = SyntheticPlan {
        paths: if smoke.is_empty() { vec!["/".to_string()] } else { smoke.iter().map(|check: &SmokeCheck| check.path.clone()).collect() },
        interval_ms: SYNTHETIC_INTERVAL_MS,
        below_requests_per_minute: SYNTHETIC_BELOW,
    };
    Delivery {
        port: choices.port.unwrap_or(0),
        command,
        env: config.env.clone(),
        // Inside of a container every instance has it.
        fixed_port: config.port.filter(|_| config.container.is_none()),
        replicas: config.replicas.unwrap_or(1),
        probes: probes(config),
        grace_ms: config.grace_ms.unwrap_or(GRACE_MS),
        log_max_bytes: LOG_MAX_BYTES,
        container: None,
        strategy: strategy(config, choices.strategy),
        limits: limits(config, choices.strategy),
        judge: config.judge.over(JudgePlan::default()),
        smoke,
        watch: config.watch.clone().unwrap_or_else(|| Some(WatchPlan::default())),
        synthetic: config.synthetic.as_ref().map_or(Some(synthetic.clone()), |configured| configured.over(synthetic)),
    }
}

fn strategy(config: &Config, choice: Option<StrategyChoice>) -> Strategy {
    // Two of it can't have its one port.
    let by_itself = || if config.port.is_some() && config.container.is_none() { IN_PLACE } else { Strategy::default_canary() };
    let configured = config.strategy.clone().unwrap_or_else(by_itself);
    let name = choice.and_then(|choice| choice.to_possible_value());
    name.and_then(|name| Strategy::named(name.get_name(), &configured)).unwrap_or(configured)
}

const IN_PLACE: Strategy = Strategy::RollingUpdate { max_surge: Amount::Count(0), max_unavailable: Amount::Count(1) };

/// What can't be where an application has one port, whatever `PORT` says.
pub(super) fn crowded(delivery: &Delivery) -> Option<Failure> {
    let port = delivery.fixed_port?;
    let let_it = "let it listen on $PORT, which every instance has its own of, and leave `port` out";
    if delivery.port == port {
        let message = format!("`--port {port}` is where users come, and `port: {port}` is where the application listens itself");
        return Some(Failure::usage(message).hint("without `--port` a free one is found"));
    }
    if delivery.replicas > 1 {
        let message = format!("`port: {port}` has room for one instance, and `replicas` asks for {}", delivery.replicas);
        return Some(Failure::usage(message).hint(let_it));
    }
    let way = match &delivery.strategy {
        strategy if strategy.is_in_place(delivery.replicas) => return None,
        Strategy::RollingUpdate { .. } => "a rolling update with `maxSurge`",
        Strategy::Canary { .. } => "a canary",
        Strategy::BlueGreen { .. } => "blue-green",
        Strategy::Immediate => "`immediate`",
    };
    let message = format!("`port: {port}` has room for one version, and {way} starts the next one beside it");
    Some(Failure::usage(message).hint("without `strategy` one is replaced by the other in its place").hint(let_it))
}

fn limits(config: &Config, choice: Option<StrategyChoice>) -> Limits {
    let strategy = strategy(config, choice);
    let warm_ms = match strategy {
        Strategy::BlueGreen { .. } | Strategy::Canary { .. } => config.scale_down_delay_ms.unwrap_or(strategy.default_warm_ms()),
        Strategy::RollingUpdate { .. } | Strategy::Immediate => strategy.default_warm_ms(),
    };
    config.limits.over(Limits { warm_ms, ..Limits::default() })
}

fn probes(config: &Config) -> Probes {
    let base = |period_ms, failures_max| Probe { path: None, delay_ms: 0, period_ms, timeout_ms: 3_000, failures_max };
    let ready = config.health.ready.as_ref();
    let over = |own: Option<&config::ProbeConfig>, probe: Probe| match own.or(ready) {
        Some(configured) => configured.over(probe),
        None => probe,
    };
    Probes {
        startup: over(config.health.startup.as_ref(), base(200, 300)),
        readiness: over(ready, base(2_000, 3)),
        liveness: over(config.health.live.as_ref(), base(10_000, 3)),
    }
}

/// Twenty a second to each version: about 459 clean answers prove "not worse by a percentage point", in 23 seconds.
const SYNTHETIC_INTERVAL_MS: u64 = 50;

/// A canary with fewer users' requests a minute than this is helped by probes.
const SYNTHETIC_BELOW: u64 = 600;

/// Kubernetes' own default between SIGTERM and SIGKILL.
const GRACE_MS: u64 = 30_000;

/// Per instance.
const LOG_MAX_BYTES: u64 = 10 * 1024 * 1024;
