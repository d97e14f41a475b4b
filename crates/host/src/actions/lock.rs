//! `.github/workflows/actions.lock`: which commit each action of another repository is pinned to.
//!
//! The file is GitHub's own format (`v0.0.2`; `v0.0.1` is read too). The digest over an action's files has no key there, so it stands
//! in a comment behind the commit, where their tools don't mind it:
//!
//! ```yaml
//! version: 'v0.0.2'
//! workflows:
//!     '.github/workflows/ci.yml':
//!         - 'acme/tool@v1'
//! dependencies:
//!     'acme/tool@v1':
//!         ref: 'v1'
//!         commit: 'sha1-…' # tree sha256:…
//!         owner_id: 1
//!         repo_id: 2
//!         uses:
//!             - 'acme/other@v3'
//! ```

use std::collections::{BTreeMap, BTreeSet};

use base::yaml::{self, Mapping, Node};
use base::{Diagnostic, Digest, Source};
use workflow::job::Remote;
use workflow::job::remote::is_commit;

/// Below the project.
pub const PATH: &str = ".github/workflows/actions.lock";

const VERSIONS: [&str; 2] = ["v0.0.1", "v0.0.2"];

const HEADER: &str = "# The commits that actions of other repositories are pinned to, in GitHub's format.\n\
                      # Written by `plimsoll actions lock`; `gh actions-lock` may write it too.\n";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// What each workflow uses itself. One that isn't here is not locked.
    pub workflows: BTreeMap<String, BTreeSet<String>>,
    pub dependencies: BTreeMap<String, Locked>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locked {
    /// The tag or branch that led to the commit.
    pub reference: String,
    pub commit: String,
    /// Nothing in a file that only GitHub's tool has written.
    pub tree: Option<Digest>,
    /// GitHub's numbers of owner and repository. Git doesn't know them; GitHub refuses an entry without.
    pub owner_id: Option<u64>,
    pub repo_id: Option<u64>,
    /// What the action itself uses.
    pub uses: BTreeSet<String>,
}

impl Lock {
    /// Every mistake at once; nothing is taken from a file that has one.
    pub fn parse(source: &Source) -> Result<Lock, Vec<Diagnostic>> {
        let (node, diagnostics) = yaml::parse(source);
        let mut reader = Reader { source, diagnostics, old: false };
        let lock = node.map(|node| reader.lock(&node)).unwrap_or_default();
        if reader.diagnostics.is_empty() {
            return Ok(lock);
        }
        Err(reader.diagnostics)
    }

    pub fn render(&self) -> String {
        let mut text = format!("{HEADER}version: 'v0.0.2'\n");
        if !self.workflows.is_empty() {
            text.push_str("workflows:\n");
        }
        for (path, pins) in &self.workflows {
            let none = if pins.is_empty() { " []" } else { "" };
            text.push_str(&format!("    {}:{none}\n", quoted(path)));
            pins.iter().for_each(|pin| text.push_str(&format!("        - {}\n", quoted(pin))));
        }
        if !self.dependencies.is_empty() {
            text.push_str("dependencies:\n");
        }
        for (key, locked) in &self.dependencies {
            let tree = locked.tree.map(|tree| format!(" # tree {tree}")).unwrap_or_default();
            text.push_str(&format!("    {}:\n        ref: {}\n", quoted(key), quoted(&locked.reference)));
            text.push_str(&format!("        commit: {}{tree}\n", quoted(&format!("sha1-{}", locked.commit))));
            for (name, id) in [("owner_id", locked.owner_id), ("repo_id", locked.repo_id)] {
                text.push_str(&id.map(|id| format!("        {name}: {id}\n")).unwrap_or_default());
            }
            if !locked.uses.is_empty() {
                text.push_str("        uses:\n");
                locked.uses.iter().for_each(|pin| text.push_str(&format!("            - {}\n", quoted(pin))));
            }
        }
        text
    }

    /// Entries that no workflow leads to are left out.
    pub fn prune(&mut self) {
        let mut reached = BTreeSet::new();
        let mut open: Vec<String> = self.workflows.values().flatten().cloned().collect();
        while let Some(key) = open.pop() {
            let uses = self.dependencies.get(&key).map(|locked| locked.uses.iter().cloned()).into_iter().flatten();
            if reached.insert(key.clone()) {
                open.extend(uses);
            }
        }
        self.dependencies.retain(|key, _| reached.contains(key));
    }

