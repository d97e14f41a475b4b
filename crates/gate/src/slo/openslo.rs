//! Objectives from OpenSLO v1 files: `kind: SLO` with a `ratioMetric` of Prometheus queries; the indicator inside or as `kind: SLI`.

use std::collections::BTreeMap;

use base::time::parse_duration_ms;
use base::yaml::{self, Mapping, Node, Options};
use base::{Diagnostic, Source, Span};

use super::{Objective, Part, check_query};

const CODE: &str = "slo/openslo";
const API_VERSION: &str = "openslo/v1";
/// What the standard has besides, and says nothing about how an objective is kept.
const OTHER_KINDS: [&str; 5] = ["Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"];

/// Every objective of the files; an indicator may stand in another file than the objective that refers to it.
///
/// # Errors
/// Everything that is wrong or can't be measured, with the file it is in.
pub fn objectives(sources: &[Source]) -> Result<Vec<Objective>, Vec<(Source, Diagnostic)>> {
    let mut documents = Vec::new();
    let mut wrong = Vec::new();
    for source in sources {
        let (nodes, diagnostics) = yaml::documents(source, &Options::default());
        wrong.extend(diagnostics.into_iter().map(|diagnostic| (source.clone(), diagnostic)));
        documents.extend(nodes.into_iter().map(|node| (source, node)));
    }
    let mut reader = Reader { indicators: BTreeMap::new(), wrong: Vec::new(), source: None };
    for (source, node) in documents.iter().filter(|(_, node)| text(node, &["kind"]) == Some("SLI")) {
        if let (Some(name), Some(spec)) = (text(node, &["metadata", "name"]), node.get("spec")) {
            reader.indicators.insert(name.to_string(), ((*source).clone(), spec.clone()));
        }
    }
    let mut res = Vec::new();
    for (source, node) in &documents {
        reader.source = Some((*source).clone());
        res.extend(reader.document(node));
    }
    wrong.extend(reader.wrong);
    if wrong.is_empty() { Ok(res) } else { Err(wrong) }
}

struct Reader {
    indicators: BTreeMap<String, (Source, Node)>,
    wrong: Vec<(Source, Diagnostic)>,
    source: Option<Source>,
}

