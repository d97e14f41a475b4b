//! What a project promises its users, and how much of that must be left.

use base::yaml::{Mapping, Node};
use base::{Diagnostic, Source};
use gate::slo::{Access, Objective, Part, Slos, WhenUnknown, check_query, objectives};

use super::{Reader, VALUE};

/// What the configuration says itself, and the OpenSLO files of the commit it names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slo {
    pub slos: Slos,
    pub files: Vec<String>,
}

pub(super) const SLO: &[&str] = &["prometheus", "token", "user", "password", "files", "objectives", "unknown", "budgetMin", "eventsMin"];
pub(super) const OBJECTIVE: &[&str] = &["name", "target", "window", "good", "bad", "total"];

const HOUR_MS: u64 = 3_600_000;
const YEAR_MS: u64 = 366 * 24 * HOUR_MS;
/// Each is asked about in eight windows whenever the gate is.
const OBJECTIVES_MAX: usize = 20;

/// The objectives of the configuration and of the files, each under a name of its own.
///
/// # Errors
/// Everything that is wrong, ready to be shown.
pub fn slos_of(slo: &Slo, sources: &[Source]) -> Result<Slos, Vec<String>> {
    let mut slos = slo.slos.clone();
    let render = |(source, diagnostic): (Source, Diagnostic)| base::diagnostic::render(&source, &[diagnostic], false);
    slos.objectives.extend(objectives(sources).map_err(|wrong| wrong.into_iter().map(render).collect::<Vec<_>>())?);
    let mut wrong = Vec::new();
    for (at, objective) in slos.objectives.iter().enumerate() {
        if slos.objectives[..at].iter().any(|earlier| earlier.name == objective.name) {
            wrong.push(format!("two objectives are named `{}`", objective.name));
        }
    }
    if slos.objectives.len() > OBJECTIVES_MAX {
        wrong.push(format!("there are {} objectives, at most {OBJECTIVES_MAX} are asked about", slos.objectives.len()));
    }
    if wrong.is_empty() { Ok(slos) } else { Err(wrong) }
}

impl Reader {
    pub(super) fn slo(&mut self, node: &Node) -> Option<Slo> {
        let mapping = self.closed(node, SLO)?;
        let nothing = Slos::default();
        let prometheus = self.needed(node, mapping, "prometheus").and_then(|node| self.prometheus(node));
        let files = self.at(mapping, "files", |reader, node| reader.list(node, Self::text)).unwrap_or_default();
        let objectives = self.at(mapping, "objectives", |reader, node| reader.list(node, Self::objective)).unwrap_or_default();
        if mapping.get("files").is_none() && mapping.get("objectives").is_none() {
            let message = "neither `objectives` nor `files` are there, so nothing is promised";
            self.diagnostics.push(Diagnostic::error("config/missing-key", node.span, message));
        }
        let slos = Slos {
            prometheus: prometheus.unwrap_or_default(),
            access: self.access(node, mapping),
            objectives,
            unknown: self.at(mapping, "unknown", Self::unknown).unwrap_or(nothing.unknown),
            budget_min_percent: self
                .at(mapping, "budgetMin", |reader, node| reader.number(node, 0.0, 100.0))
                .unwrap_or(nothing.budget_min_percent),
            events_min: self.at(mapping, "eventsMin", |reader, node| reader.whole(node, 0, 1_000_000_000)).unwrap_or(nothing.events_min),
        };
        Some(Slo { slos, files })
    }

    fn prometheus(&mut self, node: &Node) -> Option<String> {
        let url = self.url(node)?;
        if url.contains('?') {
            let message = "the address of a Prometheus has no query in it";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`http://127.0.0.1:9090`"));
        }
        Some(url)
    }

    fn access(&mut self, node: &Node, mapping: &Mapping) -> Option<Access> {
        let token = self.at(mapping, "token", Self::secret_name);
        let user = self.at(mapping, "user", Self::text);
        if let (Some(node), Some(user)) = (mapping.get("user"), &user)
            && user.contains(|letter: char| letter == ':' || letter.is_control())
        {
            let message = "a user's name has neither a `:` nor control characters in it";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        }
        let password = self.at(mapping, "password", Self::secret_name);
        match (token, user, password) {
            (Some(token), None, None) => Some(Access::Token(token)),
            (None, Some(user), Some(password)) => Some(Access::Basic { user, password }),
            (None, None, None) => None,
            _ => {
                let message = "a Prometheus is shown either a `token`, or a `user` and a `password`";
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
                None
            }
        }
    }

    pub(super) fn unknown(&mut self, node: &Node) -> Option<WhenUnknown> {
        let found = WhenUnknown::ALL.into_iter().find(|(word, _)| node.as_str() == Some(word));
        if found.is_none() {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`hold`, `deny` or `allow` is expected here"));
        }
        found.map(|(_, unknown)| unknown)
    }

    fn objective(&mut self, node: &Node) -> Option<Objective> {
        let mapping = self.closed(node, OBJECTIVE)?;
        let name = self.needed(node, mapping, "name").and_then(|node| self.text(node));
        let target_percent = self.needed(node, mapping, "target").and_then(|node| self.target(node));
        let window_ms = self.needed(node, mapping, "window").and_then(|node| self.slo_window(node));
        let total = self.needed(node, mapping, "total").and_then(|node| self.query(node));
        let part = match (mapping.get("good"), mapping.get("bad")) {
            (Some(good), None) => self.query(good).map(Part::Good),
            (None, Some(bad)) => self.query(bad).map(Part::Bad),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "one of `good` and `bad` is expected here, a query"));
                None
            }
        };
        Some(Objective { name: name?, target_percent: target_percent?, window_ms: window_ms?, part: part?, total: total? })
    }

    fn target(&mut self, node: &Node) -> Option<f64> {
        let percent = self.number(node, 0.0, 100.0)?;
        if percent > 0.0 && percent < 100.0 {
            return Some(percent);
        }
        let message = "a target lies between 0 and 100, both excluded: without room for errors there is no budget";
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        None
    }

    fn slo_window(&mut self, node: &Node) -> Option<u64> {
        let window_ms = self.duration(node)?;
        if (HOUR_MS..=YEAR_MS).contains(&window_ms) && window_ms.is_multiple_of(1000) {
            return Some(window_ms);
        }
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, "the window of a budget is an hour at least and a year at most"));
        None
    }

    fn query(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        match check_query(&text) {
            Ok(()) => Some(text),
            Err(why) => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, why));
                None
            }
        }
    }
}
