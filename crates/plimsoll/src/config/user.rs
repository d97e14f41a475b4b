//! The user's own `config.yaml`: what holds for all projects that say nothing, and what the machine is.

use std::path::PathBuf;

use base::yaml::{self, Node};
use base::{Diagnostic, Source};
use host::forge::App;

use super::{Actions, Reader, VALUE};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    /// For all projects that say nothing.
    pub actions: Actions,
    /// `builder: hosted`: nobody works at the machine of the server.
    pub hosted: bool,
    /// It gives jobs their tokens.
    pub github_app: Option<App>,
}

pub fn parse_user(source: &Source) -> (User, Vec<Diagnostic>) {
    let (node, diagnostics) = yaml::parse(source);
    let mut reader = Reader { diagnostics };
    let user = node.and_then(|node| {
        let root = reader.closed(&node, &["apiVersion", "actions", "builder", "githubApp"])?.clone();
        Some(User {
            actions: reader.at(&root, "actions", Reader::actions).unwrap_or_default(),
            hosted: reader.at(&root, "builder", Reader::builder).unwrap_or_default(),
            github_app: reader.at(&root, "githubApp", Reader::github_app),
        })
    });
    (user.unwrap_or_default(), reader.diagnostics)
}

/// Where its owner looks at it, if nobody says otherwise.
const GITHUB: &str = "https://github.com";

/// A number in a file is exact up to here.
const MOST_EXACT: u64 = 1 << 53;

impl Reader {
    fn github_app(&mut self, node: &Node) -> Option<App> {
        let app = self.closed(node, &["server", "id", "installation", "key"])?.clone();
        for key in ["id", "installation", "key"].iter().filter(|key| app.get(key).is_none()) {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("`{key}` is missing; the App's settings at GitHub say it")));
        }
        let server = self.at(&app, "server", Reader::server);
        let id = self.at(&app, "id", Reader::app_id);
        let installation = self.at(&app, "installation", |reader, node| reader.whole(node, 1, MOST_EXACT));
        let key = self.at(&app, "key", Reader::key_file);
        if app.get("server").is_some() && server.is_none() {
            return None;
        }
        Some(App { server: server.unwrap_or_else(|| GITHUB.to_string()), id: id?, installation: installation?, key: key? })
    }

    /// Its number, or its client id.
    fn app_id(&mut self, node: &Node) -> Option<String> {
        match node.as_number() {
            Some(_) => self.whole(node, 1, MOST_EXACT).map(|id| id.to_string()),
            None => self.text(node),
        }
    }

    fn server(&mut self, node: &Node) -> Option<String> {
        let server = self.text(node)?;
        let (scheme, rest) = server.split_once("://").unwrap_or_default();
        let host = rest.split('/').next().unwrap_or_default();
        let here = ["localhost", "127.0.0.1"].contains(&host.split(':').next().unwrap_or_default());
        let plain = !host.is_empty() && !server.contains(char::is_whitespace) && !rest.contains(['@', '?', '#']);
        if plain && (scheme == "https" || (scheme == "http" && here)) {
            return Some(server);
        }
        let message = "the address of a GitHub Enterprise Server is expected here, as `https://github.example.org`";
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        None
    }

    fn key_file(&mut self, node: &Node) -> Option<PathBuf> {
        let text = self.text(node)?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let path = match (text.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(&text),
        };
        if path.is_absolute() {
            return Some(path);
        }
        let message = "the App's private key is a file, named from the root or from home: `~/app.private-key.pem`";
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        None
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<App>, Vec<String>) {
        let source = Source::new("config.yaml", text);
        let (user, diagnostics) = parse_user(&source);
        let place = |found: &Diagnostic| format!("{:?} {}", source.line_column(found.span.start), found.message);
        (user.github_app, diagnostics.iter().map(place).collect())
    }

    #[test]
    fn an_app_has_a_number_an_installation_and_a_key() {
        let (app, wrong) = read("githubApp: {id: 12, installation: 34, key: /k.pem}\n");
        let app = app.unwrap_or_else(|| panic!("{wrong:?}"));
        assert_eq!((app.server.as_str(), app.id.as_str(), app.installation), ("https://github.com", "12", 34));
        assert_eq!(read("githubApp: {id: Iv23li, installation: 34, key: /k.pem, server: 'http://127.0.0.1:8'}").1, [""; 0]);
    }

    #[test]
    fn everything_that_is_wrong_with_an_app_is_said_at_once() {
        let (app, wrong) =
            read("githubApp:\n  instalation: 3\n  installation: none\n  key: app.pem\n  server: http://github.example.org\n");
        assert_eq!(app, None);
        for part in ["(2, 3) ", "(3, 17) ", "(4, 8) the App's private key is a file", "(5, 11) the address of a GitHub", "`id` is missing"]
        {
            assert!(wrong.iter().any(|said| said.contains(part)), "{part}\n{wrong:#?}");
        }
        assert_eq!(wrong.len(), 5, "{wrong:#?}");
    }
}
