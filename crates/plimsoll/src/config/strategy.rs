//! `strategy:`, with the names that Argo Rollouts has for it.

use base::Diagnostic;
use base::yaml::Node;
use rollout::{Step, Strategy};

use super::{Reader, VALUE};

pub(super) const STRATEGY: &[&str] = &["canary", "blueGreen", "immediate"];
pub(super) const CANARY: &[&str] = &["steps", SCALE_DOWN_DELAY];
pub(super) const BLUE_GREEN: &[&str] = &["autoPromotionEnabled", "autoPromotionSeconds", SCALE_DOWN_DELAY];
const SCALE_DOWN_DELAY: &str = "scaleDownDelaySeconds";
pub(super) const STEP: &[&str] = &["setWeight", "pause"];

impl Reader {
    pub(super) fn strategy(&mut self, node: &Node) -> Option<Strategy> {
        match node.as_str() {
            Some("canary") => return None,
            Some("blueGreen") => return Some(Strategy::BlueGreen { auto_promotion_ms: Some(0) }),
            Some("immediate") => return Some(Strategy::Immediate),
            _ => {}
        }
        let mapping = self.closed(node, STRATEGY)?;
        match (mapping.get("canary"), mapping.get("blueGreen"), mapping.get("immediate")) {
            (Some(canary), None, None) => {
                let canary = self.closed(canary, CANARY)?;
                let steps = self.at(canary, "steps", |reader, node| reader.list(node, Self::step)).unwrap_or_default();
                self.rising(node, &steps);
                Some(Strategy::Canary { steps })
            }
            (None, Some(blue_green), None) if blue_green.is_null() => Some(Strategy::BlueGreen { auto_promotion_ms: Some(0) }),
            (None, Some(blue_green), None) => {
                let mapping = self.closed(blue_green, BLUE_GREEN)?;
                let enabled = self.at(mapping, "autoPromotionEnabled", Self::boolean).unwrap_or(true);
                let seconds = self.at(mapping, "autoPromotionSeconds", Self::duration);
                Some(Strategy::BlueGreen { auto_promotion_ms: enabled.then(|| seconds.unwrap_or(0)) })
            }
            (None, None, Some(_)) => Some(Strategy::Immediate),
            _ => {
                let message = "a strategy is one of `canary`, `blueGreen` and `immediate`";
                self.diagnostics.push(
                    Diagnostic::error(VALUE, node.span, message).hint("`strategy: {canary: {steps: [{setWeight: 10}, {setWeight: 50}]}}`"),
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

    fn step(&mut self, node: &Node) -> Option<Step> {
        let mapping = self.closed(node, STEP)?;
        match (mapping.get("setWeight"), mapping.get("pause")) {
            (Some(weight), None) => self.number(weight, 0.01, 100.0).map(|percent| Step::SetWeight((percent * 100.0).round() as u32)),
            (None, Some(pause)) if pause.is_null() => Some(Step::Pause { duration_ms: None }),
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

    fn rising(&mut self, node: &Node, steps: &[Step]) {
        let weights: Vec<u32> =
            steps.iter().filter_map(|step| if let Step::SetWeight(weight) = step { Some(*weight) } else { None }).collect();
        if !weights.is_sorted() {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "the weights of a canary rise from step to step"));
        }
    }
}