impl Reader {
    /// Nothing, and why.
    fn say<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        let source = self.source.clone()?;
        self.wrong.push((source, Diagnostic::error(CODE, span, message)));
        None
    }

    fn document(&mut self, node: &Node) -> Vec<Objective> {
        if node.is_null() {
            return Vec::new();
        }
        let version = node.get("apiVersion");
        if version.and_then(Node::as_str) != Some(API_VERSION) {
            let span = version.map_or(node.span, |it| it.span);
            self.say::<()>(span, format!("an OpenSLO file has `apiVersion: {API_VERSION}`"));
            return Vec::new();
        }
        match text(node, &["kind"]) {
            Some("SLO") => self.slo(node).unwrap_or_default(),
            Some("SLI") => Vec::new(),
            Some(kind) if OTHER_KINDS.contains(&kind) => Vec::new(),
            _ => self.say(node.get("kind").map_or(node.span, |it| it.span), "`kind` is none of OpenSLO's").unwrap_or_default(),
        }
    }

    fn slo(&mut self, node: &Node) -> Option<Vec<Objective>> {
        let before = self.wrong.len();
        let name = self.needed_text(node, &["metadata", "name"]);
        let spec = self.needed(node, "spec")?;
        if let Some(method) = spec.get("budgetingMethod").filter(|it| it.as_str() != Some("Occurrences")) {
            self.say::<()>(method.span, "only the budgeting method `Occurrences` is read: what counts are events, not slices of time");
        }
        let window_ms = self.window(spec);
        let part_and_total = self.indicator(spec);
        let mut targets = Vec::new();
        match spec.get("objectives").and_then(Node::as_sequence) {
            Some(objectives) if !objectives.is_empty() => targets.extend(objectives.iter().map(|it| (it, self.target(it)))),
            _ => self.say(spec.span, "`objectives` is missing, so nothing is promised")?,
        }
        let (name, window_ms, (part, total)) = (name?, window_ms?, part_and_total?);
        if self.wrong.len() > before {
            return None;
        }
        let several = targets.len() > 1;
        let objective = |(at, (node, target)): (usize, (&Node, Option<f64>))| {
            let own = text(node, &["displayName"]).map_or_else(|| (at + 1).to_string(), str::to_string);
            let name = if several { format!("{name}/{own}") } else { name.clone() };
            Some(Objective { name, target_percent: target?, window_ms, part: part.clone(), total: total.clone() })
        };
        targets.into_iter().enumerate().map(objective).collect()
    }

    fn target(&mut self, node: &Node) -> Option<f64> {
        let share = node.get("target").map(|it| (it, 100.0));
        let Some((target, scale)) = share.or_else(|| node.get("targetPercent").map(|it| (it, 1.0))) else {
            return self.say(node.span, "`target` is missing");
        };
        match target.as_number().map(|number| round(number * scale)) {
            Some(percent) if percent > 0.0 && percent < 100.0 => Some(percent),
            _ => {
                let range = if scale > 1.0 { "between 0 and 1" } else { "between 0 and 100" };
                let why = "both excluded: without room for errors there is no budget";
                self.say(target.span, format!("a number {range} is expected here, {why}"))
            }
        }
    }

    fn window(&mut self, spec: &Node) -> Option<u64> {
        let windows = spec.get("timeWindow").and_then(Node::as_sequence).unwrap_or_default();
        let [window] = windows else {
            let span = spec.get("timeWindow").map_or(spec.span, |it| it.span);
            return self.say(span, "one `timeWindow` is expected, with a `duration`");
        };
        if window.get("calendar").is_some() || window.get("isRolling").and_then(Node::as_bool) == Some(false) {
            return self.say(window.span, "only rolling windows are read: `isRolling: true`");
        }
        let duration = self.needed(window, "duration")?;
        let read = duration.as_str().and_then(|text| match text.strip_suffix('w') {
            Some(weeks) => weeks.parse().ok().and_then(|weeks: u64| weeks.checked_mul(7 * super::DAY_MS)),
            // An `M` of OpenSLO is a month.
            None if text.ends_with(['M', 'Q', 'Y']) => None,
            None => parse_duration_ms(text),
        });
        match read {
            Some(window_ms) if window_ms >= super::HOUR_MS => Some(window_ms),
            _ => self.say(duration.span, "a window of an hour at least is expected here, in hours, days or weeks: `30d`, `4w`"),
        }
    }

    /// Its mistakes are in the file it stands in.
    fn indicator(&mut self, spec: &Node) -> Option<(Part, String)> {
        let (source, indicator) = match (spec.get("indicator").and_then(|it| it.get("spec")), spec.get("indicatorRef")) {
            (Some(indicator), _) => (self.source.clone()?, indicator.clone()),
            (None, Some(reference)) => match reference.as_str().and_then(|name| self.indicators.get(name)) {
                Some(known) => known.clone(),
                None => return self.say(reference.span, "no file that is read has an indicator (`kind: SLI`) of this name"),
            },
            (None, None) => return self.say(spec.span, "`indicator` is missing"),
        };
        let objective_source = self.source.replace(source);
        let read = self.ratio(&indicator);
        self.source = objective_source;
        read
    }

    fn ratio(&mut self, indicator: &Node) -> Option<(Part, String)> {
        let Some(ratio) = indicator.get("ratioMetric") else {
            return self.say(indicator.span, "only a `ratioMetric` is read: events that are good or bad, among all");
        };
        if ratio.get("counter").and_then(Node::as_bool) == Some(false) {
            return self.say(ratio.span, "only counters are read: `counter: true`");
        }
        let mapping = ratio.as_mapping()?;
        let part = match (mapping.get("good"), mapping.get("bad")) {
            (Some(good), None) => self.query(good).map(Part::Good),
            (None, Some(bad)) => self.query(bad).map(Part::Bad),
            _ => self.say(ratio.span, "`good` or `bad` is expected here, one of them, and `total`"),
        };
        let total = self.total(ratio, mapping);
        Some((part?, total?))
    }

    fn total(&mut self, ratio: &Node, mapping: &Mapping) -> Option<String> {
        match mapping.get("total") {
            Some(total) => self.query(total),
            None => self.say(ratio.span, "`total` is missing"),
        }
    }

    fn query(&mut self, node: &Node) -> Option<String> {
        let Some(source) = node.get("metricSource") else {
            return self.say(node.span, "`metricSource` is missing");
        };
        if let Some(kind) = source.get("type").filter(|kind| !kind.as_str().is_some_and(|it| it.eq_ignore_ascii_case("prometheus"))) {
            return self.say(kind.span, "only Prometheus can be asked");
        }
        let query = source.get("spec").and_then(|spec| spec.get("query"));
        let Some((query, text)) = query.and_then(|query| Some((query, query.as_str()?))) else {
            return self.say(source.span, "`spec.query` is missing");
        };
        match check_query(text) {
            Ok(()) => Some(text.trim().to_string()),
            Err(why) => self.say(query.span, why),
        }
    }

    fn needed<'a>(&mut self, node: &'a Node, key: &str) -> Option<&'a Node> {
        match node.get(key) {
            None => self.say(node.span, format!("`{key}` is missing")),
            found => found,
        }
    }

    fn needed_text(&mut self, node: &Node, path: &[&str]) -> Option<String> {
        match text(node, path).filter(|text| !text.is_empty()) {
            None => self.say(node.span, format!("`{}` is missing", path.join("."))),
            Some(found) => Some(found.to_string()),
        }
    }
}

fn text<'a>(node: &'a Node, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(node, |node, key| node.get(key))?.as_str()
}

/// 0.999 times 100 is 99.9, whatever the bits say.
fn round(percent: f64) -> f64 {
    (percent * 1e9).round() / 1e9
}
