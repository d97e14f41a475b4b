use base::name::nearest;
use base::time::parse_duration_ms;
use base::{Diagnostic, Digest, Span};

use super::TRANSCRIPT_MARK;
use crate::{
    Amount, Command, Deadline, InstancePhase, JudgePlan, Limits, Plan, Revision, RevisionId, SmokeCheck, Step, Strategy, SyntheticPlan,
};

#[derive(Debug, Clone)]
pub(super) struct Script {
    pub plan: Plan,
    /// From start to ready; nothing: never.
    pub boot_ms: Option<u64>,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub at_ms: u64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// One instance of a revision, or all.
    Instance {
        revision: RevisionId,
        index: Option<u32>,
        phase: InstancePhase,
        restarts: Option<u32>,
        message: Option<String>,
    },
    Target(bool),
    Router(RouterMood),
    /// The counters begin again.
    Epoch(String),
    Traffic(Traffic),
    /// Counters as they were read, for a record.
    Counts {
        revision: RevisionId,
        requests: u64,
        bad: u64,
        slow: u64,
    },
    InFlight {
        revision: RevisionId,
        requests: u64,
    },
    SmokeFails(String),
    /// Why nothing may move forward, or that it may again.
    Closed(Option<String>),
    Command {
        command: Command,
        by: String,
    },
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouterMood {
    Obeys,
    Refuses,
    Unknown,
    /// Somebody else routed with this generation.
    Taken(u64),
}

/// Shares are of the requests to each version; the canary's are the stable's unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Traffic {
    pub per_minute: f64,
    pub bad: f64,
    pub canary_bad: f64,
    pub slow: f64,
    pub canary_slow: f64,
}

pub(super) fn parse(text: &str) -> (Script, Vec<Diagnostic>) {
    let mut parser = Parser { script: Script { plan: default_plan(), boot_ms: Some(2_000), lines: Vec::new() }, diagnostics: Vec::new() };
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        if raw.trim_end() == TRANSCRIPT_MARK {
            break;
        }
        let line = raw.split('#').next().unwrap_or_default();
        let start = offset + (line.len() - line.trim_start().len());
        parser.line(line.trim(), Span::new(start, start + line.trim().len()));
        offset += raw.len();
    }
    (parser.script, parser.diagnostics)
}

fn default_plan() -> Plan {
    let revision = |name: &str| Revision { id: RevisionId(name.to_string()), artifact: Digest::of(name.as_bytes()) };
    Plan {
        revision: revision("new"),
        stable: Some(revision("old")),
        strategy: Strategy::default_canary(),
        replicas: 1,
        stable_replicas: None,
        generation_base: 0,
        limits: Limits::default(),
        judge: JudgePlan::default(),
        smoke: Vec::new(),
        synthetic: None,
    }
}

struct Parser {
    script: Script,
    diagnostics: Vec<Diagnostic>,
}

/// What was expected in place of what is there.
type Expected = &'static str;

const SETTINGS: [&str; 20] = [
    "stable",
    "strategy",
    "replicas",
    "generation",
    "boot",
    "ready",
    "step_min",
    "step_max",
    "deadline",
    "route",
    "drain",
    "warm",
    "verify",
    "restarts",
    "look",
    "alpha",
    "smoke",
    "synthetic",
    "absolute_bad",
    "difference",
];
const SEEN: [&str; 15] = [
    "new",
    "old",
    "target",
    "router",
    "epoch",
    "traffic",
    "counts",
    "in_flight",
    "smoke",
    "closed",
    "open",
    "promote",
    "pause",
    "resume",
    "end",
];