    /// GitHub's numbers, as far as an entry of the same repository has them.
    pub fn ids(&self, remote: &Remote) -> (Option<u64>, Option<u64>) {
        let prefix = format!("{}@", remote.slug().to_ascii_lowercase());
        let owner = format!("{}/", remote.owner.to_ascii_lowercase());
        let of_owner = self.dependencies.iter().filter(|(key, _)| key.starts_with(&owner)).find_map(|(_, locked)| locked.owner_id);
        let of_repository = self.dependencies.iter().filter(|(key, _)| key.starts_with(&prefix)).find_map(|(_, locked)| locked.repo_id);
        (of_owner, of_repository)
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

struct Reader<'a> {
    source: &'a Source,
    diagnostics: Vec<Diagnostic>,
    /// `v0.0.1`: keys end in `:sha1-…`, and a tag or a branch stands for the reference.
    old: bool,
}

impl Reader<'_> {
    fn lock(&mut self, node: &Node) -> Lock {
        let mut lock = Lock::default();
        let Some(root) = self.closed(node, &["version", "workflows", "dependencies"]) else { return lock };
        match root.get("version") {
            Some(version) if version.as_str().is_some_and(|text| VERSIONS.contains(&text)) => {
                self.old = version.as_str() == Some(VERSIONS[0]);
            }
            Some(version) => self.wrong(version, format!("this version of the file is not known; read are {}", VERSIONS.join(" and "))),
            None => self.wrong(node, "`version` is missing"),
        }
        for entry in root.get("workflows").and_then(|workflows| self.mapping(workflows)).map(|it| it.entries.clone()).unwrap_or_default() {
            let pins = self.pins(&entry.value);
            lock.workflows.insert(entry.key.text.clone(), pins);
        }
        for entry in root.get("dependencies").and_then(|all| self.mapping(all)).map(|it| it.entries.clone()).unwrap_or_default() {
            let Some(key) = self.key(&entry.key.text) else {
                self.diagnostics.push(Diagnostic::error("lock/key", entry.key.span, "a pin is `<owner>/<repository>@<ref>`"));
                continue;
            };
            if let Some(locked) = self.locked(&entry.value) {
                lock.dependencies.insert(key, locked);
            }
        }
        lock
    }

    fn locked(&mut self, node: &Node) -> Option<Locked> {
        let known: &[&str] = if self.old {
            &["tag", "branch", "commit", "owner_id", "repo_id", "uses"]
        } else {
            &["ref", "commit", "owner_id", "repo_id", "uses"]
        };
        let fields = self.closed(node, known)?.clone();
        let text = |name: &str| fields.get(name).and_then(Node::as_str).filter(|text| !text.is_empty()).map(str::to_string);
        let reference = if self.old { text("tag").or(text("branch")).unwrap_or_default() } else { text("ref").unwrap_or_default() };
        if reference.is_empty() && !self.old {
            self.wrong(node, "`ref` is missing");
        }
        let place = fields.get("commit");
        let commit = text("commit").and_then(|commit| commit.strip_prefix("sha1-").filter(|commit| is_commit(commit)).map(str::to_string));
        let Some(commit) = commit else {
            self.wrong(place.unwrap_or(node), "`commit` is `sha1-` and 40 hexadecimal digits");
            return None;
        };
        let id = |name: &str| {
            let number = fields.get(name).and_then(Node::as_number).filter(|number| *number >= 1.0 && number.fract() == 0.0);
            // Numbers of repositories are far below 2^53.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            number.map(|number| number as u64)
        };
        let tree = place.and_then(|place| self.tree_behind(place));
        let uses = fields.get("uses").map(|uses| self.pins(uses)).unwrap_or_default();
        Some(Locked { reference, commit, tree, owner_id: id("owner_id"), repo_id: id("repo_id"), uses })
    }

    /// `# tree sha256:…` on the rest of the line.
    fn tree_behind(&mut self, commit: &Node) -> Option<Digest> {
        let rest = self.source.text.get(commit.span.end..)?.lines().next()?;
        let digest = rest.split_once("# tree ")?.1.trim();
        let parsed = digest.parse().ok();
        if parsed.is_none() {
            self.wrong(commit, format!("the digest behind it, `{digest}`, is not `sha256:` and 64 hexadecimal digits"));
        }
        parsed
    }

    fn pins(&mut self, node: &Node) -> BTreeSet<String> {
        let Some(items) = node.as_sequence() else {
            if !node.is_null() {
                self.wrong(node, "a list of pins is expected here");
            }
            return BTreeSet::new();
        };
        let mut pins = BTreeSet::new();
        for item in items {
            match item.as_str().and_then(|text| self.key(text)) {
                Some(key) => drop(pins.insert(key)),
                None => self.wrong(item, "a pin is `<owner>/<repository>@<ref>`"),
            }
        }
        pins
    }

