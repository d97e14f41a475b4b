use base::Timestamp;
use base::time::format_duration_ms;
use serde::{Deserialize, Serialize};

use crate::judge::Question;
use crate::plan::RevisionId;

/// Why nothing moves, and when it is looked at again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    #[serde(flatten)]
    pub on: WaitingOn,
    /// Looked at again at the latest then; changes of the world wake it earlier.
    pub next: Timestamp,
}

/// Each with who or what can unblock it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum WaitingOn {
    Instances {
        revision: RevisionId,
        ready: u32,
        wanted: u32,
        message: Option<String>,
        until: Timestamp,
    },
    TargetUnknown,
    StableUnready {
        revision: RevisionId,
    },
    Router {
        /// The new revision's share, as decided.
        weight: u32,
        until: Timestamp,
    },
    RouterUnknown,
    Superseded,
    StepMinimum {
        step: usize,
        steps: usize,
        weight: u32,
        until: Timestamp,
    },
    Evidence {
        step: usize,
        steps: usize,
        weight: u32,
        open: Vec<Question>,
        forecast_ms: Option<u64>,
        until: Timestamp,
    },
    /// The deadline has passed, the plan says hold.
    Held {
        step: usize,
        steps: usize,
        weight: u32,
        open: Vec<Question>,
        forecast_ms: Option<u64>,
        /// The plan has no probes, which could prove what users are too few for.
        without_probes: bool,
    },
    BothBad {
        canary: f64,
        stable: f64,
    },
    CanaryUnready {
        ready: u32,
        wanted: u32,
        until: Timestamp,
    },
    Paused {
        by: String,
    },
    PlannedPause {
        step: usize,
        steps: usize,
        until: Option<Timestamp>,
    },
    Smoke {
        revision: RevisionId,
    },
    StayingReady {
        until: Timestamp,
    },
    Draining {
        revision: RevisionId,
        in_flight: Option<u64>,
        until: Timestamp,
    },
    Stopping {
        revision: RevisionId,
        left: u32,
    },
    StableGone {
        revision: RevisionId,
        until: Timestamp,
    },
}

impl Waiting {
    pub fn sentence(&self) -> String {
        format!("{}; looked at again at {}", self.on.sentence(), clock(self.next))
    }
}

impl WaitingOn {
    /// What, and who or what can unblock it. No wildcard here: a state without a sentence does not compile.
    pub fn sentence(&self) -> String {
        match self {
            WaitingOn::Instances { revision, ready, wanted, message, until } => {
                let last = message.as_ref().map_or(String::new(), |message| format!(" (last: {message})"));
                format!("{ready} of {wanted} instances of {revision} are ready{last}; given up at {}", clock(*until))
            }
            WaitingOn::TargetUnknown => {
                "what runs is unknown, the target can't be asked; nothing moves forward until it answers or somebody aborts".to_string()
            }
            WaitingOn::StableUnready { revision } => {
                format!(
                    "the stable revision {revision} has no ready instance, nobody can be blamed; goes on when it is ready again, or `plimsoll release promote`"
                )
            }
            WaitingOn::Router { weight: 0, until } => {
                format!("the router has not moved all traffic back yet; it is told again, given up at {}", clock(*until))
            }
            WaitingOn::Router { weight, until } => {
                let (weight, until) = (percent(*weight), clock(*until));
                format!("the router does not send {weight} of the traffic to the new revision yet; it is told again, given up at {until}")
            }
            WaitingOn::RouterUnknown => {
                "the router can't be asked, nothing is promoted on what nobody saw; it is told again until it answers".to_string()
            }
            WaitingOn::Superseded => {
                "the router follows a newer release than this one; only `plimsoll release abort` can end this one".to_string()
            }
            WaitingOn::StepMinimum { step, steps, weight, until } => {
                format!("{} lasts until {} at least", at_step(*step, *steps, *weight), clock(*until))
            }
            WaitingOn::Evidence { step, steps, weight, open, forecast_ms, until } => {
                let (at, open) = (at_step(*step, *steps, *weight), join_questions(open));
                format!("{at}: not enough evidence on {open}; {}; decided at {} at the latest", forecast(*forecast_ms), clock(*until))
            }
            WaitingOn::Held { step, steps, weight, open, forecast_ms, without_probes } => {
                let (at, open) = (at_step(*step, *steps, *weight), join_questions(open));
                let probes = if *without_probes { "; `synthetic:` in plimsoll.yaml proves it sooner the next time" } else { "" };
                format!(
                    "{at}: held, its time ran out without proof on {open}; goes on by itself when there is one ({}), or by `plimsoll release promote`; `abort` goes back{probes}",
                    forecast(*forecast_ms)
                )
            }
            WaitingOn::BothBad { canary, stable } => {
                let (canary, stable) = (share(*canary), share(*stable));
                format!(
                    "both versions fail (canary {canary}, stable {stable} in the last minute), nobody can be blamed; held until stable recovers, or `plimsoll release promote` or `abort`"
                )
            }
            WaitingOn::CanaryUnready { ready, wanted, until } => {
                format!(
                    "only {ready} of {wanted} instances of the new revision are ready; taken back at {} unless they recover",
                    clock(*until)
                )
            }
            WaitingOn::Paused { by } => format!("paused by {by}; `plimsoll release resume` goes on, a worse canary is still taken back"),
            WaitingOn::PlannedPause { step, steps, until: Some(until) } => {
                format!("step {} of {steps} is a pause until {}; `plimsoll release promote` skips it", step + 1, clock(*until))
            }
            WaitingOn::PlannedPause { step, steps, until: None } => {
                format!("step {} of {steps} is a pause until somebody says `plimsoll release resume`", step + 1)
            }
            WaitingOn::Smoke { revision } => format!("smoke checks of {revision} are running"),
            WaitingOn::StayingReady { until } => {
                format!("all traffic is on the new revision, which must stay ready until {}", clock(*until))
            }
            WaitingOn::Draining { revision, in_flight: Some(in_flight), until } => {
                format!(
                    "{in_flight} requests are still in flight on {revision}; stopped when they are done, at {} at the latest",
                    clock(*until)
                )
            }
            WaitingOn::Draining { revision, in_flight: None, until } => {
                format!("how many requests are in flight on {revision} is unknown; stopped at {}", clock(*until))
            }
            WaitingOn::Stopping { revision, left } => {
                format!("{revision} is stopping, instances left: {left}; told again until none is")
            }
            WaitingOn::StableGone { revision, until } => {
                format!("{revision} has no ready instance to take the traffic back; start it, given up at {}", clock(*until))
            }
        }
    }
}

/// `10 %`, `0.5 %`, of a weight in 0.01 %.
pub(crate) fn percent(weight: u32) -> String {
    let text = format!("{:.2}", f64::from(weight) / 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

pub(crate) fn join_questions(open: &[Question]) -> String {
    let mut words: Vec<&str> = open.iter().map(|question| question.words()).collect();
    words.dedup();
    if words.is_empty() { "nothing".to_string() } else { words.join(" and ") }
}

fn at_step(step: usize, steps: usize, weight: u32) -> String {
    format!("step {} of {steps}, {}", step + 1, percent(weight))
}

fn forecast(forecast_ms: Option<u64>) -> String {
    match forecast_ms {
        None => "no forecast yet at this traffic".to_string(),
        Some(ms @ 0..60_000) => format!("needs about {} more at this traffic", format_duration_ms(ms.div_ceil(1_000).max(1) * 1_000)),
        Some(ms) => format!("needs about {} more minutes at this traffic", ms.div_ceil(60_000)),
    }
}

pub(crate) fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Hours, minutes, seconds in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_string()
}
