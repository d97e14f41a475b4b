//! Whether an action does something, by the inputs it is given: "caches, unless `cache: false`".

use super::document::{Document, Step, is_expression, text};
use super::uses::{Pattern, version};

/// An action and when it does what is asked.
pub(super) struct Rule {
    pub action: &'static str,
    pub when: When,
}

pub(super) enum When {
    /// Whatever it is given.
    Always,
    /// An input that turns it on with `true`; what happens without it.
    On(&'static str, Unsaid),
    /// An input that turns it off with `true`.
    Off(&'static str, Unsaid),
    /// An input that turns it on by saying anything.
    Said(&'static str),
    /// An input that turns it on with one of these.
    OneOf(&'static str, &'static [&'static str], Unsaid),
    /// An input that turns it off with one of these.
    NoneOf(&'static str, &'static [&'static str]),
    /// A version below this major one.
    Below(u64),
    All(&'static [When]),
    Any(&'static [When]),
    Not(&'static When),
}

/// What the action does when an input isn't given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsaid {
    Does,
    DoesNot,
}

/// Ordered so that "all" is the least and "any" the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Does {
    No,
    Maybe,
    Yes,
}

impl Rule {
    pub fn does(&self, document: &Document<'_>, step: &Step<'_>) -> Does {
        let Some((action, _)) = step.action() else { return Does::No };
        if !Pattern::parse(self.action).is_some_and(|pattern| pattern.matches(&action)) {
            return Does::No;
        }
        match &self.when {
            When::Always => Does::Yes,
            _ if step.has_opaque_inputs() => Does::Maybe,
            when => when.holds(document, step),
        }
    }
}

impl When {
    fn holds(&self, document: &Document<'_>, step: &Step<'_>) -> Does {
        let said = |name: &str| step.input(name).and_then(text);
        let by_default = |unsaid: Unsaid| if unsaid == Unsaid::Does { Does::Yes } else { Does::No };
        match self {
            When::Always => Does::Yes,
            When::On(name, unsaid) => said(name).map_or(by_default(*unsaid), |value| truth(&value)),
            When::Off(name, unsaid) => said(name).map_or(by_default(*unsaid), |value| truth(&value).not()),
            When::Said(name) => said(name).map_or(Does::No, |value| if value.is_empty() { Does::No } else { Does::Yes }),
            When::OneOf(name, values, unsaid) => said(name).map_or(by_default(*unsaid), |value| among(&value, values)),
            When::NoneOf(name, values) => said(name).map_or(Does::Yes, |value| among(&value, values).not()),
            When::Below(major) => below(document, step, *major),
            When::All(parts) => parts.iter().map(|part| part.holds(document, step)).min().unwrap_or(Does::Yes),
            When::Any(parts) => parts.iter().map(|part| part.holds(document, step)).max().unwrap_or(Does::No),
            When::Not(part) => part.holds(document, step).not(),
        }
    }
}

impl Does {
    fn not(self) -> Does {
        match self {
            Does::No => Does::Yes,
            Does::Maybe => Does::Maybe,
            Does::Yes => Does::No,
        }
    }
}

fn truth(value: &str) -> Does {
    match value {
        "false" => Does::No,
        value if is_expression(value) => Does::Maybe,
        _ => Does::Yes,
    }
}

fn among(value: &str, values: &[&str]) -> Does {
    match value {
        value if is_expression(value) => Does::Maybe,
        value if values.contains(&value) => Does::Yes,
        _ => Does::No,
    }
}

/// By the tag, or for a pinned action by the comment that says its tag.
fn below(document: &Document<'_>, step: &Step<'_>, major: u64) -> Does {
    let Some((action, node)) = step.action() else { return Does::No };
    let said = if action.is_pinned() {
        document.comments_on(node.span).iter().find_map(|comment| comment_version(&comment.text)).and_then(version)
    } else {
        version(action.reference)
    };
    match said {
        Some((own, ..)) if own < major => Does::Yes,
        Some(_) => Does::No,
        None => Does::Maybe,
    }
}

/// `# v1.2.3`, `# tag: v1`, `# version=1.2`.
pub(super) fn comment_version(comment: &str) -> Option<&str> {
    let text = comment.trim_start_matches('#').trim();
    let bare = ["tag", "version", "ver"].iter().find_map(|word| text.strip_prefix(word)?.trim_start().strip_prefix([':', '=']));
    let said = bare.unwrap_or(text).trim();
    (!said.is_empty() && !said.contains(char::is_whitespace)).then_some(said)
}