impl Parser {
    fn line(&mut self, line: &str, span: Span) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let res = match words.as_slice() {
            [] => Ok(()),
            ["set", setting, values @ ..] => self.set(setting, values),
            [at, what @ ..] => self.seen(at, what),
        };
        if let Err(expected) = res {
            let mut diagnostic = Diagnostic::error("script/unreadable-line", span, format!("this line can't be read: expected {expected}"));
            let typed = words.get(1).copied().unwrap_or_default();
            let known = if words.first() == Some(&"set") { &SETTINGS[..] } else { &SEEN[..] };
            if let Some(near) = nearest(typed, known.iter().copied()).filter(|near| *near != typed) {
                diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
            }
            self.diagnostics.push(diagnostic);
        }
    }

    fn set(&mut self, setting: &str, values: &[&str]) -> Result<(), Expected> {
        let plan = &mut self.script.plan;
        let [value, ..] = values else { return Err("a value after the setting") };
        match setting {
            "stable" if *value == "none" => plan.stable = None,
            "stable" => plan.stable_replicas = Some(number(value)?),
            "strategy" => plan.strategy = strategy(values)?,
            "replicas" => plan.replicas = number(value)?,
            "generation" => plan.generation_base = number(value)?,
            "boot" if *value == "never" => self.script.boot_ms = None,
            "boot" => self.script.boot_ms = Some(duration(value)?),
            "ready" => plan.limits.ready_ms = duration(value)?,
            "step_min" => plan.limits.step_min_ms = duration(value)?,
            "step_max" => plan.limits.step_max_ms = duration(value)?,
            "deadline" => plan.limits.deadline = deadline(value)?,
            "route" => plan.limits.route_ms = duration(value)?,
            "drain" => plan.limits.drain_ms = duration(value)?,
            "warm" => plan.limits.warm_ms = duration(value)?,
            "verify" => plan.limits.verify_ms = duration(value)?,
            "restarts" => plan.limits.restarts_max = number(value)?,
            "look" => plan.judge.look_ms = duration(value)?,
            "alpha" => plan.judge.alpha = share(value)?,
            "absolute_bad" => plan.judge.absolute_bad_share = share(value)?,
            "difference" => plan.judge.difference_margin = share(value)?,
            "smoke" => plan.smoke.push(SmokeCheck { path: (*value).to_string(), expect: vec![200], timeout_ms: 5_000 }),
            "synthetic" => plan.synthetic = Some(SyntheticPlan { interval_ms: duration(value)?, ..SyntheticPlan::default() }),
            _ => return Err("a setting: stable none, strategy, replicas, ready, step_min, step_max, deadline …"),
        }
        Ok(())
    }

    fn seen(&mut self, at: &str, what: &[&str]) -> Result<(), Expected> {
        let at_ms = parse_duration_ms(at).ok_or("`set` or a time such as `1m30s` first")?;
        if self.script.lines.last().is_some_and(|last| last.at_ms > at_ms) {
            return Err("times that don't go backwards");
        }
        let what = seen(what)?;
        self.script.lines.push(Line { at_ms, what });
        Ok(())
    }
}

fn seen(what: &[&str]) -> Result<What, Expected> {
    match what {
        ["target", "unknown"] => Ok(What::Target(false)),
        ["target", "known"] => Ok(What::Target(true)),
        ["router", "obeys"] => Ok(What::Router(RouterMood::Obeys)),
        ["router", "refuses"] => Ok(What::Router(RouterMood::Refuses)),
        ["router", "unknown"] => Ok(What::Router(RouterMood::Unknown)),
        ["router", "generation", generation] => Ok(What::Router(RouterMood::Taken(number(generation)?))),
        ["epoch", name] => Ok(What::Epoch((*name).to_string())),
        ["traffic", per_minute, shares @ ..] => traffic(per_minute, shares),
        ["counts", revision, requests, "bad", bad, "slow", slow] => {
            Ok(What::Counts { revision: named(revision)?, requests: number(requests)?, bad: number(bad)?, slow: number(slow)? })
        }
        ["in_flight", revision, requests] => Ok(What::InFlight { revision: named(revision)?, requests: number(requests)? }),
        ["smoke", "fails", message @ ..] => Ok(What::SmokeFails(message.join(" "))),
        ["closed", why @ ..] => Ok(What::Closed(Some(why.join(" ")))),
        ["open"] => Ok(What::Closed(None)),
        ["promote", "full", by @ ..] => Ok(command(Command::Promote { full: true }, by)),
        ["promote", by @ ..] => Ok(command(Command::Promote { full: false }, by)),
        ["pause", by @ ..] => Ok(command(Command::Pause, by)),
        ["resume", by @ ..] => Ok(command(Command::Resume, by)),
        ["abort", by @ ..] => Ok(command(Command::Abort, by)),
        ["end"] => Ok(What::End),
        [instance, phase, rest @ ..] => seen_instance(instance, phase, rest),
        _ => Err("what is seen: an instance, `target`, `router`, `traffic`, `counts`, `epoch`, a command or `end`"),
    }
}

