use base::Timestamp;
use base::time::format_duration_ms;
use serde::{Deserialize, Serialize};

use crate::judge::{Metric, Question, Stream};
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
    /// It answers, and has not accepted the last order.
    Target,
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
        /// The plan holds then, and does not go back.
        #[serde(default)]
        holds: bool,
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
    /// Nothing moves forward now.
    Closed {
        why: String,
    },
    PlannedPause {
        step: usize,
        steps: usize,
        until: Option<Timestamp>,
    },
    Smoke {
        revision: RevisionId,
    },
    /// The router doesn't know yet where the new revision, which gets no traffic, can be reached.
    PreviewRoute {
        until: Timestamp,
    },
    /// The new revision is ready and checked, beside the old one and without traffic.
    Preview {
        revision: RevisionId,
        /// When all traffic moves; nothing: when somebody says so.
        until: Option<Timestamp>,
    },
    StayingReady {
        until: Timestamp,
    },
    /// A rolling update's traffic goes to what is ready, and the router has an older idea of it.
    RouterFollows {
        until: Timestamp,
    },
    /// All instances of the new revision are ready, and the old one was not looked at yet.
    FirstLook {
        until: Timestamp,
    },
    /// Some instances get no more requests, and finish those they have.
    Leaving {
        revision: RevisionId,
        count: u32,
        in_flight: Option<u64>,
        until: Timestamp,
    },
    /// They have finished, and are on their way out.
    Ending {
        revision: RevisionId,
        count: u32,
    },
    /// Instances of the old revision that are not ready are in the way of those that could leave.
    OldUnready {
        revision: RevisionId,
        ready: u32,
        wanted: u32,
        /// So many of both revisions must be ready.
        least: u32,
    },
    /// On the way back.
    StartedAgain {
        revision: RevisionId,
        ready: u32,
        wanted: u32,
        until: Timestamp,
    },
    /// Verified; the old revision is kept running for a while.
    Warm {
        revision: RevisionId,
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
    /// What it waits for, and until when at the latest. When it is looked at again is nobody's business but the engine's.
    pub fn sentence(&self) -> String {
        self.on.sentence(self.next)
    }
}

