//! What a file wants of a rollout, in the words of a [`crate::Plan`].

use base::counted;
use base::time::format_duration_ms;

use crate::plan::{Step, Strategy};

/// Nothing is what `plimsoll.yaml` or a default decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    pub strategy: Strategy,
    pub replicas: Option<u32>,
    /// All instances ready within this.
    pub ready_ms: Option<u64>,
    /// A step lasts at least so long.
    pub step_min_ms: Option<u64>,
    /// The old version is kept running so long once the new one is verified.
    pub warm_ms: Option<u64>,
}

impl Intent {
    pub fn of(strategy: Strategy) -> Intent {
        Intent { strategy, replicas: None, ready_ms: None, step_min_ms: None, warm_ms: None }
    }

    /// The plan in short lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = match &self.strategy {
            Strategy::Immediate => vec!["all traffic at once, as soon as all instances are ready".to_string()],
            Strategy::Canary { steps } => {
                let last = "100 %".to_string();
                let ends_whole = steps.iter().rev().find_map(weight) == Some(10_000);
                let first = std::iter::once("canary".to_string());
                first.chain(steps.iter().map(|step| self.step(step))).chain((!ends_whole).then_some(last)).collect()
            }
            Strategy::BlueGreen { auto_promotion_ms } => {
                let when = match auto_promotion_ms {
                    None => "when somebody says `plimsoll release promote`".to_string(),
                    Some(0) => "as soon as it is ready and checked".to_string(),
                    Some(ms) => format!("{} after it is ready and checked", format_duration_ms(*ms)),
                };
                vec!["blue-green: the new version runs beside the old one without traffic".to_string(), format!("all traffic {when}")]
            }
            Strategy::RollingUpdate { max_surge, max_unavailable } => {
                vec![format!("rolling update: at most {max_surge} more instances at once, at most {max_unavailable} fewer ready")]
            }
        };
        lines[1..].iter_mut().for_each(|line| *line = format!("  {line}"));
        lines.extend(self.replicas.map(|replicas| counted(replicas as usize, "instance")));
        lines.extend(self.ready_ms.map(|ms| format!("all instances ready within {}, or it goes back", format_duration_ms(ms))));
        lines.extend(self.warm_ms.map(|ms| format!("once verified, the old version is kept running {}", format_duration_ms(ms))));
        lines
    }

    fn step(&self, step: &Step) -> String {
        match step {
            Step::SetWeight(weight) => {
                let least = self.step_min_ms.map_or(String::new(), |ms| format!("for {} at least, ", format_duration_ms(ms)));
                format!("{:<7} {least}until the judge has proved that it is not worse", percent(*weight))
            }
            Step::Pause { duration_ms: None } => "pause   until somebody says `plimsoll release resume`".to_string(),
            Step::Pause { duration_ms: Some(ms) } => format!("pause   {}", format_duration_ms(*ms)),
        }
    }
}

fn weight(step: &Step) -> Option<u32> {
    match step {
        Step::SetWeight(weight) => Some(*weight),
        Step::Pause { .. } => None,
    }
}

/// `10 %`, `0.5 %`.
fn percent(weight: u32) -> String {
    format!("{} %", f64::from(weight) / 100.0)
}