/// `new/0 not_ready restarts=2 GET /health answered 503`.
fn seen_instance(instance: &str, phase: &str, rest: &[&str]) -> Result<What, Expected> {
    let (revision, index) = instance.split_once('/').map_or((instance, None), |(revision, index)| (revision, Some(index)));
    let revision = named(revision)?;
    let index = index.map(number).transpose()?;
    let phase = match phase {
        "starting" => InstancePhase::Starting,
        "ready" => InstancePhase::Ready,
        "not_ready" => InstancePhase::NotReady,
        "backing_off" => InstancePhase::BackingOff,
        "stopped" => InstancePhase::Stopped,
        _ => return Err("a phase: starting, ready, not_ready, backing_off or stopped"),
    };
    let restarts = rest.first().and_then(|word| word.strip_prefix("restarts=")).map(number).transpose()?;
    let message = rest[usize::from(restarts.is_some())..].join(" ");
    Ok(What::Instance { revision, index, phase, restarts, message: (!message.is_empty()).then_some(message) })
}

/// `2000/min bad 0.5% canary-bad 5% slow 1% canary-slow 20%`.
fn traffic(per_minute: &str, shares: &[&str]) -> Result<What, Expected> {
    let per_minute = per_minute.strip_suffix("/min").unwrap_or(per_minute).parse().map_err(|_| "requests such as `2000/min`")?;
    let mut traffic = Traffic { per_minute, ..Traffic::default() };
    for pair in shares.chunks(2) {
        let [name, value] = pair else { return Err("a share after each of bad, canary-bad, slow, canary-slow") };
        let value = share(value)?;
        match *name {
            "bad" => (traffic.bad, traffic.canary_bad) = (value, value),
            "canary-bad" => traffic.canary_bad = value,
            "slow" => (traffic.slow, traffic.canary_slow) = (value, value),
            "canary-slow" => traffic.canary_slow = value,
            _ => return Err("bad, canary-bad, slow or canary-slow"),
        }
    }
    Ok(What::Traffic(traffic))
}

/// `canary 10% pause 1m 50%`, `canary 10% pause`, `blue-green 30s`, `blue-green`, `rolling`, `rolling 25% 1`, `immediate`.
fn strategy(values: &[&str]) -> Result<Strategy, Expected> {
    let rest = match values {
        ["canary", rest @ ..] => rest,
        ["immediate"] => return Ok(Strategy::Immediate),
        ["blue-green"] => return Ok(Strategy::BlueGreen { auto_promotion_ms: None }),
        ["rolling"] => return Ok(Strategy::default_rolling_update()),
        ["rolling", surge, unavailable] => {
            return Ok(Strategy::RollingUpdate { max_surge: amount(surge)?, max_unavailable: amount(unavailable)? });
        }
        ["blue-green", after] => return Ok(Strategy::BlueGreen { auto_promotion_ms: Some(duration(after)?) }),
        _ => return Err("`immediate`, `rolling`, `rolling 25% 1`, `blue-green 30s` or `canary 10% 50%`"),
    };
    let mut steps: Vec<Step> = Vec::new();
    for word in rest {
        match (*word, parse_duration_ms(word), steps.last_mut()) {
            ("pause", ..) => steps.push(Step::Pause { duration_ms: None }),
            (_, Some(ms), Some(Step::Pause { duration_ms })) => *duration_ms = Some(ms),
            _ => steps.push(Step::SetWeight((share(word)? * 10_000.0).round() as u32)),
        }
    }
    Ok(Strategy::Canary { steps })
}

/// `25%`, `1`.
fn amount(word: &str) -> Result<Amount, Expected> {
    match word.strip_suffix('%') {
        Some(percent) => number(percent).map(Amount::Percent),
        None => number(word).map(Amount::Count),
    }
}

fn command(command: Command, by: &[&str]) -> What {
    What::Command { command, by: if by.is_empty() { "ana".to_string() } else { by.join(" ") } }
}

fn named(revision: &str) -> Result<RevisionId, Expected> {
    if ["new", "old"].contains(&revision) { Ok(RevisionId(revision.to_string())) } else { Err("a revision: new or old") }
}

fn deadline(word: &str) -> Result<Deadline, Expected> {
    match word {
        "hold" => Ok(Deadline::Hold),
        "rollback" => Ok(Deadline::Rollback),
        _ => Err("hold or rollback"),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, Expected> {
    word.parse().map_err(|_| "a number")
}

fn duration(word: &str) -> Result<u64, Expected> {
    parse_duration_ms(word).ok_or("a length of time such as `15s`")
}

fn share(word: &str) -> Result<f64, Expected> {
    let percent: f64 = word.strip_suffix('%').ok_or("a share such as `0.5%`")?.parse().map_err(|_| "a share such as `0.5%`")?;
    if (0.0..=100.0).contains(&percent) { Ok(percent / 100.0) } else { Err("a share from 0% to 100%") }
}
