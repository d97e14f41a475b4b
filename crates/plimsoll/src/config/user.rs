//! The user's own `config.yaml`: what holds for all projects that say nothing, and what the machine is.

use base::yaml::{self, Node};
use base::{Diagnostic, Source};

use super::{Actions, Reader, VALUE};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    /// For all projects that say nothing.
    pub actions: Actions,
    /// `builder: hosted`: nobody works at the machine of the server.
    pub hosted: bool,
}

pub fn parse_user(source: &Source) -> (User, Vec<Diagnostic>) {
    let (node, diagnostics) = yaml::parse(source);
    let mut reader = Reader { diagnostics };
    let user = node.and_then(|node| {
        let root = reader.closed(&node, &["apiVersion", "actions", "builder"])?.clone();
        Some(User {
            actions: reader.at(&root, "actions", Reader::actions).unwrap_or_default(),
            hosted: reader.at(&root, "builder", Reader::builder).unwrap_or_default(),
        })
    });
    (user.unwrap_or_default(), reader.diagnostics)
}

impl Reader {
    fn builder(&mut self, node: &Node) -> Option<bool> {
        match node.as_str() {
            Some("hosted") => Some(true),
            Some("workstation") => Some(false),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "`hosted` or `workstation` is expected here"));
                None
            }
        }
    }
}
