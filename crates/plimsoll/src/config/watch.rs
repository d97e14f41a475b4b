//! `watch:`, what is live after it was promoted.

use base::Diagnostic;
use base::yaml::{Mapping, Node};
use rollout::watch::{Measure, Then, WatchPlan, WatchRule};

use super::{Reader, VALUE};

pub(super) const WATCH: &[&str] = &["for", "rules"];
pub(super) const WATCH_RULE: &[&str] = &["errors", "p95", "p99", "restarts", "notReady", "during", "then"];
const MEASURES: &[&str] = &["errors", "p95", "p99", "restarts", "notReady"];

/// Of all restarts that anybody would wait for.
const RESTARTS_MAX: u64 = 1_000;
/// A day, for what comes slowly.
const DURING_MAX_MS: u64 = 24 * 3_600_000;
/// The proxy is asked a few times in it.
const DURING_MIN_MS: u64 = 2_000;
const RULES_MAX: usize = 20;

impl Reader {
    /// Nothing within for `false`.
    pub(super) fn watch(&mut self, node: &Node) -> Option<Option<WatchPlan>> {
        if node.as_bool() == Some(false) {
            return Some(None);
        }
        let usual = WatchPlan::default();
        if node.as_mapping().is_none() && !node.is_null() {
            return Some(Some(WatchPlan { for_ms: self.duration(node)?, ..usual }));
        }
        let mapping = self.closed(node, WATCH)?;
        let rules = self.at(mapping, "rules", |reader, node| {
            let rules = reader.list(node, Self::watch_rule)?;
            if rules.len() > RULES_MAX {
                let message = format!("there are {} rules, at most {RULES_MAX} are watched", rules.len());
                reader.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
            }
            Some(rules)
        });
        let for_ms = self.at(mapping, "for", Self::duration).unwrap_or(usual.for_ms);
        Some(Some(WatchPlan { for_ms, rules: rules.unwrap_or(usual.rules) }))
    }

    fn watch_rule(&mut self, node: &Node) -> Option<WatchRule> {
        let mapping = self.closed(node, WATCH_RULE)?;
        let measure = self.measure(node, mapping);
        let during_ms = self.needed(node, mapping, "during").and_then(|node| {
            let during = self.duration(node)?;
            if !(DURING_MIN_MS..=DURING_MAX_MS).contains(&during) {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "from `2s` to `24h` is expected here"));
            }
            Some(during)
        });
        let then = self.at(mapping, "then", |reader, node| match node.as_str() {
            Some("rollback") => Some(Then::GoBack),
            Some("warn") => Some(Then::Warn),
            _ => {
                reader.diagnostics.push(Diagnostic::error(VALUE, node.span, "`rollback` or `warn` is expected here"));
                None
            }
        });
        Some(WatchRule { measure: measure?, during_ms: during_ms?, then: then.unwrap_or(Then::GoBack) })
    }

    fn measure(&mut self, node: &Node, mapping: &Mapping) -> Option<Measure> {
        let named: Vec<(&str, &Node)> = MEASURES.iter().filter_map(|name| Some((*name, mapping.get(name)?))).collect();
        let [(name, bound)] = named.as_slice() else {
            let message = "a rule has one of `errors`, `p95`, `p99`, `restarts` and `notReady`";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`{errors: 5%, during: 5m}`"));
            return None;
        };
        let mut latency = |quantile| {
            let ms = self.duration(bound)?;
            Some(Measure::Latency { quantile, above_us: ms * 1_000 })
        };
        match *name {
            "p95" => latency(0.95),
            "p99" => latency(0.99),
            "errors" => {
                let percent = self.percent(bound)?;
                if percent >= 100.0 {
                    self.diagnostics.push(Diagnostic::error(VALUE, bound.span, "no more than all answers can fail"));
                }
                Some(Measure::Errors { above: percent / 100.0 })
            }
            "restarts" => self.whole(bound, 0, RESTARTS_MAX).map(|above| Measure::Restarts { above: above as u32 }),
            _ if bound.as_bool() == Some(true) => Some(Measure::NotReady),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, bound.span, "`true` is expected here").hint("leave out the rule"));
                None
            }
        }
    }
}
