//! Who knows which incidents are open and how a branch is protected, and what a project checks before anything ships.

use std::path::{Component, Path};

use base::Diagnostic;
use base::yaml::{Mapping, Node};
use gate::check::{Check, How, TIMEOUT_MAX_MS, TIMEOUT_MS};
use gate::incident::{Incidents, PRIORITIES, Source};
use gate::protection::Protection;

use super::{Reader, VALUE};

pub(super) const INCIDENTS: &[&str] = &["command", "file", "url", "token", "unknown", "priorities"];
pub(super) const PROTECTION: &[&str] = &["url", "token", "unknown", "require"];
pub(super) const REQUIRE: &[&str] = &["checks", "reviews"];
pub(super) const CHECK: &[&str] = &["name", "run", "url", "timeout"];

/// All are made at the same time, whenever somebody is about to act.
const CHECKS_MAX: usize = 20;

/// Nobody starts a process and hears it in less.
const TIMEOUT_MIN_MS: u64 = 100;

/// `…/repos/OWNER/REPOSITORY`.
fn is_repository(url: &str) -> bool {
    let parts: Vec<&str> = url.trim_end_matches('/').rsplitn(4, '/').collect();
    matches!(parts.as_slice(), [name, owner, "repos", _] if !name.is_empty() && !owner.is_empty())
}

/// Where the API has what is seen at a page: `https://HOST/OWNER/REPOSITORY`, with whatever follows.
fn in_api(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let (host, owner, name) = (parts.next().unwrap_or("HOST"), parts.next().unwrap_or("OWNER"), parts.next().unwrap_or("REPOSITORY"));
    match host {
        "github.com" | "api.github.com" => format!("https://api.github.com/repos/{owner}/{}", name.trim_end_matches(".git")),
        _ => format!("{scheme}://{host}/api/v1/repos/{owner}/{}", name.trim_end_matches(".git")),
    }
}

impl Reader {
    pub(super) fn incidents(&mut self, node: &Node) -> Option<Incidents> {
        let mapping = self.closed(node, INCIDENTS)?;
        let source = self.incident_source(node, mapping);
        let token = self.at(mapping, "token", Self::secret_name);
        if let (Some(token), None) = (mapping.get("token"), mapping.get("url")) {
            self.diagnostics.push(Diagnostic::error(VALUE, token.span, "a `token` is shown to a `url`, and to nobody else"));
        }
        let priorities = self.at(mapping, "priorities", |reader, node| {
            let priorities = reader.list(node, Self::text)?;
            if priorities.is_empty() {
                reader.diagnostics.push(Diagnostic::error(VALUE, node.span, "without priorities no incident counts"));
            }
            Some(priorities)
        });
        let unknown = self.at(mapping, "unknown", Self::unknown).unwrap_or_default();
        let priorities = priorities.unwrap_or_else(|| PRIORITIES.map(str::to_string).into());
        Some(Incidents { source: source?, token, unknown, priorities })
    }

    fn incident_source(&mut self, node: &Node, mapping: &Mapping) -> Option<Source> {
        match (mapping.get("command"), mapping.get("file"), mapping.get("url")) {
            (Some(command), None, None) => self.text(command).map(Source::Command),
            (None, Some(file), None) => self.file_below(file).map(Source::File),
            (None, None, Some(url)) => self.url(url).map(Source::Url),
            _ => {
                let message = "one of `command`, `file` and `url` is expected here: who knows the incidents";
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
                None
            }
        }
    }

    fn file_below(&mut self, node: &Node) -> Option<String> {
        let path = self.text(node)?;
        if Path::new(&path).components().any(|part| part == Component::ParentDir) {
            let message = "a file is named by its whole path, or lies below the project's folder";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        }
        Some(path)
    }

    pub(super) fn url(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let fits =
            |rest: &str| !rest.starts_with(['/', ':', '?']) && !rest.contains(['@', '#', '"', '\\']) && !rest.contains(char::is_whitespace);
        if rest.is_some_and(|rest| !rest.is_empty() && fits(rest)) {
            return Some(text);
        }
        let message = "an address begins with `https://` or `http://`, and has no password in it";
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        None
    }

    pub(super) fn secret_name(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node)?;
        if let Some(why) = host::secrets::complaint(&name) {
            let message = format!("this is no name of a secret: {why}");
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`plimsoll secret set NAME` makes one"));
        }
        Some(name)
    }

    pub(super) fn branch_protection(&mut self, node: &Node) -> Option<Protection> {
        let mapping = self.closed(node, PROTECTION)?;
        let url = self.needed(node, mapping, "url").and_then(|node| {
            let url = self.url(node)?;
            if url.contains('?') {
                let message = "a repository in the API of a forge has no question in it";
                let diagnostic = Diagnostic::error(VALUE, node.span, message).hint("`https://api.github.com/repos/OWNER/REPOSITORY`");
                self.diagnostics.push(diagnostic);
            } else if !is_repository(&url) {
                let message = "this is no repository in the API of a forge, which ends in `/repos/OWNER/REPOSITORY`";
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint(format!("`{}`", in_api(&url))));
            }
            Some(url)
        });
        let token = self.at(mapping, "token", Self::secret_name);
        let unknown = self.at(mapping, "unknown", Self::unknown).unwrap_or_default();
        let require = self.at(mapping, "require", |reader, node| {
            let mapping = reader.closed(node, REQUIRE)?;
            let checks = reader.at(mapping, "checks", |reader, node| reader.list(node, Self::text));
            Some((checks.unwrap_or_default(), reader.at(mapping, "reviews", |reader, node| reader.whole(node, 1, 10))))
        });
        let (checks, reviews) = require.unwrap_or_default();
        Some(Protection { url: url?, token, unknown, checks, reviews })
    }

    pub(super) fn checks(&mut self, node: &Node) -> Option<Vec<Check>> {
        let checks = self.list(node, Self::check)?;
        for (at, check) in checks.iter().enumerate() {
            if checks[..at].iter().any(|earlier| earlier.name == check.name) {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("two checks are named `{}`", check.name)));
            }
        }
        if checks.len() > CHECKS_MAX {
            let message = format!("there are {} checks, at most {CHECKS_MAX} are made", checks.len());
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message));
        }
        Some(checks)
    }

    fn check(&mut self, node: &Node) -> Option<Check> {
        let mapping = self.closed(node, CHECK)?;
        let name = self.needed(node, mapping, "name").and_then(|node| self.check_name(node));
        let how = match (mapping.get("run"), mapping.get("url")) {
            (Some(run), None) => self.text(run).map(How::Run),
            (None, Some(url)) => self.url(url).map(How::Url),
            _ => {
                self.diagnostics.push(Diagnostic::error(VALUE, node.span, "one of `run` and `url` is expected here: what is looked at"));
                None
            }
        };
        let timeout_ms = self.at(mapping, "timeout", Self::check_timeout).unwrap_or(TIMEOUT_MS);
        Some(Check { name: name?, how: how?, timeout_ms })
    }

    fn check_name(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node)?;
        if name.chars().count() > 60 || name.chars().any(|c| c.is_control() || c == '`') {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "a check's name is a word or a few, at most 60 characters"));
        }
        Some(name)
    }

    fn check_timeout(&mut self, node: &Node) -> Option<u64> {
        let timeout_ms = self.duration(node)?;
        if !(TIMEOUT_MIN_MS..=TIMEOUT_MAX_MS).contains(&timeout_ms) {
            let message = "a check takes a tenth of a second at least, and five minutes at most";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("a release waits for its answer"));
        }
        Some(timeout_ms)
    }
}
