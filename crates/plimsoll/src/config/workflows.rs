//! What the workflow files are held to, and where their jobs run.

use base::Diagnostic;
use base::yaml::Node;
use workflow::lint::{Forbidden, Pattern, Security};
use workflow::runners::{Rule, Runners};

use super::{Reader, VALUE};

pub(super) const WORKFLOWS: &[&str] = &["security", "forbiddenUses", "runners"];
pub(super) const FORBIDDEN: &[&str] = &["allow", "deny"];

/// What the workflows themselves are held to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Workflows {
    pub security: Security,
    pub forbidden: Option<Forbidden>,
    /// Where the jobs of which labels run.
    pub runners: Runners,
}

impl Reader {
    pub(super) fn workflows(&mut self, node: &Node) -> Option<Workflows> {
        let mapping = self.closed(node, WORKFLOWS)?;
        Some(Workflows {
            security: self.at(mapping, "security", Self::security).unwrap_or_default(),
            forbidden: self.at(mapping, "forbiddenUses", Self::forbidden),
            runners: self.at(mapping, "runners", Self::runners).unwrap_or_default(),
        })
    }

    /// Labels to where their jobs run.
    fn runners(&mut self, node: &Node) -> Option<Runners> {
        let Some(mapping) = node.as_mapping() else {
            self.wrong(node, "a mapping of labels to `host`, `skip` or `docker://IMAGE`");
            return None;
        };
        let mut runners = Runners::default();
        for (label, rule) in mapping.iter() {
            let Some(rule) = self.runner(rule) else { continue };
            runners.add(&label.text, rule);
        }
        Some(runners)
    }

    fn runner(&mut self, node: &Node) -> Option<Rule> {
        match node.as_str() {
            Some("host") => Some(Rule::Host),
            Some("skip") => Some(Rule::Skip),
            Some(text) if text.strip_prefix("docker://").is_some_and(|image| !image.is_empty() && !image.contains(char::is_whitespace)) => {
                Some(Rule::Image(text["docker://".len()..].to_string()))
            }
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`host`, `skip` or `docker://IMAGE` is expected here"));
                None
            }
        }
    }

    fn security(&mut self, node: &Node) -> Option<Security> {
        match node.as_str() {
            Some("compat") => Some(Security::Compat),
            Some("guarded") => Some(Security::Guarded),
            Some("strict") => Some(Security::Strict),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`compat`, `guarded` or `strict` is expected here"));
                None
            }
        }
    }

    fn forbidden(&mut self, node: &Node) -> Option<Forbidden> {
        let mapping = self.closed(node, FORBIDDEN)?;
        match (mapping.get("allow"), mapping.get("deny")) {
            (Some(allow), None) => self.list(allow, Self::pattern).map(Forbidden::AllBut),
            (None, Some(deny)) => self.list(deny, Self::pattern).map(Forbidden::These),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "either `allow` or `deny` is expected here"));
                None
            }
        }
    }

    fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        let pattern = self.text(node)?;
        let parsed = Pattern::parse(&pattern);
        if parsed.is_none() {
            let message = format!("`{pattern}` names no actions");
            self.diagnostics.push(
                Diagnostic::error(VALUE, node.span, message)
                    .hint("`owner/*`, `owner/repository`, `owner/repository/*`, `owner/repository@ref` or `*`"),
            );
        }
        parsed
    }
}