impl WaitingOn {
    /// What, and who or what can unblock it; `near` tells which times need their day. No wildcard here: a state without a sentence
    /// does not compile.
    pub fn sentence(&self, near: Timestamp) -> String {
        let clock = |at: &Timestamp| at.clock(near);
        match self {
            WaitingOn::Instances { revision, ready, wanted, message, until } => {
                let last = message.as_ref().map_or(String::new(), |message| format!(" (last: {message})"));
                match wanted {
                    1 => format!("the instance of {revision} is not ready yet{last}; given up at {}", clock(until)),
                    _ => format!("{ready} of {wanted} instances of {revision} are ready{last}; given up at {}", clock(until)),
                }
            }
            WaitingOn::Target => "the target has not taken the last order about instances yet; goes on when it has".to_string(),
            WaitingOn::TargetUnknown => "what runs is unknown, the target can't be asked; goes on when it answers".to_string(),
            WaitingOn::StableUnready { revision } => {
                format!(
                    "the stable revision {revision} has no ready instance, nobody can be blamed; goes on when it is ready again, or `plimsoll release promote`"
                )
            }
            WaitingOn::Router { weight: 0, until } => {
                format!("the router has not moved all traffic back yet; given up at {}", clock(until))
            }
            WaitingOn::Router { weight, until } => {
                format!(
                    "the router does not send {} of the traffic to the new revision yet; given up at {}",
                    percent(*weight),
                    clock(until)
                )
            }
            WaitingOn::RouterUnknown => {
                "the router can't be asked; nothing is promoted on what nobody saw, goes on when it answers".to_string()
            }
            WaitingOn::Superseded => {
                "the router follows a newer release than this one; only `plimsoll release abort` can end this one".to_string()
            }
            WaitingOn::StepMinimum { step, steps, weight, until } => {
                format!("{}: lasts until {} at least", at_step(*step, *steps, *weight), clock(until))
            }
            WaitingOn::Evidence { step, steps, weight, open, forecast_ms, until, holds } => {
                let (at, open) = (at_step(*step, *steps, *weight), join_questions(open));
                let forecast = forecast(*forecast_ms).map_or(String::new(), |about| format!("{about}, "));
                let then = if *holds { "held" } else { "taken back" };
                format!("{at}: needs proof on {open}; {forecast}{then} from {} on without it", clock(until))
            }
            WaitingOn::Held { step, steps, weight, open, forecast_ms, without_probes } => {
                let (at, open) = (at_step(*step, *steps, *weight), join_questions(open));
                let probes = if *without_probes { "; `synthetic:` in plimsoll.yaml proves it sooner the next time" } else { "" };
                let forecast = forecast(*forecast_ms).map_or(String::new(), |about| format!(" ({about})"));
                format!(
                    "{at}: held, its time ran out without proof on {open}; goes on when there is one{forecast}, or by `plimsoll release promote`; `plimsoll release abort` goes back{probes}"
                )
            }
            WaitingOn::BothBad { canary, stable } => {
                let (canary, stable) = (share(*canary), share(*stable));
                format!(
                    "both versions fail (canary {canary}, stable {stable} in the last minute), nobody can be blamed; held until stable recovers, or `plimsoll release promote` or `plimsoll release abort`"
                )
            }
            WaitingOn::CanaryUnready { wanted: 1, until, .. } => {
                format!("the instance of the new revision is not ready; taken back at {} unless it recovers", clock(until))
            }
            WaitingOn::CanaryUnready { ready, wanted, until } => {
                format!(
                    "only {ready} of {wanted} instances of the new revision are ready; taken back at {} unless they recover",
                    clock(until)
                )
            }
            WaitingOn::Paused { by } => format!("paused by {by}; `plimsoll release resume` goes on, a worse version is still taken back"),
            WaitingOn::Closed { why } => format!("nothing moves forward, the environment is {why}; `plimsoll release abort` goes back"),
            WaitingOn::PlannedPause { step, steps, until: Some(until) } => {
                format!("step {} of {steps} is a pause until {}; `plimsoll release promote` skips it", step + 1, clock(until))
            }
            WaitingOn::PlannedPause { step, steps, until: None } => {
                format!("step {} of {steps} is a pause until somebody says `plimsoll release resume`", step + 1)
            }
            WaitingOn::PreviewRoute { until } => {
                format!("the router does not know the new revision yet; given up at {}", clock(until))
            }
            WaitingOn::Preview { revision, until: Some(until) } => {
                format!("{revision} runs beside the old version, without traffic; all of it moves at {}", clock(until))
            }
            WaitingOn::Preview { revision, until: None } => {
                format!("{revision} runs beside the old version, without traffic; `plimsoll release promote` or `resume` moves all of it")
            }
            WaitingOn::Warm { revision, until } => {
                format!(
                    "verified; the old version {revision} is kept running until {}, `plimsoll release abort` goes back at once",
                    clock(until)
                )
            }
            WaitingOn::Smoke { revision } => format!("smoke checks of {revision} are running"),
            WaitingOn::RouterFollows { until } => {
                format!("the router does not send the traffic to the instances that are ready yet; given up at {}", clock(until))
            }
            WaitingOn::FirstLook { until } => {
                format!(
                    "all instances of the new revision are ready; all traffic moves at {}, once the old one was looked at",
                    clock(until)
                )
            }
            WaitingOn::Leaving { revision, count, in_flight, until } => {
                let (count, verb) = if *count == 1 { ("1 instance".to_string(), "gets") } else { (format!("{count} instances"), "get") };
                let open = in_flight.map_or(String::new(), |open| format!(" ({open} requests are in flight on {revision})"));
                format!("{count} of {revision} {verb} no more requests{open}; stopped at {} at the latest", clock(until))
            }
            WaitingOn::Ending { revision, count: 1 } => format!("1 instance of {revision} is stopping; goes on when it is gone"),
            WaitingOn::Ending { revision, count } => format!("{count} instances of {revision} are stopping; goes on when they are gone"),
            WaitingOn::OldUnready { revision, ready, wanted, least } => {
                format!(
                    "only {ready} of {wanted} instances of {revision} are ready, and no other may leave while {least} must be ready; goes on when they are, or without them once they count as lost; `plimsoll release promote --full` starts all new instances at once"
                )
            }
            WaitingOn::StartedAgain { revision, ready, wanted, until } => {
                format!(
                    "{revision} is started again: {ready} of {wanted} instances are ready, and get their part of the traffic; all of it goes back at {} at the latest",
                    clock(until)
                )
            }
            WaitingOn::StayingReady { until } => format!("all traffic is on the new revision; must stay ready until {}", clock(until)),
            WaitingOn::Draining { revision, in_flight: Some(in_flight), until } => {
                format!("{in_flight} requests are still in flight on {revision}; stopped at {} at the latest", clock(until))
            }
            WaitingOn::Draining { revision, in_flight: None, until } => {
                format!("how many requests are in flight on {revision} is unknown; stopped at {}", clock(until))
            }
            WaitingOn::Stopping { revision, left } => format!("{revision} is stopping, instances left: {left}"),
            WaitingOn::StableGone { revision, until } => {
                format!("{revision} has no ready instance to take the traffic back; start it, given up at {}", clock(until))
            }
        }
    }
}

/// `10 %`, `0.5 %`, of a weight in 0.01 %.
pub(crate) fn percent(weight: u32) -> String {
    let text = format!("{:.2}", f64::from(weight) / 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `errors and slow answers, slow answers to probes`: each once, users first.
pub(crate) fn join_questions(open: &[Question]) -> String {
    let of = |stream: Stream| {
        let asked = |metric: Metric| open.contains(&Question { stream, metric });
        let words = [(Metric::Errors, "errors"), (Metric::Slow, "slow answers")];
        words.into_iter().filter(|(metric, _)| asked(*metric)).map(|(_, word)| word).collect::<Vec<_>>().join(" and ")
    };
    match (of(Stream::Users), of(Stream::Synthetic)) {
        (users, probes) if users.is_empty() && probes.is_empty() => "nothing".to_string(),
        (users, probes) if probes.is_empty() => users,
        (users, probes) if users.is_empty() => format!("{probes} of synthetic probes"),
        (users, probes) if users == probes => format!("{users}, of users and synthetic probes"),
        (users, probes) => format!("{users}, and {probes} of synthetic probes"),
    }
}

fn at_step(step: usize, steps: usize, weight: u32) -> String {
    format!("step {} of {steps}, {}", step + 1, percent(weight))
}

/// At the traffic of the last looks; nothing where no proof is in sight.
fn forecast(forecast_ms: Option<u64>) -> Option<String> {
    forecast_ms.map(|ms| match ms {
        0..60_000 => format!("about {} more", format_duration_ms(ms.div_ceil(1_000).max(1) * 1_000)),
        _ => format!("about {} more minutes", ms.div_ceil(60_000)),
    })
}

pub(crate) fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
