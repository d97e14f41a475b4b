//! `strategy:`, with the names that Argo Rollouts and, of a rolling update, Kubernetes have for it.

use base::Diagnostic;
use base::name::nearest;
use base::time::parse_duration_ms;
use base::yaml::{self, Mapping, Node};
use rollout::manifest::of_argo;
use rollout::{Amount, Step, Strategy, presets};

use super::{Reader, TYPE, UNKNOWN, VALUE};

const NOT_SUPPORTED: &str = "config/not-supported";

pub(super) const STRATEGY: &[&str] = &["canary", "blueGreen", "rollingUpdate", "immediate"];
pub(super) const CANARY: &[&str] = &["preset", "steps", SCALE_DOWN_DELAY];
pub(super) const BLUE_GREEN: &[&str] = &["autoPromotionEnabled", "autoPromotionSeconds", SCALE_DOWN_DELAY];
pub(super) const ROLLING_UPDATE: &[&str] = &["maxSurge", "maxUnavailable"];
/// What is said where it is none of them.
const ONE_OF: &str = "a strategy is one of `canary`, `blueGreen`, `rollingUpdate` and `immediate`";
const SCALE_DOWN_DELAY: &str = "scaleDownDelaySeconds";
/// Ten times as many instances beside the old ones are more than anybody means.
const SURGE_PERCENT_MAX: u32 = 1_000;
/// Of the most replicas there may be, the same.
const COUNT_MAX: u64 = 1_000;
pub(super) const STEP: &[&str] = &["setWeight", "pause"];