    fn key(&self, text: &str) -> Option<String> {
        let text = if self.old { text.rsplit_once(":sha1-").map_or(text, |(text, _)| text) } else { text };
        Remote::parse(text).ok().filter(|remote| remote.path.is_empty()).map(|remote| remote.key())
    }

    fn closed<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<&'n Mapping> {
        let mapping = self.mapping(node)?;
        self.diagnostics.extend(mapping.unknown_keys("lock/unknown-key", known));
        Some(mapping)
    }

    fn mapping<'n>(&mut self, node: &'n Node) -> Option<&'n Mapping> {
        let mapping = node.as_mapping();
        if mapping.is_none() && !node.is_null() {
            self.wrong(node, format!("a mapping is expected here, this is {}", node.kind()));
        }
        mapping
    }

    fn wrong(&mut self, node: &Node, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error("lock/value", node.span, message.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(text: &str) -> Result<Lock, Vec<String>> {
        Lock::parse(&Source::new(PATH, text)).map_err(|all| all.into_iter().map(|it| it.message).collect())
    }

    #[test]
    fn what_is_written_reads_back_and_githubs_own_writing_is_read() {
        let tree = Digest::of(b"tree");
        let theirs = format!(
            "# This file is machine-generated by `gh actions-lock`.\nversion: 'v0.0.2'\nworkflows:\n    '.github/workflows/ci.yml':\n        \
             - 'acme/tool@v1'\n    '.github/workflows/none.yml': []\ndependencies:\n    'acme/other@main':\n        ref: 'main'\n        \
             commit: 'sha1-{COMMIT}'\n        owner_id: 7\n        repo_id: 9\n    'acme/tool@v1':\n        ref: 'v1'\n        \
             commit: 'sha1-{COMMIT}' # tree {tree}\n        owner_id: 7\n        repo_id: 8\n        uses:\n            - 'acme/other@main'\n"
        );
        let lock = parse(&theirs).unwrap();
        assert_eq!(lock.dependencies["acme/tool@v1"].tree, Some(tree));
        assert_eq!((lock.dependencies["acme/other@main"].tree, lock.dependencies["acme/other@main"].repo_id), (None, Some(9)));
        assert_eq!(parse(&lock.render()).unwrap(), lock);
        // But for the heading it is written as they write it.
        let body = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect::<Vec<_>>();
        assert_eq!(body(&lock.render()), body(&theirs));
        assert_eq!(lock.ids(&Remote::parse("Acme/New@v1").unwrap()), (Some(7), None));
        assert_eq!(lock.ids(&Remote::parse("Acme/Tool@v2").unwrap()), (Some(7), Some(8)));
    }

    #[test]
    fn the_first_version_is_read() {
        let text = format!(
            "version: v0.0.1\nworkflows:\n  .github/workflows/ci.yml: ['Acme/Tool@v1:sha1-{COMMIT}']\ndependencies:\n  \
             acme/tool@v1:sha1-{COMMIT}: {{tag: v1, commit: sha1-{COMMIT}, owner_id: 1, repo_id: 2}}\n"
        );
        let lock = parse(&text).unwrap();
        assert_eq!(lock.workflows[".github/workflows/ci.yml"], BTreeSet::from(["acme/tool@v1".to_string()]));
        assert_eq!(lock.dependencies["acme/tool@v1"].reference, "v1");
    }

    #[test]
    fn every_mistake_is_reported_and_nothing_is_guessed() {
        let text =
            "version: v9\nworkflow: {}\ndependencies:\n  tool: {ref: v1, commit: sha1-00}\n  a/b@v1: {ref: v1, commit: sha1-zz, x: 1}\n";
        let wrong = parse(text).unwrap_err();
        assert_eq!(wrong.len(), 5, "{wrong:?}");
    }

    #[test]
    fn what_no_workflow_leads_to_is_left_out() {
        let locked = |uses: &[&str]| Locked { uses: uses.iter().map(|it| it.to_string()).collect(), ..Locked::default() };
        let mut lock = Lock::default();
        lock.workflows.insert("ci.yml".to_string(), BTreeSet::from(["a/a@1".to_string()]));
        lock.dependencies =
            [("a/a@1", locked(&["a/b@1"])), ("a/b@1", locked(&[])), ("a/c@1", locked(&[]))].map(|(key, it)| (key.to_string(), it)).into();
        lock.prune();
        assert_eq!(lock.dependencies.keys().collect::<Vec<_>>(), ["a/a@1", "a/b@1"]);
    }
}