impl Reader {
    pub(super) fn strategy(&mut self, node: &Node) -> Option<Strategy> {
        match node.as_str() {
            Some("canary") => return Some(Strategy::default_canary()),
            Some("blueGreen" | "blue-green") => return Some(Strategy::BlueGreen { auto_promotion_ms: Some(0) }),
            Some("rolling" | "rollingUpdate") => return Some(Strategy::default_rolling_update()),
            Some("immediate") => return Some(Strategy::Immediate),
            Some(word) => {
                let near = nearest(word, STRATEGY.iter().copied()).map_or(ONE_OF.to_string(), |near| format!("did you mean `{near}`?"));
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("there is no strategy `{word}`")).hint(near));
                return None;
            }
            None => {}
        }
        let mapping = self.closed(node, STRATEGY)?;
        let ways: Vec<(&str, &Node)> = STRATEGY.iter().filter_map(|way| Some((*way, mapping.get(way)?))).collect();
        match ways.as_slice() {
            [("canary", canary)] => {
                let canary = self.closed_as_argo(canary, CANARY, &["canary"])?;
                let steps = self.at(canary, "steps", |reader, node| reader.list(node, Self::step));
                self.rising(node, steps.as_deref().unwrap_or_default());
                let preset = self.at(canary, "preset", Self::preset);
                if let (Some(_), Some(preset)) = (&steps, canary.get("preset")) {
                    let message = "a canary has the steps of a preset or its own";
                    self.diagnostics.push(Diagnostic::error(VALUE, preset.span, message).hint("leave out `preset` or `steps`"));
                }
                Some(Strategy::Canary { steps: steps.or(preset).unwrap_or_default() })
            }
            [("blueGreen", blue_green)] if blue_green.is_null() => Some(Strategy::BlueGreen { auto_promotion_ms: Some(0) }),
            [("blueGreen", blue_green)] => {
                let mapping = self.closed_as_argo(blue_green, BLUE_GREEN, &["blueGreen"])?;
                let enabled = self.at(mapping, "autoPromotionEnabled", Self::boolean).unwrap_or(true);
                let seconds = self.at(mapping, "autoPromotionSeconds", Self::duration);
                Some(Strategy::BlueGreen { auto_promotion_ms: enabled.then(|| seconds.unwrap_or(0)) })
            }
            [("rollingUpdate", rolling)] if rolling.is_null() => Some(Strategy::default_rolling_update()),
            [("rollingUpdate", rolling)] => self.rolling_update(rolling),
            [("immediate", _)] => Some(Strategy::Immediate),
            _ => {
                self.diagnostics.push(
                    Diagnostic::error(VALUE, node.span, ONE_OF).hint("`strategy: {canary: {steps: [{setWeight: 10}, {setWeight: 50}]}}`"),
                );
                None
            }
        }
    }

    pub(super) fn scale_down_delay(&mut self, strategy: &Node) -> Option<u64> {
        let strategy = strategy.as_mapping()?;
        let way = strategy.get("canary").or_else(|| strategy.get("blueGreen"))?.as_mapping()?;
        self.at(way, SCALE_DOWN_DELAY, Self::duration)
    }

    /// A mapping that has none but these keys; those that Argo Rollouts has beside them are told with what happens instead.
    fn closed_as_argo<'a>(&mut self, node: &'a Node, known: &[&str], path: &[&str]) -> Option<&'a Mapping> {
        let Some(mapping) = node.as_mapping() else { return self.closed(node, known) };
        for entry in mapping.entries.iter().filter(|entry| !known.contains(&entry.key.text.as_str())) {
            let diagnostic = match of_argo(path, &entry.key.text, entry.key.span) {
                Some(left_out) => {
                    let message = format!("`{}` of Argo Rollouts isn't acted on: {}", left_out.what, left_out.instead);
                    Diagnostic::error(NOT_SUPPORTED, left_out.span, message).hint("leave it out")
                }
                None => yaml::unknown_key(UNKNOWN, &entry.key, known),
            };
            self.diagnostics.push(diagnostic);
        }
        Some(mapping)
    }

    fn rolling_update(&mut self, node: &Node) -> Option<Strategy> {
        let mapping = self.closed(node, ROLLING_UPDATE)?;
        let max_surge = self.at(mapping, "maxSurge", |reader, node| reader.amount(node, SURGE_PERCENT_MAX)).unwrap_or(Amount::DEFAULT);
        let max_unavailable = self.at(mapping, "maxUnavailable", |reader, node| reader.amount(node, 100)).unwrap_or(Amount::DEFAULT);
        let is_nothing = |amount| matches!(amount, Amount::Count(0) | Amount::Percent(0));
        if is_nothing(max_surge) && is_nothing(max_unavailable) {
            let message = "with `maxSurge` and `maxUnavailable` both 0 no instance could ever be replaced";
            self.diagnostics.push(
                Diagnostic::error(VALUE, node.span, message)
                    .hint("`maxSurge: 1` starts the new one first, `maxUnavailable: 1` stops an old one first"),
            );
        }
        Some(Strategy::RollingUpdate { max_surge, max_unavailable })
    }

    /// `25%`, and `"25"` as Argo reads it, are parts of all instances; `1` is a number of them.
    fn amount(&mut self, node: &Node, percent_max: u32) -> Option<Amount> {
        let Some(text) = node.as_str() else { return self.whole(node, 0, COUNT_MAX).map(|count| Amount::Count(count as u32)) };
        let digits = text.strip_suffix('%').unwrap_or(text);
        let percent = digits.parse().ok().filter(|percent| *percent <= percent_max && !digits.starts_with('+'));
        if percent.is_none() {
            let message = format!("`{text}` is neither a number of instances nor a whole percentage up to {percent_max}%");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`1`, `25%`"));
        }
        percent.map(Amount::Percent)
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        let mapping = self.closed_as_argo(node, STEP, &["canary", "steps"])?;
        if mapping.iter().any(|(key, _)| !STEP.contains(&key.text.as_str())) {
            return None;
        }
        match (mapping.get("setWeight"), mapping.get("pause")) {
            (Some(weight), None) => self.number(weight, 0.01, 100.0).map(|percent| Step::SetWeight((percent * 100.0).round() as u32)),
            (None, Some(pause)) if pause.is_null() => Some(Step::Pause { duration_ms: None }),
            (None, Some(pause)) if pause.as_mapping().is_none() => {
                let message = format!("a mapping is expected here, this is {}", pause.kind());
                let length = pause.as_str().filter(|text| parse_duration_ms(text).is_some()).unwrap_or("10m");
                self.diagnostics.push(
                    Diagnostic::error(TYPE, pause.span, message)
                        .hint(format!("`pause: {{duration: {length}}}`, or `pause: {{}}` until somebody promotes")),
                );
                None
            }
            (None, Some(pause)) => {
                let pause = self.closed(pause, &["duration"])?;
                Some(Step::Pause { duration_ms: self.at(pause, "duration", Self::duration) })
            }
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "a step is either `setWeight` or `pause`"));
                None
            }
        }
    }

    fn preset(&mut self, node: &Node) -> Option<Vec<Step>> {
        let name = self.text(node)?;
        let steps = presets::steps(&name);
        if steps.is_none() {
            let all = || presets::names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let hint = nearest(&name, presets::names()).map_or_else(all, |near| format!("did you mean `{near}`?"));
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("there is no preset `{name}`")).hint(hint));
        }
        steps
    }

    fn rising(&mut self, node: &Node, steps: &[Step]) {
        let weights: Vec<u32> =
            steps.iter().filter_map(|step| if let Step::SetWeight(weight) = step { Some(*weight) } else { None }).collect();
        if !weights.is_sorted() {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "the weights of a canary rise from step to step"));
        }
    }
}
